"""Connections that only read, held for a service and lent to its requests: a new one costs 0.36 s, and more where the catalog is elsewhere."""

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from penumbra.base.refusal import Refusal
from penumbra.store.lake import momentary, pauses
from penumbra.store.session import Store, connect

ABORTED = "transaction is aborted"  # what a statement meets whose transaction has met something momentary
T = TypeVar("T")


class Lent:
    """Opens each connection when it is first lent.

    Parameters
    ----------
    home
        The folder of all state.
    memory_mb
        Of each connection's engine.
    number
        Of connections.
    wait_s
        None: a request waits for a connection as long as it takes.
    busy
        What a request is refused with that waited longer.
    """

    def __init__(self, home: Path, memory_mb: int, number: int, *, wait_s: float | None = None, busy: Refusal | None = None) -> None:
        self._home, self._memory_mb, self._wait_s, self._busy = home, memory_mb, wait_s, busy
        self._held: queue.LifoQueue[Store | None] = queue.LifoQueue()
        for _ in range(number):
            self._held.put(None)

    @contextlib.contextmanager
    def lend(self) -> Iterator[Store]:
        """Lend one connection; one that the engine failed on is closed, and the next request opens another.

        Yields
        ------
        Store
            Of now.

        Raises
        ------
        Refusal
            `busy`, and those of `connect`, such as "store_exists".
        """
        try:
            lent = self._held.get(timeout=self._wait_s)
        except queue.Empty:
            assert self._busy is not None, "who waits without end is never told"
            raise self._busy from None
        try:
            lent = lent or self.open()
            yield lent
        except Refusal:
            raise
        except BaseException:
            if lent is not None:
                with contextlib.suppress(Exception):  # what is wrong with it is said by the error that is on its way
                    lent.close()
            lent = None
            raise
        finally:
            self._held.put(lent)

    def open(self, as_of: int | None = None) -> Store:
        """Open one that is the caller's own, of now or as of a commit.

        Returns
        -------
        Store
            With one thread: questions of a page or of one patient are small, and two cost a third more time.
        """
        opened = connect(self._home, read_only=True, as_of=as_of)
        opened.connection.execute(f"SET memory_limit = '{self._memory_mb}MB'; SET threads = 1")
        return opened

    def close(self) -> None:
        """Close what is open and not lent."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (held := self._held.get_nowait()) is not None:
                    held.close()


def at_once(lake: Store, work: Callable[[], T]) -> T:
    """What some work makes of several statements, all of one snapshot: for each statement outside of a transaction DuckLake reads its catalog again.

    Parameters
    ----------
    lake
        A connection of the caller's own.
    work
        Only reads; done again from its start where the catalog was busy.

    Raises
    ------
    Refusal
        "store_busy", and what `work` raises.
    """
    import duckdb

    for pause in pauses("the store's catalog has been busy"):
        try:
            with lake.views.held(lake.connection):
                return work()
        except duckdb.Error as error:
            if not (momentary(error) or ABORTED in str(error).lower()):
                raise
        time.sleep(pause)
    raise AssertionError("pauses() ends by raising")
