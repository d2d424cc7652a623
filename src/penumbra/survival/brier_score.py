"""The Brier score: the squared error of predicted survival, at one horizon and over many."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.agreement import followed_horizon, probabilities
from penumbra.survival.censoring import censoring_survival
from penumbra.survival.outcome import Bools, Floats, checked_outcome


def brier(event: ArrayLike, time: ArrayLike, survival: ArrayLike, horizon: float) -> float:
    """Return the Brier score at a horizon, weighted by the inverse probability of censoring.

    Mean of (0 - S)^2 / G(t-) over deaths by the horizon and (1 - S)^2 / G(horizon-) over those alive then; who was censored earlier adds 0.
    The status at the horizon is known of everybody who was not censored before it, so that those censored exactly at it are alive then and
    the weight of the living is that of just before the horizon; it differs from G(horizon) only where somebody is censored on that day.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    survival : shape (n,)
        Predicted probability to be alive at the horizon.
    horizon : days
        Not beyond the longest follow-up.

    Returns
    -------
    float
        The score: 0 is perfect, 0.25 what a prediction of 0.5 for everybody has where nobody is censored.

    Raises
    ------
    Undefined
        "nobody is followed to day ...".

    References
    ----------
    Graf et al. 1999, Stat Med 18:2529. Equals R's riskRegression::Score.

    Examples
    --------
    >>> from penumbra.survival import brier
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> alive = [0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    >>> round(brier(event, time, alive, 365), 4)
    0.095
    """
    events, times = checked_outcome(event, time)
    return float(_brier(events, times, probabilities(survival, events.size)[:, None], np.array([horizon], dtype=float))[0])


def integrated_brier(event: ArrayLike, time: ArrayLike, survival: ArrayLike, times_days: ArrayLike) -> float:
    """Return the Brier score averaged over times (trapezoidal rule).

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    survival : shape (n, k)
        Predicted probability to be alive at each of times_days.
    times_days : shape (k,), days
        Rising, k >= 2, not beyond the longest follow-up.

    Returns
    -------
    float
        The mean over the time between the first and the last of times_days.

    Raises
    ------
    Undefined
        "nobody is followed to day ...".
    ValueError
        "times_days must be at least two rising days; found ..." / "survival must have shape (n, k); found ...".

    Examples
    --------
    >>> from penumbra.survival import integrated_brier
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> import numpy as np
    >>> alive = np.tile([0.8, 0.6, 0.4], (8, 1))
    >>> round(integrated_brier(event, time, alive, [150, 350, 550]), 4)
    0.2087
    """
    events, times = checked_outcome(event, time)
    horizons = np.asarray(times_days, dtype=float)
    predicted = np.atleast_2d(np.asarray(survival, dtype=float))
    if horizons.ndim != 1 or horizons.size < 2 or not (np.diff(horizons) > 0).all():
        raise ValueError(f"times_days must be at least two rising days; found {times_days!r}")
    if predicted.shape != (events.size, horizons.size):
        raise ValueError(f"survival must have shape ({events.size}, {horizons.size}); found {predicted.shape}")
    predicted = np.stack([probabilities(column, events.size) for column in predicted.T], axis=1)
    scores = _brier(events, times, predicted, horizons)
    return float(np.trapezoid(scores, horizons) / (horizons[-1] - horizons[0]))


def brier_parts(event: ArrayLike, time: ArrayLike, survival: ArrayLike, horizon: float) -> Floats:
    """Return what each patient adds to the Brier score at a horizon, (n,); their mean is the score. Arguments and errors as `brier`."""
    events, times = checked_outcome(event, time)
    return _brier_parts(events, times, probabilities(survival, events.size)[:, None], np.array([horizon], dtype=float))[:, 0]


def _brier(event: Bools, time: Floats, survival: Floats, horizons: Floats) -> Floats:
    return np.asarray(np.mean(_brier_parts(event, time, survival, horizons), axis=0))


def _brier_parts(event: Bools, time: Floats, survival: Floats, horizons: Floats) -> Floats:
    days = np.array([followed_horizon(time, float(horizon)) for horizon in horizons])
    censoring = censoring_survival(event, time)
    # G just before a day to which somebody is followed is above 0, so that no weight is infinite
    died_weight = np.where(event, 1.0 / np.where(event, censoring.left_limit(time), 1.0), 0.0)
    dead = (time[:, None] <= days) & event[:, None]
    alive = (time[:, None] > days) | ((time[:, None] == days) & ~event[:, None])
    return np.asarray(dead * survival**2 * died_weight[:, None] + alive * (1.0 - survival) ** 2 / censoring.left_limit(days))
