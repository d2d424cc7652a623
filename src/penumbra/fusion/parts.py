"""What a fitted model is made of besides its numbers: the columns that it reads, how it was fitted, and how a table becomes a risk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.declaration import Unusable
from penumbra.survival.outcome import Floats

AT_ONCE = 1_000_000  # values of which a copy costs less than a step of its own for each column
Table = Mapping[str, ArrayLike] | tuple[ArrayLike, Iterable[str]]
LOWEST, HIGHEST = 0.005, 0.995  # no probability beyond is shown, stored or served: no cohort of this size can tell it from certainty


def limited(probability: ArrayLike) -> Floats:
    """Return probabilities of any shape within LOWEST and HIGHEST; nan stays nan."""
    return np.asarray(np.clip(np.asarray(probability, dtype=float), LOWEST, HIGHEST))


@dataclass(frozen=True)
class Training:
    """How a model was fitted: patients, events, the numbers of fitting, and the remarks made on the way.

    Parameters
    ----------
    followed
        Day of the last follow-up, death or censoring, of the training patients: the model gives no survival beyond. None in a model that was fitted
        before this was recorded; its last death is used instead.
    """

    patients: int
    events: int
    alpha: float
    folds: int
    seed: int
    ties: str
    lasso_lambda: str
    lasso_patience: int | None
    pca_variance: float
    ridge: float
    remarks: tuple[str, ...]
    followed: float | None = None


@dataclass(frozen=True)
class Column:
    """One input column of a model.

    Parameters
    ----------
    name
        `<block>.<feature>`.
    log
        Whether the natural logarithm is taken first.
    fill
        What a missing value becomes; None: a missing value is refused.
    mean, sd
        Of the training patients.
    coefficient
        Per standard deviation: log_risk = sum of coefficients x (column - mean) / sd. For components, the product of the loadings with the
        component coefficients.
    """

    name: str
    log: bool
    fill: float | None
    mean: float
    sd: float
    coefficient: float = 0.0


# In the JSON each of them is a list over the columns: a registered model keeps its text and its digest.
STORED_COLUMNS = {"columns": "name", "logs": "log", "fills": "fill", "means": "mean", "sds": "sd", "coefficients": "coefficient"}


def linear_risk(z: Floats, coefficients: Iterable[float]) -> Floats:
    """Return the sum of coefficients times z-scored columns, (n,), column by column: the same bits for a patient alone or among others."""
    values = list(coefficients)
    if values and z.size <= AT_ONCE:  # the same sums in the same order
        return np.asarray(np.cumsum(z[:, : len(values)] * np.array(values, dtype=float), axis=1)[:, -1] + 0.0)
    risk = np.zeros(z.shape[0])
    for j, coefficient in enumerate(values):
        risk += coefficient * z[:, j]
    return risk


def sum_of(terms: Sequence[Floats]) -> Floats:
    """Return the sum of some risks, each (n,), in their order."""
    risk = terms[0]
    for term in terms[1:]:
        risk = risk + term
    return risk


def columns_of(table: Table) -> Mapping[str, ArrayLike]:
    if isinstance(table, tuple):
        values, names = table
        return dict(zip(names, np.asarray(values).T, strict=True))
    return table


def transformed(name: str, values: ArrayLike, log: bool) -> Floats:
    """Return one column as floats, or its natural logarithm; missing values stay nan."""
    numbers = np.atleast_1d(np.asarray(values, dtype=float))
    if not log:
        return numbers
    finite = np.isfinite(numbers)
    if (numbers[finite] <= 0).any():
        raise Unusable("value_positive", f"{name} must be positive, its logarithm is taken; found {numbers[finite].min():g}", "Check its value")
    return np.asarray(np.log(numbers, where=finite, out=np.full(numbers.shape, np.nan)))


def nested(value: Any) -> Any:
    """Return lists, at any depth, as tuples."""
    return tuple(nested(entry) for entry in value) if isinstance(value, list | tuple) else value


def tupled(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping whose values are tuples where they were lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
