"""Concurrent writers and readers, processes killed at any moment: nothing lost, doubled or half visible."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from penumbra import store
from penumbra.base.refusal import Refusal

from .catalogs import Catalogs
from .writing_process import FEATURES, ROIS, values

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MANY = 10_000  # batches that no writer comes to
SECONDS = float(os.environ.get("STRESS_SECONDS", "2"))  # make stress-store: 60
KILLS = int(os.environ.get("STRESS_KILLS", "4"))  # the same: 100


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.store.writing_process", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]", expected: int = 0) -> str:
    out, err = process.communicate(timeout=800)
    assert process.returncode == expected, err[-2000:]
    return out


def told(out: str) -> dict[str, int | None]:
    """Acknowledged patient -> number of its commit, None where it was there already; a line cut by the kill does not count."""
    lines = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    return {patient: None if number == "None" else int(number) for patient, number in lines}


def assert_whole(home: Path, acknowledged: set[str]) -> set[str]:
    """The store opens, keeps its promises, holds what was acknowledged and only whole patients; returns the patients with features."""
    with store.connect(home, read_only=True) as lake:
        assert store.check(lake) == []
        held = {row["patient"] for row in lake.rows("patients")} - {"shared"}
        assert held == {row["patient"] for row in lake.rows("images")}
        counts = {row["patient"]: row["n"] for row in lake.sql("SELECT patient, count(*) AS n FROM stored.radiomics GROUP BY patient").to_pylist()}
        assert set(counts.values()) <= {len(ROIS)}
        assert acknowledged <= set(counts) <= held
        for roi in ROIS if counts else ():
            matrix = store.read_matrix(lake, "radiomics", roi, version="v1")
            for patient, vector in zip(matrix.patients, matrix.values, strict=True):
                np.testing.assert_array_equal(vector, values(str(patient), roi))
            assert matrix.features == tuple(FEATURES)
        return set(counts)


def begun(home: Path) -> bool:
    """Whether there is a store to read already."""
    try:
        store.connect(home, read_only=True).close()
    except Refusal as refusal:
        if refusal.rule != "store_exists":
            raise
        return False
    return True


def run_together(home: Path, writers: int, readers: int, seconds: float) -> None:
    """Everybody starts at once, on a store that nobody has made yet, and works alongside the others for some time; all must end well."""
    stop = home.parent / "stop"
    writing = [start("write", home, f"w{i}", MANY, stop) for i in range(writers)]
    while not begun(home):
        time.sleep(0.05)
    reading = [start("read", home, stop) for _ in range(readers)]
    time.sleep(seconds)
    stop.touch()
    outs = [told(finish(process)) for process in writing]
    for process in reading:
        assert int(finish(process).split()[1]) > 0
    numbers = [number for out in outs for number in out.values()]
    assert None not in numbers
    everybody = {patient for out in outs for patient in out}
    assert len(set(numbers)) == len(numbers) == len(everybody) >= writers
    assert assert_whole(home, everybody) == everybody
    with store.connect(home, read_only=True) as lake:
        assert lake.newest_commit() == 2 * len(everybody)  # the shared record came with the first and never again


def run_and_kill(home: Path, writers: int, count: int, rounds: int, seed: int) -> None:
    """Kill every writer at a random moment of its own, look, start them again; in the end they write all that is missing."""
    choose = random.Random(seed)
    stop, acknowledged = home.parent / "stop", set[str]()
    names = [f"w{i}" for i in range(writers)]
    for _ in range(rounds):
        started = time.monotonic()
        processes = [start("write", home, name, count, stop) for name in names]
        for moment, process in sorted(((choose.uniform(0.3, 2.0), process) for process in processes), key=lambda pair: pair[0]):
            time.sleep(max(0.0, started + moment - time.monotonic()))
            process.send_signal(signal.SIGKILL)
            acknowledged |= set(told(process.communicate()[0]))
        with store.connect(home):  # the next process repairs what the killed ones left
            pass
        assert_whole(home, acknowledged)
    for process in [start("write", home, name, count, stop) for name in names]:
        acknowledged |= set(told(finish(process)))
    everybody = {f"{name}-{k:03d}" for name in names for k in range(count)}
    assert assert_whole(home, acknowledged) == everybody == acknowledged


def test_writers_and_readers_together(home: Path, catalogs: Catalogs) -> None:
    run_together(catalogs.begin(home), writers=2, readers=1, seconds=2)


def test_killed_writers(home: Path, catalogs: Catalogs) -> None:
    run_and_kill(catalogs.begin(home), writers=2, count=5, rounds=1 if catalogs.server else 2, seed=1)


@pytest.mark.timeout(1800)
def test_eight_writers_and_eight_readers(home: Path, catalogs: Catalogs) -> None:
    """Began with a reader that saw patients without their images: rows kept in the catalog were moved into files under its eyes."""
    run_together(catalogs.begin(home), writers=8, readers=8, seconds=SECONDS)


@pytest.mark.timeout(1800)
def test_killed_at_many_moments(home: Path, catalogs: Catalogs) -> None:
    run_and_kill(catalogs.begin(home), writers=4, count=30 if KILLS > 4 else 5, rounds=KILLS // 4, seed=2)
