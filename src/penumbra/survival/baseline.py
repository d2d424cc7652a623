"""The baseline hazard of a Cox model, and the survival that follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.horizons import DAYS_PER_YEAR, beyond
from penumbra.survival.outcome import Floats, checked_outcome, checked_risk, on_times, require_events
from penumbra.survival.regression import risk_sets

DAYS_PER_MONTH = DAYS_PER_YEAR / 12


@dataclass(frozen=True)
class BaselineHazard:
    """Cumulative hazard at log_risk = 0: it steps at each time of death and is constant from the last death to the last follow-up.

    On a grid of days it is linear in between: it then holds the day of nobody's death.

    Parameters
    ----------
    times : shape (k,), days
        Of the deaths, rising.
    cumulative_hazard : shape (k,)
        From that time on.
    followed : days
        Day of the last follow-up, death or censoring, of the patients that it was estimated from: nothing is known beyond. None: not recorded, and the last
        death is used instead.
    linear
        Whether times are those of a grid, and the hazard is linear between them, and from 0 at day 0.
    """

    times: Floats
    cumulative_hazard: Floats
    followed: float | None = None
    linear: bool = False

    @property
    def last_day(self) -> float:
        """The last day that it answers for."""
        return float(max(self.times, default=0.0)) if self.followed is None else self.followed

    def why_not(self, day: float) -> str:
        """Return why there is no survival at a day, as half a sentence; "" where there is one."""
        if not beyond(day, self.last_day):
            return ""
        last = math.floor(self.last_day)
        if self.followed is None:
            return f"no survival at day {day:g}: the last death of the training patients was on day {last}, and their follow-up is not recorded"
        return f"no survival at day {day:g}: the training patients were followed to day {last}"

    def at(self, times_days: ArrayLike) -> Floats:
        """Return the cumulative baseline hazard at times of any shape, nan beyond the last follow-up."""
        days = np.asarray(times_days, dtype=float)
        hazard = np.concatenate([[0.0], self.cumulative_hazard])
        if self.linear:
            values = np.interp(days, np.concatenate([[0.0], self.times]), hazard)
        else:
            values = hazard[np.searchsorted(self.times, on_times(days, self.times), side="right")]
        return np.where(beyond(days, self.last_day), np.nan, values)

    def on_grid(self, exact: Iterable[float] = ()) -> BaselineHazard:
        """Return the same hazard at the end of each month of 365.25 / 12 days, and on days of one's own, linear in between: the day of nobody's death.

        Parameters
        ----------
        exact : days
            On which the hazard is the same as before.

        Returns
        -------
        BaselineHazard
            It answers up to the last day of the grid within the follow-up.
        """
        months = DAYS_PER_MONTH * np.arange(1.0, np.floor(self.last_day / DAYS_PER_MONTH) + 1)
        declared = np.array([day for day in exact if day > 0 and not beyond(day, self.last_day)], dtype=float)
        days = np.union1d(months, declared)
        return BaselineHazard(days, self.at(days), float(days[-1]) if days.size else 0.0, linear=True)

    def survival(self, log_risk: ArrayLike, times_days: ArrayLike) -> Floats:
        """Return S(t) = exp(-H0(t) exp(log_risk)) of shape (n, k) for log_risk (n,) and times (k,) in days; nan beyond the last follow-up.

        R's summary(survfit(...), times = ) gives none there either.
        """
        hazard = self.at(np.atleast_1d(times_days))
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.exp(-np.exp(np.log(hazard)[None, :] + np.atleast_1d(np.asarray(log_risk, dtype=float))[:, None])))


def breslow_baseline(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike) -> BaselineHazard:
    """Estimate the cumulative baseline hazard at log_risk = 0: deaths at t over the sum of exp(log_risk) at risk, cumulated.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.

    Returns
    -------
    BaselineHazard
        It answers for survival up to the last day of follow-up.

    Raises
    ------
    Undefined
        "no event among n patients ...".

    References
    ----------
    Breslow 1972, JRSS B 34:216. Equals R's survfit(coxph(..., ties = "breslow")).

    Examples
    --------
    >>> from penumbra.survival import breslow_baseline
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> baseline = breslow_baseline(event, time, log_risk)
    >>> baseline.survival([0.0, 1.0], [365]).round(4)
    array([[0.6445],
           [0.303 ]])
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    risk = checked_risk(log_risk, events.size)
    sets = risk_sets(events, times, "breslow")
    shift = risk.max()
    at_risk = np.cumsum(np.exp(risk[sets.order] - shift))[sets.group_last]
    # a risk far below the highest one underflows to 0 here; its own risk set then needs its own shift
    log_at_risk = np.log(at_risk, where=at_risk > 0, out=np.full(at_risk.shape, -np.inf)) + shift
    thin = np.flatnonzero(~(at_risk > 1e-290))
    for i in thin:
        inside = risk[sets.order[: sets.group_last[i] + 1]]
        log_at_risk[i] = inside.max() + np.log(np.sum(np.exp(inside - inside.max())))
    deaths = np.bincount(sets.group)
    hazard = np.exp(np.minimum(np.log(deaths) - log_at_risk, 600.0))[::-1]
    return BaselineHazard(times[sets.order][sets.died[sets.group_start]][::-1], np.cumsum(hazard), float(times.max()))
