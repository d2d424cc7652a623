"""The process that judges statements: python -m penumbra.store.judging, one question and one verdict per line, both JSON.

It is locked before the first statement arrives and holds nothing: no store, no setting, no environment, no file that it could open, bounded memory and
time. What a statement does to it costs one sentence; the store is only asked what has passed here.
"""

import atexit
import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from dataclasses import asdict

from penumbra.base.refusal import Refusal
from penumbra.store.guard import RULE, Parser, Verdict, judge, refuse_unreadable
from penumbra.store.statements import literal

TIME_S = 10.0  # for one statement; the longest takes a tenth of it
MEMORY_MB = 1024  # of one statement, beyond what the engine takes at its start; the longest takes 200
ENGINE_MB = 512  # the engine's own limit, which it words better
DEEPEST_EXPRESSION = 400  # the engine prepares a sum of 300 terms in half a second, one of 900 in 13 s that no interruption ends
WATCH_S = 1.0  # between two looks at whether the asking process lives
DEEP = 20_000  # of Python's stack: the engine nests 1000 expressions, each some levels of JSON
CHUNK = 1 << 16
CONFIG: "dict[str, str | bool | int | float | list[str]]" = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "temp_directory": "",
    "threads": "1",
    "memory_limit": f"{ENGINE_MB}MB",
}


class Judge:
    """The judging process of this process: started by `begin` or the first statement, kept for the next ones, ended with this one."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self._owner = 0
        self._ready = False

    def begin(self) -> bool:
        """Start the process where none runs, without waiting for it. Returns whether it is ready: it has answered before."""
        with self._turn:
            self._start()
            return self._ready

    def ask(self, statement: str, relations: Collection[str]) -> Verdict:
        """The verdict on one statement.

        Raises
        ------
        Refusal
            "read_only_sql", "sql_syntax", "relation"; "sql_timeout" when there is no verdict in time.
        """
        refuse_unreadable(statement)
        question = json.dumps({"sql": statement, "relations": sorted(relations)}).encode() + b"\n"
        with self._turn:
            answer = self._answer(question) or self._answer(question)  # once more: it may have ended before the question came
        if not answer:
            raise Refusal(RULE, "the statement ends the process that reads it", "write it in a simpler way")
        verdict = json.loads(answer)
        if "rule" in verdict:
            raise Refusal(verdict["rule"], verdict["found"], verdict["advice"]).at(verdict.get("place"))
        return Verdict(**verdict)

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def _start(self) -> None:
        if self.process is not None and self._owner == os.getpid() and self.process.poll() is None:
            return
        self._end()
        our_end, its_end = socket.socketpair()
        our_end.settimeout(TIME_S)
        environment = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
        command = [sys.executable, "-I", "-X", "utf8", "-m", "penumbra.store.judging"]
        with its_end:
            self.process = subprocess.Popen(command, stdin=its_end.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd="/")
        self.channel, self._owner = our_end, os.getpid()

    def _answer(self, question: bytes) -> bytes:
        """The line that the process answers; empty when it ended."""
        self._start()
        assert self.channel is not None
        answer = b""
        try:
            self.channel.sendall(question)
            while not answer.endswith(b"\n"):
                part = self.channel.recv(CHUNK)
                if not part:
                    self._end()
                    return b""
                answer += part
        except TimeoutError:
            self._end()
            raise Refusal("sql_timeout", f"the statement could not be read within {TIME_S:g} s", "write it in a simpler way") from None
        except OSError:
            self._end()
            return b""
        except BaseException:  # an interruption: the answer would be taken for that of the next question
            self._end()
            raise
        self._ready = True
        return answer

    def _end(self) -> None:
        process, channel = self.process, self.channel
        self.process = self.channel = None
        self._ready = False
        if channel is not None:
            channel.close()
        if process is not None and self._owner == os.getpid():
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
        elif process is not None:
            process.returncode = 0  # another process's child, known through a fork: not ours to end


JUDGE = Judge()
atexit.register(JUDGE.close)


def locked_parser() -> Parser:
    """The parser of an engine without a store, locked."""
    import duckdb

    connection = duckdb.connect(":memory:", config=CONFIG)
    connection.execute(f"SET max_expression_depth = {DEEPEST_EXPRESSION}")
    connection.execute("SET disabled_filesystems = 'LocalFileSystem'")
    connection.execute("SET lock_configuration = true")

    def parse(statement: str) -> str:
        # A bound parameter would do, but the first one makes DuckDB import pandas: a second for a question that takes a tenth.
        row = connection.execute(f"SELECT json_serialize_sql({literal(statement)})").fetchone()
        return str(row[0]) if row else "{}"

    parse("SELECT 1")  # what is loaded lazily is loaded before the process is locked
    return parse


def verdict_line(parse: Parser, line: bytes) -> bytes:
    """The verdict on one question, or the refusal, as a line of JSON."""
    try:
        question = json.loads(line)
        verdict = asdict(judge(parse, question["sql"], question["relations"]))
    except Refusal as refusal:
        verdict = {"rule": refusal.rule, "found": refusal.found, "advice": refusal.advice, "place": refusal.place}
    except (RecursionError, MemoryError):
        verdict = {"rule": RULE, "found": "the statement is too long or too deeply nested", "advice": "write it in a simpler way"}
    except Exception as error:  # nothing that this process cannot understand passes
        verdict = {"rule": RULE, "found": f"the statement cannot be read ({type(error).__name__})", "advice": "write it in a simpler way"}
    return json.dumps(verdict).encode() + b"\n"


def lock() -> None:
    """Lock this process: it can open, write and start nothing, and use no more than its memory."""
    with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123 one descriptor, closed before the count is fixed
        used_bytes = int(sizes.read().split()[0]) * resource.getpagesize()
    for limit, maximum in (
        (resource.RLIMIT_AS, used_bytes + MEMORY_MB * 1024**2),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        hard = resource.getrlimit(limit)[1]
        bound = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
        resource.setrlimit(limit, (bound, bound))


def main() -> None:
    """Judge until the asking process closes its end, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    asking = os.getppid()
    parse = locked_parser()
    sys.setrecursionlimit(DEEP)
    lock()
    waiting = b""
    while os.getppid() == asking:
        if not select.select([0], [], [], WATCH_S)[0]:
            continue
        part = os.read(0, CHUNK)
        if not part:
            return
        waiting += part
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            signal.alarm(int(TIME_S) + 5)  # also when nobody waits any more
            answer = verdict_line(parse, line)
            signal.alarm(0)
            while answer:
                answer = answer[os.write(0, answer) :]


if __name__ == "__main__":
    main()
