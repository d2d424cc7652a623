"""A scan that is sent cannot take the service down: what reads it ends alone, and the next scan is read."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.commands.model_service.scanning import Scans


@pytest.fixture
def scans(tmp_path: Path) -> Iterator[Scans]:
    reading = Scans(tmp_path, 1, reading_s=2.0)
    yield reading
    reading.close()


def is_running(process: int) -> bool:
    """Whether a process has not ended to its last thread; one that did waits to be asked for its status, or is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_process_is_kept_and_one_that_ended_is_replaced(scans: Scans) -> None:
    first = scans.ask(os.getpid)
    assert first != os.getpid()
    assert scans.ask(os.getpid) == first
    with pytest.raises(Refusal) as refused:
        scans.ask(partial(os.kill, first, signal.SIGKILL))
    assert refused.value.rule == "worker_killed"
    second = scans.ask(os.getpid)
    assert second != first
    os.kill(second, signal.SIGKILL)  # between two scans: nobody's scan is to blame
    while is_running(second):
        time.sleep(0.01)
    assert scans.ask(os.getpid) not in (first, second)


def test_a_scan_that_takes_too_long_is_given_up(scans: Scans) -> None:
    process = scans.ask(os.getpid)
    with pytest.raises(Refusal, match=r"more than 2 s"):
        scans.ask(partial(time.sleep, 600))
    assert scans.ask(os.getpid) != process
    assert not is_running(process)
