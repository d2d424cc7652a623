"""A center's folder to accepted patients and rejections: who, why, once, and without an identity."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.cohort import incoming
from penumbra.cohort.clinical import read_clinical
from penumbra.cohort.entries import Arrival
from penumbra.cohort.incoming import (
    Accepted,
    ImageRules,
    Reading,
    Rejected,
    ingest_center,
    ingest_images,
    load_patient,
    patient_folders,
    pseudonym,
    read_before,
    understood,
)
from penumbra.cohort.record import folder_digest, image_version
from penumbra.cohort.rois import GtvNames, RoiRules
from penumbra.cohort.simulate import Truth

from ..imaging.phantom import Ellipsoid, Patient
from ..limits import certificate_limits

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
Cohort = tuple[Path, Truth]
Ingested = tuple[Path, list[Accepted], list[Rejected]]
Ingest = Callable[..., list[Accepted | Rejected]]
KEY = "a key that is long enough"


def split(outcomes: list[Accepted | Rejected]) -> tuple[dict[str, Accepted], dict[str, list[str]]]:
    accepted = {entry.patient: entry for entry in outcomes if isinstance(entry, Accepted)}
    return accepted, {entry.patient: [row["rule"] for row in entry.rejections] for entry in outcomes if isinstance(entry, Rejected)}


def copy_of(cohort: Cohort, target: Path, center: str, patients: int) -> Path:
    """A center with only some of its usable patients, with real copies that a test may change."""
    folder, truth = cohort
    chosen = [p.patient for p in truth.patients if p.center == center][:patients]
    place = target / center
    for patient in chosen:
        shutil.copytree(folder / center / patient, place / patient)
    lines = (folder / center / "clinical.csv").read_text().splitlines(keepends=True)
    (place / "clinical.csv").write_text(lines[0] + "".join(line for line in lines[1:] if any(name in line for name in chosen)))
    return place


@pytest.fixture
def south(cohort: Cohort, tmp_path: Path) -> Path:
    return copy_of(cohort, tmp_path / "incoming", "south", 2)


@pytest.mark.slow
def test_refused_are_exactly_those_of_the_truth_by_the_rules_of_the_truth(cohort: Cohort, ingested: Ingested) -> None:
    _, truth = cohort
    _, accepted, rejected = ingested
    assert {entry.patient: [row["rule"] for row in entry.rejections] for entry in rejected} == {r.patient: [r.rule] for r in truth.refusals}
    assert sorted(entry.patient for entry in accepted) == sorted(p.patient for p in truth.patients)
    for entry in rejected:
        for row in entry.rejections:
            assert set(row) == {"patient", "center", "stage", "rule", "found", "advice"}
            assert row["stage"] == "ingest"
            assert row["found"]
            assert row["advice"]


def test_volumes_are_those_of_the_truth(cohort: Cohort, ingested: Ingested) -> None:
    images, accepted, _ = ingested
    true = {p.patient: p for p in cohort[1].patients}
    for entry in accepted:
        volume = entry.rois[0]["volume_mm3"]
        assert volume == pytest.approx(true[entry.patient].planimetric_mm3, rel=0.01)
        assert volume == pytest.approx(true[entry.patient].volume_mm3, rel=0.06)  # 5 mm slices see 5 mm steps
        scan = load_patient(images, entry.image)
        assert scan.gtv.volume_mm3 == volume
        assert scan.image.spacing == (1.0, 1.0, 1.0)
        assert scan.moments is not None
        assert scan.moments.count > scan.image.values.size


def test_rows_hold_what_the_relations_promise(ingested: Ingested) -> None:
    _, accepted, _ = ingested
    for entry in accepted:
        assert set(entry.clinical) == {
            *("patient", "center", "age", "sex", "histology", "t_stage", "n_stage", "m_stage", "overall_stage", "time", "event", "details"),
        }
        assert set(entry.image) == {"patient", "center", "image_version", "source", "sha256", "spacing", "size", "status", "certificate"}
        assert [row["roi"] for row in entry.rois] == ["gtv", "ring_3mm", "ring_6mm", "ring_9mm"]
        assert entry.image["image_version"] == entry.image_version == entry.rois[0]["image_version"]
        assert entry.image["source"] == "dicom"
        json.dumps([entry.clinical, entry.image, list(entry.rois)], allow_nan=False)
    flagged = [entry for entry in accepted if entry.status == "flagged"]
    assert [[f["rule"] for f in entry.image["certificate"]["findings"]] for entry in flagged] == [["slice_gaps"]]
    assert flagged[0].rois[0]["status"] == "flagged"
    assert "slice_gaps" in flagged[0].rois[0]["reason"]
    assert flagged[0].rois[1]["status"] == "accepted"


def test_identities_stay_in_the_dicom_files(cohort: Cohort, ingested: Ingested) -> None:
    folder, truth = cohort
    images, accepted, rejected = ingested
    words = [word.encode() for word in truth.planted]
    assert len(words) > 60
    sent = b"".join(path.read_bytes()[:4096] for path in sorted((folder / "north").rglob("*.dcm"))[:40])
    assert any(word in sent for word in words)  # they are there to be found
    kept = repr((accepted, rejected)).encode()
    for path in images.rglob("*"):
        kept += path.name.encode() + b"\n"
        if path.is_file():
            content = path.read_bytes()
            kept += gzip.decompress(content) if path.suffix == ".gz" else content
    kept += b"".join((folder / center / "clinical.csv").read_bytes() for center in ("north", "east", "south"))
    assert [word for word in words if word in kept] == []


def test_a_second_ingest_reads_nothing_and_says_the_same(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    first = split(ingest(south, "south", tmp_path / "images"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").rglob("*")}
    again = split(ingest(south, "south", tmp_path / "images"))
    assert {entry.read for entry in first[0].values()} == {True}
    assert {entry.read for entry in again[0].values()} == {False}
    assert {name: replace(entry, read=False) for name, entry in first[0].items()} == again[0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images").rglob("*")} == before


def test_a_changed_file_is_a_new_version_and_the_old_one_stays(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    import pydicom

    first, _ = split(ingest(south, "south", tmp_path / "images"))
    patient = sorted(first)[0]
    path = next(p for p in sorted((south / patient).rglob("*")) if p.is_file() and pydicom.dcmread(p).Modality == "CT")
    dataset = pydicom.dcmread(path)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(path)
    again, _ = split(ingest(south, "south", tmp_path / "images"))
    assert {name: entry.read for name, entry in again.items()} == {name: name == patient for name in first}
    assert again[patient].image_version != first[patient].image_version
    assert len(list((tmp_path / "images" / "south" / patient).iterdir())) == 2


def test_moved_and_renamed_files_change_nothing(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    first, _ = split(ingest(south, "south", tmp_path / "images"))
    patient = sorted(first)[0]
    (south / patient / "moved").mkdir()
    for n, path in enumerate(sorted(p for p in (south / patient).rglob("*") if p.is_file())):
        path.rename(south / patient / "moved" / f"file{n}")
    (south / patient / ".DS_Store").write_bytes(b"noise")
    again, _ = split(ingest(south, "south", tmp_path / "images"))
    assert {entry.read for entry in again.values()} == {False}
    assert {name: entry.image_version for name, entry in again.items()} == {name: entry.image_version for name, entry in first.items()}


@pytest.mark.slow
def test_what_a_setting_changes(south: Path, ingest: Ingest, declared: RoiRules, tmp_path: Path) -> None:
    images = tmp_path / "images"
    first, _ = split(ingest(south, "south", images))
    rules = ImageRules(1.0, 12.0, 0.0, declared.margins_mm, declared.of("south"), certificate_limits())

    def again(changed: ImageRules) -> tuple[set[bool], bool]:
        accepted, _ = split(ingest(south, "south", images, rules=changed))
        same = all(accepted[name].image_version == first[name].image_version for name in first)
        return {entry.read for entry in accepted.values()}, same

    other_synonym = GtvNames((*rules.names.patterns, "mass"), "first")
    assert again(replace(rules, names=other_synonym)) == ({False}, True)  # the same structure is chosen
    assert again(replace(rules, limits=certificate_limits(small_flag_mm3=1e6))) == ({True}, True)  # a new verdict on the same voxels
    assert again(replace(rules, margin_mm=14.0)) == ({True}, False)
    assert again(replace(rules, names=GtvNames(("Lung_L",), "first"))) == ({True}, False)  # another structure is chosen


def test_a_certificate_that_refuses_is_a_rejection(south: Path, ingest: Ingest, declared: RoiRules, tmp_path: Path) -> None:
    rules = ImageRules(1.0, 12.0, 0.0, declared.margins_mm, declared.of("south"), certificate_limits(small_refuse_voxels=10**6))
    accepted, rejected = split(ingest(south, "south", tmp_path / "images", rules=rules))
    assert accepted == {}
    assert {tuple(found) for found in rejected.values()} == {("gtv_large_enough",)}


def test_patients_without_scan_scans_without_patient_and_names_used_elsewhere(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    patients = sorted(patient_folders(south))
    with (south / "clinical.csv").open("a") as table:
        table.write("S900,M,60,SCC,T1,N0,M0,,100,1\n")
    shutil.copytree(south / patients[1], south / "S901")
    (south / "__MACOSX").mkdir()
    (south / "readme.txt").write_text("planning CTs")
    accepted, rejected = split(ingest(south, "south", tmp_path / "images", patients_elsewhere={patients[0]}))
    assert list(accepted) == [patients[1]]
    assert rejected == {"S900": ["scan_found"], "S901": ["clinical_record"], patients[0]: ["patient_id_free"]}


def test_an_empty_folder_and_a_folder_of_noise_are_rejections(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    with (south / "clinical.csv").open("a") as table:
        table.write("S900,M,60,SCC,T1,N0,M0,,100,1\nS901,M,60,SCC,T1,N0,M0,,100,1\n")
    (south / "S900").mkdir()
    (south / "S901").mkdir()
    (south / "S901" / "scan.dcm").write_bytes(os.urandom(5000))
    accepted, rejected = split(ingest(south, "south", tmp_path / "images"))
    assert len(accepted) == 2
    assert set(rejected) == {"S900", "S901"}
    assert rejected["S900"] == ["ct_found"]


def test_folders_that_lie_one_deeper_are_named_so(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    (south / "scans").mkdir()
    for place in list(south.iterdir()):
        if place.is_dir() and place.name != "scans":
            place.rename(south / "scans" / place.name)
    found = {row["patient"]: row["found"] for entry in ingest(south, "south", tmp_path / "images") for row in entry.rejections}  # type: ignore[union-attr]
    assert found.pop("scans")
    assert len(found) == 2
    assert set(found.values()) == {"no folder of this name next to clinical.csv; there is one a folder deeper"}


def test_an_archive_in_place_of_a_folder_is_to_be_unpacked(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    with (south / "clinical.csv").open("a") as table:
        table.write("S900,M,60,SCC,T1,N0,M0,,100,1\n")
    (south / "S900.zip").write_bytes(b"PK")
    rejected = [outcome for outcome in ingest(south, "south", tmp_path / "images") if isinstance(outcome, Rejected)]
    assert [(row["rule"], row["found"]) for row in rejected[0].rejections] == [("archive_unpacked", "a .zip archive instead of the folder")]


def test_pseudonyms_replace_names_everywhere(south: Path, ingest: Ingest, tmp_path: Path) -> None:
    accepted, _ = split(ingest(south, "south", tmp_path / "images", pseudonym_key=KEY))
    names = set(patient_folders(south))
    expected = {pseudonym(name, center="south", key=KEY): name for name in names}
    assert set(accepted) == set(expected)
    assert {path.name for path in (tmp_path / "images" / "south").iterdir()} == set(expected)
    table = {record.patient: record for record in read_clinical(south / "clinical.csv").records}
    for hashed, name in expected.items():
        assert accepted[hashed].clinical["time"] == table[name].time
        assert name not in repr(accepted[hashed])
    assert pseudonym("S001", center="south", key=KEY) != pseudonym("S001", center="north", key=KEY)
    with pytest.raises(Refusal, match="a key of 5 characters"):
        pseudonym("S001", center="south", key="short")


@pytest.mark.slow
def test_processes_give_the_same_as_one(cohort: Cohort, ingested: Ingested, ingest: Ingest, tmp_path: Path) -> None:
    folder, _ = cohort
    images, accepted, _ = ingested
    outcomes, _ = split(ingest(folder / "east", "east", tmp_path, workers=2))
    assert outcomes == {entry.patient: entry for entry in accepted if entry.center == "east"}
    for entry in outcomes.values():
        for name in ("image.nii.gz", "gtv.nii.gz", "drawn.json.gz", "scan.json", "record.json"):
            place = Path("east") / entry.patient / entry.image_version / name
            assert (tmp_path / place).read_bytes() == (images / place).read_bytes()


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(cohort: Cohort, ingested: Ingested, ingest: Ingest, tmp_path: Path) -> None:
    folder, _ = cohort
    reference, accepted, _ = ingested
    program = (
        "import sys; from pathlib import Path\n"
        "from penumbra.cohort.clinical import read_clinical\n"
        "from penumbra.cohort.entries import Arrival, ImageRules\n"
        "from penumbra.cohort.incoming import ingest_center\n"
        "from penumbra.cohort.rois import GtvNames\n"
        "from tests.limits import certificate_limits\n"
        "folder, images = map(Path, sys.argv[1:])\n"
        "rules = ImageRules(1.0, 12.0, 0.0, (3.0, 6.0, 9.0), GtvNames(('gtv-1',), 'first'), certificate_limits())\n"
        "list(ingest_center(Arrival('north', folder, read_clinical(folder / 'clinical.csv')), images=images, rules=rules))\n"
    )
    running = subprocess.Popen([sys.executable, "-c", program, str(folder / "north"), str(tmp_path)])
    deadline = time.monotonic() + 60
    while not any(tmp_path.rglob("record.json")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = {path.parts[-3] for path in tmp_path.rglob("record.json")}
    assert done
    after, _ = split(ingest(folder / "north", "north", tmp_path))
    assert {name for name, entry in after.items() if not entry.read} == done
    assert {name: entry.image_version for name, entry in after.items()} == {entry.patient: entry.image_version for entry in accepted if entry.center == "north"}
    for path in files(reference / "north"):
        assert (tmp_path / "north" / path.relative_to(reference / "north")).read_bytes() == path.read_bytes()


def job(patient: str, folder: Path) -> incoming.Job:
    return incoming.Job(patient, folder)


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_the_name_of_an_image_version_is_fixed() -> None:
    """Changing this changes the key of every scan in every store."""
    assert image_version("0" * 64, "GTV-1", grid_mm=1, margin_mm=33, periodic_mm=12) == image_version(
        "0" * 64, "GTV-1", grid_mm=1.0, margin_mm=33.0, periodic_mm=12.0
    )
    assert image_version("0" * 64, "GTV-1", grid_mm=1.0, margin_mm=33.0, periodic_mm=12.0) == "3e1dcf5f8843"


def test_which_nifti_is_image_and_which_is_mask_counts(tmp_path: Path) -> None:
    for folder, names in (("a", ("ct.nii.gz", "gtv.nii.gz")), ("b", ("gtv.nii.gz", "ct.nii.gz")), ("c", ("ct.nii.gz", "gtv.nii.gz"))):
        (tmp_path / folder).mkdir()
        for name, content in zip(names, (b"image", b"mask"), strict=True):
            (tmp_path / folder / name).write_bytes(content)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "c") != folder_digest(tmp_path / "b")


def test_a_center_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="center_folder"):
        patient_folders(tmp_path / "nowhere")


@pytest.mark.parametrize(("center", "empty", "flagged"), [("radiogenomics", {"R256", "R391"}, 4)])
@pytest.mark.slow
def test_a_real_center_loses_only_the_empty_masks(center: str, empty: set[str], flagged: int, declared: RoiRules, tmp_path: Path) -> None:
    folder = SHARED / "data" / "nsclc" / center
    if not folder.is_dir():
        pytest.skip("the real cohort is not next to the repository")
    rules = ImageRules(1.0, 30.0, 0.0, declared.margins_mm, declared.of(center), certificate_limits())
    outcomes = list(ingest_center(Arrival(center, folder, read_clinical(folder / "clinical.csv")), images=tmp_path, rules=rules, workers=2))
    accepted, rejected = split(outcomes)
    assert rejected == {patient: ["gtv_not_empty"] for patient in empty}
    assert sum(entry.status == "flagged" for entry in accepted.values()) == flagged
    assert len(accepted) == 79


def test_what_no_rule_foresaw_is_a_refusal_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r".*ZeroDivisionError in test_incoming.py, line \d+.*\(rule files_understood\)") as refused, understood():
        _ = 1 / len(list(tmp_path.iterdir()))
    assert str(tmp_path) not in str(refused.value)


def test_no_name_of_a_person_in_a_structure_name_is_kept(tmp_path: Path, declared: RoiRules) -> None:
    """Names of structures were in the record and in rejections as they were sent."""
    ball, organ = Ellipsoid((31.3, 33.6, 34.7), (13.0, 13.0, 13.0)), Ellipsoid((14.0, 15.0, 30.0), (8.0, 8.0, 8.0))
    images = tmp_path / "images"
    wide = replace(declared.everywhere, patterns=("gtv.*", *declared.everywhere.patterns), center_patterns=1)
    people = ("Zyxwolski", "QUANTRILL^ANNA")
    for number, (rois, names) in enumerate(
        [
            ({"GTV-1": ball, f"Heart {people[0]}": organ, people[1]: organ}, declared.everywhere),
            ({f"GTV {people[0]}": ball, people[1]: organ}, wide),  # a pattern of the center takes any word
            ({f"GTV {people[0]}": ball, "GTV-1": ball}, wide),
            ({f"GTV {people[0]}": ball, people[1]: organ}, declared.everywhere),
            ({f"Lung {people[1]}": ball, people[0]: organ}, declared.everywhere),
            ({f"GTV node{people[0].lower()}": ball, people[0]: organ}, declared.everywhere),
        ]
    ):
        folder = Patient((24, 58, 64), (3.0, 1.2, 1.0), rois=rois).write(tmp_path / "sent" / f"P{number}")  # type: ignore[arg-type]
        rules = ImageRules(1.0, 12.0, 0.0, declared.margins_mm, names, certificate_limits(small_refuse_voxels=1))
        work = partial(ingest_images, job(f"P{number}", folder), center="alpha", images=images, rules=rules)
        if number < 3:
            reading = work()
            assert isinstance(reading, Reading)
            assert read_before(folder, images / "alpha" / f"P{number}", rules) == reading.record
            told = repr(reading)
        else:
            with pytest.raises(Refusal, match=r"penumbra rois.*rule gtv_named") as refusal:
                work()
            told = str(refusal.value)
        for person in (part for name in people for part in name.lower().split("^")):
            assert person not in told.lower()
            assert not any(person.encode() in content_of(path).lower() for path in files(images))


def content_of(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()


def test_other_patterns_are_matched_with_the_names_in_the_files(tmp_path: Path, declared: RoiRules) -> None:
    """Names are not kept, so a new pattern is tried on the files; the record then remembers it, and a dry run writes nothing."""
    ball = Ellipsoid((31.3, 33.6, 34.7), (13.0, 13.0, 13.0))
    folder = Patient((24, 58, 64), (3.0, 1.2, 1.0), rois={"GTV-1": ball, "Zyxwolski": ball}).write(tmp_path / "P1")  # type: ignore[arg-type]
    home = tmp_path / "images" / "alpha" / "P1"
    rules = ImageRules(1.0, 12.0, 0.0, declared.margins_mm, declared.everywhere, certificate_limits())
    ingest_images(job("P1", folder), center="alpha", images=tmp_path / "images", rules=rules)
    same = replace(rules, names=replace(rules.names, patterns=(*rules.names.patterns, "mass")))
    record = next(home.glob("*/record.json"))
    before = record.read_bytes()
    assert read_before(folder, home, same, keep=False) is not None
    assert record.read_bytes() == before
    assert read_before(folder, home, same) is not None
    assert record.read_bytes() != before
    assert read_before(folder, home, replace(rules, names=replace(rules.names, patterns=("zyx.*",), center_patterns=1))) is None
