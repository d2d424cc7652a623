"""One scan under two names: who stays, who goes, and what only looks alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.cohort.clinical import read_clinical
from penumbra.cohort.entries import Accepted, Arrival, ImageRules, Rejected
from penumbra.cohort.incoming import ingest_center, known_scan
from penumbra.cohort.rois import GtvNames
from penumbra.cohort.twins import KnownScan, Scans, figures_of, groups
from penumbra.imaging import read_patient
from penumbra.imaging.fingerprint import pixel_digest
from tests.imaging.phantom import Ellipsoid, Patient

from ..limits import certificate_limits

RULES = ImageRules(1.0, 12.0, 0.0, (3.0,), GtvNames(("gtv.*",), "first"), certificate_limits())
FIGURES = figures_of([{"roi": "gtv", "volume_mm3": 100.0, "hu_min": -10.0, "hu_median": 20.5, "hu_max": 60.0}])


def pair(folder: Path, seed: int, *, flipped: bool = False, moved: float = 0.0, padding: int | None = None) -> None:
    """A scan of its own for each seed; written with other axes, elsewhere, or with other padding, it is the same scan."""
    folder.mkdir(parents=True)
    values = np.random.default_rng(seed).integers(-1000, 300, (20, 22, 24)).astype(np.int16)
    values[:, :2] = -1024 if padding is None else padding
    mask = np.zeros(values.shape, np.uint8)
    mask[8:13, 8:13, 8:13] = 1
    for array, name in ((values, "ct"), (mask, "gtv")):
        image = sitk.GetImageFromArray(array[:, ::-1] if flipped else array)
        image.SetOrigin((moved, 21.0 if flipped else 0.0, 0.0))
        if flipped:
            image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def center(root: Path, name: str, seeds: dict[str, int], images: Path, scans: list[KnownScan], workers: int = 1, **how: Any) -> dict[str, Accepted | Rejected]:
    for patient, seed in seeds.items():
        if not (root / name / patient).exists():
            pair(root / name / patient, seed, **how)
    (root / name / "clinical.csv").write_text("patient,time,event\n" + "".join(f"{patient},100,1\n" for patient in seeds))
    clinical = read_clinical(root / name / "clinical.csv")
    return {o.patient: o for o in ingest_center(Arrival(name, root / name, clinical), images=images, rules=RULES, scans=scans, workers=workers)}


def known(outcomes: dict[str, Accepted | Rejected]) -> list[KnownScan]:
    return [known_scan(entry) for entry in outcomes.values() if isinstance(entry, Accepted)]


def refused(outcomes: dict[str, Accepted | Rejected]) -> dict[str, tuple[str, str]]:
    return {o.patient: (o.rejections[0]["rule"], o.rejections[0]["found"]) for o in outcomes.values() if isinstance(o, Rejected)}


def test_the_second_of_two_is_refused_here_and_at_another_center_and_comes_back_when_the_first_is_gone(tmp_path: Path) -> None:
    """Both were accepted, and one could be in training and in the external test."""
    images = tmp_path / "images"
    north = center(tmp_path, "north", {"P1": 1, "P2": 1, "P3": 3}, images, [], workers=1)
    assert refused(north) == {"P2": ("scan_once", "the scan is that of patient P1 of north")}
    east = center(tmp_path, "east", {"X1": 1, "X2": 3}, images, known(north), flipped=True, moved=40.0, padding=-2000)
    assert {rule for rule, _ in refused(east).values()} == {"scan_once"}
    assert refused(east)["X2"][1].endswith("patient P3 of north")
    again = center(tmp_path, "north", {"P1": 1, "P2": 1, "P3": 3}, images, known(north))
    assert refused(again) == refused(north)
    assert {name for name, entry in again.items() if isinstance(entry, Accepted) and entry.read} == set()
    left = center(tmp_path, "north", {"P2": 1, "P3": 3}, images, known(north)[1:])
    assert isinstance(left["P2"], Accepted)


def test_who_was_accepted_before_stays_whatever_comes_first_by_name(tmp_path: Path) -> None:
    images = tmp_path / "images"
    first = known(center(tmp_path, "north", {"P5": 1, "P6": 2}, images, []))
    for name in ("ct.nii.gz", "gtv.nii.gz"):  # as another program packs it
        path = tmp_path / "north" / "P5" / name
        image = sitk.ReadImage(str(path))
        path.unlink()
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)
    more = {"P1": 1, "P5": 1, "P6": 2, "P7": 7, "P8": 8, "P9": 2}
    assert set(refused(center(tmp_path, "north", more, images, first))) == {"P1", "P9"}


def test_a_dicom_scan_and_its_nifti_have_one_digest(tmp_path: Path) -> None:
    patient = Patient((12, 30, 32), (3.0, 1.2, 1.0), rois={"GTV": Ellipsoid((16.0, 17.0, 16.0), (8.0, 8.0, 8.0))})
    scan = read_patient(patient.write(tmp_path / "dicom"))
    (tmp_path / "nifti").mkdir()
    for values, name in ((scan.image.values.astype(np.float32), "ct"), (scan.gtv.values.astype(np.uint8), "gtv")):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(scan.image.spacing[::-1])
        image.SetOrigin(scan.image.origin)
        turned = sitk.DICOMOrient(image, "RAS")
        sitk.WriteImage(turned, str(tmp_path / "nifti" / f"{name}.nii.gz"))
    other = read_patient(tmp_path / "nifti").image
    assert other.values.shape == scan.image.values.shape
    assert pixel_digest(other) == pixel_digest(scan.image)
    assert pixel_digest(replace(scan.image, spacing=(3.0, 1.0, 1.2))) != pixel_digest(scan.image)
    changed = scan.image.values.copy()
    changed[3, 4, 5] += 1
    assert pixel_digest(replace(scan.image, values=changed)) != pixel_digest(scan.image)


def test_equal_figures_are_a_remark_that_refuses_nothing() -> None:
    scans = Scans([KnownScan("P1", "north", "a", FIGURES)], "east")
    remark = scans.arrive(KnownScan("X1", "east", "b", FIGURES))
    assert remark is not None
    assert remark.rule == "figures_alike"
    assert remark.found.endswith("patient P1 of north")
    assert scans.arrive(KnownScan("X2", "east", "c", ())) is None
    with pytest.raises(Refusal, match=r"the scan is that of patient X1 of east.*\(rule scan_once\)"):
        scans.arrive(KnownScan("X3", "east", "b", ()))


@pytest.mark.parametrize(
    ("scans", "found"),
    [
        ([("a", "f1"), ("b", "f2")], []),
        ([("a", "f1"), ("a", "f2"), ("b", "f3")], ["12"]),
        ([("a", "f1"), ("b", "f2"), ("c", "f1"), ("b", "f4")], ["13", "24"]),
        ([("a", "f1"), ("b", "f1"), ("b", "f2"), (None, "f2")], ["1234"]),
    ],
)
def test_groups(scans: list[tuple[str | None, str]], found: list[str]) -> None:
    entries = [KnownScan(str(n), "x", pixels, ((figures,),)) for n, (pixels, figures) in enumerate(scans, 1)]
    assert sorted("".join(scan.patient for scan in group) for group in groups(entries)) == found


@pytest.mark.slow
def test_nothing_of_a_forgotten_patient_stays_in_what_another_was_refused_for(tmp_path: Path) -> None:
    common = {"stage": "ingest", "rule": "scan_once", "advice": "-"}
    with store.connect(tmp_path) as lake:
        lake.write({"patients": [{"patient": name, "center": "north", "time": 1.0, "event": True} for name in ("P1", "XP1")]}, run="r", what="arrived")
        refusals = [
            {**common, "patient": name, "center": "east", "found": f"the scan is that of patient {of} of north"} for name, of in (("X1", "P1"), ("X2", "XP1"))
        ]
        lake.write({"rejections": refusals}, run="r", what="refused")
        store.forget(lake, "P1", "north", run="r")
        assert [row["patient"] for row in lake.rows("rejections")] == ["X2"]
        assert store.check(lake) == []
