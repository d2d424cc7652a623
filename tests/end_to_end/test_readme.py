"""The commands of the README, in the order a reader types them; test_newcomer.py runs every one of them in a terminal."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL) for line in block.splitlines() if line]


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 8
    assert all(command.startswith("penumbra ") for command in COMMANDS)
