"""PyRadiomics as a user runs it: its extractor, its parameter file, one ROI after the other, normalization and filters computed again each time."""

import logging
import warnings
from pathlib import Path

import numpy as np

from penumbra.base.extras import require
from penumbra.imaging import Mask, Scan


def plain_pyradiomics(scan: Scan, masks: dict[str, Mask], parameter_file: Path) -> dict[str, dict[str, float]]:
    """The features of each ROI from the scan's whole image; nothing of this project is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        require("radiomics")
        import SimpleITK as sitk
        from radiomics.featureextractor import RadiomicsFeatureExtractor

        logging.getLogger("radiomics").setLevel(logging.CRITICAL)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        extractor = RadiomicsFeatureExtractor(str(parameter_file))
        image = sitk.GetImageFromArray(scan.image.values)
        image.SetSpacing(scan.image.spacing[::-1])
        by_roi = {}
        for roi, mask in masks.items():
            label = sitk.GetImageFromArray(mask.values.astype(np.uint8))
            label.SetSpacing(scan.image.spacing[::-1])
            measured = extractor.execute(image, label)
            by_roi[roi] = {name: float(value) for name, value in measured.items() if not name.startswith("diagnostics")}
    return by_roi
