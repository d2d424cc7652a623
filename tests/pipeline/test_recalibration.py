"""The champion's probabilities fitted to a center: by its own deaths, recorded, applied, and void where the champion is another."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.commands import monitor
from penumbra.commands.predict import Prediction
from penumbra.commands.python.version import Version
from penumbra.fusion import Block
from penumbra.pipeline import aliases, manifests, recalibration
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.manifests import RecalibrationManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.database import quiet_mlflow
from penumbra.survival.horizons import horizon_name
from penumbra.survival.updating import recalibrate

from ..registry.small_bundle import COLUMNS, METRICS, small_bundle

pytestmark = pytest.mark.slow

MODEL = "nsclc-os"
LEVEL = 0.6  # by how much more of east's patients die than the champion says


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """Version 1 is champion and was fitted on north, 2 is registered."""
    home = tmp_path_factory.mktemp("recalibration") / "home"
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    for weight in (0.5, 0.6):
        registry.register(home, small_bundle(home / "weights", weight), METRICS)
    aliases.set_alias(Work(home, load_settings("quick"), "test"), 1, reason="the first version")
    return home


@pytest.fixture
def work(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    shutil.copytree(kept, tmp_path / "home")
    settings = load_settings("quick")
    monkeypatch.setattr(recalibration, "recalibrate_from", lambda home: 10)
    with quiet_mlflow():
        yield Work(tmp_path / "home", replace(settings, retrain=replace(settings.retrain, recalibrate_from=10)), "test")


def patients(champion: registry.LoadedModel, *, east: int = 60, north: int = 20, seed: int = 0) -> Dataset:
    """Patients whose outcome follows the champion, at another level at east."""
    random, count = np.random.default_rng(seed), north + east
    values = random.normal(size=(count, 3))
    values[:, 0] = np.exp(values[:, 0])
    centers = np.array(["north"] * north + ["east"] * east)
    log_risk = champion.model.log_risk(dict(zip(COLUMNS, values.T, strict=True)))
    baseline = champion.model.baseline
    wanted = random.exponential(size=count) * np.exp(-log_risk - np.where(centers == "east", LEVEL, 0.0))
    step = np.searchsorted(baseline.cumulative_hazard, wanted)
    event = step < len(baseline.times)
    time = np.where(event, np.append(baseline.times, 0.0)[step], baseline.last_day)
    left = random.uniform(100, 2500, size=count)
    event, time = event & (time <= left), np.minimum(time, left)
    names = [column.split(".", 1) for column in COLUMNS]
    blocks = {block: Block(block, (feature,), values[:, [place]]) for place, (block, feature) in enumerate(names)}
    return Dataset(
        patients=np.array([f"{center[0].upper()}{i:03d}" for i, center in enumerate(centers.tolist())]),
        centers=centers,
        event=event,
        time=time,
        training=centers == "north",
        blocks=blocks,
        fingerprint="f",
        training_sha256="t",
        versions={"gtv": "0123456789ab", "deep": "d"},
        commit=1,
        clinical=(),
        scans=(None,) * count,
    )


def metrics(work: Work) -> dict[str, dict[str, Any]]:
    with store.connect(work.home, read_only=True) as lake:
        return {row["metric"]: row for row in lake.rows("model_metrics") if (row["version"], row["center"]) == ("1", "east")}


def test_a_center_is_fitted_by_its_own_deaths_and_it_is_recorded(work: Work) -> None:
    champion = registry.load(work.home)
    data = patients(champion)
    sentence, facts = recalibration.at_center(work, champion, data, "east")
    here = data.centers == "east"
    risk = champion.model.log_risk({column: values for block in data.blocks.values() for column, values in zip(block.columns, block.values.T, strict=True)})
    expected = recalibrate(data.event[here], data.time[here], risk[here], champion.model.baseline, with_slope=True)
    assert expected.events >= 20, "enough for the slope"
    fitted = manifests.read(work.home, RecalibrationManifest, recalibration.name_of("east", champion.entry.digest))
    assert (fitted.intercept, fitted.slope, fitted.deaths, fitted.patients) == (expected.intercept, expected.slope, expected.events, 60)
    assert fitted.intercept == pytest.approx(LEVEL, abs=0.35)
    assert facts == fitted.to_json()
    assert sentence.startswith(f"probabilities of nsclc-os/1 fitted to east on {expected.events} deaths: intercept +")
    assert sentence.endswith("penumbra predict --center east applies it")
    before, after = ({row.metric: row.value for row in rows} for rows in (fitted.before, fitted.after))
    assert before["calibration_intercept"] > 0.3
    assert 0 < abs(after["recalibrated_calibration_intercept"]) < 0.2, "cross-validated: near, and not exactly 0 as the fit itself"
    rows = metrics(work)
    assert rows["recalibrated_calibration_intercept"]["value"] == after["recalibrated_calibration_intercept"]
    assert rows["recalibrated_observed_expected_1y"]["split"] == "test"
    assert (rows["recalibrated_brier_1y"]["n"], rows["recalibrated_brier_1y"]["model"]) == (60, MODEL)


def test_patients_of_other_centers_do_not_count(work: Work) -> None:
    champion = registry.load(work.home)
    data = patients(champion)
    recalibration.at_center(work, champion, data, "east")
    name = recalibration.name_of("east", champion.entry.digest)
    before = manifests.file_of(work.home, name).read_bytes()
    north = data.centers == "north"
    others = replace(data, event=np.where(north, ~data.event, data.event), time=np.where(north, data.time + 300.0, data.time))
    recalibration.at_center(work, champion, others, "east")
    assert manifests.file_of(work.home, name).read_bytes() == before, "and again is the same file"


def test_too_few_deaths_and_a_training_center(work: Work) -> None:
    champion = registry.load(work.home)
    data = patients(champion)
    recalibration.at_center(work, champion, data, "east")
    careful = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, recalibrate_from=1000)))
    sentence, facts = recalibration.at_center(careful, champion, data, "east")
    assert sentence.startswith("nothing recalibrated: ")
    assert sentence.endswith("deaths at east, 1000 are needed")
    assert facts == {}
    assert not manifests.file_of(work.home, recalibration.name_of("east", champion.entry.digest)).exists(), "of an earlier state of the center"
    assert recalibration.at_center(work, champion, data, "north")[0] == recalibration.NOTHING
    most = int(0.6 * data.event[data.centers == "east"].sum())
    half = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, recalibrate_from=most)))
    assert recalibration.at_center(half, champion, data, "east")[1]["slope"] == 1.0, "the level alone below twice the deaths"


def test_it_is_applied_and_void_where_the_champion_is_another(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = registry.load(work.home)
    recalibration.at_center(work, champion, patients(champion), "east")
    fitted = recalibration.applied(work.home, champion, "east")
    assert fitted is not None
    days = list(champion.horizons_days[:1])
    risk = np.array([-1.0, 0.0, 1.0])
    survival = fitted.survival(champion.model, risk, days)[:, 0]
    hazard = champion.model.baseline.at(days)[0] * np.exp(fitted.intercept + fitted.slope * risk)
    np.testing.assert_allclose(survival, np.exp(-hazard), rtol=1e-12)
    assert (np.diff(survival) < 0).all(), "ranks stay"
    assert recalibration.applied(work.home, champion, "south") is None
    assert recalibration.applied(work.home, registry.load(work.home, 2), "east") is None, "of another digest"
    import pandas as pd

    frame = pd.DataFrame(dict(zip(COLUMNS, ([1.0, 1.0, 2.0], [0.5, 0.5, -0.5], [0.0, 0.0, 1.0]), strict=True)) | {"center": ["east", "south", "a/b" * 99]})
    version = Version(champion, work.home)
    answer, served = version.predict(frame, explain=True), version.predict(frame, explain=True, recalibrate=False)
    risk = champion.model.log_risk({name: frame[name].to_numpy() for name in COLUMNS})
    assert answer["log_risk"].tolist() == served["log_risk"].tolist() == risk.tolist(), "ranks and the registered model stay"
    days = list(champion.horizons_days)
    expected = fitted.survival(champion.model, risk, days)
    names = [f"survival_{horizon_name(day)}" for day in days]
    assert answer[names].to_numpy(dtype=float)[0].tolist() == expected[0].tolist() != served[names].to_numpy(dtype=float)[0].tolist()
    assert answer.loc[1:, names].to_numpy().tolist() == served.loc[1:, names].to_numpy().tolist()
    assert answer["recalibrated"].tolist() == [str(fitted), "", ""]
    assert "recalibrated" not in served
    limits = [name for name in answer if name.endswith(("_lower", "_upper")) and name.startswith("survival")]
    assert limits
    assert all((answer[name] != served[name]).tolist()[0] or answer[name].isna()[0] for name in limits)
    assert "recalibrated" not in Version(champion, work.home).predict(frame.drop(columns="center"))
    monkeypatch.setattr(recalibration, "recalibrate_from", lambda home: fitted.deaths + 1)
    assert recalibration.applied(work.home, champion, "east") is None, "params.yaml asks for more"
    monkeypatch.setattr(recalibration, "recalibrate_from", lambda home: None)
    assert recalibration.applied(work.home, champion, "east") is None


def test_probabilities_stay_within_their_limits(work: Work) -> None:
    champion = registry.load(work.home)
    high, low = (recalibration.Applied("east", 10, "2026-11-26T10:00:00+00:00", level, 1.0) for level in (-20.0, 20.0))
    assert high.survival(champion.model, np.array([0.0]), [365.25]).tolist() == [[0.995]]
    assert low.survival(champion.model, np.array([0.0]), [365.25]).tolist() == [[0.005]]


def test_the_record_says_so_and_monitor_judges_what_was_answered(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded with a recalibration, calibration is that of the recalibrated probabilities, and C that of the risk."""
    monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
    champion = registry.load(work.home)
    random = np.random.default_rng(5)
    risks = random.normal(size=12)
    times, events = random.uniform(50, 300, size=12), np.arange(12) % 3 > 0
    fitted = recalibration.Applied("east", 23, "2026-11-26T10:00:00+00:00", 0.7, 0.5)
    for i, risk in enumerate(risks):
        survival = fitted.survival(champion.model, np.array([risk]), [365.25])
        prediction = Prediction(
            model=MODEL, version=1, log_risk=float(risk), cutoff=0.0, risk_group="high", survival={"1y": float(survival[0, 0])}, horizons_days={"1y": 365.25},
            unanswered={}, gtv_cm3=1.0, image_version="i", sha256=f"{i:064d}", certificate="accepted", remarks=(), recalibrated=fitted,
        )  # fmt: skip
        monitor.record(work, Path(f"/incoming/east/E{i:03d}"), "east", prediction)
    with store.connect(work.home) as lake:
        stored, reasons = lake.rows("predictions"), lake.rows("recalibrations")
        outcomes = [{"patient": f"E{i:03d}", "center": "east", "time": times[i], "event": bool(events[i])} for i in range(12)]
        lake.write({"patients": outcomes}, run="test", what="outcomes")
    facts = {"center": "east", "deaths": 23, "intercept": 0.7, "slope": 0.5, "fitted_at": datetime(2026, 11, 26, 10)}
    assert [{name: row[name] for name in facts} for row in reasons] == [facts] * 12
    assert {row["survival_1y"] for row in stored} == {float(fitted.survival(champion.model, np.array([risk]), [365.25])[0, 0]) for risk in risks}
    live = {row.metric: row.value for version, row in monitor.monitor(work) if version == "1"}
    died = events & (times <= champion.model.baseline.last_day)
    expected = (champion.model.baseline.at(np.minimum(times, champion.model.baseline.last_day)) * np.exp(0.7 + 0.5 * risks)).sum()
    assert live["calibration_intercept"] == pytest.approx(np.log(died.sum() / expected))
    monitor.record(work, Path("/incoming/east/E000"), "east", replace(prediction, log_risk=float(risks[0]), sha256=f"{0:064d}", recalibrated=None))
    with store.connect(work.home) as lake:
        assert "E000" not in {row["patient"] for row in lake.rows("recalibrations")}, "made again without one"
