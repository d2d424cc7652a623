"""`penumbra upgrade --apply` killed: python -m tests.commands.killed_upgrade FOLDER, where FOLDER/home and FOLDER/project lack migrations. Prints JSON.

Each time it is begun from a copy of both, in a child that kills itself with SIGKILL just before one of its own moments: a statement for DuckDB or SQLite, the
copy of a database, a file replaced or removed. A second child runs the same command. A child is a fork of one process that has loaded the program and
opened nothing: loading MLflow takes longer than all of it.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

MOMENTS = frozenset({"execute", "executemany", "executescript", "commit", "backup", "replace", "rename", "unlink", "fsync"})  # functions written in C
TRIED = 6  # of all of them, from the first to the last


def main(folder: Path) -> None:
    """Print how many moments there are, at which of them it was killed, and what the second child listed."""
    load()
    work = folder / "work"
    count = int(run(folder, work, None))
    chosen = sorted({round(1 + (count - 1) * part / (TRIED - 1)) for part in range(TRIED)})
    outcomes = []
    for moment in chosen:
        killed = run(folder, work, moment)
        if killed != "":
            raise SystemExit(f"not killed at moment {moment}: {killed}")
        outcomes.append({"moment": moment, "states": json.loads(resumed(work)), "left": left(work)})
    print(json.dumps({"moments": count, "killed": outcomes}))


def load() -> None:
    """Everything that an upgrade imports."""
    import duckdb  # noqa: F401
    import mlflow.store.db.utils
    import mlflow.store.tracking.dbmodels.models  # noqa: F401

    from penumbra.commands import upgrade  # noqa: F401
    from penumbra.registry import database, older_names, schema  # noqa: F401


def run(folder: Path, work: Path, moment: int | None) -> str:
    """In a fresh copy; what the child said before it was killed. None: it is not, and says how many moments there were."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder / "home", work / "home")
    shutil.copytree(folder / "project", work / "project")
    counted = 0

    def watch(_: Any, event: str, function: Any) -> None:
        nonlocal counted
        if event == "c_call" and function.__name__ in MOMENTS:
            counted += 1
            if counted == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    def upgraded() -> str:
        from penumbra.commands import upgrade

        sys.setprofile(watch)
        upgrade.apply(work / "home")
        sys.setprofile(None)
        return str(counted)

    return in_child(work, upgraded)


def resumed(work: Path) -> str:
    """The same command again: the states that it lists."""

    def again() -> str:
        from penumbra.commands import upgrade

        return json.dumps([step.state for step in upgrade.apply(work / "home")])

    return in_child(work, again)


def left(work: Path) -> list[str]:
    """What is next to MLflow's database and to params.yaml."""
    return sorted(path.name for folder in (work / "home" / "mlflow", work / "project") for path in folder.iterdir() if path.is_file())


def in_child(work: Path, call: Any) -> str:
    """What a forked child returned; "" where it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.environ.update({"PENUMBRA_HOME": str(work / "home"), "PENUMBRA_PROJECT": str(work / "project")})
        try:
            os.write(writing, call().encode())
            os._exit(0)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"a child ended with {status}: {said}")
    return said


if __name__ == "__main__":
    main(Path(sys.argv[1]))
