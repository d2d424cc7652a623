"""Recalibration: the level, and with more deaths the spread, of a model's probabilities fitted to patients of another place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.agreement import calibration_intercept, calibration_slope
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.horizons import beyond
from penumbra.survival.outcome import Floats, Undefined, checked_outcome, checked_risk
from penumbra.survival.selection import assign_folds


@dataclass(frozen=True)
class Recalibration:
    """What is done to a log_risk before it meets the baseline hazard; ranks stay, since the slope is positive.

    Parameters
    ----------
    intercept
        Log of observed over expected deaths.
    slope
        1 where only the level was fitted.
    n, events
        Patients and deaths that it was fitted on.
    reason
        Why the slope was not fitted though it was asked for; "" where it was.
    """

    intercept: float
    slope: float
    n: int
    events: int
    reason: str = ""

    def apply(self, log_risk: ArrayLike) -> Floats:
        """Return intercept + slope x log_risk, the log_risk that gives the recalibrated survival, of the shape of log_risk."""
        return np.asarray(self.intercept + self.slope * np.asarray(log_risk, dtype=float))


def recalibrate(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, baseline: BaselineHazard, *, with_slope: bool = False) -> Recalibration:
    """Fit the level of a model's probabilities, and their spread if asked for, to patients that the model was not fitted on.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    baseline
        Of the model; later days than its last one do not count.
    with_slope
        Whether the spread is fitted too.

    Returns
    -------
    Recalibration
        The slope is the Cox coefficient of log_risk; the intercept the log of observed over expected deaths with it.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "no death is expected ...".

    Notes
    -----
    A slope that is not positive would turn the ranks round, and one of perfectly ordered deaths has no value: the level alone is fitted then.

    References
    ----------
    van Houwelingen 2000, Stat Med 19:3401; Crowson et al. 2016, Stat Methods Med Res 25:1692.

    Examples
    --------
    >>> from penumbra.survival import breslow_baseline, recalibrate
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> baseline = breslow_baseline(event, time, log_risk)
    >>> fitted = recalibrate([0, 1, 0, 0, 1, 0, 0, 0], time, log_risk, baseline)
    >>> round(fitted.intercept, 4), fitted.slope, fitted.events
    (-0.9163, 1.0, 2)
    """
    events, times = checked_outcome(event, time)
    risk = checked_risk(log_risk, events.size)
    last = baseline.last_day
    died, days = events & ~beyond(times, last), np.minimum(times, last)
    slope, reason = 1.0, ""
    if with_slope:
        try:
            fitted = calibration_slope(died, days, risk).value
            slope, reason = (fitted, "") if fitted > 0 else (1.0, f"the slope is not positive ({fitted:.2f})")
        except Undefined as undefined:
            reason = str(undefined)
    level = calibration_intercept(died, baseline.at(days) * np.exp(slope * risk))
    return Recalibration(level.value, slope, events.size, int(died.sum()), reason)


def left_out_in_turn(
    event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, baseline: BaselineHazard, *, with_slope: bool = False, folds: int = 5, seed: int = 0
) -> Floats:
    """Return the recalibrated log_risk (n,) of each patient, by a recalibration on the other folds; nan where one could not be fitted.

    Folds hold equal shares of the deaths.
    """
    events, times = checked_outcome(event, time)
    risk = checked_risk(log_risk, events.size)
    fold = assign_folds(events, folds, np.random.default_rng(seed))
    recalibrated: Floats = np.full(events.size, np.nan)
    for number in np.unique(fold):
        held_out = fold == number
        try:
            fitted = recalibrate(events[~held_out], times[~held_out], risk[~held_out], baseline, with_slope=with_slope)
        except Undefined:
            continue
        recalibrated[held_out] = fitted.apply(risk[held_out])
    return recalibrated
