"""The served model under load: `mlflow models serve` on the champion, 4 clients with 50 requests a second together for 30 s, and what a wrong request gets."""

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry
from penumbra.base import tables
from penumbra.base.params import state_home
from penumbra.registry.logged_model import mean_patient

CLIENTS, RATE_HZ, SECONDS, START_S = 4, 50.0, 30.0, 240.0
EXPLAINED = 100  # requests for an explained answer


def main() -> None:
    """Print a table for people, and as the last line one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    seconds = parser.parse_args().seconds
    home = state_home()
    model = registry.load(home).model
    mean = mean_patient(model)
    row = [mean[name] for name in model.columns]
    right = json.dumps({"dataframe_split": {"columns": list(model.columns), "data": [row]}})
    asking = json.dumps({**json.loads(right), "params": {"explain": True}})
    port = _free_port()
    with _server(home, port):
        expected = _ask(_connect(port), right)
        assert expected[0] == 200, expected
        answers, explained = _load(port, right, seconds), [1000 * _timed(port, asking) for _ in range(EXPLAINED)]
        wrong = {name: _ask(_connect(port), body) for name, body in _malformed(list(model.columns), row).items()}
    late = np.array([latency for latency, _ in answers]) * 1000
    errors = sum(status != 200 for _, status in answers)
    body: list[list[Any]] = [["requests a second", len(answers) / seconds], ["errors", errors], ["median, ms", float(np.median(late))]]
    body += [["explained, one at a time, median, ms", float(np.median(explained))], ["columns", len(row)]]
    body += [["95 %, ms", float(np.quantile(late, 0.95))], ["slowest, ms", float(late.max())]]
    print(tables.render(["served model", ""], body))
    print(tables.render(["malformed", "status", "answer"], [[name, status, text[:90]] for name, (status, text) in wrong.items()]))
    figures = {
        "requests": len(answers),
        "rate_hz": len(answers) / seconds,
        "errors": errors,
        "p95_ms": float(np.quantile(late, 0.95)),
        "explained_ms": float(np.median(explained)),
    }
    print(json.dumps(figures | {"malformed_4xx": all(400 <= status < 500 for status, _ in wrong.values())}))


def _timed(port: int, body: str) -> float:
    """Seconds that one request takes."""
    connection, start = _connect(port), time.monotonic()
    status, text = _ask(connection, body)
    assert status == 200, text
    return time.monotonic() - start


def _malformed(columns: list[str], row: list[float]) -> dict[str, str]:
    def split(names: list[str], values: list[Any]) -> str:
        return json.dumps({"dataframe_split": {"columns": names, "data": [values]}})

    return {
        "no JSON": "{oops",
        "no table": json.dumps({"patient": 1}),
        "a column missing": split(columns[1:], row[1:]),
        "a value missing": split(columns, [None, *row[1:]]),
        "a word for a number": split(columns, ["large", *row[1:]]),
    }


def _load(port: int, body: str, seconds: float) -> list[tuple[float, int]]:
    """Latency in s and status of every request; each client sends at fixed times, whether or not the last one was late."""
    answers: list[tuple[float, int]] = []
    began = time.monotonic() + 0.5

    def client(number: int) -> None:
        connection, requests = _connect(port), 0
        while (due := began + (requests * CLIENTS + number) / RATE_HZ) < began + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            start = time.monotonic()
            try:
                status, _ = _ask(connection, body)
            except OSError:
                status, connection = 0, _connect(port)
            answers.append((time.monotonic() - start, status))
            requests += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def _ask(connection: http.client.HTTPConnection, body: str) -> tuple[int, str]:
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@contextlib.contextmanager
def _server(home: Path, port: int) -> Any:
    variables = {**os.environ, "MLFLOW_TRACKING_URI": registry.tracking_uri(home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["mlflow", "models", "serve", "-m", f"models:/{registry.find(home).model}@champion", "--env-manager", "local", "--port", str(port)]
    server = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        end = time.monotonic() + START_S
        while time.monotonic() < end and server.poll() is None:
            with contextlib.suppress(OSError), contextlib.closing(_connect(port)) as connection:
                connection.request("GET", "/ping")
                if connection.getresponse().status == 200:
                    break
            time.sleep(0.5)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
