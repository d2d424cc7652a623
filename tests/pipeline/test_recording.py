"""A registered version is in MLflow and in the store or in neither, whatever its horizons are, and its numbers are named by their days."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.base.companion import Companion
from penumbra.base.refusal import Refusal
from penumbra.commands import compare as side_by_side
from penumbra.commands import doctor, monitor
from penumbra.commands.predict import Prediction
from penumbra.evaluate import Refits
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import manifests, recording, report, stored_predictions
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.comparison import Comparison, compare
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.manifests import EvaluateManifest, FuseManifest, RegisterManifest
from penumbra.pipeline.register import register
from penumbra.pipeline.workspace import Work
from penumbra.registry.versions import quiet_mlflow
from penumbra.store import Store

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


def at(work: Work, horizons_days: Sequence[float], model: str = "nsclc-os") -> Work:
    """The same work at other horizons."""
    settings = few_models(work.settings)
    numbers = replace(settings.evaluate, bootstraps=20, refits=1, horizons_days=tuple(map(float, horizons_days)))
    return replace(work, settings=replace(settings, evaluate=numbers, register=replace(settings.register, model=model)))


def made_quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    patch.setattr(register_stage, "released_network", lambda weights, folder: weights)
    patch.setattr(evaluate_stage, "refitted", lambda *_: ([], Refits({}, math.nan, 0)))  # refits tell nothing of horizons


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    made_quick(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    """Versions 1 to 3: one model at the usual horizons, at others, and at a single one."""
    home = tmp_path_factory.mktemp("recorded")
    shutil.copytree(empty_registry, home, dirs_exist_ok=True)
    work = at(small_work(home, centers={"north": 40, "east": 24}, features=6), (365, 730, 1095))
    weights = home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    with pytest.MonkeyPatch.context() as patched:
        made_quick(patched)
        fuse(work)
        for one in (work, at(work, (180, 365, 730)), at(work, (90,))):
            evaluate(one)
            register(one)
    return work


@pytest.fixture
def work(made: Work, tmp_path: Path) -> Work:
    """A copy that the test may change."""
    shutil.copytree(made.home, tmp_path / "home")
    return replace(made, home=tmp_path / "home")


def rows(work: Work, statement: str) -> list[dict[str, object]]:
    with store.connect(work.home, read_only=True) as lake:
        return lake.sql(statement).to_pylist()


def test_a_version_has_the_days_that_it_stands_for(made: Work) -> None:
    """[180, 365, 730] was called 1, 2 and 3 years everywhere."""
    days = rows(made, "SELECT version, list(DISTINCT days ORDER BY days) AS days FROM prediction_horizons GROUP BY version ORDER BY version")
    assert [row["days"] for row in days] == [[365, 730, 1095], [180, 365, 730], [90]]
    joined = "SELECT * FROM predictions AS p JOIN prediction_horizons AS h USING (patient, model, version) WHERE version = '2' AND days = {}"
    for day, column in ((365, "survival_1y"), (730, "survival_2y")):
        assert all(row[column] == row["survival"] is not None for row in rows(made, joined.format(day)))
    assert {row["survival_3y"] for row in rows(made, "SELECT survival_3y FROM predictions WHERE version = '2'")} == {None}
    same = "SELECT count(*) AS n FROM predictions AS a JOIN predictions AS b USING (patient) WHERE a.version = '1' AND b.version = '2' AND {}"
    assert rows(made, same.format("a.survival_1y = b.survival_1y AND a.survival_2y = b.survival_2y")) == [{"n": 64}], "the model is the same"
    names = {row["metric"] for row in rows(made, "SELECT DISTINCT metric FROM model_metrics WHERE version = '2'")}
    assert {"auc_180d", "auc_1y", "auc_2y", "brier_180d", "observed_expected_180d", "delong_p_180d"} <= names
    assert not {name for name in names if name.endswith("_3y")}
    in_mlflow = registry.logged_metrics(made.home, registry.find(made.home, 2))
    assert {"auc_180d/east", "auc_1y/east"} <= in_mlflow.keys()
    assert not {name for name in in_mlflow if "_3y" in name}


def test_many_horizons_register_as_three_do(work: Work) -> None:
    """Four left a version in MLflow that the store did not know: it had columns for three."""
    days = (182.5, 365.25, 730, 1095, 1461, 1826)
    other = at(work, days)
    evaluate(other)
    assert register(other).version == 4
    found = rows(work, "SELECT days, count(*) AS n FROM prediction_horizons WHERE version = '4' GROUP BY days ORDER BY days")
    assert [(row["days"], row["n"]) for row in found] == [(day, 64) for day in days]
    assert recording.unrecorded(work.home, "nsclc-os") == []


def test_versions_are_compared_at_the_days_that_both_answer_for(made: Work) -> None:
    """Equal risks had a Brier difference of -0.136 at p 0.02: day 730 of one version was compared with day 365 of the other."""
    found = compare(made.home, ("1", "2"), made.settings.evaluate)
    assert isinstance(found, Comparison)
    assert found.days == (365, 730)
    assert {row.metric for row in found.paired} == {"harrell_c", *(f"{name}_{year}y" for name in ("auc", "brier", "calibration") for year in (1, 2))}
    assert {row.difference for row in found.paired if not row.reason} == {0.0}
    assert found.metrics == ("calibration_slope", "observed_expected_1y", "observed_expected_2y"), "a mean over other days is another quantity"
    assert all(row["first"] == row["second"] for row in found.calibration)
    said = "nsclc-os/1 answers for 1 year, 2 years, 3 years; nsclc-os/2 answers for 180 days, 1 year, 2 years. They are compared at 1 year, 2 years."
    text = side_by_side.shown(made, ("1", "2"))
    assert said in " ".join(text.split()), "lines are wrapped"
    assert "AUC, 1 year" in text
    assert said in Path(text.rsplit("page  ", 1)[1]).read_text(encoding="utf-8")
    nothing = compare(made.home, ("1", "3"), made.settings.evaluate)
    assert isinstance(nothing, Comparison)
    assert {row.metric for row in nothing.paired} == {"harrell_c"}
    assert "They have no day in common: only C is compared." in nothing.remarks[0]
    assert json.loads(side_by_side.shown(made, ("1", "3"), "json"))["horizons_days"] == []


def test_a_store_that_refuses_leaves_no_version_in_mlflow(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    other = at(work, (200, 365))
    evaluate(other)
    before = rows(work, "SELECT max(id) AS newest FROM commits")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", full)
        with pytest.raises(OSError, match="No space left"):
            register(other)
    assert [entry.version for entry in registry.versions(work.home)] == [1, 2, 3]
    assert registry.find(work.home).version == 1
    assert rows(work, "SELECT max(id) AS newest FROM commits") == before
    version = register(other).version
    assert [entry.version for entry in registry.versions(work.home)] == [1, 2, 3, version]
    assert recording.unrecorded(work.home, "nsclc-os") == []


def test_a_store_that_was_away_gets_the_same_version_from_the_same_command(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken back and given another number, so that a run that lost its PostgreSQL ended with another result."""
    other = at(work, (150, 300))
    evaluate(other)
    before = [entry.version for entry in registry.versions(work.home)]

    def away(*_: object, **__: object) -> None:
        raise Refusal("catalog_reached", "the server closed the connection", "start the server")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", away)
        with pytest.raises(Refusal, match="catalog_reached"):
            register(other)
    kept = [entry.version for entry in registry.versions(work.home)]
    assert len(kept) == len(before) + 1
    assert register(other).version == kept[-1]
    assert [entry.version for entry in registry.versions(work.home)] == kept
    assert recording.unrecorded(work.home, "nsclc-os") == []
    assert rows(work, "SELECT version, count(*) AS n FROM model_patients GROUP BY version ORDER BY version")[-1] == {"version": str(kept[-1]), "n": 64}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the program's own runs after it."""


def killed_after(step: Callable[..., object], patch: pytest.MonkeyPatch, place: object, name: str) -> None:
    def die(*arguments: object, **named: object) -> None:
        step(*arguments, **named)
        raise Killed

    patch.setattr(place, name, die)


def test_a_registration_killed_between_mlflow_and_the_store_is_completed_by_the_next(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the next one registers something else: the first version has its own rows, and is not there twice."""
    first, second = at(work, (200, 365)), at(work, (100,))
    evaluate(first)
    with monkeypatch.context() as patch:
        killed_after(registry.register, patch, registry, "register")
        with pytest.raises(Killed):
            register(first)
    assert [entry.version for entry in registry.versions(work.home)] == [1, 2, 3, 4]
    assert recording.unrecorded(work.home, "nsclc-os") == [4]
    findings = {finding.what: finding for finding in doctor.examine(work.home, "versions") if not finding.ok}
    assert (
        "MLflow has this version, the store has nothing of it: its registration was interrupted; penumbra register completes it" in findings["nsclc-os/4"].found
    )
    evaluate(second)
    assert register(second).version == 5
    assert recording.unrecorded(work.home, "nsclc-os") == []
    found = rows(work, "SELECT version, list(DISTINCT days ORDER BY days) AS days FROM prediction_horizons GROUP BY version ORDER BY version")
    assert [(row["version"], row["days"]) for row in found][3:] == [("4", [200, 365]), ("5", [100])]
    counts = rows(work, "SELECT version, count(*) AS n FROM model_patients GROUP BY version ORDER BY version")
    assert [row["n"] for row in counts] == [64] * 5
    assert rows(work, "SELECT count(*) AS n FROM model_metrics WHERE version = '4' AND metric = 'auc_200d'")[0]["n"] != 0
    assert not (work.home / "manifests" / f"{recording.PENDING}.json").exists()
    assert register(second).version == 5
    assert [entry.version for entry in registry.versions(work.home)] == [1, 2, 3, 4, 5]


def test_a_registration_killed_before_mlflow_leaves_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", die)
        with pytest.raises(Killed):
            register(at(work, (90,)))
    assert (work.home / "manifests" / f"{recording.PENDING}.json").exists()
    assert recording.finish(work) is None
    assert not (work.home / "manifests" / f"{recording.PENDING}.json").exists()
    assert [entry.version for entry in registry.versions(work.home)] == [1, 2, 3]


def as_written_before(work: Work, version: int, days: Sequence[float]) -> None:
    """Make the rows of a version those of the program before days had names: survival_1y is the first of its horizons."""
    with store.connect(work.home) as lake:
        said = lake.sql("SELECT patient, days, survival FROM prediction_horizons WHERE version = ?", [str(version)]).to_pylist()
        old = [{name: value for name, value in row.items() if name != "commit_id"} for row in lake.rows("predictions") if row["version"] == str(version)]
        by_patient = {(row["patient"], row["days"]): row["survival"] for row in said}
        for row in old:
            row |= {f"survival_{place}y": by_patient[row["patient"], day] for place, day in enumerate(days, 1)}

        def before(connection: object) -> None:
            connection.execute("DELETE FROM lake.prediction_horizons WHERE version = ?", [str(version)])  # type: ignore[attr-defined]

        lake.transact(before)
        lake.write({"predictions": old}, run="test", what="as written before")


def test_a_version_named_by_position_is_found_read_by_its_days_and_mended_by_registering_it_again(work: Work) -> None:
    as_written_before(work, 1, (365, 730, 1095))
    as_written_before(work, 2, (180, 365, 730))
    stale = {"model": "nsclc-os", "version": "2", "center": "east", "split": "test", "metric": "auc_3y", "value": 0.7, "n": 24, "events": 9}
    with store.connect(work.home) as lake:
        lake.write({"model_metrics": [stale]}, run="test", what="as the third of three horizons was called")
    findings = {finding.what: finding.found for finding in doctor.examine(work.home, "versions") if not finding.ok}
    assert "survival_1y is 180 days, survival_2y is 1 year, survival_3y is 2 years" in findings["nsclc-os/2"]
    assert "auc_1y is auc_180d" in findings["nsclc-os/2"]
    assert "nsclc-os/1" not in findings, "1y, 2y and 3y were right there"
    found = compare(work.home, ("1", "2"), work.settings.evaluate)
    assert isinstance(found, Comparison)
    assert found.days == (365, 730)
    assert {row.difference for row in found.paired if not row.reason} == {0.0}
    assert "not named by their days and are left out" in " ".join(found.remarks)
    assert all(row["second"] is None for row in found.calibration)
    other = at(work, (180, 365, 730))
    evaluate(other)
    assert register(other).version == 2
    assert [finding for finding in doctor.examine(work.home, "versions") if not finding.ok] == []
    assert rows(work, "SELECT value FROM model_metrics WHERE version = '2' AND metric = 'auc_3y'") == [{"value": None}], "it has no such day"
    kept = "SELECT value FROM model_metrics WHERE version = '2' AND center = 'east' AND metric = 'harrell_c' AND model = 'nsclc-os'"
    assert rows(work, kept)[0]["value"] is not None
    assert rows(work, "SELECT count(survival_3y) AS n FROM predictions WHERE version = '2'") == [{"n": 0}]


def test_a_model_knows_how_long_its_patients_were_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With follow-up closed at day 450, every entry point answered 2 and 3 years with the survival of day 450."""
    small = small_work(tmp_path / "home", centers={"north": 40, "east": 24}, features=6)
    work = at(small, (365, 450, 730, 1095))
    work = replace(work, settings=replace(work.settings, register=replace(work.settings.register, served="Volume")))
    weights = work.home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    with store.connect(work.home) as lake:
        known = [{name: value for name, value in row.items() if name != "commit_id"} for row in lake.rows("patients") if row["center"] == "north"]
        for row in known:
            late = float(row["time"]) > 450
            row |= {"time": min(float(row["time"]), 450.0), "event": bool(row["event"]) and not late}
            row.pop("clinical_version", None)
        lake.write({"patients": known}, run="test", what="closed at day 450")
    for stage in (fuse, evaluate, register):
        stage(work)
    loaded = registry.load(work.home)
    assert loaded.model.training.followed == 450
    assert {row["n"] for row in rows(work, "SELECT count(survival) AS n FROM prediction_horizons WHERE days <= 450 GROUP BY patient")} == {2}
    assert rows(work, "SELECT count(survival) AS n FROM prediction_horizons WHERE days > 450") == [{"n": 0}]
    assert rows(work, "SELECT count(survival_1y) AS one, count(survival_2y) AS two, count(survival_3y) AS three FROM predictions") == [
        {"one": 64, "two": 0, "three": 0}
    ]
    calibration = "SELECT metric, value FROM model_metrics WHERE center = 'east' AND model = 'nsclc-os' AND metric IN ('observed_expected_{0}', 'brier_{0}')"
    for name in ("2y", "3y"):
        assert [row["value"] for row in rows(work, calibration.format(name))] == [None, None]
    assert all(row["value"] is not None for name in ("1y", "450d") for row in rows(work, calibration.format(name)))
    with quiet_mlflow():
        import io

        import mlflow
        import pandas as pd
        from mlflow.pyfunc.scoring_server import predictions_to_json

        mlflow.set_tracking_uri(registry.tracking_uri(work.home))
        mlflow.set_registry_uri(registry.tracking_uri(work.home))  # another test may have left its own
        served, sent = mlflow.pyfunc.load_model("models:/nsclc-os@champion"), io.StringIO()
        answer = served.predict(pd.DataFrame({name: [0.5] for name in loaded.model.columns}))
        predictions_to_json(answer, sent)

    def no_number(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    one = json.loads(sent.getvalue(), parse_constant=no_number)["predictions"][0]
    assert (one["survival_2y"], one["survival_3y"]) == (None, None)
    assert 0 <= one["survival_450d"] <= one["survival_1y"] <= 1
    assert one["reason"] == "; ".join(f"no survival at day {day}: the training patients were followed to day 450" for day in (730, 1095))
    assert [finding for finding in doctor.examine(work.home, "versions") if not finding.ok] == []
    without_pictures = replace(work, settings=replace(work.settings, report=replace(work.settings.report, patients=0)))
    left = [manifests.read(work.home, kind) for kind in (FuseManifest, RegisterManifest, EvaluateManifest)]
    with Companion() as others:
        inputs, _ = report.report_inputs(without_pictures, read_dataset(work), *left, others=others)
    said = "survival is given up to day 450, to which its training patients were followed; none at 2 years, 3 years."
    assert any(note.endswith(said) for note in inputs.notes)
    assert ("Survival", "at 1 year, 450 days, 2 years, 3 years, and not beyond day 450 of the training follow-up") in inputs.card.limits
    east = next(panel for panel in inputs.panels if (panel.center, panel.model) == ("east", "Volume"))
    assert [bool(reason) for reason in east.unanswered] == [False, False, True, True]
    # a version of before says neither how long its patients were followed nor which days its columns mean: the store knows the first
    before = replace(loaded.model, training=replace(loaded.model.training, followed=None))
    with store.connect(work.home, read_only=True) as lake:
        assert stored_predictions.followed_by(lake, replace(loaded, models={loaded.served: before})) == 450
    as_written_before(work, 1, (365, 450, 730))
    findings = " ".join(finding.found for finding in doctor.examine(work.home, "versions") if not finding.ok)
    assert "it gave survival at day 730, though its training patients were followed to day 450" in findings


def test_a_recorded_prediction_has_a_row_for_every_day(work: Work) -> None:
    alive, days = {"180d": 0.9, "1y": 0.8, "4y": None}, {"180d": 180.0, "1y": 365.0, "4y": 1461.0}
    why = {"4y": "no survival at day 1461: the training patients were followed to day 1200"}
    scored = Prediction("nsclc-os", 1, 0.3, 0.0, "high", alive, days, why, 10.0, "i1", "s1", "accepted", ())
    monitor.record(work, Path("/anywhere/west/W001"), "west", scored)
    found = rows(work, "SELECT days, survival FROM prediction_horizons WHERE patient = 'W001' ORDER BY days")
    assert found == [{"days": 180.0, "survival": 0.9}, {"days": 365.0, "survival": 0.8}, {"days": 1461.0, "survival": None}]
    assert rows(work, "SELECT survival_1y, survival_2y, survival_3y FROM predictions WHERE patient = 'W001'") == [
        {"survival_1y": 0.8, "survival_2y": None, "survival_3y": None}
    ]


def test_an_undefined_number_is_null_in_both_relations() -> None:
    rows = recording.prediction_records("m", [{"patient": "P", "center": "c"}], np.zeros(1), np.array(["low"]), (365.25, 1096.0), np.array([[0.5, math.nan]]))
    assert rows["predictions"][0]["survival_1y"] == 0.5
    assert math.isnan(rows["predictions"][0]["survival_3y"])
    assert "survival_2y" not in rows["predictions"][0]
    assert [row["days"] for row in rows["prediction_horizons"]] == [365.25, 1096.0]
