"""An append-only file of entries, each with the SHA-256 of the one before it: what was changed, removed, moved or cut off later is detected.

One line is one JSON object. `hash` is the SHA-256 over the previous line's `hash` and the canonical JSON of the rest, so anybody can check the chain.
`seal` is an HMAC of `hash` with the key next to the file: who has the file alone cannot append, or write the chain again. The head (number, hash and seal
of the last entry, in a file of its own) tells where the log ends, so that lines missing at the end are seen. Against somebody who also has the key only a
head that was noted elsewhere helps; `Checked.head` is what to note. Several processes may append: one at a time, by a lock on the file.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from penumbra.base.refusal import Refusal

OF_ACCESS = "console/log.jsonl"  # below a state folder: who saw which patient
KEY, HEAD, SEALED = ".key", ".head", ("hash", "seal")
BLOCK = 1 << 16
NOTHING = "0" * 64  # before the first entry
ADVICE = "run penumbra console --verify-log; keep the folder console/ as evidence under another name, and a new log begins"


@dataclass(frozen=True)
class Checked:
    """What a check of a log found.

    Parameters
    ----------
    entries
        That are sound, from the first on.
    head
        SHA-256 of the last sound entry.
    fault
        What is wrong with the next one; "" where nothing is.
    """

    entries: int
    head: str
    fault: str = ""


class ChainedLog:
    """The log in the file `path`, made with its first entry; its key and its head are next to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry to the disk; number, `hash` and `seal` are added.

        Raises
        ------
        Refusal
            "log_whole": the end of the log is not what its head says, and appending would hide that.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(self.path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            key = self.key()
            number, before = self._end(file, key)
            if not number:
                self._write_head(0, NOTHING, key)  # from now on a log without a head is one that lost it
            fields = {**entry, "n": number + 1}
            digest = _chained(before, fields)
            line = _canonical({**fields, "hash": digest, "seal": _sealed(key, digest)})
            file.seek(0, os.SEEK_END)
            file.write(f"{line}\n".encode())
            file.flush()
            os.fdatasync(file.fileno())
            self._write_head(number + 1, digest, key)

    def key(self) -> bytes:
        """The secret next to the log, made when it is first asked for."""
        path = self.path.with_suffix(KEY)
        try:
            return bytes.fromhex(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            if self.path.is_file() and self.path.stat().st_size:
                raise Refusal("log_whole", f"the key of {self.path.name} is gone", ADVICE) from None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
        with _opened(draft) as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # the first of several processes wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return bytes.fromhex(path.read_text(encoding="ascii"))

    def digest(self, text: str) -> str:
        """What the log holds in place of a name: the same for the same name, and nothing without the key."""
        return hmac.new(self.key(), b"name " + text.encode(), hashlib.sha256).hexdigest()[:32]

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry that can be read, the newest first."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for line in _backwards(file):
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    yield entry

    def check(self) -> Checked:
        """Follow the chain from the first entry to the head."""
        if not self.path.is_file():
            head = self.path.with_suffix(HEAD)
            return Checked(0, NOTHING, "the log is gone, its head is there" if head.is_file() else "")
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            try:
                key = self.key()
                head_number, head_digest = self._head(key)
            except Refusal as refusal:
                return Checked(0, NOTHING, refusal.found)
            before, number = NOTHING, 0
            for line in file:
                if number == head_number and not line.endswith(b"\n"):
                    break  # torn by a crash before it was confirmed
                fault = _fault(line, before, number + 1, key)
                if fault:
                    return Checked(number, before, f"entry {number + 1} {fault}")
                before, number = json.loads(line)["hash"], number + 1
                if number == head_number and before != head_digest:
                    return Checked(number - 1, before, f"entry {number} is not the one that the head names")
        if number < head_number:
            return Checked(number, before, f"the log ends after entry {number}, but {head_number} were written")
        return Checked(number, before)

    def _end(self, file: IO[bytes], key: bytes) -> tuple[int, str]:
        """Number and hash of the last entry, which is the head's or, after a kill between both writes, sealed and later."""
        number, digest = self._head(key)
        _drop_torn(file)
        last = next(_backwards(file), b"")
        if not last:
            if number:
                raise Refusal("log_whole", f"the log {self.path.name} is empty, but {number} entries were written", ADVICE)
            return 0, NOTHING
        try:
            entry = json.loads(last)
            last_number, last_digest, seal = int(entry["n"]), str(entry["hash"]), str(entry["seal"])
        except (ValueError, KeyError, TypeError):
            raise Refusal("log_whole", f"the last line of {self.path.name} is no entry", ADVICE) from None
        if not hmac.compare_digest(seal, _sealed(key, last_digest)) or last_number < number or (last_number == number and last_digest != digest):
            raise Refusal("log_whole", f"the log {self.path.name} ends with entry {last_number}, and its head names another end: {number}", ADVICE)
        return last_number, last_digest

    def _head(self, key: bytes) -> tuple[int, str]:
        path = self.path.with_suffix(HEAD)
        try:
            words = path.read_text(encoding="ascii").split()
        except FileNotFoundError:
            if self.path.is_file() and self.path.stat().st_size:
                raise Refusal("log_whole", f"the head of {self.path.name} is gone", ADVICE) from None
            return 0, NOTHING
        if len(words) != 3 or not words[0].isdigit() or not hmac.compare_digest(words[2], _sealed(key, f"{words[0]} {words[1]}")):
            raise Refusal("log_whole", f"the head of {self.path.name} was not written by penumbra", ADVICE)
        return int(words[0]), words[1]

    def _write_head(self, number: int, digest: str, key: bytes) -> None:
        """In place and in one write, far below a sector: the disk has the old one or the new one."""
        text = f"{number:012d} {digest} {_sealed(key, f'{number:012d} {digest}')}\n"
        handle = os.open(self.path.with_suffix(HEAD), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(handle, text.encode("ascii"), 0)
            os.fdatasync(handle)
        finally:
            os.close(handle)


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "rb+")


def _drop_torn(file: IO[bytes]) -> None:
    """Take away an end without its line feed: a crash tore it before its head was written; whether a head lacks it is seen next."""
    size = file.seek(0, os.SEEK_END)
    if size and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
        file.truncate(size - len(next(_backwards(file))))


def _canonical(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _chained(before: str, fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{before}\n{_canonical(fields)}".encode()).hexdigest()


def _sealed(key: bytes, text: str) -> str:
    return hmac.new(key, b"seal " + text.encode(), hashlib.sha256).hexdigest()[:32]


def _fault(line: bytes, before: str, number: int, key: bytes) -> str:
    try:
        entry = json.loads(line)
        fields = {name: value for name, value in entry.items() if name not in SEALED}
        digest, seal, place = entry["hash"], entry["seal"], entry["n"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "cannot be read"
    if place != number:
        return f"carries the number {place}: an entry was removed, added or moved"
    if digest != _chained(before, fields) or line != f"{_canonical(entry)}\n".encode():
        return "was changed, or the one before it was"
    return "" if hmac.compare_digest(str(seal), _sealed(key, digest)) else "was not written by penumbra"


def _backwards(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, the last one first, without their ends."""
    place, carry = file.seek(0, os.SEEK_END), b""
    while place:
        size = min(BLOCK, place)
        place -= size
        file.seek(place)
        lines = (file.read(size) + carry).split(b"\n")
        carry = lines[0]
        yield from (line for line in reversed(lines[1:]) if line)
    if carry:
        yield carry
