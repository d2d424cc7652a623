"""Answers of the store kept in memory, to be asked again: a list that is sorted, filtered and paged reads the store once per commit.

So does a relation that is computed from every feature of every patient: a page asks the result, which is small, and not the relation.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penumbra.store.session import connect

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = "512MB"  # of the engine, besides the tables
COMPUTED = frozenset(f"{name}{end}" for name in ("center_drift", "feature_statistics", "coverage") for end in ("", "_all"))


class Source(Protocol):
    """What answers statements about relations: an open store, or answers in memory."""

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """To interrupt it."""

    def sql(self, statement: str, parameters: Sequence[Any] = ()) -> "pa.Table":
        """Answer a statement of this program."""


class InMemory:
    """Tables by name, for statements of this program from several threads.

    Parameters
    ----------
    tables
        Name -> answer of `Store.sql`.
    made
        Name -> statement over these, whose answer takes their place.
    """

    def __init__(self, tables: "Mapping[str, pa.Table]", made: Mapping[str, str]) -> None:
        import duckdb

        self._engine = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "enable_external_access": "false"})
        self._turn = threading.Lock()
        for name, table in tables.items():
            self._engine.register(name, table)
        for name, statement in made.items():
            self._engine.execute(f"CREATE TABLE {name} AS {statement}")
        for name in tables:
            self._engine.unregister(name)

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """To interrupt it."""
        return self._engine

    def sql(self, statement: str, parameters: Sequence[Any] = ()) -> "pa.Table":
        """Answer a statement; ? for parameters."""
        with self._turn:
            return self._engine.execute(statement, list(parameters)).to_arrow_table()

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a statement gives; ? for parameters."""
        rows: list[dict[str, Any]] = self.sql(statement, parameters).to_pylist()
        return rows


def computed(home: Path, relation: str, as_of: int | None) -> InMemory:
    """One of COMPUTED as it is, on a connection of its own and one thread: pages are answered meanwhile."""
    with connect(home, read_only=True, as_of=as_of) as store:
        store.connection.execute("SET threads = 1")
        return InMemory({"answer": store.sql(f"FROM {relation}")}, {relation: "FROM answer"})
