"""The screens of docs/first_hour.md, from what the commands print: `python -m tests.screens HOME COHORT` rewrites them.

Each block of the page begins with the command after `$`. What changes from run to run is replaced by what stands for it (`calm`).
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from .terminal import screen

PAGE = Path(__file__).resolve().parents[1] / "docs" / "first_hour.md"
WIDTH = 100
BLOCK = re.compile(r"```text\n\$ ([^\n]*)\n(.*?)```\n", re.DOTALL)
# Times, sizes, digests and folders: of the machine and the moment, not of the command.
CHANGING = (
    (r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}", "2026-11-26 12:00"),
    (r"(more than )?[\d.]+ [kMGT]B used here, [\d.]+ [kMGT]B free", "1.6 GB used here, 120 GB free"),
    (r"\d+ GB free for state", "120 GB free for state"),
    (r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{12}\b", "0123456789ab"),
    (r"(?m)(?<=  )[0-9a-f]{7}$", "0123abc"),  # the git revision
)


def blocks(page: str) -> dict[str, str]:
    """Command -> its screen, in the order of the page."""
    return {found[1]: found[2] for found in BLOCK.finditer(page)}


def calm(text: str, folders: Mapping[str, str] = MappingProxyType({})) -> str:
    """A screen with what changes from run to run replaced, and no blank at the end of a line."""
    for folder, name in folders.items():
        text = text.replace(folder, name)
    for pattern, instead in CHANGING:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def taken(command: str, home: str, cohort: str, environment: Mapping[str, str]) -> str:
    """What a command of the page prints in a terminal."""
    words = [word.replace("data/simulated", cohort) for word in shlex.split(command)[1:]]
    return calm(screen(words, WIDTH, {**environment, "PENUMBRA_HOME": home, "TZ": "UTC"}).text, {cohort: "data/simulated", home: "data"})


def main() -> None:
    home, cohort = sys.argv[1:]
    page = PAGE.read_text(encoding="utf-8")
    shown = {command: taken(command, home, cohort, os.environ) for command in blocks(page)}
    page = BLOCK.sub(lambda found: f"```text\n$ {found[1]}\n{shown[found[1]]}```\n", page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
