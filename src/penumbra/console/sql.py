"""One statement and its answer, judged and bounded as `penumbra serve-sql` does; the worked queries of the docs; a chart of two columns."""

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from penumbra.base.refusal import Refusal
from penumbra.commands.sql import note_changes, remarks
from penumbra.console import answers
from penumbra.console.pages import STATUS, Page
from penumbra.console.tables import Cell, written
from penumbra.console.visit import Visit
from penumbra.store import columns
from penumbra.store.answer import counted
from penumbra.store.selection import for_shell
from penumbra.store.serving import Question
from penumbra.store.statements import statement as named
from penumbra.store.worked import Query, queries

if TYPE_CHECKING:
    import pyarrow as pa

    from penumbra.report.ink import Rendered

SHOWN = 200  # rows on the page
DRAWN = 5000  # rows in a chart
MANY = 200  # columns: of a relation with more, the features are listed once for all


@dataclass(frozen=True)
class Answered:
    """What came back for one statement.

    Parameters
    ----------
    rows
        The first of them, as cells.
    total
        How many there are.
    notes
        Why there may be none.
    """

    names: list[str]
    numeric: list[bool]
    rows: list[list[Cell]]
    total: int
    seconds: float
    notes: tuple[str, ...]


def sql(visit: Visit) -> Response:
    """The editor; with ?q= the answer below it, or as a file."""
    statement = visit.value("q").strip()
    answered, refusal, chart = None, None, None
    try:
        if statement and visit.value("format"):
            note_changes(visit.home)
            return answers.file(visit, statement, visit.value("format"), name="answer")
        if statement:
            note_changes(visit.home)
            table, seconds = _answer(visit, statement)
            answered = _answered(visit, statement, table, seconds)
            chart = drawn(visit, table)
    except Refusal as refused:
        refusal = refused
    worked: dict[str, list[Query]] = {}
    for query in queries():
        worked.setdefault(query.topic, []).append(query)
    as_of = f" --as-of {visit.as_of_text}" if visit.as_of_text else ""
    return visit.page(
        "sql.html",
        title="SQL",
        command=f"penumbra sql {for_shell(statement)}{as_of}" if statement else "penumbra sql",
        status=200 if refusal is None else STATUS.get(refusal.rule, 400),
        statement=statement,
        answered=answered,
        refusal=refusal,
        marked=None if refusal is None else marked(statement, refusal.place),
        chart=chart,
        shown_rows=SHOWN,
        worked=worked,
        limits=answers.limits(visit),
    )


def _answer(visit: Visit, statement: str) -> "tuple[pa.Table, float]":
    from pyarrow import ipc

    started = time.monotonic()
    as_of = None if visit.as_of is None else str(visit.as_of)
    with answers.ask(visit, Question(statement, "arrow", as_of, first=DRAWN if visit.value("y") else SHOWN)) as file, ipc.open_stream(file) as stream:
        table: pa.Table = stream.read_all()
    return table, time.monotonic() - started


def _answered(visit: Visit, statement: str, table: "pa.Table", seconds: float) -> Answered:
    import pyarrow as pa

    shown = table.slice(0, SHOWN)
    numeric = [pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type) for field in table.schema]
    rows = list(written(visit, table.column_names, answers.values_of(shown)))
    return Answered(table.column_names, numeric, rows, counted(table), seconds, tuple(remarks(statement, table.num_rows)))


def drawn(visit: Visit, table: "pa.Table") -> "Rendered | None":
    """The chart of the two columns that the address names; None where it names none.

    Raises
    ------
    Refusal
        "chart" where these two make none.
    """
    from penumbra.report import two_columns

    x, y = visit.value("x"), visit.value("y")
    if not y:
        return None
    names = table.column_names
    for name in (x, y):
        if names.count(name) != 1:
            raise Refusal("chart", f"the answer has no column {name[:80]!r}, or more than one", f"choose two of {', '.join(names[:12])}")
    by_name = dict(zip(names, answers.values_of(table), strict=True))
    pairs = [(a, b) for a, b in zip(by_name[x], by_name[y], strict=True) if a is not None and _number(b)]
    missing = table.num_rows - len(pairs)
    if not pairs:
        raise Refusal("chart", f"{y} has no number to draw", "choose a column of numbers for the second one")
    values = [float(b) for _, b in pairs]
    if all(_number(a) for a, _ in pairs):
        return visit.console.drawing.draw(two_columns.scatter, x, y, [float(a) for a, _ in pairs], values, missing)
    return visit.console.drawing.draw(two_columns.strips, x, y, [str(a) for a, _ in pairs], values, missing)


def _number(value: Any) -> bool:
    if isinstance(value, bool | str | list | dict) or value is None:
        return False
    try:
        return math.isfinite(value)
    except TypeError:  # a time
        return False


def marked(statement: str, place: int | None) -> tuple[int, int, str, str, str] | None:
    """Where a statement is wrong: line and column from 1, and the line before, at and after the place; None where that is not known."""
    if place is None or place > len(statement):
        return None
    start = statement.rfind("\n", 0, place) + 1
    end = statement.find("\n", place)
    line = statement[start : len(statement) if end < 0 else end]
    at = place - start
    length = 1
    while at + length < len(line) and (line[at].isalnum() or line[at] in '"_') and (line[at + length].isalnum() or line[at + length] in '_"'):
        length += 1
    return statement.count("\n", 0, place) + 1, at + 1, line[:at], line[at : at + length] or " ", line[at + length :]


def words(visit: Visit) -> Response:
    """What the editor completes: relations and columns with what they mean, and the keywords of SQL."""

    def listed() -> bytes:
        with visit.store() as store:
            every = columns.relations(store)
            keywords = [str(word).upper() for (word,) in store.connection.execute(named("keywords")).fetchall()]
        features: dict[str, str] = {}
        relations = {}
        for relation in every.values():
            wide = len(relation.columns) > MANY
            plain = [column for column in relation.columns if not (wide and column.name in relation.features)]
            features |= {column.name: column.comment for column in relation.columns if wide and column.name in relation.features}
            relations[relation.name] = {"comment": relation.comment, "wide": wide, "columns": {column.name: _meaning(column) for column in plain}}
        return json.dumps({"relations": relations, "features": features, "keywords": keywords}, separators=(",", ":")).encode()

    return Response(visit.console.kept.get(("words", visit.as_of), listed), media_type="application/json")


def _meaning(column: columns.Column) -> str:
    return column.comment or column.kind.lower()


ROUTES: tuple[Page, ...] = (Page("/sql", sql, name="sql", live=True), Page("/sql/words", words, name="sql_words"))
