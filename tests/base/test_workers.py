"""Processes over patients: refusals pass through, a killed worker costs a retry alone, no worker outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.base.workers import available_bytes, lasting_pool, over


def square(value: int) -> int:
    if value == 5:
        raise Refusal("not_five", "5", "send another number")
    return value * value


def killed_at_three(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def killed_the_first_time(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second try"


@pytest.mark.slow
def test_results_and_refusals_come_back_with_their_items() -> None:
    outcome = dict(over(square, range(4, 8), workers=2))
    assert {item: result for item, result in outcome.items() if not isinstance(result, Refusal)} == {4: 16, 6: 36, 7: 49}
    assert isinstance(outcome[5], Refusal)
    assert outcome[5].rule == "not_five"


def test_a_killed_worker_is_refused_and_the_others_go_on() -> None:
    outcome = dict(over(killed_at_three, range(8), workers=2))
    assert isinstance(outcome[3], Refusal)
    assert outcome[3].rule == "worker_killed"
    assert [outcome[item] for item in (0, 1, 2, 4, 5, 6, 7)] == [0, 1, 2, 4, 5, 6, 7]


def test_a_worker_killed_once_is_tried_again(tmp_path: Path) -> None:
    assert dict(over(killed_the_first_time, [tmp_path / "marker"], workers=1)) == {tmp_path / "marker": "second try"}


def worker(value: int) -> int:
    if value < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_a_lasting_pool_works_again_and_replaces_what_was_killed() -> None:
    with lasting_pool() as pool:
        first, again = ({result for _, result in over(worker, [1, 2, 3, 4], 2, pool=pool)} for _ in range(2))
        assert first | again == first
        lost = dict(over(worker, [5, -1], 2, pool=pool))
        assert isinstance(lost[-1], Refusal)
        replaced = {result for _, result in over(worker, [1, 2], 2, pool=pool)}
        assert not replaced & first
    assert not any(running(int(str(pid))) for pid in replaced)


def moment(place: tuple[str, int]) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(0.3)
    return start, time.monotonic()


def test_memory_admits_and_the_largest_go_first() -> None:
    items = [("small", 1), ("half", 5), ("whole", 10), ("beyond", 30)]
    spans = dict(over(moment, items, workers=4, needs=lambda item: item[1], room=10))
    together = [(a[0], b[0]) for a in items for b in items if a < b and spans[a][0] < spans[b][1] and spans[b][0] < spans[a][1]]
    assert set(together) <= {("half", "small")}  # 5 + 1 fit into 10; the whole, and what needs more than there is, work alone
    starts = sorted(items, key=lambda item: spans[item][0])
    assert [name for name, _ in starts[:2]] == ["beyond", "whole"]


def test_a_killed_worker_costs_the_run_nothing_under_admission() -> None:
    outcome = dict(over(killed_at_three, range(6), workers=2, needs=lambda value: value + 1, room=8))
    assert isinstance(outcome[3], Refusal)
    assert {item: result for item, result in outcome.items() if item != 3} == {0: 0, 1: 1, 2: 2, 4: 4, 5: 5}


def test_workers_are_killed_before_their_parent() -> None:
    ((_, score),) = over(kill_order, ["once"], workers=1)
    assert not isinstance(score, Refusal)
    assert score > int(Path("/proc/self/oom_score_adj").read_text())


def kill_order(_: str) -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())


def test_there_is_memory() -> None:
    assert 2**20 < available_bytes() < 2**50


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, pathlib, time\n"
        "from penumbra.base.workers import available_bytes, lasting_pool, over\n"
        "def work(folder):\n"
        "    (pathlib.Path(folder) / f'pid{os.getpid()}').touch()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        f"    list(over(work, [{str(tmp_path)!r}] * 2, workers=2))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    wait_for(lambda: len(list(tmp_path.glob("pid*"))) == 2)
    workers = [int(path.name[3:]) for path in tmp_path.glob("pid*")]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(running(pid) for pid in workers))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_module_that_is_tied_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import os, pathlib, sys, time\npathlib.Path(sys.argv[1], f'pid{os.getpid()}').touch()\ntime.sleep(60)\n")
    parent_of_it = f"import subprocess, sys\nfrom penumbra.base import parent_bound\nsubprocess.run(parent_bound.command('sleeper', {str(tmp_path)!r}))\n"
    parent = subprocess.Popen([sys.executable, "-c", parent_of_it], cwd=tmp_path)
    wait_for(lambda: any(tmp_path.glob("pid*")))
    (child,) = (int(path.name[3:]) for path in tmp_path.glob("pid*"))
    assert running(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: not running(child))
