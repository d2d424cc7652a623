"""Relations that are computed from every feature of every patient, computed once: a page asks the result, which is small, and not the relation."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penumbra.store.session import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

COMPUTED = frozenset(f"{name}{end}" for name in ("center_drift", "feature_statistics", "coverage") for end in ("", "_all"))


class Source(Protocol):
    """What answers statements about relations: an open store, or a snapshot."""

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """To interrupt it."""

    def sql(self, statement: str, parameters: "Sequence[Any]" = ()) -> "pa.Table":
        """Answer a statement of this program."""


class Snapshot:
    """One relation as it was when it was computed, in memory."""

    def __init__(self, relation: str, rows: "pa.Table") -> None:
        import duckdb

        self._engine = duckdb.connect(":memory:", config={"threads": "1"})
        self._engine.register("computed", rows)
        self._engine.execute(f"CREATE TABLE {relation} AS FROM computed")
        self._engine.unregister("computed")
        self._turn = threading.Lock()

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        return self._engine

    def sql(self, statement: str, parameters: "Sequence[Any]" = ()) -> "pa.Table":
        with self._turn:
            return self._engine.execute(statement, list(parameters)).to_arrow_table()


def computed(home: Path, relation: str, as_of: int | None) -> Snapshot:
    """A snapshot of one of COMPUTED, on a connection of its own and one thread: pages are answered meanwhile."""
    with connect(home, read_only=True, as_of=as_of) as store:
        store.connection.execute("SET threads = 1")
        return Snapshot(relation, store.sql(f"FROM {relation}"))
