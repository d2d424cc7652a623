"""The processes that answer statements (penumbra.store.holding), kept for the next ones: a new one costs half a second, one that is there some milliseconds."""

import atexit
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from penumbra.base.refusal import Refusal
from penumbra.store.answering import GRACE_S
from penumbra.store.holding import ANSWERED, SIZE, STALE

SECRET = re.compile(r"PENUMBRA_\w+_(?:TOKEN|SECRET)")  # not for a process that runs a user's statement
OPENING_S = 5 * GRACE_S  # beyond a statement's own time: until the process is there and has opened the store
ATTEMPTS = 2  # of one question: the one that was kept may hold what is no more


class Resident:
    """One process.

    Parameters
    ----------
    memory_mb
        Of its engine.
    """

    def __init__(self, home: Path, memory_mb: int) -> None:
        self.key = (home, memory_mb)
        self.empty = False  # there is no store to hold
        our_end, its_end = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if not SECRET.fullmatch(name)}
        command = [sys.executable, "-m", "penumbra.store.holding", str(home), str(memory_mb)]
        with its_end:
            self.process = subprocess.Popen(command, stdin=its_end.fileno(), stdout=subprocess.DEVNULL, env=environment)
        self.channel, self._owner = our_end, os.getpid()

    def ask(self, question: dict[str, Any], file: IO[bytes], patience_s: float) -> dict[str, Any] | None:
        """What came of a question, with its answer in `file`; None where the process ended instead.

        Raises
        ------
        TimeoutError
            There is no answer in time.
        """
        deadline, line = time.monotonic() + patience_s, json.dumps(question).encode()
        try:
            self.channel.settimeout(patience_s)
            socket.send_fds(self.channel, [len(line).to_bytes(SIZE, "big")], [file.fileno()])
            self.channel.sendall(line)
            size = self._read(SIZE, deadline)
            answer = self._read(int.from_bytes(size, "big"), deadline)
        except TimeoutError:
            raise
        except OSError:
            return None
        outcome = dict(json.loads(answer)) if answer else None
        self.empty = outcome is not None and outcome.get("rule") == "store_exists"
        return outcome

    def _read(self, length: int, deadline: float) -> bytes:
        """So many bytes; none where the process has ended."""
        received = b""
        while len(received) < length:
            self.channel.settimeout(max(0.01, deadline - time.monotonic()))
            part = self.channel.recv(length - len(received))
            if not part:
                return b""
            received += part
        return received

    def alive(self) -> bool:
        """Whether it can be asked: not one of another process, known through a fork."""
        return self._owner == os.getpid() and self.process.poll() is None

    def end(self) -> None:
        """End it, whatever it computes."""
        self.channel.close()
        if self._owner == os.getpid():
            with contextlib.suppress(OSError):
                self.process.kill()
            self.process.wait()
        else:
            self.process.returncode = 0  # not this process's child


class Residents:
    """Processes that wait for a question, oldest first."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._waiting: list[Resident] = []
        self._beginning = 0

    def begin(self, home: Path, memory_mb: int, many: int) -> None:
        """Start `many` processes that make every relation: the first statement is answered as fast as the later ones. Does not wait for them."""

        def ready(resident: Resident) -> None:
            stays = False
            try:
                with tempfile.TemporaryFile() as nothing, contextlib.suppress(TimeoutError):
                    outcome = resident.ask({}, nothing, OPENING_S)
                    stays = outcome is not None and bool(outcome["stays"])
            finally:
                with self._turn:
                    self._beginning -= 1
                    self._turn.notify_all()
                self._give(resident, many, stays=stays)

        with self._turn:
            self._beginning += many
        for _ in range(many):
            threading.Thread(target=ready, args=(Resident(home, memory_mb),), daemon=True, name="begins to hold the store").start()

    def ask(self, home: Path, question: dict[str, Any]) -> IO[bytes]:
        """The answer in an unnamed file.

        Parameters
        ----------
        question
            A judged statement with its limits.

        Raises
        ------
        Refusal
            As the process reported it, or "sql_timeout" because it reported nothing.
        """
        key = (home, int(question["memory_mb"]))
        for attempt in range(ATTEMPTS):
            resident, outcome = (self._borrow(key) if attempt == 0 else Resident(*key)), None
            file = tempfile.TemporaryFile()  # noqa: SIM115 the response reads it, and it is gone with the last reader
            try:
                with contextlib.suppress(TimeoutError):
                    outcome = resident.ask(question, file, question["timeout_s"] + GRACE_S + OPENING_S)
            finally:
                self._give(
                    resident, question["at_once"], stays=outcome is not None and bool(outcome["stays"]), replaced=outcome is None or outcome["outcome"] != STALE
                )
            if outcome is not None and outcome["outcome"] == ANSWERED:
                file.seek(0)
                return file
            file.close()
            if outcome is None:  # it ended itself, or was ended: the statement is not tried again
                break
            if outcome["outcome"] != STALE:
                raise Refusal(outcome["rule"], outcome["found"], outcome["advice"]).at(outcome["place"])
        raise Refusal("sql_timeout", f"no answer within {question['timeout_s']:g} s and {question['memory_mb']} MB", "narrow the query")

    def close(self) -> None:
        """End those that wait."""
        with self._turn:
            ended, self._waiting = self._waiting, []
        for resident in ended:
            resident.end()

    def _borrow(self, key: tuple[Path, int]) -> Resident:
        """The one that answered last, or a new one."""
        with self._turn:
            self._turn.wait_for(lambda: self._waiting or not self._beginning, OPENING_S)
            for resident in reversed(self._waiting):
                if resident.key == key and resident.alive():
                    self._waiting.remove(resident)
                    return resident
        return Resident(*key)

    def _give(self, resident: Resident, keep: int, *, stays: bool, replaced: bool = True) -> None:
        """Take a process back; in the place of one that does not stay, a new one opens the store meanwhile."""
        if not stays:
            resident.end()
            if resident.empty or not replaced:
                return
            resident = Resident(*resident.key)
        with self._turn:
            self._waiting.insert(len(self._waiting) if stays else 0, resident)
            ended, self._waiting = self._waiting[:-keep], self._waiting[-keep:]
            self._turn.notify_all()
        for each in ended:
            each.end()


RESIDENTS = Residents()
atexit.register(RESIDENTS.close)
