"""Every command of the README runs, in the order a reader types them."""

import re
import shlex
from pathlib import Path

import pytest

from .conftest import Run

README = Path(__file__).resolve().parents[2] / "README.md"
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL) for line in block.splitlines() if line]

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 8
    assert all(command.startswith("penumbra ") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_answers(run: Run, command: str) -> None:
    here = [word.replace("data/simulated", str(run.cohort)) for word in shlex.split(command)[1:]]
    assert run.penumbra(*here).stdout.strip()
