"""The numbered migrations of the store: which there are, which a catalog has, and the rest of them in the transaction that is open."""

import datetime as dt
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.base.refusal import Refusal

if TYPE_CHECKING:
    import duckdb

OPTION = "set_option"  # of one table: the engine takes it only for a table that is committed


def migrations(schema: Path) -> list[tuple[int, str, str]]:
    """Number, name and SQL of every migration, in order.

    Raises
    ------
    Refusal
        "migrations": numbers with a gap or a double.
    """
    numbered = [(int(file.name.split("_")[0]), file.stem, file.read_text(encoding="utf-8")) for file in sorted(schema.glob("[0-9]*_*.sql"))]
    if [number for number, _, _ in numbered] != list(range(1, len(numbered) + 1)) or not numbered:
        raise Refusal("migrations", f"{schema.name} holds {[name for _, name, _ in numbered]}", "number the migrations 0001, 0002, ... without gaps")
    return numbered


def migrated_to(connection: "duckdb.DuckDBPyConnection") -> int:
    """The number of the newest migration that the attached catalog has; 0 for a new one."""
    import duckdb

    try:
        row = connection.execute("SELECT max(number) FROM lake.migrations").fetchone()
    except duckdb.CatalogException:
        return 0
    return int(row[0] or 0) if row else 0


def migrate(connection: "duckdb.DuckDBPyConnection", schema: Path, at: dt.datetime) -> None:
    """Bring the attached catalog to the newest migration and record each, inside the transaction that is open.

    A catalog without tables is brought to the first migration that sets an option of a table, and by another transaction to the newest.
    """
    available = migrations(schema)
    connection.execute('CREATE TABLE IF NOT EXISTS lake.migrations (number BIGINT, name VARCHAR, sha256 VARCHAR, "at" TIMESTAMP)')
    reached = migrated_to(connection)
    if reached > len(available):
        raise Refusal("schema_newer", f"the store has schema {reached}, this program knows {len(available)}", "update penumbra")
    for number, name, text in available[reached:]:
        if reached == 0 and OPTION in text:
            return
        connection.execute(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        connection.execute("INSERT INTO lake.migrations VALUES (?, ?, ?, ?)", [number, name, digest, at])
