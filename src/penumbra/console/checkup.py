"""`penumbra doctor` in the background: it takes five seconds and a process of its own, and what it found is shown for five minutes."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

FRESH_S = 300.0
PATIENCE_S = 300.0
COMMAND = (sys.executable, "-m", "penumbra.cli", "doctor", "--format", "json")


@dataclass(frozen=True)
class Found:
    """One line of the check."""

    checked: str
    state: str
    found: str

    @property
    def ok(self) -> bool:
        return self.state == "ok"


@dataclass(frozen=True)
class Checked:
    """What the last check found, and when, UTC; trouble: why there is none, "" where it went well."""

    at: datetime
    findings: tuple[Found, ...]
    trouble: str = ""

    @property
    def bad(self) -> tuple[Found, ...]:
        return tuple(each for each in self.findings if not each.ok)


class Checkup:
    """The last check of this console, and one that is under way."""

    def __init__(self) -> None:
        self.last: Checked | None = None
        self._ended = -FRESH_S
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    @property
    def is_under_way(self) -> bool:
        """Whether the machine is being examined."""
        return self._process is not None

    def begin(self, *, again: bool = False) -> None:
        """Examine in the background, unless that is under way, or was done within FRESH_S and is not asked for `again`."""
        with self._turn:
            if self._process is not None or (time.monotonic() - self._ended < FRESH_S and not again):
                return
            self._process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            threading.Thread(target=self._wait, args=(self._process,), daemon=True, name="checkup").start()

    def close(self) -> None:
        """End a check that is under way."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        findings: tuple[Found, ...] = ()
        trouble = ""
        try:
            out, _ = process.communicate(timeout=PATIENCE_S)
            findings = tuple(Found(row["checked"], row["state"], row["found"]) for row in json.loads(out))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            trouble = f"penumbra doctor did not end within {PATIENCE_S:g} s"
        except (ValueError, KeyError, TypeError):
            trouble = f"penumbra doctor ended with {process.returncode} and said nothing that can be shown"
        self.last = Checked(datetime.now(UTC), findings, trouble)
        self._ended, self._process = time.monotonic(), None
