"""A verdict that waits for a person: carried out by `penumbra promote`, closed once, at whatever moment a call is killed."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penumbra import registry, store
from penumbra.cli import main
from penumbra.commands import doctor, promote, rollback, status
from penumbra.evaluate import Verdict
from penumbra.pipeline import aliases, manifests, notifications, proposals
from penumbra.pipeline.manifests import DecisionManifest, IngestedCenter, IngestManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.database import quiet_mlflow
from penumbra.retraining import protocol

from ..registry.small_bundle import METRICS, small_bundle

pytestmark = pytest.mark.slow

MODEL = "nsclc-os"
GATE = "Promoted: a gain is shown, no center is shown to be worse, and every baseline is beaten. Harrell's C within centers, 2 centers, 60 events."


class Killed(BaseException):
    """Stands for SIGKILL: nothing that the process would do afterwards is done."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """Version 1 is champion, 2 and 3 are registered; east has arrived."""
    home = tmp_path_factory.mktemp("proposals") / "home"
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    work = Work(home, load_settings("quick"), "test")
    for weight in (0.5, 0.6, 0.7):
        registry.register(home, small_bundle(home / "weights", weight), METRICS)
    aliases.set_alias(work, 1, reason="the first version")
    (home / "incoming" / "east").mkdir(parents=True)
    (home / "incoming" / "east" / "clinical.csv").write_text("patient,time,event\nE001,100,1\n")
    manifests.write(home, IngestManifest({"east": IngestedCenter(found=1, accepted={"E001": "i1"}, flagged={}, rejected={})}))
    return home


@pytest.fixture
def work(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    home = tmp_path / "home"
    shutil.copytree(kept, home)
    settings = load_settings("quick")
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    with quiet_mlflow():
        yield Work(home, replace(settings, retrain=replace(settings.retrain, promotion="propose")), "test")


def decide(work: Work) -> None:
    """As `protocol.retrain` leaves the verdict before it is carried out."""
    champion = registry.load(work.home)
    verdict = proposals.as_declared(Verdict("promote", GATE), work, 2)
    pending = DecisionManifest(
        center="east",
        key=protocol.key_of(work, champion, "east"),
        decision=verdict.decision,
        reason=verdict.reason,
        model=MODEL,
        champion=champion.entry.version,
        challenger=2,
        comparison=(),
    )
    manifests.write(work.home, pending, "pending-east")


def proposed(work: Work) -> DecisionManifest:
    decide(work)
    return protocol.retrain(work, "east")


def alias_of(work: Work) -> dict[str, int]:
    return dict(registry.shelf(work.home, MODEL).aliases)


def decision_row(work: Work) -> dict[str, Any]:
    with store.connect(work.home, read_only=True) as lake:
        (row,) = [row for row in lake.rows("retrainings") if row["step"] == "decision"]
    return row


def test_a_verdict_that_promotes_is_a_proposal_and_no_other_verdict_is() -> None:
    settings = load_settings("quick")
    asking = Work(Path("home"), replace(settings, retrain=replace(settings.retrain, promotion="propose")), "test")
    verdict = proposals.as_declared(Verdict("promote", GATE), asking, 2)
    assert verdict.decision == "propose"
    assert verdict.reason.startswith("Proposed: a gain is shown")
    assert verdict.reason.endswith('To make it champion: penumbra promote nsclc-os/2 --reason "..."')
    for other in (Verdict("keep", "Kept."), Verdict("reject", "Rejected.")):
        found = proposals.as_declared(other, asking, 2)
        assert (found.decision, found.reason) == (other.decision, f"{other.reason} To see both: penumbra compare champion 2")
    promoted = Verdict("promote", GATE)
    assert proposals.as_declared(promoted, replace(asking, settings=settings), 2) == promoted, "automatic is the default"


def test_a_proposal_waits_and_nothing_is_retrained_meanwhile(work: Work) -> None:
    found = proposed(work)
    assert found.decision == "propose"
    assert alias_of(work) == {"champion": 1, "challenger": 2}
    assert not protocol.is_new(work, "east")
    assert protocol.waiting(work) == []
    with store.connect(work.home, read_only=True) as lake:
        commits = lake.newest_commit()
    assert protocol.retrain(work, "east") == found
    with store.connect(work.home, read_only=True) as lake:
        assert lake.newest_commit() == commits
    told = (work.home / "notifications" / f"east-{found.key}.txt").read_text()
    assert told.startswith("penumbra: east arrived, a new champion is proposed\n\nProposed: a gain is shown")
    for carried_out in ("automatic", "propose"):
        other = replace(work, settings=replace(work.settings, retrain=replace(work.settings.retrain, promotion=carried_out)))
        assert not protocol.is_new(other, "east"), "who carries a verdict out does not change it"


def test_status_and_doctor_name_the_command(work: Work) -> None:
    proposed(work)
    found = status.look()
    command = 'penumbra promote nsclc-os/2 --reason "..."'
    assert [(each.center, each.why, each.command) for each in found.waiting] == [("east", "nsclc-os/2 is proposed as champion", command)]
    assert json.loads(CliRunner().invoke(main, ["status", "--format", "json"]).output)["waiting"][0]["command"] == command
    assert command in CliRunner().invoke(main, ["status"]).output
    (finding,) = doctor.examine(work.home, "retrainings")
    assert (finding.ok, finding.what, command in finding.found) == (True, "retraining of east", True)
    said = CliRunner().invoke(main, ["retrain", "--center", "east"])
    assert "Nothing new at east since it was decided." in said.output
    assert command in said.output


def test_next_is_the_proposal_and_then_no_longer(work: Work) -> None:
    proposed(work)
    found = status.look()
    assert (found.next, found.because) == ('penumbra promote nsclc-os/2 --reason "..."', "The retraining for east proposes this champion; a person decides.")
    promote.promote(work, "2", "champion", "agreed by the tumor board")
    found = status.look()
    assert [each for each in found.waiting if each.command] == []
    assert not found.next.startswith("penumbra promote")


def test_a_person_promotes(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "dr-okonkwo")
    before = proposed(work)
    said = promote.promote(work, "2", "champion", "agreed by the tumor board")
    assert said.startswith("nsclc-os/2 is champion; before: 1\neast: Promoted by hand: nsclc-os/2 was made champion by dr-okonkwo (agreed by the tumor board)")
    assert alias_of(work) == {"champion": 2}
    closed = protocol.last(work, "east")
    assert (closed.decision, closed.champion, closed.challenger, closed.key) == ("promoted by hand", 1, 2, before.key)
    assert 'penumbra rollback --reason "..." restores nsclc-os/1' in closed.reason
    row = decision_row(work)
    assert (row["retraining"], row["outcome"], json.loads(row["facts"])["decision"]) == (before.key, closed.reason, "promoted by hand")
    assert [path.name for path in notifications.unsent(work.home)] == [f"east-{before.key}.txt", f"east-{before.key}-closed.txt"]
    assert not protocol.is_new(work, "east"), "the new champion was compared there"
    assert proposals.close(work) == []
    rollback.rollback(work, "worse at the clinic")
    assert not protocol.is_new(work, "east"), "so was the earlier one"
    assert protocol.last(work, "east") == closed


def test_new_files_are_not_hidden_by_a_promotion(work: Work) -> None:
    proposed(work)
    (work.home / "incoming" / "east" / "clinical.csv").write_text("patient,time,event\nE001,100,1\nE002,200,0\n")
    promote.promote(work, "2", "champion", "agreed")
    assert protocol.is_new(work, "east")


def test_another_champion_overtakes_a_proposal(work: Work) -> None:
    proposed(work)
    said = promote.promote(work, "3", "champion", "it is faster")
    assert "east: Overtaken: nsclc-os/3 was made champion by" in said
    closed = protocol.last(work, "east")
    assert closed.decision == "overtaken"
    assert closed.reason.endswith("(it is faster) while nsclc-os/2 was proposed; penumbra retrain --center east compares with it.")
    assert protocol.is_new(work, "east")
    aliases.rollback(work, reason="it is not")
    assert protocol.is_new(work, "east"), "the sentence promises a comparison"
    found = status.look()
    assert [(each.center, each.why) for each in found.waiting] == [("east", "read, and another champion overtook the one that was proposed")]
    assert found.next == "penumbra retrain --center east"


def test_a_damaged_decision_on_another_center_blocks_nobody(work: Work) -> None:
    proposed(work)
    manifests.file_of(work.home, "retrain-west").write_text("{")
    assert "east: Promoted by hand" in promote.promote(work, "2", "champion", "agreed")


def test_a_champion_that_was_moved_in_mlflow_closes_a_proposal_too(work: Work) -> None:
    proposed(work)
    registry.database.client(work.home).set_registered_model_alias(MODEL, "champion", "2")
    closed = protocol.retrain(work, "east")
    assert closed.decision == "promoted by hand"
    assert "was made champion outside penumbra" in closed.reason


def killed_in(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int, *, after: bool) -> Callable[[], bool]:
    """Let the process die in the n-th call of a function, before or after its work; whether it came so far."""
    work, calls = getattr(module, name), []

    def dying(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == call and not after:
            raise Killed
        answer = work(*arguments, **named)
        if len(calls) == call:
            raise Killed
        return answer

    monkeypatch.setattr(module, name, dying)
    return lambda: len(calls) >= call


MOMENTS = [
    (module, name, call, after)
    for module, name, calls in (
        (protocol, "set_alias", 1),
        (store.Store, "write", 3),
        (notifications, "write_whole", 1),
        (manifests, "write_whole", 1),
        (Path, "unlink", 3),
        (protocol.attempts, "forget", 1),
        (registry.noted, "write", 1),
    )
    for call in range(1, calls + 1)
    for after in (False, True)
]


@pytest.mark.parametrize(("module", "name", "call", "after"), MOMENTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_proposal_that_was_killed_on_its_way_ends_the_same(work: Work, module: Any, name: str, call: int, after: bool) -> None:
    decide(work)
    with pytest.MonkeyPatch.context() as killing:
        reached = killed_in(killing, module, name, call, after=after)
        try:
            protocol.retrain(work, "east")
        except Killed:
            pass
        else:
            assert not reached()
    found = protocol.retrain(work, "east")
    assert (found.decision, alias_of(work)) == ("propose", {"champion": 1, "challenger": 2})
    assert found.key_promoted == protocol.key_of(work, registry.load(work.home, 2), "east")
    assert decision_row(work)["outcome"] == found.reason
    assert not manifests.file_of(work.home, "pending-east").exists()
    assert not protocol.is_new(work, "east")


@pytest.mark.parametrize(("module", "name", "call", "after"), MOMENTS[2:], ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_promotion_that_was_killed_on_its_way_ends_the_same(work: Work, module: Any, name: str, call: int, after: bool) -> None:
    """The next command that writes completes it, typed again or not; killed before the alias moved it has to be typed again."""
    proposed(work)
    with pytest.MonkeyPatch.context() as killing:
        killed_in(killing, module, name, call, after=after)
        with suppress(Killed):
            promote.promote(work, "2", "champion", "agreed")
    if after or alias_of(work)["champion"] == 1:
        promote.promote(work, "2", "champion", "agreed")
    found = protocol.retrain(work, "east")
    assert (found.decision, alias_of(work)) == ("promoted by hand", {"champion": 2})
    assert "(agreed)" in found.reason
    assert decision_row(work)["outcome"] == found.reason
    assert not protocol.is_new(work, "east")


def test_promoted_between_a_kill_and_the_next_call(work: Work) -> None:
    """The verdict is written and the alias is challenger; before anything else a person promotes: the champion does not become challenger again."""
    decide(work)
    with pytest.MonkeyPatch.context() as killing:
        killed_in(killing, protocol, "set_alias", 1, after=True)
        with pytest.raises(Killed):
            protocol.retrain(work, "east")
    promote.promote(work, "2", "champion", "agreed")
    found = protocol.retrain(work, "east")
    assert (found.decision, alias_of(work)) == ("promoted by hand", {"champion": 2})
    assert not protocol.is_new(work, "east")
