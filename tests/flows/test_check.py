"""The nightly check: deaths that do not come as expected are a finding of their own, announced once, until a retraining has answered them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from penumbra.commands import doctor, monitor
from penumbra.flows import check as nightly
from penumbra.pipeline import history, live, manifests
from penumbra.pipeline.live import Signal, Signals
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.retraining import protocol

SIGNAL = Signal("nsclc-os", 1, "east", "more", 21, 9.5)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A home where the champion has a signal at east, and nothing else is wrong."""
    work = Work(tmp_path / "home", load_settings("quick"), "test")
    (work.home / "incoming" / "east").mkdir(parents=True)
    manifests.write(work.home, Signals((SIGNAL,)), live.SIGNALS)
    monkeypatch.setattr(nightly, "begin", lambda: work)
    monkeypatch.setattr(doctor, "examine", lambda home: [])
    monkeypatch.setattr(monitor, "monitor", lambda work: [])
    monkeypatch.setattr(monitor, "watch", lambda work: ([], None))
    monkeypatch.setattr(live, "signals", lambda home, model: (SIGNAL,))
    return work


def test_a_signal_is_named_and_announced_once(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []
    monkeypatch.setattr(nightly, "live_signal", lambda center, words: events.append((center, words)))
    monkeypatch.setattr(protocol, "is_new", lambda work, center: True)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^live patients: more of east's patients died than nsclc-os/1 expected when it scored them") as failed:
            nightly.check.fn()
        assert "penumbra retrain --center east" in str(failed.value)
    assert [center for center, _ in events] == ["east"]
    (note,) = (work.home / "notifications").glob("*.txt")
    assert note.read_text(encoding="utf-8").startswith("penumbra: deaths at east do not come as expected\n\nmore of east's patients died")
    checked = history.last_check(work.home)
    assert checked is not None
    assert len(checked.bad) == 1


def test_a_signal_that_a_retraining_answered_is_no_finding(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "is_new", lambda work, center: False)
    nightly.check.fn()
    checked = history.last_check(work.home)
    assert checked is not None
    assert checked.bad == ()
    assert list((work.home / "notifications").glob("*")) == []


def test_a_center_with_a_signal_waits_although_it_was_there_before(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = SimpleNamespace(lineage=SimpleNamespace(data_digests={"east": "a", "south": "b"}))
    (work.home / "incoming" / "south").mkdir()
    monkeypatch.setattr("penumbra.registry.load", lambda home, which, *, model: champion)
    monkeypatch.setattr(protocol, "is_new", lambda work, center, **_: True)
    assert protocol.waiting(work) == ["east"]
    monkeypatch.setattr(live, "signals", lambda home, model: ())
    assert protocol.waiting(work) == []


def test_a_store_that_is_broken_is_a_finding_too(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "is_new", lambda work, center: False)
    monkeypatch.setattr(doctor, "examine", lambda home: [doctor.Finding("store", False, "a key twice"), doctor.Finding("stages", False, "again", waits=True)])
    with pytest.raises(RuntimeError, match=r"^store: a key twice$"):
        nightly.check.fn()
