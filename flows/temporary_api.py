"""A Prefect API on loopback for as long as this process lives: where PREFECT_API_URL names no server, the flows of one machine report to it."""

import atexit
import contextlib
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from penumbra.base import parent_bound

# About 20 s on two idle cores, longer on a loaded machine. Prefect's own variable, so that users who know it need not learn another.
TIMEOUT, TIMEOUT_S = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", 120.0
FOLDER = "prefect"  # in the state folder
LOG = f"{FOLDER}/server.log"
EPHEMERAL = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1", "PREFECT_UI_ENABLED": "false"}  # as Prefect starts its own


@dataclass(frozen=True)
class Api:
    """A server process and its address."""

    process: "subprocess.Popen[bytes]"
    url: str

    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def answers(self, given_up: threading.Event | None = None) -> bool:
        """Wait until it answers; False when it has not in time, or has ended, or nobody waits any more."""
        given_up, end = given_up or threading.Event(), time.monotonic() + float(os.environ.get(TIMEOUT, TIMEOUT_S))
        while time.monotonic() < end and not self.has_ended() and not given_up.is_set():
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5):  # loopback
                return True
            given_up.wait(0.2)
        return False

    def kill(self) -> None:
        """End it at once: nobody asks it anything any more, and its database survives that."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


def start(home: Path, *, schedules: bool = False) -> Api:
    """Start a server that ends with this process, however that ends, and at the latest when the interpreter does; its log is in prefect/server.log.

    Parameters
    ----------
    schedules
        With the services that start flow runs when their time has come; without, it starts sooner.

    Notes
    -----
    A server that is asked to end while this process works ends the command: a signal may have been sent to it alone.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url, log = f"http://127.0.0.1:{port}/api", home / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    place, variables = ("--host", "127.0.0.1", "--port", port), {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    if schedules:
        command = parent_bound.command("prefect", "server", "start", *place, "--no-ui", part=True)
    else:
        factory = ("--factory", "prefect.server.api.server:create_app", "--lifespan", "on", "--log-level", "error")
        command = parent_bound.command("uvicorn", *factory, *place, part=True)
        variables |= EPHEMERAL
    started: Future[subprocess.Popen[bytes]] = Future()
    threading.Thread(target=_keep, args=(command, log, variables, started), name="prefect-api", daemon=True).start()
    api = Api(started.result(), url)
    atexit.register(api.kill)  # after Prefect's own services have sent what they hold
    return api


def _keep(command: Sequence[str], log: Path, variables: Mapping[str, str], started: "Future[subprocess.Popen[bytes]]") -> None:
    """Start the server and stay: it ends with the thread that started it (PR_SET_PDEATHSIG), and the one that asks for it may end before the process."""
    try:
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=variables)
    except Exception as error:  # raised where it was asked for
        started.set_exception(error)
        return
    started.set_result(process)
    process.wait()
