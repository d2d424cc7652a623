"""A command as a person sees it: in a pseudo-terminal of a given width, its bytes rendered into lines."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
NUMBER = re.compile(r"(?<![\w./:-])[-+]?\d+\.\d+(?![\w.:-]|/\d)")  # not part of a version, a path, a time or a name


@dataclass(frozen=True)
class Screen:
    """What stood on the terminal, and the exit status."""

    text: str
    status: int

    @property
    def lines(self) -> list[str]:
        """Every line that was ever drawn: what a carriage return overwrites is a line too."""
        return [part for line in self.text.split("\n") for part in line.split("\r") if part]

    @property
    def width(self) -> int:
        """Columns of the widest line."""
        return max(map(columns, self.lines), default=0)

    def long_floats(self) -> list[str]:
        """Numbers with a decimal point and more than four significant digits."""
        found = (match[0] for line in self.lines for match in NUMBER.finditer(line))
        return [number for number in found if len(number.lstrip("+-").replace(".", "").lstrip("0")) > 4]


def columns(line: str) -> int:
    """Columns of a terminal that a line takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in line)
    return len(line) + wide - sum(bool(unicodedata.combining(letter)) for letter in line)


PENUMBRA = ("-m", "penumbra.cli")


def screen(
    command: Sequence[str], width: int, environment: Mapping[str, str], program: Sequence[str] = PENUMBRA, *, stop: Callable[[str], bool] | None = None
) -> Screen:
    """Run a command in a terminal of `width` columns: `program` of this Python with the words of `command`.

    A command that serves until it is stopped gets a Ctrl-C as soon as `stop` of what stands on the terminal is true.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    unset = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI")
    variables = {name: value for name, value in environment.items() if name not in unset} | {"TERM": "xterm-256color", "PYTHONWARNINGS": "ignore"}
    words = [sys.executable, *program, *command]
    process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=variables, start_new_session=True)
    os.close(slave)
    received = bytearray()
    try:
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # EIO: the last process has closed the terminal
                break
            if not part:
                break
            received += part
            if stop is not None and stop(_text(received)):
                process.send_signal(signal.SIGINT)
                stop = None
        os.close(master)
        return Screen(_text(received), process.wait())
    finally:
        if process.poll() is None:  # the test ran out of time: nothing stays behind, on a port or in the way of a later test
            process.kill()
            process.wait()


def _text(received: bytes | bytearray) -> str:
    return ESCAPES.sub("", received.decode(errors="replace")).replace("\r\n", "\n")
