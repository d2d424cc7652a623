"""What all pages share while the console runs: the state folder, its settings, the connections, and what is kept in memory."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from penumbra.base.refusal import Refusal
from penumbra.console.admission import Admission
from penumbra.console.background import Background
from penumbra.console.checkup import Checkup
from penumbra.console.disk import DiskUse
from penumbra.console.drawing import Drawing
from penumbra.console.kept import Kept
from penumbra.console.limits import Rate, Turns
from penumbra.console.readers import Readers
from penumbra.console.sent import Sent
from penumbra.console.shared import Marks
from penumbra.console.trail import Trail
from penumbra.pipeline import looks
from penumbra.pipeline.settings import Settings

SETTLING = ("withdrawals", "departures", "alias_changes")  # relations whose rows must show at once


@dataclass
class Console:
    """One console over one state folder.

    Parameters
    ----------
    home
        The folder of all state.
    settings
        Of params.yaml.
    root_path
        Where a proxy puts the console, such as "/penumbra"; "" at its root.
    allow_actions
        Whether editors may change anything here.
    admission
        Who is let in.
    """

    home: Path
    settings: Settings
    root_path: str = ""
    allow_actions: bool = False
    admission: Admission = field(default_factory=Admission)
    readers: Readers = field(init=False)
    kept: Kept = field(init=False)
    sent: Sent = field(init=False)
    measured: Kept = field(init=False)  # what is counted as a look at outcomes: counting it does not change it
    checkup: Checkup = field(init=False)
    disk: DiskUse = field(init=False)
    drawing: Drawing = field(init=False)
    background: Background = field(init=False)
    trail: Trail = field(init=False)
    sign_ins: Rate = field(init=False)
    turns: Turns = field(init=False)
    marks: Marks = field(init=False, default_factory=Marks)

    def __post_init__(self) -> None:
        self.readers = Readers(self.home, self.settings.console.memory_mb)
        self.kept = Kept(self.stamp)
        self.sent = Sent(self.stamp, self.settled, self.settings.console.stale_s)
        self.measured = Kept(self._measured_stamp)
        self.checkup = Checkup()
        self.disk = DiskUse(self.home)
        self.drawing = Drawing(self.kept)
        self.background = Background(self.kept)
        self.is_closed = False
        self._settled: dict[Hashable, Hashable] = {}
        self._settling = threading.Lock()
        limits = self.settings.console
        self.trail = Trail(self.home)
        self.sign_ins = Rate(limits.sign_ins, 900.0)
        self.turns = Turns(limits.costly, limits.costly_wait_s)

    def _measured_stamp(self) -> str:
        """What decides an evaluation of registered versions: the newest commit that is more than a look, and the registry."""
        with self.readers.lend() as lake:
            commit = looks.last_change(lake)
        state = hashlib.sha256(f"{self.code} {commit}".encode())
        for path in (self.home / "mlflow" / "mlflow.db", self.home / "mlflow" / "noted.json"):
            with contextlib.suppress(OSError):
                state.update(f" {path.name} {path.stat().st_mtime_ns}".encode())
        return state.hexdigest()

    def settled(self, state: Hashable) -> Hashable:
        """What no copy of a page outlives in a state: the newest withdrawal, and the newest change of who is champion."""
        with self._settling:
            if state not in self._settled:
                try:
                    answer: Hashable = self.readers.newest_commit_of(SETTLING)
                except Refusal as refusal:
                    answer = 0 if refusal.rule == "store_exists" else (refusal.rule, state)  # what cannot be read is taken for changed
                self._settled = {state: answer}
            return self._settled[state]

    def stamp(self) -> str:
        """What the pages show, in one word: the newest commit, and every other file that a page reads."""
        served = not self._single[0].is_file()  # a file says by itself that it was written to, in 0.1 ms in place of 7; a server is asked
        words = [self.code, str(self.readers.newest_commit()) if served else ""]
        words += [_seen(str(path), path.stat) for path in self._single]
        for folder in self._folders:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:  # the folder is not there yet
                words += sorted(_seen(entry.path, entry.stat) for entry in entries)
        return hashlib.sha256(" ".join(words).encode()).hexdigest()

    @cached_property
    def _folders(self) -> tuple[Path, ...]:
        return tuple(self.home / name for name in ("manifests", "incoming", "reports"))

    @cached_property
    def _single(self) -> tuple[Path, ...]:
        files = ("store/catalog.sqlite", "store/catalog.sqlite-wal", "mlflow/mlflow.db", "mlflow/noted.json")
        return tuple(self.home / name for name in (*files, *(folder.name for folder in self._folders)))

    @cached_property
    def code(self) -> str:
        """Tells one program from the next, so that no browser shows the page of the last one."""
        content = hashlib.sha256()
        for folder in ("pages", "static"):
            for entry in sorted(files("penumbra.console").joinpath(folder).iterdir(), key=lambda each: each.name):
                content.update(entry.read_bytes())
        return content.hexdigest()[:12]

    def close(self) -> None:
        """Give everything back."""
        self.is_closed = True
        self.sent.close()
        self.checkup.close()
        self.disk.close()
        self.drawing.close()
        self.background.close()
        self.readers.close()


def _seen(path: str, stat: Callable[[], os.stat_result]) -> str:
    """A file as it is now; "" for one that is gone, and for an empty one: the write-ahead log that a reader makes when it opens the catalog."""
    try:
        found = stat()
    except OSError:
        return ""
    return f"{path} {found.st_mtime_ns} {found.st_size}" if found.st_size else ""
