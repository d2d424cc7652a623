"""Deaths of patients who were scored before them: a drift seeded into them is found, a model that is right is left alone, only later deaths count."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.commands import doctor, monitor
from penumbra.pipeline import aliases, live, notifications, prospective
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.database import quiet_mlflow

from ..registry.small_bundle import METRICS, small_bundle

pytestmark = pytest.mark.slow

MODEL = "nsclc-os"
BEGIN = datetime(2026, 1, 1)
DRIFT_DAY, WATCH_DAYS, DRIFT = 500.0, 2000.0, 2.5


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    home = tmp_path_factory.mktemp("live") / "home"
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    for weight in (0.5, 0.6):
        registry.register(home, small_bundle(home / "weights", weight), METRICS)
    aliases.set_alias(Work(home, load_settings("quick"), "test"), 1, reason="the first version")
    return home


@pytest.fixture
def work(kept: Path, tmp_path: Path) -> Iterator[Work]:
    shutil.copytree(kept, tmp_path / "home")
    settings = load_settings("quick")
    with quiet_mlflow():
        yield Work(tmp_path / "home", replace(settings, monitor=replace(settings.monitor, runs=2000)), "test")


def followed(work: Work, center: str, *, factor: float = 1.0, count: int = 80, seed: int = 1, version: str = "1") -> None:
    """Patients who are scored over 1000 days and whose outcome comes later: their hazard is the model's, from DRIFT_DAY on times `factor`."""
    model = registry.load(work.home, 1).model
    random = np.random.default_rng(seed)
    log_risk, scored = random.normal(0, 0.5, size=count), np.sort(random.uniform(0, 1000, size=count))
    growth = np.diff(np.array(model.baseline_hazard), prepend=0.0)
    predictions, outcomes = [], []
    for i in range(count):
        days = np.array(model.baseline_times)
        hazard = np.cumsum(growth * np.exp(log_risk[i]) * np.where(scored[i] + days > DRIFT_DAY, factor, 1.0))
        step = int(np.searchsorted(hazard, random.exponential()))
        end = min(WATCH_DAYS - scored[i], model.baseline.last_day)
        died = step < days.size and days[step] <= end
        who = {"patient": f"{center[0].upper()}{i:03d}", "center": center}
        at = BEGIN + timedelta(days=float(scored[i]))
        predictions.append({**who, "model": MODEL, "version": version, "log_risk": float(log_risk[i]), "at": at})
        outcomes.append({**who, "time": float(days[step]) if died else float(end), "event": bool(died)})
    with store.connect(work.home) as lake:
        lake.write({"predictions": predictions}, run="test", what="scored")
        lake.write({"patients": outcomes}, run="test", what="outcomes")


def shown(work: Work) -> dict[str, dict[str, Any]]:
    with store.connect(work.home, read_only=True) as lake:
        return {row["center"]: row for row in lake.rows("live_monitoring")}


def test_a_drift_is_found_and_a_model_that_is_right_is_not_flagged(work: Work) -> None:
    """Hazard x 2.5 from day 500 on: found within 27 deaths (of 200 simulated centers half within 17, nine of ten within 25)."""
    followed(work, "east", factor=DRIFT)
    followed(work, "south", seed=2)
    followed(work, "west", factor=1 / DRIFT, seed=3)
    watched, page = monitor.watch(work)
    rows = shown(work)
    assert {center: row["signal"] for center, row in rows.items()} == {"east": "more", "south": None, "west": "fewer"}
    assert rows["south"]["observed"] == pytest.approx(rows["south"]["expected"], abs=2.5 * np.sqrt(rows["south"]["expected"]))
    east = next(one for one in watched if one.center == "east")
    before = int((east.stream.died & (east.stream.day <= DRIFT_DAY)).sum())
    assert 0 < rows["east"]["signal_observed"] - before <= 27, "deaths from the drift to the signal"
    assert east.stream.day[east.more.signal] > DRIFT_DAY, "not before it"
    assert page is not None
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 3
    assert "more of east" in text


def test_a_signal_is_announced_once_and_waits_for_a_retraining(work: Work) -> None:
    followed(work, "east", factor=DRIFT)
    followed(work, "south", seed=2)
    monitor.watch(work)
    (signal,) = live.signals(work.home, MODEL)
    assert (signal.center, signal.version, signal.deaths) == ("east", 1, "more")
    (finding,) = doctor.examine(work.home, "live patients")
    assert (finding.ok, finding.waits) == (False, True)
    assert finding.found.startswith("more of east's patients died than nsclc-os/1 expected when it scored them: ")
    assert notifications.notify_signal(work.home, signal, monitor.PAGE)
    assert not notifications.notify_signal(work.home, signal, monitor.PAGE), "not again"
    aliases.set_alias(work, 2, reason="another champion")
    assert live.signals(work.home, MODEL) == (), "which has scored nobody"


def test_the_signal_of_a_version_is_that_of_the_probabilities_that_it_gave(work: Work) -> None:
    """A center whose patients got probabilities that were fitted to it expects more deaths from the beginning."""
    followed(work, "east", factor=DRIFT)
    with store.connect(work.home, read_only=True) as lake:
        rows = prospective.followed(lake, MODEL)
    loaded = registry.load(work.home)
    (plain,) = live.watched(loaded, rows, work.settings.monitor)
    (fitted,) = live.watched(loaded, [{**row, "answered_risk": row["log_risk"] + np.log(2)} for row in rows], work.settings.monitor)
    assert fitted.expected == pytest.approx(2 * plain.expected)


def test_only_what_comes_after_the_prediction_counts(work: Work) -> None:
    """Of five patients one was known to be dead when scored, one was known to be alive on day 300, and one is scored again later."""
    model = registry.load(work.home).model
    who = [{"patient": f"E{i:03d}", "center": "east"} for i in range(5)]
    said = {"model": MODEL, "version": "1", "log_risk": 0.0, "at": BEGIN}
    with store.connect(work.home) as lake:
        first = [{**who[0], "time": 200.0, "event": True}, {**who[1], "time": 300.0, "event": False}, {**who[2], "time": 100.0, "event": False}]
        lake.write({"patients": first}, run="test", what="known")
        lake.write({"predictions": [{**one, **said} for one in who]}, run="test", what="scored")
        lake.write({"patients": [{**who[2], "time": 250.0, "event": False}]}, run="test", what="seen again")
        lake.write({"predictions": [{**who[2], **said, "log_risk": 1.0}]}, run="test", what="scored again")
        later = [(0, 220.0, True), (1, 500.0, True), (2, 600.0, False), (3, 400.0, True), (4, 400.0, False)]
        lake.write({"patients": [{**who[i], "time": time, "event": event} for i, time, event in later]}, run="test", what="outcomes")
    (one,) = monitor.watch(work)[0]
    assert (one.patients, one.observed) == (4, 2), "without the one who was dead"
    hazard = model.baseline.at([500.0, 300.0, 600.0, 100.0, 400.0, 400.0])
    assert one.expected == pytest.approx(hazard[0] - hazard[1] + hazard[2] - hazard[3] + hazard[4] + hazard[5]), "from the first time that they were scored"


def test_what_is_no_evidence_any_more_is_taken_back(work: Work) -> None:
    followed(work, "east", factor=DRIFT)
    monitor.watch(work)
    with store.connect(work.home) as lake:
        people = [{key: row[key] for key in ("patient", "center")} for row in lake.rows("predictions")]
        lake.write({"model_patients": [{**one, "model": MODEL, "version": "1", "split": "train"} for one in people]}, run="test", what="it was fitted on them")
    assert monitor.watch(work) == ([], None)
    assert shown(work) == {}
    assert live.signals(work.home, MODEL) == ()
    assert monitor.watch(work) == ([], None)
