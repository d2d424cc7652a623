"""Training: epochs that are one compiled call each, early stopping, checkpoints."""

import dataclasses
import hashlib
import json
import time as clock
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from penumbra.network.batches import Plan, draw_epoch, plan, split
from penumbra.network.checkpoint import Progress, resume, store
from penumbra.network.se_resnet import initial_variables
from penumbra.network.settings import Augment, Learning, Network, Train
from penumbra.network.step import Cohort, Recipe, initial_state, run_epoch, weights_for_use
from penumbra.network.trained import Epoch, Trained, check_volumes
from penumbra.survival.cox import ranks
from penumbra.survival.outcome import tied_times


def fit(
    volumes: np.ndarray,
    event: np.ndarray,
    time: np.ndarray,
    learning: Learning,
    *,
    start: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Return the network of the epoch with the lowest validation loss; the same patients and settings give the same weights.

    Parameters
    ----------
    volumes : shape (n, s, s, s)
        With s = learning.network.input_size, as `prepare` makes them; training centers only.
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    learning
        Architecture, transforms, and how the weights are found.
    start
        Flax variables to start from, as `pretrain` gives them; None: drawn from the seed.
    checkpoint
        File that holds the training while it runs; a training of the same patients and settings resumes from it, to the same weights as without
        interruption, any other starts over.
    progress
        Called after every epoch.

    Returns
    -------
    Trained
        Weights of the best epoch, with settings and history.

    Raises
    ------
    ValueError
        "volumes must have shape (n, s, s, s) ...", "event and time must have shape (n,) ...".
    Refusal
        enough_events_to_train.
    """
    network, train = learning.network, learning.train
    check_volumes(volumes, network.input_size)
    if not (event.shape == time.shape == (len(volumes),)):
        raise ValueError(f"event and time must have shape (n,) with n = {len(volumes)}; found {event.shape} and {time.shape}")
    event = event.astype(bool)
    training, validation = split(event, time, fraction=train.validation_fraction, seed=train.seed)
    deaths = int(event[training].sum())
    devices = len(jax.devices()) if train.data_parallel else 1
    batches = plan(deaths=deaths, others=len(training) - deaths, batch_size=train.batch_size, multiple_of=devices)
    recipe = recipe_of(network, learning.augment, train, devices)
    # the device compares times in 32 bits: ranks lose nothing
    rank = ranks(tied_times(time.astype(float)))
    # shapes follow from the plan alone, so that trainings on slightly different patients share one program
    places = (batches.steps * batches.size, -(-len(validation) // batches.size) * batches.size)
    cohort, held_out = (_cohort(volumes[rows], event[rows], rank[rows], n) for rows, n in zip((training, validation), places, strict=True))

    variables = initial_variables(network, seed=train.seed) if start is None else start
    run = Progress(state=initial_state(jax.tree.map(jnp.asarray, variables), recipe), best=None, best_epoch=0, history=())
    if checkpoint is not None:
        identity = _identity(volumes, event, time, variables, batches, learning, devices)
        run = resume(checkpoint, run, identity=identity)
    stored = clock.monotonic()
    while not _finished(run, train):
        number = len(run.history) + 1
        rows, counts = draw_epoch(batches, seed=(train.seed, number))
        # the key depends on nothing before it, so a training can resume from any epoch; the generator is the device's own, because
        # JAX's default one takes a second longer to compile for each normal draw
        key = jax.random.fold_in(jax.random.key(train.seed, impl="rbg"), number)
        state, measured = run_epoch(run.state, cohort, held_out, jnp.asarray(rows), jnp.asarray(counts), jnp.asarray(number), key=key, recipe=recipe)
        epoch = Epoch(number, *(float(value) for value in jax.device_get(measured)))
        run = run.advanced(state, epoch)
        if checkpoint is not None and (clock.monotonic() - stored >= train.checkpoint_seconds or _finished(run, train)):
            store(checkpoint, run, identity=identity)
            stored = clock.monotonic()
        if progress is not None:
            progress(epoch)

    assert run.best is not None
    params, batch_stats = weights_for_use(run.best, epoch=run.best_epoch, recipe=recipe)
    return Trained(
        variables=jax.device_get({"params": params, "batch_stats": batch_stats}),
        network=network,
        augment=learning.augment,
        train=train,
        history=run.history,
        best_epoch=run.best_epoch,
    )


def _cohort(volumes: np.ndarray, event: np.ndarray, rank: np.ndarray, places: int) -> Cohort:
    """Return patients on the device, filled up to `places` by some without event who were censored before anybody: in no risk set, and in no pair."""
    filling = places - len(volumes)
    return Cohort(
        jnp.asarray(np.pad(np.asarray(volumes, np.float32), ((0, filling), (0, 0), (0, 0), (0, 0)))),
        jnp.asarray(np.pad(event, (0, filling))),
        jnp.asarray(np.pad(rank, (0, filling), constant_values=-1)),
    )


def _finished(run: Progress, train: Train) -> bool:
    epochs = len(run.history)
    return epochs >= train.epochs or epochs - run.best_epoch >= train.patience


def recipe_of(network: Network, augment: Augment, train: Train, devices: int) -> Recipe:
    """Return what is compiled into a step."""
    narrow = train.precision == "bfloat16" or (train.precision == "auto" and jax.default_backend() == "gpu")
    return Recipe(
        network=network,
        augment=augment,
        ties=train.ties,
        learning_rate=train.learning_rate,
        decay_rate=train.decay_rate,
        decay_steps=train.decay_steps,
        weight_decay=train.weight_decay,
        average_from=train.average_from,
        narrow=narrow,
        devices=Mesh(np.array(jax.devices()), ("patients",)) if devices > 1 else None,
    )


def _identity(
    volumes: np.ndarray,
    event: np.ndarray,
    time: np.ndarray,
    variables: Mapping[str, Any],
    batches: Plan,
    learning: Learning,
    devices: int,
) -> str:
    """Return the SHA-256 over patients, first weights, settings and engine: what must be equal for a checkpoint to be of use."""
    settings = [dataclasses.asdict(group) for group in (learning.network, learning.augment, learning.train, batches)]
    engine = [jax.__version__, jax.default_backend(), devices]
    sha = hashlib.sha256(json.dumps([settings, engine], sort_keys=True).encode())
    for array in (volumes.astype(np.float32), event, time.astype(np.float64), *jax.tree.leaves(variables)):
        sha.update(f"{array.dtype.str} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
