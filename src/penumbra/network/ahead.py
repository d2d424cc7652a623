"""The programs of a training compiled by a process of its own while the images are still being prepared: shapes follow from patients and settings alone."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.base import workers
from penumbra.network.compilation import compiler_settings, one_thread, take_over
from penumbra.network.ensemble import folds_of
from penumbra.network.members import PROCESS_BYTES, alone_in
from penumbra.network.settings import EnsembleSettings, Learning
from penumbra.network.train import fit
from penumbra.network.trained import embed

_begun: dict[tuple[str, bytes], workers.KeptProcess] = {}  # by folder and outcomes: processes that no training has taken over yet


def begin_compiling(event: np.ndarray, time: np.ndarray, learning: Learning, *, ensemble: EnsembleSettings) -> None:
    """Begin what `compiling_ahead` takes over, long before the training: while features are extracted, say.

    `keep_compiled` must have been called. The thread that calls has to stay until the training or `end_compiling`. Nothing happens where it gains nothing.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    learning, ensemble
        As `fit_ensemble`.
    """
    process = _started(event, time, learning, ensemble)
    if process is not None:
        _begun[_key(event, time)] = process


def end_compiling() -> None:
    """End what `begin_compiling` began and no training took over."""
    while _begun:
        _begun.popitem()[1].kill()


@contextlib.contextmanager
def compiling_ahead(event: np.ndarray, time: np.ndarray, learning: Learning, *, ensemble: EnsembleSettings) -> Iterator[None]:
    """Compile, from the beginning of the context to its end, what `fit_ensemble` needs: before anybody's volume is there, as the images do not matter.

    `keep_compiled` must have been called, since the training, which belongs into the context, reads the programs from there. What `begin_compiling` began for
    the same patients goes on.

    Nothing happens where it gains nothing: on a GPU, with one core or little memory, or where a training left its program before. What goes wrong in the
    process is left for the training to say, which then compiles by itself.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    learning, ensemble
        As `fit_ensemble`.

    Yields
    ------
    None
    """
    one_thread()
    process = _begun.pop(_key(event, time), None)
    end_compiling()
    process = process or _started(event, time, learning, ensemble)
    try:
        yield
    finally:
        if process is not None:
            process.kill()


def _key(event: np.ndarray, time: np.ndarray) -> tuple[str, bytes]:
    return str(compiler_settings()["jax_compilation_cache_dir"]), event.tobytes() + time.tobytes()


def _started(event: np.ndarray, time: np.ndarray, learning: Learning, ensemble: EnsembleSettings) -> workers.KeptProcess | None:
    import jax

    settings = compiler_settings()
    folder, spare = settings["jax_compilation_cache_dir"], workers.available_bytes() > 3 * PROCESS_BYTES
    if not folder or jax.default_backend() != "cpu" or workers.available_cores() == 1 or not spare or any(Path(folder).glob("jit_run_epoch-*")):
        return None
    process = workers.KeptProcess()
    trained_on = folds_of(event, learning.train, ensemble) != 0  # by the first network
    process.submit(_compile, event[trained_on], time[trained_on], learning, settings)
    return process


def _compile(event: np.ndarray, time: np.ndarray, learning: Learning, settings: Mapping[str, Any]) -> None:
    """Train an epoch on empty images, and embed one: the number of epochs and the first weights are no part of the programs."""
    take_over(settings)
    one_thread()
    empty = np.zeros((len(event), *(learning.network.input_size,) * 3), np.float32)
    with alone_in(Path(settings["jax_compilation_cache_dir"])):
        trained = fit(empty, event, time, replace(learning, train=replace(learning.train, epochs=1)))
    embed(trained, empty[:1])
