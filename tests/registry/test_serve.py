"""`mlflow models serve` where nothing is installed but what the model asks for: the answers are the model's, wrong requests get 4xx with the rule."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from penumbra.registry import Bundle, register, tracking_uri

from .elsewhere import empty_environment

pytestmark = pytest.mark.slow

START_SECONDS = 180


@pytest.fixture
def port(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> Iterator[int]:
    entry = register(home, make_bundle())
    python = empty_environment(tmp_path / "elsewhere", (entry.folder.parents[1] / "requirements.txt").read_text().split())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": tracking_uri(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["mlflow", "models", "serve", "-m", "models:/nsclc-os@champion", "--env-manager", "local", "--port", str(number)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(number, server, tmp_path / "log")
        yield number
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _wait(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/ping")
                if connection.getresponse().status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no answer within {START_SECONDS} s: {log.read_text()}")


def _ask(port: int, body: str) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_served_answers_equal_the_models(port: int, make_bundle: Callable[..., Bundle]) -> None:
    model = make_bundle().models["Combined"]
    values = np.array([[0.7, -0.2, 1.1], [2.3, 0.4, -0.6]])

    def body(rows: list[list[float | None]]) -> str:
        return json.dumps({"dataframe_split": {"columns": model.columns, "data": rows}})

    status, text = _ask(port, body(values.tolist()))
    assert status == 200, text
    answers = json.loads(text)["predictions"]
    log_risk = model.log_risk(dict(zip(model.columns, values.T, strict=True)))
    np.testing.assert_allclose([answer["log_risk"] for answer in answers], log_risk, rtol=1e-12)
    survival = [[answer[f"survival_{year}y"] for year in (1, 2, 3)] for answer in answers]
    np.testing.assert_allclose(survival, model.survival(log_risk, [365.25, 730.5, 1095.75]), rtol=1e-12)
    assert [answer["risk_group"] for answer in answers] == list(model.risk_group(log_risk))

    status, text = _ask(port, body([[0.7, None, 1.1]]))
    assert status == 400
    assert f"{model.columns[1]} is missing for 1 of 1 patients" in text
    assert _ask(port, "{oops")[0] == 400
