"""Where the links in a center's folder may lead, and what is said of those that lead elsewhere."""

import os
import time
from pathlib import Path

import pytest

from penumbra.base.params import ParamsError, project_root
from penumbra.base.refusal import Refusal
from penumbra.cohort.links import Leaving, refuse_leaving, roots_of, walk
from penumbra.pipeline import arrivals
from penumbra.pipeline.settings import load_settings


@pytest.fixture
def center(tmp_path: Path) -> Path:
    """A cohort with two centers, and next to it an archive and a stranger's folder."""
    for place in ("cohort/north/N1", "cohort/south/S1", "archive/export/N2/ct", "elsewhere/Doe_Jane/ct"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.dcm").write_bytes(b"pixels")
    return tmp_path / "cohort" / "north"


def read(folder: Path, *declared: Path) -> set[str]:
    return {entry.name for entry in walk(folder, roots_of(folder, [str(root) for root in declared])) if isinstance(entry, Path)}


def refusal(patient: Path, center: Path, *declared: Path) -> Refusal | None:
    try:
        refuse_leaving(patient, center, roots_of(center, [str(root) for root in declared]))
    except Refusal as refused:
        return refused
    return None


def test_links_within_the_cohort_are_followed(center: Path) -> None:
    (center / "N1" / "more").symlink_to("../../south/S1")
    (center / "N1" / "2.dcm").symlink_to(center.parent / "south" / "S1" / "1.dcm")
    (center / "N3").symlink_to(center / "N1")
    assert refusal(center / "N1", center) is refusal(center / "N3", center) is None
    assert sorted(entry.name for entry in walk(center / "N1", roots_of(center)) if isinstance(entry, Path)) == ["1.dcm", "1.dcm", "2.dcm"]


@pytest.mark.parametrize("kind", ["patient", "folder", "file", "nested", "relative", "through a link within"])
def test_a_link_out_of_the_cohort_is_one_rejection_with_the_line_to_add(center: Path, kind: str) -> None:
    """Broke: a link to /etc was followed, and 1127 files read."""
    archive, patient = center.parents[1] / "archive", center / "N2"
    if kind == "patient":
        patient.symlink_to(archive / "export" / "N2")
    else:
        patient.mkdir()
        if kind == "folder":
            (patient / "ct").symlink_to(archive / "export" / "N2" / "ct")
        elif kind == "file":
            (patient / "1.dcm").symlink_to(archive / "export" / "N2" / "1.dcm")
        elif kind == "relative":
            (patient / "ct").symlink_to("../../../archive/export/N2/ct")
        elif kind == "nested":
            (patient / "a").symlink_to(center / "b")
            (center / "b").symlink_to(archive / "export" / "N2" / "ct")
        else:
            (patient / "a").symlink_to(center.parent / "south" / "S1")
            (center.parent / "south" / "S1" / "out").symlink_to(archive / "export" / "N2" / "ct")
    if kind == "file":
        (archive / "export" / "N2" / "1.dcm").write_bytes(b"pixels")
    refused = refusal(patient, center)
    assert refused is not None
    assert (refused.rule, refused.found) == ("link_within_cohort", "1 link leads out of the cohort")
    root = archive if kind == "through a link within" else archive / "export"
    assert refused.advice == f'Send the files themselves, or allow the folder in params.yaml, group ingest: roots: ["{root}"]'
    assert "N2" not in str(refused)
    assert refusal(patient, center, archive / "export") is None


def test_a_link_to_the_system_is_not_followed(center: Path) -> None:
    (center / "N1" / "x").symlink_to("/etc")
    assert read(center) == {"1.dcm"}
    refused = refusal(center / "N1", center)
    assert refused is not None
    assert refused.advice.endswith('group ingest: roots: ["/etc"]')
    assert [entry.path for entry in walk(center, roots_of(center)) if isinstance(entry, Leaving)] == [Path("N1/x")]


def test_no_name_of_a_person_is_in_the_line(center: Path) -> None:
    (center / "N1" / "ct").symlink_to(center.parents[1] / "elsewhere" / "Doe_Jane" / "ct")
    refused = refusal(center / "N1", center, center.parents[1] / "archive")
    assert refused is not None
    assert "Doe" not in str(refused)
    assert refused.advice.endswith(f'roots: ["{center.parents[1] / "archive"}", "{center.parents[1] / "elsewhere"}"]')  # the whole line, with what it had


def test_loops_pipes_devices_and_links_that_lead_nowhere_hold_nothing(center: Path) -> None:
    patient = center / "N1"
    (patient / "up").symlink_to("..")
    (patient / "self").symlink_to(patient)
    (patient / "loop").symlink_to("loop")
    (patient / "a").symlink_to("b")
    (patient / "b").symlink_to("a")
    (patient / "lost.dcm").symlink_to("/nowhere/else")
    (patient / "zero").symlink_to("/dev/zero")
    (patient / ".cache").symlink_to("/etc")
    os.mkfifo(patient / "pipe")
    assert refusal(patient, center) is None
    assert read(patient) == {"1.dcm"}


def test_a_center_below_the_root_of_the_file_system_is_no_cohort_of_everything() -> None:
    assert roots_of(Path("/etc")).places == ("/etc",)
    assert not roots_of(Path("/etc")).hold("/var/x")
    assert not roots_of(Path("/data/cohort/north")).hold("/data/cohort-of-another/x")


def test_cohorts_that_arrived_before_stay_known(center: Path, tmp_path: Path) -> None:
    """A center sent again as a new table with links to the folders of the first delivery."""
    home, again = tmp_path / "home", tmp_path / "second" / "north"
    (center / "clinical.csv").write_text("patient\nN1\n")
    arrivals.take_cohort(home, center.parent)
    again.mkdir(parents=True)
    (again / "clinical.csv").write_text("patient\nN1\n")
    (again / "N1").symlink_to(center / "N1")
    for _ in range(2):
        arrivals.take_center(home, again, "north")
        assert arrivals.link_roots(home, home / "incoming" / "north").hold(str(center / "N1"))
    assert not arrivals.link_roots(tmp_path / "other", again).hold(str(center / "N1"))
    assert arrivals.link_roots(home, again).hold(str(project_root() / "data" / "simulated" / "east"))


def test_the_manifest_of_arrivals_follows_no_link_out(center: Path, tmp_path: Path) -> None:
    (center / "clinical.csv").write_text("patient\nN1\n")
    arrivals.take_cohort(tmp_path / "home", center.parent)
    before = arrivals.describe(tmp_path / "home").centers["north"]
    (center / "N1" / "x").symlink_to("/etc")
    after = arrivals.describe(tmp_path / "home").centers["north"]
    assert (before.files, after.files) == (2, 2)
    assert before.sha256 != after.sha256
    elsewhere = tmp_path / "an archive"
    elsewhere.mkdir()
    (elsewhere / "1.dcm").write_text("x")
    (center / "N1" / "y").symlink_to(elsewhere)
    allowed = arrivals.describe(tmp_path / "home", [str(elsewhere)]).centers["north"]
    assert allowed.files == 3


def test_what_may_not_be_read_is_described_by_its_name(center: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One patient's closed folder ended the ingest of a center, with a sentence about the state folder."""
    (center / "clinical.csv").write_text("patient\nN1\nN2\n")
    (center / "N2").mkdir()
    arrivals.take_cohort(tmp_path / "home", center.parent)
    before = arrivals.describe(tmp_path / "home").centers["north"]
    scandir = os.scandir

    def closed(place: str) -> object:
        if Path(place).name == "N2":
            raise PermissionError(13, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", closed)
    after = arrivals.describe(tmp_path / "home").centers["north"]
    assert after.files == before.files
    assert after.sha256 != before.sha256
    with pytest.raises(PermissionError):
        refuse_leaving(center / "N2", center, roots_of(center))


def test_roots_are_absolute() -> None:
    from dataclasses import replace

    ingest = load_settings().ingest
    assert ingest.roots == ()
    for wrong in ("export", "../x", "/", "~/x"):
        with pytest.raises(ParamsError, match=r"ingest\.roots has '.*'. Give absolute paths of folders"):
            replace(ingest, roots=(wrong,))


@pytest.mark.slow
def test_the_walk_over_600_patients_takes_no_time(tmp_path: Path) -> None:
    for number in range(600):
        patient = tmp_path / "cohort" / "north" / f"N{number}"
        patient.mkdir(parents=True)
        for file in range(20):
            (patient / f"{file}.dcm").touch()
    center = tmp_path / "cohort" / "north"
    roots, started = roots_of(center), time.process_time()
    assert sum(1 for _ in walk(center, roots)) == 12_000
    assert time.process_time() - started < 5  # 0.1 s where this was written
