"""The process that judges: what it cannot do, that it survives what it is asked, and the two entry points that are not HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.store import judging
from penumbra.store.judging import JUDGE, Judge

from .hostile_statements import HARMLESS, HOSTILE
from .test_answer import fill_in
from .test_shell import typed

ON_SQLITE = pytest.mark.parametrize("catalogs", ["sqlite"], indirect=True)  # nothing here depends on the catalog


@pytest.fixture
def judge() -> Iterator[Judge]:
    own = Judge()
    own.begin()
    yield own
    own.close()


def test_there_are_two_hundred_of_them() -> None:
    assert len({hostile.statement for hostile in HOSTILE}) == len(HOSTILE) >= 200
    assert all(hostile.why and hostile.rule in ("read_only_sql", "relation", "sql_syntax") for hostile in HOSTILE)


@pytest.mark.slow
@ON_SQLITE
def test_the_command_refuses_them(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first entry point, by argument, or by standard input where an argument cannot hold the statement."""
    monkeypatch.setenv("PENUMBRA_HOME", str(filled))
    for statement, why, rule in HOSTILE:
        asked = fill_in(statement, filled)
        by_input = asked.startswith("-") or not asked.strip() or "\x00" in asked or len(asked) > 10_000
        if "\ud800" in asked:  # cannot be typed
            continue
        done = CliRunner().invoke(main, ["sql"] if by_input else ["sql", asked], input=asked if by_input else "")
        assert (done.exit_code, done.stdout) == (1, ""), (statement[:200], why)
        assert done.stderr.startswith("Error: "), (statement[:200], why, done.stderr)
        assert done.stderr.rstrip().endswith(f"(rule {rule})"), (statement[:200], why, done.stderr)
        assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@ON_SQLITE
def test_the_command_answers_questions(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(filled))
    for statement in HARMLESS[::12]:
        done = CliRunner().invoke(main, ["sql", "--format", "json"], input=fill_in(statement, filled))
        assert done.exit_code == 0, (statement, done.stderr)


@pytest.mark.slow
@ON_SQLITE
def test_the_shell_refuses_them(own: Path) -> None:
    """The second entry point. What no terminal can type is left to the others: control characters, and what would be its own command."""
    asked = [hostile for hostile in HOSTILE if hostile.statement.strip("; ") and hostile.statement.isprintable() and len(hostile.statement) < 2000]
    asked = [hostile for hostile in asked if not hostile.statement.startswith("\\")]
    assert len(asked) > 250
    said = typed(own, "".join(fill_in(hostile.statement, own).rstrip("; ") + " ;\r" for hostile in asked) + "\\q\r")
    refusals = re.findall(r" \(rule (read_only_sql|relation|sql_syntax)\)$", said.replace("\r", ""), re.MULTILINE)
    assert refusals == [hostile.rule for hostile in asked]


@ON_SQLITE
def test_what_was_evaluated_or_opened_before_the_judgment(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broke: DuckDB's own splitting of statements answered with the setting, and with words of a file."""
    (tmp_path / "schema.sql").write_text("SELECT secretword secretword secretword;")
    (tmp_path / "load.sql").write_text("")
    monkeypatch.setenv("PENUMBRA_HOME", str(filled))
    for statement in (f"IMPORT DATABASE '{tmp_path}'", "IMPORT DATABASE '/nowhere'", "PRAGMA table_info(error(current_setting('memory_limit')))"):
        done = CliRunner().invoke(main, ["sql", statement])
        first = statement.split()[0]
        assert done.stderr.startswith(f"Error: {first} is not a question. "), done.stderr
        assert not any(word in done.stderr for word in ("secretword", "GiB", "schema.sql", "nowhere"))


PROBE = """
import json, os, socket, sys
import duckdb
from penumbra.store import judging
parse = judging.locked_parser()
other = duckdb.connect(":memory:", config=judging.CONFIG)
judging.lock()
def tried(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"
said = {
    "file": tried(lambda: open("/etc/passwd")), "socket": tried(socket.socket), "null": tried(lambda: os.open(os.devnull, os.O_RDONLY)),
    "memory": tried(lambda: bytearray((judging.MEMORY_MB + 64) * 1024**2)), "engine": tried(lambda: other.execute("FROM '/etc/passwd'")),
    "parse": parse("SELECT 1")[:14],
}
os.write(1, json.dumps(said).encode())
"""


def test_it_can_open_nothing() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", PROBE], capture_output=True, text=True, env={}, cwd="/")
    said = json.loads(done.stdout)
    assert (said["file"], said["socket"], said["null"], said["memory"]) == ("OSError", "OSError", "OSError", "MemoryError"), done.stderr
    assert said["engine"] == "CatalogException"  # a file is not even thought of
    assert said["parse"] == '{"error":false'


def test_the_process_that_judges_is_that_one(judge: Judge) -> None:
    """What the probe shows holds for the process that answers."""
    judge.ask("SELECT 1", [])
    assert judge.process is not None
    pid = judge.process.pid
    assert set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")) <= {b"", *(f"LD_LIBRARY_PATH={os.environ.get('LD_LIBRARY_PATH')}".encode(),)}
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["3", "3"]]
    assert {file.name for file in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}


def test_it_is_replaced_when_it_ends_or_hangs(judge: Judge) -> None:
    assert judge.ask("SELECT 1", []).statement == "SELECT 1"
    assert judge.process is not None
    first = judge.process
    first.kill()
    first.wait()
    assert judge.ask("SELECT 2", []).statement == "SELECT 2"
    assert judge.channel is not None
    judge.channel.settimeout(0.5)
    os.kill(judge.process.pid, signal.SIGSTOP)
    with pytest.raises(Refusal, match=r"the statement could not be read within.*\(rule sql_timeout\)"):
        judge.ask("SELECT 3", [])
    assert judge.ask("SELECT 4", []).statement == "SELECT 4"


def test_a_statement_that_ends_it_is_refused(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes are spent on it, then it is one sentence."""
    monkeypatch.setattr(judging.sys, "executable", "/bin/false")
    judge.close()
    with pytest.raises(Refusal, match=r"the statement ends the process that reads it.*\(rule read_only_sql\)"):
        judge.ask("SELECT 1", [])


def test_it_ends_with_the_process_that_asks() -> None:
    program = "from penumbra.store.judging import JUDGE; JUDGE.ask('SELECT 1', []); print(JUDGE.process.pid, flush=True); import os; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    left = Path(f"/proc/{int(done.stdout)}")
    for _ in range(200):
        if not left.exists() or left.joinpath("stat").read_text().split(") ")[1][0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the judge outlives the process that asked")


def test_a_forked_child_asks_a_judge_of_its_own() -> None:
    """Two processes on one channel would read each other's verdicts."""
    program = """
import os, sys
from penumbra.store.judging import JUDGE
JUDGE.ask("SELECT 1", [])
mine = JUDGE.process.pid
child = os.fork()
verdict = JUDGE.ask("SELECT 2", [])
assert verdict.statement == "SELECT 2"
if child == 0:
    assert JUDGE.process.pid != mine
    JUDGE.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert JUDGE.process.pid == mine
assert JUDGE.ask("SELECT 3", []).statement == "SELECT 3"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_comments_that_do_not_end_cost_no_time() -> None:
    """Broke: the lexer walks to the end for each of them; forty thousand took half a minute."""
    started = time.monotonic()
    with pytest.raises(Refusal, match="too long or too deeply nested"):
        JUDGE.ask("/*" * 40_000, [])
    assert time.monotonic() - started < 5
    assert json.dumps(JUDGE.ask("/* " * 50 + "*/" * 50 + "SELECT 1", []).listed) == "false"
