"""Set-up on the machines of others: a path with blanks, Python as Debian 12 has it."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from penumbra.base.params import project_root
from penumbra.bench.archives import unpack

# Each program of the environment, and the Python that makes it: what it was called with, one call per line.
RECORD = """#!/bin/sh
{ printf '<%s>' "$(basename "$0")" "$@"; echo; } >>"$RECORDED"
case "$*" in *"-m venv"*) mkdir -p .venv/bin; for name in python penumbra uv ruff mypy lint-imports; do cp "$0" ".venv/bin/$name"; done ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout under a path with blanks, with programs that write down how they are called."""
    folder = tmp_path / "my clinic" / "penumbra 2"
    shutil.copytree(project_root() / "infra", folder / "infra")
    shutil.copytree(project_root() / ".ci", folder / ".ci")
    for name in ("Makefile", "requirements.lock", "requirements-bench.lock", "pyproject.toml"):
        shutil.copy(project_root() / name, folder)
    python = tmp_path / "my python" / "python3"
    python.parent.mkdir()
    python.write_text(RECORD)
    python.chmod(0o755)
    return folder


def called(checkout: Path, *command: str) -> list[str]:
    """What a command calls, with the path of the checkout as HERE."""
    recorded = checkout.parent / "recorded"
    recorded.write_text("")
    python = checkout.parents[1] / "my python" / "python3"
    environment = {**os.environ, "RECORDED": str(recorded), "PYTHON": str(python)}
    environment = {name: value for name, value in environment.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "COHORT", "PROFILE")}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return recorded.read_text().replace(str(checkout), "HERE").splitlines()


@pytest.mark.slow
def test_set_up_and_every_target_under_a_path_with_blanks(checkout: Path) -> None:
    """`make` split the path: `clinic: not found`."""
    made = called(checkout, "make", "setup")
    assert made[0] == "<python3><-m><venv><--without-pip><--clear><.venv>"
    assert [line.split(">", 1)[0] + ">" for line in made] == ["<python3>", "<python3>", "<uv>", "<uv>"]
    assert called(checkout, "make", "setup") == [], "once"
    assert "<penumbra><run><--cohort><my cohort><--profile><quick>" in called(checkout, "make", "run", "COHORT=my cohort")
    (stack,) = called(checkout, "make", "stack", "PG_PORT=1", "MLFLOW_PORT=1", "PREFECT_PORT=1", "SQL_PORT=1", "CONSOLE_PORT=1")
    assert stack.endswith("<.venv/bin/honcho><start><-d><HERE><-f><infra/Procfile>")
    assert "<ruff><check><.>" in called(checkout, "bash", "-c", "make lint")
    assert any("pytest" in line for line in called(checkout, "bash", checkout / ".ci" / "run"))


@pytest.mark.slow
def test_the_scripts_of_infra_quote_their_paths(checkout: Path) -> None:
    """shellcheck's rule by the shell itself: with no splitting of unquoted words, the same words come out."""
    state = checkout / "my state"
    for script, arguments in (("run", ["uris"]), ("run", ["free"]), ("backup.sh", ["save", str(state / "a b.tar")]), ("postgres.sh", ["status", str(state)])):
        environment = {**os.environ, "PENUMBRA_HOME": str(state), "PG_PORT": "1", "MLFLOW_PORT": "1", "PREFECT_PORT": "1", "SQL_PORT": "1", "CONSOLE_PORT": "1"}
        done = subprocess.run([checkout / "infra" / script, *arguments], cwd="/", env=environment, capture_output=True, text=True)
        assert "not found" not in done.stderr
        assert "No such file" not in done.stderr
        assert "unexpected" not in done.stderr
    assert (
        f"no state folder {state}"
        in subprocess.run(
            [checkout / "infra" / "backup.sh", "save", state / "a b.tar"], env={**os.environ, "PENUMBRA_HOME": str(state)}, capture_output=True, text=True
        ).stderr
    )


def test_archives_are_read_by_the_python_of_debian_12(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2 knows no filter: two tests were red."""
    for name in ("scan.nii", "notes.txt"):
        (tmp_path / name).write_text(name)
    with tarfile.open(tmp_path / "packed.tar.xz", "w:xz") as packed:
        for name in ("scan.nii", "notes.txt"):
            packed.add(tmp_path / name, name)

    class Older(tarfile.TarFile):
        def extractall(self, path: str = ".", members: object = None, *, numeric_owner: bool = False) -> None:  # type: ignore[override]
            super().extractall(path, members, numeric_owner=numeric_owner)  # type: ignore[arg-type]

    assert [path.name for path in unpack(tmp_path / "packed.tar.xz", tmp_path / "newer", ending=".nii").iterdir()] == ["scan.nii"]
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile, "open", Older.open)
    assert [path.name for path in unpack(tmp_path / "packed.tar.xz", tmp_path / "older", ending=".nii").iterdir()] == ["scan.nii"]


def test_no_other_place_asks_for_the_filter() -> None:
    asking = [path for folder in ("src", "tests", "flows") for path in (project_root() / folder).rglob("*.py") if 'filter="data"' in path.read_text()]
    assert {path.name for path in asking} == {"archives.py", Path(__file__).name}


# A package manager with a cold cache, a place that does not exist, and then as `$1`.
NOISE = """#!/bin/sh
echo "Looking in links: /nowhere"
echo "WARNING: Location '/nowhere' is ignored: it is either a non-existing path or lacks a specific scheme." >&2
echo "Downloading jaxlib (81.5MiB)" >&2
echo " Downloaded jaxlib" >&2
echo " + absl-py==2.1.0" >&2
echo "Bytecode compiled 20508 files in 26s" >&2
{ printf '<%s>' "$(basename "$0")" "$@"; echo; } >>"$RECORDED"
case "$*" in *"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/uv ;; esac
"""
FAILS = 'case "$*" in *"requirements.lock -b"*) echo "error: Hash mismatch for jaxlib" >&2; exit 2 ;; esac\n'


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_set_up_says_what_it_does_and_how_long_it_took(checkout: Path, fails: bool) -> None:
    """`Location ... is ignored` was printed above everything, and minutes of downloads passed in silence. Errors are still shown, and end it."""
    python = checkout.parents[1] / "my python" / "python3"
    python.write_text(NOISE + (FAILS if fails else ""))
    environment = {**os.environ, "RECORDED": str(checkout.parent / "recorded"), "PYTHON": str(python)}
    environment = {name: value for name, value in environment.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(["make", "setup"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) is not fails
    assert not [word for word in ("is ignored", "Looking in", "absl-py", "Bytecode") if word in done.stdout + done.stderr]
    assert "set-up, once: " in done.stderr
    assert "downloading jaxlib, 85 MB" in done.stderr
    assert ("error: Hash mismatch for jaxlib" in done.stderr) is fails
    assert ("set-up took " in done.stderr) is not fails
    assert (checkout / ".venv" / ".ready").exists() is not fails
