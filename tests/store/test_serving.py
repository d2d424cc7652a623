"""SQL over the network, as a colleague asks and as an attacker does."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import serving
from penumbra.store.guard import LONGEST

from .catalogs import Catalogs
from .hostile_statements import HOSTILE
from .test_answer import fill_in

pytestmark = pytest.mark.slow

SECRET = "a token of these tests only"
PROGRAM = """
import sys
from pathlib import Path
from penumbra.store.serving import Limits, serve
serve(Path(sys.argv[1]), sys.argv[2], Limits(timeout_s=20, memory_mb=300, max_rows=1000, at_once=2), host="127.0.0.1", port=int(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def servings() -> Iterator[dict[str, Any]]:
    running: dict[str, Any] = {}
    yield running
    for process, _ in running.values():
        process.kill()
        process.wait()


@pytest.fixture
def address(servings: dict[str, Any], filled: Path, catalogs: Catalogs) -> str:
    """Where a server of the filled store answers."""
    if filled.name not in servings:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(filled), SECRET, str(port)], env={**os.environ, "OMP_NUM_THREADS": "1"})
        servings[filled.name] = (process, f"http://127.0.0.1:{port}")
        for _ in range(600):
            try:
                urllib.request.urlopen(servings[filled.name][1], timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
    return str(servings[filled.name][1])


def ask(address: str, sql: object, *, token: str = SECRET, body: bytes | None = None, **more: Any) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{address}/sql", data=body or json.dumps({"sql": sql, **more}).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_answers_in_every_format(address: str, filled: Path) -> None:
    question = "SELECT patient, center, age FROM patients ORDER BY patient"
    here = store.query(filled, question)
    assert json.loads(ask(address, question)[1]) == here.to_pylist()
    assert ipc.open_stream(ask(address, question, format="arrow")[1]).read_all() == here
    status, text = ask(address, "SELECT count(*) AS n FROM patients", as_of=0, format="csv")
    assert (status, text) == (200, b'"n"\n0\n')
    assert isinstance(here, pa.Table)


def test_who_may_not_ask(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("", SECRET[:-1], SECRET + "x"):
        status, text = ask(address, "SELECT 1", token=token)
        assert (status, json.loads(text)["rule"]) == (401, "token")
    for body in (b"", b"[]", b"SELECT 1", b'{"sql": 1}', b'{"sql": "SELECT 1", "home": "/"}', b'{"sql": "SELECT 1", "format": "html"}', b"x" * 500_000):
        status, text = ask(address, "", body=body or b" ")
        assert (status, json.loads(text)["rule"]) == (400, "question")
    for value in ("", "short"):
        monkeypatch.setenv(serving.TOKEN, value)
        with pytest.raises(Refusal, match="PENUMBRA_SQL_TOKEN"):
            serving.token_of_environment()


@pytest.mark.parametrize("catalogs", ["sqlite"], indirect=True)
def test_hostile_statements_over_the_network(address: str, filled: Path) -> None:
    """The third entry point: every statement over HTTP. None of them starts the process that opens the store."""
    for statement, why, rule in HOSTILE:
        status, text = ask(address, fill_in(statement, filled))
        refused = json.loads(text)
        told = (statement[:200], why, text[:200])
        if status == 400 and refused["rule"] == "question":  # a body that is too long is not read to its end
            assert len(statement) > LONGEST, told
            continue
        assert (status, refused["rule"]) == (400, rule), told
        assert refused["found"], told
        assert refused["advice"], told
    assert ask(address, "EXPLAIN (FORMAT json) SELECT 1")[0] == 200


def test_limits_over_the_network(address: str) -> None:
    assert json.loads(ask(address, "FROM range(1001)")[1])["rule"] == "sql_rows"
    status, text = ask(address, "SELECT list(a.range || 'x') FROM range(3000) a, range(3000) b")
    assert (status, json.loads(text)["rule"]) == (413, "sql_memory")
    assert ask(address, "SELECT 42 AS n") == (200, b'[{"n": 42}]\n')  # and the server lives
