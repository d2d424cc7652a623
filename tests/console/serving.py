"""A console in a process of its own, asked over HTTP as a browser would."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

BEGINNING_S = 120.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


@dataclass
class Served:
    """A running console."""

    home: Path
    port: int
    process: "subprocess.Popen[bytes]"
    prefix: str = ""
    log: Path = field(default=Path(os.devnull))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def ask(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | str | None = None) -> Answer:
        """One request, of which nothing is corrected on the way; redirects are not followed."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            line.request(method, path, body=body, headers=dict(headers or {}))
            answer = line.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def get(self, path: str, **headers: str) -> Answer:
        """A page; headers as keywords, `if_none_match="..."`."""
        return self.ask(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def links(self, path: str) -> list[str]:
        """Every address that a page links to on this console."""
        found = re.findall(r'(?:href|src|action)="([^"#]+)"', self.get(path).text)
        return [link.replace("&amp;", "&") for link in dict.fromkeys(found) if not urlsplit(link).netloc]


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of a console over `home`."""
    return {**os.environ, "PENUMBRA_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **(more or {})}


@contextmanager
def served(home: Path, *options: str, prefix: str = "", more: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run `penumbra console` over a home until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home.parent / f"console-{port}.log"
    command = [sys.executable, "-m", "penumbra.cli", "console", "--port", str(port), *(("--root-path", prefix) if prefix else ()), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment(home, more), stdout=out, stderr=out)
    running = Served(home, port, process, prefix, log)
    try:
        end = time.monotonic() + BEGINNING_S
        while True:
            try:
                running.get("/static/console.css")
                break
            except OSError:
                assert process.poll() is None, f"the console ended:\n{log.read_text(errors='replace')}"
                assert time.monotonic() < end, "the console did not answer"
                time.sleep(0.1)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
