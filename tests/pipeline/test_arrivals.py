"""Centers in incoming/: links, their replacement, and a manifest that depends on contents alone."""

from pathlib import Path

import pytest

from penumbra.base import project
from penumbra.base.params import project_root, state_home
from penumbra.base.refusal import Refusal
from penumbra.pipeline import arrivals, manifests


def make_cohort(folder: Path, *centers: str) -> Path:
    for center in centers:
        (folder / center / "P1").mkdir(parents=True)
        (folder / center / "clinical.csv").write_text(f"patient,center\nP1,{center}\n")
        (folder / center / "P1" / "slice.dcm").write_bytes(b"pixels")
    (folder / "truth.json").write_text("{}")
    return folder


def test_a_cohort_s_centers_become_links_and_the_next_cohort_replaces_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    arrivals.take_cohort(home, make_cohort(tmp_path / "a", "north", "east"))
    assert list(arrivals.center_folders(home)) == ["east", "north"]
    arrivals.take_cohort(home, make_cohort(tmp_path / "b", "south", "east"))
    assert {center: folder.resolve().parent.name for center, folder in arrivals.center_folders(home).items()} == {"east": "b", "south": "b"}


def test_real_folders_in_incoming_are_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_cohort(home / "incoming", "west")
    (home / "incoming" / "truth.json").unlink()
    with pytest.raises(Refusal, match=r"incoming/ has folders of its own: west.*\(rule incoming_is_free\)"):
        arrivals.take_cohort(home, make_cohort(tmp_path / "a", "north"))
    with pytest.raises(Refusal, match="incoming_is_free"):
        arrivals.take_center(home, tmp_path / "a" / "north", "west")
    arrivals.take_cohort(home, home / "incoming")
    assert list(arrivals.center_folders(home)) == ["west"]


@pytest.mark.parametrize("name", ["../up", ".hidden", "", "a/b", "-x"])
def test_a_center_s_name_cannot_leave_incoming(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refusal, match="center_name"):
        arrivals.take_center(tmp_path / "home", tmp_path, name)


def test_no_center_is_said(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="a_center_has_arrived"):
        arrivals.center_folders(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match="cohort_has_centers"):
        arrivals.take_cohort(tmp_path / "home", tmp_path / "empty")


def test_a_folder_that_is_no_cohort_and_no_center_leaves_incoming_as_it_is(tmp_path: Path) -> None:
    """Any folder was linked: the centers of the cohort before were gone, and a link that led nowhere ended in a traceback."""
    home, wrong = tmp_path / "home", tmp_path / "wrong"
    arrivals.take_cohort(home, make_cohort(tmp_path / "a", "north"))
    (wrong / "settings").mkdir(parents=True)
    with pytest.raises(Refusal, match=r"no subfolder with a clinical\.csv.*\(rule cohort_has_centers\)"):
        arrivals.take_cohort(home, wrong)
    with pytest.raises(Refusal, match=r"no clinical\.csv in the folder.*\(rule clinical_found\)"):
        arrivals.take_center(home, wrong, "south")
    assert list(arrivals.center_folders(home)) == ["north"]


def test_links_that_lead_nowhere_are_no_files(tmp_path: Path) -> None:
    home = tmp_path / "home"
    cohort = make_cohort(tmp_path / "a", "north")
    arrivals.take_cohort(home, cohort)
    before = arrivals.describe(home)
    (cohort / "north" / "P1" / "lost.dcm").symlink_to(tmp_path / "nowhere")
    assert arrivals.describe(home) == before


def test_the_manifest_depends_on_contents_not_on_place_and_notices_a_change(tmp_path: Path) -> None:
    described = []
    for name in ("a", "b"):
        arrivals.take_cohort(tmp_path / f"home-{name}", make_cohort(tmp_path / name, "north"))
        described.append(arrivals.describe(tmp_path / f"home-{name}"))
    assert described[0] == described[1]
    assert arrivals.describe(tmp_path / "home-a") == described[0]
    (tmp_path / "a" / "north" / "P1" / "slice.dcm").write_bytes(b"pixelz")
    assert arrivals.describe(tmp_path / "home-a") != described[0]


def test_an_experiment_in_a_copy_of_the_project_works_on_the_project_s_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc exp run --temp` and its queue copy what git has to .dvc/tmp/exps: their numbers are the copy's, and what a stage leaves stays there."""
    root, copy = tmp_path / "clinic", tmp_path / "clinic" / ".dvc" / "tmp" / "exps" / "standalone" / "tmp1"
    for folder in (root, copy):
        folder.mkdir(parents=True)
        for name in ("params.yaml", "dvc.yaml"):
            (folder / name).write_text("", encoding="utf-8")
    monkeypatch.delenv("PENUMBRA_HOME", raising=False)
    monkeypatch.setenv("PENUMBRA_PROJECT", str(root))
    monkeypatch.chdir(root)
    assert project.experiment() is None
    home = state_home()
    assert (project_root(), home) == (root, root / "data")
    arrivals.take_cohort(home, make_cohort(tmp_path / "cohort", "north"))
    arrivals.note(home)
    left = manifests.write(home, manifests.ReportManifest(page="index.html", key="k"))
    below = copy / "notes"
    below.mkdir()
    monkeypatch.chdir(below)
    assert (project_root(), state_home()) == (copy, home)
    assert manifests.earlier(home, manifests.ReportManifest) is None
    arrivals.note(home)
    assert manifests.read(home, manifests.ReportManifest) == left
    manifests.write(home, manifests.ReportManifest(page="index.html", key="other"))
    arrivals.note(home)
    assert manifests.read(home, manifests.ReportManifest).key == "other", "what the experiment left stays"
    assert (copy / "data" / "manifests" / "arrivals.json").is_file()
    monkeypatch.chdir(root)
    assert manifests.read(home, manifests.ReportManifest) == left


def test_dvc_begins_where_a_cohort_has_arrived_in_the_state_that_it_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fresh clone `dvc repro` ended with [Errno 2] and the path of a manifest."""
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    monkeypatch.setenv("PENUMBRA_PROJECT", str(tmp_path))
    with pytest.raises(Refusal, match=r"no center folder in incoming/. Run penumbra run --cohort DIR first .*\(rule a_center_has_arrived\)"):
        arrivals.note(tmp_path / "data")
    with pytest.raises(Refusal, match=r"PENUMBRA_HOME is elsewhere.*\(rule described_by_dvc\)"):
        arrivals.note(tmp_path / "other")
