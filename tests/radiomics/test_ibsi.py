"""The Image Biomarker Standardisation Initiative's phantoms: consensus values, and each known difference of PyRadiomics from them."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.bench.archives import unpack
from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.radiomics import extract

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


def measured(image: Volume, inside: np.ndarray, bin_width: float, classes: tuple[str, ...]) -> dict[str, float]:
    mask = Mask(inside, image.spacing)
    settings = {"setting": {"binWidth": bin_width}, "featureClass": dict.fromkeys(classes)}
    values = extract(Scan(image, mask), {"gtv": mask}, settings)["gtv"]
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
    ours = measured(image, inside, 1, CLASSES)
    assert len(table("digital_phantom.csv")) == 102
    assert outside("digital_phantom.csv", ours, int(inside.sum())) == []


def test_configuration_a_of_the_ct_phantom(tmp_path: Path) -> None:
    archive = SHARED / "data" / "ibsi_ct_phantom.tar.xz"
    if not archive.exists():
        pytest.skip("the IBSI CT phantom is not next to the repository")
    unpack(archive, tmp_path, ending=".nii.gz")
    image, inside = phantom(*sorted(tmp_path.glob("*/nifti/*/*.nii.gz")))
    ours = measured(image, inside, 25, ("shape",))
    ours |= measured(image, inside & (image.values >= -500) & (image.values <= 400), 25, ("firstorder",))
    assert outside("config_A.csv", ours, int(inside.sum())) == []
