"""Bootstrap over patients, for many risks on the same resamples at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.concordance import concordance_index
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, checked_risk, require_events

PAIRWISE_LIMIT = 2_000  # up to this many patients all pairs are held (32 MB a risk) and every resample is one row of a matrix product


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
    drawn = rng.integers(n, size=(resamples, n))
    return np.stack([np.bincount(row, minlength=n) for row in drawn]) if resamples else np.zeros((0, n), dtype=np.int64)


def harrell_resampled(event: ArrayLike, time: ArrayLike, log_risks: ArrayLike, counts: np.ndarray) -> Floats:
    """Return Harrell's C of k risks in each resample, shape (k, resamples); nan where a resample has no comparable pair.

    event      shape (n,), bool; True = died.
    time       shape (n,), days.
    log_risks  shape (k, n).
    counts     shape (resamples, n), from resample_counts.
    """
    events, times = checked_outcome(event, time)
    risks = np.atleast_2d(np.asarray(log_risks, dtype=float))
    if events.size > PAIRWISE_LIMIT:
        return np.stack([_one_by_one(events, times, checked_risk(risk, events.size), counts) for risk in risks])
    died = np.flatnonzero(events)
    outlived = (times[None, :] > times[died, None]) | ((times[None, :] == times[died, None]) & ~events[None, :])
    weight = counts.astype(np.float64)
    pairs = np.einsum("bi,bi->b", weight @ outlived.astype(np.float64).T, weight[:, died])
    result = np.full((risks.shape[0], counts.shape[0]), np.nan)
    defined = pairs > 0
    for k, risk in enumerate(risks):
        checked_risk(risk, events.size)
        score = outlived * (0.5 * (risk[None, :] == risk[died, None]) + (risk[None, :] < risk[died, None]))
        result[k, defined] = np.einsum("bi,bi->b", weight @ score.T, weight[:, died])[defined] / pairs[defined]
    return result


def _one_by_one(event: Bools, time: Floats, risk: Floats, counts: np.ndarray) -> Floats:
    values = np.full(counts.shape[0], np.nan)
    for b, count in enumerate(counts):
        rows = np.repeat(np.arange(event.size), count)
        try:
            values[b] = concordance_index(event[rows], time[rows], risk[rows])
        except Undefined:
            continue
    return values


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

    event      shape (n,), bool; True = died.
    time       shape (n,), days.
    log_risk   shape (n,); higher = earlier death.
    statistic  function of (event, time, log_risk); None: Harrell's C, all resamples at once.
    resamples  how many; those where the statistic is undefined are left out and not counted.
    level      of the limits.
    seed       of numpy's default generator.

    Raises
      Undefined   "no event among n patients ..." / "no resample has a value"

    Source: Efron 1979, Ann Stat 7:1.
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

    event, time             as bootstrap_ci.
    log_risk_a, log_risk_b  shape (n,).

    Raises
      Undefined   "no event among n patients ..."

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 16.
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
    known = differences[~np.isnan(differences)]
    tail = min(float(np.mean(known <= 0)), float(np.mean(known >= 0)))
    return PairedDifference(value, lower, upper, min(1.0, max(2.0 * tail, 1.0 / defined)), defined)
