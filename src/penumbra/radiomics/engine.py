"""The project's own engine: filters once for all ROIs of a patient, gray levels once for all texture classes, compiled kernels for the rest."""

from collections.abc import Iterator, Mapping

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.radiomics.asymmetric import one_sided_features
from penumbra.radiomics.cooccurrence import cooccurrence_features
from penumbra.radiomics.emphasis import dependence_features, difference_features, run_features, zone_features
from penumbra.radiomics.first_order import first_order, gray_levels
from penumbra.radiomics.gaussian import laplacian_of_gaussian
from penumbra.radiomics.neighborhood import Neighborhood
from penumbra.radiomics.pointwise import SCALED, gradient_image, scaled_image
from penumbra.radiomics.region import (
    Box,
    Normalization,
    checked_box,
    checked_boxes,
    checked_finite,
    grow,
    normalization,
    normalize,
    resegmented,
    shifted,
    union,
    voxels,
)
from penumbra.radiomics.scratch import Scratch
from penumbra.radiomics.settings import LOG_MARGIN_SIGMAS, ImageType, Settings
from penumbra.radiomics.shape import shape_features
from penumbra.radiomics.texture import Frame, frame, matrices
from penumbra.radiomics.wavelet import wavelet_bands

# Raise it with every change that moves a value: it is part of the version key of every row.
VERSION = "2"  # 2: normalized by ITK's own sums


def extract_with_penumbra(scan: Scan, masks: Mapping[str, Mask], settings: Settings) -> dict[str, dict[str, float]]:
    """The features of each ROI by compiled kernels; arguments and refusals as in `penumbra.radiomics.extract`."""
    boxes = checked_boxes(scan.image, masks, settings)
    how = normalization(scan, settings)
    inside_of = {roi: masks[roi].values[box] for roi, box in boxes.items()}
    shape_of = dict(inside_of)
    if settings.resegmentation is not None:
        for roi, box in boxes.items():
            boxes[roi], inside_of[roi], shape_of[roi] = _resegmented(scan, inside_of[roi], box, settings, how, roi)
    target_box = union(list(boxes.values()))
    frames: dict[str, dict[Neighborhood, Frame]] = {}
    scratch = Scratch()
    features: dict[str, dict[str, float]] = {}
    for roi, box in boxes.items():
        z, y, x = (side.start for side in shifted(box, target_box))
        extents = tuple(side.stop - side.start for side in target_box)
        near = {image_type.neighborhood for image_type in settings.images}
        frames[roi] = {each: frame(inside_of[roi], extents, (z, y, x), each, scan.image.spacing) for each in near}
        features[roi] = {}
        if "shape" in settings.features:
            measured = shape_features(shape_of[roi], scan.image.spacing)
            features[roi] = {f"original_shape_{name}": measured[name] for name in settings.features["shape"]}
    for image_type, image in filtered_images(scan, settings, how, target_box, ", ".join(masks)):
        for roi, by_neighborhood in frames.items():
            where = by_neighborhood[image_type.neighborhood]
            values = image.reshape(-1).take(where.in_image)
            measured_classes = measure(
                values.astype(np.float64, copy=False), image.dtype, where, image_type, scan.image.voxel_volume_mm3, settings, scratch, roi
            )
            for family, listed in settings.features.items():
                for name in listed if family != "shape" else ():
                    features[roi][f"{image_type.name}_{family}_{name}"] = measured_classes[family][name]
    order = settings.names
    return {roi: {name: values[name] for name in order} for roi, values in features.items()}


def _resegmented(scan: Scan, inside: np.ndarray, box: Box, settings: Settings, how: Normalization | None, roi: str) -> tuple[Box, np.ndarray, np.ndarray]:
    """The box of what resegmentation leaves of an ROI, the ROI in it, and what shape is measured on.

    The latter is by default the whole ROI, but as PyRadiomics cuts it, to that box.
    """
    assert settings.resegmentation is not None
    part = scan.image.values[box]
    checked_finite(part, roi)
    remaining = resegmented(inside, part if how is None else normalize(part, how), settings.resegmentation, roi)
    inner = checked_box(remaining, settings, roi)
    outer = tuple(slice(side.start + within.start, side.start + within.stop) for side, within in zip(box, inner, strict=True))
    return (outer[0], outer[1], outer[2]), remaining[inner], remaining[inner] if settings.resegmentation.shape else inside[inner]


def measure(
    values: np.ndarray, precision: np.dtype, where: Frame, image_type: ImageType, voxel_volume_mm3: float, settings: Settings, scratch: Scratch, roi: str
) -> dict[str, dict[str, float]]:
    """First-order and texture features of one ROI on one image, class by class.

    `values` are the ROI's voxels in the order of `where`, from an image of the given precision.
    """
    levels = gray_levels(values, precision, image_type, roi)
    measured = {}
    if "firstorder" in settings.features:
        measured["firstorder"] = first_order(values, levels.counts, voxel_volume_mm3, image_type.array_shift)
    if settings.features.keys() & {"glcm", "glrlm", "glszm", "gldm", "ngtdm"}:
        texture = matrices(levels, where, scratch, roi)
        pairs = cooccurrence_features if image_type.neighborhood.symmetric else one_sided_features
        measured["glcm"] = pairs(texture.cooccurrence, levels.gray, levels.highest)
        measured["glrlm"] = run_features(texture, levels.gray)
        measured["glszm"] = zone_features(texture, levels.gray)
        measured["gldm"] = dependence_features(texture, levels.gray)
        measured["ngtdm"] = difference_features(texture, levels.gray, levels.counts)
    return measured


def filtered_images(scan: Scan, settings: Settings, how: Normalization | None, target_box: Box, rois: str) -> Iterator[tuple[ImageType, np.ndarray]]:
    """Each image that features are measured on, on the box `target_box` of the scan; one at a time is in memory."""
    whole = scan.image.values
    for kind, group in _groups(settings):
        if kind == "original":
            part = whole[target_box]
            checked_finite(part, rois)
            yield group[0], np.ascontiguousarray(normalize(part, how))
        elif kind == "wavelet":
            bands = {image_type.band: image_type for image_type in group}
            axes = tuple(axis for axis in (2, 1, 0) if axis != group[0].neighborhood.across)
            for band, image in wavelet_bands(whole, group[0].wavelet, target_box, tuple(bands), lambda part: _finite_normal(part, how, rois), axes):
                yield bands[band], image
        elif kind in SCALED:
            yield group[0], scaled_image(kind, scan, how, target_box, rois)
        elif kind == "gradient":
            yield group[0], gradient_image(scan.image, how, target_box, rois, per_mm=group[0].per_mm)
        else:
            yield from _log_images(group, scan.image, settings, how, target_box, rois)


def _log_images(
    group: list[ImageType], image: Volume, settings: Settings, how: Normalization | None, target_box: Box, rois: str
) -> Iterator[tuple[ImageType, np.ndarray]]:
    # Where the widest filter needs it anyway, the narrower ones take more than they need: they then agree with the whole image to the last bit.
    limit = settings.log_margin_mm
    margins = [voxels(min(1.5 * LOG_MARGIN_SIGMAS * image_type.sigma_mm, limit), image.spacing) for image_type in group]
    widest = grow(target_box, voxels(limit, image.spacing), image.values.shape)
    surroundings = image.values[widest]
    checked_finite(surroundings, rois)
    if surroundings.dtype not in (np.int16, np.float32):
        surroundings = surroundings.astype(np.float64)
    surroundings = np.require(surroundings, requirements=["C", "W"])  # one kind of array for the kernels
    inner = shifted(target_box, widest)
    scratch = Scratch()
    for image_type, margin in zip(group, margins, strict=True):
        part = grow(inner, margin, surroundings.shape)
        extent = [side.stop - side.start for side in part]
        if min(extent) < 4 or any(n < np.ceil(image_type.sigma_mm / step) + 1 for n, step in zip(extent, image.spacing, strict=True)):
            raise Refusal("image_large_enough", f"{rois}: the image is {extent} voxels, too few for {image_type.name}", "Keep more of the image around the ROI")
        yield image_type, laplacian_of_gaussian(surroundings, part, image.spacing, image_type.sigma_mm, inner, scratch, how)


def _finite_normal(part: np.ndarray, how: Normalization | None, rois: str) -> np.ndarray:
    checked_finite(part, rois)
    return normalize(part, how)


def _groups(settings: Settings) -> list[tuple[str, list[ImageType]]]:
    """Image types that share work, in their order: the bands of a wavelet, and the LoG images."""
    groups: list[tuple[str, list[ImageType]]] = []
    for image_type in settings.images:
        if groups and groups[-1][0] == image_type.kind:
            groups[-1][1].append(image_type)
        else:
            groups.append((image_type.kind, [image_type]))
    return groups
