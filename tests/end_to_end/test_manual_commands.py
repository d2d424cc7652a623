"""The commands of the manual that only read, on the home of a finished run; all others have the date on which they were run (tests/test_manual.py)."""

import shlex

import pytest

from .. import manual
from .conftest import Run

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]


def test_there_are_some() -> None:
    assert len(manual.read_only()) >= 5


@pytest.mark.parametrize("line", manual.read_only())
def test_a_command_of_the_manual_answers(run: Run, line: str) -> None:
    words = [word.replace("data/simulated", str(run.cohort)) for word in shlex.split(line)]
    done = run.penumbra(*words, check=False)
    assert done.returncode in ((0, 1) if line == "doctor" else (0,)), done.stderr  # 1: it found something
    assert done.stdout.strip()
