"""Processes over patients: a pool that dies with its parent and outlives a worker killed for memory."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from penumbra.refusal import Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, so that a killed run leaves no worker behind (Linux; elsewhere no effect)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        set_parent_death_signal = 1
        libc.prctl(set_parent_death_signal, signal.SIGKILL)


def one_thread_each() -> None:
    """Worker start: die with the parent, and keep numerical libraries to one thread, since the processes already share the cores."""
    die_with_parent()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"


def over(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result | Refusal]]:
    """`(item, work(item))` as each finishes, in `workers` processes, in no fixed order.

    A Refusal raised by `work` is yielded in place of a result. When a worker dies (killed for memory, say), whatever was in flight is tried
    again one at a time in a process of its own; who dies alone again is yielded as a Refusal, and the others go on.
    """
    todo = list(items)
    while todo:
        lost: list[Item] = []
        with _pool(workers) as pool:
            waiting: dict[Future[Result], Item] = {}
            rest = iter(todo)
            todo = []
            broken = False
            while True:
                while not broken and len(waiting) < 2 * workers and (item := next(rest, None)) is not None:
                    try:
                        waiting[pool.submit(work, item)] = item
                    except BrokenProcessPool:
                        lost.append(item)
                        broken = True
                if not waiting:
                    break
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    item = waiting.pop(future)
                    try:
                        yield item, future.result()
                    except Refusal as refusal:
                        yield item, refusal
                    except BrokenProcessPool:
                        lost.append(item)
                        broken = True
            todo = list(rest) if broken else []
        for item in lost:
            yield item, _alone(work, item)


def _alone(work: Callable[[Item], Result], item: Item) -> Result | Refusal:
    with _pool(1) as pool:
        try:
            return pool.submit(work, item).result()
        except Refusal as refusal:
            return refusal
        except BrokenProcessPool:
            return Refusal(
                "worker_killed",
                "the process that worked on this patient was killed twice, the second time alone",
                "most likely memory: see the size of the image, or give the machine more memory, and run again",
            )


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawn: a forked child would inherit open database files and locks, and hold them after its parent was killed
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=one_thread_each)


def available_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
