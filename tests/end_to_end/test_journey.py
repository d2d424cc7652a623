"""One journey: a foreign patient is asked about, a center whose level moved arrives, and what its patients die of later is watched."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.cohort.simulate import simulate
from penumbra.cohort.simulate_centers import CENTERS
from penumbra.commands import doctor, monitor
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.database import quiet_mlflow

from .conftest import Run, penumbra

pytestmark = [pytest.mark.numeric, pytest.mark.timeout(1800)]

FOREIGN = replace(CENTERS[0], name="west", patients=1, refused=(), mixed_gaps=False, slice_mm=(7.0,), noise_hu=(120.0, 121.0), offset_hu=150.0)


@dataclass(frozen=True)
class Foreign:
    """A state folder with the finished run, and the folder of a patient whose scanner nobody trained on."""

    home: Path
    folder: Path

    def asked(self, *arguments: str) -> Any:
        return json.loads(penumbra(self.home, *arguments, "--format", "json").stdout)


@pytest.fixture(scope="module")
def foreign(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    home = tmp_path_factory.mktemp("journey") / "home"
    shutil.copytree(run.home, home, symlinks=True)
    simulate(home.parent / "cohort", seed=7, centers=[FOREIGN])
    return Foreign(home, home.parent / "cohort" / "west" / "W001")


def test_a_patient_of_a_foreign_scanner_is_scored_and_flagged_with_the_columns(foreign: Foreign) -> None:
    first, *_ = penumbra(foreign.home, "predict", str(foreign.folder), "--record").stdout.splitlines()
    assert first.split()[:2] == ["applicability", "outside:"], "before the risk"
    answer = foreign.asked("predict", str(foreign.folder))
    assert answer["applicability"] == "outside"
    assert set(answer["applicability_columns"]) <= set(registry.load(foreign.home).model.columns)
    assert len(answer["applicability_columns"]) > 1
    (stored,) = foreign.asked("sql", "SELECT applicability, log_risk FROM predictions WHERE center = 'west'")
    assert stored == {"applicability": "outside", "log_risk": answer["log_risk"]}


def test_the_answer_is_explained_to_the_last_digit(foreign: Foreign) -> None:
    answer, why = foreign.asked("predict", str(foreign.folder)), foreign.asked("explain", str(foreign.folder))
    parts = why["contributions"]
    assert why["log_risk"] == pytest.approx(answer["log_risk"], abs=1e-12)
    assert why["lower"] < why["log_risk"] < why["upper"]
    assert parts["log_risk"] == round(why["log_risk"], parts["digits"])
    of_blocks = [parts["constant"], *parts["blocks"].values()]
    assert round(sum(of_blocks), parts["digits"]) == parts["log_risk"]
    for block, lines in parts["features"].items():
        assert round(sum(line["contribution"] for line in lines), parts["digits"]) == parts["blocks"][block]
    assert why["applicability"]["word"] == "outside"
    assert why["similar"] == [], "nobody of the own center trained, and other centers are not asked"


def test_the_patient_is_found_again_in_the_audit(foreign: Foreign) -> None:
    assert "outside" in penumbra(foreign.home, "audit").stdout
    entry = registry.find(foreign.home)
    page = foreign.home / "reports" / f"{entry.model}-{entry.version}" / "audit.html"
    assert "W001" in page.read_text(encoding="utf-8")


def test_it_is_explained_by_name_once_the_center_is_in_the_store(foreign: Foreign) -> None:
    before = foreign.asked("explain", str(foreign.folder))
    penumbra(foreign.home, "ingest", str(foreign.folder.parent), "--center", "west")
    penumbra(foreign.home, "populate")
    why = foreign.asked("explain", "W001")
    assert (why["log_risk"], why["contributions"]) == (before["log_risk"], before["contributions"])
    assert [why["applicability"][name] for name in ("word", "columns")] == [before["applicability"][name] for name in ("word", "columns")]
    assert penumbra(foreign.home, "explain", "W001").stdout.startswith("outside")


def test_a_drift_seeded_into_live_outcomes_is_found(foreign: Foreign) -> None:
    """The champion's own hazard times 2.5 from the day of scoring on, at one center; as it is at another."""
    work = Work(foreign.home, load_settings("quick"), "journey")
    with quiet_mlflow():
        champion = registry.load(foreign.home)
        for center, factor in (("harbor", 2.5), ("valley", 1.0)):
            _live(foreign.home, champion, center, factor)
        monitor.watch(work)
    with store.connect(foreign.home, read_only=True) as lake:
        seen = {row["center"]: row for row in lake.rows("live_monitoring")}
    assert seen["harbor"]["signal"] == "more"
    assert seen["harbor"]["signal_observed"] <= 40
    assert seen["valley"]["signal"] is None
    assert any("harbor" in finding.found for finding in doctor.examine(foreign.home) if not finding.ok)


def _live(home: Path, champion: registry.LoadedModel, center: str, factor: float, count: int = 90) -> None:
    """Patients who are scored by the champion, and whose outcome comes later."""
    random, model, begin = np.random.default_rng(5), champion.model, datetime(2026, 1, 1)
    days, hazard = np.array(model.baseline_times), np.array(model.baseline_hazard)
    predictions: list[Mapping[str, Any]] = []
    outcomes: list[Mapping[str, Any]] = []
    for i, log_risk in enumerate(random.normal(0, 0.5, size=count)):
        death = float(np.interp(random.exponential() / (factor * np.exp(log_risk)), hazard, days, right=np.inf))
        died, who = death <= 1500, {"patient": f"{center[0].upper()}{i:03d}", "center": center}
        scored = {"model": champion.entry.model, "version": str(champion.entry.version), "log_risk": float(log_risk)}
        predictions.append({**who, **scored, "at": begin + timedelta(days=10 * i)})
        outcomes.append({**who, "time": max(1.0, min(death, 1500.0)), "event": died})
    with store.connect(home) as lake:
        lake.write({"predictions": predictions}, run="journey", what="scored")
        lake.write({"patients": outcomes}, run="journey", what="outcomes")
