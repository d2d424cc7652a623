"""Every relation of the store as a table: filtered, searched, sorted and counted by the store, a page at a time, or whole as a file."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from penumbra.base import cells
from penumbra.base.refusal import Refusal
from penumbra.console import answers
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.store import columns, facets
from penumbra.store.columns import Column, Relation
from penumbra.store.facets import Facet, Overview
from penumbra.store.selection import MAX_FILTERS, NO_VALUE, OPERATORS, Selection, condition

AGAIN_S = 2  # a page that waits for a relation looks again after so long
OFFERED = 80  # columns that the chooser lists at once
LINKED = ("patient", "center", "feature")  # columns whose values have a page of the same name

Typed = tuple[str, str, str]  # a filter: column, operator, value


@dataclass(frozen=True)
class Cell:
    """What one cell shows.

    Parameters
    ----------
    text
        For people; `whole` is what it stands for, where that is more.
    link
        "" for none.
    moment
        A time, which the page shows in the reader's zone.
    """

    text: str
    whole: str = ""
    link: str = ""
    moment: dt.datetime | None = None


def tables(visit: Visit) -> Response:
    """What there is to ask, and what one row of each is."""
    listed = visit.console.kept.get(("relations", visit.as_of), lambda: _relations(visit))
    counts = answers.counts(visit, tuple(listed))
    search = visit.value("q").strip().lower()
    chosen = [each for each in listed.values() if search in f"{each.name} {each.comment}".lower()]
    current = [each for each in chosen if not columns.every_definition(each.name)]
    every = [each for each in chosen if columns.every_definition(each.name)]
    return visit.page(
        "tables.html",
        title="Tables",
        command='penumbra sql "SHOW TABLES"',
        current=current,
        every=every,
        counts=counts,
        search=visit.value("q"),
        of=len(listed),
    )


def _relations(visit: Visit) -> dict[str, Relation]:
    with visit.store() as store:
        return columns.relations(store)


def relation_of(visit: Visit, name: str) -> Relation:
    """One relation, described once per commit.

    Raises
    ------
    Refusal
        "relation".
    """

    def described() -> Relation:
        with visit.store() as store:
            return columns.relation(store, name)

    return visit.console.kept.get(("relation", visit.as_of, name), described)


def table(visit: Visit) -> Response:
    """Rows of one relation."""
    relation = relation_of(visit, visit.path("relation"))
    typed = typed_filters(visit)
    try:
        selection = chosen(visit, relation, typed)
        if visit.value("format"):
            sql, values = selection.all_rows.statement()
            return answers.file(visit, sql, visit.value("format"), values=values, name=relation.name)
        return _page(visit, selection, typed)
    except answers.Computing as computing:
        return _computing(visit, relation, computing.seconds)
    except Refusal as refusal:
        if refusal.rule not in ("filter", "column"):
            raise
        return _page(visit, Selection(relation), typed, refusal)


def _computing(visit: Visit, relation: Relation, seconds: float) -> Response:
    """While the relation is computed: why, since when, how much there is to do; it looks again by itself, also without scripts."""

    def counted() -> tuple[int, int]:
        with visit.store() as lake:
            row = lake.sql("SELECT count(DISTINCT (patient, center)) AS patients, count(*) AS vectors FROM stored.radiomics_vectors").to_pylist()[0]
        return row["patients"], row["vectors"]

    patients, vectors = visit.console.kept.get(("vectors", visit.as_of), counted)
    response = visit.page(
        "computing.html",
        title=relation.name,
        command=Selection(relation).command(visit.as_of_text),
        status=202,
        relation=relation,
        seconds=round(seconds),
        patients=patients,
        vectors=vectors,
        again_s=AGAIN_S,
    )
    response.headers["Retry-After"] = str(AGAIN_S)
    response.headers["Refresh"] = str(AGAIN_S)
    return response


def _page(visit: Visit, selection: Selection, typed: list[Typed], refusal: Refusal | None = None) -> Response:
    relation, size = selection.relation, visit.console.settings.console.rows
    page = visit.number("page", 1, least=1, most=10**7)
    shown = replace(selection, limit=size, offset=(page - 1) * size)
    lines: list[list[Cell]] = []
    overview, more = Overview(None), False
    if refusal is None:
        overview = answers.overview(visit, selection)
        with answers.lent(visit, relation) as source:
            rows = facets.rows(source, replace(shown, limit=size + 1))
        more, rows = rows.num_rows > size, rows.slice(0, size)
        lines = list(written(visit, rows.column_names, answers.values_of(rows)))
    return visit.page(
        "table.html",
        title=relation.name,
        command=shown.command(visit.as_of_text) if refusal is None else "",
        status=200 if refusal is None else 400,
        refusal=refusal,
        relation=relation,
        selection=selection,
        heads=list(heads(visit, selection)),
        rows=lines,
        filters=[(each, filtered(visit, [other for other in typed if other is not each])) for each in typed],
        empty_filter=len(typed) < MAX_FILTERS,
        operators=OPERATORS,
        overview=overview,
        facets=[(facet.column, list(_choices(visit, facet, typed))) for facet in overview.facets],
        page=page,
        size=size,
        more=more,
        named=relation.columns if len(relation.columns) <= OFFERED else [column for column in relation.columns if column.name not in relation.features],
        chooser=offered(relation, visit.value("find"), selection.shown),
        max_rows=answers.limits(visit).max_rows,
    )


@dataclass(frozen=True)
class Head:
    """The head of a column: where a click sorts by it, and how it is sorted now ("" where it is not)."""

    column: Column
    link: str
    sorted: str


def heads(visit: Visit, selection: Selection) -> Iterator[Head]:
    """A click sorts by a column, another one the other way round, a third one not."""
    now = {name: "descending" if downward else "ascending" for name, downward in selection.sorting}
    after = {"": "{}", "ascending": "-{}", "descending": None}
    for name in selection.shown:
        order = after[now.get(name, "")]
        link = visit.here(sort=order.format(name) if order else None, page=None)
        yield Head(selection.relation.by_name[name], link, now.get(name, ""))


def _choices(visit: Visit, facet: Facet, typed: list[Typed]) -> Iterator[tuple[str, int, str, bool]]:
    """Each value of a facet, its rows, the page that shows these alone (or, where it does, all again), and whether it does."""
    for value, rows in facet.values:
        mine = (facet.column, "=", value)
        applied = mine in typed
        yield value, rows, filtered(visit, [each for each in typed if each != mine] if applied else [*typed, mine]), applied


def typed_filters(visit: Visit) -> list[Typed]:
    """The filters as they were typed: column, operator, value."""
    every = [tuple(visit.value(f"{part}{number}") for part in ("column", "operator", "value")) for number in range(1, MAX_FILTERS + 2)]
    return [(column, operator or "=", value) for column, operator, value in every if column and (value or operator in NO_VALUE)]


def chosen(visit: Visit, relation: Relation, typed: list[Typed]) -> Selection:
    """The selection that the address asks for.

    Raises
    ------
    Refusal
        "column", "filter", "question".
    """
    names = tuple(dict.fromkeys(name for name in visit.values("show") if name))
    order = tuple((name.removeprefix("-"), name.startswith("-")) for name in dict.fromkeys(visit.values("sort")) if name)
    return Selection(relation, names, tuple(condition(relation, *each) for each in typed), visit.value("q").strip(), order)


def filtered(visit: Visit, typed: list[Typed]) -> str:
    """The address of the page under other filters."""
    changes: dict[str, Any] = {f"{part}{number}": None for number in range(1, MAX_FILTERS + 2) for part in ("column", "operator", "value")}
    for number, (column, operator, value) in enumerate(typed, 1):
        changes |= {f"column{number}": column, f"operator{number}": operator, f"value{number}": value or None}
    return visit.here(page=None, **changes)


def offered(relation: Relation, find: str, shown: tuple[str, ...]) -> tuple[list[Column], int]:
    """The columns that the chooser lists, those that are shown first, and how many more fit the search."""
    words = find.lower().split()
    fitting = [column for column in relation.columns if all(word in f"{column.name} {column.comment}".lower() for word in words)]
    others = [column for column in fitting if column.name not in shown]
    room = max(0, OFFERED - len(shown))
    return [*(relation.by_name[name] for name in shown), *others[:room]], len(others[room:])


def written(visit: Visit, names: list[str], values: list[list[Any]]) -> Iterator[list[Cell]]:
    """The cells of rows for people: rounded as at the terminal, with links to the pages of what they name."""
    rows = list(zip(*values, strict=True))
    texts = [column[1] for column in cells.columns(names, rows)]
    places = {name: place for place, name in enumerate(names)}
    for number, row in enumerate(rows):
        line = []
        for place, name in enumerate(names):
            value, text = row[place], texts[place][number]
            if isinstance(value, dt.datetime):
                line.append(Cell(text, moment=value))
                continue
            whole = str(value) if value is not None and str(value) != text else ""
            line.append(Cell(text, whole[: cells.MAX_CHARACTERS], _link(visit, name, value, row, places)))
        yield line


def _link(visit: Visit, name: str, value: Any, row: tuple[Any, ...], places: dict[str, int]) -> str:
    """The page of what a cell names; "" where it names nothing that has one."""
    if value is None or value == "":
        return ""
    if name in LINKED and name in visit.console_paths:
        return visit.url(name, **{name: value})
    if name == "version" and ("model" in places or "alias" in places) and "model" in visit.console_paths:
        return visit.url("model", version=value)
    if name == "commit_id":
        return visit.url("table", relation="commits", column1="id", operator1="=", value1=value)
    return ""


ROUTES: tuple[Page, ...] = (Page("/tables", tables, name="tables", live=True, shared_s=1.0), Page("/tables/{relation}", table, name="table"))
