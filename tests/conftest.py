"""No test writes to the database or the object storage of the person who runs it, or depends on the width of a terminal; a hang-up reaches what the tests
start, also under nohup."""

import os
import signal

import pytest

for name in ("PENUMBRA_CATALOG", "PENUMBRA_FILES"):
    os.environ.pop(name, None)

signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _as_wide_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have the width of a file, whatever terminal `make test` runs in and whatever a test before left in the environment."""
    monkeypatch.setenv("COLUMNS", "120")
