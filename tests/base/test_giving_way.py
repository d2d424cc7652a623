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
