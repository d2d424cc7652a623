"""Slope and baseline hazard of a model from risks of patients that it was not fitted on: what makes its probabilities true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.baseline import BaselineHazard, breslow_baseline
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, checked_risk, require_events
from penumbra.survival.regression import risk_sets

MAX_STEPS = 60
RUNAWAY = 50.0  # a slope times the spread of the risks, as a standard deviation of log hazard, that no outcome bears out
TOLERANCE = 1e-10
SEPARATED = "the log risk separates the deaths: its slope has no finite value"


@dataclass(frozen=True)
class Slope:
    """The factor on a log risk that fits it to the outcomes, with its limits; 1 where the risks are neither too wide nor too narrow."""

    value: float
    se: float
    lower: float
    upper: float


def slope_within(event: ArrayLike, time: ArrayLike, center: ArrayLike, log_risks: ArrayLike, *, level: float = 0.95) -> Slope:
    """Fit one slope to several risks of the same patients: Cox of the log risk, stratified by center, the mean log likelihood over the risks.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    center : shape (n,)
        Names; every center has a baseline hazard of its own.
    log_risks : shape (n,) or (r, n)
        Of each patient, from fits that did not see the patient: one, or one from each draw of the folds.
    level
        Of the limits.

    Returns
    -------
    Slope
        Its standard error is that of one risk: r draws of the folds are not r samples of patients.

    Raises
    ------
    Undefined
        "no event among n patients ..."; "the log risk separates the deaths: its slope has no finite value"; "the log risk has no spread among those at risk".

    References
    ----------
    van Houwelingen 2000, Stat Med 19:3401 (slope of the prognostic index); Steyerberg 2019, Clinical Prediction Models, ch. 15. Breslow ties.

    Examples
    --------
    >>> from penumbra.survival.calibrating import slope_within
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> round(slope_within(event, time, ["a"] * 8, log_risk).value, 3)
    2.367
    """
    from scipy.special import ndtri

    events, times = checked_outcome(event, time)
    require_events(events)
    centers = np.asarray(center)
    risks = [checked_risk(risk, events.size) for risk in np.atleast_2d(np.asarray(log_risks, dtype=float))]
    strata = [centers == name for name in sorted(set(centers.tolist())) if events[centers == name].any()]
    parts = [_Stratum(events[rows], times[rows], risk[rows]) for risk in risks for rows in strata]
    spread = float(np.mean([risk.std() for risk in risks]))
    slope = 0.0
    for _ in range(MAX_STEPS):
        gradient, information = np.sum([part.derivatives(slope) for part in parts], axis=0) / len(risks)
        if not information > 1e-9 * spread**2:
            if abs(slope) * spread > 1.0:
                raise Undefined(SEPARATED)
            raise Undefined("the log risk has no spread among those at risk")
        step = gradient / information
        slope += float(np.clip(step, -2.0 / spread, 2.0 / spread))
        if abs(slope) * spread > RUNAWAY:
            raise Undefined(SEPARATED)
        if abs(step) < TOLERANCE * max(1.0, abs(slope)):
            break
    se = float(1.0 / np.sqrt(information))
    reach = float(ndtri(0.5 + 0.5 * level)) * se
    return Slope(slope, se, slope - reach, slope + reach)


def mean_baseline(event: ArrayLike, time: ArrayLike, log_risks: ArrayLike) -> BaselineHazard:
    """Return the mean of Breslow's cumulative hazards over several risks of the same patients.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risks : shape (n,) or (r, n)
        One, or one from each draw of the folds.

    Returns
    -------
    BaselineHazard
        At log_risk 0.

    Raises
    ------
    Undefined
        "no event among n patients ...".

    Examples
    --------
    >>> from penumbra.survival.calibrating import mean_baseline
    >>> baseline = mean_baseline([1, 1, 0, 1], [100, 200, 250, 300], [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    >>> baseline.cumulative_hazard.round(3)
    array([0.25 , 0.583, 1.583])
    """
    each = [breslow_baseline(event, time, risk) for risk in np.atleast_2d(np.asarray(log_risks, dtype=float))]
    return BaselineHazard(each[0].times, np.mean([one.cumulative_hazard for one in each], axis=0), each[0].followed)


class _Stratum:
    """The patients of one center with one risk, sorted once."""

    def __init__(self, event: Bools, time: Floats, risk: Floats) -> None:
        sets = risk_sets(event, time, "breslow")
        self.risk = risk[sets.order]
        self.last = sets.last
        self.died = sets.died

    def derivatives(self, slope: float) -> tuple[float, float]:
        """First derivative and observed information of the log partial likelihood."""
        eta = slope * self.risk
        weight = np.exp(eta - eta.max())
        total, first, second = (np.cumsum(weight * self.risk**power)[self.last] for power in (0, 1, 2))
        mean = first / total
        return float((self.risk[self.died] - mean).sum()), float(np.maximum(second / total - mean**2, 0.0).sum())
