"""Argument checks of every statistic: that an outcome, a risk or a table of covariates is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


LARGEST = 1e150  # of a covariate: sums of squares of larger ones leave the range of floats
SAME_TIME = float(np.sqrt(np.finfo(float).eps))  # 1.5e-8: neighboring times this close, absolutely or relative to their mean, are one (R's timefix)


class Undefined(ValueError):
    """The statistic has no value for these patients: nobody died, one group is empty, ... The message is the reason."""


@dataclass(frozen=True)
class Outcomes:
    """What became of n patients, and where they were treated.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,)
        Days.
    centers : shape (n,)
        Names.
    """

    event: np.ndarray
    time: np.ndarray
    centers: np.ndarray

    @classmethod
    def of_one_center(cls, event: ArrayLike, time: ArrayLike) -> Outcomes:
        """Patients of one center, whose name is of no interest."""
        return cls(np.asarray(event), np.asarray(time), np.full(np.shape(event), ""))

    def rows(self, chosen: np.ndarray) -> Outcomes:
        """Some of the patients, (n,) bool or indices."""
        return Outcomes(self.event[chosen], self.time[chosen], self.centers[chosen])

    @property
    def size(self) -> tuple[int, int]:
        """How many patients, and how many deaths."""
        return self.event.size, int(self.event.sum())


def checked_outcome(event: ArrayLike, time: ArrayLike) -> tuple[Bools, Floats]:
    """Return event as bool and time as float64, both of shape (n,); times that are equal but for rounding are made equal.

    Parameters
    ----------
    event : shape (n,), bool or 0/1
        True = died.
    time : shape (n,), days
        Finite and not negative.

    Raises
    ------
    ValueError
        "event must hold only 0/1 or True/False; found ... (event comes before time)" / "time must be finite and not negative; found ... at row ..." /
        "event and time must have the same shape (n,) with n > 0; found ...".
    """
    events, times = np.asarray(event), np.asarray(time)
    if events.ndim != 1 or events.shape != times.shape or events.size == 0:
        raise ValueError(f"event and time must have the same shape (n,) with n > 0; found {events.shape} and {times.shape}")
    if events.dtype != bool:
        events = _numbers(events, "event")
        strange = ~((events == 0) | (events == 1))
        if strange.any():
            raise ValueError(f"event must hold only 0/1 or True/False; found {events[strange][0]:g} (event comes before time)")
    times = _numbers(times, "time")
    strange = ~(np.isfinite(times) & (times >= 0))
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise ValueError(f"time must be finite and not negative; found {times[row]:g} at row {row}")
    return events.astype(bool), tied_times(times)


def tied_times(time: Floats) -> Floats:
    """Return times (n,) in which each run of times that differ only by rounding has the earliest value of the run.

    0.1 + 0.2 and 0.3 are one time, and so are 1.1 years in days and 401.775 days. Neighbors in the sorted distinct times are one when they
    differ by at most SAME_TIME, or by at most SAME_TIME times the mean of the distinct times.

    References
    ----------
    Therneau, vignette "Roundoff error and tied times" of R's survival package. Equals survival::aeqSurv (timefix = TRUE).
    """
    distinct = np.unique(time)
    apart = np.diff(distinct) > _tolerance(distinct)
    if apart.all():
        return time
    first = distinct[np.concatenate([[True], apart])]
    return np.asarray(first[np.searchsorted(first, time, side="right") - 1])


def on_times(queries: ArrayLike, times: Floats) -> Floats:
    """Return asked times, any shape, each replaced by the value of `times` (k,), rising, from which it differs only by rounding (see tied_times)."""
    values = np.asarray(queries, dtype=float)
    if times.size == 0:
        return values
    place = np.clip(np.searchsorted(times, values), 1, max(times.size - 1, 1))
    lower, upper = times[place - 1], times[np.minimum(place, times.size - 1)]
    nearest = np.where(np.abs(values - lower) <= np.abs(upper - values), lower, upper)
    return np.where(np.abs(values - nearest) <= _tolerance(times), nearest, values)


def checked_horizon(horizon: float, time: Floats) -> float:
    """Return a horizon in days, on the patients' time (n,) from which it differs only by rounding.

    Raises
    ------
    ValueError
        "horizon must be a positive number of days; found ...".
    """
    if not (np.isfinite(horizon) and horizon > 0):
        raise ValueError(f"horizon must be a positive number of days; found {horizon}")
    return float(on_times(horizon, np.unique(time)))


def _tolerance(distinct: Floats) -> float:
    return SAME_TIME * max(1.0, float(distinct.mean()))


def checked_risk(log_risk: ArrayLike, n: int, name: str = "log_risk") -> Floats:
    """Return log_risk as float64 of shape (n,).

    Parameters
    ----------
    log_risk : shape (n,)
        Higher = earlier death.

    Raises
    ------
    ValueError
        "log_risk must have shape (n,) ...; found ..." / "log_risk must be finite; found nan at row ...".
    """
    risk = _numbers(np.asarray(log_risk), name)
    if risk.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one value per patient; found {risk.shape}")
    strange = ~np.isfinite(risk)
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise ValueError(f"{name} must be finite; found {risk[row]} at row {row}: drop or impute it first")
    return risk


def checked_covariates(X: ArrayLike, n: int, *, finite: bool = True) -> Floats:
    """Return X as float64 of shape (n, p); a single column may come as (n,).

    Raises
    ------
    ValueError
        "X must have shape (n, p) ...; found ..." / "X must be finite; found nan in column ...".
    """
    covariates = _numbers(np.asarray(X), "X")
    if covariates.ndim == 1:
        covariates = covariates[:, None]
    if covariates.ndim != 2 or covariates.shape[0] != n or covariates.size == 0:
        raise ValueError(f"X must have shape ({n}, p) with p > 0, one row per patient; found {np.shape(X)}")
    if finite and not (np.abs(covariates) < LARGEST).all():
        row, column = (int(i) for i in np.argwhere(~(np.abs(covariates) < LARGEST))[0])
        if np.isfinite(covariates[row, column]):
            raise ValueError(f"X must lie within {LARGEST:g}, its squares overflow; found {covariates[row, column]:g} in column {column}, row {row}: scale it")
        raise ValueError(f"X must be finite; found {covariates[row, column]} in column {column}, row {row}: drop or impute it first")
    return covariates


def require_events(event: Bools) -> None:
    """Raise Undefined "no event among n patients ..." when nobody died."""
    if not event.any():
        raise Undefined(f"no event among {event.size} patients: nothing to compare or fit")


def within_follow_up(event: ArrayLike, time: ArrayLike, horizon: float) -> float:
    """Return the horizon where somebody is known to be alive then; else the last day at which at least two are.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    horizon : days
        The day asked for.

    Returns
    -------
    float
        Days.

    Raises
    ------
    Undefined
        "nobody is followed to day ...".

    Examples
    --------
    >>> from penumbra.survival import within_follow_up
    >>> within_follow_up([1, 0, 1, 0], [100, 250, 300, 400], 365)
    365.0
    >>> within_follow_up([1, 0, 1, 0], [100, 250, 300, 400], 730)
    250.0
    """
    events, times = checked_outcome(event, time)
    lasting = np.sort(times)
    censored = np.sort(times[~events])
    requested, horizon = horizon, float(on_times(horizon, np.unique(times)))

    def alive(days: Floats) -> NDArray[np.int64]:
        longer = times.size - np.searchsorted(lasting, days, side="right")
        return longer + np.searchsorted(censored, days, side="right") - np.searchsorted(censored, days, side="left")

    if alive(np.array([horizon]))[0] > 0:
        return float(requested)
    days = lasting[(alive(lasting) >= 2) & (lasting > 0)]
    if days.size == 0:
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {times.max():g})")
    return float(days[-1])


def _numbers(values: NDArray[Any], name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers; found values of type {values.dtype}") from None
