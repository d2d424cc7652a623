"""Which patients train together: the validation part, and the batches of an epoch."""

import math
from dataclasses import dataclass

import numpy as np

from penumbra.refusal import Refusal


@dataclass(frozen=True)
class Plan:
    """The shape of an epoch.

    steps, size     batches an epoch and patients a batch.
    deaths, others  training patients with and without event.
    """

    steps: int
    size: int
    deaths: int
    others: int


def split(event: np.ndarray, *, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on (those with event first) and the rows to validate on, drawn within events and within censored.

    event     shape (n,), bool.
    fraction  of each of the two groups that validates, rounded; at least one event on each side.

    Raises
      Refusal  enough_events_to_train
    """
    if np.count_nonzero(event) < 2:
        raise Refusal("enough_events_to_train", f"{np.count_nonzero(event)} of {len(event)} patients died", "Train on a center with more events")
    generator = np.random.default_rng(seed)
    training, validation = [], []
    for group in (np.flatnonzero(event), np.flatnonzero(~event)):
        order = generator.permutation(group)
        held_out = round(fraction * len(order))
        if event[group[:1]].any():
            held_out = min(max(held_out, 1), len(order) - 1)
        validation.append(np.sort(order[:held_out]))
        training.append(np.sort(order[held_out:]))
    return np.concatenate(training), np.concatenate(validation)


def deal(event: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each patient, shape (n,), 0 to folds - 1: deaths and censored are spread evenly."""
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(event)), generator.permutation(np.flatnonzero(~event))])
    fold = np.empty(len(event), int)
    fold[order] = np.arange(len(order)) % folds
    return fold


def plan(*, deaths: int, others: int, batch_size: int, multiple_of: int = 1) -> Plan:
    """Return how many batches of which size an epoch has: as few as `batch_size` allows, of nearly equal size.

    multiple_of  the size is rounded up to it (devices that share a batch).
    """
    steps = math.ceil((deaths + others) / batch_size)
    size = math.ceil((max(deaths, steps) + others) / steps)
    return Plan(steps=steps, size=math.ceil(size / multiple_of) * multiple_of, deaths=deaths, others=others)


def draw_epoch(plan: Plan, *, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the patients of each batch (steps, size) and which of them count (steps, size), every patient once.

    The deaths are dealt out first, so every batch has one (with fewer deaths than batches a death is dealt again); places that remain are
    filled by patients that do not count in the loss. Patients are numbered with the deaths first, as `split` orders them.

    seed  of the training, and the number of the epoch.
    """
    generator = np.random.default_rng(seed)
    deaths = np.resize(generator.permutation(plan.deaths), max(plan.steps, plan.deaths))
    others = plan.deaths + generator.permutation(plan.others)
    dealt = np.concatenate([deaths, others])
    places = plan.steps * plan.size
    filling = generator.integers(plan.deaths + plan.others, size=places - len(dealt))
    order = np.concatenate([dealt, filling]).astype(np.int32)
    counts = np.arange(places) < len(dealt)
    return order.reshape(plan.size, plan.steps).T, counts.reshape(plan.size, plan.steps).T
