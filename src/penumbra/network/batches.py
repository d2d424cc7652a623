"""Which patients train together: the validation part, and the batches of an epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.survival.outcome import tied_times


@dataclass(frozen=True)
class Plan:
    """The shape of an epoch.

    Parameters
    ----------
    steps, size
        Batches per epoch and patients per batch.
    deaths, others
        Training patients with and without event.
    """

    steps: int
    size: int
    deaths: int
    others: int


def split(event: np.ndarray, time: np.ndarray, *, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on (those with event first) and the rows to validate on, drawn within events and within censored.

    Either part can tell one risk from another only where somebody of it outlived a death of it: without such a pair its loss is the same
    for every network, and early stopping would keep the first epoch. Where the draw leaves a part without one, a pair is drawn for each part first
    and the rest after it; a part may then be a patient or two larger than its share.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), any unit
        To death, or to the last day of follow-up.
    fraction
        Of each of the two groups that validates, rounded; at least one event on each side.

    Raises
    ------
    Refusal
        enough_events_to_train: fewer than two events, or no two deaths that were outlived by two others.
    """
    if np.count_nonzero(event) < 2:
        raise Refusal("enough_events_to_train", f"{np.count_nonzero(event)} of {len(event)} patients died", "Train on a center with more events")
    time = tied_times(np.asarray(time, dtype=float))
    orders, sizes, generator = _draw(event, fraction, seed)
    parts = _parted(orders, sizes)
    if _both_tell(event, time, parts):
        return parts
    to_train, to_validate = _two_pairs(event, time, generator)
    first, last = ([np.array([row for row in pair if event[row] == died], dtype=int) for died in (True, False)] for pair in (to_validate, to_train))
    between = [order[~np.isin(order, [*to_train, *to_validate])] for order in orders]
    orders = [np.concatenate(group) for group in zip(first, between, last, strict=True)]
    limits = [len(order) - len(group) for order, group in zip(orders, last, strict=True)]
    return _parted(orders, [min(max(size, len(group)), limit) for size, group, limit in zip(sizes, first, limits, strict=True)])


def needs_redraw(event: np.ndarray, time: np.ndarray, *, fraction: float, seed: int) -> bool:
    """Whether `split` cannot keep to the draw by shares alone, because a part of it would hold no death that somebody outlived."""
    orders, sizes, _ = _draw(event, fraction, seed)
    return not _both_tell(event, tied_times(np.asarray(time, dtype=float)), _parted(orders, sizes))


def _draw(event: np.ndarray, fraction: float, seed: int) -> tuple[list[np.ndarray], list[int], np.random.Generator]:
    """Return those with event and those without in a random order, how many of each validate, and the generator as it is then."""
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(group) for group in (np.flatnonzero(event), np.flatnonzero(~event))]
    sizes = [round(fraction * len(order)) for order in orders]
    sizes[0] = min(max(sizes[0], 1), len(orders[0]) - 1)
    return orders, sizes, generator


def _both_tell(event: np.ndarray, time: np.ndarray, parts: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(_has_pair(event[rows], time[rows]) for rows in parts)


def _parted(orders: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows to validate on: of each group the first `size` of its order validate."""
    training = [np.sort(order[size:]) for order, size in zip(orders, sizes, strict=True)]
    return np.concatenate(training), np.concatenate([np.sort(order[:size]) for order, size in zip(orders, sizes, strict=True)])


def _has_pair(event: np.ndarray, time: np.ndarray) -> bool:
    """Whether somebody outlived a death: a longer time, or censored at the time of the death."""
    if not event.any():
        return False
    first = time[event].min()
    return bool(((time > first) | (~event & (time == first))).any())


def _outlived_by(event: np.ndarray, time: np.ndarray, death: int) -> np.ndarray:
    return np.flatnonzero((time > time[death]) | (~event & (time == time[death])))


def _two_pairs(event: np.ndarray, time: np.ndarray, generator: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return two pairs of four different patients, each a death and somebody who outlived it, drawn at random.

    Raises
    ------
    Refusal
         enough_events_to_train.
    """
    for death in generator.permutation(np.flatnonzero(event)):
        for other in generator.permutation(_outlived_by(event, time, death)):
            others = np.setdiff1d(np.arange(len(event)), [death, other])
            if _has_pair(event[others], time[others]):
                deaths = [row for row in generator.permutation(others[event[others]]) if np.isin(_outlived_by(event, time, row), others).any()]
                outlived = _outlived_by(event, time, deaths[0])
                return (int(deaths[0]), int(generator.choice(outlived[np.isin(outlived, others)]))), (int(death), int(other))
    raise Refusal(
        "enough_events_to_train",
        f"{np.count_nonzero(event)} of {len(event)} patients died, but no two of them were each outlived by another patient",
        "Training and validation each need a death that somebody outlived: train on a center with more events or a longer follow-up",
    )


def assign_folds(event: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each patient, shape (n,), 0 to folds - 1: deaths and censored are spread evenly."""
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(event)), generator.permutation(np.flatnonzero(~event))])
    fold = np.empty(len(event), int)
    fold[order] = np.arange(len(order)) % folds
    return fold


def plan(*, deaths: int, others: int, batch_size: int, multiple_of: int = 1) -> Plan:
    """Return how many batches of which size an epoch has: as few as `batch_size` allows, of nearly equal size.

    Parameters
    ----------
    multiple_of
        The size is rounded up to it (devices that share a batch).
    """
    steps = math.ceil((deaths + others) / batch_size)
    size = math.ceil((max(deaths, steps) + others) / steps)
    return Plan(steps=steps, size=math.ceil(size / multiple_of) * multiple_of, deaths=deaths, others=others)


def draw_epoch(plan: Plan, *, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the patients of each batch (steps, size) and which of them count (steps, size), every patient once.

    The deaths are dealt out first, so every batch has one (with fewer deaths than batches a death is dealt again); places that remain are
    filled by patients that do not count in the loss. Patients are numbered with the deaths first, as `split` orders them.

    Parameters
    ----------
    seed
        Of the training, and the number of the epoch.
    """
    generator = np.random.default_rng(seed)
    deaths = np.resize(generator.permutation(plan.deaths), max(plan.steps, plan.deaths))
    others = plan.deaths + generator.permutation(plan.others)
    patients = np.concatenate([deaths, others])
    places = plan.steps * plan.size
    filling = generator.integers(plan.deaths + plan.others, size=places - len(patients))
    order = np.concatenate([patients, filling]).astype(np.int32)
    counts = np.arange(places) < len(patients)
    return order.reshape(plan.size, plan.steps).T, counts.reshape(plan.size, plan.steps).T
