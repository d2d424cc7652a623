"""Scans that are sent, read in processes of their own: one that takes all memory, or ends its process, ends that alone, and the service answers on.

A process is started when it is first needed and then kept, since what reads a scan compiles for seconds.
"""

import contextlib
import os
import queue
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from penumbra import registry
from penumbra.base import workers
from penumbra.base.refusal import Refusal
from penumbra.pipeline import explain
from penumbra.pipeline.applicability import Person as Record
from penumbra.pipeline.arrived import measured, read_folder, required_blocks
from penumbra.registry import LoadedModel, RegisteredVersion

READING_S = 180.0  # for one scan; a planning CT takes 2 to 6 s
READING_BYTES = 8 * 10**9  # of memory of its own that a process may use
T = TypeVar("T")


class Scans:
    """Reads scans, each in one of a few processes.

    Parameters
    ----------
    home
        The folder of all state.
    number
        Of processes.
    reading_s
        After which a scan is given up, in s.
    """

    def __init__(self, home: Path, number: int, reading_s: float = READING_S) -> None:
        self._home = home
        self._readers: queue.LifoQueue[_Reader] = queue.LifoQueue()
        for _ in range(number):
            self._readers.put(_Reader(reading_s))

    def read(self, entry: RegisteredVersion, folder: Path, center: str, record: Record) -> explain.Person:
        """The patient of a folder, as a version reads one; without the scan itself.

        Raises
        ------
        Refusal
            A scan that cannot be used, or a mask that its certificate refuses; "scan_time"; "worker_killed".
        """
        return self.ask(partial(_read, self._home, entry.model, entry.version, entry.digest, folder, center, record))

    def warm(self, entry: RegisteredVersion) -> None:
        """Let a process read a ball of gray, so that the first scan waits for no compiler."""
        self.ask(partial(_warm, self._home, entry.model, entry.version, entry.digest))

    def ask(self, work: Callable[[], T]) -> T:
        """What some work returns, which goes to a process by its name.

        Raises
        ------
        Refusal
            What the work raises; "scan_time"; "worker_killed".
        """
        reader = self._readers.get()
        try:
            return reader.ask(work)
        finally:
            self._readers.put(reader)

    def close(self) -> None:
        """End the processes that no scan is read in."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()


class _Reader:
    """One process, and the thread that starts it: it ends with the thread that it was started from, and those that answer requests come and go."""

    def __init__(self, reading_s: float) -> None:
        self._reading_s = reading_s
        self._thread = ThreadPoolExecutor(1, "scans")
        self._process: workers.KeptProcess | None = None

    def ask(self, work: Callable[[], T]) -> T:
        return self._thread.submit(self._ask, work).result()

    def close(self) -> None:
        self._end()
        self._thread.shutdown(wait=False)

    def _ask(self, work: Callable[[], T]) -> T:
        try:
            return self._begun(work).result(self._reading_s)
        except TimeoutError:
            self._end()
            fault = f"reading the scan took more than {self._reading_s:g} s"
            raise Refusal("scan_time", fault, "send the planning CT alone, or read it with penumbra predict") from None
        except BrokenProcessPool:
            self._end()
            raise workers.killed("while it read the scan") from None

    def _begun(self, work: Callable[[], T]) -> Future[T]:
        """The work in the kept process, or in a new one where that has ended since the last scan."""
        if self._process is not None and not self._process.has_ended():
            with contextlib.suppress(BrokenProcessPool):
                return self._process.submit(work)
        self._end()
        self._process = workers.KeptProcess()
        self._process.submit(os.getpid).result()  # it is there: the time of a scan begins now
        return self._process.submit(work)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _read(home: Path, model: str, version: int, digest: str, folder: Path, center: str, record: Record) -> explain.Person:
    """In the process: what it returns holds no voxel."""
    tempfile.tempdir = str(folder.parent)  # in memory where the service has a file system there
    loaded = _limited(home, model, version, digest)
    arrived = read_folder(home, loaded, folder, center, age=record.age, stage=record.stage)
    return explain.of_scan(arrived, "", center, record).without_scan()


def _warm(home: Path, model: str, version: int, digest: str) -> None:
    """In the process: score a ball of gray in memory."""
    from penumbra import imaging
    from penumbra.cohort.rois import roi_rules

    loaded = _limited(home, model, version, digest)
    size, radius = 96, 14.0
    z, y, x = np.mgrid[:size, :size, :size] - (size - 1) / 2
    ball = np.asarray(z**2 + y**2 + x**2 <= radius**2)
    spacing = (float(loaded.settings["ingest"]["grid_mm"]),) * 3
    values = (np.where(ball, 40.0, -60.0) + 20.0 * np.sin(x / 3) * np.cos(y / 4) + z).astype(np.float32)
    scan = imaging.Scan(imaging.Volume(values, spacing), imaging.Mask(ball, spacing))
    rings = imaging.rings(scan.gtv, roi_rules(loaded.settings["rois"]).margins_mm)
    measured(home, loaded, scan, rings, required_blocks(loaded))


@lru_cache(2)
def _limited(home: Path, model: str, version: int, digest: str) -> LoadedModel:
    """The version, read once in each process, whose memory is limited from then on."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (READING_BYTES if most == resource.RLIM_INFINITY else min(READING_BYTES, most), most))
    entry = registry.find(home, version, model)
    registry.verify(entry.folder, digest)
    return registry.load(home, version, model=model)
