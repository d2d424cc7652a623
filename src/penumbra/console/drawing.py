"""Figures for pages: matplotlib is not safe in threads and holds Python's lock for 0.2 s a figure, so one process draws them all."""

import hashlib
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from penumbra.base.refusal import Refusal
from penumbra.base.workers import one_thread_each
from penumbra.console.kept import Kept

T = TypeVar("T")
PATIENCE_S = 60.0


class Drawing:
    """The drawing process, started with the first figure, and the figures of this commit."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._pool: ProcessPoolExecutor | None = None
        self._turn = threading.Lock()

    def draw(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function of a module returns for arguments that can be pickled: a figure, or several.

        Raises
        ------
        Refusal
            "console_busy" where the process ended or took longer than PATIENCE_S.
        """
        digest = hashlib.sha256(pickle.dumps(arguments)).hexdigest()
        return self._kept.get(("figure", function.__module__, function.__qualname__, digest), lambda: self.run(function, *arguments))

    def close(self) -> None:
        """End the process."""
        with self._turn:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The same without keeping it: for what the caller keeps longer, or shorter.

        Raises
        ------
        Refusal
            "console_busy", see `draw`; and what the function raises.
        """
        for last in (False, True):
            pool = self._started()
            try:
                return pool.submit(function, *arguments).result(PATIENCE_S)
            except TimeoutError:
                raise Refusal("console_busy", f"the figure was not drawn within {PATIENCE_S:g} s", "ask again in a moment") from None
            except BrokenProcessPool:  # the system took its memory; a fresh one may have enough
                self._drop(pool)
                if last:
                    raise Refusal("console_busy", "the process that draws figures ended, most likely for memory", "ask again in a moment") from None
        raise AssertionError("the second attempt answers or refuses")

    def _started(self) -> ProcessPoolExecutor:
        with self._turn:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=one_thread_each)
            return self._pool

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._turn:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)
