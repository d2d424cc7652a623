"""What a network can learn of images before anybody's outcome is looked at (Barlow twins, Zbontar 2021, arXiv 2103.03230)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from penumbra.network.augment import augment as augment_batch
from penumbra.network.compilation import compiled
from penumbra.network.se_resnet import initial_variables
from penumbra.network.settings import Augment, Network, Pretrain, Train
from penumbra.network.step import Recipe, State, initial_state, model, optimizer, shared_out
from penumbra.network.train import recipe_of
from penumbra.network.trained import check_volumes


def pretrain(
    volumes: np.ndarray,
    *,
    network: Network,
    augment: Augment,
    train: Train,
    pretrain: Pretrain,
    progress: Callable[[float], None] | None = None,
) -> Mapping[str, Any]:
    """Learn from volumes alone, without anybody's outcome.

    With 0 epochs the variables are those drawn from `train.seed`. The head stays as it was drawn.

    Parameters
    ----------
    volumes : shape (n, s, s, s)
        With s = network.input_size, training centers only, n at least 2.
    network
        The architecture.
    augment
        Transforms of the training volumes.
    train
        Gives seed, precision and devices.
    pretrain
        Epochs, batches and the weight of redundancy.
    progress
        Called with the mean loss after every epoch.

    Returns
    -------
    Mapping
        Flax variables after `pretrain.epochs` epochs.

    Raises
    ------
    ValueError
        "volumes must have shape (n, s, s, s) ...".
    """
    check_volumes(volumes, network.input_size)
    variables = initial_variables(network, seed=train.seed)
    if not pretrain.epochs:
        return variables
    devices = len(jax.devices()) if train.data_parallel else 1
    recipe = recipe_of(network, augment, train, devices)._replace(learning_rate=pretrain.learning_rate, decay_rate=1.0, weight_decay=0.0, average_from=0)
    state, inputs = initial_state(jax.tree.map(jnp.asarray, variables), recipe), jnp.asarray(volumes, jnp.float32)
    size = min(pretrain.batch_size, len(volumes))
    size -= size % devices
    for epoch in range(1, pretrain.epochs + 1):
        order = np.random.default_rng((train.seed, epoch)).permutation(len(volumes))
        rows = order[: len(order) // size * size].reshape(-1, size)
        key = jax.random.fold_in(jax.random.key(train.seed, impl="rbg"), epoch)
        state, loss = _run_epoch(state, inputs, jnp.asarray(rows), key=key, redundancy=pretrain.redundancy, recipe=recipe)
        if progress is not None:
            progress(float(loss))
    trained: Mapping[str, Any] = jax.device_get({"params": state.params, "batch_stats": state.batch_stats})
    return trained


def barlow_twins(first: jax.Array, second: jax.Array, *, redundancy: float) -> jax.Array:
    """Return the loss of two views' embeddings, per channel: (1 - c_ii)^2 + redundancy * sum over j != i of c_ij^2.

    c is the correlation over the batch of channel i of the first view with channel j of the second; 0 for a channel of one value.

    Parameters
    ----------
    first, second : shape (n, channels)
    """

    def standard(embedding: jax.Array) -> jax.Array:
        centered = embedding - embedding.mean(axis=0)
        return centered * jax.lax.rsqrt(jnp.mean(centered**2, axis=0) + 1e-12)

    correlation = standard(first).T @ standard(second) / len(first)
    same = jnp.diagonal(correlation)
    return (jnp.sum((1 - same) ** 2) + redundancy * (jnp.sum(correlation**2) - jnp.sum(same**2))) / len(same)


@partial(compiled, static=("redundancy", "recipe"))
def _run_epoch(state: State, volumes: jax.Array, rows: jax.Array, *, key: jax.Array, redundancy: float, recipe: Recipe) -> tuple[State, jax.Array]:
    """Return the state after an epoch and its mean loss; rows has shape (steps, size)."""

    def step(state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        row, step_key = batch
        of_views, of_dropout = jax.random.split(step_key)
        batch_volumes = volumes[row]
        views = jnp.concatenate([augment_batch(batch_volumes, view, settings=recipe.augment) for view in jax.random.split(of_views)])

        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            model_variables = {"params": params, "batch_stats": state.batch_stats}
            (_, more), changed = model(recipe).apply(
                model_variables, shared_out(views, recipe), train=True, mutable=["batch_stats"], rngs={"dropout": of_dropout}
            )
            first, second = jnp.split(more["embedding"], 2)
            return barlow_twins(first, second, redundancy=redundancy), changed.get("batch_stats", {})

        (loss, batch_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        update, moments = optimizer(recipe).update(gradient, state.optimizer, state.params)
        return State(optax.apply_updates(state.params, update), batch_stats, moments, state.average), loss

    state, losses = jax.lax.scan(step, state, (rows, jax.random.split(key, len(rows))))
    return state, losses.mean()
