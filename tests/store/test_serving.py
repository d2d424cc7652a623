"""SQL over the network, as a colleague asks and as an attacker does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import resident, serving
from penumbra.store.guard import LONGEST, Verdict
from penumbra.store.resident import Residents

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


def holders(home: Path) -> set[int]:
    """The processes that hold this store."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and b"penumbra.store.holding\0" + str(home).encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return found


def limits_of(**chosen: Any) -> dict[str, Any]:
    return {"timeout_s": 20.0, "memory_mb": 300, "max_rows": 1000, "at_once": 1, **chosen}


def asked(residents: Residents, home: Path, sql: str, verdict: Verdict | None = None, as_of: str | None = None, **chosen: Any) -> Any:
    question = {**asdict(serving.Question(sql, as_of=as_of)), **limits_of(**chosen), "verdict": asdict(verdict or Verdict(sql, False))}
    with residents.ask(home, question) as file:
        return json.loads(file.read())


@pytest.fixture
def residents() -> Iterator[Residents]:
    """The processes of one test."""
    begun = Residents()
    yield begun
    begun.close()


def test_a_process_stays_and_sees_what_is_written(own: Path, residents: Residents) -> None:
    count = "SELECT count(*) AS n FROM patients"
    [before] = asked(residents, own, count)
    first = holders(own)
    assert len(first) == 1
    with store.connect(own) as lake:
        commit = lake.newest_commit()
        lake.write({"patients": [{"patient": "Z1", "center": "north", "age": 77.0}]}, run="r", what="one more")
    assert asked(residents, own, count) == [{"n": before["n"] + 1}]
    assert asked(residents, own, count, as_of=str(commit)) == [before], "as of an earlier commit"
    assert asked(residents, own, "SELECT count(*) AS n FROM gtv_outcome") == [{"n": before["n"]}], "a relation whose columns are features"
    with store.connect(own) as lake:
        store.forget(lake, "Z1", run="r")
    assert asked(residents, own, "SELECT age FROM patients WHERE patient = 'Z1' OR age = 77") == []
    assert asked(residents, own, count) == [before]
    assert asked(residents, own, count, as_of=str(commit + 1)) == [before], "nor as of the commit that brought the patient"
    assert holders(own) == first, "one process answered all of it"


def test_nothing_of_one_statement_is_there_for_the_next(filled: Path, residents: Residents) -> None:
    """What the judge refuses, had it passed: each statement has a connection of its own to an engine whose settings are locked."""
    [settings] = asked(residents, filled, SETTINGS)
    assert settings == {"zone": "UTC", "python": False, "cache": False, "memory": "286.1 MiB", "locked": True}
    for statement in ("CREATE TEMP TABLE mine AS SELECT 42 AS n", "SET VARIABLE mine = 42", "PREPARE mine AS SELECT 42", "ROLLBACK"):
        asked(residents, filled, statement)
    assert asked(residents, filled, "SELECT getvariable('mine') AS n") == [{"n": None}]
    settings_and_writing = ("SET TimeZone = 'Asia/Tokyo'", "SET GLOBAL threads = 1", "CREATE TABLE lake.mine (n INT)")
    for statement in ("FROM mine", "EXECUTE mine", "BEGIN TRANSACTION", *settings_and_writing):
        with pytest.raises(Refusal, match="sql_failed"):
            asked(residents, filled, statement)
    assert asked(residents, filled, SETTINGS) == [settings]


SETTINGS = """SELECT current_setting('TimeZone') AS zone, current_setting('python_enable_replacements') AS python,
    current_setting('enable_external_file_cache') AS cache, current_setting('memory_limit') AS memory, current_setting('lock_configuration') AS locked"""


def test_a_statement_that_heeds_no_limit_is_killed_and_the_next_is_answered(filled: Path, residents: Residents, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(residents, filled, "SELECT 1 AS n")
    [held] = holders(filled)
    with pytest.raises(Refusal, match="sql_rows"):
        asked(residents, filled, "FROM range(1001)")
    assert holders(filled) == {held}, "too many rows are the statement's own fault"
    with pytest.raises(Refusal, match="sql_memory"):
        asked(residents, filled, "SELECT list(a.range || 'x') FROM range(3000) a, range(3000) b")
    assert held not in holders(filled), "a process that met the limit does not stay"
    assert asked(residents, filled, "SELECT 2 AS n") == [{"n": 2}]
    [held] = holders(filled)
    os.kill(held, signal.SIGSTOP)  # as a statement that hears nothing does
    monkeypatch.setattr(resident, "OPENING_S", 0.0)
    monkeypatch.setattr(resident, "GRACE_S", 0.0)
    with pytest.raises(Refusal, match="sql_timeout"):
        asked(residents, filled, "SELECT 3 AS n", timeout_s=0.5)
    assert held not in holders(filled)
    monkeypatch.undo()
    assert asked(residents, filled, "SELECT 4 AS n") == [{"n": 4}]


def test_a_store_that_moved_or_was_replaced_is_opened_again(own: Path, filled: Path, residents: Residents, catalogs: Catalogs, tmp_path: Path) -> None:
    """A back-up that was put back, a home that was moved away: the process that held the old one knows nothing of it."""
    with store.connect(own) as lake:
        lake.write({"patients": [{"patient": "Z1", "center": "north"}]}, run="r", what="one more")
    count = "SELECT count(*) AS n FROM patients"
    [more] = asked(residents, own, count)
    own.rename(tmp_path / "aside")
    with pytest.raises(Refusal, match="store_exists"):
        asked(residents, own, count)
    catalogs.copy(filled, own)
    assert asked(residents, own, count) == [{"n": more["n"] - 1}]


def test_the_processes_end_with_their_server(filled: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.symlink_to(filled)
    program = (
        "import os, sys; from pathlib import Path; from penumbra.store.resident import RESIDENTS; RESIDENTS.begin(Path(sys.argv[1]), 300, 1); "
        "import time; time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", program, str(home)])
    until(lambda: len(holders(home)) == 1)
    server.kill()
    server.wait()
    until(lambda: not holders(home))


def until(holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never came to hold")


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
