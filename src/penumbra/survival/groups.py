"""Survival by group: Kaplan-Meier, log-rank, hazard ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.horizons import beyond
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, on_times, require_events
from penumbra.survival.regression import univariate_cox

LIMITS = ("log", "log-log", "plain")


@dataclass(frozen=True)
class KaplanMeier:
    """One survival curve.

    Limits are nan where survival is 0, and 1 where it is 1. median is nan when survival never reaches one half, and so are its limits.

    Parameters
    ----------
    times : shape (k,), days
        The distinct times of death and of censoring.
    survival, lower, upper : shape (k,)
        Survival from that time on, and its limits.
    se_log : shape (k,)
        Standard error of the logarithm of survival.
    at_risk, deaths, censored : shape (k,)
        Patients at risk just before the time, and how many died and were censored at it.
    median, median_lower, median_upper : days
        When survival reaches one half, and its limits.
    """

    times: Floats
    survival: Floats
    lower: Floats
    upper: Floats
    se_log: Floats
    at_risk: np.ndarray
    deaths: np.ndarray
    censored: np.ndarray
    median: float
    median_lower: float
    median_upper: float

    def at(self, times_days: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Return survival and its limits at times (m,), days; nan after the last follow-up, unless nobody was alive then: survival stays 0.

        R's summary(survfit(...), times = ) gives no value after the last follow-up either.
        """
        days = on_times(times_days, self.times)
        step = np.searchsorted(self.times, days, side="right")
        survival, lower, upper = (np.concatenate([[1.0], curve])[step] for curve in (self.survival, self.lower, self.upper))
        unknown = beyond(days, float(self.times[-1])) & (survival > 0)
        return np.where(unknown, np.nan, survival), np.where(unknown, np.nan, lower), np.where(unknown, np.nan, upper)

    def number_at_risk(self, times_days: ArrayLike) -> np.ndarray:
        """Return how many are still followed and alive just before times (m,), days."""
        step = np.searchsorted(self.times, on_times(times_days, self.times), side="left")
        return np.concatenate([self.at_risk, [0]])[step]


@dataclass(frozen=True)
class LogRank:
    """Result of a log-rank test.

    Parameters
    ----------
    chi2, p, df
        The statistic, its p, and its degrees of freedom: groups - 1.
    groups
        The labels.
    observed, expected : shape (groups,)
        Deaths per group, in the order of `groups`.
    """

    chi2: float
    p: float
    df: int
    groups: tuple[str, ...]
    observed: Floats
    expected: Floats


@dataclass(frozen=True)
class HazardRatio:
    """Hazard of the high group over that of the low group, limits, and Wald's p."""

    value: float
    lower: float
    upper: float
    p: float


def kaplan_meier(event: ArrayLike, time: ArrayLike, *, limits: str = "log", level: float = 0.95) -> KaplanMeier:
    """Estimate survival by Kaplan-Meier with Greenwood's variance.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        Censoring must be unrelated to the risk of death.
    limits
        "log" (R's default), "log-log" or "plain".
    level
        Of the limits: 0.95 for 95 %.

    Returns
    -------
    KaplanMeier
        Survival with limits at each distinct time, patients at risk, deaths, censored, and the median.

    Raises
    ------
    ValueError
        "limits must be one of log, log-log, plain; found ...".

    References
    ----------
    Kaplan and Meier 1958, JASA 53:457; Brookmeyer and Crowley 1982, Biometrics 38:29 (median). Equals R's survfit.

    Examples
    --------
    >>> from penumbra.survival import kaplan_meier
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> curve = kaplan_meier(event, time)
    >>> survival, lower, upper = curve.at([365])
    >>> survival.round(4), lower.round(4), upper.round(4)
    (array([0.6]), array([0.3315]), array([1.]))
    >>> curve.median
    500.0
    """
    from scipy.special import ndtri

    events, times = checked_outcome(event, time)
    if limits not in LIMITS:
        raise ValueError(f"limits must be one of {', '.join(LIMITS)}; found {limits!r}")
    z = float(ndtri(0.5 + 0.5 * level))
    distinct, row = np.unique(times, return_inverse=True)
    deaths = np.bincount(row[events], minlength=distinct.size)
    censored = np.bincount(row[~events], minlength=distinct.size)
    at_risk = (deaths + censored)[::-1].cumsum()[::-1]
    survival = np.cumprod(1.0 - deaths / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        se_log = np.sqrt(np.cumsum(deaths / (at_risk * (at_risk - deaths).astype(float))))
        if limits == "log":
            lower, upper = survival * np.exp(-z * se_log), survival * np.exp(z * se_log)
        elif limits == "log-log":
            turned, reach = np.log(-np.log(survival)), z * se_log / np.log(survival)
            lower, upper = np.exp(-np.exp(turned - reach)), np.exp(-np.exp(turned + reach))
            lower, upper = np.where(survival == 1, 1.0, lower), np.where(survival == 1, 1.0, upper)
        else:
            lower, upper = survival * (1 - z * se_log), survival * (1 + z * se_log)
    extinct = survival <= 0
    lower, upper = np.where(extinct, np.nan, np.maximum(lower, 0.0)), np.where(extinct, np.nan, np.minimum(upper, 1.0))
    return KaplanMeier(
        distinct,
        survival,
        lower,
        upper,
        se_log,
        at_risk,
        deaths,
        censored,
        _half_time(distinct, survival),
        _half_time(distinct, lower),
        _half_time(distinct, upper),
    )


def _half_time(times: Floats, curve: Floats) -> float:
    """Return when a curve falls to one half; the middle of the step where it equals one half exactly, as R does."""
    with np.errstate(invalid="ignore"):
        under = np.flatnonzero(curve < 0.5 - 1e-9)
        on = np.flatnonzero(np.abs(curve - 0.5) <= 1e-9)
    if on.size and (under.size == 0 or on[0] < under[0]):
        end = times[under[0]] if under.size else times[on[0]]
        return float(0.5 * (times[on[0]] + end))
    return float(times[under[0]]) if under.size else float("nan")


def log_rank(event: ArrayLike, time: ArrayLike, group: ArrayLike) -> LogRank:
    """Test whether groups differ in survival.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    group : shape (n,)
        Two or more labels.

    Returns
    -------
    LogRank
        With chi2 and p, observed and expected deaths per group.

    Raises
    ------
    Undefined
        "log-rank needs two groups; found one: ..." / "no event among n patients ...".

    References
    ----------
    Mantel 1966, Cancer Chemother Rep 50:163; Peto and Peto 1972, JRSS A 135:185. Equals R's survdiff.

    Examples
    --------
    >>> from penumbra.survival import log_rank
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> group = ["high", "high", "high", "low", "high", "low", "low", "low"]
    >>> test = log_rank(event, time, group)
    >>> round(test.chi2, 4), test.df, test.groups
    (1.1596, 1, ('high', 'low'))
    """
    from scipy.stats import chi2 as chi2_distribution

    events, times = checked_outcome(event, time)
    labels, member = _labels(group, events.size)
    require_events(events)
    if labels.size < 2:
        raise Undefined(f"log-rank needs two groups; found one: all {events.size} patients are {labels[0]!r}")
    death_times, deaths = np.unique(times[events], return_counts=True)
    at_risk = np.empty((labels.size, death_times.size))
    for k in range(labels.size):
        at_risk[k] = np.count_nonzero(member == k) - np.searchsorted(np.sort(times[member == k]), death_times, side="left")
    everybody = at_risk.sum(axis=0)
    share = at_risk / everybody
    observed = np.bincount(member[events], minlength=labels.size).astype(float)
    expected = share @ deaths
    spread = deaths * (everybody - deaths) / np.maximum(everybody - 1, 1)
    covariance = np.diag(share @ spread) - (share * spread) @ share.T
    difference = (observed - expected)[:-1]
    reduced = covariance[:-1, :-1]
    if np.linalg.matrix_rank(reduced) < reduced.shape[0]:
        raise Undefined("log-rank has no variance: no death happened while two groups were at risk")
    chi2 = float(difference @ np.linalg.solve(reduced, difference))
    df = labels.size - 1
    return LogRank(chi2, float(chi2_distribution.sf(chi2, df)), df, tuple(str(label) for label in labels), observed, expected)


def hazard_ratio(event: ArrayLike, time: ArrayLike, group: ArrayLike, *, ties: str = "efron", level: float = 0.95) -> HazardRatio:
    """Return the hazard of the high group over the low group by a Cox model of the group alone.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    group : shape (n,)
        Bool or 0/1 with True = high, or the words "high" and "low".
    ties
        "efron" or "breslow".
    level
        Of the limits: 0.95 for 95 %.

    Returns
    -------
    HazardRatio
        The ratio with its limits and Wald's p.

    Raises
    ------
    Undefined
        "hazard ratio needs two groups; found one: ..." / "hazard ratio is not finite: ..." / "hazard ratio has no value: no death happened while both
        groups were at risk ...".
    ValueError
        "group must be True/False, 0/1 or 'high'/'low'; found ...".

    References
    ----------
    Cox 1972, JRSS B 34:187; limits by Wald. Equals R's summary(coxph(...))$conf.int.

    Examples
    --------
    >>> from penumbra.survival import hazard_ratio
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> group = ["high", "high", "high", "low", "high", "low", "low", "low"]
    >>> ratio = hazard_ratio(event, time, group)
    >>> f"{ratio.value:.2f} ({ratio.lower:.2f} to {ratio.upper:.2f})"
    '3.68 (0.30 to 45.05)'
    """
    from scipy.special import ndtri

    events, times = checked_outcome(event, time)
    high = _is_high(group, events.size)
    if high.all() or not high.any():
        raise Undefined(f"hazard ratio needs two groups; found one: all {high.size} patients are {'high' if high.all() else 'low'}")
    fit = univariate_cox(events, times, high.astype(float), ties=ties)
    if fit.reason[0]:
        counts = f"{int(events[high].sum())} deaths of {int(high.sum())} high, {int(events[~high].sum())} of {int((~high).sum())} low"
        if fit.reason[0] == "constant":
            raise Undefined(f"hazard ratio has no value: no death happened while both groups were at risk ({counts})")
        raise Undefined(f"hazard ratio is not finite: every death came first in one group ({counts})")
    reach = float(ndtri(0.5 + 0.5 * level)) * float(fit.se[0])
    coef = float(fit.coef[0])
    return HazardRatio(float(np.exp(coef)), float(np.exp(coef - reach)), float(np.exp(coef + reach)), float(fit.p[0]))


def _labels(group: ArrayLike, n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(group)
    if labels.shape != (n,):
        raise ValueError(f"group must have shape ({n},), one label per patient; found {labels.shape}")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"group must be known for every patient; found nan at row {int(np.flatnonzero(np.isnan(labels))[0])}")
    if labels.dtype == object:
        labels = labels.astype(str)
    names, member = np.unique(labels, return_inverse=True)
    return names, member


def _is_high(group: ArrayLike, n: int) -> Bools:
    names, member = _labels(group, n)
    for low, high in ((0, 1), ("low", "high"), ("False", "True")):
        if all(name in (low, high) for name in names.tolist()):
            return np.asarray(np.array([name == high for name in names.tolist()])[member])
    raise ValueError(f"group must be True/False, 0/1 or 'high'/'low'; found {', '.join(map(repr, names.tolist()[:5]))}")
