"""Pages as they were sent, in memory alone: twenty people who open the same page cost one rendering, and a change costs them no waiting.

A page whose data changed is rendered again by one thread in the background. A reader waits for that briefly; then the copy from before the change is sent, with
a line that says how old it is. A withdrawal, or any other change that must show at once, empties everything: nothing from before it is sent again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue

from starlette.responses import Response

AGAIN = "Refresh"  # header of a page of which something is still being computed: it is looked at again, and no copy of it is kept
ENTRIES = 128
LARGEST = 512_000  # bytes of a page that is kept
STATES = 256  # earlier states whose end is remembered
ENDING_S = 5.0  # what is rendered when the console ends may take so long
PATIENCE_S = 0.25  # a reader waits so long for a page that is rendered again before getting the copy from before

Names = frozenset[str] | None


@dataclass(frozen=True)
class Copy:
    """What was sent, and whom it names; `state` is what it was rendered from."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    named: Names
    state: Hashable = None

    def again(self) -> Response:
        """The same answer for another person."""
        response = Response(self.body)
        response.raw_headers = list(self.headers)
        return response


@dataclass(frozen=True)
class Made:
    """One rendering: the answer itself for who asked for it, and a copy for the others; None: it cannot be kept."""

    response: Response
    named: Names
    copy: Copy | None


@dataclass(frozen=True)
class Sending:
    """An answer, whom it names, and how old it is: seconds since its data changed, None for one of now."""

    response: Response
    named: Names
    age_s: float | None = None


@dataclass
class Entry:
    """What is kept of one page: the last copy, and the rendering that is under way."""

    copy: Copy | None = None
    under_way: "Future[Made] | None" = None
    turn: threading.Lock = field(default_factory=threading.Lock)


class Sent:
    """The answers of a console by what they depend on.

    Parameters
    ----------
    state
        What the state is now, see `Console.stamp`.
    settled
        What no copy outlives in a state, such as the withdrawals so far, see `Console.settled`: where it has changed, everything is forgotten.
    stale_s
        A copy is sent so long (s) after its data changed, at most; 0: never.
    clock
        Of seconds.
    """

    def __init__(
        self,
        state: Callable[[], Hashable],
        settled: Callable[[Hashable], Hashable] = lambda _: None,
        stale_s: float = 0.0,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state, self._settled, self._clock = state, settled, clock
        self._stale_s, self._patience_s = stale_s, patience_s
        self._of: Hashable = None
        self.entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._held: OrderedDict[Hashable, float] = OrderedDict()  # state -> when it was last seen to hold
        self._turn = threading.Lock()
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._renderer: threading.Thread | None = None

    def get(self, key: Hashable, show: Callable[[], Response], named: Callable[[Response], Names], *, patient: bool = False, part: Hashable = None) -> Sending:
        """The answer of a key, rendered once for each state; who asks meanwhile waits for it.

        Parameters
        ----------
        show
            Makes the answer.
        named
            Whom it names.
        patient
            Wait for the page of now, whatever it takes.
        part
            What else this page depends on, such as the second of one that shows a run.
        """
        while True:
            state = (self._state(), part)
            entry = self._entry(key, state, self._settled(state[0]))
            begun = self._begun(entry, state, show, named, patient=patient)
            if isinstance(begun, Sending):
                return begun
            rendering, usable = begun
            try:
                made = rendering.result(None if usable is None else self._patience_s)
            except TimeoutError:
                if usable is None:
                    raise  # the page's own
                return usable
            if made.copy is None:  # too large to keep, or a page that says that something is missing
                response = show()
                return Sending(response, named(response))
            if made.copy.state == state:
                return Sending(made.copy.again(), made.named)
            age_s = self._age_s(made.copy.state)
            if age_s < self._stale_s and not patient:
                return Sending(made.copy.again(), made.named, age_s)

    def _begun(
        self, entry: Entry, state: Hashable, show: Callable[[], Response], named: Callable[[Response], Names], *, patient: bool
    ) -> "Sending | tuple[Future[Made], Sending | None]":
        """The answer, or the rendering to wait for and what to send where it takes too long."""

        def make() -> Made:
            response = show()
            whom = named(response)
            return Made(response, whom, _copied(response, whom, state))

        with entry.turn:
            copy, usable = entry.copy, None
            if copy is not None and copy.state == state:
                return Sending(copy.again(), copy.named)
            if copy is not None and not patient and (age_s := self._age_s(copy.state)) < self._stale_s:
                usable = Sending(copy.again(), copy.named, age_s)
            if entry.under_way is not None:
                return entry.under_way, usable
            rendering = entry.under_way = Future()
            if usable is not None:
                self.in_background(lambda: _render(entry, rendering, make))
                return rendering, usable
        _render(entry, rendering, make)
        made = rendering.result()  # raises what the page raised
        return Sending(made.response, made.named)

    def in_background(self, work: Callable[[], None]) -> None:
        with self._turn:
            if self._renderer is None:
                self._renderer = threading.Thread(target=self._work, daemon=True, name="renders again")  # one: the others answer meanwhile
                self._renderer.start()
        self._waiting.put(work)

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()

    def clear(self) -> None:
        """Forget everything."""
        with self._turn:
            self.entries.clear()

    def close(self) -> None:
        """Render nothing more; a rendering that is under way may end: a program that ends in the middle of one is aborted by the engine."""
        if self._renderer is not None:
            self._waiting.put(None)
            self._renderer.join(ENDING_S)

    def _entry(self, key: Hashable, state: Hashable, settled: Hashable) -> Entry:
        now = self._clock()
        with self._turn:
            if settled != self._of:
                self._of = settled
                self.entries.clear()
            self._held[state] = now
            self._held.move_to_end(state)
            while len(self._held) > STATES:
                self._held.popitem(last=False)
            entry = self.entries.setdefault(key, Entry())
            self.entries.move_to_end(key)
            while len(self.entries) > ENTRIES:
                self.entries.popitem(last=False)
            return entry

    def _age_s(self, state: Hashable) -> float:
        """Seconds since a state was last seen to hold; endless where that is forgotten."""
        with self._turn:
            return self._clock() - self._held[state] if state in self._held else float("inf")


def _render(entry: Entry, rendering: "Future[Made]", make: Callable[[], Made]) -> None:
    """Render a page for all who wait."""
    try:
        made = make()
    except BaseException as error:
        with entry.turn:
            entry.under_way = entry.copy = None  # what the page says now is the error
        rendering.set_exception(error)
        return
    with entry.turn:
        entry.under_way, entry.copy = None, made.copy
    rendering.set_result(made)


def _copied(response: Response, named: Names, state: Hashable) -> Copy | None:
    body = getattr(response, "body", None)
    is_page = response.media_type == "text/html" and "content-encoding" not in response.headers  # a file may be packed as its reader takes it
    if response.status_code != 200 or AGAIN in response.headers or not is_page or not isinstance(body, bytes) or len(body) > LARGEST:
        return None
    return Copy(body, tuple(response.raw_headers), named, state)
