"""How often, and how many at once."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from penumbra.base.refusal import Refusal

MAX_KEYS = 10_000


@dataclass
class Rate:
    """At most `most` in `seconds`, for each key by itself.

    Parameters
    ----------
    most
        Within `seconds`.
    seconds
        How far back is counted.
    """

    most: int
    seconds: float
    _times: dict[str, deque[float]] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, key: str, *, count: bool = True) -> float:
        """How long `key` has to wait; 0: not at all, and this time counts, unless it is only asked."""
        now = time.monotonic()
        with self._turn:
            if key not in self._times and len(self._times) >= MAX_KEYS:
                self._times = {name: times for name, times in self._times.items() if times and now - times[-1] < self.seconds}
                if len(self._times) >= MAX_KEYS:
                    self._times.pop(next(iter(self._times)))
            times = self._times.setdefault(key, deque())
            while times and now - times[0] >= self.seconds:
                times.popleft()
            if len(times) >= self.most:
                return self.seconds - (now - times[0])
            if count:
                times.append(now)
            return 0.0


class Turns:
    """How many costly pages are computed at once; the others wait for a turn.

    Parameters
    ----------
    at_once
        Turns.
    wait_s
        For a turn, before the page asks its reader to come again.
    """

    def __init__(self, at_once: int, wait_s: float) -> None:
        self.at_once, self.wait_s = at_once, wait_s
        self._free = asyncio.Semaphore(at_once)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a turn.

        Raises
        ------
        Refusal
            "console_busy".
        """
        try:
            await asyncio.wait_for(self._free.acquire(), self.wait_s)
        except TimeoutError:
            advice = "ask again in a moment; the other pages answer meanwhile"
            raise Refusal("console_busy", f"{self.at_once} pages that compute for long have been busy for {self.wait_s:g} s", advice) from None
        try:
            yield
        finally:
            self._free.release()
