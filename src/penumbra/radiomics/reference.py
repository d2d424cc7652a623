"""The reference engine: PyRadiomics itself, on a crop around each ROI, normalized with the moments of the whole image.

With settings that the own engine does not offer (resampling), or images scaled by the largest value of the whole, PyRadiomics gets all of the image
that there is. It lays the grid of a resampling from the corner of what it gets: a crop that starts between two points of that grid is widened to one
of them.
"""

import logging
import warnings
from collections.abc import Mapping

import numpy as np

from penumbra.base.extras import require
from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Mask, Scan
from penumbra.radiomics.first_order import checked_span
from penumbra.radiomics.pointwise import SCALED, checked_whole
from penumbra.radiomics.region import Box, checked_boxes, checked_finite, grow, normalization, normalize, voxels
from penumbra.radiomics.settings import Settings

ON_GRID = 1e-9  # voxels of the new grid: what is nearer is rounding


def extract_with_pyradiomics(scan: Scan, masks: Mapping[str, Mask], settings: Settings) -> dict[str, dict[str, float]]:
    """The features of each ROI as PyRadiomics computes them; arguments and refusals as in `penumbra.radiomics.extract`."""
    with warnings.catch_warnings():
        # PyRadiomics warns of the Python of tomorrow when it is imported and set up, and numpy of each NaN, which the caller refuses by name.
        warnings.simplefilter("ignore")
        return _extract(scan, masks, settings)


def _extract(scan: Scan, masks: Mapping[str, Mask], settings: Settings) -> dict[str, dict[str, float]]:
    require("radiomics")
    import SimpleITK as sitk
    from pykwalify.errors import PyKwalifyException
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.getLogger("radiomics").setLevel(logging.CRITICAL)  # its warnings are about choices that the parameter file has made
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    boxes = checked_boxes(scan.image, masks, settings)
    how = normalization(scan, settings)
    overrides = {"normalize": False, "additionalInfo": False, "label": 1}
    try:
        extractor = RadiomicsFeatureExtractor({**settings.raw, "setting": {**settings.raw["setting"], **overrides}})
    except (PyKwalifyException, TypeError, ValueError, KeyError) as error:  # the first: of its schema
        raise ParamsError("features_declared", f"PyRadiomics does not accept these settings: {error}", "Correct features/radiomics.yaml") from error
    whole = tuple(slice(0, extent) for extent in scan.image.values.shape)
    features = {}
    lacking = _lacking(scan, settings, next(iter(masks), ""))
    for roi, mask in masks.items():
        if settings.only_pyradiomics or any(image_type.kind in SCALED for image_type in settings.images):
            crop = whole[0], whole[1], whole[2]
            for image_type in settings.images:
                checked_whole(image_type.kind, scan, roi)
        else:
            crop = crop_with_margins(boxes[roi], scan.image.spacing, scan.image.values.shape, settings)
        hu = scan.image.values[crop]
        checked_finite(hu, roi)
        normal = normalize(hu, how)
        values = normal[mask.values[crop]]
        # With too many bins PyRadiomics does not fail but crashes the process.
        for image_type in settings.images:
            if image_type.kind == "original":
                checked_span(float(values.min()), float(values.max()), image_type, roi)
        # what is added is beyond the reach of the spline (see required_margin_mm); the mask is empty there
        image = sitk.GetImageFromArray(np.pad(normal, lacking, mode="edge") if lacking else normal)
        inside = mask.values[crop].astype(np.uint8)
        label = sitk.GetImageFromArray(np.pad(inside, lacking) if lacking else inside)
        for part in (image, label):
            part.SetSpacing(scan.image.spacing[::-1])
        try:
            measured = extractor.execute(image, label)
        except ValueError as error:
            raise Refusal("pyradiomics", f"{roi}: {error}", "PyRadiomics does not measure this ROI") from error
        missing = [name for name in settings.names if name not in measured]
        if missing:
            raise Refusal("image_large_enough", f"{roi}: the image {hu.shape} is too small for {missing[0]}", "Keep more of the image around the ROI")
        features[roi] = {name: float(measured[name]) for name in settings.names}
    return features


def _lacking(scan: Scan, settings: Settings, roi: str) -> list[tuple[int, int]]:
    """How many voxels a crop lacks below each axis, (z, y, x), to start on the grid that PyRadiomics resamples the whole image to; empty: none."""
    spacing = settings.raw["setting"].get("resampledPixelSpacing")
    if not spacing or not scan.cropped:
        return []
    if scan.offset is None:
        raise Refusal(
            "whole_image",
            f"{roi}: resampledPixelSpacing starts its grid at the corner of the whole image, and where this crop starts in it is not known",
            "Extract from the whole image; for saved scans of before, delete their folder below images/ and ingest the patient again",
        )
    padding = []
    for start, old, new in zip(scan.offset, scan.image.spacing, reversed(spacing), strict=True):
        steps = np.arange(start, -1, -1) * (old / (new or old))
        padding.append((int(np.flatnonzero(np.abs(steps - np.rint(steps)) < ON_GRID)[0]), 0))
    return padding if any(below for below, _ in padding) else []


def crop_with_margins(box: Box, spacing: tuple[float, float, float], shape: tuple[int, ...], settings: Settings) -> Box:
    """The part of an image that decides the features of an ROI with this box.

    Where the ROI comes so near to the border that the wavelets wrap around it, the crop keeps the whole axis.
    """
    least = settings.margin_voxels
    margin = [max(least, step) for step in voxels(settings.log_margin_mm, spacing)]
    crop = list(grow(box, (margin[0], margin[1], margin[2]), shape))
    for axis, side in enumerate(box):
        if side.start < least or side.stop > shape[axis] - least:
            crop[axis] = slice(0, shape[axis])
    return crop[0], crop[1], crop[2]
