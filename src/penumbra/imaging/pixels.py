"""The HU of one CT slice."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import BROKEN, decoded, lenient, read_file
from penumbra.imaging.padding import AIR_HU
from penumbra.imaging.plain_file import PlainPixels, plain_pixels
from penumbra.imaging.volume import check_range

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SMALL_FACTOR = 2**14
_FACTOR = 1e6  # a slope or an intercept beyond is not a rescaling to HU


def pixels(path: Path) -> np.ndarray:
    """The HU of a slice, (y, x): stored values by this slice's own rescale slope and intercept; int32, or float64 where these are not whole.

    Padding beyond the scanner's field of view that lies below air becomes air: it is not a measurement, and would shift the mean of the scan.

    Raises
    ------
    Refusal
        `pixels_readable: the pixels of a slice cannot be decoded (ValueError). ...`, `rescale_known: a slice has no RescaleSlope. ...`, `hu_range: a
        slice holds values up to 4e+12, which are not HU. ...`.

    References
    ----------
    DICOM PS3.3 C.11.1 (Modality LUT), C.7.6.3, C.7.5.1.1.2 (padding).
    """
    try:
        plain = plain_pixels(path)
        if plain is not None:
            return hu_of(plain, plain.stored)
        dataset = read_file(path)
        with lenient():
            stored = _stored(dataset)
        return hu_of(dataset, stored)
    except (*BROKEN, MemoryError) as error:
        raise undecodable(error) from error


def undecodable(error: BaseException) -> Refusal:
    """The refusal of a slice whose pixels are damaged, or compressed in a way that no decoder here reads."""
    return Refusal(
        "pixels_readable",
        f"the pixels of a slice cannot be decoded ({type(error).__name__})",
        "Send the series again; if it is compressed, in a lossless transfer syntax of JPEG, JPEG-LS, JPEG 2000 or RLE, or uncompressed",
    )


def hu_of(dataset: "Dataset | PlainPixels", stored: np.ndarray) -> np.ndarray:
    """HU of the stored values of one slice, (y, x), by the rescaling and padding that its attributes declare.

    Raises
    ------
    Refusal
        `rescale_known`, `hu_range`; of damaged attributes one of BROKEN.
    """
    slope, intercept = _rescale(dataset)
    padding = _is_padding(dataset, stored)
    if slope.is_integer() and intercept.is_integer():
        small = stored.dtype.itemsize <= 2 and slope <= _SMALL_FACTOR  # no product of 16 bits leaves 32
        hu: np.ndarray = stored.astype(np.int32 if small else np.int64) * int(slope) + int(intercept)
    else:
        hu = stored.astype(np.float64) * slope + intercept
    if padding is not None:
        hu[padding & (hu < AIR_HU)] = AIR_HU
    check_range(hu, "a slice")
    return hu if hu.dtype.kind == "f" else hu.astype(np.int32, copy=False)


def _stored(dataset: "Dataset") -> np.ndarray:
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in dataset.file_meta:  # a file without preamble tells its encoding by its bytes alone
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian
    stored = decoded(dataset)
    if stored.ndim != 2:
        raise ValueError("not one monochrome plane")
    return stored


def _rescale(dataset: "Dataset | PlainPixels") -> tuple[float, float]:
    """Slope and intercept; signed pixels without either are HU already."""
    advice = "Export the series again with RescaleSlope and RescaleIntercept in every slice"
    if dataset.get("ModalityLUTSequence"):
        raise Refusal("rescale_known", "a slice has a table (Modality LUT) instead of RescaleSlope and RescaleIntercept", advice)
    values = [dataset.get(name) for name in ("RescaleSlope", "RescaleIntercept")]
    if all(value in (None, "") for value in values) and int(dataset.get("PixelRepresentation") or 0) == 1:
        return 1.0, 0.0
    if any(value in (None, "") for value in values):
        raise Refusal("rescale_known", "a slice of unsigned pixels has no RescaleSlope or no RescaleIntercept", advice)
    slope, intercept = float(values[0]), float(values[1])
    if not (np.isfinite([slope, intercept]).all() and 0 < slope <= _FACTOR and abs(intercept) <= _FACTOR):
        raise Refusal("rescale_known", f"a slice has RescaleSlope {slope:g} and RescaleIntercept {intercept:g}", advice)
    return slope, intercept


def _is_padding(dataset: "Dataset | PlainPixels", stored: np.ndarray) -> np.ndarray | None:
    """Where the slice is padding; compared in the bits that are stored, since exports write a negative value as an unsigned one."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    bits = (1 << int(dataset.BitsAllocated)) - 1
    limit = dataset.get("PixelPaddingRangeLimit")
    if limit is None:
        return np.asarray((stored.astype(np.int64) & bits) == (int(value) & bits))
    low, high = sorted((int(value), int(limit)))
    return np.asarray((stored >= low) & (stored <= high))
