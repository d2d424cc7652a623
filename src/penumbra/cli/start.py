"""Where the command `penumbra` begins: before click and everything else is imported, the work is put into a child process that can be stopped."""

import contextlib
import os
import sys
from collections.abc import Collection

from penumbra.base import child_process, json_log, temporary_files

RESUME = "Stopped by {signal}: finished work is kept; rerun the same command to resume."
RESUME_OTHERWISE = {
    "forget": "Stopped by {signal}: run penumbra forget without a patient to complete the deletion.",
    "serve": "Stopped by {signal}: run penumbra serve again, and it resumes with the centers that wait.",
    "extract": "Stopped by {signal}: nothing was written; rerun the same command.",
    "console": "Stopped by {signal}: run penumbra console again to look.",
    "serve-model": "Stopped by {signal}: run penumbra serve-model again to answer.",
    "mlflow": "Stopped by {signal}: run penumbra mlflow again to look.",
    "serve-sql": "Stopped by {signal}: run penumbra serve-sql again to answer queries.",
}
GIVES_WAY = ("retrain", "serve")  # nobody waits for these: people who look at the console go first


def main() -> int:
    """Run the command of sys.argv in a child process; its exit status."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the processes below
    sys.argv[1:] = json_log.begin(sys.argv[1:], _named() or "status")
    command = _named()
    folder = temporary_files.private_folder()
    status = child_process.supervise(_command, sentence=RESUME_OTHERWISE.get(command, RESUME), stopped=_no_kills)
    temporary_files.remove(folder)  # in this process alone: the child leaves by an exception
    return status


def _named() -> str:
    """The command of sys.argv; "" where there is none."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _command() -> None:
    _silence_libraries()
    json_log.install()
    if _named() in GIVES_WAY:
        from penumbra.base import resources

        resources.give_way()
    from penumbra.base import project
    from penumbra.cli import main as command

    state = os.environ.get("PENUMBRA_HOME")
    root = None if os.environ.get("PENUMBRA_PROJECT") else (project.of_state(state) if state else None) or project.enclosing()
    if root is not None:
        os.environ["PENUMBRA_PROJECT"] = str(root)  # of the processes below, which may stand elsewhere

    command(prog_name="penumbra")


def _silence_libraries() -> None:
    """Leave standard error to Python.

    What C libraries print there when a disk or the memory ends (ITK, XLA, the C++ runtime: up to 40 lines, none of them advice) goes nowhere, also from the
    processes below. To see it: python -c "from penumbra.cli import main; main()" ARGUMENT...
    """
    descriptor = os.dup(2)
    sys.stderr = open(descriptor, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115 for as long as the process lives
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _no_kills(ended: Collection[int]) -> None:
    """A retraining that somebody stopped was not killed by a fault of its own."""
    from penumbra.base.params import ParamsError, state_home

    with contextlib.suppress(ParamsError):
        home = state_home()
        if any((home / "manifests").glob("attempts-*.json")):
            from penumbra.retraining import attempts

            attempts.stopped(home, ended)
