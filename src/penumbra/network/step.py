"""One training step, and an epoch of them as one compiled call."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from penumbra.network.augment import augment as augment_batch
from penumbra.network.compilation import compiled
from penumbra.network.se_resnet import SEResNet3D
from penumbra.network.settings import Augment, Network
from penumbra.survival.cox import negative_log_partial_likelihood


class State(NamedTuple):
    """What a training changes.

    Weights, running statistics of the norms, the optimizer with its place in the schedule, and the mean of weights and statistics over the epochs since
    `average_from` (empty when nothing is averaged).
    """

    params: Any
    batch_stats: Any
    optimizer: Any
    average: Any = ()


class Cohort(NamedTuple):
    """Patients on the device: volumes (n, s, s, s), event (n,), time (n,): the rank of each time, since the device holds it in 32 bits."""

    volumes: jax.Array
    event: jax.Array
    time: jax.Array


class Recipe(NamedTuple):
    """The settings that are compiled into a step (see settings.py); seeds are not among them, so trainings that differ by seed share it.

    Parameters
    ----------
    narrow
        bfloat16 in the convolutions; parameters, norms' statistics, head and loss stay float32.
    devices
        The mesh that shares each batch, None for one device.
    augmented
        False leaves the transforms out of the program (the benchmark).
    """

    network: Network
    augment: Augment
    ties: str
    learning_rate: float
    decay_rate: float
    decay_steps: int
    weight_decay: float
    average_from: int
    narrow: bool
    devices: Mesh | None
    augmented: bool = True


def initial_state(variables: Mapping[str, Any], recipe: Recipe) -> State:
    """Return the state before the first step."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    return State(params, batch_stats, _first_moments(params, recipe=recipe), (params, batch_stats) if recipe.average_from else ())


@partial(compiled, static=("recipe",))
def _first_moments(params: Any, *, recipe: Recipe) -> Any:
    """Return the optimizer's part of the state, by one program instead of one for every shape."""
    return optimizer(recipe).init(params)


def weights_for_use(state: State, *, epoch: int, recipe: Recipe) -> tuple[Any, Any]:
    """Return (params, batch_stats) that an epoch leaves for use: the mean since `average_from`, or the weights themselves."""
    return state.average if 0 < recipe.average_from <= epoch else (state.params, state.batch_stats)


@partial(compiled, static=("recipe",))
def run_epoch(
    state: State, cohort: Cohort, held_out: Cohort, rows: jax.Array, counts: jax.Array, epoch: jax.Array, *, key: jax.Array, recipe: Recipe
) -> tuple[State, jax.Array]:
    """Return the state after an epoch and its four measurements in the order of `Epoch`.

    Parameters
    ----------
    rows : shape (steps, size)
        The patients of `cohort` in each batch.
    counts : shape (steps, size), bool
        Who of them counts in the loss.
    epoch
        Its number, the first is 1.
    """

    def step(state: State, batch: tuple[jax.Array, ...]) -> tuple[State, tuple[jax.Array, jax.Array]]:
        row, count, step_key = batch
        sample = Cohort(*(shared_out(values[row], recipe) for values in cohort))
        return train_step(state, sample, count, key=step_key, recipe=recipe)

    state, (losses, log_risk) = jax.lax.scan(step, state, (rows, counts, jax.random.split(key, len(rows))))
    flat, mask = rows.reshape(-1), counts.reshape(-1)
    train_c = concordance(cohort.event[flat], cohort.time[flat], log_risk.reshape(-1), where=mask)

    state = _averaged(state, epoch, recipe)
    held_risk = _predict(_for_use(state, epoch, recipe), held_out.volumes, size=rows.shape[1], recipe=recipe)
    validation_loss = cox_loss(held_risk, held_out.time, held_out.event, ties=recipe.ties, where=None)
    validation_c = concordance(held_out.event, held_out.time, held_risk, where=None)
    return state, jnp.stack([losses.mean(), train_c, validation_loss, validation_c])


def train_step(state: State, batch: Cohort, where: jax.Array, *, key: jax.Array, recipe: Recipe) -> tuple[State, tuple[jax.Array, jax.Array]]:
    """Return the state after one batch, and (loss, log_risk (size,)).

    Parameters
    ----------
    where : shape (size,), bool
        Who counts in the loss.
    """
    of_augment, of_dropout = jax.random.split(key)
    volumes = augment_batch(batch.volumes, of_augment, settings=recipe.augment) if recipe.augmented else batch.volumes

    def loss_of(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        (log_risk, _), changed = model(recipe).apply(variables, volumes, train=True, mutable=["batch_stats"], rngs={"dropout": of_dropout})
        loss = cox_loss(log_risk, batch.time, batch.event, ties=recipe.ties, where=where)
        return loss + recipe.network.l2 * squared_head(params), (log_risk, changed.get("batch_stats", {}))

    (loss, (log_risk, batch_stats)), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    update, moments = optimizer(recipe).update(gradient, state.optimizer, state.params)
    return State(optax.apply_updates(state.params, update), batch_stats, moments, state.average), (loss, log_risk)


def cox_loss(log_risk: jax.Array, time: jax.Array, event: jax.Array, *, ties: str, where: jax.Array | None) -> jax.Array:
    """Return Cox's negative log partial likelihood per event; 0 for a batch without an event."""
    events = jnp.sum(event if where is None else event & where)
    return negative_log_partial_likelihood(log_risk, time, event, ties=ties, where=where) / jnp.maximum(events, 1)


def squared_head(params: Mapping[str, Any]) -> jax.Array:
    """Return the sum of squared kernels of the dense layers between embedding and output, which L2 weighs."""
    return sum((jnp.sum(layer["kernel"] ** 2) for name, layer in params.items() if name.startswith("head_")), jnp.zeros(()))


def concordance(event: jax.Array, time: jax.Array, log_risk: jax.Array, *, where: jax.Array | None) -> jax.Array:
    """Return Harrell's C on the device, tied risks counted half, 0.5 without a comparable pair; for watching a training."""
    comparable = event[:, None] & ((time[:, None] < time[None, :]) | ((time[:, None] == time[None, :]) & ~event[None, :]))
    if where is not None:
        comparable = comparable & where[:, None] & where[None, :]
    difference = log_risk[:, None] - log_risk[None, :]
    agreed = jnp.where(difference > 0, 1.0, jnp.where(difference == 0, 0.5, 0.0))
    pairs = jnp.sum(comparable)
    return jnp.where(pairs > 0, jnp.sum(jnp.where(comparable, agreed, 0.0)) / jnp.maximum(pairs, 1), 0.5)


def _averaged(state: State, epoch: jax.Array, recipe: Recipe) -> State:
    """Return the state with the weights of this epoch taken into the mean."""
    if not recipe.average_from:
        return state
    n = jnp.maximum(epoch - recipe.average_from + 1, 1)
    average = jax.tree.map(lambda mean, current: mean + (current - mean) / n, state.average, (state.params, state.batch_stats))
    return state._replace(average=average)


def _for_use(state: State, epoch: jax.Array, recipe: Recipe) -> State:
    if not recipe.average_from:
        return state
    params, batch_stats = jax.tree.map(
        lambda mean, current: jnp.where(epoch >= recipe.average_from, mean, current), state.average, (state.params, state.batch_stats)
    )
    return state._replace(params=params, batch_stats=batch_stats)


def _predict(state: State, volumes: jax.Array, *, size: int, recipe: Recipe) -> jax.Array:
    """Return the log_risk of patients in inference mode, `size` at a time."""
    n = len(volumes)
    padded = jnp.pad(volumes, ((0, -n % size), (0, 0), (0, 0), (0, 0)))

    def infer(batch: jax.Array) -> jax.Array:
        return forward(state, shared_out(batch, recipe), recipe=recipe)

    answer: jax.Array = jax.lax.map(infer, padded.reshape(-1, size, *volumes.shape[1:])).reshape(-1)[:n]
    return answer


def forward(state: State, volumes: jax.Array, *, recipe: Recipe) -> jax.Array:
    """Return the log_risk (n,) in inference mode."""
    log_risk: jax.Array = model(recipe).apply({"params": state.params, "batch_stats": state.batch_stats}, volumes, train=False)[0]
    return log_risk


def model(recipe: Recipe) -> SEResNet3D:
    """Return the network in the precision of the recipe."""
    return SEResNet3D(recipe.network, dtype=jnp.bfloat16 if recipe.narrow else jnp.float32)


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Return Adam, or AdamW, with its schedule."""
    rate = optax.exponential_decay(recipe.learning_rate, recipe.decay_steps, recipe.decay_rate)
    if recipe.weight_decay == 0:
        return optax.adam(rate)
    return optax.adamw(rate, weight_decay=recipe.weight_decay, mask=lambda params: jax.tree.map(lambda value: value.ndim > 1, params))


def shared_out(batch: jax.Array, recipe: Recipe) -> jax.Array:
    """Divide a batch over the devices; the loss needs the whole batch, so XLA gathers the risks."""
    if recipe.devices is None:
        return batch
    answer: jax.Array = jax.lax.with_sharding_constraint(batch, NamedSharding(recipe.devices, PartitionSpec("patients")))
    return answer
