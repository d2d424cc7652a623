"""`penumbra sql`: one read-only statement answered within its limits, and what an empty answer may mean."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from penumbra.base.tables import Answer


def note_changes(home: Path) -> None:
    """Let the store have what was changed in MLflow since penumbra last looked.

    Checking the file's time stamp costs nothing; all else is imported only where it changed (with a registry on a server, every other command looks).
    """
    try:
        entries = json.loads((home / "mlflow" / "noted.json").read_text(encoding="utf-8"))
        stamps = {entry["stamp"] for entry in entries.values()}
        seen = (home / "mlflow" / "mlflow.db").stat()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if os.environ.get("PENUMBRA_MLFLOW") or stamps == {f"{seen.st_mtime_ns} {seen.st_size}"}:
        return
    from penumbra.pipeline.aliases import note_before_reading

    note_before_reading(home)


def answer(home: Path, statement: str, form: str, *, as_of: str | None = None, timeout_s: float) -> "Answer | pa.Table":
    """Answer a statement in the shape that a format needs, in bounded time and memory.

    Parameters
    ----------
    as_of
        A registered version or a commit number: the store as it was then.
    timeout_s
        s, for judging and answering together.

    Raises
    ------
    Refusal
        For whatever the store does not answer.
    """
    from penumbra import store
    from penumbra.store.answer import import_meanwhile
    from penumbra.store.answering import MEMORY_MB, bounded
    from penumbra.store.judging import JUDGE

    with bounded(timeout_s, MEMORY_MB):
        JUDGE.begin()
        imports = import_meanwhile(*(("rich.cells",) if form == "table" else ("pyarrow",)))
        commit = None if as_of is None else store.commit_of(home, as_of)
        result = store.for_format(home, statement, form, as_of=commit, timeout_s=timeout_s, memory=f"{MEMORY_MB}MB")
    imports.join()
    return result


def script(home: Path, as_of: str | None) -> str:
    """The SQL with which DuckDB's own clients show the relations."""
    from penumbra import store
    from penumbra.store.script import script

    return script(home, None if as_of is None else store.commit_of(home, as_of))


def remarks(statement: str, rows: int) -> Iterable[str]:
    """Sentences on why an answer may be empty; none where it is not."""
    if rows:
        return ()
    from penumbra.store.meanings import empty_answer_notes

    return empty_answer_notes(statement)
