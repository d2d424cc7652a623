"""Requests that schemathesis makes from the OpenAPI document of a running penumbra serve-model: none is answered otherwise than the document says."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import example_home

pytestmark = pytest.mark.slow

START_S, EXAMPLES = 120.0, "15"
TOKEN = "0123456789abcdef" * 2


@pytest.fixture
def address(tmp_path: Path, example: Path) -> Iterator[str]:
    example_home.copied(example, tmp_path / "home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PENUMBRA_HOME": str(tmp_path / "home"), "PENUMBRA_MODEL_STORE_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "penumbra.cli", "serve-model", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def test_every_answer_is_one_that_the_document_declares(address: str, tmp_path: Path) -> None:
    """422 is an answer to a well-formed question as well: numbers that the version cannot use, or a key that no patient has (404)."""
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(
        "[checks.positive_data_acceptance]\nexpected-statuses = [200, 404, 422]\n[checks.unsupported_method]\nenabled = true\n", encoding="utf-8"
    )
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(settings), "run", f"{address}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {TOKEN}", "--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none", "--no-color"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert "Selected: 5/5" in run.stdout, run.stdout
    assert "Tested: 5" in run.stdout, run.stdout
