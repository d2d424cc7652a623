"""What is learned of the training patients of a model, to tell later whom it is for: percentiles, center, components, limits; no outcome is known here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.applicability import EDGE, OUTSIDE, Domain, Limits, Measured
from penumbra.fusion.parts import Table, columns_of
from penumbra.fusion.reading import Reading, read, values_of
from penumbra.fusion.settings import Applying
from penumbra.survival.outcome import Bools, Floats
from penumbra.survival.selection import folds_within
from penumbra.survival.shrinkage import ledoit_wolf_shrinkage

DIGITS = 6  # of a stored number: a distance needs no more, and a served model stays small
NORMAL = 2.326  # standard deviations at which a normal column has its 99th percentile
ROUNDING = 1e-5  # of the spread: a smaller residual is none
NARROWEST = 0.25  # of the range between the percentiles: half of a column that is at its median up to a percentile, such as a stage
PATIENTS_PER_COMPONENT = 3  # fewer patients than this for each component are no ground for its variance
FARTHER = {EDGE: 1.1, OUTSIDE: 1.3}  # limits of the distance are at least this, times that of a typical column at a percentile, alone


def measured(parts: Sequence[tuple[Reading, float]], table: Table, centers: ArrayLike | None) -> Measured:
    """Return a table as a model reads it.

    Parameters
    ----------
    parts
        The fitted models whose columns are read, each with the factor of its risk in that of the model.
    table, centers
        As of `SurvivalModel.log_risk`.

    Returns
    -------
    Measured
        A column that several members read is there once, as the first one takes it, or the first one that takes its logarithm.
    """
    columns = columns_of(table)
    read_by: list[tuple[Floats, Bools]] = []
    place: dict[str, tuple[int, bool]] = {}  # column of all parts together, and whether it is a logarithm
    weights: dict[str, float] = {}
    number = 0
    for part, factor in parts:
        raw, filled = read(part, columns, centers, "nan")
        infinite = np.isinf(values_of(columns, part.inputs)) if np.isnan(raw).any() else np.zeros(raw.shape, dtype=bool)
        read_by.append((np.where(infinite, np.inf, filled), np.isnan(raw) & ~np.isnan(filled) & ~infinite))
        for column in part.inputs:
            weights[column.name] = weights.get(column.name, 0.0) + factor * column.coefficient
            if column.name not in place or (column.log and not place[column.name][1]):
                place[column.name] = number, column.log
            number += 1
    at = [j for j, _ in place.values()]
    values, were_filled = np.hstack([part_values for part_values, _ in read_by])[:, at], np.hstack([absent for _, absent in read_by])[:, at]
    return Measured(tuple(place), values, were_filled, np.array([weights[name] for name in place]))


def learn(measured: Measured, centers: ArrayLike, numbers: Applying) -> Domain:
    """Learn a domain from the training patients of a model; no outcome is known here.

    Parameters
    ----------
    measured : n patients
        The training patients, as the model reads them.
    centers : shape (n,)
        Of each, over which the folds are spread.
    numbers
        The group `applicability` of params.yaml.

    Returns
    -------
    Domain
        With its limits.
    """
    patients = len(measured.values)
    fold = folds_within(centers, np.zeros(patients, dtype=bool), folds=min(numbers.folds, patients), seed=numbers.seed)
    beyond, scores, across = np.zeros(patients, dtype=int), np.zeros(patients), np.zeros(patients)
    for number in np.unique(fold):
        out = fold == number
        others, held_out = _described(measured.rows(~out), numbers), measured.rows(out)
        beyond[out] = others.beyond(held_out).sum(axis=1)
        scores[out] = others.distances(held_out)
        across[out] = _across(others, held_out)
    whole = _described(measured, numbers)
    points = whole.coordinates(measured) - whole.arrays.center
    spread = math.sqrt(float(np.mean(np.sum(points**2, axis=1))))
    residual = _rounded(math.sqrt(float(np.mean(across**2))))
    residual = residual if residual > ROUNDING * spread else 0.0
    distances = np.sqrt(scores**2 + (0.0 if residual == 0 else (across / residual) ** 2))
    limits = {word: _limits(beyond, distances, rate, whole) for word, rate in ((EDGE, numbers.edge), (OUTSIDE, numbers.outside))}
    ends, spreads = np.abs(np.percentile(points, [numbers.low, numbers.high], axis=0)).max(axis=0), points.std(axis=0)
    alone = float(np.median(ends[spreads > 0] / spreads[spreads > 0])) if (spreads > 0).any() else 0.0
    limits = {word: Limits(each.share, max(each.distance, _rounded(FARTHER[word] * alone))) for word, each in limits.items()}
    return replace(whole, residual=residual, edge=limits[EDGE], outside=limits[OUTSIDE])


def _described(measured: Measured, numbers: Applying) -> Domain:
    """The domain of some patients, without limits."""
    patients = len(measured.values)
    low, middle, high = np.percentile(measured.values, [numbers.low, 50, numbers.high], axis=0)
    width = np.where(high > low, high - low, measured.values.std(axis=0))
    width = np.where(width > 0, width, 1.0)  # of a column that does not vary among these patients
    below, above = (measured.weights * NORMAL / np.maximum(half, NARROWEST * width) for half in (middle - low, high - middle))
    nothing = Limits(math.inf, math.inf)
    columns = measured.columns, _numbers(low), _numbers(middle), _numbers(high), _numbers(below), _numbers(above)
    points = Domain(*columns, (), (), (), 0.0, nothing, nothing, patients).coordinates(measured)
    shrinkage, mean = ledoit_wolf_shrinkage(points)
    center = points.mean(axis=0)
    _, singular, rows = np.linalg.svd(points - center, full_matrices=False)
    variances = singular**2 / patients
    count = int(np.searchsorted(np.cumsum(variances), (numbers.variance - 1e-12) * variances.sum())) + 1
    count = min(count, max(1, patients // PATIENTS_PER_COMPONENT), int((variances > 1e-12 * variances[0]).sum()))
    signs = np.sign(rows[np.arange(count), np.abs(rows[:count]).argmax(axis=1)])  # as of every machine
    shrunk = (1.0 - shrinkage) * variances[:count] + shrinkage * mean
    stored = _numbers(center), tuple(_numbers(row) for row in rows[:count] * signs[:, None]), _numbers(shrunk)
    return Domain(*columns, *stored, 0.0, nothing, nothing, patients)


def _across(domain: Domain, measured: Measured) -> Floats:
    """How far each patient (n,) is from the plane of the components."""
    components = domain.arrays.components
    centered = domain.coordinates(measured) - domain.arrays.center
    return np.array([float(np.linalg.norm(point - (components @ point) @ components)) for point in centered])


def _limits(beyond: np.ndarray, distances: Floats, rate: float, domain: Domain) -> Limits:
    """The lowest limits, at the same share of patients for both measures, that at most `rate` of the patients exceed one of."""
    patients = len(distances)
    for allowed in range(int(rate * patients), -1, -1):
        count = max(1, int(np.sort(beyond)[patients - 1 - allowed]))
        distance = _rounded(float(np.sort(distances)[patients - 1 - allowed]), up=True)
        if np.mean((beyond > count) | (distances > distance)) <= rate:
            break
    return Limits(count / len(domain.columns), distance)


def _rounded(value: float, *, up: bool = False) -> float:
    rounded = float(f"{value:.{DIGITS}g}")
    return rounded * (1 + 10.0**-DIGITS) if up and rounded < value else rounded


def _numbers(values: Floats) -> tuple[float, ...]:
    """The same as `_rounded` gives of each, by one text of all."""
    each = np.asarray(values, dtype=float).tolist()
    return tuple(map(float, (f"%.{DIGITS}g " * len(each) % tuple(each)).split()))
