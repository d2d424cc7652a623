"""The last activity in a state folder: the last writing command and how it ended, and what the last check found. `penumbra status` reads it.

Standard library only, and little of it: status answers within half a second.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from penumbra.base import progress
from penumbra.base.documents import Document
from penumbra.base.refusal import Refusal, reportable
from penumbra.base.whole_files import write_whole

LAST_RUN, LAST_CHECK = "manifests/.last-run.json", "manifests/.last-check.json"
PROGRESS = ".progress.json"  # not below manifests/: what changes every second does not change what is there
STOPPED = "stopped"
WRITE_S = 1.0  # progress is written no more often


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


@dataclass(frozen=True)
class Progress(Document):
    """How far the command that works here is.

    Parameters
    ----------
    pid
        Of its process.
    stage
        "" before the first.
    what, done, total
        Of the stage's longest piece of work under way: `done` of `total` items; "", 0 and 0 where nothing is counted.
    left_s
        That it will take; None where that is not known yet.
    at
        When this was so, UTC, ISO 8601.
    """

    pid: int
    stage: str
    what: str
    done: int
    total: int
    left_s: float | None
    at: str

    @property
    def words(self) -> str:
        """The stage, and how far it is: "fuse: cross-fit 3/10, about 40 s left"."""
        stage = [self.stage] if self.stage and self.stage != self.what else []
        remaining = "" if self.left_s is None else f", about {self.left_s:.0f} s left"
        return ": ".join([*stage, *([f"{self.what} {self.done}/{self.total}{remaining}"] if self.total else [])])


class _Writer:
    """Writes progress down as it is told of it."""

    def __init__(self, home: Path) -> None:
        self.home, self.stage, self.written = home, "", -WRITE_S

    def __call__(self, reached: progress.Reached) -> None:
        begins = reached.total == 0
        self.stage = reached.what if begins else self.stage
        if begins or reached.done in (0, reached.total) or time.monotonic() - self.written >= WRITE_S:
            self.written = time.monotonic()
            counted = ("", 0, 0, None) if begins else (reached.what, reached.done, reached.total, reached.left_s)
            _write(self.home, PROGRESS, Progress(os.getpid(), self.stage, *counted, _now()))


@contextlib.contextmanager
def watched(home: Path) -> Iterator[None]:
    """Write down how far the work in this context is, for those who look at the state folder meanwhile."""
    try:
        with progress.listening(_Writer(home)):
            yield
    finally:
        with contextlib.suppress(OSError):
            (home / PROGRESS).unlink(missing_ok=True)


@contextlib.contextmanager
def noted(home: Path, command: str) -> Iterator[None]:
    """Note that `command` works here, and how it ends; to be held inside `one_run_at_a_time`. A disk that is full does not end the command here."""
    run = Run(command, _now(), os.getpid())
    _write(home, LAST_RUN, run)
    try:
        with watched(home):
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


def under_way(home: Path) -> Progress | None:
    """How far the command that works here is; None where nothing was written, or by a process that is gone."""
    with contextlib.suppress(OSError, ValueError):
        progress_now = Progress.from_json(_read(home, PROGRESS))
        return progress_now if Path(f"/proc/{progress_now.pid}").exists() else None
    return None


def last_check(home: Path) -> Check | None:
    """None where nothing was noted, or nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return Check.from_json(_read(home, LAST_CHECK))
    return None


def forget(home: Path) -> None:
    """Remove all notes: their sentences may name a patient."""
    for name in (LAST_RUN, LAST_CHECK, PROGRESS):
        (home / name).unlink(missing_ok=True)


def _sentence(error: BaseException, home: Path) -> str:
    """What may be kept of an error; of one that the machine is the reason of (a disk, memory), the refusal that it is."""
    from penumbra.base import resources

    if not isinstance(error, Exception):
        return STOPPED
    return reportable(error if isinstance(error, Refusal) else resources.refusal_of(error, home) or error)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(home: Path, name: str) -> object:
    content: object = json.loads((home / name).read_text(encoding="utf-8"))
    return content


def _write(home: Path, name: str, content: Document) -> None:
    with contextlib.suppress(OSError):
        write_whole(home / name, json.dumps(content.to_json()) + "\n")
