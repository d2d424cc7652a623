"""A closed test at a center, and a version that changes as much as it asks, at that center alone."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.pipeline import aliases, recalibration, updating
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.database import quiet_mlflow
from penumbra.registry.updates import Update

from ..registry.small_bundle import METRICS, small_bundle
from .test_recalibration import LEVEL
from .test_recalibration import patients as patients_of

pytestmark = pytest.mark.slow

MODEL = "nsclc-os"
STORED = {"harrell_c": 0.7, "brier_1y": 0.9}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """Version 1 is champion and was fitted on north."""
    home = tmp_path_factory.mktemp("updating") / "home"
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    work = Work(home, load_settings("quick"), "test")
    registry.register(home, small_bundle(home / "weights"), METRICS)
    aliases.set_alias(work, 1, reason="the first version")
    rows = [{"model": MODEL, "version": "1", "patient": f"N{i:03d}", "center": "north", "split": "train"} for i in range(20)]
    metric = {"model": MODEL, "version": "1", "split": "test", "lower": None, "upper": None, "n": 60, "events": 50}
    with store.connect(home) as lake:
        metrics = [{**metric, "center": center, "metric": name, "value": value} for center in ("east", "external") for name, value in STORED.items()]
        lake.write({"model_patients": rows, "model_metrics": metrics}, run="test", what="registered")
    return home


@pytest.fixture
def work(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    shutil.copytree(kept, tmp_path / "home")
    monkeypatch.setattr("penumbra.pipeline.updating.learning_curves", lambda weights: {})  # the weights are not a network
    with quiet_mlflow():
        yield Work(tmp_path / "home", load_settings("quick"), "test")


def patients(champion: registry.LoadedModel) -> Dataset:
    """20 of north, and 120 of east, where more die than the champion expects."""
    return patients_of(champion, east=120)


def updated(work: Work, data: Dataset, center: str = "east") -> registry.LoadedModel:
    champion = registry.load(work.home)
    evidence = updating.evidence_at(work, champion, data, center)
    assert not isinstance(evidence, str), evidence
    _, after = updating.calibrations(work, champion, data, center, evidence)
    entry = updating.register(work, champion, data, center, evidence, after)
    aliases.set_alias(work, entry.version, reason="closed testing")
    return registry.load(work.home, entry.version)


def rows(work: Work, relation: str, version: str) -> list[dict[str, Any]]:
    with store.connect(work.home, read_only=True) as lake:
        return [row for row in lake.rows(relation) if row["version"] == version]


def test_the_intercept_of_a_center_that_moved_is_chosen(work: Work) -> None:
    evidence = updating.evidence_at(work, registry.load(work.home), patients(registry.load(work.home)), "east")
    assert not isinstance(evidence, str)
    assert (evidence.step, evidence.slope) == ("intercept", 1.0)
    assert evidence.intercept == pytest.approx(LEVEL, abs=0.3)
    assert [test.against for test in evidence.tests] == ["as it is", "intercept"]
    assert evidence.tests[0].p < 0.05 <= evidence.tests[1].p
    assert np.log(evidence.deaths / evidence.expected) == pytest.approx(evidence.intercept), "observed over expected"


def test_a_center_of_which_nothing_is_asked_and_one_with_few_deaths(work: Work) -> None:
    champion = registry.load(work.home)
    moved = patients(champion)
    same = replace(moved, centers=np.where(moved.centers == "east", "west", "north"))
    level = updating.evidence_at(work, champion, same, "west")
    assert not isinstance(level, str)
    version = replace(champion, settings={**champion.settings, "updates": {"west": vars(Update("intercept", level.intercept, 1.0, 60, 50))}})
    assert updating.evidence_at(work, version, same, "west").step == "as it is", "on top of what the version does there already"  # type: ignore[union-attr]
    careful = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, min_events=1000)))
    assert str(updating.evidence_at(careful, champion, moved, "east")).endswith("1000 are needed")
    assert updating.evidence_at(work, champion, moved, "north") == "0 deaths at north among patients that the champion was not fitted on, 10 are needed"


def test_outcomes_of_other_centers_do_not_matter(work: Work) -> None:
    champion = registry.load(work.home)
    data = patients(champion)
    north = data.centers == "north"
    other = replace(data, event=np.where(north, ~data.event, data.event), time=np.where(north, data.time + 7, data.time))
    assert updating.evidence_at(work, champion, data, "east") == updating.evidence_at(work, champion, other, "east")


def test_only_the_patients_of_the_center_are_answered_otherwise(work: Work) -> None:
    champion = registry.load(work.home)
    data = patients(champion)
    version = updated(work, data)
    assert version.entry.version == 2
    assert version.entry.digest != champion.entry.digest
    assert {name: model.digest() for name, model in version.models.items()} == {name: model.digest() for name, model in champion.models.items()}
    assert list(version.updates) == ["east"]
    assert version.updates["east"].deaths == 97
    here = data.centers == "east"
    assert updating.answering(version, data, ~here).log_risk == pytest.approx(updating.answering(champion, data, ~here).log_risk, abs=0)
    shift = updating.answering(version, data, here).log_risk - updating.answering(champion, data, here).log_risk
    assert shift == pytest.approx(version.updates["east"].intercept)
    assert recalibration.applied(work.home, version, "north") is None
    fitted = recalibration.applied(work.home, version, "east")
    assert fitted is not None
    assert fitted.intercept == version.updates["east"].intercept


def test_the_store_has_what_the_version_answers(work: Work) -> None:
    data = patients(registry.load(work.home))
    version = updated(work, data)
    predictions = {row["patient"]: row for row in rows(work, "predictions", "2")}
    assert len(predictions) == len(data.patients)
    risk = dict(zip(data.patients.tolist(), updating.answering(version, data, np.ones(len(data.patients), dtype=bool)).log_risk, strict=True))
    for patient in ("E030", "N001"):
        alive = version.model.survival([risk[patient]], [365.25])[0, 0]
        (row,) = [row for row in rows(work, "prediction_horizons", "2") if row["patient"] == patient and row["days"] == 365.25]
        assert row["survival"] == pytest.approx(alive)
    assert {row["center"] for row in rows(work, "recalibrations", "2")} == {"east"}
    splits = {row["patient"]: row["split"] for row in rows(work, "model_patients", "2")}
    assert (splits["N001"], splits["E030"]) == ("train", "update")
    metrics = {(row["center"], row["metric"]): row["value"] for row in rows(work, "model_metrics", "2")}
    assert metrics["east", "harrell_c"] == 0.7, "it ranks as the champion does"
    assert metrics["east", "brier_1y"] < 0.5, "measured again"
    assert ("external", "brier_1y") not in metrics, "a pool of cross-validated probabilities and others"
    assert metrics["external", "harrell_c"] == 0.7
    assert abs(metrics["east", "calibration_intercept"]) < 0.2


def test_the_same_test_again_is_the_same_version_and_rollback_works(work: Work) -> None:
    data = patients(registry.load(work.home))
    first = updated(work, data)
    assert aliases.rollback(work, reason="a test").version == 1
    assert updated(work, data).entry == first.entry, "registered once"
    assert len(registry.versions(work.home)) == 2


def test_another_center_keeps_the_earlier_update_and_the_same_center_adds_to_it(work: Work) -> None:
    champion = registry.load(work.home)
    east = patients(champion)
    first = updated(work, east)
    south = replace(east, centers=np.where(east.centers == "east", "south", "north"), patients=np.char.replace(east.patients, "E", "S"))
    both = updated(work, south, "south")
    assert both.updates["east"] == first.updates["east"]
    assert list(both.updates) == ["east", "south"]
    worse = replace(east, event=np.where(east.centers == "east", True, east.event))
    again = updated(work, worse)
    assert again.updates["south"] == both.updates["south"]
    here = worse.centers == "east"
    expected = champion.model.baseline.at(np.minimum(worse.time[here], champion.model.baseline.last_day)) * np.exp(
        updating.answering(again, worse, here).log_risk
    )
    assert expected.sum() == pytest.approx(worse.event[here].sum(), rel=0.05), "the sum of both updates is right there"


def test_a_served_version_takes_the_center_of_each_patient(work: Work) -> None:
    import mlflow
    import pandas as pd

    data = patients(registry.load(work.home))
    version = updated(work, data)
    served = mlflow.pyfunc.load_model(str(version.entry.folder.parents[1]))
    row = dict.fromkeys(version.model.columns, 1.0)
    plain = served.predict(pd.DataFrame([row, row]))
    both = served.predict(pd.DataFrame([{**row, "center": "east"}, {**row, "center": "north"}]))
    assert both["log_risk"].tolist() == plain["log_risk"].tolist()
    assert both["survival_1y"][1] == plain["survival_1y"][1] == plain["survival_1y"][0]
    risk = version.updates["east"].apply(both["log_risk"][:1])
    assert both["survival_1y"][0] == pytest.approx(version.model.survival(risk, [365.25])[0, 0])
    champion = mlflow.pyfunc.load_model(str(registry.find(work.home, 1).folder.parents[1]))
    assert [column.name for column in champion.metadata.signature.inputs.inputs] == list(version.model.columns), "as it was"
