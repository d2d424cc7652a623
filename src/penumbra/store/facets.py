"""How many rows a selection has, and which few values its columns of text hold, in bounded time."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal
from penumbra.store.hints import written
from penumbra.store.in_memory import Source
from penumbra.store.limits import in_time
from penumbra.store.selection import Selection
from penumbra.store.statements import literal

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000  # whose values are counted
SECONDS = 0.5  # for counting; what takes longer is left out
PAGE_S = 10.0  # for the rows of one page
MAX_VALUES = 12  # of one facet
MAX_LETTERS = 60  # of a value that is offered
MAX_FACETS = 8


@dataclass(frozen=True)
class Facet:
    """The values of one column and how many rows have each, the most frequent first."""

    column: str
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Overview:
    """A selection in numbers.

    Parameters
    ----------
    rows
        None where they could not be counted in time.
    facets
        Of the columns of text with few values.
    counted
        Rows that the facets were counted in: the first ones of a long selection.
    """

    rows: int | None
    facets: tuple[Facet, ...] = ()
    counted: int = 0


def rows(source: Source, selection: Selection, *, seconds: float = PAGE_S) -> "pa.Table":
    """The rows of a selection.

    Raises
    ------
    Refusal
        "sql_timeout" where the relation takes longer to compute.
    """
    advice = "narrow it with a filter, or ask in /sql or with penumbra sql, which may take longer"
    with bounded(source, seconds, f"{selection.relation.name} takes longer than {seconds:g} s to compute", advice):
        return source.sql(*selection.statement())


def overview(source: Source, selection: Selection, *, seconds: float = SECONDS) -> Overview:
    """Count the rows of a selection and the values of its columns of text, in one pass."""
    relation = selection.relation
    texts = [column.name for column in relation.columns if column.family == "text" and column.name in (*selection.shown, *relation.usual)]
    texts = [name for name in texts if name not in ("patient", "feature")][: 2 * MAX_FACETS]
    conditions, values = selection.conditions()
    chosen = ", ".join(written(name) for name in texts) or "1 AS one"
    parts = [f"WITH chosen AS MATERIALIZED (SELECT {chosen} FROM {relation.name}{f' WHERE {conditions}' if conditions else ''}),"]  # noqa: S608 known names
    parts.append(f"first AS MATERIALIZED (FROM chosen LIMIT {ROWS})")
    parts.append("SELECT '' AS facet, '' AS shown, count(*) AS n FROM chosen")
    for name in texts:
        top = f"SELECT {literal(name)}, {written(name)}, count(*) FROM first WHERE {written(name)} IS NOT NULL GROUP BY {written(name)}"  # noqa: S608 known names
        parts.append(f"UNION ALL (FROM ({top}) LIMIT {MAX_VALUES + 1})")
    try:
        with bounded(source, seconds, "", ""):
            counts = source.sql("\n".join(parts), values).to_pylist()
    except Refusal as refusal:
        if refusal.rule != "sql_timeout":
            raise
        return Overview(None)
    total = next(int(row["n"]) for row in counts if not row["facet"])
    return Overview(total, tuple(_facets(counts, texts)), min(total, ROWS))


def count(source: Source, relation: str, seconds: float) -> int | None:
    """The rows of a relation; None where they are not counted in time."""
    try:
        with bounded(source, seconds, "", ""):
            return int(source.sql(f"SELECT count(*) FROM {relation}").column(0)[0].as_py())  # noqa: S608 known names
    except Refusal:
        return None


def _facets(counts: list[dict[str, Any]], texts: list[str]) -> Iterator[Facet]:
    offered = 0
    for name in texts:
        values = [(row["shown"], int(row["n"])) for row in counts if row["facet"] == name]
        if 1 < len(values) <= MAX_VALUES and all(len(value) <= MAX_LETTERS for value, _ in values) and offered < MAX_FACETS:
            offered += 1
            yield Facet(name, tuple(sorted(values, key=lambda value: (-value[1], value[0]))))


@contextlib.contextmanager
def bounded(source: Source, seconds: float, fault: str, advice: str) -> Iterator[None]:
    """Interrupt what is computed inside after some time, which refuses it with "sql_timeout"."""
    import duckdb

    with in_time(source.connection, seconds):
        try:
            yield
        except duckdb.InterruptException:
            raise Refusal("sql_timeout", fault, advice) from None
