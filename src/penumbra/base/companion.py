"""A process next to this one, for work of one command that two cores can share."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, TypeVar

from penumbra.base.workers import KeptProcess, available_cores, stop_if_ending

Result = TypeVar("Result")

WAITING = 3  # pieces handed out at once: the process is never idle while this one works on a piece of its own


class Companion:
    """One process next to this one, where there is a second core; without one, all is done here.

    A piece of work whose process was killed, for memory say, is done here.
    """

    def __init__(self) -> None:
        self._process = KeptProcess() if available_cores() > 1 else None
        self._handed_out: list[Future[Any]] = []

    def __enter__(self) -> "Companion":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.shutdown(cancel_futures=True)

    def start(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Begin a piece of work there, a function that can be pickled; what is returned waits for its result."""
        if self._process is None:
            return work
        try:
            future = self._process.submit(work)
        except BrokenProcessPool:
            stop_if_ending(self._process)
            self._process = None
            return work
        self._handed_out.append(future)
        return lambda: self._result(future, work)

    def each(self, pieces: Sequence[Callable[[], Result]]) -> list[Result]:
        """What each piece of work returns, in their order: this process takes them from the front, the one next to it from the end."""
        done: list[Result] = []
        awaited: list[Callable[[], Result]] = []
        while len(done) + len(awaited) < len(pieces):
            while self._is_free() and len(done) + len(awaited) < len(pieces):
                awaited.append(self.start(pieces[-1 - len(awaited)]))
            if len(done) + len(awaited) < len(pieces):
                done.append(pieces[len(done)]())
        return [*done, *(result() for result in reversed(awaited))]

    def _is_free(self) -> bool:
        """Whether the process would not wait long before it takes another piece."""
        self._handed_out = [future for future in self._handed_out if not future.done()]
        return self._process is not None and len(self._handed_out) < WAITING

    def _result(self, future: "Future[Result]", work: Callable[[], Result]) -> Result:
        try:
            return future.result()
        except BrokenProcessPool:
            if self._process is not None:
                stop_if_ending(self._process)
                self._process = None
            return work()
