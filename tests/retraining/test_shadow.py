"""The challenger scores what the champion scores, under its own version; it is never the answer, and what stops it stops nothing else."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.base.refusal import Refusal
from penumbra.commands import monitor
from penumbra.commands.predict import Prediction
from penumbra.pipeline import aliases, prospective, shadow
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.database import quiet_mlflow
from penumbra.survival import concordance_index

from ..pipeline.test_recalibration import patients
from ..registry.small_bundle import COLUMNS, METRICS, small_bundle

pytestmark = pytest.mark.slow

MODEL = "nsclc-os"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """Version 1 is champion, 2 challenger, 3 neither."""
    home = tmp_path_factory.mktemp("shadow") / "home"
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    work = Work(home, load_settings("quick"), "test")
    for weight in (0.5, 0.6, 0.7):
        registry.register(home, small_bundle(home / "weights", weight), METRICS)
    aliases.set_alias(work, 1, reason="the first version")
    aliases.set_alias(work, 2, registry.CHALLENGER, reason="proposed")
    return home


@pytest.fixture
def work(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    shutil.copytree(kept, tmp_path / "home")
    monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
    with quiet_mlflow():
        yield Work(tmp_path / "home", load_settings("quick"), "test")


def prediction(version: int, log_risk: float, number: int = 1) -> Prediction:
    return Prediction(
        model=MODEL,
        version=version,
        log_risk=log_risk,
        cutoff=0.0,
        risk_group="high",
        survival={"1y": 0.5},
        horizons_days={"1y": 365.25},
        unanswered={},
        gtv_cm3=1.0,
        image_version=f"i{version}",
        sha256=f"{number:064d}",
        certificate="accepted",
        remarks=(),
    )


def predictions(work: Work) -> dict[tuple[str, str], dict[str, Any]]:
    with store.connect(work.home, read_only=True) as lake:
        return {(row["patient"], row["version"]): row for row in lake.rows("predictions")}


def test_a_recorded_patient_is_scored_by_the_challenger_too(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def predict(*arguments: Any, **facts: Any) -> Prediction:
        asked.append((*arguments, facts))
        return prediction(2, 0.9)

    monkeypatch.setattr(monitor, "predict", predict)
    folder = Path("/incoming/east/E001")
    assert monitor.record(work, folder, "east", prediction(1, 0.3), age=71.0, treatment="surgery") == "E001"
    assert asked == [(work.home, folder, "nsclc-os/2", "east", {"age": 71.0, "treatment": "surgery"})], "it is told what the champion was told"
    rows = predictions(work)
    assert {key: row["log_risk"] for key, row in rows.items()} == {("E001", "1"): 0.3, ("E001", "2"): 0.9}
    assert {row["image_version"] for row in rows.values()} == {"i1"}, "it is one scan"
    monitor.record(work, folder, "east", prediction(3, 0.1))
    assert len(asked) == 1, "another version has no shadow"
    aliases.set_alias(work, 2, reason="promoted")
    monitor.record(work, folder, "east", prediction(2, 0.9))
    assert len(asked) == 1, "nor has a champion without a challenger"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Refusal("same_features", "nsclc-os/2 reads features a, this program makes b", "register another"), "reads features a, this program makes b"),
        (FileNotFoundError(2, "gone", "/data/Doe^John"), "FileNotFoundError"),
        (AssertionError("a version with deep features carries its network"), "AssertionError"),
    ],
)
def test_a_challenger_that_cannot_score_is_one_sentence(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, sentence: str
) -> None:
    def predict(*_: Any) -> Prediction:
        raise error

    monkeypatch.setattr(monitor, "predict", predict)
    assert monitor.record(work, Path("/incoming/east/E001"), "east", prediction(1, 0.3)) == "E001"
    said = capsys.readouterr().err
    assert said.count("the challenger nsclc-os/2 has no score in the shadow: ") == 1
    assert sentence in said
    assert "Doe" not in said
    assert list(predictions(work)) == [("E001", "1")]


def test_monitor_compares_both_on_the_same_outcomes(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    champions, challengers = random.normal(size=(2, 20))
    times, events = random.uniform(50, 900, size=20), np.arange(20) % 3 > 0
    for i in range(20):
        monkeypatch.setattr(monitor, "predict", lambda *_, i=i: prediction(2, float(challengers[i]), i))
        if i >= 15:  # the champion scored these before there was a challenger
            monkeypatch.setattr(monitor.shadow, "challenger_of", lambda *_: None)
        monitor.record(work, Path(f"/incoming/east/E{i:03d}"), "east", prediction(1, float(champions[i]), i))
    with store.connect(work.home) as lake:
        outcomes = [{"patient": f"E{i:03d}", "center": "east", "time": times[i], "event": bool(events[i])} for i in range(20)]
        lake.write({"patients": outcomes}, run="test", what="outcomes")
    measures = monitor.monitor(work)
    (found,) = [(version, row) for version, row in measures if row.metric == prospective.DELTA]
    both = events[:15], times[:15]
    expected = concordance_index(*both, challengers[:15]) - concordance_index(*both, champions[:15])
    assert (found[0], found[1].n, found[1].split) == ("2", 15, "live")
    assert found[1].value == pytest.approx(expected)
    assert found[1].lower < expected < found[1].upper
    c = {version: row for version, row in measures if row.metric == "harrell_c"}
    assert (c["1"].n, c["2"].n) == (20, 15)
    with store.connect(work.home) as lake:
        assert prospective.unfounded(lake, MODEL) == []
        assert ("2", 15) in {(row["version"], row["n"]) for row in lake.rows("model_metrics") if row["metric"] == prospective.DELTA}
    assert monitor.monitor(work) == measures
    aliases.set_alias(work, 2, reason="promoted")
    assert prospective.DELTA not in {row.metric for _, row in monitor.monitor(work)}
    with store.connect(work.home) as lake:
        assert prospective.DELTA not in {row["metric"] for row in lake.rows("model_metrics")}, "there is nothing to compare any more"


def test_the_patients_of_a_center_that_arrives(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    champion, challenger = registry.load(work.home), registry.load(work.home, 2)
    data = patients(champion)
    embedded: list[str] = []
    monkeypatch.setattr(shadow, "require_same_features", lambda _: None)
    monkeypatch.setattr(shadow, "embed", lambda _, version, weights: embedded.append(f"{version} {weights.name}"))
    monkeypatch.setattr(shadow, "read_dataset", lambda *_: data)
    names = dict(challenger.feature_versions) | {"deep": "d2"}
    monkeypatch.setattr(shadow.registry, "load", lambda *_, **__: replace(challenger, feature_versions=names))
    assert shadow.at_center(work, champion, "east") == "the challenger nsclc-os/2 scored them in the shadow"
    assert embedded == ["d2 weights.safetensors"]
    rows = predictions(work)
    here = data.centers == "east"
    assert set(rows) == {(patient, "2") for patient in data.patients[here].tolist()}
    table = {column: values for block in data.blocks.values() for column, values in zip(block.columns, block.values.T, strict=True)}
    risk = challenger.model.log_risk({name: table[name] for name in COLUMNS})[here]
    assert [rows[patient, "2"]["log_risk"] for patient in data.patients[here].tolist()] == risk.tolist()


def test_a_center_goes_on_without_the_challenger(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    champion, challenger = registry.load(work.home), registry.load(work.home, 2)

    def refuse(loaded: registry.LoadedModel) -> None:
        raise Refusal("same_features", f"{loaded.entry.model}/{loaded.entry.version} reads features a, this program makes b", "register another")

    monkeypatch.setattr(shadow, "require_same_features", refuse)
    said = shadow.at_center(work, champion, "east")
    assert said.startswith("the challenger nsclc-os/2 has no score in the shadow: nsclc-os/2 reads features a, this program makes b")
    monkeypatch.setattr(shadow, "require_same_features", lambda _: None)
    monkeypatch.setattr(shadow.registry, "load", lambda *_, **__: replace(challenger, network_path=None))
    assert "its network is missing" in shadow.at_center(work, champion, "east")
    assert predictions(work) == {}
    monkeypatch.undo()
    assert shadow.at_center(work, registry.load(work.home, 3), "east") == "", "another champion than today's has no challenger"


def test_of_an_error_that_nobody_expected_the_place_is_said_and_not_its_words() -> None:
    """Its kind alone left a fault of our own without a trace."""
    try:
        raise ValueError("/incoming/east/Doe_Jane")
    except ValueError as error:
        said = shadow.not_scored("nsclc-os", 2, error)
    assert said.startswith("the challenger nsclc-os/2 has no score in the shadow: ValueError in test_shadow.py, line ")
    assert "Doe" not in said
