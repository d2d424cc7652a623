"""The ingest stage on small centers of NIfTI pairs: sent again, sent longer, sent twice, and what of a person is left in the state folder."""

import gzip
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra import store
from penumbra.base.clinical_columns import declared_columns
from penumbra.cohort import pseudonym
from penumbra.pipeline import arrivals, persons
from penumbra.pipeline.ingest import ingest
from penumbra.pipeline.manifests import IngestManifest
from penumbra.pipeline.origins import of_center
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

pytestmark = pytest.mark.slow

HEADER = "patient,name,birth_date,address,sex,time,event\n"
PERSON = ("Oldenkamp-Vries", "1947-01-02", "Lindenlaan 5")


@dataclass
class Center:
    """An arriving folder and the state it is ingested into."""

    work: Work
    root: Path

    def send(self, center: str, rows: dict[str, str], seed: int = 0) -> IngestManifest:
        """Write the center's table, and a scan for everyone who has none; ingest it."""
        folder = self.root / center
        for patient in rows:
            write_pair(folder / patient, seed)
        table = "".join(f"{patient},{','.join(PERSON)},{row}\n" for patient, row in rows.items())
        (folder / "clinical.csv").write_text(HEADER + table)
        arrivals.take_center(self.work.home, folder, center)
        return ingest(self.work, only=center)


def write_pair(folder: Path, seed: int) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    image = np.random.default_rng([seed, *folder.name.encode()]).integers(-1000, 300, (24, 24, 24)).astype(np.int16)
    mask = np.zeros(image.shape, dtype=np.uint8)
    mask[9:15, 9:15, 9:15] = 1
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "ct.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(folder / "gtv.nii.gz"))


def rows(work: Work, statement: str, as_of: int | None = None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = store.query(work.home, statement, as_of=as_of).to_pylist()
    return found


@pytest.fixture
def center(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Center:
    monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
    return Center(Work(tmp_path / "home", load_settings("quick"), "test"), tmp_path / "sent")


def test_longer_follow_up_is_a_new_clinical_version_and_the_old_one_is_kept(center: Center) -> None:
    first = center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    before = int(rows(center.work, "SELECT max(id) AS id FROM commits")[0]["id"])  # type: ignore[call-overload]
    scans = {path: path.stat().st_mtime_ns for path in (center.work.home / "images").rglob("*")}
    second = center.send("alpha", {"A1": "F,300,1", "A2": "M,200,1"})
    statement = "SELECT patient, time, event, clinical_version FROM patients ORDER BY patient"
    then, now = rows(center.work, statement, as_of=before), rows(center.work, statement)
    assert [(row["patient"], row["time"], row["event"]) for row in then] == [("A1", 100.0, False), ("A2", 200.0, True)]
    assert [(row["patient"], row["time"], row["event"]) for row in now] == [("A1", 300.0, True), ("A2", 200.0, True)]
    assert [a["clinical_version"] == b["clinical_version"] for a, b in zip(then, now, strict=True)] == [False, True]
    facts = first.centers["alpha"], second.centers["alpha"]
    assert facts[0].clinical != facts[1].clinical
    assert facts[0].accepted == facts[1].accepted
    assert {path: path.stat().st_mtime_ns for path in (center.work.home / "images").rglob("*")} == scans


def test_a_second_ingest_of_the_same_folder_commits_nothing_and_a_changed_file_is_noticed(center: Center) -> None:
    sent = {"A1": "F,100,0", "A2": "M,200,1"}
    first = center.send("alpha", sent)
    commits = rows(center.work, "SELECT count(*) AS n FROM commits")
    assert center.send("alpha", sent) == first
    assert rows(center.work, "SELECT count(*) AS n FROM commits") == commits
    path = center.root / "alpha" / "A2" / "ct.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1  # one bit of one voxel, and neither size nor time of the file
    stamp = path.stat()
    path.write_bytes(gzip.compress(bytes(content)))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    accepted = [manifest.centers["alpha"].accepted for manifest in (first, center.send("alpha", sent))]
    assert accepted[0]["A1"] == accepted[1]["A1"]
    assert accepted[0]["A2"] != accepted[1]["A2"]


def test_a_patient_of_two_centers_is_rejected_at_the_second(center: Center) -> None:
    center.send("alpha", {"A1": "F,100,0"})
    found = center.send("beta", {"A1": "F,100,0", "B1": "M,200,1"}, seed=1)
    assert list(found.centers["beta"].accepted) == ["B1"]
    assert found.centers["beta"].rejected == {"patient_id_free": 1}
    assert rows(center.work, "SELECT patient, center, rule FROM rejections") == [{"patient": "A1", "center": "beta", "rule": "patient_id_free"}]
    assert rows(center.work, "SELECT center FROM patients WHERE patient = 'A1'") == [{"center": "alpha"}]


@pytest.mark.parametrize("keyed", [False, True], ids=["names as sent", "pseudonyms"])
def test_nothing_of_a_person_is_left_in_the_state_folder(
    center: Center, keyed: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Store, images, manifests, and what was printed; with a key not even the patient's id."""
    key = "a key that is long enough"
    if keyed:
        monkeypatch.setenv("PENUMBRA_PSEUDONYM_KEY", key)
    center.send("alpha", {"HOSP-4711": "F,100,0", "HOSP-4712": "M,,1", "HOSP-4713": "M,200,1"})
    (center.root / "alpha" / "HOSP-4713" / "gtv.nii.gz").write_bytes(b"broken")
    center.send("alpha", {"HOSP-4711": "F,100,0", "HOSP-4712": "M,,1", "HOSP-4713": "M,200,1"})
    kept = "".join(capfd.readouterr()).encode()
    sent = (center.root / "alpha" / "clinical.csv").read_bytes()
    for path in center.work.home.rglob("*"):
        kept += str(path.relative_to(center.work.home)).encode() + b"\n"
        if path.is_file():
            content = path.read_bytes()
            kept += gzip.decompress(content) if path.suffix == ".gz" else content
    for relation in ("patients", "images", "rois", "rejections", "commits"):
        kept += repr(rows(center.work, f"SELECT * FROM {relation}")).encode()  # noqa: S608 names are ours
    words = [*PERSON, *(("HOSP-4711", "HOSP-4712", "HOSP-4713") if keyed else ())]
    assert all(word.encode() in sent for word in words)
    assert [word for word in words if word.encode() in kept] == []
    expected = pseudonym("HOSP-4711", center="alpha", key=key) if keyed else "HOSP-4711"
    assert expected.encode() in kept


def test_links_out_of_the_cohort_are_rejections_until_their_root_is_declared(center: Center, tmp_path: Path) -> None:
    """Broke: whatever a center's links led to was read, as far as /etc."""
    write_pair(tmp_path / "archive" / "N002", 0)
    (center.root / "north").mkdir(parents=True)
    (center.root / "north" / "N002").symlink_to(tmp_path / "archive" / "N002")
    sent = {"N001": "female,500,1", "N002": "male,400,0"}
    manifest = center.send("north", sent)
    assert manifest.centers["north"].rejected == {"link_within_cohort": 1}
    assert list(manifest.centers["north"].accepted) == ["N001"]
    (told,) = rows(center.work, "SELECT patient, found, advice FROM rejections")
    assert (told["patient"], told["found"]) == ("N002", "1 link leads out of the cohort")
    assert str(told["advice"]).endswith(f'group ingest: roots: ["{tmp_path / "archive"}"]')

    settings = center.work.settings
    declared = replace(settings, ingest=replace(settings.ingest, roots=(str(tmp_path / "archive"),)))
    center.work = replace(center.work, settings=declared)
    assert sorted(center.send("north", sent).centers["north"].accepted) == ["N001", "N002"]

    (tmp_path / "tables").mkdir()
    (center.root / "north" / "clinical.csv").rename(tmp_path / "tables" / "clinical.csv")
    (center.root / "north" / "clinical.csv").symlink_to(tmp_path / "tables" / "clinical.csv")
    arrivals.take_center(center.work.home, center.root / "north", "north")
    assert ingest(center.work, only="north").centers["north"].rejected == {"link_within_cohort": 1}


def test_a_scan_with_the_figures_of_another_one_is_accepted_with_a_remark_that_goes_with_the_other(center: Center) -> None:
    center.send("alpha", {"A1": "F,100,0", "A2": "F,300,1"})
    image = sitk.ReadImage(str(center.root / "alpha" / "A1" / "ct.nii.gz"))
    image[0, 0, 0] = int(image[0, 0, 0]) + 1 if image[0, 0, 0] < 0 else int(image[0, 0, 0]) - 1  # far from the tumor: other pixels, the same figures
    (center.root / "beta" / "B1").mkdir(parents=True)
    sitk.WriteImage(image, str(center.root / "beta" / "B1" / "ct.nii.gz"))
    (center.root / "beta" / "B1" / "gtv.nii.gz").write_bytes((center.root / "alpha" / "A1" / "gtv.nii.gz").read_bytes())
    facts = center.send("beta", {"B1": "F,100,0"}).centers["beta"]
    assert (len(facts.accepted), facts.alike) == (1, {"figures_alike": 1})
    remark = rows(center.work, "SELECT patient, stage, found FROM rejections")
    assert remark == [{"patient": "B1", "stage": "remark", "found": "volume and HU of the GTV and its rings are those of patient A1 of alpha"}]
    with store.connect(center.work.home, read_only=True) as lake:
        assert persons.doubled(lake).startswith("1 scan is stored for 2 patients")
    center.send("alpha", {"A2": "F,300,1"})
    center.send("beta", {"B1": "F,100,0"})
    assert rows(center.work, "SELECT patient FROM rejections WHERE center = 'beta'") == []


def test_what_a_center_declares_is_known_to_later_commands(center: Center) -> None:
    """A file center.yaml: stored, kept where the center is sent without it, changed where it says something else, refused where it cannot be read."""
    statement = "SELECT center, treatment, intent, imaging FROM center_declarations"
    center.send("alpha", {"A1": "F,100,0"})
    assert rows(center.work, statement) == [], "nothing declared: as before"
    file = center.root / "alpha" / "center.yaml"
    for text, treatment in (
        ("treatment: resection\nintent: curative\n", "surgery"),
        (None, "surgery"),
        ("treatment: SBRT\nintent: curative\n", "radiotherapy"),
    ):
        file.write_text(text) if text else file.unlink()
        manifest = center.send("alpha", {"A1": "F,100,0"})
        assert rows(center.work, statement) == [{"center": "alpha", "treatment": treatment, "intent": "curative", "imaging": None}]
    file.write_text("surgeon: nobody\n")
    manifest = center.send("alpha", {"A1": "F,100,0"})
    assert manifest.centers["alpha"].rejected == {"center_declared": 1}
    assert "surgeon" in str(manifest.centers["alpha"].refused)


OWN = {
    "ecog": {"type": "ordinal", "levels": [0, 1, 2], "known": "planning", "meaning": "ECOG performance status"},
    "dose": {"type": "number", "unit": "Gy", "range": [0, 100], "known": "planning", "meaning": "prescribed dose"},
}


def test_a_department_s_own_columns_are_kept_with_history_and_go_with_the_patient(center: Center) -> None:
    table = center.root / "alpha" / "clinical.csv"
    first = center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    scans = {path: path.stat().st_mtime_ns for path in (center.work.home / "images").rglob("*")}
    plain = rows(center.work, "FROM patients ORDER BY patient")
    assert rows(center.work, "FROM clinical ORDER BY patient") == [{"patient": "A1", "center": "alpha"}, {"patient": "A2", "center": "alpha"}]
    assert rows(center.work, "FROM clinical_columns") == []

    declared = replace(center.work, settings=replace(center.work.settings, clinical_columns=declared_columns(OWN)))
    with store.connect(center.work.home) as lake:
        origin = of_center(declared, "alpha", "files").numbers
    assert {name for name in origin if origin[name] != of_center(center.work, "alpha", "files").numbers.get(name)} == {"features/clinical.yaml"}

    def send(first_row: str, second_row: str) -> IngestManifest:
        table.write_text(f"patient,sex,time,event,ecog,dose\nA1,F,100,0,{first_row}\nA2,M,200,1,{second_row}\n")
        return ingest(declared, only="alpha")

    second = send("1,60", "7,NA")
    assert rows(center.work, "FROM patients ORDER BY patient") == plain, "the record itself is as it was: radiomics and networks are not made again"
    assert {path: path.stat().st_mtime_ns for path in (center.work.home / "images").rglob("*")} == scans, "no scan is read again"
    values = "SELECT patient, name, number, level FROM clinical_long ORDER BY ALL"
    assert [tuple(row.values()) for row in rows(center.work, values)] == [
        ("A1", "dose", 60.0, None),
        ("A1", "ecog", None, "1"),
        ("A2", "dose", None, None),
        ("A2", "ecog", None, None),
    ]
    remarks = "SELECT patient, stage, rule, found, advice FROM rejections ORDER BY patient"
    advice = "Correct the cell, or features/clinical.yaml; it counts as missing"
    assert [tuple(row.values()) for row in rows(center.work, remarks)] == [("A2", "remark", "clinical_value", "ecog is 7, not one of 0, 1, 2", advice)]
    assert first.centers["alpha"].stored != second.centers["alpha"].stored

    before = int(rows(center.work, "SELECT max(id) AS id FROM commits")[0]["id"])  # type: ignore[call-overload]
    assert send("1,60", "7,NA") == second
    assert int(rows(center.work, "SELECT max(id) AS id FROM commits")[0]["id"]) == before, "the same table again writes nothing"  # type: ignore[call-overload]
    send("2,60", "0,NA")
    assert [(row["level"]) for row in rows(center.work, f"FROM ({values}) WHERE name = 'ecog'")] == ["2", "0"]
    assert [(row["level"]) for row in rows(center.work, f"FROM ({values}) WHERE name = 'ecog'", as_of=before)] == ["1", None]
    assert rows(center.work, remarks) == [], "the corrected cell is no longer remarked on"

    with store.connect(center.work.home) as lake:
        store.export_store(lake, center.root / "export")
        store.forget(lake, "A1", "alpha", run="test")
    assert {row["patient"] for row in rows(center.work, values)} == {"A2"}
    with store.connect(center.root / "other") as lake:
        store.import_store(lake, center.root / "export")
        assert [row["level"] for row in lake.sql("SELECT level FROM clinical_long WHERE name = 'ecog' ORDER BY patient").to_pylist()] == ["2", "0"]


def test_a_patient_who_is_no_longer_sent_takes_the_values_along(center: Center) -> None:
    center.work = replace(center.work, settings=replace(center.work.settings, clinical_columns=declared_columns(OWN)))
    center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    table = center.root / "alpha" / "clinical.csv"
    table.write_text("patient,sex,time,event,ecog\nA2,M,200,1,1\n")
    ingest(center.work, only="alpha")
    assert {row["patient"] for row in rows(center.work, "SELECT patient FROM clinical_long")} == {"A2"}
