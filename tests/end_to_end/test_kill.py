"""Killed at any moment and started again: the same result, nothing lost, nothing doubled."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from penumbra import store
from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate

from ..projects import project_with
from .conftest import environment, penumbra

pytestmark = [pytest.mark.xdist_group("kill"), pytest.mark.timeout(1800)]

STAGES = ("populate", "train")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven patients of one training center: enough to be in the middle of something."""
    folder = tmp_path_factory.mktemp("kill") / "cohort"
    simulate(folder, seed=5, centers=[plan for plan in small_cohort(7, refused=False) if plan.name == "north"])
    return folder


@pytest.fixture
def a_patient_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project with populate.batch 1: after the first commit there is more to do. The network is a small one that keeps every epoch."""
    numbers = {
        "batch: 8 ": "batch: 1 ",
        "input_size: {paper: 64, quick: 32,": "input_size: {paper: 64, quick: 16,",
        "checkpoint_seconds: 5.0": "checkpoint_seconds: 0.0",
    }

    def changed(text: str) -> str:
        for before, after in numbers.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        return text

    project_with(tmp_path, monkeypatch, changed)


def killed(home: Path, stage: str, seen: object) -> None:
    """Start a stage, kill it with its workers as soon as `seen` is true of the state folder."""
    assert callable(seen)
    process = subprocess.Popen([sys.executable, "-m", "penumbra.cli", stage], env=environment(home), stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 600
    while not seen() and process.poll() is None:
        assert time.monotonic() < end, "the stage never came so far"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def radiomics_rows(home: Path) -> int:
    if not (home / "store" / "catalog.sqlite").is_file():
        return 0
    with store.connect(home, read_only=True) as lake:
        return int(lake.sql("SELECT count(*) AS n FROM radiomics").to_pylist()[0]["n"])


@pytest.mark.usefixtures("a_patient_a_commit")
def test_a_killed_run_goes_on_to_the_result_of_an_undisturbed_one(cohort: Path, tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("undisturbed", "killed")}
    for name, home in homes.items():
        penumbra(home, "ingest", str(cohort / "north"), "--center", "north")
        if name == "killed":
            killed(home, "populate", lambda home=home: radiomics_rows(home) > 0)
            assert not (home / "manifests" / "populate.json").exists()
            with store.connect(home) as lake:
                assert store.check(lake) == []
            killed(home, "train", lambda home=home: any(home.glob("networks/*/unfinished/member-*")))
        for stage in STAGES:
            penumbra(home, stage)
    left = {name: {stage: (home / "manifests" / f"{stage}.json").read_bytes() for stage in STAGES} for name, home in homes.items()}
    assert left["killed"] == left["undisturbed"]
    matrices = []
    for home in homes.values():
        with store.connect(home, read_only=True) as lake:
            assert store.check(lake) == []
            matrices.append(store.read_matrix(lake, "radiomics", "ring_6mm"))
    np.testing.assert_array_equal(matrices[0].values, matrices[1].values)
