"""What DVC shows of a run: a few numbers and small tables next to dvc.yaml; and evaluations that are kept by their key."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import survival
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import evaluated_before
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse, load_models, risks
from penumbra.pipeline.manifests import EvaluateManifest
from penumbra.pipeline.workspace import Work

from ..projects import project_with
from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        return project_with(tmp_path_factory.mktemp("described"), patched)


@pytest.fixture(autouse=True)
def in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_PROJECT", str(project))


@pytest.fixture(scope="module")
def work(project: Path) -> Work:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PENUMBRA_PROJECT", str(project))
        work = few(small_work(project / "data", features=6))
        fuse(work)
        evaluate(work)
    return work


def few(work: Work, bootstraps: int = 20) -> Work:
    settings = few_models(work.settings)
    return replace(work, settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=bootstraps, refits=2)))


def table(project: Path, name: str) -> list[dict[str, str]]:
    with (project / "plots" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_json_has_a_handful_of_numbers_of_the_served_model(work: Work, project: Path) -> None:
    evaluated = evaluate(work)
    assert evaluated.choice is not None
    numbers = json.loads((project / "metrics.json").read_text(encoding="utf-8"))
    assert list(numbers) == ["C_inside", "C_external", "C_lowest", "C_gain", "slope", "OE_2y"]
    of = {(row.center, row.metric): row.value for row in evaluated.metrics if row.model == evaluated.choice.served and row.split == "test"}
    assert numbers["C_external"] == round(of["external", "harrell_c"], 4)
    assert numbers["C_lowest"] == round(min(of["east", "harrell_c"], of["south", "harrell_c"]), 4)
    assert numbers["slope"] == round(of["external", "calibration_slope"], 4)
    assert numbers["OE_2y"] == round(of["external", "observed_expected_2y"], 4)


def test_the_tables_say_what_the_statistics_say_of_the_same_patients(work: Work, project: Path) -> None:
    evaluated, data = evaluate(work), read_dataset(work)
    assert evaluated.choice is not None
    served = evaluated.choice.served
    risk = risks(load_models(work, fuse(work).key), data)[served].of(~data.training)
    event, time = data.event[~data.training], data.time[~data.training]
    by_center = {row["center"]: row for row in table(project, "harrell_c")}
    assert list(by_center) == ["inside", "east", "south", "external"]
    assert float(by_center["external"]["harrell_c"]) == pytest.approx(survival.concordance_index(event, time, risk.log_risk), abs=1e-4)
    assert {row["model"] for row in table(project, "models")} >= {served, "Volume", "Clinical"}
    high = risk.log_risk > risk.cutoff
    for row in table(project, "kaplan_meier"):
        assert float(row["day"]) % 30 == 0, "nobody's own day"
        for name, group in (("low_risk", ~high), ("high_risk", high)):
            expected = survival.kaplan_meier(event[group], time[group]).at([float(row["day"])])[0][0]
            assert float(row[name]) == pytest.approx(expected, abs=1e-4)
    rates = {float(row["false_positive_rate"]): float(row["true_positive_rate"]) for row in table(project, "roc")}
    died, lived = event & (time <= 730), time > 730
    for rate in (0.2, 0.5):
        above = np.sort(risk.log_risk[lived])[::-1]  # at most this share of the living is called at risk
        thresholds = [value for value in risk.log_risk[died | lived] if (above >= value).mean() <= rate + 1e-9]
        assert rates[rate] == pytest.approx(max(((risk.log_risk[died] >= value).mean() for value in thresholds), default=0.0), abs=1e-4)
    assert rates[1.0] == 1.0
    for row in table(project, "calibration"):
        assert 0 <= float(row["predicted"]) <= 1


def test_going_back_measures_nothing_again(work: Work, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment and back: 40 s of bootstraps for numbers that were there."""
    first, files = evaluate(work), {path: path.read_bytes() for path in sorted((project / "plots").iterdir())}
    calls = list[str]()
    measured = evaluate_stage.measured
    monkeypatch.setattr(evaluate_stage, "measured", lambda *of, **how: calls.append("measured") or measured(*of, **how))  # type: ignore[func-returns-value]
    other = evaluate(few(work, bootstraps=21))
    assert (other.key != first.key, calls) == (True, ["measured"])
    assert evaluate(work) == first
    assert evaluate(few(work, bootstraps=21)) == other
    assert evaluate(work) == first
    assert calls == ["measured"]
    assert {path: path.read_bytes() for path in files} == files
    refits = evaluated_before.refits_file(work.home, first.key)
    if refits.is_file():
        refits.unlink()
        assert evaluate(work) == first, "measured again to the same values"
        assert calls == ["measured", "measured"]


def test_a_half_written_evaluation_is_measured_again_and_few_are_kept(work: Work, tmp_path: Path) -> None:
    evaluated = evaluate(work)
    home = tmp_path / "home"
    file = home / "manifests" / f"evaluated-{evaluated.key}.json"
    evaluated_before.keep(home, replace(evaluated, refits=None))
    assert evaluated_before.of(home, evaluated.key) is not None
    file.write_text(file.read_text(encoding="utf-8")[:1000], encoding="utf-8")
    assert evaluated_before.of(home, evaluated.key) is None
    for i in range(evaluated_before.MAX_EVALUATIONS + 3):
        refits = evaluated_before.refits_file(home, f"k{i}")
        refits.parent.mkdir(exist_ok=True)
        refits.write_bytes(b"refits")
        evaluated_before.keep(home, EvaluateManifest(key=f"k{i}", metrics=(), refits="digest"))
    left = {path.stem for path in (home / "refits").iterdir()}
    assert left == {f"k{i}" for i in range(3, evaluated_before.MAX_EVALUATIONS + 3)}
    assert evaluated_before.of(home, "k2") is None
    assert evaluated_before.of(home, "k3") is not None


def test_tables_without_a_point_where_nothing_is_served_and_inside_alone_without_another_center(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path, monkeypatch)
    work = few(small_work(project / "data", centers={"north": 60}, features=6))
    fuse(work)
    evaluate(work)
    assert set(json.loads((project / "metrics.json").read_text(encoding="utf-8"))) == {"C_inside"}
    assert {row["center"] for row in table(project, "harrell_c")} == {"inside"}
    assert {row["patients"] for row in table(project, "kaplan_meier")} == {"inside"}
