"""A run that does not wait for its server: what happens is kept until the temporary Prefect API answers, and shown there from then on.

The API is started for a run that lasts: it takes as much of the processors as a run that finds everything done. Log lines have their own times; a part that
ended before has the time at which it could be shown. A run that ends first is not shown: nothing else would be left to wait for.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from penumbra.base import progress
from penumbra.base.progress import Reached, say
from penumbra.base.refusal import reportable
from penumbra.flows import temporary_api
from penumbra.flows.temporary_api import Api
from penumbra.pipeline.workspace import Work

if TYPE_CHECKING:
    from prefect import Flow

    from penumbra.flows.recorder import Recorder

THREAD = "prefect-late"
LASTS_S = 15.0  # that a run works before its API is started: twice what one takes that finds everything done
BEGIN_S, STOP_S = 10.0, 0.5  # that the end of a run waits for its flow run to begin; the same for a run that a signal stops
NOT_UP = f"the temporary Prefect API did not come up in time ({temporary_api.LOG} in the state folder); the run continues without it"


@dataclass(frozen=True)
class Label:
    """What a flow run is: its flow, its name, its parameters, and its tags besides those of every run."""

    flow: "Callable[[], Flow[..., Any]]"  # imports Prefect
    words: tuple[str, ...]
    parameters: dict[str, Any]
    tags: tuple[str, ...]


class Late:
    """A progress.Watcher that keeps what it is told until there is a Recorder to tell."""

    def __init__(self) -> None:
        self._lock, self._beginning = threading.Lock(), threading.Lock()
        self._waiting: list[tuple[datetime, Callable[[Recorder], None]]] = []
        self._recorder: Recorder | None = None
        self.closing = threading.Event()

    def sentence(self, line: str, level: int = logging.INFO) -> None:
        """Keep or send one log line."""
        self._tell(lambda recorder: recorder.sentence(line, level))

    def began(self, part: str) -> None:
        """Keep or show the beginning of a part."""
        self._tell(lambda recorder: recorder.began(part))

    def ended(self, part: str, error: BaseException | None) -> None:
        """Keep or show the end of a part."""
        self._tell(lambda recorder: recorder.ended(part, error))

    def reached(self, reached: Reached) -> None:
        """Keep or show how far a part has come."""
        self._tell(lambda recorder: recorder.reached(reached))

    def made(self, result: object) -> None:
        """Keep or show what a part left."""
        self._tell(lambda recorder: recorder.made(result))

    def attach(self, recorder: "Recorder") -> None:
        """Tell a recorder what was kept, and everything from now on."""
        with self._lock:
            clock = recorder.clock
            for at, call in self._waiting:
                recorder.clock = partial(_same, at)
                call(recorder)
            recorder.clock, self._recorder = clock, recorder
            self._waiting.clear()

    def begin(self, recorder: "Callable[[], Recorder]") -> None:
        """Begin a flow run and attach its recorder, unless the run is over."""
        with self._beginning:
            if not self.closing.is_set():
                self.attach(recorder())

    def close(self, error: BaseException | None) -> None:
        """The run is over: end its flow run, where there is one; one that is just being begun is waited for, or it would seem to run forever."""
        self.closing.set()
        patience_s = BEGIN_S if error is None or isinstance(error, Exception) else STOP_S
        if self._beginning.acquire(timeout=patience_s):
            self._beginning.release()
        with self._lock:
            recorder = self._recorder
        if recorder is not None:
            recorder.finish(error)

    def _tell(self, call: "Callable[[Recorder], None]") -> None:
        with self._lock:
            if self._recorder is None:
                self._waiting.append((datetime.now(UTC), call))
            else:
                call(self._recorder)


def _same(at: datetime) -> datetime:
    return at


@contextmanager
def shown(work: Work, label: Label, start: Callable[[], Api]) -> Iterator[None]:
    """Show what happens in this context as a flow run of the API that `start` starts, once the run has lasted; its absence changes nothing."""
    late = Late()
    threading.Thread(target=_attach, args=(late, work, label, start), name=THREAD, daemon=True).start()
    try:
        with progress.watching(late):
            yield
    except BaseException as error:
        late.close(error)
        raise
    late.close(None)


def _attach(late: Late, work: Work, label: Label, start: Callable[[], Api]) -> None:
    if late.closing.wait(LASTS_S):
        return
    try:
        api = start()
        if not api.answers(late.closing):
            if not late.closing.is_set():
                api.kill()
                say(NOT_UP)
            return
        from penumbra.flows import recorder  # Prefect takes seconds to import

        late.begin(lambda: recorder.begin(work, label.flow(), recorder.named(*label.words), label.parameters, label.tags))
    except Exception as error:  # the run goes on without its page, and somebody learns why
        say(f"nothing is shown by the Prefect server: {reportable(error)}")
