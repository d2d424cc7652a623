"""1316 radiomic features for every ROI of a patient, value for value as PyRadiomics computes them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.radiomics.extraction import engine_version, extract, libraries, predicted_bytes
    from penumbra.radiomics.extractor import FeatureExtractor
    from penumbra.radiomics.margins import periodic_margin_mm, required_margin_mm
    from penumbra.radiomics.settings import feature_names

__all__ = ["FeatureExtractor", "engine_version", "extract", "feature_names", "libraries", "periodic_margin_mm", "predicted_bytes", "required_margin_mm"]

# The module is called extraction, not extract: a submodule of that name would hide the function.
_HOMES = {
    "FeatureExtractor": "extractor",
    "engine_version": "extraction",
    "extract": "extraction",
    "feature_names": "settings",
    "libraries": "extraction",
    "predicted_bytes": "extraction",
    "periodic_margin_mm": "margins",
    "required_margin_mm": "margins",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
