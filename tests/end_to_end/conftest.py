"""One run of the whole path on the simulated three-center cohort, which the tests of this folder examine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import once
from tests.console import browser as browsing
from tests.console import serving
from tests.console.browser import Browser
from tests.console.serving import Served

PREPARED = "PENUMBRA_TEST_PREPARED"  # of tests/numeric.py


@dataclass(frozen=True)
class Run:
    """A state folder with a finished run, its cohort, and what the run printed (standard output) and said (standard error)."""

    home: Path
    cohort: Path
    printed: str
    said: str = ""

    def penumbra(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return penumbra(self.home, *arguments, check=check)


def environment(home: Path) -> dict[str, str]:
    """Of a command whose state is in `home`; the tests' own warnings filter is not the command's."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    return {**kept, "PENUMBRA_HOME": str(home), "PYTHONWARNINGS": "ignore"}


def penumbra(home: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line with its state in `home`."""
    done = subprocess.run([sys.executable, "-m", "penumbra.cli", *arguments], env=environment(home), capture_output=True, text=True)
    assert not check or done.returncode == 0, f"penumbra {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`make run`, without make: simulate, then the whole path; in test-numeric from the features on, which it computes once for all its runs.

    The first worker that needs the run makes it, and works in its home; another works in a copy of that home as the run left it.
    """
    prepared = os.environ.get(PREPARED)
    with once(tmp_path_factory, "run") as (folder, made):
        cohort = Path(prepared).parent / "simulated" if prepared else folder / "simulated"
        if not made:
            home = folder / "home"
            folder.mkdir()
            if prepared:
                shutil.copytree(prepared, home, symlinks=True)
            else:
                penumbra(home, "simulate", str(cohort))
            done = penumbra(home, "run", "--cohort", str(cohort))
            shutil.copytree(home, folder / "left", symlinks=True)
            (folder / "printed").write_text(json.dumps([done.stdout, done.stderr]), encoding="utf-8")
        else:
            home = tmp_path_factory.mktemp("run") / "home"
            shutil.copytree(folder / "left", home, symlinks=True)
        printed, said = json.loads((folder / "printed").read_text(encoding="utf-8"))
    return Run(home, cohort, printed, said)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    if browsing.program() is None:
        pytest.skip("no Chromium is installed: the console's pages are tested without a browser alone")
    with browsing.browser() as running:
        yield running


@pytest.fixture(scope="session")
def console(run: Run) -> Iterator[Served]:
    """A console over the finished run; tests that change anything make a home of their own."""
    with serving.served(run.home) as running:
        yield running
