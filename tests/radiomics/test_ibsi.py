"""The Image Biomarker Standardisation Initiative's phantoms: consensus values, and each known difference of PyRadiomics from them."""

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.bench.archives import unpack
from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.radiomics import FeatureExtractor, engine, extract

from .conftest import ROOT, SHARED

pytestmark = pytest.mark.numeric

REFERENCE = ROOT / "tests" / "reference" / "ibsi"
CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")


def table(name: str) -> list[dict[str, str]]:
    with (REFERENCE / name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def phantom(image_path: Path, mask_path: Path) -> tuple[Volume, np.ndarray]:
    image, mask = sitk.ReadImage(str(image_path)), sitk.ReadImage(str(mask_path))
    return Volume(sitk.GetArrayFromImage(image), image.GetSpacing()[::-1]), sitk.GetArrayFromImage(mask) > 0


def measured(image: Volume, inside: np.ndarray, setting: dict[str, Any], classes: tuple[str, ...]) -> dict[str, float]:
    mask = Mask(inside, image.spacing)
    values = extract(Scan(image, mask), {"gtv": mask}, {"setting": setting, "featureClass": dict.fromkeys(classes)})["gtv"]
    return {name.split("_", 1)[1]: value for name, value in values.items()}


def half_a_digit(printed: str) -> float:
    """Half of the last digit that was printed; three digits of large numbers count."""
    digits = printed.lstrip("-")
    places = len(digits.split(".")[1]) if "." in digits else -max(0, len(digits) - 3)
    return 0.51 * 10.0**-places


def outside(reference: str, ours: dict[str, float], voxels: int) -> list[str]:
    """Features that are neither IBSI's value nor what the known difference makes of it."""
    moments = math.sqrt((voxels - 1) / voxels)
    relations = {"plus 3": lambda v: v + 3, "times sqrt((N-1)/N)": lambda v: v * moments}
    known = {row["feature"]: relations[row["from_ibsi"]] for row in table("differences.csv")}
    wrong = []
    for row in table(reference):
        expected = known.get(row["feature"], lambda v: v)(float(row["value"]))
        if abs(ours[row["feature"]] - expected) > float(row["tolerance"] or 0) + half_a_digit(row["value"]):
            wrong.append(f"{row['feature']} ({row['tag']}): {ours[row['feature']]:.6g}, expected {expected:.6g}")
    return wrong


def test_digital_phantom() -> None:
    folder = SHARED / "data" / "ibsi_digital_phantom"
    if not folder.exists():
        pytest.skip("the IBSI digital phantom is not next to the repository")
    image, inside = phantom(folder / "phantom.nii.gz", folder / "mask.nii.gz")
    ours = measured(image, inside, {"binWidth": 1}, CLASSES)
    assert len(table("digital_phantom.csv")) == 102
    assert outside("digital_phantom.csv", ours, int(inside.sum())) == []


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> tuple[sitk.Image, sitk.Image]:
    """The CT phantom: HU as float32, and its mask."""
    archive = SHARED / "data" / "ibsi_ct_phantom.tar.xz"
    if not archive.exists():
        pytest.skip("the IBSI CT phantom is not next to the repository")
    folder = tmp_path_factory.mktemp("phantom")
    unpack(archive, folder, ending=".nii.gz")
    image, mask = (sitk.ReadImage(str(path)) for path in sorted(folder.glob("*/nifti/*/*.nii.gz")))
    return image, sitk.Cast(mask > 0, sitk.sitkUInt8)


@dataclass(frozen=True)
class Configuration:
    """How IBSI prepares the phantom, and the settings that say the rest."""

    spacing: tuple[float, float, float] | None  # mm, x, y, z; None: not resampled, 0: this axis stays
    interpolator: int
    within: tuple[float, float] | None  # HU
    outliers: bool  # beyond 3 standard deviations
    settings: dict[str, Any]
    tables: tuple[str, ...]


CONFIGURATIONS = {
    "A": Configuration(None, sitk.sitkLinear, (-500, 400), False, {"binWidth": 25, "force2D": True}, ("config_A.csv", "config_A_texture.csv")),
    "B": Configuration((2, 2, 0), sitk.sitkLinear, (-500, 400), False, {"binCount": 32, "force2D": True}, ("config_B.csv",)),
    "C": Configuration((2, 2, 2), sitk.sitkLinear, (-1000, 400), False, {"binWidth": 25}, ("config_C.csv",)),
    "D": Configuration((2, 2, 2), sitk.sitkLinear, None, True, {"binCount": 32}, ("config_D.csv",)),
    "E": Configuration((2, 2, 2), sitk.sitkBSpline, (-1000, 400), True, {"binCount": 32}, ("config_E.csv",)),
}


def on_centered_grid(image: sitk.Image, spacing: tuple[float, float, float], interpolator: int) -> sitk.Image:
    """IBSI's grid: as many voxels as it takes, its middle on that of the image, which goes on beyond its border."""
    old, extents = np.array(image.GetSpacing()), np.array(image.GetSize())
    new = np.where(np.array(spacing) == 0, old, spacing)
    size = np.ceil(extents * old / new)
    grid = sitk.ResampleImageFilter()
    grid.SetOutputSpacing(new.tolist())
    grid.SetSize([int(each) for each in size])
    grid.SetOutputDirection(image.GetDirection())
    grid.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint((((extents - 1) * old - (size - 1) * new) / 2 / old).tolist()))
    grid.SetInterpolator(interpolator)
    grid.SetUseNearestNeighborExtrapolator(True)
    return grid.Execute(sitk.Cast(image, sitk.sitkFloat64))


def of_configuration(ct: tuple[sitk.Image, sitk.Image], how: Configuration) -> tuple[dict[str, float], int]:
    """The engine's features of the phantom as IBSI prepares it, and how many voxels its shape has."""
    image, mask = ct
    if how.spacing is not None:
        image, mask = on_centered_grid(image, how.spacing, how.interpolator), on_centered_grid(mask, how.spacing, sitk.sitkLinear)
    hu, inside = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16), sitk.GetArrayFromImage(mask) >= 0.5
    kept = inside if how.within is None else inside & (hu >= how.within[0]) & (hu <= how.within[1])
    if how.outliers:
        kept = kept & (np.abs(hu - hu[inside].mean()) <= 3 * hu[inside].std())
    volume = Volume(hu, image.GetSpacing()[::-1])
    ours = measured(volume, inside, how.settings, ("shape",)) | measured(volume, kept, how.settings, CLASSES[1:])
    return ours, int(inside.sum())


def faults(ct: tuple[sitk.Image, sitk.Image], name: str) -> list[str]:
    how = CONFIGURATIONS[name]
    ours, voxels = of_configuration(ct, how)
    assert len(ours) == 107
    assert sum(len(table(each)) for each in how.tables) == 102
    return [fault for each in how.tables for fault in outside(each, ours, voxels)]


@pytest.mark.parametrize("name", ["A", "B", "D", "E"])
def test_configuration_of_the_ct_phantom(name: str, ct: tuple[sitk.Image, sitk.Image]) -> None:
    assert faults(ct, name) == []


def test_configuration_c_counts_levels_from_the_lowest_voxel(ct: tuple[sitk.Image, sitk.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    """IBSI counts from -1000 HU, and the lowest voxel of the ROI is in its third bin: what weighs with the level itself differs, and nothing else."""
    assert {fault.split()[0] for fault in faults(ct, "C")} == {row["feature"] for row in table("differences_C.csv")}
    counted = engine.gray_levels

    def from_the_range(*arguments: Any) -> Any:
        levels = counted(*arguments)
        return replace(levels, gray=levels.gray + 2, highest=levels.highest + 2)

    monkeypatch.setattr(engine, "gray_levels", from_the_range)
    assert faults(ct, "C") == []


@pytest.mark.parametrize(("name", "agree"), [("B", 54), ("C", 28), ("D", 23), ("E", 14)])
def test_resampling_of_pyradiomics_is_another(name: str, agree: int, ct: tuple[sitk.Image, sitk.Image]) -> None:
    """Its grid starts at a corner, its masks are not interpolated, HU are not rounded, and of two resegmentations it makes one."""
    how = CONFIGURATIONS[name]
    cut = {"resegmentRange": [-3, 3], "resegmentMode": "sigma"} if how.outliers else {"resegmentRange": list(how.within or ())}
    asked = {"resampledPixelSpacing": list(how.spacing or ()), "interpolator": how.interpolator, "additionalInfo": False}
    values = FeatureExtractor(**how.settings, **cut, **asked).execute(*ct)
    ours = {name.split("_", 1)[1]: float(value) for name, value in values.items()}
    rows = [row for each in how.tables for row in table(each)]
    assert sum(abs(ours[row["feature"]] - float(row["value"])) <= float(row["tolerance"]) + half_a_digit(row["value"]) for row in rows) == agree
