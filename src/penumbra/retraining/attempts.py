"""How the attempts at a center's retraining ended: a killed process cannot report itself, so each attempt writes down that it began and how it ended.

One that is killed in the same step every time (memory, say) would be restarted forever; one that fails would be announced again forever.
"""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from penumbra.base.refusal import Refusal, reportable
from penumbra.base.whole_files import write_whole
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import Attempts

PASSING_RULES = ("catalog_reached", "files_reached", "store_busy")  # servers that did not answer, others that write
DATABASE = ("IOException", "OperationalError")  # of DuckDB (a catalog in PostgreSQL that went away), of SQLAlchemy and sqlite3


def passing(error: BaseException) -> bool:
    """True for a failure of input or output (disk, network, a database that went away): worth another try. A wrong input stays wrong."""
    if isinstance(error, Refusal):
        return error.rule in PASSING_RULES
    return any(isinstance(each, OSError) or type(each).__name__ in DATABASE for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def kills(home: Path, center: str, key: str, step: str) -> int:
    """How often the retraining `key` was killed without coming beyond `step`; to be asked when it is not under way."""
    last = _read(home, center)
    if last is None or last.key != key:
        return 0
    return (last.killed if last.step == step else 0) + (last.error == "")


def failure(home: Path, center: str, key: str) -> str:
    """Why another attempt at the retraining `key` would fail as the last one; "" where it would not, or nobody knows."""
    last = _read(home, center)
    return last.error if last is not None and last.key == key and last.final else ""


@contextmanager
def attempt(home: Path, center: str, key: str, step: str) -> Iterator[None]:
    """One attempt, which begins with `step`."""
    begun = Attempts(key, step, kills(home, center, key, step), pid=os.getpid())
    write(home, center, begun)
    try:
        yield
    except BaseException as error:
        final = isinstance(error, Exception) and not passing(error)  # a call that was stopped is not a failure
        write(home, center, replace(begun, error=reportable(error), final=final))
        raise
    forget(home, center)


def stopped(home: Path, pids: Collection[int]) -> None:
    """The processes `pids` were ended because a person or a service manager asked for it: that does not count as a kill."""
    for path in (home / manifests.FOLDER).glob("attempts-*.json"):
        center = path.stem.removeprefix("attempts-")
        last = _read(home, center)
        if last is not None and last.error == "" and last.pid in pids:
            write(home, center, replace(last, error="stopped"))


def forget(home: Path, center: str) -> None:
    """Nothing of the center's attempts counts any more."""
    _file(home, center).unlink(missing_ok=True)


def _file(home: Path, center: str) -> Path:
    return manifests.file_of(home, f"attempts-{center}")


def _read(home: Path, center: str) -> Attempts | None:
    path = _file(home, center)
    return Attempts.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def write(home: Path, center: str, attempts: Attempts) -> None:
    path = _file(home, center)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(attempts.to_json()) + "\n")
