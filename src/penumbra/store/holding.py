"""A process that answers the statements of colleagues: python -m penumbra.store.holding HOME MEMORY_MB, questions on stdin as `resident` sends them.

It holds the store read-only and locked, and stays for the next question. Each statement has a connection of its own to the engine, so that nothing
temporary and no setting of one is there for the next, and no file is kept in memory between two. Whatever a statement does to this process, the server
survives: the process ends itself when the time is over, and the server starts another one.
"""

import contextlib
import io
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import duckdb

from penumbra.base import tables
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.store.answer import Question, from_open_store, prepare
from penumbra.store.answering import bounded
from penumbra.store.guard import Verdict
from penumbra.store.kept_keys import KeptKeys
from penumbra.store.lake import ADDRESS_FILE, CATALOG_FILE, store_folder
from penumbra.store.moments import commit_in
from penumbra.store.session import Store, connect

SIZE = 8  # bytes before each message: its length
ANSWERED, REFUSED, STALE = "answered", "refused", "stale"
MOST = 2000  # statements: what the engine has gathered by then goes with the process
LARGEST_MB = 1000  # a process that has grown beyond does not stay
WATCH_S = 1.0  # between two looks at whether the server lives
# Of the statement, not of this process or its store: it may answer the next one.
OF_STATEMENTS = frozenset(("read_only_sql", "sql_syntax", "relation", "sql_failed", "sql_rows", "commit", "version_registered"))
OF_LIMITS = frozenset(("sql_timeout", "sql_memory"))
FOR_EVERY_CONNECTION = (
    "python_enable_replacements = false",  # a table name never means a Python variable
    "TimeZone = 'UTC'",
    "enable_external_file_cache = false",  # the values of a forgotten patient are not in memory either
)


def state_of(home: Path) -> tuple[object, ...]:
    """What an open store depends on besides its commits: which files hold the catalog, and the declarations. Another value: it has to be opened again."""
    catalog, address, root = store_folder(home) / CATALOG_FILE, store_folder(home) / ADDRESS_FILE, project_root(home)
    parts: list[object] = []
    for file in (catalog, address, root / "params.yaml", *sorted((root / "features").rglob("*"))):
        with contextlib.suppress(OSError):
            seen = file.stat()
            parts.append((str(file), seen.st_dev, seen.st_ino, *(() if file == catalog else (seen.st_size, seen.st_mtime_ns))))
    return tuple(parts)


class Holder:
    """The open stores of this process: of now, and one as of an earlier commit.

    Parameters
    ----------
    memory_mb
        Of each engine.
    """

    def __init__(self, home: Path, memory_mb: int) -> None:
        self.home = home
        self._memory = f"{memory_mb}MB"
        self._open: dict[int | None, Store] = {}
        self._keys: dict[int | None, KeptKeys] = {}
        self._state = state_of(home)

    def store(self, as_of: int | None = None) -> Store:
        """The store, open and locked."""
        if as_of not in self._open:
            for commit in [commit for commit in self._open if commit is not None]:
                self._open.pop(commit).close()
            opened = connect(self.home, read_only=True, as_of=as_of)
            try:
                for setting in FOR_EVERY_CONNECTION:
                    opened.connection.execute(f"SET GLOBAL {setting}")
                prepare(opened, self._memory)
                self._keys[as_of] = KeptKeys(opened)
            except BaseException:
                opened.close()
                raise
            self._open[as_of] = opened
        return self._open[as_of]

    def current(self) -> bool:
        """Whether what is open is what a new process would open: not where the declarations have changed, or a copy of the catalog is read."""
        return self._state == state_of(self.home) and all(opened.lake.aside is None for opened in self._open.values())

    def whole(self) -> bool:
        """Whether every engine still answers: one that has met a fault of its own, or has lost its server, never does again."""
        try:
            for opened in self._open.values():
                opened.connection.execute("SELECT count(*) FROM lake.migrations").fetchall()
        except duckdb.Error:
            return False
        return True

    def answer(self, question: dict[str, Any]) -> io.BytesIO:
        """The answer in its format.

        Raises
        ------
        Refusal
            As `penumbra.store.query`.
        """
        as_of, values = question["as_of"], tuple(question["values"])
        store = self.store(None if as_of is None else commit_in(self.store(), as_of))
        statement = Question(self.home, question["sql"], None, question["timeout_s"], self._memory, None, values, question["first"], question["max_rows"])
        with contextlib.closing(store.connection.cursor()) as connection:
            table = from_open_store(store, self._keys[store.as_of], connection, statement, Verdict(**question["verdict"]))
        stream = io.TextIOWrapper(buffer := io.BytesIO(), encoding="utf-8", write_through=True)
        tables.write(table, question["format"], stream)
        stream.detach()
        return buffer


def main() -> None:
    """Answer until the server closes its end or is gone, or until another process should take over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    channel, holder = socket.socket(fileno=os.dup(0)), Holder(Path(sys.argv[1]), int(sys.argv[2]))
    with contextlib.suppress(Refusal):  # told to the first who asks
        holder.store()
    for number in range(1, MOST + 1):
        received = _received(channel)
        if received is None:
            return
        question, file = received
        with file:
            outcome = _outcome(holder, question, file, first=number == 1)
        stays = number < MOST and outcome["outcome"] != STALE and outcome.get("rule", "sql_failed") in OF_STATEMENTS and _size_mb() < LARGEST_MB
        stays = stays and (outcome["outcome"] == ANSWERED or holder.whole())
        line = json.dumps({**outcome, "stays": stays}).encode()
        channel.sendall(len(line).to_bytes(SIZE, "big") + line)
        if not stays:
            return


def _outcome(holder: Holder, question: dict[str, Any], file: IO[bytes], *, first: bool) -> dict[str, object]:
    """Write the answer to `file`, or say why there is none; STALE where another process should be asked."""
    try:
        if not first and not holder.current():
            return {"outcome": STALE}
        if "sql" not in question:  # every relation is made before somebody asks for it
            holder.store().require(None)
            return {"outcome": ANSWERED}
        with bounded(question["timeout_s"], question["memory_mb"]):
            file.write(holder.answer(question).getbuffer())
            file.flush()
    except Refusal as refusal:
        of_statement = refusal.rule in OF_LIMITS or (refusal.rule in OF_STATEMENTS and (refusal.rule != "sql_failed" or holder.whole()))
        if not first and not of_statement:
            return {"outcome": STALE}
        return {"outcome": REFUSED, "rule": refusal.rule, "found": refusal.found, "advice": refusal.advice, "place": refusal.place}
    except MemoryError:
        return {"outcome": REFUSED, "rule": "sql_memory", "found": "the answer needs more memory than is allowed", "advice": "narrow the query"}
    return {"outcome": ANSWERED}


def _received(channel: socket.socket) -> tuple[dict[str, Any], IO[bytes]] | None:
    """The next question and the file for its answer; None: the server has closed its end."""
    head, descriptors, _, _ = socket.recv_fds(channel, SIZE, 1)
    while head and len(head) < SIZE:
        part = channel.recv(SIZE - len(head))
        if not part:
            return None
        head += part
    if not head or not descriptors:
        return None
    length, line = int.from_bytes(head, "big"), b""
    while len(line) < length:
        part = channel.recv(length - len(line))
        if not part:
            return None
        line += part
    return json.loads(line), os.fdopen(descriptors[0], "wb")


def _size_mb() -> float:
    """What this process has in memory."""
    with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123
        return int(sizes.read().split()[1]) * resource.getpagesize() / 1024**2


def _end_with(server: int) -> None:
    """End this process with the server, also in the middle of a statement; the kernel's own word for it means the thread that started this process."""
    while os.getppid() == server:
        time.sleep(WATCH_S)
    os._exit(1)


if __name__ == "__main__":
    main()
