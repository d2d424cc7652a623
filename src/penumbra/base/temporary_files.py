"""Temporary files of one command, out of reach of other users and other commands. Standard library only, as penumbra.base.child_process."""

import contextlib
import fcntl
import os
import time

PREFIX = f"penumbra-{os.getuid()}-"
YOUNG_S = 60  # a folder may not be locked yet, because it was made just now


def private_folder(base: str | None = None) -> str | None:
    """Make a folder for the temporary files of this command and of every library below, readable by this user alone and removed with the command.

    Libraries put folders of fixed names into the shared one (Prefect: runner_storage), where two users would meet. The lock on the folder says that its
    command is alive: what a killed one left is removed by the next.

    Parameters
    ----------
    base
        Where it is made; None: in TMPDIR.

    Returns
    -------
    str | None
        Its path, which is TMPDIR from now on; None where none can be made: libraries then do as they do.
    """
    base = base or os.environ.get("TMPDIR") or "/tmp"
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
                remove(folder)
        finally:
            os.close(held)


def remove(folder: str | None) -> None:
    """Remove what private_folder made, with whatever was left in it."""
    if folder is None:
        return
    try:
        os.rmdir(folder)  # noqa: PTH106 nearly always empty
    except OSError:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
