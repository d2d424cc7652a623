"""The store as the pages read it: two held connections, since a new one costs 0.36 s, and an older store for a minute where a page asks "as of"."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from penumbra.base.refusal import Refusal
from penumbra.store import Store
from penumbra.store.lent import Lent

CONNECTIONS = 2
OLD_STORES = 2  # open at once
OLD_STORE_S = 60.0  # one that nobody asked for this long is closed
NEWEST_OF = "SELECT coalesce(max(id), 0) AS id FROM commits WHERE list_has_any(json_keys(relations::JSON), ?::VARCHAR[])"
BUSY_S = 20.0  # a page waits so long for a connection


class Readers:
    """Lends connections that only read.

    Parameters
    ----------
    home
        The folder of all state.
    memory_mb
        Of each connection's engine.
    """

    def __init__(self, home: Path, memory_mb: int) -> None:
        busy = Refusal("console_busy", f"the store has been busy with other pages for {BUSY_S:g} s", "ask again in a moment")
        self._now = Lent(home, memory_mb, CONNECTIONS, wait_s=BUSY_S, busy=busy)
        self._old: dict[int, tuple[Store, float]] = {}
        self._old_turn = threading.Lock()
        self._watch: Store | None = None
        self._watch_turn = threading.Lock()

    @contextlib.contextmanager
    def lend(self, as_of: int | None = None) -> Iterator[Store]:
        """Lend one connection; a connection that the engine failed on is closed, and the next page gets a new one.

        Yields
        ------
        Store
            Of now, or as of a commit.

        Raises
        ------
        Refusal
            "store_exists", "commit", and "console_busy" where every connection has been lent for BUSY_S.
        """
        if as_of is not None:
            with self._old_turn:
                yield self._old_store(as_of)
            return
        with self._now.lend() as lent:
            yield lent

    def newest_commit_of(self, relations: Sequence[str]) -> int:
        """The number of the newest commit that wrote to one of some relations; 0: none did. On a connection of its own: pages must not wait for pages.

        Raises
        ------
        Refusal
            "store_exists" and others of `store.connect`.
        """
        with self._watch_turn:
            try:
                self._watch = self._watch or self._now.open()
                rows = self._watch.sql(NEWEST_OF, [list(relations)]).to_pylist()
            except BaseException:
                if self._watch is not None:
                    with contextlib.suppress(Exception):
                        self._watch.close()
                self._watch = None
                raise
            return int(rows[0]["id"])

    def newest_commit(self) -> int:
        """The number of the newest commit; 0 where there is no store yet."""
        try:
            with self.lend() as lent:
                return lent.newest_commit()
        except Refusal as refusal:
            if refusal.rule == "store_exists":
                return 0
            raise

    def close(self) -> None:
        """Close what is open and not lent."""
        with self._watch_turn:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        with self._old_turn:
            for old, _ in self._old.values():
                old.close()
            self._old.clear()
        self._now.close()

    def _old_store(self, commit: int) -> Store:
        now = time.monotonic()
        opened = self._old.pop(commit, (None, now))[0] or self._now.open(commit)
        self._old[commit] = (opened, now)
        overdue = [number for number, (_, at) in self._old.items() if now - at > OLD_STORE_S]
        for number in [*overdue, *[number for number in self._old if number not in overdue][:-OLD_STORES]]:
            self._old.pop(number)[0].close()
        return opened
