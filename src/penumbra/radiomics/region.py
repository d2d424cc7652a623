"""Checks before extraction: which voxels an ROI has, what a box around them is, and which ROIs cannot be measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.settings import Resegmentation, Settings

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Normalization:
    """The affine map from HU to the units of the features: (HU + shift) x scale, cut at +-limit, x factor; PyRadiomics' `normalize`."""

    shift: float
    scale: float
    factor: float
    limit: float | None


def bounding_box(mask: np.ndarray) -> Box | None:
    """The smallest box that holds every True of a mask (z, y, x); None when there is none."""
    lines = np.asarray(mask.any(axis=2))
    z, y = np.flatnonzero(lines.any(axis=1)), np.flatnonzero(lines.any(axis=0))
    if not z.size:
        return None
    # most of a whole image is outside: look along x only where there is something
    slab = mask[z[0] : z[-1] + 1, y[0] : y[-1] + 1]
    x = np.flatnonzero(slab.any(axis=(0, 1)))
    return slice(int(z[0]), int(z[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def union(boxes: list[Box]) -> Box:
    """The smallest box that holds all boxes."""
    sides = [slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3)]
    return sides[0], sides[1], sides[2]


def grow(box: Box, margin: tuple[int, int, int], shape: tuple[int, ...]) -> Box:
    """The box with `margin` voxels more on each side, as far as an array of `shape` reaches."""
    sides = [slice(max(side.start - m, 0), min(side.stop + m, n)) for side, m, n in zip(box, margin, shape, strict=True)]
    return sides[0], sides[1], sides[2]


def shifted(box: Box, outer: Box) -> Box:
    """The box as seen from the first voxel of another box."""
    sides = [slice(side.start - o.start, side.stop - o.start) for side, o in zip(box, outer, strict=True)]
    return sides[0], sides[1], sides[2]


def voxels(margin_mm: float, spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    """A margin in mm as whole voxels for each axis, rounded up."""
    z, y, x = (math.ceil(margin_mm / step) for step in spacing)
    return z, y, x


def checked_boxes(image: Volume, masks: Mapping[str, Mask], settings: Settings) -> dict[str, Box]:
    """The box of each ROI, after the checks that PyRadiomics makes.

    Raises
    ------
    Refusal
        `roi_on_grid`, `roi_not_empty`, `roi_dimensions`, `roi_size`; `found` starts with the ROI's name.
    """
    boxes = {}
    for roi, mask in masks.items():
        if mask.values.shape != image.values.shape:
            raise Refusal(
                "roi_on_grid",
                f"{roi} has {mask.values.shape} voxels, its image {image.values.shape}",
                "Put the mask on the grid of its image",
            )
        boxes[roi] = checked_box(mask.values, settings, roi)
    return boxes


def checked_box(mask: np.ndarray, settings: Settings, roi: str) -> Box:
    """The box of one mask (z, y, x); raises as `checked_boxes`."""
    box = bounding_box(mask)
    if box is None:
        raise Refusal("roi_not_empty", f"{roi} has no voxel", "Check the contour; a ring has none when the image ends at the GTV")
    extents = [side.stop - side.start for side in box]
    wide = sum(extent > 1 for extent in extents)
    if wide == 0 or wide < settings.minimum_dimensions:
        raise Refusal(
            "roi_dimensions",
            f"{roi} is {' x '.join(map(str, extents))} voxels, wider than one voxel along {wide} axes",
            f"At least {max(settings.minimum_dimensions, 1)} axes are needed (minimumROIDimensions); contour more slices or use a finer grid",
        )
    count = int(np.count_nonzero(mask[box]))
    if settings.minimum_size and count <= settings.minimum_size:
        raise Refusal("roi_size", f"{roi} has {count} voxels", f"More than {settings.minimum_size} are needed (minimumROISize); leave the ROI out")
    return box


def resegmented(mask: np.ndarray, values: np.ndarray, how: Resegmentation, roi: str) -> np.ndarray:
    """The voxels of an ROI that lie within the thresholds; a mask of the same shape.

    Parameters
    ----------
    mask, values
        The box of the ROI, (z, y, x): bool, and the normalized image in the precision in which PyRadiomics has it.

    Raises
    ------
    Refusal
        `resegmentation` when fewer than two are left.
    """
    inside = values[mask]
    if how.mode == "relative":
        thresholds = [inside.max() * factor for factor in how.thresholds]
    elif how.mode == "sigma":
        mean, deviation = np.mean(inside), np.std(inside)
        thresholds = [mean + deviation * factor for factor in how.thresholds]
    else:
        thresholds = list(how.thresholds)
    remaining = inside >= thresholds[0]
    if len(thresholds) == 2:
        remaining &= inside <= thresholds[1]
    if np.count_nonzero(remaining) <= 1:
        raise Refusal(
            "resegmentation",
            f"{roi} has {np.count_nonzero(remaining)} of {inside.size} voxels within {' to '.join(f'{value:g}' for value in thresholds)}",
            "Widen resegmentRange in features/radiomics.yaml; it is in the units of the normalized image",
        )
    result = np.zeros_like(mask)
    result[mask] = remaining
    return result


def normalization(scan: Scan, settings: Settings) -> Normalization | None:
    """How HU become the units of the features; None when the settings do not normalize.

    The moments are those of the whole image: `scan.moments` if it has them, else those of `scan.image`. They are computed as ITK does, to the last bit:
    where values lie on the edges of bins (a fixed count of bins; wavelets with simple coefficients), the last bit decides.

    Raises
    ------
    Refusal
        `image_varies` when all voxels are equal, `voxels_finite` when some are NaN or infinite.
    """
    if not settings.normalize:
        return None
    values, moments = scan.image.values, scan.moments
    if moments is not None and np.issubdtype(values.dtype, np.integer) and math.isfinite(moments.mean) and math.isfinite(moments.std):
        # sums of whole HU are whole numbers: rounding gives back what the division lost
        count, total, squares = moments.count, float(round(moments.mean * moments.count)), float(round((moments.std**2 + moments.mean**2) * moments.count))
    elif moments is not None:
        count, total, squares = moments.count, moments.mean * moments.count, (moments.std**2 + moments.mean**2) * moments.count
    else:
        count, (total, squares) = values.size, image_sums(values)
    mean = total / count
    variance = (squares - total * total / count) / (count - 1) if count > 1 else 0.0
    if not (math.isfinite(mean) and math.isfinite(variance)):
        raise Refusal(
            "voxels_finite",
            f"the image has voxels that are NaN or infinite: mean {mean:g}, variance {variance:g}",
            "They would spread to every voxel through the normalization; repair the image",
        )
    if not variance > 0:
        raise Refusal(
            "image_varies",
            f"the image has mean {mean:g} and variance {variance:g}",
            "Features need an image whose HU differ; check the reconstruction",
        )
    return Normalization(-mean, 1.0 / math.sqrt(variance), settings.normalize_scale, settings.remove_outliers)


def image_sums(values: np.ndarray) -> tuple[float, float]:
    """Sum of all voxels and of their squares; exact for whole numbers, slab by slab, so that no copy of the image is made."""
    if np.issubdtype(values.dtype, np.integer):
        total = sum(int(slab.sum(dtype=np.int64)) for slab in values)
        squares = sum(int(np.square(slab, dtype=np.int64).sum()) for slab in values)
        return float(total), float(squares)
    return compensated_sums(np.ascontiguousarray(values).reshape(-1))


@kernel
def compensated_sums(values: np.ndarray) -> tuple[float, float]:
    """Kahan's sums of the values and of their squares, in the order of ITK's statistics on one thread."""
    total, compensation, squares, squares_compensation = 0.0, 0.0, 0.0, 0.0
    for n in range(values.size):
        value = np.float64(values[n])
        summand = value - compensation
        summed = total + summand
        compensation = (summed - total) - summand
        total = summed
        summand = value * value - squares_compensation
        summed = squares + summand
        squares_compensation = (summed - squares) - summand
        squares = summed
    return total, squares


def normalize(values: np.ndarray, how: Normalization | None) -> np.ndarray:
    """`values` (HU) in the units of the features; the order of the operations is ITK's, so that the last bit agrees.

    float64; 32-bit floats that are not normalized stay what they are, as PyRadiomics and PyWavelets leave them.
    """
    if how is None:
        return values.astype(np.float32 if values.dtype == np.float32 else np.float64)
    result = np.empty(values.shape)
    for z in range(len(values)):  # a slice stays in the cache from one operation to the next
        part = result[z : z + 1]
        part[...] = values[z : z + 1]
        part += how.shift
        part *= how.scale
        if how.limit is not None:
            np.clip(part, -how.limit, how.limit, out=part)
        part *= how.factor
    return result


def checked_finite(values: np.ndarray, rois: str) -> None:
    """Refuse voxels without a number.

    Raises
    ------
    Refusal
        `voxels_finite` when a voxel that a filter of these ROIs reads is NaN or infinite.
    """
    if np.issubdtype(values.dtype, np.integer):
        return
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise Refusal("voxels_finite", f"{bad} voxels in or around {rois} are NaN or infinite", "Every filter would spread them; repair the image")
