"""What every stage works on: the state folder, the parameters and the run id."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penumbra.base import json_log, project, resources
from penumbra.base.params import project_root, state_home
from penumbra.base.refusal import Refusal
from penumbra.pipeline.settings import Settings, load_settings


@dataclass(frozen=True)
class Work:
    """home: the folder of all state. run: identifies this run in the store's commits."""

    home: Path
    settings: Settings
    run: str

    @property
    def profile(self) -> str:
        return self.settings.profile


def begin(profile: str | None = None) -> Work:
    """The work of one run: settings of `profile` (default: the one in params.yaml), state in PENUMBRA_HOME."""
    return Work(state_home(), load_settings(profile), json_log.run())


def code_commit() -> str:
    """The revision of the project or the checkout, "" outside one."""
    if project_root() == project.DEFAULTS:
        return ""
    try:
        completed = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project_root(), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return completed.stdout.strip()


ENDING_S = 2.0  # a run that was killed lets go when its last process is gone, a moment after its first


@contextmanager
def one_run_at_a_time(home: Path, *, wait: bool = False, patience_s: float = ENDING_S, room: bool = True) -> Iterator[None]:
    """Hold the state folder for one writing run; the system lets go when the process ends, however it ends.

    Parameters
    ----------
    wait
        For the other run to end, instead of refusing; an experiment that DVC runs in a copy of the project always does.
    patience_s
        S before refusing.
    room
        Refuse where the disk is full, before hours of work whose result would have no space.

    Raises
    ------
    Refusal
        "one_run_at_a_time", "disk_space". Queries and predictions do not take the lock.
    """
    _make(home)
    wait = wait or project.experiment() is not None
    with (home / ".run-lock").open("w") as lock:
        end = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise Refusal(
                        "one_run_at_a_time",
                        "another run is working in this state folder",
                        "wait for it, or set PENUMBRA_HOME to another folder; penumbra sql works meanwhile",
                    ) from None
                time.sleep(0.05)
        if room:
            resources.refuse_full(home)
        yield


def _make(home: Path) -> None:
    """Make the state folder.

    Raises
    ------
    Refusal
        "state_folder" where it cannot be made; OSError where it is the disk or permissions, which resources.refusal_of words.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if resources.exhausted(error):
            raise
        typed = os.environ.get("PENUMBRA_HOME")
        fault = f"the state folder {typed!r} cannot be made ({os.strerror(error.errno or 0)})" if typed else "the state folder cannot be made"
        raise Refusal("state_folder", fault, "set PENUMBRA_HOME to a folder that can be made") from None


def is_busy(home: Path) -> bool:
    """Whether a writing run is under way in this state folder, on this machine."""
    try:
        with one_run_at_a_time(home, patience_s=0.0, room=False):
            return False
    except Refusal:
        return True
