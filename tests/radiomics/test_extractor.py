"""The extractor that takes PyRadiomics' place: the same columns and values from the same call, the diagnostics included."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal
from penumbra.radiomics import FeatureExtractor

pytest.importorskip("radiomics", reason="PyRadiomics is not installed: nothing to compare with")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyRadiomics reads its schema as Python 3.12 no longer does

VERSION = "diagnostics_Versions_PyRadiomics"
SOME = {"shape": [], "firstorder": [], "glcm": [], "glrlm": [], "glszm": [], "gldm": [], "ngtdm": []}
LIGHT = {"featureClass": {"firstorder": ["Mean"], "shape": ["VoxelVolume"]}}


def image_and_mask(spacing: tuple[float, float, float] = (0.9, 1.1, 2.5), seed: int = 0, kind: type = np.int16) -> tuple[sitk.Image, sitk.Image]:
    """A scan of noise with gradients, (24, 40, 44) voxels (z, y, x), in a turned frame, and a lumpy ROI of label 3 with a satellite of label 7."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((24, 40, 44))
    values = 300 * np.sin(x / 5) + 8 * y - 10 * z + rng.normal(0, 60, z.shape)
    inside = np.zeros(z.shape, dtype=np.uint8)
    inside[((z - 12) / 5) ** 2 + ((y - 19) / 8) ** 2 + ((x - 22) / 9) ** 2 + rng.normal(0, 0.15, z.shape) < 1] = 3
    inside[2:4, 3:6, 3:7] = 7
    image, mask = sitk.GetImageFromArray(values.astype(kind)), sitk.GetImageFromArray(inside)
    for part in (image, mask):
        part.SetSpacing(spacing)
        part.SetOrigin((-31.0, 12.5, 400.0))
        part.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    return image, mask


def reference(params: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """PyRadiomics' own extractor."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    return RadiomicsFeatureExtractor(dict(params), **settings)


def assert_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        if name == VERSION:
            assert ours[name].startswith("v3.0.1 (penumbra ")
        elif isinstance(value, str | dict):
            assert ours[name] == value, name
        else:
            assert np.shape(ours[name]) == np.shape(value), name
            np.testing.assert_allclose(np.array(ours[name], dtype=float), np.array(value, dtype=float), rtol=1e-9, atol=1e-9, err_msg=name)


CASES: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "defaults": ({"featureClass": SOME}, {}),
    "resampled": ({"featureClass": SOME, "setting": {"resampledPixelSpacing": [1.5, 1.5, 1.5], "interpolator": "sitkBSpline", "padDistance": 8}}, {}),
    "resampled in plane": ({"featureClass": SOME}, {"resampledPixelSpacing": [2, 2, 0], "interpolator": "sitkLinear"}),
    "to its own spacing": (LIGHT, {"resampledPixelSpacing": [0.9, 1.1, 2.5]}),
    "normalized, then resampled": (
        {**LIGHT, "setting": {"normalize": True, "normalizeScale": 100, "removeOutliers": 2, "resampledPixelSpacing": [2, 2, 2]}},
        {"binWidth": 5},
    ),
    "normalized": ({"featureClass": SOME, "setting": {"normalize": True, "normalizeScale": 100, "voxelArrayShift": 300}}, {"binWidth": 5}),
    "cropped first": ({"featureClass": SOME, "imageType": {"Original": {}, "LoG": {"sigma": [1.0]}}, "setting": {"preCrop": True, "padDistance": 6}}, {}),
    "filtered": ({"featureClass": {"firstorder": ["Mean", "Energy"], "glcm": ["Contrast"]}, "imageType": {"Wavelet": {}, "LoG": {"sigma": [1.0, 2]}}}, {}),
    "filtered, resampled": (
        {"featureClass": {"firstorder": ["Mean"], "gldm": []}, "imageType": {"Wavelet": {"binWidth": 10}, "LoG": {"sigma": [2.0]}}},
        {"resampledPixelSpacing": [1, 1, 1]},
    ),
    "resegmented": ({"featureClass": SOME, "setting": {"resegmentRange": [-100, 250]}}, {}),
    "resegmented with its shape": ({"featureClass": SOME, "setting": {"resegmentRange": [-1, 1], "resegmentMode": "sigma", "resegmentShape": True}}, {}),
    "a count of bins": ({"featureClass": SOME}, {"binCount": 32}),
    "without diagnostics": (LIGHT, {"additionalInfo": False}),
    "in planes, weighted by mm": ({"featureClass": SOME, "setting": {"force2D": True, "weightingNorm": "euclidean"}}, {"distances": [1, 2], "gldm_a": 1}),
    "pairs in one sense, weighted by mm": ({"featureClass": SOME}, {"symmetricalGLCM": False, "weightingNorm": "manhattan"}),
    "images by a formula, resampled": (
        {"featureClass": {"firstorder": [], "glcm": ["Id"]}, "imageType": {"Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {}, "Gradient": {}}},
        {"resampledPixelSpacing": [1.5, 1.5, 0]},
    ),
    "images by a formula": (
        {"featureClass": {"firstorder": [], "glcm": ["Id"]}, "imageType": {"Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {}, "Gradient": {}}},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", [np.int16, np.float32], ids=["int16", "float32"])
def test_the_values_columns_and_diagnostics_of_pyradiomics(name: str, kind: type) -> None:
    params, settings = CASES[name]
    image, mask = image_and_mask(kind=kind)
    theirs = reference(params, settings).execute(image, mask, label=3)
    assert_same(FeatureExtractor(params, **settings).execute(image, mask, label=3), theirs)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float64])
def test_other_types_of_voxels(kind: type) -> None:
    image, mask = image_and_mask(kind=np.float64)
    image = sitk.Cast(sitk.RescaleIntensity(image, 0, 255), sitk.GetImageFromArray(np.zeros((1, 1, 1), kind)).GetPixelID())
    params = {"featureClass": SOME, "imageType": {"Original": {}, "LoG": {"sigma": [1.5]}}}
    assert_same(FeatureExtractor(params).execute(image, mask, 3), reference(params, {}).execute(image, mask, 3))


def test_files_labels_and_channels(tmp_path: Path) -> None:
    image, mask = image_and_mask()
    sitk.WriteImage(image, str(tmp_path / "image.nrrd"))
    sitk.WriteImage(mask, str(tmp_path / "mask.nii.gz"))
    (tmp_path / "params.yaml").write_text("setting: {binWidth: 30, label: 7, geometryTolerance: 0.001}\nfeatureClass: {firstorder: }\n")
    ours, theirs = FeatureExtractor(tmp_path / "params.yaml"), reference({}, {})
    theirs.loadParams(str(tmp_path / "params.yaml"))
    paths = str(tmp_path / "image.nrrd"), str(tmp_path / "mask.nii.gz")
    assert_same(ours.execute(*paths), theirs.execute(*paths))
    assert_same(ours.execute(tmp_path / "image.nrrd", mask, label=3), theirs.execute(image, mask, label=3))
    several = sitk.Compose([sitk.Cast(mask == 7, sitk.sitkUInt8), sitk.Cast(mask == 3, sitk.sitkUInt8)])
    assert_same(ours.execute(image, several, label=1, label_channel=1), theirs.execute(image, several, label=1, label_channel=1))


def test_a_mask_on_another_grid() -> None:
    image, mask = image_and_mask()
    coarse = sitk.Resample(mask, [18, 20, 12], sitk.Transform(), sitk.sitkNearestNeighbor, mask.GetOrigin(), [2.2, 2.2, 5.0], mask.GetDirection())
    with pytest.raises(Refusal, match="mask and image differ in size"):
        FeatureExtractor(LIGHT).execute(image, coarse, 3)
    assert_same(
        FeatureExtractor(LIGHT, correctMask=True).execute(image, coarse, 3),
        reference(LIGHT, {"correctMask": True}).execute(image, coarse, 3),
    )
    mask.SetOrigin((-31.0, 12.5, 401.0))
    with pytest.raises(Refusal, match=r"origin by up to 1\. .*correctMask"):
        FeatureExtractor(LIGHT).execute(image, mask, 3)
    mask.SetOrigin((-31.0, 12.5, 4000.0))
    with pytest.raises(Refusal, match="the ROI reaches from voxel"):
        FeatureExtractor(LIGHT, correctMask=True).execute(image, mask, 3)


def test_what_scripts_call_before() -> None:
    image, mask = image_and_mask()
    extractors: list[Any] = [FeatureExtractor(binWidth=20), reference({}, {"binWidth": 20})]
    for extractor in extractors:
        extractor.disableAllFeatures()
        extractor.enableFeatureClassByName("shape")
        extractor.enableFeaturesByName(firstorder=["Mean", "Entropy"], glcm=[])
        extractor.enableImageTypeByName("LoG", customArgs={"sigma": [1.0]})
        extractor.enableImageTypeByName("Original", enabled=False)
        extractor.enableImageTypes(Wavelet={"wavelet": "haar"})
        extractor.addProvenance(False)
        extractor.settings["label"] = 3
    ours, theirs = extractors
    assert (ours.settings, ours.enabledImagetypes, ours.enabledFeatures) == (theirs.settings, theirs.enabledImagetypes, theirs.enabledFeatures)
    assert_same(ours.execute(image, mask), theirs.execute(image, mask))
    for extractor in extractors:
        extractor.disableAllImageTypes()
        extractor.loadJSONParams(json.dumps({**LIGHT, "setting": {"label": 7}}))
    assert_same(ours.execute(image, mask), theirs.execute(image, mask))
    ours.disableAllImageTypes()
    assert [name for name in ours.execute(image, mask) if not name.startswith("diagnostics")] == ["original_shape_VoxelVolume"]


@pytest.mark.parametrize(
    ("params", "settings", "says"),
    [
        ({"setting": {"binWith": 25}}, {}, "unknown setting binWith. Did you mean binWidth?"),
        ({}, {"level": 2}, r'does not offer level = 2. Use FeatureExtractor\(..., engine="pyradiomics"\)'),
        ({"imageType": {"Wavelet": {"start_level": 1}}}, {}, "does not offer start_level = 1"),
        ({"featureClass": {"shape2D": []}}, {}, "unknown feature class shape2D"),
    ],
)
def test_a_setting_that_is_not_there_is_named(params: Mapping[str, Any], settings: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        FeatureExtractor(params, **settings)


def test_the_reference_engine_has_the_others() -> None:
    image, mask = image_and_mask()
    params = {"imageType": {"Wavelet": {"level": 2}}, "featureClass": {"firstorder": ["Mean"]}}
    assert dict(FeatureExtractor(params, engine="pyradiomics").execute(image, mask, 3)) == dict(reference(params, {}).execute(image, mask, 3))
    with pytest.raises(ParamsError, match="feature maps"):
        FeatureExtractor(LIGHT).execute(image, mask, 3, voxelBased=True)


def test_what_is_no_image_is_refused_without_its_path(tmp_path: Path) -> None:
    image, mask = image_and_mask()
    (tmp_path / "MILLER^ANNA.nrrd").write_text("no image")
    for source, says in (
        (tmp_path / "MILLER^ANNA.nrrd", "cannot read the file given as image"),
        (str(tmp_path / "nowhere.nrrd"), "no file at the path given as image"),
        (np.zeros((3, 3, 3)), "the image is a ndarray"),
        (sitk.Image([4, 4], sitk.sitkInt16), "2 dimensions"),
    ):
        with pytest.raises(Refusal, match=says) as error:
            FeatureExtractor(LIGHT).execute(source, mask, 3)
        assert "MILLER" not in str(error.value)
    with pytest.raises(Refusal, match=r"no voxel of label 2\. Labels of this mask: 3, 7"):
        FeatureExtractor(LIGHT).execute(image, mask, 2)
    with pytest.raises(Refusal, match="label_channel is 2, and the mask has 2 channels"):
        FeatureExtractor(LIGHT).execute(image, sitk.Compose([mask, mask]), 3, label_channel=2)
    with pytest.raises(Refusal, match="Give three numbers in mm"):
        FeatureExtractor(LIGHT, resampledPixelSpacing=[1, 1]).execute(image, mask, 3)
