"""What a training needs is compiled before its images are there, where that gains something."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from penumbra.base import workers
from penumbra.network import EnsembleSettings, Learning, Pretrain, begin_compiling, compiling_ahead, end_compiling, fit_ensemble, keep_compiled
from penumbra.network.compilation import compiler_settings, take_over

from .conftest import NO_AUGMENT, SHORT, SMALL, patients

pytestmark = [pytest.mark.slow, pytest.mark.numeric]

LEARNING, ONE = Learning(SMALL, NO_AUGMENT, SHORT), EnsembleSettings(folds=0, seeds=1)
PROGRAMS = ("jit_run_epoch-*-cache", "jit__infer-*-cache")


class Inline:
    """In place of a process: it works at once, in this one."""

    used, ended, works = 0, 0, True

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        Inline.used += 1
        if Inline.works:
            work(*args)

    def kill(self) -> None:
        Inline.ended += 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = compiler_settings()
    monkeypatch.setattr(workers, "KeptProcess", Inline)
    monkeypatch.setattr(workers, "available_cores", lambda: 2)
    monkeypatch.setattr(workers, "available_bytes", lambda: 10**10)
    monkeypatch.setattr(Inline, "used", 0)
    monkeypatch.setattr(Inline, "ended", 0)
    jax.clear_caches()
    keep_compiled(tmp_path, min_seconds=0.0)
    yield tmp_path
    take_over(before)
    compilation_cache.reset_cache()


def kept(folder: Path) -> dict[str, int]:
    """Program -> when it was written."""
    return {file.name: file.stat().st_mtime_ns for program in PROGRAMS for file in folder.glob(program)}


def test_a_training_reads_what_was_compiled_ahead(folder: Path) -> None:
    volumes, event, time, _ = patients(24, size=SMALL.input_size, seed=5)
    with compiling_ahead(event, time, LEARNING, ensemble=ONE):
        ahead = kept(folder)
        assert len(ahead) == len(PROGRAMS)
        jax.clear_caches()
        fit_ensemble(volumes, event, time, LEARNING, pretrain=Pretrain(epochs=0, learning_rate=1e-3, batch_size=8, redundancy=0.005), ensemble=ONE)
    assert kept(folder) == ahead
    with compiling_ahead(event, time, LEARNING, ensemble=ONE):
        assert Inline.used == 1, "a second training finds the program of the first"


def test_nothing_is_compiled_ahead_on_one_core(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "available_cores", lambda: 1)
    with compiling_ahead(np.array([True, True, False]), np.array([1.0, 2.0, 3.0]), LEARNING, ensemble=ONE):
        assert Inline.used == 0
    assert not kept(folder)


def test_a_training_takes_over_what_was_begun_for_its_patients_and_ends_what_was_for_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inline, "works", False)
    event, time = np.array([True, True, False]), np.array([1.0, 2.0, 3.0])
    begin_compiling(event, time, LEARNING, ensemble=ONE)
    with compiling_ahead(event, time, LEARNING, ensemble=ONE):
        assert (Inline.used, Inline.ended) == (1, 0)
    assert Inline.ended == 1
    begin_compiling(event, time, LEARNING, ensemble=ONE)
    with compiling_ahead(event, time + 1, LEARNING, ensemble=ONE):
        assert (Inline.used, Inline.ended) == (3, 2), "other patients have other programs"
    begin_compiling(event, time, LEARNING, ensemble=ONE)
    end_compiling()
    end_compiling()
    assert (Inline.used, Inline.ended) == (4, 4)
