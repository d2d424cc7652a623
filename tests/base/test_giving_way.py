"""Work that nobody waits for lets others have the processor first."""

import subprocess
import sys

import pytest

ASKED = """
import os
from penumbra.base import resources
os.nice({before})
resources.give_way()
resources.give_way()
print(os.nice(0), flush=True)
os.system("nice")
"""


@pytest.mark.parametrize(("before", "after"), [(0, 10), (3, 10), (15, 15)])
def test_it_and_what_it_starts_give_way_once(before: int, after: int) -> None:
    here = int(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout)
    done = subprocess.run([sys.executable, "-c", ASKED.format(before=max(0, before - here))], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(max(after, here))] * 2


BEGUN = """
import sys
sys.argv = ["penumbra", *{words}]
from penumbra.base import child_process
from penumbra.cli import start
child_process.supervise = lambda command, **_: command()
start.main()
"""
AT_THE_END = """
import atexit, os
atexit.register(lambda: os.system("nice"))
"""


@pytest.mark.parametrize(("words", "gives_way"), [(["retrain", "--help"], True), (["serve", "--help"], True), (["patients", "--help"], False)])
def test_only_commands_that_nobody_waits_for_give_way_and_only_in_their_own_process(words: list[str], gives_way: bool) -> None:
    """A command that tests call in their own process made the worker of pytest nice, and every test after it slow."""
    here = int(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout)
    done = subprocess.run([sys.executable, "-c", AT_THE_END + BEGUN.format(words=words)], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) == (max(10, here) if gives_way else here)
