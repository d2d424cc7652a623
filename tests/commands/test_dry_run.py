"""A dry run says what an ingest then does, and leaves no trace."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from penumbra.cli import main
from penumbra.commands import dry_run
from penumbra.pipeline import arrivals
from penumbra.pipeline.ingest import ingest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

from ..cohort.test_ingest_stage import HEADER, PERSON, Center, write_pair


@pytest.fixture
def center(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Center:
    monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
    return Center(Work(tmp_path / "home", load_settings("quick"), "test"), tmp_path / "sent")


def table(folder: Path, rows: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clinical.csv").write_text(HEADER + "".join(f"{patient},{','.join(PERSON)},{row}\n" for patient, row in rows.items()))


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything with its time and content, but for the two files by which SQLite lets anybody read alongside a writer."""
    paths = [path for path in [folder, *folder.rglob("*")] if not path.name.endswith(("-shm", "-wal"))]
    return {str(path): (0 if path.name == "store" else path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in paths}


def empty_mask(folder: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((24, 24, 24), np.uint8)), str(folder / "gtv.nii.gz"))


@pytest.mark.slow
def test_a_dry_run_says_what_ingest_then_does_and_writes_nothing(center: Center) -> None:
    center.send("east", {"E1": "M,400,1", "E2": "M,500,0"})
    center.send("west", {"W1": "M,400,1", "W2": "F,500,0", "W3": "F,600,0", "W4": "F,700,1", "W5": "F,700,1"})
    folder = center.root / "west"
    (folder / "W1" / "ct.nii.gz").unlink()
    (folder / "W1" / "gtv.nii.gz").unlink()
    (folder / "W1").rmdir()
    for patient, seed in (("W1", 1), ("W6", 0), ("W7", 0), ("E1", 5)):
        write_pair(folder / patient, seed)
    empty_mask(folder / "W7")
    # W1 has another scan, W3 leaves, W4 is dead and now alive, W6 is new, W7 has no GTV, E1 is a patient of east
    table(folder, {"W1": "M,400,1", "W2": "F,500,0", "W4": "F,700,0", "W5": "F,700,1", "W6": "F,50,1", "W7": "F,60,1", "E1": "F,60,1"})
    before = tree(center.work.home)
    found = dry_run.rehearse(center.work, {"west": folder})["west"]
    assert tree(center.work.home) == before
    assert (found.new, found.changed, found.unchanged, found.leaving) == (1, 1, 3, ["W3"])
    assert {(row["patient"], row["rule"]) for row in found.rejections} == {("W7", "gtv_not_empty"), ("E1", "patient_id_free"), ("W3", "clinical_record")}
    assert sum(found.contradicted.values()) == 1
    text = dry_run.shown({"west": found})
    assert "1 / 1 / 3" in text
    assert "Contour the GTV of this patient" in text
    arrivals.take_center(center.work.home, folder, "west")
    facts = ingest(center.work, only="west").centers["west"]
    for name in ("found", "flagged", "contradicted", "rejected"):
        assert getattr(facts, name) == getattr(found, name)
    assert sorted(facts.accepted) == found.accepted
    assert facts.no_longer_sent == len(found.leaving)
    again = dry_run.rehearse(center.work, {"west": folder})["west"]
    assert (again.new, again.changed, again.unchanged, again.leaving) == (0, 0, 5, [])


def test_a_name_that_an_earlier_center_would_take_is_not_free(center: Center) -> None:
    for name, patients in (("a", ("P1", "P2")), ("b", ("P2", "P3"))):
        table(center.root / name, dict.fromkeys(patients, "M,400,1"))
        for seed, patient in enumerate(patients):
            write_pair(center.root / name / patient, seed if name == "a" else seed + 7)
    found = dry_run.rehearse(center.work, {name: center.root / name for name in ("a", "b")})
    assert not center.work.home.exists()
    assert found["a"].accepted == ["P1", "P2"]
    assert found["b"].rejected == {"patient_id_free": 1}


@pytest.mark.slow
def test_a_scan_that_an_earlier_center_would_have_is_found(center: Center) -> None:
    center.send("stored", {"S1": "M,400,1"})
    for name, patient in (("a", "A1"), ("b", "B1"), ("c", "C1")):
        table(center.root / name, {patient: "M,400,1"})
        write_pair(center.root / name / patient, 3)
    for name in ("ct.nii.gz", "gtv.nii.gz"):
        (center.root / "b" / "B1" / name).write_bytes((center.root / "a" / "A1" / name).read_bytes())
        (center.root / "c" / "C1" / name).write_bytes((center.root / "stored" / "S1" / name).read_bytes())
    found = dry_run.rehearse(center.work, {name: center.root / name for name in ("a", "b", "c")})
    assert [facts.rejected for facts in found.values()] == [{}, {"scan_once": 1}, {"scan_once": 1}]
    assert "patient A1 of a" in found["b"].rejections[0]["found"]
    assert "patient S1 of stored" in found["c"].rejections[0]["found"]


def test_a_table_that_is_refused_is_said_and_the_other_centers_are_still_read(center: Center) -> None:
    (center.root / "a").mkdir(parents=True)
    (center.root / "a" / "clinical.csv").write_text("nothing,of,this\n1,2,3\n")
    table(center.root / "b", {"P1": "M,400,1"})
    write_pair(center.root / "b" / "P1", 0)
    found = dry_run.rehearse(center.work, {name: center.root / name for name in ("a", "b")})
    assert found["a"].found == 0
    assert len(found["a"].rejections) == 1
    assert found["b"].accepted == ["P1"]


@pytest.mark.slow
def test_another_pseudonym_key_is_refused_as_by_ingest(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.base.refusal import Refusal

    center.send("east", {"E1": "M,400,1"})
    monkeypatch.setenv("PENUMBRA_PSEUDONYM_KEY", "0123456789abcdef-key")
    before = tree(center.work.home)
    with pytest.raises(Refusal, match="pseudonym_key"):
        dry_run.rehearse(center.work, {"east": center.root / "east"})
    assert tree(center.work.home) == before


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "home"))
    for name in ("east", "west"):
        table(tmp_path / "sent" / name, {f"{name}1": "M,400,1"})
        write_pair(tmp_path / "sent" / name / f"{name}1", 3)
    both = CliRunner().invoke(main, ["ingest", str(tmp_path / "sent"), "--dry-run"])
    assert both.exit_code == 0, both.output
    assert "east" in both.output
    assert "west" in both.output
    assert "Nothing was written." in both.output
    one = CliRunner().invoke(main, ["ingest", str(tmp_path / "sent" / "east"), "--center", "east", "--dry-run"])
    assert one.exit_code == 0
    assert "penumbra ingest" in one.output
    for wrong in (["--new-key"], ["--center", "east"]):
        assert CliRunner().invoke(main, ["ingest", "--dry-run", *wrong]).exit_code != 0
    assert not (tmp_path / "home").exists()
