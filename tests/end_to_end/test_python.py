"""The Python of docs/python.md, of the docstrings and of examples/, on the finished run; and its numbers are those of the commands."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import penumbra
from tests import docstrings

from .conftest import Run, environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb"))

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the run's home and cohort, which the examples name."""
    (tmp_path / "data").mkdir()
    (tmp_path / "home").symlink_to(run.home)
    for link in (tmp_path / "simulated", tmp_path / "data" / "simulated"):
        link.symlink_to(run.cohort)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENUMBRA_HOME", str(run.home))
    return tmp_path


def test_examples_of_the_docstrings(folder: Path) -> None:
    wrong, names = list[str](), []
    for name, thing in docstrings.exported(""):
        if docstrings.has_example(thing):
            names.append(name.removeprefix("penumbra."))
            wrong += docstrings.wrong_examples(name, thing, folder, {})
    assert not wrong, "\n".join(wrong)
    assert set(names) == {"compare", "load", "models", "predict", "read", "sql", "Version.predict", "Version.read"}


def test_the_page_runs_from_top_to_bottom(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 9
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    printed, shown = capsys.readouterr().out, "".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL))
    assert re.sub(r"other \d+", "other N", printed) == re.sub(r"other \d+", "other N", shown)  # there will be more relations


def test_the_readme_runs(folder: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_values_are_those_of_the_commands(run: Run) -> None:
    """Stored predictions, one patient's prediction, the versions, the standings, and a relation as of the champion."""
    champion = penumbra.load("champion", home=run.home)
    answer = champion.predict(champion.read())
    stored = penumbra.read("predictions", home=run.home)
    stored = stored[stored["version"] == str(champion.version)]
    both = answer.merge(stored, on=["patient", "center"])
    assert len(both) == len(answer) == len(stored)
    for name in ("log_risk", "survival_1y", "survival_2y", "survival_3y"):
        assert both[f"{name}_x"].to_numpy(dtype=float) == pytest.approx(both[f"{name}_y"].to_numpy(dtype=float), rel=1e-12), name
    assert both["risk_group_x"].tolist() == both["risk_group_y"].tolist()
    assert both["applicability_x"].isin(["inside", "edge", "outside"]).all()

    place = run.cohort / "east" / "E001"
    predicted = json.loads(json.dumps(penumbra.predict(place, champion, home=run.home).to_dict()))
    assert predicted == json.loads(run.penumbra("predict", str(place), "--format", "json").stdout)
    for frame, command in ((penumbra.models(home=run.home), "models"), (penumbra.compare(home=run.home).rows, "compare")):
        printed = list(csv.DictReader(run.penumbra(command, "--format", "csv").stdout.splitlines()))
        assert list(printed[0]) == frame.columns.tolist()
        for name in ("harrell_c", "c", "n"):
            if name in frame:
                assert [float(row[name]) for row in printed] == pytest.approx(frame[name].tolist(), rel=1e-12)
    early = run.penumbra("sql", "SELECT max(id) AS id FROM commits", "--as-of", "champion", "--format", "csv").stdout.split()[1]
    assert int(early) == penumbra.read("commits", as_of="champion", home=run.home)["id"].max() == champion.loaded.entry.store_commit


def test_a_version_gives_its_evidence(run: Run) -> None:
    from penumbra.survival import concordance_index

    champion = penumbra.load("champion", home=run.home)
    metrics = champion.metrics
    assert metrics["split"].iloc[0] == "cross_fitted"
    assert metrics["split"].iloc[-1] == "train"
    assert metrics["split"].tolist() == sorted(metrics["split"], key=("cross_fitted", "left_out", "live", "test", "train").index)
    assert set(champion.coefficients["name"]) == set(champion.features)
    assert champion.coefficients["coefficient"].abs().is_monotonic_decreasing
    people = champion.cross_fitted
    assert set(people["center"]) == set(champion.loaded.entry.train_centers)
    apparent = champion.predict(champion.read(center="north", outcome=True))
    risks = people.merge(apparent, on="patient")
    assert concordance_index(risks["event"], risks["time"], risks["log_risk_x"]) < concordance_index(risks["event"], risks["time"], risks["log_risk_y"])


def example(run: Run, name: str, folder: Path, *arguments: str, home: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments], cwd=folder, env=environment(home or run.home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_own_center(run: Run, tmp_path: Path) -> None:
    """Their headings, their months: two patients are in a new store, and a third without a scan is refused by name."""
    scans = tmp_path / "scans"
    for patient in ("E001", "E002"):
        shutil.copytree(run.cohort / "east" / patient, scans / patient)
    table = tmp_path / "theirs.csv"
    table.write_text("ID,Age,Sex,Months,Dead\nE001,61,female,20.5,1\nE002,74,male,31,0\nE777,70,male,12,1\n", encoding="utf-8")
    printed = example(run, "own_center.py", tmp_path, str(table), str(scans), "mine", home=tmp_path / "home")
    people = penumbra.read("patients", home=tmp_path / "home")
    assert people["patient"].tolist() == ["E001", "E002"]
    assert people["event"].tolist() == [True, False]
    assert people["time"].tolist() == pytest.approx([20.5 * 30.4375, 31 * 30.4375], rel=0.01)
    assert "E777" in printed


def test_features_as_frame(run: Run, tmp_path: Path) -> None:
    printed = example(run, "features_as_frame.py", tmp_path, "east").splitlines()
    center = penumbra.sql("SELECT patients, events FROM centers WHERE center = 'east'", home=run.home)
    assert printed[0] == f"east: {center['patients'].iloc[0]} patients, {center['events'].iloc[0]} died, 14 features of shape"
    assert len(printed) == 3


def test_own_statistic(run: Run, tmp_path: Path) -> None:
    """The Brier score of the example is the project's own, and the common probability has no skill against itself."""
    printed = example(run, "own_statistic.py", tmp_path)
    score = float(re.search(r"at 2 years: ([\d.]+)", printed)[1])  # type: ignore[index]
    version = penumbra.load(home=run.home)
    people = version.cross_fitted
    from penumbra.survival import brier

    alive = version.loaded.model.survival(people["log_risk"], [730.0])[:, 0]
    assert score == pytest.approx(brier(people["event"], people["time"], alive, 730.0), abs=1e-3)
    skill, lower, upper = (float(number) for number in re.findall(r"(-?[\d.]+)%", printed.replace("95 %", "")))
    assert lower <= skill <= upper


@pytest.mark.parametrize("name", ["first_look.ipynb", "sql.ipynb"])
def test_the_notebook_runs_and_holds_what_it_gave(run: Run, tmp_path: Path, name: str) -> None:
    """Executed in a kernel; the outputs in git are tables of the same columns, without a path or a failure."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own
        import nbformat
        from nbclient import NotebookClient

        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert len(text) < 40_000
        assert not re.search(r"/(?:home|tmp|work|root|Users)/", text)
        committed, fresh = (nbformat.reads(text, as_version=4) for _ in range(2))
        for cell in fresh.cells:
            cell.pop("outputs", None)
            if cell.cell_type == "code":
                cell.outputs = []
        before = dict(os.environ)
        os.environ.update(environment(run.home))
        try:
            NotebookClient(fresh, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
        finally:
            os.environ.clear()
            os.environ.update(before)
    pairs = [(old, new) for old, new in zip(committed.cells, fresh.cells, strict=True) if old.cell_type == "code"]
    assert len(pairs) >= 3
    for old, new in pairs:
        assert [output.output_type for output in new.outputs] == [output.output_type for output in old.outputs] == ["execute_result"]
        head = [output.data["text/plain"].split("\n")[0].split() for cell in (old, new) for output in cell.outputs]
        assert head[0] == head[1]


def test_every_example_has_a_test_and_a_line() -> None:
    """One that is added is run here, and described in examples/README.md."""
    described = re.findall(r"^\| `([\w.]+)` \|", (ROOT / "examples" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(described) == EXAMPLES
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in EXAMPLES if f'"{name}"' not in here] == []
