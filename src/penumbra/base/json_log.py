"""Standard error as a log for machines: one JSON object for each line, with the run that wrote it. Standard library only: imported before all else."""

import datetime as dt
import io
import json
import os
import sys
from typing import TextIO

OPTION = "--log-json"
RUN = "PENUMBRA_LOG_RUN"  # for the processes below: write JSON, and this is the run's id
COMMAND = "PENUMBRA_LOG_COMMAND"
ERRORS = ("Error: ", "Killed by ", "Traceback ")
STOPS = ("Stopped by ", "The system could not ")
SERVICES = ("serve", "console", "serve-model", "serve-sql", "mlflow")  # they go on, and each run that they start has an id of its own


def requested() -> bool:
    """Whether this process or one above it was asked for JSON."""
    return RUN in os.environ


def fresh_run() -> str:
    """An id for a run: the time in UTC, and six digits that tell runs of one second apart."""
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{os.urandom(3).hex()}"


def run() -> str:
    """The id of the run that this process is: the one in the log's lines where a log is written, so that both can be joined; else a fresh one."""
    return os.environ[RUN] if requested() and os.environ.get(COMMAND) not in SERVICES else fresh_run()


def apart(command: str) -> dict[str, str]:
    """The environment of a command that this process starts, whose lines have an id of their own."""
    return {**os.environ, RUN: fresh_run(), COMMAND: command} if requested() else dict(os.environ)


def begin(arguments: list[str], command: str) -> list[str]:
    """The arguments without the option, which may stand anywhere; the environment says from then on that it was there."""
    if OPTION not in arguments:
        return arguments
    os.environ.setdefault(RUN, fresh_run())
    os.environ[COMMAND] = command
    return [argument for argument in arguments if argument != OPTION]


def entry(line: str) -> str:
    """One line of text as the JSON of one object: at (UTC), run, command, level (info, warning or error) and message."""
    text = line.strip()
    level = "error" if text.startswith(ERRORS) else "warning" if text.startswith(STOPS) else "info"
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"at": at, "run": os.environ.get(RUN, ""), "command": os.environ.get(COMMAND, ""), "level": level, "message": text}
    return json.dumps(fields, ensure_ascii=False)


class JsonLines(io.TextIOBase):
    """Takes text and writes an object for each whole line that is not blank."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line = stream, ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base has it without a setter, too
        return self._stream.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False  # no bar, no color

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._put(line)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._put(self._line)
        self._line = ""
        self.flush()

    def _put(self, line: str) -> None:
        if line.strip():
            self._stream.write(entry(line) + "\n")


def install() -> None:
    """Put it in the place of standard error, where it was asked for."""
    if requested():
        import atexit

        sys.stderr = stream = JsonLines(sys.stderr)
        atexit.register(stream.close)
