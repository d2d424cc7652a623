"""ROIs that break other tools: each gives the value that PyRadiomics gives, or a refusal with its reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra.base.params import ParamsError, read_yaml
from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Mask, Moments, Scan, Volume
from penumbra.radiomics import extract

from .conftest import blob, rings, simulated_image

SHAPE, SPACING = (26, 30, 33), (1.0, 1.0, 1.0)
FEW: dict[str, dict[str, Any]] = {
    "setting": {"normalize": True, "normalizeScale": 100, "binWidth": 25},
    "imageType": {"Original": {}, "Wavelet": {"wavelet": "coif1"}, "LoG": {"sigma": [2.0]}},
    "featureClass": dict.fromkeys(("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")),
}


def mask_of(*boxes: Any) -> Mask:
    inside = np.zeros(SHAPE, dtype=bool)
    for box in boxes:
        inside[box] = True
    return Mask(inside, SPACING)


CUBE = mask_of(np.s_[8:18, 9:19, 10:20])


def image(change: Callable[[np.ndarray], None] | None = None, kind: type = np.int16) -> Volume:
    values: np.ndarray = simulated_image(SHAPE, seed=7).astype(kind)
    if change is not None:
        change(values)
    return Volume(values, SPACING)


def flat(values: np.ndarray) -> None:
    values[7:19, 8:20, 9:21] = 55


def metal(values: np.ndarray) -> None:
    values[12, 11:15, 14] = 30000


MEASURED = {
    "one slice": (image(), mask_of(np.s_[12, 9:19, 10:22])),
    "one column of a slice wide": (image(), mask_of(np.s_[5:20, 12, 10:22])),
    "four voxels": (image(), mask_of(np.s_[12, 12:14, 12:14])),
    "constant intensity": (image(flat), CUBE),
    "constant slice": (image(flat), mask_of(np.s_[12, 9:19, 10:20])),
    "touching the border at the end of odd axes": (image(), mask_of(np.s_[14:26, 20:30, 20:33])),
    "touching the border at the start": (image(), mask_of(np.s_[0:9, 0:12, 0:11])),
    "two islands": (image(), mask_of(np.s_[3:8, 3:9, 3:9], np.s_[18:24, 22:28, 24:31])),
    "metal": (image(metal, np.int32), CUBE),
    "32-bit floats": (image(kind=np.float32), CUBE),
}


@pytest.mark.parametrize("name", MEASURED)
def test_value_of_pyradiomics(name: str) -> None:
    volume, mask = MEASURED[name]
    scan = Scan(volume, mask)
    ours = extract(scan, {"gtv": mask}, FEW)["gtv"]
    theirs = extract(scan, {"gtv": mask}, FEW, engine="pyradiomics")["gtv"]
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


OTHERWISE: dict[str, dict[str, Any]] = {
    "in planes": {"force2D": True},
    "in planes across x": {"force2D": True, "force2Ddimension": 2},
    "farther away": {"distances": [1, 3]},
    "pairs in one sense": {"symmetricalGLCM": False},
    "weighted": {"weightingNorm": "euclidean"},
    "unlike levels": {"gldm_a": 1},
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_other_neighbors_of_the_same_rois(name: str) -> None:
    settings = {**FEW, "setting": {"binWidth": 25, **OTHERWISE[name]}, "imageType": {"Original": {}}}
    for roi, (volume, mask) in MEASURED.items():
        if roi != "metal":
            ours, theirs = (extract(Scan(volume, mask), {roi: mask}, settings, engine=engine)[roi] for engine in ("penumbra", "pyradiomics"))
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9), roi


@pytest.mark.parametrize("setting", [{"distances": [9]}, {"force2D": True, "force2Ddimension": 1}])
def test_where_no_two_voxels_are_neighbors(setting: dict[str, Any]) -> None:
    line = mask_of(np.s_[12, 9:17, 12])
    settings = {**FEW, "setting": {"minimumROIDimensions": 1, **setting}, "imageType": {"Original": {}}, "featureClass": {"glcm": None}}
    with pytest.raises(Refusal, match=r"line is 1 x 8 x 1 voxels, too narrow .*\(rule roi_dimensions\)"):
        extract(Scan(image(), line), {"line": line}, settings)


def test_four_hundred_cubic_centimeters() -> None:
    shape = (100, 100, 100)
    inside = blob(shape, (50, 50, 50), 46.0, seed=3)
    assert inside.sum() > 400_000
    scan = Scan(Volume(simulated_image(shape, seed=8), SPACING), Mask(inside, SPACING))
    # without shape: PyRadiomics compares all pairs of 100,000 vertices
    only = {**FEW, "imageType": {"Original": {}}, "featureClass": {family: None for family in FEW["featureClass"] if family != "shape"}}
    ours = extract(scan, {"gtv": scan.gtv}, only)["gtv"]
    assert ours == pytest.approx(extract(scan, {"gtv": scan.gtv}, only, engine="pyradiomics")["gtv"], rel=1e-6)


REFUSED = {
    "roi_not_empty": (image(), mask_of()),
    "roi_dimensions": (image(), mask_of(np.s_[12, 12, 12])),
    "image_varies": (Volume(np.full(SHAPE, 7, dtype=np.int16), SPACING), CUBE),
    "roi_on_grid": (Volume(image().values[:-1], SPACING), CUBE),
    "features_finite": (image(), mask_of(*(np.s_[z, y, x] for z in (4, 8) for y in (4, 8) for x in (4, 8)))),  # no two voxels touch
    "image_large_enough": (Volume(image().values[:3], SPACING), Mask(CUBE.values[9:12], SPACING)),
}


@pytest.mark.parametrize("engine", ["penumbra", "pyradiomics"])
@pytest.mark.parametrize("rule", REFUSED)
def test_refusal_with_its_reason(rule: str, engine: str) -> None:
    volume, mask = REFUSED[rule]
    with pytest.raises(Refusal) as refusal:
        extract(Scan(volume, mask), {"ring_3mm": mask}, FEW, engine=engine)
    assert refusal.value.rule == rule or (rule, engine) == ("image_large_enough", "pyradiomics")
    assert rule == "image_varies" or "ring_3mm" in refusal.value.found
    assert refusal.value.advice


@pytest.mark.parametrize("engine", ["penumbra", "pyradiomics"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("moments", [None, Moments(-400.0, 480.0, 10**8)])
def test_voxels_that_are_no_number(bad: float, moments: Moments | None, engine: str) -> None:
    def spoil(values: np.ndarray) -> None:
        values[12, 12, 12] = bad

    with pytest.raises(Refusal, match="voxels_finite"):
        extract(Scan(image(spoil, np.float64), CUBE, moments), {"gtv": CUBE}, FEW, engine=engine)


@pytest.mark.parametrize("engine", ["penumbra", "pyradiomics"])
def test_too_many_gray_levels(engine: str) -> None:
    fine = {**FEW, "setting": {**FEW["setting"], "binWidth": 0.01}}
    with pytest.raises(Refusal, match=r"gtv in .* spans \d+ gray levels.*\(rule grey_levels\)"):
        extract(Scan(image(), CUBE), {"gtv": CUBE}, fine, engine=engine)


def test_ring_clipped_to_nothing() -> None:
    inside = np.ones(SHAPE, dtype=bool)
    masks = rings(inside, SPACING, (3,))
    with pytest.raises(Refusal, match=r"ring_3mm has no voxel.*\(rule roi_not_empty\)"):
        extract(Scan(image(), masks["gtv"]), masks, FEW)


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("setting", "pixelSpacing", "unknown setting pixelSpacing"),
        ("imageType", "LBP2D", "unknown image type LBP2D"),
        ("featureClass", "shape2D", "unknown feature class shape2D"),
    ],
)
def test_unknown_settings_are_named(section: str, key: str, message: str, parameter_file: Path) -> None:
    settings = read_yaml(parameter_file)
    settings[section][key] = None
    with pytest.raises(ParamsError, match=message):
        extract(Scan(image(), CUBE), {"gtv": CUBE}, settings)


def test_chosen_features_and_other_numbers() -> None:
    settings = {
        "setting": {"normalize": True, "normalizeScale": 50, "removeOutliers": 3, "binWidth": 3.7},
        "imageType": {"Original": {}, "Wavelet": {"wavelet": "db2", "binWidth": 2}},
        "featureClass": {"firstorder": ["Mean", "Entropy"], "glszm": ["ZoneEntropy"]},
    }
    scan = Scan(image(), CUBE)
    ours = extract(scan, {"gtv": CUBE}, settings)["gtv"]
    assert len(ours) == 9 * 3
    assert ours == pytest.approx(extract(scan, {"gtv": CUBE}, settings, engine="pyradiomics")["gtv"], rel=1e-6)
