"""How far repeated measurements of the same patients agree: intraclass correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penumbra.survival.outcome import Floats

CONSTANT, NOT_FINITE = "the same for every patient", "not finite"
NOISE = 1e-24  # a mean square below this share of the largest squared value is rounding


@dataclass(frozen=True)
class Reliability:
    """Intraclass correlations of p columns.

    Parameters
    ----------
    icc, lower, upper : shape (p,)
        NaN where there is a reason.
    reason : shape (p,)
        Text, "" where there is a value.
    """

    icc: Floats
    lower: Floats
    upper: Floats
    reason: NDArray[np.object_]


def icc_agreement(measurements: ArrayLike, *, level: float = 0.95) -> Reliability:
    """Return ICC(2,1), absolute agreement of single measurements: a systematic difference between the conditions counts against it.

    Parameters
    ----------
    measurements : shape (n, k) or (n, k, p)
        Of n patients, each measured under the same k conditions, p columns at once.
    level
        Of the intervals.

    Returns
    -------
    Reliability
        A value for each column; a reason for one that is constant or not finite.

    Raises
    ------
    ValueError
        "measurements must be (n, k) or (n, k, p) with n and k at least 2; found ...".

    Notes
    -----
    ICC(A,1) of McGraw and Wong, with conditions drawn at random from many. Where all measurements of each patient are the same, it is 1 with limits 1.

    References
    ----------
    Shrout and Fleiss 1979, Psychological Bulletin 86:420; McGraw and Wong 1996, Psychological Methods 1:30, table 7.

    Examples
    --------
    >>> from penumbra.survival import icc_agreement
    >>> judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> agreement = icc_agreement(judges)
    >>> round(float(agreement.icc[0]), 2), round(float(agreement.lower[0]), 2), round(float(agreement.upper[0]), 2)
    (0.29, 0.02, 0.76)
    """
    from scipy.stats import f

    values, reason = _checked(measurements)
    n, k = values.shape[:2]
    patients, conditions, residual = _mean_squares(values)
    tail = (1 + level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        icc = (patients - residual) / (patients + (k - 1) * residual + k * (conditions - residual) / n)
        a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
        freedom = (a * conditions + b * residual) ** 2 / ((a * conditions) ** 2 / (k - 1) + (b * residual) ** 2 / ((n - 1) * (k - 1)))
        below, above = f.ppf(tail, n - 1, freedom), f.ppf(tail, freedom, n - 1)
        spread = k * conditions + (k * n - k - n) * residual
        lower = n * (patients - below * residual) / (below * spread + n * patients)
        upper = n * (above * patients - residual) / (spread + n * above * patients)
    return _result(icc, lower, upper, (conditions == 0) & (residual == 0), reason)


def icc_consistency(measurements: ArrayLike, *, level: float = 0.95) -> Reliability:
    """Return ICC(3,1), consistency of single measurements: a difference that is the same for every patient does not count.

    Parameters
    ----------
    measurements : shape (n, k) or (n, k, p)
        Of n patients, each measured under the same k conditions, p columns at once.
    level
        Of the intervals.

    Returns
    -------
    Reliability
        As `icc_agreement`.

    Raises
    ------
    ValueError
        "measurements must be (n, k) or (n, k, p) with n and k at least 2; found ...".

    References
    ----------
    Shrout and Fleiss 1979, Psychological Bulletin 86:420; ICC(C,1) of McGraw and Wong 1996, Psychological Methods 1:30.

    Examples
    --------
    >>> from penumbra.survival import icc_consistency
    >>> judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> round(float(icc_consistency(judges).icc[0]), 2)
    0.71
    """
    from scipy.stats import f

    values, reason = _checked(measurements)
    n, k = values.shape[:2]
    patients, _, residual = _mean_squares(values)
    tail = (1 + level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = patients / residual
        least = ratio / f.ppf(tail, n - 1, (n - 1) * (k - 1))
        most = ratio * f.ppf(tail, (n - 1) * (k - 1), n - 1)
        icc, lower, upper = (np.asarray((each - 1) / (each + k - 1)) for each in (ratio, least, most))
    return _result(icc, lower, upper, residual == 0, reason)


def _checked(measurements: ArrayLike) -> tuple[Floats, NDArray[np.object_]]:
    """The measurements as (n, k, p), those without a value set to 0, and the reason of each column, "" where there is none."""
    values = np.asarray(measurements, dtype=float)
    values = values[:, :, None] if values.ndim == 2 else values
    if values.ndim != 3 or min(values.shape[:2]) < 2:
        raise ValueError(f"measurements must be (n, k) or (n, k, p) with n and k at least 2; found {np.shape(measurements)}")
    reason = np.full(values.shape[2], "", dtype=object)
    finite = np.isfinite(values).all(axis=(0, 1))
    values = np.where(finite, values, 0.0)
    largest = np.abs(values).max(axis=(0, 1))
    varies = np.ptp(values, axis=0).max(axis=0) > 1e-12 * largest
    reason[~varies] = CONSTANT
    reason[~finite] = NOT_FINITE
    return values / np.where(largest > 0, largest, 1.0), reason


def _mean_squares(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean squares of the two-way analysis of variance, each (p,): between patients, between conditions, and what is left."""
    n, k = values.shape[:2]
    grand = values.mean(axis=(0, 1))
    of_patients, of_conditions = values.mean(axis=1) - grand, values.mean(axis=0) - grand
    residuals = values - grand - of_patients[:, None] - of_conditions[None]
    between = (k * (of_patients**2).sum(axis=0) / (n - 1), n * (of_conditions**2).sum(axis=0) / (k - 1), (residuals**2).sum(axis=(0, 1)) / ((n - 1) * (k - 1)))
    patients, conditions, residual = (np.where(square < NOISE, 0.0, square) for square in between)
    return patients, conditions, residual


def _result(icc: Floats, lower: Floats, upper: Floats, perfect: NDArray[np.bool_], reason: NDArray[np.object_]) -> Reliability:
    defined = reason == ""
    value, least, most = (np.where(defined, np.where(perfect, 1.0, np.minimum(each, 1.0)), np.nan) for each in (icc, lower, upper))
    return Reliability(value, least, most, reason)
