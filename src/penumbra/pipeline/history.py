"""The last activity in a state folder: the last writing command and how it ended, and what the last check found. `penumbra status` reads it.

Standard library only, and little of it: status answers within half a second.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from penumbra.base.documents import Document
from penumbra.base.refusal import Refusal, reportable
from penumbra.base.whole_files import write_whole

LAST_RUN, LAST_CHECK = ".last-run.json", ".last-check.json"  # below manifests/
STOPPED = "stopped"


@dataclass(frozen=True)
class Run(Document):
    """The last writing command.

    Parameters
    ----------
    command
        As it is typed, without paths, which could hold a person's name.
    began, ended
        UTC, ISO 8601; ended is "" while it works, and after a kill.
    pid
        Of its process.
    error
        One sentence; STOPPED when somebody stopped it, "" when it succeeded.
    """

    command: str
    began: str
    pid: int
    ended: str = ""
    error: str = ""


@dataclass(frozen=True)
class Check(Document):
    """The last check: when (UTC, ISO 8601), and the findings that were bad, one sentence each."""

    at: str
    bad: tuple[str, ...] = ()


@contextlib.contextmanager
def noted(home: Path, command: str) -> Iterator[None]:
    """Note that `command` works here, and how it ends; to be held inside `one_run_at_a_time`. A disk that is full does not end the command here."""
    run = Run(command, _now(), os.getpid())
    _write(home, LAST_RUN, run)
    try:
        yield
    except BaseException as error:
        _write(home, LAST_RUN, replace(run, ended=_now(), error=_sentence(error, home)))
        raise
    _write(home, LAST_RUN, replace(run, ended=_now()))


def checked(home: Path, bad: Sequence[str]) -> None:
    """Note what a check found. A home that does not exist is not made, and one that only reads stays as it is."""
    if home.is_dir():
        _write(home, LAST_CHECK, Check(_now(), tuple(bad)))


def last_run(home: Path) -> Run | None:
    """None where nothing was noted, or nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return Run.from_json(_read(home, LAST_RUN))
    return None


def last_check(home: Path) -> Check | None:
    """None where nothing was noted, or nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return Check.from_json(_read(home, LAST_CHECK))
    return None


def forget(home: Path) -> None:
    """Remove both notes: their sentences may name a patient."""
    for name in (LAST_RUN, LAST_CHECK):
        (home / "manifests" / name).unlink(missing_ok=True)


def _sentence(error: BaseException, home: Path) -> str:
    """What may be kept of an error; of one that the machine is the reason of (a disk, memory), the refusal that it is."""
    from penumbra.base import resources

    if not isinstance(error, Exception):
        return STOPPED
    return reportable(error if isinstance(error, Refusal) else resources.refusal_of(error, home) or error)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(home: Path, name: str) -> object:
    content: object = json.loads((home / "manifests" / name).read_text(encoding="utf-8"))
    return content


def _write(home: Path, name: str, content: Document) -> None:
    path = home / "manifests" / name
    with contextlib.suppress(OSError):
        write_whole(path, json.dumps(content.to_json()) + "\n")
