"""Actions that were begun: each a command in a process of its own, which outlives the console, with its output and exit status next to it.

`console/actions/<id>.json` and `.txt` of the state folder. A patient who is withdrawn is in neither, nor in any other file here: the output is kept
without the name. `python -m penumbra.console.running HOME ID` is that process; it reads the command from its standard input.
"""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from penumbra.base import child_process
from penumbra.base.account import ACCOUNT
from penumbra.base.documents import Document
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import write_whole

FOLDER = "console/actions"
NAME = re.compile(r"[0-9a-f]{32}")
MAX_OUTPUT = 200_000  # characters that a page shows
WITHDRAWN = "[withdrawn]"


@dataclass(frozen=True)
class Run(Document):
    """One action that was begun.

    Parameters
    ----------
    name
        32 hex digits, of the form that began it.
    action
        Which one.
    target
        What it was done to; of a withdrawal nothing.
    reason
        As it was given.
    by
        Account.
    began, ended
        UTC, ISO 8601; ended is "" while it works.
    status
        Exit status of the command.
    """

    name: str
    action: str
    target: str
    reason: str
    by: str
    began: str
    ended: str = ""
    status: int | None = None


@dataclass(frozen=True)
class Order:
    """What the process is to do: arguments of `penumbra`, and the name that its output is kept without."""

    arguments: tuple[str, ...]
    unnamed: str = ""


def begin(home: Path, run: Run, order: Order) -> bool:
    """Start a command; False where its form was sent before: it is done once."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(_lock(home, run.name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    write(home, run)
    from penumbra.console.admission import names_without_tokens

    environment = {name: os.environ[name] for name in names_without_tokens(list(os.environ))}
    environment = child_process.outliving(environment | {"PENUMBRA_HOME": str(home), ACCOUNT: run.by})
    process = subprocess.Popen(
        [sys.executable, "-m", "penumbra.console.running", str(home), run.name],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    with process.stdin as line:
        json.dump({"arguments": order.arguments, "unnamed": order.unnamed}, line)
    return True


def write(home: Path, run: Run) -> None:
    """Write down where an action is."""
    path = home / FOLDER / f"{run.name}.json"
    write_whole(path, json.dumps(run.to_json()) + "\n")
    path.chmod(0o600)


def read(home: Path, name: str) -> Run:
    """One action.

    Raises
    ------
    Refusal
        "action_begun".
    """
    if NAME.fullmatch(name):
        with contextlib.suppress(OSError, ValueError):
            return Run.from_json(json.loads((home / FOLDER / f"{name}.json").read_text(encoding="utf-8")))
    raise Refusal("action_begun", "no action of this name was begun", "the list of actions has all of them")


def every(home: Path) -> Iterator[Run]:
    """Every action, the newest first."""
    runs = []
    for path in (home / FOLDER).glob("*.json"):
        with contextlib.suppress(Refusal):
            runs.append(read(home, path.stem))
    yield from sorted(runs, key=lambda run: run.began, reverse=True)


def is_working(home: Path, run: Run) -> bool:
    """Whether its process is there; one that was killed has neither an end nor a process."""
    if run.ended:
        return False
    try:
        with _lock(home, run.name).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return (datetime.now(UTC) - datetime.fromisoformat(run.began)).total_seconds() < STARTING_S


STARTING_S = 20.0  # before its process holds the lock


def output(home: Path, run: Run) -> str:
    """What the command printed so far, its last part where it is long."""
    with contextlib.suppress(OSError):
        return (home / FOLDER / f"{run.name}.txt").read_text(encoding="utf-8", errors="replace")[-MAX_OUTPUT:]
    return ""


def carry_out(home: Path, name: str, order: Order) -> None:
    """Run the command, keep what it prints, and write down how it ended: in the record, and in the log of access."""
    from penumbra.console.sessions import Account
    from penumbra.console.trail import Trail

    with _lock(home, name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = read(home, name)
        status = _printed(home / FOLDER / f"{name}.txt", order)
        write(home, replace(run, ended=datetime.now(UTC).isoformat(timespec="seconds"), status=status))
        Trail(home).note(Account(run.by, "editor"), "ended", {"action": run.action, "target": run.target, "run": name, "status": status})


def _printed(path: Path, order: Order) -> int:
    command = [sys.executable, "-m", "penumbra.cli", *order.arguments]
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as kept:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line.replace(order.unnamed, WITHDRAWN) if order.unnamed else line)
            kept.flush()
        return process.wait()


def _lock(home: Path, name: str) -> Path:
    return home / FOLDER / f"{name}.lock"


if __name__ == "__main__":
    os.environ.pop(child_process.OUTLIVES, None)
    _content = json.load(sys.stdin)
    carry_out(Path(sys.argv[1]), sys.argv[2], Order(tuple(_content["arguments"]), _content["unnamed"]))
