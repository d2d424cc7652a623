"""`penumbra patients`: everybody who arrived, most suspicious mask or highest risk first, with what became of them and what a version says of each."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penumbra import store
from penumbra.base import tables
from penumbra.base.refusal import Refusal, choose
from penumbra.pipeline import people
from penumbra.pipeline.people import OwnColumn
from penumbra.store.in_memory import InMemory

ROWS = 50  # of a page, and of the command where nothing else is asked for
COLUMNS = (
    "patient", "center", "status", "rule", "overall_stage", "histology", "volume_mm3", "log_risk", "risk_group", "basis", "applicability", "event", "time",
)  # fmt: skip
SORTS = {  # words, and how the list is ordered
    "suspicion": ("most suspicious mask", "status = 'rejected' DESC, status = 'excluded' DESC, findings DESC, apart DESC NULLS LAST, lost DESC NULLS LAST"),
    "risk": ("highest risk", "log_risk DESC NULLS LAST"),
    "-risk": ("lowest risk", "log_risk NULLS LAST"),
    "patient": ("name", "patient"),
    "center": ("center", "center"),
    "stage": ("stage, early first", "overall_stage NULLS LAST"),
    "-stage": ("stage, late first", "overall_stage DESC NULLS LAST"),
    "volume": ("largest tumor", "volume_mm3 DESC NULLS LAST"),
    "-volume": ("smallest tumor", "volume_mm3 NULLS LAST"),
    "time": ("longest follow-up", "time DESC NULLS LAST"),
    "-time": ("shortest follow-up", "time NULLS LAST"),
}
STATUSES = {"used": people.USED, "out": people.OUT}  # words for several statuses
MATCHES = {  # filter -> condition with one or more ? of its value
    "center": "center = ?",
    "group": "risk_group = ?",
    "applicability": "applicability = ?",
    "rule": "CASE WHEN status IN ('rejected', 'excluded') THEN rule = ? ELSE list_contains(rules, ?) END",
    "q": "contains(lower(concat_ws(' ', patient, center, histology, overall_stage, sex)), lower(?))",
}
FILTERS = ("status", *MATCHES)


class Question:
    """What a list shows, and in which order.

    Parameters
    ----------
    filters
        Name of FILTERS -> value; "" for none.
    sort
        Of `sorts_of`; anything else: the most suspicious mask first.
    declared
        Columns of features/clinical.yaml, which the list has.
    """

    def __init__(self, filters: Mapping[str, str], sort: str, declared: Sequence[OwnColumn] = ()) -> None:
        self.sorts = sorts_of(declared)
        self.sort = sort if sort in self.sorts else "suspicion"
        self.filters = {name: value for name in FILTERS if (value := filters.get(name, ""))}
        conditions: list[str] = []
        self._values: list[Any] = []
        for name, value in self.filters.items():
            chosen = STATUSES.get(value, (value,)) if name == "status" else (value,)
            condition = f"status IN ({', '.join('?' * len(chosen))})" if name == "status" else MATCHES[name]
            conditions.append(condition)
            self._values += chosen if name == "status" else [value] * condition.count("?")
        self._where = f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def total(self, listed: InMemory) -> int:
        """How many there are."""
        return int(listed.rows(f"SELECT count(*) AS n FROM people{self._where}", self._values)[0]["n"])  # noqa: S608 conditions of this module

    def rows(self, listed: InMemory, limit: int, offset: int = 0) -> list[dict[str, Any]]:
        """Some of them, in order."""
        return listed.rows(f"FROM people{self._where} ORDER BY {self.sorts[self.sort][1]}, patient, center LIMIT ? OFFSET ?", [*self._values, limit, offset])

    def words(self, version: str = "", offset: int = 0) -> str:
        """The command that prints the list."""
        options = {"sort": "" if self.sort == "suspicion" else self.sort, **self.filters, "version": version, "offset": str(offset or "")}
        return " ".join(["penumbra patients", *(f"--{OPTIONS.get(name, name)}={shlex.quote(value)}" for name, value in options.items() if value)])


OPTIONS = {"q": "search"}  # filter -> option, where they differ


def sorts_of(declared: Sequence[OwnColumn]) -> dict[str, tuple[str, str]]:
    """SORTS, and each column of a department's own, low first and, as -clinical.ecog, high first."""
    sorts = dict(SORTS)
    for each in declared:
        sorts[each.column] = f"{each.name}, low first", f"{each.order} NULLS LAST"
        sorts[f"-{each.column}"] = f"{each.name}, high first", f"{each.order} DESC NULLS LAST"
    return sorts


def patients(
    home: Path, filters: Mapping[str, str], sort: str = "suspicion", version: str = "", *, as_of: str | None = None, limit: int = ROWS, offset: int = 0
) -> tables.Answer:
    """The list; risks of a version's training patients are cross-fitted where the fit is still there (`basis`).

    Parameters
    ----------
    filters
        Name of FILTERS -> value; "" for none.
    sort
        Of `sorts_of`.
    version
        Whose risks are listed; "": the champion's, or the newest version's.
    as_of
        A registered version or a commit; None: now.

    Raises
    ------
    Refusal
        "question" for an order that there is not; "version_registered", "commit", "store_exists".
    """
    with store.connect(home, read_only=True, as_of=None if as_of is None else store.commit_of(home, as_of)) as lake:
        declared = people.own_columns(lake)
        if sort not in sorts_of(declared):
            raise Refusal("question", f"no order {sort[:40]!r}", choose(sort[:40], sorts_of(declared)))
        listed = people.in_memory(home, lake, people.chosen(people.versions(lake), version))
    columns = (*COLUMNS, *(each.column for each in declared))
    rows = Question(filters, sort, declared).rows(listed, limit, offset)
    return tables.Answer.of([{name: row[name] for name in columns} for row in rows], columns)
