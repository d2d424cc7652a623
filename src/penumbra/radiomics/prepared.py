"""Image and mask as PyRadiomics prepares them before it measures: read, one label taken, normalized, resampled or cropped, put on one grid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.radiomics.region import bounding_box, normalization, normalize, resegmented
from penumbra.radiomics.settings import Settings

TOLERANCE = 1e-6  # ITK's own: origins and spacings, in units of the first spacing; directions, absolute
OUTSIDE = 1e-3  # voxels that an ROI may reach beyond its image before it is resampled; PyRadiomics
PADDING = 5  # voxels that a crop keeps around the ROI; PyRadiomics


@dataclass(frozen=True)
class Prepared:
    """One ROI with its image, and what became of both on the way.

    Parameters
    ----------
    image, mask
        As they came, the mask in 32-bit labels.
    interpolated
        Image and mask after resampling; None: they were not resampled.
    corrected
        The mask on the grid of the image, where `correctMask` had to put it there.
    remaining
        The mask after resegmentation, on the final grid.
    scan
        The final image, HU or what normalization made of them, with the ROI as its GTV.
    settings
        What is still to be done to it.
    """

    image: sitk.Image
    mask: sitk.Image
    label: int
    interpolated: tuple[sitk.Image, sitk.Image] | None
    corrected: sitk.Image | None
    remaining: sitk.Image | None
    final: sitk.Image
    scan: Scan
    settings: Settings


def prepared(image: Any, mask: Any, settings: Settings, values: Mapping[str, Any]) -> Prepared:
    """Do what PyRadiomics does between the call and the first feature, in its order.

    Parameters
    ----------
    image, mask
        Each a SimpleITK image or the path of a file that SimpleITK reads.
    settings
        How the image is normalized and resegmented.
    values
        The settings as PyRadiomics names them; read here: label, label_channel, resampledPixelSpacing, interpolator, preCrop, padDistance, correctMask,
        geometryTolerance.

    Raises
    ------
    Refusal
        "image_readable", "three_dimensions", "mask_label", "mask_channel", "same_grid", "roi_in_image", and those of normalization and resegmentation.
    """
    original, label = read(image, "image"), int(values.get("label", 1))
    labels = in_labels(read(mask, "mask"), label, int(values.get("label_channel", 0)))
    spacing = values.get("resampledPixelSpacing")
    resampled = spacing is not None and values.get("interpolator") is not None
    started, final, interpolated = labels, original, None
    if resampled or values.get("preCrop", False):  # otherwise the engine normalizes, and no copy of the whole image is made
        final, settings = _normalized(original, settings), replace(settings, normalize=False)
    if resampled:
        final, labels = interpolated = resample(final, labels, label, values)
    elif values.get("preCrop", False):
        labels, _ = on_grid(final, labels, label, values)
        final, labels = crop(final, labels, label, int(values.get("padDistance", PADDING)))
    labels, moved = on_grid(final, labels, label, values)
    scan = as_scan(final, labels, label)
    remaining = _remaining(scan, settings, labels, label)
    return Prepared(original, started, label, interpolated, labels if moved else None, remaining, final, scan, settings)


def read(source: Any, what: str) -> sitk.Image:
    """An image as it is, or the one in a file; its path is not told, since it may name a patient."""
    if isinstance(source, str | PathLike):
        if not Path(source).is_file():
            raise Refusal("image_readable", f"there is no file at the path given as {what}", "Give the path of a file that SimpleITK reads, or an image")
        try:
            source = sitk.ReadImage(str(source))
        except RuntimeError as error:
            raise Refusal("image_readable", f"SimpleITK cannot read the file given as {what}", "Write it again as NRRD, NIfTI or MHA") from error
    if not isinstance(source, sitk.Image):
        raise Refusal("image_readable", f"the {what} is a {type(source).__name__}", "Give a SimpleITK image, or the path of a file that SimpleITK reads")
    if source.GetDimension() != 3:
        raise Refusal("three_dimensions", f"the {what} has {source.GetDimension()} dimensions", 'Join slices to a volume, or use engine="pyradiomics"')
    return source


def in_labels(mask: sitk.Image, label: int, channel: int) -> sitk.Image:
    """The mask in 32-bit labels, of several channels the one that was named; refused where the label is not in it."""
    channels = mask.GetNumberOfComponentsPerPixel()
    if "vector" in mask.GetPixelIDTypeAsString().lower():
        if not 0 <= channel < channels:
            raise Refusal("mask_channel", f"label_channel is {channel}, and the mask has {channels} channels", "Count channels from 0")
        mask = sitk.VectorIndexSelectionCast(mask, channel)
    mask = sitk.Cast(mask, sitk.sitkUInt32)
    labels = np.unique(sitk.GetArrayViewFromImage(mask))
    if label not in labels:
        some = ", ".join(str(each) for each in labels[labels != 0][:12])
        advice = f"Labels of this mask: {some}" if some else "It has none: nothing is contoured"
        raise Refusal("mask_label", f"the mask has no voxel of label {label}", advice)
    return mask


def as_scan(image: sitk.Image, mask: sitk.Image, label: int) -> Scan:
    """A SimpleITK image and one label as a scan, whose arrays are (z, y, x)."""
    z, y, x = image.GetSpacing()[::-1]
    values = sitk.GetArrayViewFromImage(image)
    inside = sitk.GetArrayViewFromImage(mask) == label
    return Scan(Volume(values, (z, y, x)), Mask(inside, (z, y, x)))


def on_grid(image: sitk.Image, mask: sitk.Image, label: int, values: Mapping[str, Any]) -> tuple[sitk.Image, bool]:
    """The mask, and whether it had to be resampled to the grid of the image (`correctMask`)."""
    fault = _apart(image, mask, float(values.get("geometryTolerance") or TOLERANCE))
    if not fault:
        return mask, False
    if not values.get("correctMask", False):
        raise Refusal("same_grid", f"mask and image differ in {fault}", "Set correctMask: true to resample the mask, or raise geometryTolerance")
    _box_within(image, mask, label)
    moved = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    return moved, True


def resample(image: sitk.Image, mask: sitk.Image, label: int, values: Mapping[str, Any]) -> tuple[sitk.Image, sitk.Image]:
    """Image and mask on a grid of `resampledPixelSpacing` (x, y, z; mm), as far as the ROI and `padDistance` voxels around it reach.

    The grid starts at the corner of the mask; 0 keeps an axis, and so does an ROI of one slice.
    """
    old, requested = np.array(mask.GetSpacing()), np.array(values["resampledPixelSpacing"], dtype=float)
    if requested.shape != old.shape or not np.all(np.isfinite(requested)) or np.any(requested < 0):
        text = f"resampledPixelSpacing is {values['resampledPixelSpacing']}"
        raise Refusal("resampled_spacing", text, "Give three numbers in mm, x, y and z; 0 keeps an axis")
    start, size = _box_within(image, mask, label)
    new = np.where((requested == 0) | (size == 1), old, requested)
    padding = int(values.get("padDistance", PADDING))
    if np.allclose(np.array(image.GetSpacing()), new):
        return crop(image, sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor), label, padding)
    ratio = old / new
    lower = np.maximum(np.floor((start - 0.5) * ratio - padding), 0)
    upper = np.minimum(np.ceil((start + size - 0.5) * ratio + padding), np.ceil(np.array(mask.GetSize()) * ratio) - 1)
    origin = mask.TransformContinuousIndexToPhysicalPoint((0.5 * (new - old) / old + lower / ratio).tolist())
    name = values.get("interpolator")
    grid = sitk.ResampleImageFilter()
    grid.SetOutputSpacing(new.tolist())
    grid.SetOutputDirection(mask.GetDirection())
    grid.SetSize([int(each) for each in upper - lower + 1])
    grid.SetOutputOrigin(origin)
    grid.SetOutputPixelType(image.GetPixelID())
    grid.SetInterpolator(getattr(sitk, name, sitk.sitkBSpline) if isinstance(name, str) else int(name or sitk.sitkBSpline))
    resampled = grid.Execute(image)
    grid.SetOutputPixelType(mask.GetPixelID())
    grid.SetInterpolator(sitk.sitkNearestNeighbor)
    return resampled, grid.Execute(mask)


def crop(image: sitk.Image, mask: sitk.Image, label: int, padding: int) -> tuple[sitk.Image, sitk.Image]:
    """Image and mask around the ROI, `padding` voxels beyond it where there are any."""
    start, size = _box(mask, label)
    lower = np.maximum(start - padding, 0)
    upper = np.maximum(np.array(mask.GetSize()) - (start + size - 1) - padding - 1, 0)
    return sitk.Crop(image, lower.tolist(), upper.tolist()), sitk.Crop(mask, lower.tolist(), upper.tolist())


def _normalized(image: sitk.Image, settings: Settings) -> sitk.Image:
    values = sitk.GetArrayViewFromImage(image)
    z, y, x = image.GetSpacing()[::-1]
    nothing = Mask(np.zeros((0, 0, 0), dtype=bool), (z, y, x))
    how = normalization(Scan(Volume(values, (z, y, x)), nothing), settings)
    if how is None:
        return image
    normal = sitk.GetImageFromArray(normalize(values, how))
    normal.CopyInformation(image)
    return normal


def _remaining(scan: Scan, settings: Settings, mask: sitk.Image, label: int) -> sitk.Image | None:
    """What resegmentation leaves, for the diagnostics; the engine does it again for the features."""
    box = bounding_box(scan.gtv.values)
    if settings.resegmentation is None or box is None:
        return None
    part = normalize(scan.image.values[box], normalization(scan, settings))
    remaining = np.zeros(scan.gtv.values.shape, dtype=np.uint32)
    remaining[box] = np.where(resegmented(scan.gtv.values[box], part, settings.resegmentation, f"label {label}"), label, 0)
    image = sitk.GetImageFromArray(remaining)
    image.CopyInformation(mask)
    return image


def _box(mask: sitk.Image, label: int) -> tuple[np.ndarray, np.ndarray]:
    """First voxel and extent of a label, (x, y, z)."""
    box = bounding_box(sitk.GetArrayViewFromImage(mask) == label)
    if box is None:
        raise Refusal("mask_label", f"no voxel of label {label} is left on the grid of the image", "Use a finer resampledPixelSpacing, or leave the ROI out")
    return np.array([side.start for side in reversed(box)]), np.array([side.stop - side.start for side in reversed(box)])


def _box_within(image: sitk.Image, mask: sitk.Image, label: int) -> tuple[np.ndarray, np.ndarray]:
    start, size = _box(mask, label)
    corners = [mask.TransformContinuousIndexToPhysicalPoint((corner - 0.5).tolist()) for corner in (start, start + size)]
    inside = np.array([image.TransformPhysicalPointToContinuousIndex(corner) for corner in corners])
    if np.any(inside.min(axis=0) < -0.5 - OUTSIDE) or np.any(inside.max(axis=0) > np.array(image.GetSize()) - 0.5 + OUTSIDE):
        beyond = " to ".join(str(tuple(round(float(each), 1) for each in corner)) for corner in inside)
        raise Refusal("roi_in_image", f"the ROI reaches from voxel {beyond} of an image of {image.GetSize()}", "Send the image on which it was drawn")
    return start, size


def _apart(image: sitk.Image, mask: sitk.Image, tolerance: float) -> str:
    """In what the grids of image and mask differ; "" in nothing."""
    if image.GetSize() != mask.GetSize():
        return f"size: {image.GetSize()} and {mask.GetSize()} voxels"
    step = tolerance * image.GetSpacing()[0]
    for what, ours, theirs, most in (
        ("origin", image.GetOrigin(), mask.GetOrigin(), step),
        ("spacing", image.GetSpacing(), mask.GetSpacing(), step),
        ("direction", image.GetDirection(), mask.GetDirection(), tolerance),
    ):
        apart = float(np.max(np.abs(np.subtract(ours, theirs))))
        if not apart <= most:
            return f"{what} by up to {apart:.3g}"
    return ""
