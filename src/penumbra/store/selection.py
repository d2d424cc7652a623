"""Rows of one relation as a person chooses them: filters, a search, an order, columns, a page; and the statement that says the same.

Every value goes to the engine as a parameter; every name is one of the relation's own. The statement with its values written out is what
`penumbra sql` answers with the same rows.
"""

import datetime as dt
import math
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from penumbra.base.refusal import Refusal, choose
from penumbra.store.columns import Column, Relation
from penumbra.store.hints import written
from penumbra.store.statements import literal

MAX_FILTERS = 12
MAX_COLUMNS = 200
MAX_ORDERS = 3
MAX_VALUE = 1000  # characters
NO_VALUE = ("is empty", "is not empty")
COMPARED = {"=": "=", "not": "IS DISTINCT FROM", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
SEARCHED = {"contains": "contains(lower({}), lower({}))", "starts with": "starts_with(lower({}), lower({}))"}
OPERATORS = (*COMPARED, *SEARCHED, *NO_VALUE)
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
EXPECTED = {"number": "a number, such as 60 or 0.5", "truth": "true or false", "moment": "a day or a time in UTC, such as 2026-11-26 or 2026-11-26 12:03"}


@dataclass(frozen=True)
class Filter:
    """One condition on one column.

    Parameters
    ----------
    value
        As the column's type; None where the operator needs none.
    """

    column: Column
    operator: str
    value: Any = None

    def sql(self, mark: str) -> str:
        """The condition, with `mark` for its value."""
        name = written(self.column.name)
        if self.operator in NO_VALUE:
            return f"{name} IS {'NOT ' if 'not' in self.operator else ''}NULL"
        if self.operator in SEARCHED:
            return SEARCHED[self.operator].format(name if self.column.family == "text" else f"{name}::VARCHAR", mark)
        return f"{name} {COMPARED[self.operator]} {mark}{'::TIMESTAMP' if self.column.family == 'moment' else ''}"


def condition(relation: Relation, column: str, operator: str, value: str) -> Filter:
    """A filter as it was typed.

    Raises
    ------
    Refusal
        "column" for one that the relation does not have; "filter" for an operator or a value that does not fit the column, in one sentence.
    """
    chosen = relation.column(column)
    if operator not in OPERATORS:
        raise Refusal("filter", f"no comparison {operator[:40]!r}", choose(operator[:40], OPERATORS, what="there are"))
    if operator in NO_VALUE:
        return Filter(chosen, operator)
    if len(value) > MAX_VALUE or "\0" in value:
        raise Refusal("filter", f"the value for {column} is too long, or holds a character that no text has", f"use at most {MAX_VALUE} characters")
    if operator in SEARCHED:
        return Filter(chosen, operator, value)
    if chosen.family == "other":
        raise Refusal("filter", f"{column} holds lists, which {operator!r} does not compare", "use contains")
    return Filter(chosen, operator, _typed(chosen, operator, value.strip() if chosen.family != "text" else value))


def _typed(column: Column, operator: str, text: str) -> Any:
    """The value as the column's type has it."""
    try:
        if column.family == "number":
            number = float(text)
            whole = text.removeprefix("-").isdecimal() and abs(int(text)) < 2**63
            if math.isfinite(number) and "_" not in text:
                return int(text) if whole else number
        elif column.family == "truth" and text.lower() in TRUTHS:
            return TRUTHS[text.lower()]
        elif column.family == "moment":
            moment = dt.datetime.fromisoformat(text)
            return str(moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment)
        elif column.family == "text":
            return text
    except (ValueError, OverflowError):
        pass
    raise Refusal(
        "filter",
        f"{column.name} {operator} {text[:60]!r} does not compare: {column.name} is {EXPECTED[column.family].split(',')[0]}",
        f"give {EXPECTED[column.family]}",
    )


@dataclass(frozen=True)
class Selection:
    """Rows and columns of one relation.

    Parameters
    ----------
    columns
        Shown, in this order; () for the usual ones.
    search
        Rows in which a shown text has these letters, whatever the case.
    order
        (column, downward), the first one first; all shown columns follow, so that pages neither repeat nor lose a row.
    limit, offset
        Of the page; None: every row.
    """

    relation: Relation
    columns: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    search: str = ""
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        for name in (*self.columns, *(name for name, _ in self.order)):
            self.relation.column(name)
        if len(self.columns) > MAX_COLUMNS:
            raise Refusal("column", f"{len(self.columns)} columns", f"choose at most {MAX_COLUMNS}; penumbra sql shows more")
        if len(self.order) > MAX_ORDERS:
            raise Refusal("column", f"{len(self.order)} columns to sort by", f"sort by at most {MAX_ORDERS}")
        if len(self.filters) > MAX_FILTERS:
            raise Refusal("filter", f"{len(self.filters)} filters", f"use at most {MAX_FILTERS}; penumbra sql takes more")
        if self.search and (len(self.search) > MAX_VALUE or "\0" in self.search):
            raise Refusal("filter", "the search is too long, or holds a character that no text has", f"use at most {MAX_VALUE} characters")
        if self.search and not self.texts:
            raise Refusal("filter", "no text is among the shown columns to search in", "show a column of text, or use a filter")

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that are shown."""
        return self.columns or self.relation.usual

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The shown columns that hold text."""
        return tuple(name for name in self.shown if self.relation.by_name[name].family == "text")

    @cached_property
    def sorting(self) -> tuple[tuple[str, bool], ...]:
        """The order that was chosen; without one, of events the newest first."""
        if not self.order and "at" in self.relation.by_name and "patient" not in self.relation.by_name:
            return (("at", True),)
        return self.order

    @property
    def all_rows(self) -> "Selection":
        """The same without pages."""
        return replace(self, limit=None, offset=0)

    def statement(self) -> tuple[str, list[Any]]:
        """The statement with a ? for each value, and the values."""
        values: list[Any] = []

        def mark(value: Any) -> str:
            values.append(value)
            return "?"

        return self._sql(mark), values

    def conditions(self) -> tuple[str, list[Any]]:
        """WHERE and what follows, with a ? for each value; "" without a condition."""
        values: list[Any] = []

        def mark(value: Any) -> str:
            values.append(value)
            return "?"

        return " AND ".join(self._conditions(mark)), values

    @property
    def text(self) -> str:
        """The statement with its values written out."""
        return self._sql(_constant)

    def command(self, as_of: str = "") -> str:
        """The command that answers with the same rows."""
        return f"penumbra sql {for_shell(self.text)}{f' --as-of {shlex.quote(as_of)}' if as_of else ''}"

    def _sql(self, mark: Callable[[Any], str]) -> str:
        conditions = " AND ".join(self._conditions(mark))
        parts = [f"SELECT {', '.join(map(written, self.shown))} FROM {self.relation.name}", f"WHERE {conditions}" if conditions else "", self._order()]  # noqa: S608 known names
        if self.limit is not None:
            parts.append(f"LIMIT {int(self.limit)}" + (f" OFFSET {int(self.offset)}" if self.offset else ""))
        return " ".join(filter(None, parts))

    def _conditions(self, mark: Callable[[Any], str]) -> Iterator[str]:
        for each in self.filters:
            yield each.sql("" if each.operator in NO_VALUE else mark(each.value))
        if self.search:
            matches = " OR ".join(SEARCHED["contains"].format(written(name), mark(self.search)) for name in self.texts)
            yield f"({matches})"

    def _order(self) -> str:
        if self.unordered:
            return ""
        if not self.sorting:
            return "ORDER BY ALL"
        chosen = [written(name) + (" DESC" if downward else "") for name, downward in self.sorting]
        sorted_by = {name for name, _ in self.sorting}
        others = [str(place) for place, name in enumerate(self.shown, 1) if name not in sorted_by]
        return f"ORDER BY {', '.join([*chosen, *others])}"

    @property
    def unordered(self) -> bool:
        """Whether the rows come as they are stored: half a billion of them are not sorted for a page."""
        return "_long" in self.relation.name and not self.order and not any(each.operator == "=" for each in self.filters)


def _constant(value: Any) -> str:
    """A value as SQL writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return literal(str(value))


def for_shell(statement: str) -> str:
    """A statement as one word of a shell, in the quotation marks that leave most of it readable."""
    if not set(statement) & set('"$`\\!'):
        return f'"{statement}"'
    return shlex.quote(statement)
