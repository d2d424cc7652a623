"""Every evaluation on a center that does not train is counted, once; and a module that measures on outcomes goes through the one door."""

import ast
import importlib
import inspect
import pkgutil
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store, survival
from penumbra.base.params import project_root
from penumbra.commands.drift import drift_of
from penumbra.commands.monitor import monitor
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import looks, recalibration
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.comparison import compare
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.register import register
from penumbra.pipeline.workspace import Work
from penumbra.store import answer

from ..small_run import few_models, say_what_it_was_made_from, small_work

SOURCE = project_root() / "src" / "penumbra"
# Modules that call what measures outcomes and look at no center outside, each with why.
NO_LOOK = {
    "pipeline/people.py": "the median follow-up of a center, of everybody and without a risk, as the baseline table has it",
    "pipeline/inside.py": "cross-fitted risks of the training patients alone",
    "pipeline/fuse.py": "slope and baseline of the training patients alone",
    "pipeline/plots.py": "curves of what the stage evaluate has measured, and counts",
    "pipeline/prospective.py": "checks a stored C against its patients and shows none",
    "retraining/protocol.py": "asks the stage evaluate, which counts, and the steps validation and update, which do",
    "bench/redrawn.py": "deaths drawn from the simulated truth",
    "bench/reference.py": "small cases of other programs",
    "bench/statistics.py": "random outcomes",
    "bench/lasso.py": "random outcomes",
}
MEASURES = ("OneModel", "paired_rows", "contrasts", "measured", "evaluate", "internal_external", "resampled_fits", "inside_rows", "choose", "examine")


def ledger(home: Path) -> list[dict[str, Any]]:
    with store.connect(home, read_only=True) as lake:
        rows = lake.rows("looks")
    return sorted(rows, key=lambda row: row["at"])


def counted(home: Path) -> list[tuple[str, str, int, int]]:
    return [(row["stage"], row["center"], row["patients"], row["events"]) for row in ledger(home)]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    """North trains; east and south were evaluated once."""
    home = tmp_path_factory.mktemp("looks")
    shutil.copytree(empty_registry, home, dirs_exist_ok=True)
    work = small_work(home)
    weights = home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    work = replace(work, settings=few_models(work.settings))
    work = replace(work, settings=replace(work.settings, evaluate=replace(work.settings.evaluate, bootstraps=20, refits=2)))
    say_what_it_was_made_from(work)
    fuse(work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_stage, "cross_fitted_falsifiers", lambda *_: {})  # they look at the training patients alone
        evaluate(work)
    return work


@pytest.fixture
def work(evaluated: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    monkeypatch.setattr(register_stage, "released_network", lambda weights, folder: weights)
    monkeypatch.setattr(evaluate_stage, "cross_fitted_falsifiers", lambda *_: {})
    shutil.copytree(evaluated.home, tmp_path / "home")
    return replace(evaluated, home=tmp_path / "home")


def outside(work: Work) -> dict[str, tuple[int, int]]:
    data = read_dataset(work)
    return {center: (int((data.centers == center).sum()), int(data.event[data.centers == center].sum())) for center in ("east", "south")}


def test_an_evaluation_is_one_look_at_each_center_outside_and_a_cached_one_is_none(work: Work) -> None:
    expected = [("evaluate", center, *size) for center, size in outside(work).items()]
    assert sorted(counted(work.home)) == expected
    first = ledger(work.home)[0]
    assert (first["split"], first["model"], first["version"]) == ("test", "nsclc-os", None)
    evaluate(work)
    assert sorted(counted(work.home)) == expected, "the second run read its own manifest"
    evaluate(replace(work, settings=replace(work.settings, evaluate=replace(work.settings.evaluate, bootstraps=21))))
    assert len(counted(work.home)) == 4, "other numbers are another look"
    assert len({row["evaluation"] for row in ledger(work.home)}) == 2


def test_compare_drift_and_monitor_are_looks(work: Work) -> None:
    register(work)
    before = len(ledger(work.home))
    compare(work.home, (), work.settings.evaluate)
    drift_of(work, "east")
    size = outside(work)
    assert counted(work.home)[before:] == [("compare", "east", *size["east"]), ("compare", "south", *size["south"]), ("drift", "east", *size["east"])]
    drift_of(replace(work, settings=replace(work.settings, cohort=replace(work.settings.cohort, train_centers=("north", "south")))), "north")
    assert len(ledger(work.home)) == before + 3, "a training center is not looked at"
    assert monitor(work) == [], "nobody's outcome came later"
    assert len(ledger(work.home)) == before + 3
    with store.connect(work.home) as lake:
        row = next(row for row in lake.rows("patients") if row["patient"] == "E003")
        news = {**{name: row[name] for name in row if name not in ("commit_id", "clinical_version")}, "time": row["time"] + 400.0}
        lake.write({"patients": [news]}, run="test", what="an outcome that came later")
    monitor(work)
    assert [(row["stage"], row["center"], row["split"], row["version"], row["patients"]) for row in ledger(work.home)[before + 3 :]] == [
        ("monitor", "east", "live", "1", 1)
    ]
    monitor(work)
    assert len(ledger(work.home)) == before + 4, "a night without news is none"


def test_a_recalibration_is_a_look_and_one_at_a_training_center_is_none(work: Work) -> None:
    register(work)
    champion, before = registry.load(work.home), len(ledger(work.home))
    asked = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, recalibrate_from=5)))
    recalibration.at_center(asked, champion, read_dataset(work), "east")
    recalibration.at_center(asked, champion, read_dataset(work), "north")
    assert counted(work.home)[before:] == [("recalibration", "east", *outside(work)["east"])]


def test_no_patient_is_named_and_sql_counts_looks(work: Work) -> None:
    text = str(ledger(work.home))
    assert not any(patient in text for patient in read_dataset(work).patients.tolist())
    assert answer.query(work.home, "SELECT center, count(*) AS looks FROM looks GROUP BY ALL ORDER BY ALL").to_pylist() == [
        {"center": "east", "looks": 1},
        {"center": "south", "looks": 1},
    ]


def test_where_the_store_cannot_be_written_the_look_is_reported(work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = ledger(work.home)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    looks.count(work.home, "test", looks.Look("drift", {}), np.array(["east"]), np.array([True]))
    assert ledger(work.home) == before
    assert "not counted in the ledger of looks" in capsys.readouterr().err


def test_a_module_that_measures_on_outcomes_passes_the_door() -> None:
    """A new caller of a statistic that takes event and time counts its look, or is listed above with the reason why it looks at nobody outside."""
    modules = [importlib.import_module(f"penumbra.survival.{found.name}") for found in pkgutil.iter_modules(survival.__path__)]
    functions = [(name, one) for module in modules for name, one in vars(module).items() if inspect.isfunction(one)]
    statistics = {name for name, one in functions if list(inspect.signature(one).parameters)[:2] == ["event", "time"]} | set(MEASURES)
    assert {"concordance_index", "kaplan_meier", "log_rank"} <= statistics
    callers = set()
    for folder in ("pipeline", "commands", "retraining", "bench"):
        for file in sorted((SOURCE / folder).glob("*.py")):
            text = file.read_text(encoding="utf-8")
            if _uses(ast.parse(text)) & statistics and "looks.count" not in text:
                callers.add(f"{folder}/{file.name}")
    assert callers == set(NO_LOOK)


def _uses(tree: ast.Module) -> set[str]:
    """What a module imports from the packages that measure, or uses as an attribute of `survival`."""
    homes = ("penumbra.survival", "penumbra.evaluate", "penumbra.pipeline.evaluate")
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(homes)]
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "survival"]
    return {alias.name for node in imports for alias in node.names} | {node.attr for node in attributes}
