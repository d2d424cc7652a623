"""Calibration: predicted against observed survival."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.bootstrap import resample_counts
from penumbra.survival.groups import kaplan_meier
from penumbra.survival.horizons import beyond
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_horizon, checked_outcome, checked_risk, require_events
from penumbra.survival.regression import univariate_cox


@dataclass(frozen=True)
class Calibration:
    """What was predicted and what was observed at a horizon, in groups of rising predicted survival.

    Parameters
    ----------
    horizon : days
        The day that survival is predicted for.
    predicted : shape (g,)
        Mean predicted survival of each group.
    observed : shape (g,)
        Kaplan-Meier at the horizon.
    lower, upper : shape (g,)
        Bootstrap limits of observed.
    n, deaths : shape (g,)
        Patients, and deaths by the horizon.
    died, expected
        Of all patients: share that died by the horizon (Kaplan-Meier), and mean predicted probability to have died.
    reasons
        One per group: why observed is nan (nobody of the group was followed to the horizon); "" where it is not.
    """

    horizon: float
    predicted: Floats
    observed: Floats
    lower: Floats
    upper: Floats
    n: np.ndarray
    deaths: np.ndarray
    died: float
    expected: float
    reasons: tuple[str, ...] = ()

    @property
    def observed_expected(self) -> float:
        """Deaths observed over deaths expected by the horizon.

        Raises
        ------
        Undefined
            "no death is expected by day ...".
        """
        if not self.expected > 0:
            raise Undefined(f"no death is expected by day {self.horizon:g}: every predicted survival is 1")
        return self.died / self.expected


@dataclass(frozen=True)
class Slope:
    """Cox coefficient of log_risk with limits: 1 when the spread of predictions is right, below 1 when it is too wide."""

    value: float
    lower: float
    upper: float
    p: float


@dataclass(frozen=True)
class Intercept:
    """Log of deaths observed over deaths expected from the predicted hazards, with limits: 0 when the level of predictions is right."""

    value: float
    lower: float
    upper: float
    observed: float
    expected: float


def calibration(
    event: ArrayLike,
    time: ArrayLike,
    survival: ArrayLike,
    horizon: float,
    *,
    groups: int = 5,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Compare predicted with observed survival at a horizon in groups of equal size.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    survival : shape (n,)
        Predicted probability to be alive at the horizon, 0 .. 1.
    horizon : days
        Not beyond the longest follow-up.
    groups
        How many; fewer where predictions are tied or patients few (at least 5 in a group where possible).
    resamples
        Bootstrap resamples of patients within each group, for the limits of the observed survival.
    level
        Of the limits: 0.95 for 95 %.
    seed
        Of numpy's default generator.

    Returns
    -------
    Calibration
        Per group of rising predicted survival: predicted and observed survival with limits, patients and deaths.

    Raises
    ------
    Undefined
        "nobody is followed to day ...".
    ValueError
        "survival must lie between 0 and 1; found ...".

    References
    ----------
    Harrell 2015, Regression Modeling Strategies, ch. 20.

    Examples
    --------
    >>> from penumbra.survival import calibration
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1] * 2
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700] * 2
    >>> alive = [0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] * 2
    >>> groups = calibration(event, time, alive, 365, groups=2, resamples=100)
    >>> groups.n, groups.observed.round(3)
    (array([8, 8]), array([0., 1.]))
    >>> f"{groups.died:.3f} died, {groups.expected:.3f} expected"
    '0.400 died, 0.463 expected'
    """
    events, times = checked_outcome(event, time)
    predicted = probabilities(survival, events.size)
    day = followed_horizon(times, horizon)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, max(1, min(groups, events.size // 5)) + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="left")
    rng = np.random.default_rng(seed)
    rows, reasons = [], []
    for g in np.unique(group):
        mine = group == g
        observed = float(kaplan_meier(events[mine], times[mine]).at([day])[0][0])
        resampled = resampled_survival(events[mine], times[mine], day, resample_counts(int(mine.sum()), resamples, rng))
        defined = resampled[~np.isnan(resampled)] if not np.isnan(observed) else resampled[:0]
        limits = np.quantile(defined, [0.5 - 0.5 * level, 0.5 + 0.5 * level]) if defined.size else np.full(2, np.nan)
        reasons.append(f"nobody of the group is followed to day {horizon:g} (last at day {times[mine].max():g})" if np.isnan(observed) else "")
        rows.append((predicted[mine].mean(), observed, *limits, mine.sum(), (events & (times <= day))[mine].sum()))
    table = np.array(rows, dtype=float).T
    return Calibration(
        horizon=float(horizon),
        predicted=table[0],
        observed=table[1],
        lower=table[2],
        upper=table[3],
        n=table[4].astype(int),
        deaths=table[5].astype(int),
        died=1.0 - float(kaplan_meier(events, times).at([day])[0][0]),
        expected=float((1.0 - predicted).mean()),
        reasons=tuple(reasons),
    )


def resampled_survival(event: Bools, time: Floats, horizon: float, counts: np.ndarray) -> Floats:
    """Return Kaplan-Meier at the horizon in each resample; counts (b, n): how often it holds each patient.

    nan where a resample holds nobody who was followed to the horizon, unless all that it holds have died.
    """
    event, time = checked_outcome(event, time)
    horizon = checked_horizon(horizon, time)
    death_times = np.unique(time[event & (time <= horizon)])
    weight = counts.astype(float)
    at_risk = weight @ (time[:, None] >= death_times)
    deaths = weight @ ((time[:, None] == death_times) & event[:, None])
    survival = np.prod(1.0 - deaths / np.maximum(at_risk, 1.0), axis=1)
    unobserved = (weight @ ~beyond(horizon, time) == 0) & (survival > 0)
    return np.where(unobserved, np.nan, survival)


def calibration_slope(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, *, ties: str = "efron") -> Slope:
    """Return the coefficient of log_risk in a Cox model of these patients, with 95 % limits.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    ties
        "efron" or "breslow".

    Returns
    -------
    Slope
        The coefficient, its 95 % limits and Wald's p.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "calibration slope has no value: ...".

    References
    ----------
    van Houwelingen 2000, Stat Med 19:3401.

    Examples
    --------
    >>> from penumbra.survival import calibration_slope
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> slope = calibration_slope(event, time, log_risk)
    >>> f"{slope.value:.2f} ({slope.lower:.2f} to {slope.upper:.2f})"
    '2.37 (-0.31 to 5.05)'
    """
    events, times = checked_outcome(event, time)
    fit = univariate_cox(events, times, checked_risk(log_risk, events.size), ties=ties)
    if fit.reason[0]:
        cause = f"log_risk orders all {int(events.sum())} deaths perfectly" if fit.reason[0] == "separation" else f"log_risk is {fit.reason[0]}"
        raise Undefined(f"calibration slope has no value: {cause}")
    value, se = float(fit.coef[0]), float(fit.se[0])
    return Slope(value, value - 1.959963984540054 * se, value + 1.959963984540054 * se, float(fit.p[0]))


def calibration_intercept(event: ArrayLike, cumulative_hazard: ArrayLike) -> Intercept:
    """Return calibration in the large: the log of observed over expected deaths.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    cumulative_hazard : shape (n,)
        Predicted for each patient at the end of the patient's own follow-up.

    Returns
    -------
    Intercept
        The logarithm with 95 % limits, and the deaths observed and expected.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "no death is expected ...".

    References
    ----------
    Crowson et al. 2016, Stat Methods Med Res 25:1692 (Poisson).

    Examples
    --------
    >>> from penumbra.survival import calibration_intercept
    >>> intercept = calibration_intercept([1, 1, 0, 1], [0.5, 0.4, 0.3, 0.3])
    >>> round(intercept.value, 4), intercept.observed, intercept.expected
    (0.6931, 3.0, 1.5)
    """
    hazard = np.asarray(cumulative_hazard, dtype=float)
    events, _ = checked_outcome(event, np.zeros(hazard.shape))
    checked_risk(hazard, events.size, "cumulative_hazard")
    require_events(events)
    observed, expected = float(events.sum()), float(hazard.sum())
    if not expected > 0:
        raise Undefined(f"no death is expected among {events.size} patients: their follow-up ends before the first death of the training")
    value, se = float(np.log(observed / expected)), observed**-0.5
    return Intercept(value, value - 1.959963984540054 * se, value + 1.959963984540054 * se, observed, expected)


def followed_horizon(time: Floats, horizon: float) -> float:
    """Return the horizon as `checked_horizon`, where somebody is followed to it."""
    day = checked_horizon(horizon, time)
    if time.max() < day:
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {time.max():g})")
    return day


def probabilities(survival: ArrayLike, n: int) -> Floats:
    """Return predicted survival of shape (n,), each between 0 and 1."""
    predicted = checked_risk(survival, n, "survival")
    strange = (predicted < 0) | (predicted > 1)
    if strange.any():
        raise ValueError(f"survival must lie between 0 and 1; found {predicted[strange][0]:g}")
    return predicted
