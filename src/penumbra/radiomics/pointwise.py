"""PyRadiomics' images that need no filter's reach: functions of a voxel's value, scaled by the largest of the whole image, and the gradient."""

from collections.abc import Callable

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Scan, Volume
from penumbra.radiomics.region import Box, Normalization, checked_finite, grow, normalize, shifted


def _square(values: np.ndarray, largest: float) -> np.ndarray:
    return np.asarray((1 / np.sqrt(largest) * values) ** 2)


def _square_root(values: np.ndarray, largest: float) -> np.ndarray:
    return np.asarray(np.copysign(np.sqrt(np.abs(values) * largest), values))


def _logarithm(values: np.ndarray, largest: float) -> np.ndarray:
    return np.asarray(np.copysign(np.log(np.abs(values) + 1), values) * (largest / np.log(np.array([largest]) + 1)))


def _exponential(values: np.ndarray, largest: float) -> np.ndarray:
    return np.asarray(np.exp(np.log(largest) / largest * values))


SCALED: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "square": _square,
    "squareroot": _square_root,
    "logarithm": _logarithm,
    "exponential": _exponential,
}


def scaled_image(kind: str, scan: Scan, how: Normalization | None, target_box: Box, rois: str) -> np.ndarray:
    """One of SCALED on the box `target_box` (z, y, x) of a scan, float64.

    Raises
    ------
    Refusal
        "whole_image" for a crop, "image_varies" for an image of zeros, "voxels_finite".
    """
    checked_whole(kind, scan, rois)
    whole = scan.image.values
    checked_finite(whole, rois)
    extremes = normalize(np.array([whole.min(), whole.max()]), how)  # normalization keeps the order of values
    largest = float(np.abs(extremes.astype(np.float64)).max())
    if not largest > 0:
        raise Refusal("image_varies", f"{rois}: the image is 0 everywhere, and the image {kind} is scaled by its largest value", "Check the reconstruction")
    return SCALED[kind](np.ascontiguousarray(normalize(whole[target_box], how)).astype(np.float64), largest)


def checked_whole(kind: str, scan: Scan, rois: str) -> None:
    """Refuse a crop for an image that the largest value of the whole decides ("whole_image")."""
    if kind in SCALED and scan.cropped:
        raise Refusal(
            "whole_image",
            f"{rois}: the image {kind} is scaled by the largest value of the whole image, and this is a crop of it",
            f"Leave {kind} out of features/radiomics.yaml",
        )


def gradient_image(image: Volume, how: Normalization | None, target_box: Box, rois: str, *, per_mm: bool) -> np.ndarray:
    """The length of the gradient on the box `target_box` (z, y, x), float32, by SimpleITK; per mm, or per voxel."""
    import SimpleITK as sitk

    around = grow(target_box, (1, 1, 1), image.values.shape)
    part = np.ascontiguousarray(image.values[around])
    checked_finite(part, rois)
    source = sitk.GetImageFromArray(part if how is None else normalize(part, how))
    source.SetSpacing(image.spacing[::-1])
    gradient = sitk.GetArrayFromImage(sitk.GradientMagnitude(source, per_mm))
    return np.ascontiguousarray(gradient[shifted(target_box, around)])
