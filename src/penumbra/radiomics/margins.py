"""How much image around an ROI its features depend on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penumbra.radiomics.settings import load_settings

# Beyond this many voxels a cubic B-spline's coefficients no longer feel where the image ends (0.27^20 = 4e-12).
SPLINE_MARGIN_VOXELS = 20


def required_margin_mm(settings: Path | str | Mapping[str, Any] | None = None, *, spacing_mm: float = 1.0) -> float:
    """Tell how much image around the outermost ROI a crop must keep, so that its features are those of the whole image.

    Parameters
    ----------
    settings
        A PyRadiomics parameter file, or a mapping of its form; None: features/radiomics.yaml of the project.
    spacing_mm : mm
        Edge of a voxel: wavelets reach so many voxels, LoG filters so many mm.

    Returns
    -------
    float
        In mm.

    Raises
    ------
    ParamsError
        "features_declared": `unknown setting pixelSpacing. Did you mean resampledPixelSpacing?`, and likewise for image types, feature classes, features and
        values.

    Notes
    -----
    The widest filter decides: LOG_MARGIN_SIGMAS of the largest sigma, or half of the longest wavelet filter. Where the image itself ends earlier, the
    crop ends there. With resampledPixelSpacing the crop has to know its place as well (`Scan.offset`), since the new grid starts at the corner of
    the whole image.

    Examples
    --------
    >>> from penumbra.radiomics import required_margin_mm
    >>> required_margin_mm({"imageType": {"Wavelet": {}}})
    8.0
    >>> required_margin_mm({"imageType": {"LoG": {"sigma": [1.0, 2.0]}}})
    24.0
    """
    loaded = load_settings(settings, engine="pyradiomics")
    margin = max(loaded.log_margin_mm, loaded.margin_voxels * spacing_mm)
    values = loaded.raw["setting"]
    if values.get("resampledPixelSpacing"):
        # PyRadiomics rounds its padded box outwards, and its grid starts half a new voxel inside
        padded = (values.get("padDistance", 5) + 1.5) * max(*values["resampledPixelSpacing"], spacing_mm)
        margin = max(margin, padded + SPLINE_MARGIN_VOXELS * spacing_mm)
    return margin


def periodic_margin_mm(settings: Path | str | Mapping[str, Any] | None = None, *, spacing_mm: float = 1.0) -> float:
    """Tell how far around an ROI the wavelets read, which continue the image periodically.

    Parameters
    ----------
    settings
        A PyRadiomics parameter file, or a mapping of its form; None: features/radiomics.yaml of the project.
    spacing_mm : mm
        Edge of a voxel: wavelets reach so many voxels, LoG filters so many mm.

    Returns
    -------
    float
        In mm; 0 without wavelets.

    Raises
    ------
    ParamsError
        "features_declared": `unknown setting pixelSpacing. Did you mean resampledPixelSpacing?`, and likewise for image types, feature classes, features and
        values.

    Examples
    --------
    >>> from penumbra.radiomics import periodic_margin_mm
    >>> periodic_margin_mm({"imageType": {"Original": {}}}), periodic_margin_mm({"imageType": {"Wavelet": {}}})
    (0.0, 4.0)
    """
    return load_settings(settings, engine="pyradiomics").wavelet_reach * spacing_mm
