"""A center arrives whose patients die four times as fast: the protocol chooses the intercept, and a version that changes it there alone is promoted."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra import registry, store
from penumbra.commands import predict as predict_command
from penumbra.commands import retrain as retrain_command
from penumbra.pipeline import aliases
from penumbra.pipeline.ingest import ingest
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.retraining import protocol

from .conftest import Run

pytestmark = [pytest.mark.numeric, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def work(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A copy of the finished run, in which everybody of east and south dies, or is lost, in a quarter of the time."""
    home = tmp_path_factory.mktemp("update") / "home"
    shutil.copytree(run.home, home, symlinks=True)
    for center, column in (("east", "Survival.time"), ("south", "survival_days")):
        faster(home / "incoming" / center, column)
    settings = load_settings("quick")
    work = Work(home, replace(settings, evaluate=replace(settings.evaluate, bootstraps=50)), "update")
    with store.connect(home, read_only=True) as lake:
        patients = {row["patient"]: row["center"] for row in lake.rows("patients")}
    for center in ("east", "south"):  # follow-up does not shrink by itself
        ingest(work, only=center, confirmed=[patient for patient, place in patients.items() if place == center])
    return work


def faster(link: Path, column: str) -> None:
    source = link.resolve()
    link.unlink()
    shutil.copytree(source, link)
    with (link / "clinical.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if row[column].replace(".", "", 1).isdecimal():  # who has no outcome is refused, as before
            row[column] = str(max(1, round(float(row[column]) / 4)))
    with (link / "clinical.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def decided(work: Work) -> DecisionManifest:
    return protocol.retrain(work, "east")


def test_the_intercept_is_chosen_and_nothing_is_fitted_again(work: Work, decided: DecisionManifest) -> None:
    evidence = decided.update
    assert evidence is not None
    assert evidence.step == "intercept", evidence
    assert 0.5 < evidence.intercept < 2.5, "log 4, in a cohort of a few dozen"
    assert (decided.decision, decided.challenger) == ("promote", registry.find(work.home).version)
    with store.connect(work.home, read_only=True) as lake:
        steps = [row for row in lake.rows("retrainings") if row["retraining"] == decided.key]
    steps.sort(key=lambda row: row["commit_id"])
    assert [row["step"] for row in steps] == ["arrival", "validation", "checks", "update", "decision"]
    assert json.loads(steps[3]["facts"])["step"] == "intercept"
    assert " can tell C to +-" in steps[1]["outcome"]
    values = {(row.model, row.metric): row.value for row in decided.comparison}
    assert abs(values["challenger", "calibration_intercept"]) < abs(values["champion", "calibration_intercept"])
    before, after = registry.load(work.home, decided.champion), registry.load(work.home)
    assert {name: model.digest() for name, model in after.models.items()} == {name: model.digest() for name, model in before.models.items()}


def test_the_decision_is_shown(work: Work, decided: DecisionManifest) -> None:
    page = (work.home / "reports" / "retrain-east" / "index.html").read_text(encoding="utf-8")
    for words in ("How much has to change", "Probabilities at the center", "Vergouwe", "can tell C to"):
        assert words in page
    printed = retrain_command.decision(decided)
    assert "refit against" in printed
    assert "cross-validated" in printed
    assert not protocol.is_new(work, "east")
    assert protocol.retrain(work, "east") == decided


def test_only_the_patients_of_the_center_are_answered_otherwise(work: Work, decided: DecisionManifest) -> None:
    folder = next(path for path in sorted((work.home / "incoming" / "east").glob("E*")) if path.is_dir())
    before, after = (predict_command.predict(work.home, folder, str(version), "east") for version in (decided.champion, decided.challenger))
    assert (after.log_risk, after.risk_group) == (before.log_risk, before.risk_group)
    assert before.survival["1y"] is not None
    assert after.survival["1y"] is not None
    assert after.survival["1y"] < before.survival["1y"]
    assert after.recalibrated is not None
    assert after.recalibrated.deaths == decided.update.deaths  # type: ignore[union-attr]
    elsewhere = [predict_command.predict(work.home, folder, str(version), "north").survival for version in (decided.champion, decided.challenger)]
    assert elsewhere[0] == elsewhere[1]


def test_another_center_keeps_the_update_and_a_person_can_decide(work: Work, decided: DecisionManifest) -> None:
    careful = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, promotion="propose")))
    proposed = protocol.retrain(careful, "south")
    assert proposed.update is not None
    assert proposed.update.step in ("intercept", "slope"), proposed.update
    assert (proposed.decision, registry.find(work.home).version) == ("propose", decided.challenger)
    aliases.set_alias(careful, proposed.challenger, reason="agreed")
    updates = registry.load(work.home).updates
    assert list(updates) == ["east", "south"]
    assert updates["east"] == registry.load(work.home, decided.challenger).updates["east"]
    assert aliases.rollback(work, reason="a test").version == decided.challenger
