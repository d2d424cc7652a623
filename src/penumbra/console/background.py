"""What takes too long for a page: computed in a process of its own, one at a time, and looked for again by the page until it is there."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from penumbra.base.refusal import Refusal
from penumbra.base.workers import one_thread_each
from penumbra.console.kept import Kept

WAITING = 4  # computations that are under way or wait; another one is asked to come again


class Background:
    """The process that computes, and what it computed for this commit; the process ends after each computation and gives its memory back."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._pool: ProcessPoolExecutor | None = None
        self._turn = threading.Lock()
        self._running: set[Future[Any]] = set()

    def ask(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """The computation of a key, begun where nobody asked before; `done()` says whether its `result()` is there.

        Parameters
        ----------
        key
            Of what is computed.
        function
            Of a module, with arguments that can be pickled.

        Raises
        ------
        Refusal
            "console_busy" where WAITING others are not done yet.
        """
        future: Future[Any] = self._kept.get(("background", key), lambda: self._begun(function, arguments))
        if future.done() and (future.cancelled() or isinstance(future.exception(), BrokenProcessPool)):
            self.close()
            self._kept.drop(("background", key))
            raise Refusal("console_busy", "the process that computed this ended, most likely for memory", "ask again in a moment")
        return future

    def close(self) -> None:
        """End the process, whatever it does."""
        with self._turn:
            if self._pool is not None:
                for process in list((self._pool._processes or {}).values()):  # shutdown would wait for the computation
                    process.kill()
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def _begun(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> "Future[Any]":
        with self._turn:
            self._running = {future for future in self._running if not future.done()}
            if len(self._running) >= WAITING:
                raise Refusal("console_busy", f"{WAITING} other computations are under way", "ask again in a minute")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=one_thread_each, max_tasks_per_child=1)
            future = self._pool.submit(function, *arguments)
            self._running.add(future)
            return future
