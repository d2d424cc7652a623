"""The eight bands of a stationary wavelet transform at its first level, bit for bit what PyWavelets gives, on the part that is wanted.

The image is taken as periodic; an axis of odd length is first made even by repeating its first voxel at the end, as PyRadiomics does. Each band is a
convolution along x, then y, then z; here only the voxels that the target box needs are convolved.
"""

from collections.abc import Callable, Iterator

import numpy as np

from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.region import Box

LOW, HIGH = "L", "H"
BLOCK = 1024  # outputs that stay in the fastest cache while all taps are added


def wavelet_bands(
    image: np.ndarray,
    wavelet: str,
    target_box: Box,
    bands: tuple[str, ...],
    prepare: Callable[[np.ndarray], np.ndarray],
    axes: tuple[int, ...] = (2, 1, 0),
) -> Iterator[tuple[str, np.ndarray]]:
    """The bands of an image on a box of it, one after the other, so that only a few are in memory.

    Parameters
    ----------
    image : shape (z, y, x)
    wavelet
        A name that PyWavelets knows, e.g. "coif1".
    target_box
        The box of `image` that is returned.
    bands
        Names of one letter for each of `axes`, L or H.
    prepare
        Turns the part of `image` that is needed into float64 or float32.
    axes
        Along which the image is transformed, in this order: x, y, z; or two of them.

    Notes
    -----
    Yields (band, array of the shape of `target_box` in the precision of `prepare`).
    """
    filters = filter_pair(wavelet)
    reach = len(filters[LOW])
    # Output o needs inputs o + reach/2 - j for j = 0 .. reach-1; positions are periodic, so the part that is needed is gathered once.
    inputs = [
        positions(side, reach, n) if axis in axes else np.arange(side.start, side.stop)
        for axis, (side, n) in enumerate(zip(target_box, image.shape, strict=True))
    ]
    part = prepare(image[np.ix_(*inputs)])
    if part.dtype == np.float32:
        start = reach - 1 - reach // 2
        starts = [start if axis in axes else 0 for axis in range(part.ndim)]
        inner = tuple(slice(first, first + side.stop - side.start) for first, side in zip(starts, target_box, strict=True))
        yield from _bands_in_32_bits(part, wavelet, inner, bands, axes)
        return
    yield from _convolved_along(part, axes, filters, bands, "")


def _convolved_along(
    part: np.ndarray, axes: tuple[int, ...], filters: dict[str, np.ndarray], bands: tuple[str, ...], prefix: str
) -> Iterator[tuple[str, np.ndarray]]:
    """The bands that begin with `prefix`, from what is convolved along the axes of its letters."""
    if not axes:
        yield prefix, part
        return
    for letter in _letters(bands, len(prefix), prefix):
        yield from _convolved_along(convolved(part, axes[0], filters[letter]), axes[1:], filters, bands, prefix + letter)


def _bands_in_32_bits(
    part: np.ndarray, wavelet: str, inner: tuple[slice, ...], bands: tuple[str, ...], axes: tuple[int, ...]
) -> Iterator[tuple[str, np.ndarray]]:
    """PyWavelets' own transform of 32-bit floats, which rounds otherwise than the kernel here; they are rare: HU that were not normalized."""
    import pywt

    even = np.pad(part, [(0, extent % 2) for extent in part.shape], "wrap")
    coefficients = pywt.swtn(even, wavelet, level=1, start_level=0, axes=axes)[0]
    for band in bands:
        yield band, np.ascontiguousarray(coefficients[band.replace("L", "a").replace("H", "d")][inner])


def filter_pair(wavelet: str) -> dict[str, np.ndarray]:
    """The decomposition filters of a wavelet, low and high pass."""
    import pywt

    bank = pywt.Wavelet(wavelet)
    return {LOW: np.array(bank.dec_lo), HIGH: np.array(bank.dec_hi)}


def positions(side: slice, taps: int, length: int) -> np.ndarray:
    """The voxels along an axis of `length` that the outputs in `side` need, wrapped around."""
    period = length + length % 2
    wrapped = np.arange(side.start + taps // 2 - taps + 1, side.stop + taps // 2) % period
    return np.where(wrapped == length, 0, wrapped)  # the voxel that makes an odd axis even


def _letters(bands: tuple[str, ...], place: int, prefix: str) -> list[str]:
    return sorted({band[place] for band in bands if band.startswith(prefix)}, reverse=True)


def convolved(part: np.ndarray, axis: int, taps: np.ndarray) -> np.ndarray:
    """`part` convolved with `taps` along one axis, where all taps have an input."""
    shape = list(part.shape)
    shape[axis] -= len(taps) - 1
    result = np.empty(shape)
    stride = int(np.prod(part.shape[axis + 1 :], dtype=np.int64))
    convolve(np.ascontiguousarray(part).reshape(-1, part.shape[axis] * stride), result.reshape(-1, shape[axis] * stride), taps, stride)
    return result


@kernel
def convolve(source: np.ndarray, result: np.ndarray, taps: np.ndarray, stride: int) -> None:
    """Rows of a block (rows, length x stride): result[r, k] = sum over j of taps[j] x source[r, k + (n - 1 - j) stride], in the order of j."""
    n = taps.size
    for r in range(result.shape[0]):
        for low in range(0, result.shape[1], BLOCK):
            high = min(low + BLOCK, result.shape[1])
            target = result[r, low:high]
            target[:] = 0.0
            for j in range(n):
                tap = taps[j]
                first = low + (n - 1 - j) * stride
                inputs = source[r, first : first + high - low]
                for k in range(high - low):
                    target[k] += tap * inputs[k]
