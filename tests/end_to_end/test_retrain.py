"""A center arrives at a champion: the protocol from its validation to the gate, on the simulated cohort."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra import aliases, answers, registry, retraining, store
from penumbra.refusal import Refusal
from penumbra.settings import load_settings
from penumbra.work import Manifest, Work

from .conftest import Run

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def work(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A copy of the finished run; small numbers, since the protocol is looked at here and not the model."""
    home = tmp_path_factory.mktemp("retrain") / "home"
    shutil.copytree(run.home, home, symlinks=True)
    settings = load_settings("quick")
    return Work(
        home,
        replace(
            settings,
            network=replace(settings.network, input_size=16),
            train=replace(settings.train, epochs=3),
            evaluate=replace(settings.evaluate, bootstraps=50, refits=2),
            retrain=replace(settings.retrain, folds=2),
        ),
        "retrain",
    )


@pytest.fixture(scope="module")
def decided(work: Work) -> Manifest:
    return retraining.retrain(work, "east")


def relation(work: Work, name: str) -> list[dict[str, object]]:
    with store.connect(work.home, read_only=True) as lake:
        return lake.rows(name)


def test_every_step_is_a_row(work: Work, decided: Manifest) -> None:
    rows = [row for row in relation(work, "retrainings") if row["center"] == "east"]
    rows.sort(key=lambda row: row["commit_id"])  # type: ignore[arg-type, return-value]
    assert [row["step"] for row in rows] == ["arrival", "validation", "checks", "refit", "gate", "decision"]
    assert json.loads(str(rows[-1]["facts"]))["decision"] == decided["decision"]


def test_the_frozen_champion_has_on_the_new_center_what_the_run_measured(run: Run, work: Work, decided: Manifest) -> None:
    asked = "SELECT value FROM model_metrics WHERE model = 'nsclc-os' AND version = '1' AND center = 'east' AND metric = 'harrell_c'"
    before = json.loads(run.penumbra("sql", asked, "--format", "json").stdout)[0]["value"]
    step = next(row for row in relation(work, "retrainings") if row["step"] == "validation")
    assert f"nsclc-os/1 has C {before:.3f}" in str(step["outcome"])


def test_a_challenger_of_both_centers_is_compared_where_nobody_was_fitted(work: Work, decided: Manifest) -> None:
    challenger = registry.find(work.home, decided["challenger"])
    assert challenger.train_centers == ("east", "north")
    centers = {row["center"] for row in decided["comparison"]}
    assert centers == {"north", "east", "south", "external"}
    assert {row["model"] for row in decided["comparison"]} == {"champion", "challenger", "Volume", "Clinical", "Shuffled"}
    assert all(row["split"] == "test" for row in decided["comparison"])
    value = {(row["model"], row["center"]): row["value"] for row in decided["comparison"] if row["metric"] == "harrell_c"}
    fitted = {
        row["center"]: row["value"]
        for row in relation(work, "model_metrics")
        if (row["model"], row["version"], row["metric"], row["split"]) == ("nsclc-os", "1", "harrell_c", "train")
    }
    assert value["champion", "north"] < fitted["north"], "a patient is never judged by a fit that saw the patient"  # type: ignore[operator]
    assert "champion" in answers.decision(decided)


def test_the_gate_alone_moves_the_alias(work: Work, decided: Manifest) -> None:
    wanted = {"promote": ("champion",), "keep": ("challenger",), "reject": ()}[decided["decision"]]
    assert registry.find(work.home, decided["challenger"]).aliases == wanted


def test_nothing_new_is_said_and_registers_nothing(work: Work, decided: Manifest) -> None:
    versions, commits = registry.versions(work.home), relation(work, "commits")
    assert not retraining.is_new(work, "east")
    assert retraining.retrain(work, "east") == decided
    assert (registry.versions(work.home), relation(work, "commits")) == (versions, commits)


def test_too_few_deaths_stop_before_a_refit(work: Work, decided: Manifest) -> None:
    careful = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, min_events=1000)))
    versions = registry.versions(work.home)
    stopped = retraining.retrain(careful, "south")
    assert stopped["decision"] == "stop"
    assert "1000 are needed" in stopped["reason"]
    assert registry.versions(work.home) == versions


def test_promotion_and_rollback_are_rows_with_a_reason(work: Work, decided: Manifest) -> None:
    champion = registry.find(work.home).version
    other = next(entry.version for entry in registry.versions(work.home) if entry.version != champion)
    aliases.set_alias(work, other, reason="tried here")
    assert registry.find(work.home).version == other
    assert aliases.rollback(work, reason="worse at the clinic").version == champion
    assert registry.find(work.home).version == champion
    rows = [row for row in relation(work, "alias_changes") if row["alias"] == "champion"]
    rows.sort(key=lambda row: row["commit_id"])  # type: ignore[arg-type, return-value]
    assert [row["reason"] for row in rows[-2:]] == ["tried here", "worse at the clinic"]
    shown = {row["version"]: row["alias"] for row in relation(work, "model_versions")}
    assert "champion" in str(shown[str(champion)])
    with pytest.raises(Refusal, match="reason_given"):
        aliases.set_alias(work, other, reason=" ")


def test_a_center_that_never_arrived(work: Work) -> None:
    with pytest.raises(Refusal, match=r"center_arrived: no center west in incoming/; there are east, north, south"):
        retraining.retrain(work, "west")


def test_nobody_waits_while_every_center_was_there_when_the_champion_was_registered(run: Run) -> None:
    assert retraining.waiting(Work(Path(run.home), load_settings("quick"), "look")) == []
