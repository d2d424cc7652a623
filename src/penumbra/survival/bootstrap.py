"""Bootstrap over patients, for many risks on the same resamples at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.concordance import concordance_index, counted_pairs
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, checked_risk, require_events

PAIRWISE_LIMIT = 2_000  # up to this many patients all pairs are held (16 MB a risk) and every resample is one row of a matrix product


@dataclass(frozen=True)
class Interval:
    """value on the patients themselves, percentile limits, and how many resamples had a value."""

    value: float
    lower: float
    upper: float
    resamples: int


@dataclass(frozen=True)
class PairedDifference:
    """value = C of a - C of b, percentile limits, and a two-sided bootstrap p (never below 1 / resamples)."""

    value: float
    lower: float
    upper: float
    p: float
    resamples: int


def resample_counts(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of n patients is drawn in each resample, shape (resamples, n)."""
    rows = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(rows.ravel(), minlength=resamples * n).reshape(resamples, n)


def right_and_comparable(event: ArrayLike, time: ArrayLike, log_risks: ArrayLike, counts: np.ndarray) -> tuple[Floats, Floats]:
    """Return for k risks the pairs in the right order, those tied in risk as a half, shape (k, resamples), and the comparable pairs, (resamples,).

    Both are whole or half numbers, and sums of such are exact: they are the same on every processor.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risks : shape (k, n)
        Higher = earlier death.
    counts : shape (resamples, n)
        From resample_counts.
    """
    events, times = checked_outcome(event, time)
    risks = [checked_risk(risk, events.size) for risk in np.atleast_2d(np.asarray(log_risks, dtype=float))]
    if events.size > PAIRWISE_LIMIT:
        return _one_by_one(events, times, risks, counts)
    died = np.flatnonzero(events)
    outlived = (times[None, :] > times[died, None]) | ((times[None, :] == times[died, None]) & ~events[None, :])
    # single precision holds whole and half numbers exactly up to 8 million, and up to PAIRWISE_LIMIT patients have at most 4 million pairs
    weight = counts.astype(np.float32)
    weight_of_died = np.ascontiguousarray(weight[:, died])

    def pairs(score: np.ndarray) -> Floats:
        return np.asarray(np.einsum("bi,bi->b", weight @ score.T.astype(np.float32), weight_of_died), dtype=np.float64)

    right = [pairs(outlived * (0.5 * (risk[None, :] == risk[died, None]) + (risk[None, :] < risk[died, None]))) for risk in risks]
    return np.stack(right), pairs(outlived)


def harrell_resampled(event: ArrayLike, time: ArrayLike, log_risks: ArrayLike, counts: np.ndarray) -> Floats:
    """Return Harrell's C of k risks in each resample, shape (k, resamples); nan where a resample has no comparable pair.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risks : shape (k, n)
        Higher = earlier death.
    counts : shape (resamples, n)
        From resample_counts.

    Returns
    -------
    array of shape (k, resamples)
        C of each risk in each resample.

    Examples
    --------
    >>> from penumbra.survival import harrell_resampled
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> import numpy as np
    >>> everybody_once = np.ones((1, 8), dtype=int)
    >>> harrell_resampled(event, time, [log_risk], everybody_once).round(4)
    array([[0.8421]])
    """
    right, comparable = right_and_comparable(event, time, log_risks, counts)
    return np.where(comparable > 0, right, np.nan) / np.maximum(comparable, 1.0)


def _one_by_one(event: Bools, time: Floats, risks: Sequence[Floats], counts: np.ndarray) -> tuple[Floats, Floats]:
    right, comparable = np.zeros((len(risks), counts.shape[0])), np.zeros(counts.shape[0])
    for b, count in enumerate(counts):
        rows = np.repeat(np.arange(event.size), count)
        for k, risk in enumerate(risks):
            concordant, ties, comparable[b] = counted_pairs(event[rows], time[rows], risk[rows])
            right[k, b] = concordant + 0.5 * ties
    return right, comparable


def bootstrap_ci(
    event: ArrayLike,
    time: ArrayLike,
    log_risk: ArrayLike,
    *,
    statistic: Callable[[Bools, Floats, Floats], float] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a statistic with percentile limits from resampling patients.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    statistic
        Function of (event, time, log_risk); None: Harrell's C, all resamples at once.
    resamples
        How many; those where the statistic is undefined are left out and not counted.
    level
        Of the limits.
    seed
        Of numpy's default generator.

    Returns
    -------
    Interval
        The value on the patients themselves, its limits, and how many resamples had a value.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "no resample has a value".
    ValueError
        "resamples must be at least 1; found ...".

    References
    ----------
    Efron 1979, Ann Stat 7:1.

    Examples
    --------
    >>> from penumbra.survival import bootstrap_ci
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> interval = bootstrap_ci(event, time, log_risk, resamples=200)
    >>> round(interval.value, 4), interval.lower < interval.value <= interval.upper
    (0.8421, True)
    """
    events, times = checked_outcome(event, time)
    risk = checked_risk(log_risk, events.size)
    require_events(events)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1; found {resamples}")
    counts = resample_counts(events.size, resamples, np.random.default_rng(seed))
    if statistic is None:
        value = concordance_index(events, times, risk)
        values = harrell_resampled(events, times, risk, counts)[0]
    else:
        value = float(statistic(events, times, risk))
        values = np.full(resamples, np.nan)
        for b, count in enumerate(counts):
            rows = np.repeat(np.arange(events.size), count)
            try:
                values[b] = statistic(events[rows], times[rows], risk[rows])
            except Undefined:
                continue
    lower, upper, defined = percentile_limits(values, level)
    return Interval(value, lower, upper, defined)


def percentile_limits(values: Floats, level: float = 0.95) -> tuple[float, float, int]:
    """Return the limits between which the middle `level` of the values lies, and how many values are not nan."""
    values = values[~np.isnan(values)]
    if values.size == 0:
        raise Undefined("no resample has a value")
    lower, upper = np.quantile(values, [0.5 - 0.5 * level, 0.5 + 0.5 * level])
    return float(lower), float(upper), int(values.size)


def paired_difference(
    event: ArrayLike,
    time: ArrayLike,
    log_risk_a: ArrayLike,
    log_risk_b: ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Return Harrell's C of a minus that of b, both on the same resamples.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk_a, log_risk_b : shape (n,)
        Of the two models; higher = earlier death.
    resamples
        How many; those without a comparable pair are left out and not counted.
    level
        Of the limits: 0.95 for 95 %.
    seed
        Of numpy's default generator.

    Returns
    -------
    PairedDifference
        C of a minus C of b with percentile limits and a two-sided p.

    Raises
    ------
    Undefined
        "no event among n patients ...".

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 16.

    Examples
    --------
    >>> from penumbra.survival import paired_difference
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> risk_a = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> risk_b = [0.2, 0.9, 0.4, -0.1, 0.3, 0.1, -0.2, 0.0]
    >>> difference = paired_difference(event, time, risk_a, risk_b, resamples=200)
    >>> round(difference.value, 4)
    0.1579
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    value = concordance_index(events, times, log_risk_a) - concordance_index(events, times, log_risk_b)
    counts = resample_counts(events.size, resamples, np.random.default_rng(seed))
    a, b = harrell_resampled(events, times, np.stack([np.asarray(log_risk_a, float), np.asarray(log_risk_b, float)]), counts)
    return difference_from(value, a - b, level)


def difference_from(value: float, differences: Floats, level: float = 0.95) -> PairedDifference:
    """Return the paired difference from its resampled values."""
    lower, upper, defined = percentile_limits(differences, level)
    finite = differences[~np.isnan(differences)]
    tail = min(float(np.mean(finite <= 0)), float(np.mean(finite >= 0)))
    return PairedDifference(value, lower, upper, min(1.0, max(2.0 * tail, 1.0 / defined)), defined)
