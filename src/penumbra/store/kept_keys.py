"""What a store that stays open keeps between two statements: which rows its relations show, read once more after each commit.

These are names of patients with the version of their image, the current definitions and where each feature is; no value. Half of the time of a short
statement went to looking them up.
"""

from typing import TYPE_CHECKING

from penumbra.store.session import Store
from penumbra.store.views import KEYS

if TYPE_CHECKING:
    import duckdb

TABLES = ("feature_slots", *KEYS)  # each before those that are made of it
READ = "{name}_read"  # the view of a name whose rows are kept


class KeptKeys:
    """The kept rows of one open store, in the place of the views that compute them.

    Parameters
    ----------
    store
        Read only, and not yet asked.
    """

    def __init__(self, store: Store) -> None:
        self._snapshot: int | None = None
        store.require(" ".join(KEYS))
        for name in TABLES:
            read = READ.format(name=name)
            store.connection.execute(f"ALTER VIEW memory.stored.{name} RENAME TO {read}")
            store.connection.execute(f"CREATE TABLE memory.stored.{name} AS FROM memory.stored.{read} LIMIT 0")

    def begin(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Begin a transaction in which the kept rows are those of the store's newest snapshot."""
        while True:
            connection.execute("BEGIN TRANSACTION")
            try:
                snapshot = _current_snapshot(connection)
                if snapshot == self._snapshot:
                    return
                for name in TABLES:
                    connection.execute(f"DELETE FROM memory.stored.{name}")  # noqa: S608 names of ours
                    connection.execute(f"INSERT INTO memory.stored.{name} FROM memory.stored.{READ.format(name=name)}")
                connection.execute("COMMIT")
                self._snapshot = snapshot
            except BaseException:
                connection.execute("ROLLBACK")
                raise


def _current_snapshot(connection: "duckdb.DuckDBPyConnection") -> int:
    """The newest snapshot of the attached store: another number, another content."""
    row = connection.execute("FROM ducklake_current_snapshot('lake')").fetchone()
    return int(row[0]) if row else 0
