"""Proof of what the store holds: digests, and a check of its promises."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal
from penumbra.store.relations import RELATIONS
from penumbra.store.statements import quoted, statement
from penumbra.store.views import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

    from penumbra.store.session import Store

# When and by which commit a row came is not what it says; an import elsewhere has other numbers.
PROVENANCE_COLUMNS = ("commit_id", "at", "created_at", "arrived_at")


def digest(store: "Store", relation: str, *, without: Sequence[str] = (), **where: Any) -> str:
    """Digest the canonical rows of a relation as it is shown: the same values give the same digest in any store, order and year.

    Parameters
    ----------
    store
        Open, from `connect`.
    relation
        Its name.
    without
        Columns left out besides commit numbers and times.
    **where
        Column = value, or a sequence of values; for radiomics and deep the vectors are digested with the names of their features.

    Returns
    -------
    str
        SHA-256, 64 hex digits.

    Examples
    --------
    >>> from penumbra.store import connect, digest
    >>> with connect("home", read_only=True) as lake:
    ...     digest(lake, "patients", patient="N001") == digest(lake, "patients", patient=["N001"])
    True
    """
    rows = selected(store, relation, **where)
    columns = sorted(column for column in rows.column_names if column not in PROVENANCE_COLUMNS and column not in without)
    total = hashlib.sha256("\x1f".join(columns).encode())
    for line in sorted(_lines(rows.select(columns))):
        total.update(hashlib.sha256(line).digest())
    return total.hexdigest()


def _lines(rows: "pa.Table") -> list[bytes]:
    """Every row as bytes; a float by its shortest exact text, so that 0.1 is 0.1 everywhere."""
    columns = [[_text(value) for value in column.to_pylist()] for column in rows.columns]
    return ["\x1f".join(cells).encode() for cells in zip(*columns, strict=True)]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return repr(value + 0.0)  # -0.0 is 0.0
    if isinstance(value, list):
        return "[" + "\x1e".join(_text(entry) for entry in value) + "]"
    return "\x00" if value is None else str(value)


def selected(store: "Store", relation: str, **where: Any) -> "pa.Table":
    """The rows of a relation that have the given values, in the order of their columns.

    Raises
    ------
    Refusal
        "relation" for a name that is none, "relation_columns" for a column it does not have.
    """
    if relation not in store.views.names():
        raise Refusal("relation", f"no relation {relation!r}", f"use one of {', '.join(store.views.names())}")
    conditions, parameters = [], []
    for column, value in where.items():
        values = [value] if isinstance(value, str | int | float) or value is None else list(value)
        conditions.append(f"list_contains(?, {quoted(column)})")
        parameters.append(values)
    available = store.sql(f"SELECT column_name FROM (DESCRIBE {relation})").column(0).to_pylist()  # noqa: S608 a known relation
    unknown = sorted(set(where) - set(available))
    if unknown:
        raise Refusal("relation_columns", f"{relation} has no column {unknown[0]!r}", f"its columns are {', '.join(available[:20])}")
    keys = [column for column in (RELATIONS[relation].key if relation in RELATIONS else ()) if column in available]
    order = f" ORDER BY {', '.join(quoted(column) for column in keys)}" if keys else ""
    return store.sql(f"FROM {relation}{' WHERE ' if conditions else ''}{' AND '.join(conditions)}{order}", parameters)


def check(store: "Store") -> list[str]:
    """Check the store's promises: no doubled keys, no rows without their commit, no commit that does not hold what it says.

    Parameters
    ----------
    store
        Open, from `connect`.

    Returns
    -------
    list
        A sentence about each broken promise. Empty: all is well.

    Examples
    --------
    >>> from penumbra.store import check, connect
    >>> with connect("home", read_only=True) as lake:
    ...     check(lake)
    []
    """
    problems = []
    for table in TABLES:
        relation = RELATIONS[table]
        unique = relation.key if relation.growth == "immutable" else (*relation.key, "commit_id")
        if relation.growth == "rejections":
            unique = (*unique, "rule", "found")
        keys = ", ".join(quoted(column) for column in unique)
        doubled = store.sql(statement("doubled_keys", relation=table, key=keys)).to_pylist()
        problems += [f"{table} holds {row.pop('times')} rows of {', '.join(f'{k} {v}' for k, v in row.items())}" for row in doubled]
        orphans = store.sql(statement("rows_without_commit", relation=table)).to_pylist()
        problems += [f"{table} holds {row['found']} rows of commit {row['commit_id']}, which says {row['said']}" for row in orphans]
    homes = store.sql(statement("centers_at_once")).to_pylist()
    problems += [f"{row['patients']} patients are at {row['centers']} centers at once" for row in homes]
    gaps = store.sql("SELECT count(*) AS n, max(id) AS newest, count(DISTINCT id) AS ids FROM stored.commits").to_pylist()[0]
    if gaps["n"] and not gaps["n"] == gaps["newest"] == gaps["ids"]:
        problems.append(f"commits holds {gaps['n']} rows with {gaps['ids']} numbers up to {gaps['newest']}")
    return problems
