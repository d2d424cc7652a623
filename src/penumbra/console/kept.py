"""What pages computed, in memory alone, until the next commit: nothing of a patient outlives the patient's rows."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
ENTRIES = 256


class Kept:
    """A cache that is empty whenever the state it was computed from has changed.

    Parameters
    ----------
    stamp
        What the state is now; anything that differs from before empties the cache.
    entries
        Kept at once; the one that was not asked for the longest goes first.
    """

    def __init__(self, stamp: Callable[[], Hashable], entries: int = ENTRIES) -> None:
        self._stamp = stamp
        self._most = entries
        self._of: Hashable = None
        self._entries: OrderedDict[Hashable, tuple[threading.Lock, list[Any]]] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, computed once; a second page that asks meanwhile waits for the first one's."""
        now = self._stamp()
        with self._turn:
            if now != self._of:
                self._of = now
                self._entries.clear()
            lock, values = self._entries.setdefault(key, (threading.Lock(), []))
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with lock:
            if not values:
                values.append(make())
            value: T = values[0]
            return value

    def drop(self, key: Hashable) -> None:
        """Forget one value, so that the next page computes it again."""
        with self._turn:
            self._entries.pop(key, None)

    def peek(self, key: Hashable) -> Any | None:
        """The value of a key if it was computed since the last change; None otherwise."""
        now = self._stamp()
        with self._turn:
            values = self._entries[key][1] if now == self._of and key in self._entries else []
        return values[0] if values else None

    def clear(self) -> None:
        """Forget everything."""
        with self._turn:
            self._entries.clear()
