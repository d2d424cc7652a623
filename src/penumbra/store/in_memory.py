"""Answers of the store kept in memory, to be asked again: a list that is sorted, filtered and paged reads the store once per commit."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "512MB"  # of the engine, besides the tables


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

    def sql(self, statement: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a statement gives; ? for parameters."""
        with self._turn:
            rows: list[dict[str, Any]] = self._engine.execute(statement, list(parameters)).to_arrow_table().to_pylist()
        return rows
