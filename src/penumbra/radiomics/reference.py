"""The reference engine: PyRadiomics itself, on a crop around each ROI, normalised with the moments of the whole image."""

import logging
import warnings
from collections.abc import Mapping

import numpy as np

from penumbra.imaging.volume import Mask, Scan
from penumbra.radiomics.first_order import grey_levels
from penumbra.radiomics.region import Box, checked_boxes, checked_finite, grow, normalisation, normalise, voxels
from penumbra.radiomics.settings import WAVELET_MARGIN_VOXELS, Settings
from penumbra.refusal import Refusal


def extract_with_pyradiomics(scan: Scan, masks: Mapping[str, Mask], settings: Settings) -> dict[str, dict[str, float]]:
    """The features of each ROI as PyRadiomics computes them; arguments and refusals as in `penumbra.radiomics.extract`."""
    with warnings.catch_warnings():
        # PyRadiomics warns of the Python of tomorrow when it is imported and set up, and numpy of each NaN, which the caller refuses by name.
        warnings.simplefilter("ignore")
        return _extract(scan, masks, settings)


def _extract(scan: Scan, masks: Mapping[str, Mask], settings: Settings) -> dict[str, dict[str, float]]:
    import SimpleITK as sitk
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.getLogger("radiomics").setLevel(logging.CRITICAL)  # its warnings are about choices that the parameter file has made
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    boxes = checked_boxes(scan.image, masks, settings)
    how = normalisation(scan, settings)
    own = {"normalize": False, "additionalInfo": False, "label": 1}
    extractor = RadiomicsFeatureExtractor({**settings.raw, "setting": {**settings.raw["setting"], **own}})
    features = {}
    for roi, mask in masks.items():
        crop = crop_with_margins(boxes[roi], scan.image.spacing, scan.image.values.shape, settings)
        hu = scan.image.values[crop]
        checked_finite(hu, roi)
        normal = normalise(hu, how)
        inside = normal[mask.values[crop]]
        # With too many bins PyRadiomics does not fail but crashes the process.
        grey_levels(inside, inside.dtype, settings.images[0].bin_width, f"{roi} in the original image")
        image = sitk.GetImageFromArray(normal)
        label = sitk.GetImageFromArray(mask.values[crop].astype(np.uint8))
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


def crop_with_margins(box: Box, spacing: tuple[float, float, float], shape: tuple[int, ...], settings: Settings) -> Box:
    """The part of an image that decides the features of an ROI with this box.

    Where the ROI comes so near to the border that the wavelets wrap around it, the crop keeps the whole axis.
    """
    margin = [max(WAVELET_MARGIN_VOXELS, step) for step in voxels(settings.log_margin_mm, spacing)]
    crop = list(grow(box, (margin[0], margin[1], margin[2]), shape))
    for axis, side in enumerate(box):
        if side.start < WAVELET_MARGIN_VOXELS or side.stop > shape[axis] - WAVELET_MARGIN_VOXELS:
            crop[axis] = slice(0, shape[axis])
    return crop[0], crop[1], crop[2]
