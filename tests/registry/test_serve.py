"""`mlflow models serve`, `predict` and the image of `generate-dockerfile` where nothing is installed but what the model asks for: answers are the model's."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
import pytest
import yaml

from penumbra.registry import Bundle, register, tracking_uri

from .elsewhere import empty_environment

pytestmark = pytest.mark.slow

CHAMPION, START_SECONDS = "models:/nsclc-os@champion", 180


@dataclass(frozen=True)
class Elsewhere:
    """A folder with an environment that has what the version asks for, and what programs there are started with."""

    folder: Path
    python: Path
    environment: dict[str, str]

    @contextlib.contextmanager
    def running(self, *command: str, **variables: str) -> "Iterator[subprocess.Popen[bytes]]":
        """A program that answers, until the end of the block."""
        with (self.folder / "log").open("w") as log:
            server = subprocess.Popen(command, env={**self.environment, **variables}, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, 15)
            server.wait(30)


@pytest.fixture
def elsewhere(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> Elsewhere:
    entry = register(home, make_bundle())
    python = empty_environment(tmp_path / "elsewhere", (entry.folder.parents[1] / "requirements.txt").read_text().split())
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": tracking_uri(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    return Elsewhere(tmp_path, python, environment)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def port(elsewhere: Elsewhere) -> Iterator[int]:
    number = free_port()
    with elsewhere.running("mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local", "--port", str(number)) as server:
        _wait(number, server, elsewhere.folder / "log")
        yield number


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


def test_a_file_is_answered_without_a_server(elsewhere: Elsewhere, make_bundle: Callable[..., Bundle]) -> None:
    model = make_bundle().models["Combined"]
    request = elsewhere.folder / "request.json"
    request.write_text(json.dumps({"dataframe_split": {"columns": model.columns, "data": [[0.7, -0.2, 1.1]]}}))
    command = ["mlflow", "models", "predict", "-m", CHAMPION, "--env-manager", "local", "-i", str(request), "-t", "json", "-o", "answer.json"]
    done = subprocess.run(command, env=elsewhere.environment, cwd=elsewhere.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (answer,) = json.loads((elsewhere.folder / "answer.json").read_text())["predictions"]
    log_risk = model.log_risk(dict(zip(model.columns, np.array([[0.7, -0.2, 1.1]]).T, strict=True)))
    assert answer["log_risk"] == pytest.approx(float(log_risk[0]), rel=1e-12)


def test_the_image_installs_what_the_version_asks_for_and_its_program_answers(elsewhere: Elsewhere, make_bundle: Callable[..., Bundle]) -> None:
    """No container is run here: the recipe is read, and its program runs in the environment that the recipe makes, but for nginx."""
    command = ["mlflow", "models", "generate-dockerfile", "-m", CHAMPION, "--env-manager", "local", "-d", "image"]
    done = subprocess.run(command, env=elsewhere.environment, cwd=elsewhere.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    image = elsewhere.folder / "image"
    recipe = (image / "Dockerfile").read_text().splitlines()
    python = yaml.safe_load((image / "model_dir" / "python_env.yaml").read_text())
    assert f"FROM python:{python['python']}-slim" in recipe
    assert f"RUN pip install mlflow=={installed('mlflow')}" in recipe
    assert "COPY model_dir /opt/ml/model" in recipe
    assert python["dependencies"] == ["-r requirements.txt"], "which the environment of this test was made from, and nothing else"
    assert (image / "model_dir" / "requirements.txt").read_text().split() == [f"{name}=={installed(name)}" for name in ("mlflow", "numpy", "pandas")]
    (entry,) = (json.loads(line.removeprefix("ENTRYPOINT ")) for line in recipe if line.startswith("ENTRYPOINT "))
    number, there = free_port(), f"C.MODEL_PATH, C.DEFAULT_INFERENCE_SERVER_PORT = {str(image / 'model_dir')!r}, "
    program = entry[2].replace("; ", f"; {there}{number}; ", 1)
    variables = {"DISABLE_NGINX": "true", "MLFLOW_DISABLE_ENV_CREATION": "True", "MLFLOW_MODELS_WORKERS": "1"}
    with elsewhere.running(str(elsewhere.python), *entry[1:2], program, **variables) as server:
        _wait(number, server, elsewhere.folder / "log")
        model = make_bundle().models["Combined"]
        status, text = _ask(number, json.dumps({"dataframe_split": {"columns": model.columns, "data": [[0.7, -0.2, 1.1]]}}))
    assert status == 200, text
    log_risk = model.log_risk(dict(zip(model.columns, np.array([[0.7, -0.2, 1.1]]).T, strict=True)))
    assert json.loads(text)["predictions"][0]["log_risk"] == pytest.approx(float(log_risk[0]), rel=1e-12)
