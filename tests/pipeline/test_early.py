"""What a run begins before its stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import network
from penumbra.base.refusal import Refusal
from penumbra.pipeline import early, manifests
from penumbra.pipeline.manifests import TrainManifest
from penumbra.pipeline.workspace import Work

from ..small_run import say_what_it_was_made_from, small_work

Begun = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    """Outcomes of those whose training is compiled for; None stands for the end."""
    calls: Begun = []
    monkeypatch.setattr(network, "begin_compiling", lambda event, time, *_, **__: calls.append((event, time)), raising=False)
    monkeypatch.setattr(network, "end_compiling", lambda: calls.append((np.zeros(0), np.zeros(0))), raising=False)
    return calls


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = small_work(tmp_path / "home", centers={"north": 12, "east": 5}, features=2)
    say_what_it_was_made_from(made)
    return made


def through(work: Work, *stages: str) -> None:
    with early.begun(work) as before:
        for stage in stages:
            before(stage)


def test_the_network_is_compiled_for_the_training_patients_from_populate_on(work: Work, begun: Begun) -> None:
    manifests.file_of(work.home, manifests.NAMES[TrainManifest]).unlink()
    through(work, "ingest")
    assert begun == []
    through(work, "ingest", "populate", "train")
    assert [len(event) for event, _ in begun] == [12, 0], "north alone trains; what nobody took over ends with the run"
    assert all(begun[0][1] > 0)


def test_nothing_begins_where_a_network_was_trained_before(work: Work, begun: Begun) -> None:
    through(work, "ingest", "populate", "train")
    assert begun == []


@pytest.mark.parametrize(
    "error",
    [ValueError("2 patients are too few"), Refusal("store_unreachable", "the catalog does not answer", "wait"), OSError("the share is away")],
    ids=["too few", "no store", "no share"],
)
def test_what_goes_wrong_is_left_for_its_stage_to_say(error: Exception, work: Work, begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests.file_of(work.home, manifests.NAMES[TrainManifest]).unlink()

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(network, "begin_compiling", fails, raising=False)
    through(work, "populate")
    assert len(begun) == 1, "the end"
