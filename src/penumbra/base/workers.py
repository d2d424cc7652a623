"""Worker processes over patients: a pool that stays within the free memory, dies with its parent and survives a killed worker."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

from penumbra.base.child_process import STOPS, die_with_parent
from penumbra.base.refusal import Refusal

KILLED_FIRST = Path("/proc/self/oom_score_adj")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Pool:
    """Who works: processes of this machine, or the workers of a cluster.

    Parameters
    ----------
    workers
        How many.
    bytes
        Memory that they can use together.
    start
        A fresh executor with so many workers.
    killed
        What a future raises whose worker did not survive it.
    """

    workers: int
    bytes: int
    start: Callable[[int], AbstractContextManager[Executor]]
    killed: tuple[type[Exception], ...]


def this_machine() -> Pool:
    """A process for each core."""
    return Pool(available_cores(), available_bytes(), _ProcessPool, (BrokenProcessPool,))


@contextmanager
def lasting_pool() -> Iterator[Pool]:
    """Processes of this machine that stay from one call of `over` to the next: starting one costs as much as the images of several patients."""
    idle: list[_ProcessPool] = []

    @contextmanager
    def start(workers: int) -> Iterator[Executor]:
        if workers == 1:  # for what killed its process before
            with _ProcessPool(1) as alone:
                yield alone
            return
        executor = idle.pop() if idle else _ProcessPool(workers)
        try:
            yield executor
            executor.submit(int).result()
        except BrokenProcessPool:  # it ends with what it lost; the next call has new ones
            executor.shutdown()
        except BaseException:
            executor.shutdown()
            raise
        else:
            idle.append(executor)

    try:
        yield replace(this_machine(), start=start)
    finally:
        for executor in idle:
            executor.shutdown()


def one_thread_each() -> None:
    """Start a worker: die with the parent, be the OOM killer's first choice (Linux), and keep numerical libraries to one thread.

    The processes already share the cores.
    """
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it without a trace, as the other signals do; `over` then ends the command
    if KILLED_FIRST.exists():
        KILLED_FIRST.write_text("500", encoding="ascii")  # between 0, as any process, and 1000, before all others
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"


def over(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    needs: Callable[[Item], int] | None = None,
    room: int = 0,
    pool: Pool | None = None,
) -> Iterator[tuple[Item, Result | Refusal]]:
    """`(item, work(item))` as each finishes, in `workers` processes, in no fixed order.

    Parameters
    ----------
    needs
        Predicted bytes of memory for an item; the largest then go first, and an item is handed out only while all that were handed out need at most
        `room` bytes together, or when it is the only one. None: order and number alone decide.
    room
        Bytes, see `available_bytes`.
    pool
        Who works; None: this machine.

    Notes
    -----
    A Refusal raised by `work` is yielded instead of a result. When a worker dies (killed for memory, say), whatever was in flight is tried
    again one at a time in a process of its own; an item whose process dies again is yielded as a Refusal, and the others continue.
    """
    pool = pool or this_machine()
    sized = [(needs(item) if needs else 0, item) for item in items]
    todo = sorted(sized, key=lambda entry: -entry[0]) if needs else sized
    while todo:
        lost: list[Item] = []
        with pool.start(workers) as executor:
            waiting: dict[Future[Result], tuple[int, Item]] = {}
            while True:
                # twice as many as there are workers: none is idle while the caller handles a result
                while not lost and len(waiting) < 2 * workers and (entry := _admitted(todo, [need for need, _ in waiting.values()], room)):
                    try:
                        waiting[executor.submit(work, entry[1])] = entry
                    except pool.killed:
                        lost.append(entry[1])
                if not waiting:
                    break
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    _, item = waiting.pop(future)
                    try:
                        yield item, future.result()
                    except Refusal as refusal:
                        yield item, refusal
                    except pool.killed:
                        stop_if_ending(executor)
                        lost.append(item)
        for item in lost:
            yield item, _alone(work, item, pool)


def _admitted(todo: list[tuple[int, Item]], handed_out: list[int], room: int) -> tuple[int, Item] | None:
    """Takes from `todo` the first entry that fits next to those handed out; None when there is none."""
    free = room - sum(handed_out)
    for place, (need, _) in enumerate(todo):
        if need <= max(free, 0) or not handed_out:
            return todo.pop(place)
    return None


def _alone(work: Callable[[Item], Result], item: Item, pool: Pool) -> Result | Refusal:
    with pool.start(1) as executor:
        try:
            return executor.submit(work, item).result()
        except Refusal as refusal:
            return refusal
        except pool.killed:
            stop_if_ending(executor)
            return killed("twice, the second time alone")


def killed(how: str) -> Refusal:
    """The refusal for an item whose worker process died."""
    return Refusal(
        "worker_killed",
        f"the process that worked on this patient was killed {how}",
        "most likely memory: see the size of the image, or give the machine more memory, and run again",
    )


class _Workers(SpawnContext):
    """Starts worker processes and remembers them.

    A forked child would inherit open database files and locks, and hold them after its parent was killed; so they are spawned.
    """

    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # the executor only calls it
        worker = _Worker(*arguments, **options)
        self.started.append(worker)
        return worker


class _Worker(SpawnProcess):
    """The executor ends its other workers when one has died: by SIGKILL, so that SIGTERM is always somebody else's."""

    def terminate(self) -> None:
        self.kill()


class _ProcessPool(ProcessPoolExecutor):
    def __init__(self, workers: int) -> None:
        self.workers = _Workers()
        super().__init__(workers, mp_context=self.workers, initializer=one_thread_each)

    def ending_signal(self) -> int | None:
        """The signal that asked a worker of a broken executor to end; None where they were killed, for memory say."""
        end = time.monotonic() + 5
        while any(worker.exitcode is None for worker in self.workers.started) and time.monotonic() < end:
            time.sleep(0.01)
        return next((-worker.exitcode for worker in self.workers.started if worker.exitcode is not None and -worker.exitcode in STOPS), None)


class KeptProcess(_ProcessPool):
    """One worker that stays for the next piece of work.

    It ends with the thread that gave it its first one: that has to be one that stays.
    """

    def __init__(self) -> None:
        super().__init__(1)

    def has_ended(self) -> bool:
        """Whether it ended since it began; the pool itself learns that a moment later."""
        return any(not worker.is_alive() for worker in self.workers.started)

    def kill(self) -> None:
        """End it, whatever it does."""
        for worker in self.workers.started:
            worker.kill()
        self.shutdown(wait=False, cancel_futures=True)


def stop_if_ending(executor: Executor) -> None:
    """A signal that asks to end is meant for the command, also where it was sent to a worker alone."""
    if isinstance(executor, _ProcessPool) and (signum := executor.ending_signal()) is not None:
        os.kill(os.getpid(), signum)


def available_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def available_bytes() -> int:
    """Memory that processes started now can use: what the system has free, within the limit of its control group (Linux)."""
    facts = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in facts if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    if not (group / "memory.max").exists() or (limit := (group / "memory.max").read_text().strip()) == "max":
        return free
    return min(free, int(limit) - int((group / "memory.current").read_text()))
