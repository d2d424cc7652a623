import os
from functools import partial

import pytest

from penumbra.base import companion
from penumbra.base.companion import Companion


def _square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def _dies_elsewhere(home: int) -> int:
    if os.getpid() != home:
        os.kill(os.getpid(), 9)
    return home


def test_both_processes_work_and_the_results_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "available_cores", lambda: 2)
    with Companion() as others:
        first = others.start(partial(_square, 9))
        results = others.each([partial(_square, number) for number in range(40)])
    assert [square for square, _ in results] == [number * number for number in range(40)]
    assert first()[0] == 81
    assert len({os.getpid(), first()[1]} | {where for _, where in results}) == 2


def test_what_a_killed_process_had_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "available_cores", lambda: 2)
    with Companion() as others:
        assert others.start(partial(_dies_elsewhere, os.getpid()))() == os.getpid()
        assert others.each([partial(_square, 3)] * 5) == [(9, os.getpid())] * 5, "and so is all that follows"


def test_one_core_alone_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "available_cores", lambda: 1)
    with Companion() as others:
        assert others.each([partial(_square, 2)] * 3) == [(4, os.getpid())] * 3
        assert others.start(partial(_square, 2))() == (4, os.getpid())
