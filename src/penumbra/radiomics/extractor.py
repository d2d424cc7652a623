"""PyRadiomics' own call: an extractor that takes its parameter files and gives its columns, with the project's engine below."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from penumbra.base.extras import require
from penumbra.base.params import ParamsError, read_yaml
from penumbra.base.refusal import choose
from penumbra.base.yaml_files import in_file
from penumbra.radiomics.engine import extract_with_penumbra
from penumbra.radiomics.extraction import DEFAULT_ENGINE, ENGINES, REPRODUCED
from penumbra.radiomics.names import DEPRECATED, FEATURES
from penumbra.radiomics.settings import IMAGE_TYPES, Settings, load_settings

# What PyRadiomics sets where nothing is said, by its names.
DEFAULTS: dict[str, Any] = {
    "minimumROIDimensions": 2,
    "minimumROISize": None,
    "normalize": False,
    "normalizeScale": 1,
    "removeOutliers": None,
    "resampledPixelSpacing": None,
    "interpolator": "sitkBSpline",
    "preCrop": False,
    "padDistance": 5,
    "distances": [1],
    "force2D": False,
    "force2Ddimension": 0,
    "resegmentRange": None,
    "label": 1,
    "additionalInfo": True,
}
PREPARED = ("resampledPixelSpacing", "preCrop")  # done to image and mask before the engine has them
ELSEWHERE = 'Use FeatureExtractor(..., engine="pyradiomics"), or --engine pyradiomics'
VOXEL_BASED = frozenset({"kernelRadius", "maskedKernel", "initValue", "voxelBatch", "voxelBased"})  # of feature maps alone


class FeatureExtractor:
    """Takes the place of PyRadiomics' `RadiomicsFeatureExtractor` in a script, with the same names, parameter files and columns, and the same values.

    Parameters
    ----------
    params
        A parameter file of PyRadiomics (YAML or JSON), or a mapping of its form; None: every feature of the original image.
    engine
        "penumbra", or "pyradiomics" for PyRadiomics itself: for the settings that the project's engine does not have.
    **settings
        Settings by PyRadiomics' names, such as ``binWidth=25``; they override those of `params`.

    Attributes
    ----------
    settings : dict
        As PyRadiomics keeps them.
    enabledImagetypes : dict
        Image type -> its own settings.
    enabledFeatures : dict
        Feature class -> names; an empty list: all that are not deprecated.

    Raises
    ------
    ParamsError
        "features_declared": a section, setting, image type or feature is unknown.

    Notes
    -----
    PyRadiomics is not needed for it. Resampling (`resampledPixelSpacing`), `preCrop`, `correctMask`, labels and channels of a mask are done as PyRadiomics
    does them, by SimpleITK. docs/radiomics.md lists which other settings the engine has; the rest is refused by name.

    Examples
    --------
    >>> import numpy as np
    >>> import SimpleITK as sitk
    >>> from penumbra.radiomics import FeatureExtractor
    >>> rng = np.random.default_rng(0)
    >>> image = sitk.GetImageFromArray(rng.integers(-100, 100, (12, 12, 12)).astype(np.int16))
    >>> inside = np.zeros((12, 12, 12), dtype=np.uint8)
    >>> inside[4:8, 4:8, 4:8] = 1
    >>> extractor = FeatureExtractor({"featureClass": {"firstorder": ["Mean"]}}, binWidth=25)
    >>> features = extractor.execute(image, sitk.GetImageFromArray(inside))
    >>> features["diagnostics_Mask-original_VoxelNum"], round(features["original_firstorder_Mean"], 3)
    (64, 8.125)
    """

    def __init__(self, params: Mapping[str, Any] | str | PathLike[str] | None = None, *, engine: str = DEFAULT_ENGINE, **settings: Any) -> None:
        if engine not in ENGINES:
            raise ParamsError("parameters", f"unknown engine {engine!r}", choose(engine, sorted(ENGINES)))
        self.engine = engine
        self.settings: dict[str, Any] = dict(DEFAULTS)
        self.enabledImagetypes: dict[str, dict[str, Any]] = {"Original": {}}
        self.enabledFeatures: dict[str, list[str]] = {name: [] for name in sorted(FEATURES)}
        if params is not None:
            self._apply(params if isinstance(params, Mapping) else _file(Path(params)))
        self.settings.update(settings)
        self._checked()

    def execute(
        self, imageFilepath: Any, maskFilepath: Any, label: int | None = None, label_channel: int | None = None, voxelBased: bool = False
    ) -> dict[str, Any]:
        """Measure one ROI.

        Parameters
        ----------
        imageFilepath, maskFilepath
            Each a SimpleITK image of three dimensions, or the path of a file that SimpleITK reads.
        label
            Of the ROI in the mask; None: the setting `label`, which is 1 where nothing is said.
        label_channel
            Channel of a mask that has several.
        voxelBased
            Feature maps; only with ``engine="pyradiomics"``.

        Returns
        -------
        dict
            First what PyRadiomics tells about image and mask (`diagnostics_...`, unless `additionalInfo` is off), then the features; the order of both is
            PyRadiomics'. A feature without a value is NaN.

        Raises
        ------
        Refusal
            "image_readable", "three_dimensions", "mask_label", "mask_channel", "same_grid", "roi_in_image", "resampled_spacing", and those of
            `penumbra.radiomics.extract`.
        ParamsError
            A setting that this engine does not have; the message names the engine that has it.
        """
        values = dict(self.settings)
        values.update({name: value for name, value in (("label", label), ("label_channel", label_channel)) if value is not None})
        if self.engine != DEFAULT_ENGINE:
            return self._by_pyradiomics(imageFilepath, maskFilepath, values, voxelBased)
        if voxelBased:
            raise self._not_offered("feature maps (voxelBased)")
        from penumbra.radiomics.diagnostics import diagnostics
        from penumbra.radiomics.prepared import prepared

        ready = prepared(imageFilepath, maskFilepath, self._checked(), values)
        entries = diagnostics(ready, values, self.enabledImagetypes, REPRODUCED) if values.get("additionalInfo", False) else {}
        if not self.enabledFeatures:
            return entries
        roi = f"label {ready.label}"
        settings = ready.settings if self.enabledImagetypes else replace(ready.settings, images=())
        return {**entries, **extract_with_penumbra(ready.scan, {roi: ready.scan.gtv}, settings)[roi]}

    # What scripts call on PyRadiomics' extractor before they execute it.

    def loadParams(self, paramsFile: str | PathLike[str]) -> None:
        """Take another parameter file in place of what is set.

        Parameters
        ----------
        paramsFile
            YAML or JSON.
        """
        self._apply(_file(Path(paramsFile)))
        self._checked()

    def loadJSONParams(self, JSON_configuration: str) -> None:
        """Take the text of a parameter file in JSON in place of what is set.

        Parameters
        ----------
        JSON_configuration
            Sections setting, imageType and featureClass.
        """
        self._apply(json.loads(JSON_configuration))
        self._checked()

    def addProvenance(self, provenance_on: bool = True) -> None:
        """Switch the `diagnostics_` entries on or off.

        Parameters
        ----------
        provenance_on
            Whether they are given.
        """
        self.settings["additionalInfo"] = provenance_on

    def enableAllImageTypes(self) -> None:
        """Enable every image type, each without settings of its own; LoG needs its `sigma` in the settings then."""
        self.enabledImagetypes = {name: {} for name in IMAGE_TYPES}

    def disableAllImageTypes(self) -> None:
        """Enable no image type."""
        self.enabledImagetypes = {}

    def enableImageTypeByName(self, imageType: str, enabled: bool = True, customArgs: Mapping[str, Any] | None = None) -> None:
        """Switch one image type on, with settings of its own, or off.

        Parameters
        ----------
        imageType
            Such as LoG.
        enabled
            False: it is switched off.
        customArgs
            Its settings, by PyRadiomics' names.
        """
        _checked_name(imageType, IMAGE_TYPES, "image type")
        self.enabledImagetypes.pop(imageType, None) if not enabled else self.enabledImagetypes.update({imageType: dict(customArgs or {})})

    def enableImageTypes(self, **enabledImagetypes: Mapping[str, Any]) -> None:
        """Enable these, each with settings of its own, such as ``LoG={"sigma": [1.0]}``; others stay as they are.

        Parameters
        ----------
        **enabledImagetypes
            Image type -> its settings.
        """
        for name in enabledImagetypes:
            _checked_name(name, IMAGE_TYPES, "image type")
        self.enabledImagetypes.update({name: dict(values or {}) for name, values in enabledImagetypes.items()})

    def enableAllFeatures(self) -> None:
        """Enable all features of all classes that are not deprecated."""
        self.enabledFeatures = {name: [] for name in sorted(FEATURES)}

    def disableAllFeatures(self) -> None:
        """Enable no feature."""
        self.enabledFeatures = {}

    def enableFeatureClassByName(self, featureClass: str, enabled: bool = True) -> None:
        """Switch all features of one class on or off.

        Parameters
        ----------
        featureClass
            Such as glcm.
        enabled
            False: it is switched off.
        """
        _checked_name(featureClass, FEATURES, "feature class")
        self.enabledFeatures.pop(featureClass, None) if not enabled else self.enabledFeatures.update({featureClass: []})

    def enableFeaturesByName(self, **enabledFeatures: list[str]) -> None:
        """Enable these features, such as ``firstorder=["Mean"]``; other classes stay as they are.

        Parameters
        ----------
        **enabledFeatures
            Feature class -> names; an empty list: all that are not deprecated.
        """
        for name, features in enabledFeatures.items():
            _checked_name(name, FEATURES, "feature class")
            for feature in features or ():
                _checked_name(feature, (*FEATURES[name], *DEPRECATED.get(name, ())), f"feature of {name}")
        self.enabledFeatures.update({name: list(features or ()) for name, features in enabledFeatures.items()})

    def _apply(self, params: Mapping[str, Any]) -> None:
        load_settings({name: section for name, section in params.items() if name != "voxelSetting"}, engine="pyradiomics")  # names what is wrong in it
        self.settings = {**DEFAULTS, **(params.get("setting") or {}), **(params.get("voxelSetting") or {})}
        self.enabledImagetypes = {name: dict(values or {}) for name, values in (params.get("imageType") or {"Original": {}}).items()}
        self.enabledFeatures = {name: list(features or ()) for name, features in (params.get("featureClass") or dict.fromkeys(sorted(FEATURES))).items()}

    def _checked(self) -> Settings:
        """What the engine is to do, without what is done before it."""
        setting = {name: value for name, value in self.settings.items() if name not in VOXEL_BASED}
        if self.engine == DEFAULT_ENGINE:
            setting = {name: value for name, value in setting.items() if name not in PREPARED}
        loaded = load_settings({"setting": setting, "imageType": self.enabledImagetypes, "featureClass": self.enabledFeatures}, engine="pyradiomics")
        if self.engine == DEFAULT_ENGINE and loaded.only_pyradiomics:
            raise self._not_offered(" or ".join(loaded.only_pyradiomics))
        return loaded

    def _not_offered(self, what: str) -> ParamsError:
        return ParamsError("features_declared", f"the engine penumbra does not offer {what}", ELSEWHERE)

    def _by_pyradiomics(self, image: Any, mask: Any, values: Mapping[str, Any], voxel_based: bool) -> dict[str, Any]:
        require("radiomics")
        from radiomics.featureextractor import RadiomicsFeatureExtractor

        image, mask = (str(each) if isinstance(each, PathLike) else each for each in (image, mask))
        logging.getLogger("radiomics").setLevel(logging.CRITICAL)  # its warnings are about choices that the caller has made
        extractor = RadiomicsFeatureExtractor()
        extractor.settings = dict(values)
        extractor.enabledImagetypes, extractor.enabledFeatures = self.enabledImagetypes, self.enabledFeatures
        return dict(extractor.execute(image, mask, voxelBased=voxel_based))


def _file(path: Path) -> Mapping[str, Any]:
    with in_file(path):
        return read_yaml(path)  # JSON is YAML


def _checked_name(name: str, names: Any, what: str) -> None:
    if name not in names:
        raise ParamsError("features_declared", f"unknown {what} {name}", choose(name, sorted(names)))
