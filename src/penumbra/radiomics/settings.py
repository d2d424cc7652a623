"""A PyRadiomics parameter file as one frozen value: which images, which features, which numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.params import ParamsError, project_root, read_yaml
from penumbra.radiomics.names import FEATURES, WAVELET_BANDS

# Beyond this many sigma the recursive Gaussian's impulse response, exp(-1.37 distance / sigma), is under the resolution of the 32-bit floats in which
# the LoG image is kept: a wider crop changes no value by more than a rounding.
LOG_MARGIN_SIGMAS = 12.0
# Half the length of the longest filter offered, plus one voxel of wrap.
WAVELET_MARGIN_VOXELS = 8


@dataclass(frozen=True)
class ImageType:
    """One image that features are measured on: its name in feature names, how it is made, and the width of its bins."""

    name: str
    kind: str  # original, wavelet or log
    bin_width: float
    band: str = ""  # of a wavelet image, letters x, y, z
    wavelet: str = ""
    sigma_mm: float = 0.0


@dataclass(frozen=True)
class Settings:
    """What a PyRadiomics parameter file says, checked; `raw` is the file's own mapping, for PyRadiomics itself."""

    raw: Mapping[str, Any]
    normalize: bool
    normalize_scale: float
    remove_outliers: float | None
    minimum_dimensions: int
    minimum_size: int
    images: tuple[ImageType, ...]
    features: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The feature names, in the order in which PyRadiomics gives them: shape, then image after image."""
        shape = [f"original_shape_{feature}" for feature in self.features.get("shape", ())]
        rest = [
            f"{image.name}_{family}_{feature}"
            for image in self.images
            for family, features in self.features.items()
            if family != "shape"
            for feature in features
        ]
        return (*shape, *rest)

    @property
    def log_margin_mm(self) -> float:
        return LOG_MARGIN_SIGMAS * max((image.sigma_mm for image in self.images), default=0.0)


# Settings that both engines obey; everything else in a parameter file must be left at PyRadiomics' default.
KNOWN = frozenset(
    {
        "normalize",
        "normalizeScale",
        "removeOutliers",
        "binWidth",
        "minimumROIDimensions",
        "minimumROISize",
        "label",
        "additionalInfo",
        "sigma",
        "wavelet",
    }
)
IMAGE_TYPES = ("Original", "Wavelet", "LoG")


def load_settings(settings: Path | str | Mapping[str, Any] | None = None) -> Settings:
    """The settings in a PyRadiomics parameter file, or in a mapping of the same form.

    settings    None: features/radiomics.yaml of the project.

    Raises ParamsError: `unknown setting resampledPixelSpacing; known: ...`, and likewise for image types, feature classes and features.
    """
    if settings is None:
        settings = project_root() / "features" / "radiomics.yaml"
    raw: Mapping[str, Any] = settings if isinstance(settings, Mapping) else read_yaml(Path(settings))
    _only(raw, {"setting", "imageType", "featureClass"}, "section")
    values = dict(raw.get("setting") or {})
    _only(values, KNOWN, "setting")
    outliers = values.get("removeOutliers")
    return Settings(
        raw={"setting": values, "imageType": dict(raw.get("imageType") or {"Original": {}}), "featureClass": _features(raw)},
        normalize=bool(values.get("normalize", False)),
        normalize_scale=_positive(values.get("normalizeScale", 1), "normalizeScale"),
        remove_outliers=None if outliers is None else _positive(outliers, "removeOutliers"),
        minimum_dimensions=int(values.get("minimumROIDimensions", 2)),
        minimum_size=int(values.get("minimumROISize") or 0),
        images=tuple(_images(raw.get("imageType") or {"Original": {}}, values)),
        features={family: tuple(listed) for family, listed in _features(raw).items()},
    )


def feature_names(settings: Path | str | Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The names of all features that `extract` gives for every ROI, in a stable order, without extracting.

    settings    as in `load_settings`.
    """
    return load_settings(settings).names


def required_margin_mm(settings: Path | str | Mapping[str, Any] | None = None) -> float:
    """How many mm of image around the outermost ROI a crop must keep, so that its features are those of the whole image.

    The widest LoG filter decides: LOG_MARGIN_SIGMAS of its sigma. Where the image itself ends earlier, the crop ends there.
    """
    loaded = load_settings(settings)
    return max(loaded.log_margin_mm, float(WAVELET_MARGIN_VOXELS))


def _features(raw: Mapping[str, Any]) -> dict[str, list[str]]:
    enabled = raw.get("featureClass") or dict.fromkeys(FEATURES)
    _only(enabled, FEATURES, "feature class")
    chosen = {}
    for family, listed in enabled.items():
        _only(dict.fromkeys(listed or ()), FEATURES[family], f"feature of {family}")
        chosen[family] = list(listed or FEATURES[family])
    return chosen


def _images(enabled: Mapping[str, Any], values: Mapping[str, Any]) -> list[ImageType]:
    _only(enabled, IMAGE_TYPES, "image type")
    images = []
    for kind, own in enabled.items():
        own = {**values, **(own or {})}
        _only(own, KNOWN, f"setting of {kind}")
        width = _positive(own.get("binWidth", 25), "binWidth")
        if kind == "Original":
            images.append(ImageType("original", "original", width))
        elif kind == "Wavelet":
            wavelet = str(own.get("wavelet", "coif1"))
            images += [ImageType(f"wavelet-{band}", "wavelet", width, band=band, wavelet=wavelet) for band in WAVELET_BANDS]
        else:
            # PyRadiomics writes sigma as YAML gave it: 1.0 becomes log-sigma-1-0-mm-3D, 1 becomes log-sigma-1-mm-3D.
            images += [
                ImageType(f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D", "log", width, sigma_mm=_positive(sigma, "sigma")) for sigma in own.get("sigma", ())
            ]
    return images


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0 or not math.isfinite(value):
        raise ParamsError(f"{name} must be a number above 0; found {value!r}")
    return float(value)


def _only(given: Mapping[str, Any], known: Any, what: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ParamsError(f"unknown {what} {unknown[0]}; known: {', '.join(sorted(known))}")
