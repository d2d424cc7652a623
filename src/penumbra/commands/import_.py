"""`penumbra import`: an empty store filled from the folder of an export."""

from pathlib import Path
from typing import Any

from penumbra import store


def import_(home: Path, folder: Path) -> dict[str, Any]:
    """Fill the store from a folder that `export` wrote; how many commits and rows, and the digest of all."""
    with store.connect(home) as lake:
        filled = store.import_store(lake, folder)
    return {"commits": filled.commits, "rows": sum(filled.rows.values()), "digest": filled.digest}
