"""Other parameter files than the project's: PyRadiomics' own values from the whole image, or a refusal that says what to do; never another value."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal
from penumbra.bench.plain import plain_pyradiomics
from penumbra.imaging.grid import to_grid
from penumbra.imaging.saved import load_scan, save_scan
from penumbra.imaging.volume import Mask, Moments, Scan, Volume
from penumbra.radiomics import extract, feature_names, required_margin_mm
from penumbra.radiomics.neighborhood import NORMS

from .conftest import blob, simulated_image

SHAPE, SPACING = (22, 27, 25), (1.0, 1.0, 1.0)
GTV = Mask(blob(SHAPE, (11, 13, 12), 7.0, seed=5), SPACING)
WHOLE = simulated_image(SHAPE, seed=11)
PROJECT: dict[str, Any] = {
    "setting": {"normalize": True, "normalizeScale": 100, "binWidth": 25},
    "imageType": {"Original": {}, "Wavelet": {"wavelet": "coif1"}, "LoG": {"sigma": [1.0]}},
    "featureClass": {"shape": [], "firstorder": [], "glcm": ["JointEnergy", "Id"], "glrlm": ["RunEntropy"], "glszm": [], "gldm": [], "ngtdm": []},
}


def changed(*, images: dict[str, Any] | None = None, classes: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    parameters = copy.deepcopy(PROJECT)
    parameters["setting"] |= settings
    if images is not None:
        parameters["imageType"] = images
    if classes is not None:
        parameters["featureClass"] = classes
    return parameters


TEXTURE: dict[str, Any] = {"firstorder": ["Energy"], "glcm": [], "glrlm": [], "glszm": [], "gldm": [], "ngtdm": []}


SAME = {
    "another width and scale": changed(binWidth=0.7, normalizeScale=2.5),
    "a count of bins": changed(binCount=32),  # whole HU lie on the edges of the bins: the last bit of the normalization decides
    "bins image by image": changed(images={"Original": {"binCount": 9}, "LoG": {"sigma": [2, 1.5], "binWidth": 5}}),
    "a wavelet of two taps": changed(images={"Wavelet": {"wavelet": "haar"}}),
    "a wavelet of forty taps": changed(images={"Original": {}, "Wavelet": {"wavelet": "db20"}}),
    "not normalized": changed(normalize=False, voxelArrayShift=1000),
    "outliers cut": changed(removeOutliers=2),
    "resegmented by sigma": changed(resegmentRange=[-1.5, 1.5], resegmentMode="sigma"),
    "resegmented by range, and its shape": changed(resegmentRange=[120, -80], resegmentShape=True),
    "resegmented by the highest value": changed(resegmentRange=[0.1], resegmentMode="relative"),
    "settings without effect": changed(interpolator="sitkLinear", padDistance=10, label=1, additionalInfo=True, resampledPixelSpacing=None, distances=[1]),
    "features called deprecated": changed(classes={"shape": ["Compactness1", "Compactness2", "SphericalDisproportion"], "firstorder": ["StandardDeviation"]}),
    "nothing but a width": {"setting": {"binWidth": 25}},
    "texture in planes": changed(classes=TEXTURE, force2D=True, binWidth=5),
    "texture across x": changed(classes=TEXTURE, images={"Original": {}}, force2D=True, force2Ddimension=2, minimumROIDimensions=1),
    "wavelets in planes across y": changed(images={"Wavelet": {"wavelet": "haar", "force2D": True, "force2Ddimension": 1}, "Original": {}}),
    "neighbors farther away": changed(classes=TEXTURE, images={"Original": {}}, distances=[3, 1]),
    "neighbors two voxels away, in planes": changed(classes=TEXTURE, images={"Original": {}}, distances=[2], force2D=True),
    "dependence of unlike levels": changed(classes=TEXTURE, images={"Original": {}}, gldm_a=2, binWidth=5),
    "pairs in one sense": changed(classes=TEXTURE, images={"Original": {"binWidth": 5}, "LoG": {"sigma": [1.0]}}, symmetricalGLCM=False),
    "pairs in one sense, weighted": changed(classes=TEXTURE, images={"Original": {}}, symmetricalGLCM=False, weightingNorm="euclidean", distances=[1, 2]),
    **{f"weighted: {norm}": changed(classes=TEXTURE, images={"Original": {}}, weightingNorm=norm) for norm in NORMS},
    "functions of a voxel": changed(images={"Square": {}, "SquareRoot": {"binWidth": 5}, "Logarithm": {}, "Exponential": {}}),
    "functions of HU": changed(normalize=False, images={"Exponential": {}, "Logarithm": {}, "Square": {}, "SquareRoot": {}}),
    "a gradient": changed(images={"Gradient": {}, "Original": {}}),
    "a gradient of HU in voxels": changed(normalize=False, images={"Gradient": {"gradientUseSpacing": False}}),
}


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("name", SAME)
def test_value_of_pyradiomics(name: str, kind: type, tmp_path: Path) -> None:
    parameter_file = tmp_path / "parameters.yaml"
    parameter_file.write_text(yaml.safe_dump(SAME[name], sort_keys=False), encoding="utf-8")
    image = WHOLE.astype(kind) + (np.float32(0.3) if kind is np.float32 else kind(0))
    scan = Scan(Volume(image, SPACING), GTV)
    ours = extract(scan, {"gtv": GTV}, parameter_file)["gtv"]
    theirs = plain_pyradiomics(scan, {"gtv": GTV}, parameter_file)["gtv"]
    assert tuple(ours) == tuple(theirs) == feature_names(parameter_file)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


ONLY_PYRADIOMICS = {
    "level = 2": changed(images={"Wavelet": {"level": 2}}),
    "start_level = 1": changed(images={"Wavelet": {"start_level": 1}}),
    "preCrop = True": changed(preCrop=True),
    "resampledPixelSpacing = [2, 2, 2]": changed(resampledPixelSpacing=[2, 2, 2]),
}


@pytest.mark.parametrize("name", ONLY_PYRADIOMICS)
def test_what_the_engine_penumbra_does_not_offer(name: str, tmp_path: Path) -> None:
    settings, scan = ONLY_PYRADIOMICS[name], Scan(Volume(WHOLE, SPACING), GTV)
    with pytest.raises(ParamsError, match=r"does not offer .*engine: pyradiomics") as refused:
        extract(scan, {"gtv": GTV}, settings)
    assert name in str(refused.value)
    with pytest.raises(ParamsError, match="does not offer"):
        feature_names(settings)
    parameter_file = tmp_path / "parameters.yaml"
    parameter_file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    found = extract(scan, {"gtv": GTV}, parameter_file, engine="pyradiomics")["gtv"]
    assert tuple(found) == feature_names(settings, engine="pyradiomics")
    assert found == pytest.approx(plain_pyradiomics(scan, {"gtv": GTV}, parameter_file)["gtv"], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("engine", ["penumbra", "pyradiomics"])
def test_a_crop_does_not_know_the_largest_value_of_the_whole(engine: str) -> None:
    scan = Scan(Volume(WHOLE, SPACING), GTV, Moments(-400.0, 480.0, 10**8))
    with pytest.raises(Refusal, match=r"gtv: the image square is scaled by the largest value.*\(rule whole_image\)"):
        extract(scan, {"gtv": GTV}, changed(images={"Original": {}, "Square": {}}), engine=engine)


SPACED: dict[str, Any] = {"setting": {"normalize": True, "normalizeScale": 100, "binWidth": 25}, "imageType": {"Original": {}}}
SPACED["featureClass"] = {"shape": [], "firstorder": [], "glcm": ["Id"], "glszm": []}


@pytest.mark.parametrize("spacing", [[2, 2, 2], [3, 1.5, 0], [0.7, 2.5, 1.1]])
def test_resampling_a_crop_gives_the_features_of_the_whole(spacing: list[float], tmp_path: Path) -> None:
    """A crop that keeps the required margin, from wherever it starts; also after it was saved."""
    shape = (86, 91, 95)
    gtv = Mask(blob(shape, (44, 46, 47), 4.0, seed=5), SPACING)
    scan = Scan(Volume(simulated_image(shape, seed=7), SPACING), gtv, source="nifti")
    settings = {**SPACED, "setting": {**SPACED["setting"], "resampledPixelSpacing": spacing, "padDistance": 2}}
    right = extract(scan, {"gtv": gtv}, settings, engine="pyradiomics")["gtv"]
    crop = to_grid(scan, margin_mm=required_margin_mm(settings))
    assert crop.cropped
    assert crop.offset is not None
    assert all(start > 0 for start in crop.offset)
    save_scan(crop, tmp_path / "scan")
    for one in (crop, load_scan(tmp_path / "scan")):
        assert extract(one, {"gtv": one.gtv}, settings, engine="pyradiomics")["gtv"] == pytest.approx(right, rel=1e-6, abs=1e-9)
    with pytest.raises(Refusal, match=r"gtv: resampledPixelSpacing starts its grid at the corner of the whole image.*\(rule whole_image\)"):
        extract(replace(crop, offset=None), {"gtv": crop.gtv}, settings, engine="pyradiomics")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (changed(pixelSpacing=1), "unknown setting pixelSpacing\\. Did you mean resampledPixelSpacing\\?"),
        (changed(images={"LBP3D": {}}), "unknown image type LBP3D"),
        (changed(images={"Wavelet": {"wavelet": "coif99"}}), "unknown wavelet 'coif99'"),
        (changed(images={"LoG": {}}), "sigma of LoG is empty. Give a list"),
        (changed(images={"LoG": {"sigma": 2.0}}), "sigma of LoG is 2. Give a list"),
        (changed(images={"LoG": {"sigma": [0]}}), "sigma must be a number above 0"),
        (changed(classes={"shape2D": []}), "unknown feature class shape2D"),
        (changed(classes={"glcm": ["Homogeneity1"]}), "unknown feature of glcm Homogeneity1"),
        (changed(classes={"glcm": "JointEnergy"}), "Give a list of features"),
        (changed(binCount=32.5), "binCount must be a whole number"),
        (changed(normalize="no"), "normalize must be true or false"),
        (changed(resegmentRange=[1, 2, 3]), "one or two numbers"),
        (changed(resegmentRange=[-1, 1], resegmentMode="sd"), "absolute, relative or sigma"),
        (changed(voxelArrayShift="300"), "voxelArrayShift must be a number"),
        (changed(weightingNorm="euclid"), "unknown weightingNorm 'euclid'. Did you mean euclidean"),
        (changed(force2D=1), "force2D must be true or false; found 1"),
        (changed(force2D=True, force2Ddimension=3), "force2Ddimension must be 0, 1 or 2; found 3"),
        (changed(distances=[0]), "distances must be a list of whole numbers above 0"),
        (changed(gldm_a=0.5), "gldm_a must be a whole number"),
        (changed(images={"Gradient": {"gradientUseSpacing": "no"}}), "gradientUseSpacing must be true or false"),
    ],
)
def test_a_mistake_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        extract(Scan(Volume(WHOLE, SPACING), GTV), {"gtv": GTV}, settings)


@pytest.mark.parametrize("engine", ["penumbra", "pyradiomics"])
def test_resegmentation_that_leaves_nothing(engine: str) -> None:
    with pytest.raises(Refusal, match="gtv"):
        extract(Scan(Volume(WHOLE, SPACING), GTV), {"gtv": GTV}, changed(resegmentRange=[1e6]), engine=engine)


def test_a_long_wavelet_asks_for_more_of_the_image() -> None:
    assert required_margin_mm(changed(images={"Wavelet": {"wavelet": "db20"}})) == 21.0
    assert required_margin_mm(changed(images={"Wavelet": {"wavelet": "db20"}}), spacing_mm=2.0) == 42.0


def test_normalization_is_itks_to_the_last_bit() -> None:
    import SimpleITK as sitk

    from penumbra.radiomics.region import normalization, normalize
    from penumbra.radiomics.settings import load_settings

    settings = load_settings(changed(normalizeScale=1))
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    for image in (WHOLE, WHOLE.astype(np.float32) + np.float32(0.3)):
        theirs = sitk.GetArrayFromImage(sitk.Normalize(sitk.GetImageFromArray(image)))
        known = Moments(float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64)), image.size)
        np.testing.assert_array_equal(normalize(image, normalization(Scan(Volume(image, SPACING), GTV), settings)), theirs)
        if image.dtype == np.int16:  # the moments that a crop carries say the same
            np.testing.assert_array_equal(normalize(image, normalization(Scan(Volume(image, SPACING), GTV, known), settings)), theirs)
