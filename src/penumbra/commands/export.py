"""`penumbra export`: the whole store, with its history, as a folder of Parquet files."""

from pathlib import Path
from typing import Any

from penumbra import store


def export(home: Path, folder: Path) -> dict[str, Any]:
    """Write the store into a new folder; where, how many commits and rows, and the digest of all."""
    with store.connect(home, read_only=True) as lake:
        written = store.export_store(lake, folder)
    return {"folder": str(folder), "commits": written.commits, "rows": sum(written.rows.values()), "digest": written.digest}
