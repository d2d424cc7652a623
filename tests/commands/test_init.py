"""A project of one's own: whole or not there, found from below, and brought up to newer defaults without losing an edit."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra.base import params, project
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.commands import doctor, init
from penumbra.commands.merge import merge

OLDER = ("bootstraps: 1000", "bootstraps: 900")  # what a default once was


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable names a project or a state folder, and no test runs from the checkout."""
    for name in ("PENUMBRA_PROJECT", "PENUMBRA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def older(folder: Path) -> Path:
    """A project that was made when one default was another."""
    init.init(folder)
    record = init.made_from(folder)
    assert OLDER[0] in record.files["params.yaml"]
    text = record.files["params.yaml"].replace(*OLDER)
    (folder / "params.yaml").write_text(text)
    content = init.MadeFrom("0.0.9", {**record.files, "params.yaml": text}).to_json()
    (folder / project.MADE_FROM).write_text(json.dumps(content))
    return folder


def test_a_project_is_found_from_every_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init.init(tmp_path / "clinic")
    below = tmp_path / "clinic" / "data" / "notes"
    below.mkdir(parents=True)
    for place in (tmp_path / "clinic", below):
        monkeypatch.chdir(place)
        assert params.project_root() == tmp_path / "clinic"
        assert params.state_home() == tmp_path / "clinic" / "data"
    monkeypatch.chdir(tmp_path)
    assert params.project_root() == project.checkout()
    monkeypatch.setenv("PENUMBRA_PROJECT", str(tmp_path / "clinic"))
    assert params.project_root() == tmp_path / "clinic"


def test_its_margins_are_those_of_the_relations_and_the_program_keeps_its_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project has no views and migrations of its own: an update of the program brings them."""
    from penumbra.store.views import relation_names

    init.init(tmp_path / "clinic")
    assert not (tmp_path / "clinic" / "features" / "views").exists()
    monkeypatch.chdir(tmp_path / "clinic")
    rois = tmp_path / "clinic" / "features" / "rois.yaml"
    rois.write_text(rois.read_text().replace("margins_mm: [3, 6, 9]", "margins_mm: [3, 6, 9, 12]"))
    assert "ring_12mm_outcome" in relation_names()


def test_an_installed_program_without_a_project_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "checkout", lambda: None)
    assert params.project_root() == project.DEFAULTS
    with pytest.raises(params.ParamsError, match=r"not in a project\. Run penumbra init FOLDER"):
        params.state_home()


def test_only_a_new_or_empty_folder_becomes_a_project(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    folder.mkdir()
    (folder / "thesis.tex").write_text("text")
    with pytest.raises(Refusal, match=r"the folder is not empty: thesis.tex. Name a new or an empty folder"):
        init.init(folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    (folder / "thesis.tex").unlink()
    (folder / ".git").mkdir()
    said = init.init(folder)
    assert "git: the repository that is there" in said
    with pytest.raises(Refusal, match="a project already"):
        init.init(folder)


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_a_project_is_there_whole_or_not_at_all(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at each of its writes and moves: no project, and the same command makes it."""
    whole = tmp_path / "whole"
    init.init(whole)
    expected = {path.relative_to(whole) for path in whole.rglob("*") if ".git/" not in path.as_posix()}
    real_write, real_replace, stops = Path.write_text, Path.replace, 0
    for after in range(60):
        folder, steps = tmp_path / f"clinic {after}", 0
        if there:
            folder.mkdir()

        def step(after: int = after) -> None:
            nonlocal steps
            steps += 1
            if steps > after:
                raise KeyboardInterrupt

        def write(self: Path, *arguments: object, **options: object) -> int:
            step()
            return real_write(self, *arguments, **options)  # type: ignore[arg-type]

        def move(self: Path, target: Path) -> Path:
            step()
            return real_replace(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_text", write)
            patched.setattr(Path, "replace", move)
            try:
                init.init(folder)
            except KeyboardInterrupt:
                stops += 1
                assert not project.is_made(folder)
                assert there or not folder.exists()
        if not project.is_made(folder):
            init.init(folder)
        assert {path.relative_to(folder) for path in folder.rglob("*") if ".git/" not in path.as_posix()} == expected
        if steps <= after:
            break
    assert stops >= len(init.defaults())


def test_no_git_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert any("no git" in line for line in init.init(tmp_path / "clinic"))
    assert "no_scm = true" in (tmp_path / "clinic" / ".dvc" / "config").read_text()


def test_an_update_shows_what_the_defaults_changed_and_applies_it_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = older(tmp_path / "clinic")
    own = (folder / "params.yaml").read_text().replace("profile: quick", "profile: best")
    (folder / "params.yaml").write_text(own)
    monkeypatch.chdir(folder)
    shown = CliRunner().invoke(main, ["init", "--update"])
    assert "between penumbra 0.0.9 and " in shown.stdout
    changed = [line for line in shown.stdout.splitlines() if line.startswith(("+", "-")) and "params.yaml" not in line]
    assert [(line[0], line[1:].split("#")[0].strip()) for line in changed] == [("-", OLDER[1]), ("+", OLDER[0])]
    assert (folder / "params.yaml").read_text() == own, "shown, not written"
    waits = [finding for finding in doctor.examine(None, "project") if finding.waits]
    assert "changed in params.yaml; penumbra init --update shows how" in waits[0].found
    assert CliRunner().invoke(main, ["init", "--update", "--apply"]).exit_code == 0
    assert (folder / "params.yaml").read_text() == own.replace(OLDER[1], OLDER[0])
    assert "are those that this project was made from" in CliRunner().invoke(main, ["init", "--update"]).stdout
    assert [finding.ok for finding in doctor.examine(None, "project")] == [True]


def test_a_line_that_both_changed_is_a_conflict_that_stays_until_it_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = older(tmp_path / "clinic")
    own = (folder / "params.yaml").read_text().replace(OLDER[1], "bootstraps: 200")
    (folder / "params.yaml").write_text(own)
    monkeypatch.chdir(folder)
    line = next(i for i, text in enumerate(own.splitlines(), 1) if "bootstraps: 200" in text)
    for _ in range(2):
        said = CliRunner().invoke(main, ["init", "--update", "--apply"])
        assert f"Conflict in params.yaml, line {line}: the project has 'bootstraps: 200" in said.stdout
        assert (folder / "params.yaml").read_text() == own
    CliRunner().invoke(main, ["init", "--update", "--apply", "--keep-own"])
    assert (folder / "params.yaml").read_text() == own
    assert "Conflict" not in CliRunner().invoke(main, ["init", "--update"]).stdout


def test_a_new_default_file_comes_with_an_update(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    init.init(folder)
    record = init.made_from(folder)
    (folder / "models" / "late.yaml").unlink()
    files = {path: text for path, text in record.files.items() if path != "models/late.yaml"}
    (folder / project.MADE_FROM).write_text(json.dumps(init.MadeFrom("0.0.9", files).to_json()))
    init.apply(init.compare(folder))
    assert (folder / "models" / "late.yaml").read_text() == record.files["models/late.yaml"]


def test_merging_by_hand() -> None:
    base = "a\nb\nc\nd\ne\n"
    assert merge(base, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n").text == "A\nb\nc\nd\nE\n"
    assert merge(base, "a\nb\nd\ne\n", "a\nb\nc\nd\ne\nf\n").text == "a\nb\nd\ne\nf\n"
    both = merge(base, "a\nX\nc\nd\ne\n", "a\nY\nc\nd\nE\n")
    assert (both.text, both.base) == ("a\nX\nc\nd\nE\n", "a\nb\nc\nd\nE\n")
    assert [conflict.line for conflict in both.conflicts] == [2]
    assert merge(base, "a\nX\nc\nd\ne\n", "a\nX\nc\nd\ne\n").conflicts == ()
    assert merge(both.base, both.text, "a\nY\nc\nd\nE\n", keep_own=True).base == "a\nY\nc\nd\nE\n"


def test_outside_a_project_there_is_nothing_to_update(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["init", "--update"])
    assert said.exit_code == 1
    assert "no project here" in said.output
    assert list(tmp_path.iterdir()) == []


def test_a_new_project_has_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """features/clinical.yaml, which holds comments alone, was called empty."""
    init.init(tmp_path / "clinic")
    monkeypatch.chdir(tmp_path / "clinic")
    assert [finding for finding in doctor.examine(None, "project", "parameters") if not finding.ok] == []
