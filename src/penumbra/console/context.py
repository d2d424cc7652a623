"""What all pages share while the console runs: the state folder, its settings, the connections, and what is kept in memory."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from penumbra.console.admission import Admission
from penumbra.console.background import Background
from penumbra.console.checkup import Checkup
from penumbra.console.disk import DiskUse
from penumbra.console.drawing import Drawing
from penumbra.console.kept import Kept
from penumbra.console.limits import Rate, Turns
from penumbra.console.readers import Readers
from penumbra.console.sent import Sent
from penumbra.console.trail import Trail
from penumbra.pipeline import looks
from penumbra.pipeline.settings import Settings


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

    def __post_init__(self) -> None:
        self.readers = Readers(self.home, self.settings.console.memory_mb)
        self.kept = Kept(self.stamp)
        self.sent = Sent(self.stamp)
        self.measured = Kept(self._measured_stamp)
        self.checkup = Checkup()
        self.disk = DiskUse(self.home)
        self.drawing = Drawing(self.kept)
        self.background = Background(self.kept)
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

    def stamp(self) -> str:
        """What the pages show, in one word: the newest commit, and every other file that a page reads."""
        catalog = self.home / "store" / "catalog.sqlite"  # a file says by itself that it was written to, in 0.1 ms in place of 7; a server is asked
        state = hashlib.sha256(f"{self.code} {'' if catalog.is_file() else self.readers.newest_commit()}".encode())
        for path in self._watched():
            try:
                seen = path.stat()
            except OSError:  # gone, or not there yet: that too is a state
                continue
            if not seen.st_size:  # the write-ahead log that a reader makes when it opens the catalog: nothing was written
                continue
            state.update(f" {path} {seen.st_mtime_ns} {seen.st_size}".encode())
        return state.hexdigest()

    def _watched(self) -> Iterator[Path]:
        for folder in ("manifests", "incoming", "reports"):
            yield self.home / folder
            try:
                with os.scandir(self.home / folder) as entries:
                    yield from sorted(Path(entry.path) for entry in entries)
            except OSError:  # the folder is not there yet
                continue
        yield self.home / "store" / "catalog.sqlite"
        yield self.home / "store" / "catalog.sqlite-wal"
        yield self.home / "mlflow" / "mlflow.db"
        yield self.home / "mlflow" / "noted.json"

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
        self.checkup.close()
        self.disk.close()
        self.drawing.close()
        self.background.close()
        self.readers.close()
