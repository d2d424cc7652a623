"""A PyRadiomics parameter file as one frozen value: which images, which features, which numbers."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.base.params import ParamsError, project_root, read_yaml
from penumbra.base.refusal import choose
from penumbra.base.yaml_files import in_file, shown, wrong
from penumbra.radiomics.names import DEPRECATED, FEATURES, wavelet_images
from penumbra.radiomics.neighborhood import USUAL, Neighborhood, neighborhood

RULE = "features_declared"
# Beyond this many sigma the recursive Gaussian's impulse response, exp(-1.37 distance / sigma), is under the resolution of the 32-bit floats in which
# the LoG image is kept: a wider crop changes no value by more than a rounding.
LOG_MARGIN_SIGMAS = 12.0
# What a crop keeps at least; more than half of most wavelets' filters.
MIN_MARGIN_VOXELS = 8


@dataclass(frozen=True)
class ImageType:
    """One image that features are measured on: its name in feature names, how it is made, and how its values are binned."""

    name: str
    kind: str  # original, wavelet, log or one of FILTERED; pyradiomics: an image that PyRadiomics alone makes
    bin_width: float
    bin_count: int | None = None  # this many bins between lowest and highest, instead of the width
    array_shift: float = 0.0  # added to every value before it is squared for an energy
    band: str = ""  # of a wavelet image, letters x, y, z
    wavelet: str = ""
    sigma_mm: float = 0.0
    per_mm: bool = True  # a gradient; False: per voxel
    neighborhood: Neighborhood = USUAL  # of texture on it, and the plane of its wavelet


@dataclass(frozen=True)
class Resegmentation:
    """Leaves out voxels below the first threshold and, where there are two, above the second; thresholds in the units of the normalized image.

    Parameters
    ----------
    mode
        "absolute"; "relative": times the highest value of the ROI; "sigma": standard deviations of the ROI from its mean.
    shape
        Whether the shape is that of what is left.
    """

    thresholds: tuple[float, ...]
    mode: str
    shape: bool


@dataclass(frozen=True)
class Settings:
    """What a PyRadiomics parameter file says, checked.

    Parameters
    ----------
    raw
        The file's own mapping, for PyRadiomics itself.
    wavelet_reach
        Voxels around an ROI that decide its wavelet images.
    only_pyradiomics
        What of it the own engine does not offer; empty for most files.
    """

    raw: Mapping[str, Any]
    normalize: bool
    normalize_scale: float
    remove_outliers: float | None
    minimum_dimensions: int
    minimum_size: int
    resegmentation: Resegmentation | None
    images: tuple[ImageType, ...]
    features: Mapping[str, tuple[str, ...]]
    wavelet_reach: int
    only_pyradiomics: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The feature names, in the order in which PyRadiomics gives them: shape, then image after image."""
        shape = [f"original_shape_{feature}" for feature in self.features.get("shape", ())]
        filtered = [
            f"{image.name}_{family}_{feature}"
            for image in self.images
            for family, features in self.features.items()
            if family != "shape"
            for feature in features
        ]
        return (*shape, *filtered)

    @property
    def log_margin_mm(self) -> float:
        return LOG_MARGIN_SIGMAS * max((image.sigma_mm for image in self.images), default=0.0)

    @property
    def margin_voxels(self) -> int:
        """What the wavelets need around an ROI, at least MIN_MARGIN_VOXELS."""
        return max(MIN_MARGIN_VOXELS, self.wavelet_reach)


# Settings of PyRadiomics that both engines obey.
OBEYED = frozenset({"normalize", "normalizeScale", "removeOutliers", "binWidth", "binCount", "minimumROIDimensions", "minimumROISize", "sigma", "wavelet"})
OBEYED |= {"voxelArrayShift", "resegmentRange", "resegmentMode", "resegmentShape", "gradientUseSpacing"}
OBEYED |= {"force2D", "force2Ddimension", "distances", "weightingNorm", "symmetricalGLCM", "gldm_a"}
# Settings that decide nothing: of reading a mask, of notes in the result, or of something else in this file that the own engine does not offer.
WITHOUT_EFFECT = frozenset({"label", "label_channel", "additionalInfo", "geometryTolerance", "correctMask"})
WITHOUT_EFFECT |= {"interpolator", "padDistance"}
# Settings that PyRadiomics alone obeys, with the value at which they do nothing.
NEUTRAL: dict[str, Any] = {
    "resampledPixelSpacing": None,
    "preCrop": False,
    "level": 1,
    "start_level": 0,
}
SETTINGS = OBEYED | WITHOUT_EFFECT | NEUTRAL.keys()
# LBP2D and LBP3D need packages that are not installed, and PyRadiomics silently leaves them out.
FILTERED = {"Square": "square", "SquareRoot": "squareroot", "Logarithm": "logarithm", "Exponential": "exponential", "Gradient": "gradient"}
IMAGE_TYPES = ("Original", "Wavelet", "LoG", *FILTERED)


def load_settings(settings: Path | str | Mapping[str, Any] | None = None, *, engine: str = "penumbra") -> Settings:
    """The settings in a PyRadiomics parameter file, or in a mapping of the same form.

    Parameters
    ----------
    settings
        None: features/radiomics.yaml of the project.
    engine
        Which engine has to follow them.

    Raises
    ------
    ParamsError
        "features_declared": `unknown setting pixelSpacing. Did you mean resampledPixelSpacing?`, and likewise for image types, feature classes, features
        and values; `the engine penumbra does not offer level = 2. ...`.
    """
    if settings is None:
        settings = project_root() / "features" / "radiomics.yaml"
    if isinstance(settings, Mapping):
        return _loaded(settings, engine)
    with in_file(Path(settings)):
        return _loaded(read_yaml(Path(settings)), engine)


def _loaded(raw: Mapping[str, Any], engine: str) -> Settings:
    _only(raw, ("setting", "imageType", "featureClass", "voxelSetting"), "section", "")
    values = _mapping(raw.get("setting"), "setting")
    enabled = _mapping(raw.get("imageType"), "imageType") or {"Original": {}}
    _only(values, SETTINGS, "setting", "setting")
    _only(enabled, IMAGE_TYPES, "image type", "imageType")
    each = {kind: {**values, **_mapping(options, f"imageType.{kind}")} for kind, options in enabled.items()}
    for kind, options in each.items():
        _only(options, SETTINGS, f"setting of {kind}", f"imageType.{kind}")
    features = _features(raw)
    outliers, size = values.get("removeOutliers"), values.get("minimumROISize")
    loaded = Settings(
        raw={"setting": values, "imageType": enabled, "featureClass": features},
        normalize=_flag(values.get("normalize", False), "normalize"),
        normalize_scale=_positive(values.get("normalizeScale", 1), "normalizeScale"),
        remove_outliers=None if outliers is None else _positive(outliers, "removeOutliers"),
        minimum_dimensions=_count(values.get("minimumROIDimensions", 2), "minimumROIDimensions"),
        minimum_size=0 if size is None else _count(size, "minimumROISize"),
        resegmentation=_resegmentation(values),
        images=tuple(image for kind, options in each.items() for image in _images(kind, options)),
        features={family: tuple(listed) for family, listed in features.items()},
        wavelet_reach=_wavelet_reach(each["Wavelet"]) if "Wavelet" in each else 0,
        only_pyradiomics=tuple(dict.fromkeys(_only_pyradiomics(each))),
    )
    if engine == "penumbra" and loaded.only_pyradiomics:
        raise ParamsError(
            RULE,
            f"features/radiomics.yaml: the engine penumbra does not offer {' or '.join(loaded.only_pyradiomics)}",
            "Set populate.engine: pyradiomics in params.yaml, or leave it out of features/radiomics.yaml",
        )
    return loaded


def feature_names(settings: Path | str | Mapping[str, Any] | None = None, *, engine: str = "penumbra") -> tuple[str, ...]:
    """List the names of all features that `extract` gives for every ROI, without extracting.

    Parameters
    ----------
    settings
        A PyRadiomics parameter file, or a mapping of its form; None: features/radiomics.yaml of the project.
    engine
        "penumbra" or "pyradiomics": the one that has to follow the settings.

    Returns
    -------
    tuple
        In a stable order.

    Raises
    ------
    ParamsError
        "features_declared": `unknown setting pixelSpacing. Did you mean resampledPixelSpacing?`, and likewise for image types, feature classes, features and
        values.

    Examples
    --------
    >>> from penumbra.radiomics import feature_names
    >>> feature_names({"featureClass": {"firstorder": ["Mean", "Energy"]}})
    ('original_firstorder_Mean', 'original_firstorder_Energy')
    >>> len(feature_names())
    1316
    """
    return load_settings(settings, engine=engine).names


def _features(raw: Mapping[str, Any]) -> dict[str, list[str]]:
    # without a list PyRadiomics takes its classes in the order of the alphabet
    enabled = _mapping(raw.get("featureClass"), "featureClass") or dict.fromkeys(sorted(FEATURES))
    _only(enabled, FEATURES, "feature class", "featureClass")
    selection = {}
    for family, listed in enabled.items():
        if listed is not None and not isinstance(listed, list | tuple):
            raise _wrong(f"featureClass.{family}", f"featureClass.{family} is {shown(listed)}", "Give a list of features, empty for all")
        strange = [each for each in listed or () if not isinstance(each, str)]
        if strange:
            raise _wrong(f"featureClass.{family}", f"featureClass.{family} holds {shown(strange[0])}", "Give names of features")
        _only(dict.fromkeys(listed or ()), (*FEATURES[family], *DEPRECATED.get(family, ())), f"feature of {family}", f"featureClass.{family}")
        selection[family] = list(dict.fromkeys(listed or FEATURES[family]))
    return selection


def _images(kind: str, options: Mapping[str, Any]) -> Iterator[ImageType]:
    width = _positive(options.get("binWidth", 25), "binWidth")
    count = None if options.get("binCount") is None else _count(options["binCount"], "binCount")
    shift = options.get("voxelArrayShift", 0)
    if isinstance(shift, bool) or not isinstance(shift, int | float) or not math.isfinite(shift):
        raise _must("voxelArrayShift", "a number", shift)
    near = neighborhood(options, RULE)
    binned: dict[str, Any] = {"bin_width": width, "bin_count": count, "array_shift": float(shift), "neighborhood": near}
    if kind == "Original":
        yield ImageType("original", "original", **binned)
    elif kind == "Wavelet":
        wavelet, level = str(options.get("wavelet", "coif1")), _count(options.get("level", 1), "level")
        plain = level == 1 and options.get("start_level", 0) == 0
        for name, band in wavelet_images(level, axes=3 if near.across is None else 2):
            yield ImageType(name, "wavelet" if plain else "pyradiomics", **binned, band=band, wavelet=wavelet)
    elif kind == "LoG":
        sigmas = options.get("sigma")
        if not isinstance(sigmas, list | tuple) or not sigmas:
            raise _wrong("imageType.LoG", f"sigma of LoG is {shown(sigmas)}", "Give a list of widths in mm, such as sigma: [1.0, 2.0]")
        # PyRadiomics writes sigma as YAML gave it: 1.0 becomes log-sigma-1-0-mm-3D, 1 becomes log-sigma-1-mm-3D.
        for sigma in dict.fromkeys(sigmas):
            yield ImageType(f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D", "log", **binned, sigma_mm=_positive(sigma, "sigma"))
    else:
        per_mm = _flag(options.get("gradientUseSpacing", True), "gradientUseSpacing")
        yield ImageType(FILTERED[kind], FILTERED[kind], **binned, per_mm=per_mm)


def _wavelet_reach(options: Mapping[str, Any]) -> int:
    import pywt

    wavelet = options.get("wavelet", "coif1")
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise _wrong("imageType.Wavelet.wavelet", f"unknown wavelet {shown(wavelet)}", choose(str(wavelet), pywt.wavelist(kind="discrete")))
    levels = _count(options.get("level", 1), "level") + int(options.get("start_level", 0))
    return int(levels * (pywt.Wavelet(wavelet).dec_len // 2) + 1)  # one more where an odd axis is made even


def _only_pyradiomics(each: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for options in each.values():
        for name, neutral in NEUTRAL.items():
            if options.get(name, neutral) != neutral:
                yield f"{name} = {options[name]}"


def _resegmentation(values: Mapping[str, Any]) -> Resegmentation | None:
    thresholds, mode = values.get("resegmentRange"), values.get("resegmentMode", "absolute")
    if mode not in ("absolute", "relative", "sigma"):
        raise _must("resegmentMode", "absolute, relative or sigma", mode)
    shape = _flag(values.get("resegmentShape", False), "resegmentShape")
    if thresholds is None:
        return None
    numbers = isinstance(thresholds, list | tuple) and all(isinstance(t, int | float) and not isinstance(t, bool) for t in thresholds)
    if not numbers or len(thresholds) not in (1, 2):
        raise _must("resegmentRange", "one or two numbers", thresholds)
    return Resegmentation(tuple(sorted(thresholds)), mode, shape)


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0 or not math.isfinite(value):
        raise _must(name, "a number above 0", value)
    return float(value)


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _must(name, "a whole number above 0", value)
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise _must(name, "true or false", value)
    return value


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise _must(name, "a mapping of names to values", value)
    return dict(value or {})


def _only(names: Mapping[str, Any], accepted: Iterable[str], what: str, where: str) -> None:
    unknown = sorted(str(name) for name in set(names) - set(accepted))
    if unknown:
        raise _wrong(f"{where}.{unknown[0]}".lstrip("."), f"unknown {what} {unknown[0]}", choose(unknown[0], sorted(accepted)))


def _must(name: str, kind: str, value: Any) -> ParamsError:
    key = name if "." in name or name in ("setting", "imageType", "featureClass") else "imageType.LoG.sigma" if name == "sigma" else f"setting.{name}"
    return _wrong(key, f"{name} must be {kind}; found {shown(value)}", f"Correct {name}")


def _wrong(key: str, fault: str, advice: str) -> ParamsError:
    return wrong(key, fault, advice, RULE)
