"""What tables and statements ask of the store: on a held connection in bounded time, once in memory, or in a process of its own as serve-sql does."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from starlette.responses import Response

from penumbra import store
from penumbra.base import tables
from penumbra.base.refusal import Refusal
from penumbra.console.visit import Visit
from penumbra.store import facets, serving
from penumbra.store.columns import Relation
from penumbra.store.in_memory import COMPUTED, InMemory, Source, computed
from penumbra.store.selection import Selection
from penumbra.store.serving import Limits, Question

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "parquet", "arrow")
TURN_S = 5.0  # a statement waits so long for its turn
COUNT_S = 1.0  # for counting the rows of one relation
MANY_PATIENTS = 5000  # beyond these, relations with a row for each feature are not counted
READY_S = 0.2  # a page waits so long for a relation that is being computed


class Computing(Exception):
    """An answer is being computed; look again.

    Parameters
    ----------
    seconds
        Since when.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"computed for {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Computation:
    """One that was begun, at a time of `time.monotonic`."""

    answer: "Future[InMemory]"
    began: float = field(default_factory=time.monotonic)


def limits(visit: Visit) -> Limits:
    """Of one statement: those of serve-sql."""
    chosen = visit.console.settings.serve_sql
    return Limits(timeout_s=chosen.timeout_s, memory_mb=chosen.memory_mb, max_rows=chosen.max_rows, at_once=chosen.at_once)


@cache
def _turns(at_once: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(at_once)


def ask(visit: Visit, question: Question) -> IO[bytes]:
    """Answer a statement as serve-sql does: judged, in a process of its own, within its limits, a few at once.

    Raises
    ------
    Refusal
        Of the judge or the engine; "sql_busy" where no turn came in time.
    """
    bounds = limits(visit)
    turns = _turns(bounds.at_once)
    if not turns.acquire(timeout=TURN_S):
        raise Refusal("sql_busy", f"{bounds.at_once} statements have been running for {TURN_S:g} s", "ask again in a moment")
    try:
        return serving.ask(visit.home, question, bounds)
    finally:
        turns.release()


def file(visit: Visit, sql: str, form: str, *, name: str, values: Sequence[Any] = ()) -> Response:
    """A whole answer as a file.

    Raises
    ------
    Refusal
        "question" for a format that there is not; see `ask`.
    """
    if form not in FORMATS:
        raise Refusal("question", f"no format {form[:40]!r}", f"use {', '.join(FORMATS)}")
    answer = ask(visit, Question(sql, form, None if visit.as_of is None else str(visit.as_of), tuple(values)))
    response = serving.streamed(answer, form)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return response


def values_of(table: "pa.Table") -> list[list[Any]]:
    """The columns of an answer as Python's; a date that Python does not have as text."""
    return [tables.values(column) for column in table.columns]


@contextlib.contextmanager
def lent(visit: Visit, relation: Relation) -> Iterator[Source]:
    """What answers about a relation: a held connection, or, of one that takes long to compute, its rows in memory.

    Raises
    ------
    Computing
        It is not ready yet.
    """
    if relation.name not in COMPUTED:
        with visit.store() as held:
            yield held
        return
    home, as_of = visit.home, visit.as_of
    computation = visit.console.kept.get(("computed", as_of, relation.name), lambda: begun_for(home, relation.name, as_of))
    try:
        ready = computation.answer.result(READY_S)
    except TimeoutError:
        raise Computing(time.monotonic() - computation.began) from None
    yield ready


def begun_for(home: Path, relation: str, as_of: int | None) -> Computation:
    future: Future[InMemory] = Future()

    def work() -> None:
        try:
            future.set_result(computed(home, relation, as_of))
        except BaseException as error:  # the page that waits raises it
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name=f"computes {relation}").start()
    return Computation(future)


def overview(visit: Visit, selection: Selection) -> facets.Overview:
    """The rows and facets of a selection, once per commit."""
    if selection.unordered and not selection.filters:
        return facets.Overview(None)
    conditions, values = selection.conditions()

    def counted() -> facets.Overview:
        with lent(visit, selection.relation) as source:
            return facets.overview(source, selection)

    return visit.console.kept.get(("overview", visit.as_of, selection.relation.name, selection.shown, conditions, tuple(values)), counted)


@dataclass
class Counts:
    """Rows of relations as far as they are counted; None: not in time."""

    rows: dict[str, int | None] = field(default_factory=dict)
    complete: bool = False


def counts(visit: Visit, relations: Sequence[str]) -> Counts:
    """The rows of every relation, counted once per commit by a thread of its own; what is there so far."""
    home, as_of = visit.home, visit.as_of

    def begun() -> Counts:
        so_far = Counts()
        threading.Thread(target=_count, args=(home, as_of, relations, so_far), daemon=True, name="rows of relations").start()
        return so_far

    return visit.console.kept.get(("counts", as_of), begun)


def _count(home: Path, as_of: int | None, relations: Sequence[str], so_far: Counts) -> None:
    try:
        with store.connect(home, read_only=True, as_of=as_of) as lake:
            lake.connection.execute("SET threads = 1")
            many = (facets.count(lake, "patients", COUNT_S) or 0) > MANY_PATIENTS
            for name in relations:
                hopeless = many and (name in COMPUTED or "_long" in name)
                so_far.rows[name] = None if hopeless else facets.count(lake, name, COUNT_S)
    finally:
        so_far.complete = True
