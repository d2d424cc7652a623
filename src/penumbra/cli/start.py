"""Where the command `penumbra` begins: before click and everything else is imported, the work is put into a child process that can be stopped."""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Collection

from penumbra import stopping

RESUME = "Stopped by {signal}: finished work is kept; rerun the same command to resume."
RESUME_OTHERWISE = {
    "forget": "Stopped by {signal}: run penumbra forget without a patient to complete the deletion.",
    "serve": "Stopped by {signal}: run penumbra serve again, and it resumes with the centers that wait.",
    "serve-sql": "Stopped by {signal}: run penumbra serve-sql again to answer queries.",
}
PREFIX = f"penumbra-{os.getuid()}-"
YOUNG_S = 60  # a folder that is not locked yet, because it was made just now


def main() -> int:
    """Run the command of sys.argv in a child process; its exit status."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the processes below
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    folder = _private_folder()
    status = stopping.supervise(_command, sentence=RESUME_OTHERWISE.get(command, RESUME), stopped=_no_kills)
    if folder is not None:  # in this process alone: the child leaves by an exception
        _remove(folder)
    return status


def _command() -> None:
    _silence_libraries()
    from penumbra.cli import main as command

    command(prog_name="penumbra")


def _silence_libraries() -> None:
    """Leave standard error to Python. What C libraries print there when a disk or the memory ends (ITK, XLA, the C++ runtime: up to 40 lines, none of them
    advice) goes nowhere, also from the processes below. To see it: python -c "from penumbra.cli import main; main()" ARGUMENT..."""
    kept = os.dup(2)
    sys.stderr = open(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115 for as long as the process lives
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _no_kills(ended: Collection[int]) -> None:
    """A retraining that somebody stopped was not killed by a fault of its own."""
    from penumbra.params import ParamsError, state_home

    with contextlib.suppress(ParamsError):
        home = state_home()
        if any((home / "manifests").glob("attempts-*.json")):
            from penumbra import attempts

            attempts.stopped(home, ended)


def _private_folder() -> str | None:
    """A folder for the temporary files of this command and of every library below, readable by this user alone and removed with the command.

    Libraries put folders of fixed names into the shared one (Prefect: runner_storage), where two users would meet. The lock on the folder says that its
    command is alive: what a killed one left is removed by the next.
    """
    base = os.environ.get("TMPDIR") or "/tmp"
    with contextlib.suppress(OSError):
        for name in os.listdir(base):  # noqa: PTH208 as in stopping: pathlib is slow to import
            if name.startswith(PREFIX):
                _remove_abandoned(f"{base}/{name}")
        folder = f"{base}/{PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        os.mkdir(folder, 0o700)  # noqa: PTH102
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)  # held by this process and its child for as long as they live
        os.environ["TMPDIR"] = folder
        return folder
    return None


def _remove_abandoned(folder: str) -> None:
    with contextlib.suppress(OSError):
        held = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            facts = os.fstat(held)
            if facts.st_uid == os.getuid() and facts.st_mtime < time.time() - YOUNG_S:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
        finally:
            os.close(held)


def _remove(folder: str) -> None:
    try:
        os.rmdir(folder)  # noqa: PTH106 nearly always empty
    except OSError:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
