"""How much the state folder holds: counted whole by a thread, since a page has no time for it, and kept until it is old."""

import shutil
import threading
import time
from pathlib import Path

from penumbra.commands.status import bytes_below

FRESH_S = 60.0


class DiskUse:
    """The last count of a folder's files.

    Parameters
    ----------
    home
        The folder of all state.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._used: int | None = None
        self._ended = -FRESH_S
        self._turn = threading.Lock()
        self._ends = False

    def words(self) -> str:
        """What is used and free, in words; begins a new count where the last one is old."""
        if time.monotonic() - self._ended >= FRESH_S and self._turn.acquire(blocking=False):
            threading.Thread(target=self._count, daemon=True, name="disk use").start()
        try:
            free = shutil.disk_usage(next(path for path in (self._home, *self._home.parents) if path.exists())).free
        except OSError:
            return "not known"
        return f"{_words(self._used) + ' used here' if self._used is not None else 'what is used here is being counted'}, {_words(free)} free"

    def close(self) -> None:
        """End a count that is under way."""
        self._ends = True

    def _count(self) -> None:
        try:
            used, whole = bytes_below(self._home, lambda: not self._ends)
            if whole:
                self._used = used
        finally:
            self._ended = time.monotonic()
            self._turn.release()


def _words(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
