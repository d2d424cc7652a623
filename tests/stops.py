"""What the tests of stopping share: a command with all of its processes, and how it ends when asked to."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "PENUMBRA_TEST_PROCESS"  # in the environment of every process of a command
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
TARGETS = ("parent", "group", "child", "twice")
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Ended:
    """seconds from the signal to the end; the exit status; what stderr says; the command lines of what is still running then."""

    seconds: float
    status: int
    said: str
    left: list[str]


class Command:
    """A command that runs, in a process group of its own; what it prints goes to a file."""

    def __init__(self, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.sessions = set[int]()
        self.mark, self.log = uuid.uuid4().hex, folder / f"stderr-{uuid.uuid4().hex}"
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
        environment = {**kept, **(variables or {}), MARK: self.mark}
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream, start_new_session=True, cwd=folder
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, seen: Callable[[], bool], patience_s: float = PATIENCE_S) -> "Command":
        end = time.monotonic() + patience_s
        while not seen():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, f"never came so far: {self.said()}"
            time.sleep(0.02)
        return self

    def running(self) -> dict[int, str]:
        """Process id -> command line of everything that belongs to the command and runs: by the mark, or by the session of one that has it."""
        alive = [pid for pid in _processes() if _alive(pid)]
        marked = [pid for pid in alive if f"{MARK}={self.mark}" in _read(pid, "environ")]
        self.sessions |= {_stat(pid, 3) for pid in marked} - {0}  # of one that has just ended
        return {pid: _read(pid, "cmdline").replace("\0", " ") for pid in alive if pid in marked or _stat(pid, 3) in self.sessions}

    def children(self) -> list[int]:
        return [pid for pid in self.running() if _stat(pid, 1) == self.process.pid]

    def stop(self, signum: signal.Signals, target: str) -> Ended:
        """Send the signal: to the parent alone, to its process group, to its child alone, twice to the group, or to the first process whose command line
        holds `target`."""
        began = time.monotonic()
        if target == "parent":
            self.process.send_signal(signum)
        elif target == "group":
            os.killpg(self.process.pid, signum)
        elif target == "twice":
            os.killpg(self.process.pid, signum)
            time.sleep(0.2)
            self.process.send_signal(signum)
        elif target == "child":
            (child,) = self.children()
            os.kill(child, signum)
        else:
            os.kill(next(pid for pid, line in self.running().items() if target in line), signum)
        try:
            status = self.process.wait(PATIENCE_S)
            seconds, left = time.monotonic() - began, self.running()
        finally:
            self.kill()
        return Ended(seconds, status, self.said(), list(left.values()))

    def kill(self) -> None:
        for pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def penumbra(home: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Command:
    """The command line with its state in `home`."""
    return Command([sys.executable, "-m", "penumbra.cli", *arguments], home.parent, {"PENUMBRA_HOME": str(home), **(variables or {})})


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _read(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text(errors="replace")
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    return _read(pid, "stat").rpartition(") ")[2][:1] not in ("", "Z")


def _stat(pid: int, field: int) -> int:
    """A number of /proc/PID/stat behind the name: 1 the parent's id, 3 the session's."""
    fields = _read(pid, "stat").rpartition(") ")[2].split()
    return int(fields[field]) if fields else 0
