"""The noise of a CT, estimated from the image alone: its level, how coarse it is, and the axis across which the slices lie."""

import numpy as np

from penumbra.imaging.volume import Volume

SOFT_TISSUE_HU = (-200, 300)  # between air, which scanners cut off, and bone, which is mostly edges
WINDOW = 7  # voxels, edge of the square within a plane in which the standard deviation is taken: 7 mm on the 1 mm grid
ENOUGH_WINDOWS = 1000  # of soft tissue, below which all windows are looked at
BINS_PER_MEDIAN = 20  # of the histogram of standard deviations: each is 5 % of their median
MEDIAN_OF_NORMAL = 0.674489750196  # median of the absolute value of a standard normal number
COARSEST = 5.0  # voxels, standard deviation of the widest grain
COARSER = 0.5  # second differences along the axis of the slices are below this share of those along the others, where slices were interpolated
Grain = tuple[float, float, float]


def slice_axis(image: Volume) -> int:
    """The axis of the array across which the slices lie: that along which neighbors differ least, where that is clear; else z, the first.

    Parameters
    ----------
    image : shape (z, y, x), HU
        On the grid.

    Returns
    -------
    int
        0 for z, 1 for y, 2 for x.

    Notes
    -----
    Slices that were interpolated to the grid are smooth across. In public crops that came without their geometry it was not z: the last axis of their arrays
    is the patient's.
    """
    sizes = [size if size > 0 else np.inf for size in _second_differences(image)]
    smallest = int(np.argmin(sizes))
    return smallest if sizes[smallest] < COARSER * min(size for axis, size in enumerate(sizes) if axis != smallest) else 0


def noise_level(image: Volume) -> float:
    """Estimate the standard deviation of the noise of an image: the commonest standard deviation of small windows of soft tissue.

    Parameters
    ----------
    image : shape (z, y, x), HU
        A CT.

    Returns
    -------
    float
        In HU; 0 where the image has no noise.

    Notes
    -----
    Squares of 7 x 7 voxels within a slice that hold soft tissue alone (-200 to 300 HU), their standard deviations, and the mode of these: windows with an
    edge in them have larger ones, and no common one. Where fewer than 1000 windows are soft tissue, all windows are taken. Noise that is coarse
    varies less within a window than over the image: smoothed by a Gaussian of 0.8 voxels it is measured an eighth too low.

    References
    ----------
    The global noise level of Christianson, Winslow, Frush and Samei 2015, American Journal of Roentgenology 205:W93.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Volume
    >>> from penumbra.imaging.noise import noise_level
    >>> noisy = np.random.default_rng(0).normal(40, 12, (20, 40, 40))
    >>> round(noise_level(Volume(noisy, (1.0, 1.0, 1.0))))
    12
    """
    from scipy.ndimage import minimum_filter, uniform_filter

    values, edge, half = np.moveaxis(image.values, slice_axis(image), 0).astype(np.float64), (1, WINDOW, WINDOW), WINDOW // 2
    variance = uniform_filter(values**2, edge) - uniform_filter(values, edge) ** 2
    inner = (slice(None), slice(half, -half), slice(half, -half))
    soft = minimum_filter(_soft(values), edge)[inner]
    deviations = np.sqrt(np.maximum(variance[inner], 0.0) * WINDOW**2 / (WINDOW**2 - 1))
    chosen = deviations[soft] if np.count_nonzero(soft) >= ENOUGH_WINDOWS else deviations.ravel()
    width = float(np.median(chosen)) / BINS_PER_MEDIAN if chosen.size else 0.0
    if width < 1e-3:  # rounding of the variance
        return 0.0
    counts = np.bincount((chosen / width).astype(np.int64), minlength=3)
    return float(np.argmax(np.convolve(counts, (1, 1, 1), mode="same")) + 0.5) * width


def noise_grain(image: Volume, level: float) -> Grain:
    """How coarse the noise of an image is along each axis: the Gaussian that white noise must be smoothed with to have as large second differences.

    Parameters
    ----------
    image : shape (z, y, x), HU
        A CT.
    level : HU
        Standard deviation of its noise, above 0.

    Returns
    -------
    tuple
        Standard deviation of the Gaussian in voxels (z, y, x); 0 for noise that is independent between voxels.

    Notes
    -----
    A second difference is blind to what is linear, and its median absolute value over 0.6745 to edges (Donoho and Johnstone). Of independent noise it is
    the square root of 6 times the level, of smoothed noise less: reconstruction and interpolation to the grid leave little between neighbors.

    References
    ----------
    Immerkaer 1996, Computer Vision and Image Understanding 64:300, for second differences; Donoho and Johnstone 1994, Biometrika 81:425, for the median.
    """
    sigmas = np.linspace(0.0, COARSEST, 501)[1:]
    shares = np.append(1.0, (6 - 8 * np.exp(-1 / (4 * sigmas**2)) + 2 * np.exp(-1 / sigmas**2)) / 6)  # of the variance of a second difference
    z, y, x = (float(np.interp(-((size / level) ** 2) / 6, -shares, np.append(0.0, sigmas))) for size in _second_differences(image))
    return z, y, x


def _second_differences(image: Volume) -> list[float]:
    """The size of second differences of the soft tissue along each axis, as a standard deviation; 0 where an axis is too short."""
    soft = _soft(image.values)
    soft = soft if np.count_nonzero(soft) >= ENOUGH_WINDOWS else np.ones_like(soft)
    sizes = []
    for axis, length in enumerate(image.values.shape):
        middle = np.moveaxis(soft, axis, 0)[1:-1]
        second = np.moveaxis(np.diff(image.values.astype(np.float32), n=2, axis=axis), axis, 0)[middle] if length > 2 else np.zeros(1)
        sizes.append(float(np.median(np.abs(second))) / MEDIAN_OF_NORMAL if second.size else 0.0)
    return sizes


def _soft(values: np.ndarray) -> np.ndarray:
    soft: np.ndarray = (values >= SOFT_TISSUE_HU[0]) & (values <= SOFT_TISSUE_HU[1])
    return soft
