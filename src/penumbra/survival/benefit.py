"""Decision curve: the net benefit of treating patients above a threshold, compared with treating all or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.groups import kaplan_meier
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_horizon, checked_outcome, checked_risk


@dataclass(frozen=True)
class NetBenefit:
    """Net benefit at each threshold (t,): of the model and of treating all; treating none is worth 0.

    Parameters
    ----------
    thresholds : shape (t,)
        Probabilities from which on a patient is treated.
    model, treat_all : shape (t,)
        Net benefit of treating those whom the model puts at or above the threshold, and of treating all.
    reasons
        One per threshold: why the model's is nan (nobody at or above it was followed to the horizon); "" where it is not.
    """

    thresholds: Floats
    model: Floats
    treat_all: Floats
    reasons: tuple[str, ...] = ()


def net_benefit(event: ArrayLike, time: ArrayLike, death: ArrayLike, horizon: float, thresholds: ArrayLike) -> NetBenefit:
    """Return the net benefit of acting on those whose predicted probability to have died by the horizon is at or above a threshold.

    True positives less false positives weighted by the odds of the threshold, per patient; deaths by the horizon are counted by
    Kaplan-Meier among those above it, so that patients censored earlier stay in.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    death : shape (n,)
        Predicted probability to have died by the horizon.
    horizon : days
        Not beyond the longest follow-up.
    thresholds : shape (t,), probabilities
        0 < t < 1.

    Returns
    -------
    NetBenefit
        Of the model and of treating everybody, at each threshold.

    Raises
    ------
    Undefined
        "nobody is followed to day ...".
    ValueError
        "horizon must be a positive number of days ...", "thresholds must lie between 0 and 1 ...".

    References
    ----------
    Vickers and Elkin 2006, Med Decis Making 26:565; Vickers et al. 2008, BMC Med Inform Decis Mak 8:53 (censoring).

    Examples
    --------
    >>> from penumbra.survival import net_benefit
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> died = [0.9, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    >>> curve = net_benefit(event, time, died, 365, [0.2, 0.5])
    >>> curve.model.round(3), curve.treat_all.round(3)
    (array([0.289, 0.5  ]), array([ 0.25, -0.2 ]))
    """
    events, times = checked_outcome(event, time)
    predicted = checked_risk(death, events.size, "death")
    levels = np.atleast_1d(np.asarray(thresholds, dtype=float))
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"thresholds must lie between 0 and 1, both excluded; found {thresholds!r}")
    day = checked_horizon(horizon, times)
    if times.max() < day:
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {times.max():g})")
    everybody = np.ones(events.size, dtype=bool)
    odds = levels / (1.0 - levels)
    model = [_benefit(events, times, predicted >= level, day, odd) for level, odd in zip(levels, odds, strict=True)]
    treat_all = [_benefit(events, times, everybody, day, odd) for odd in odds]
    reasons = [
        f"nobody at or above {level:g} is followed to day {horizon:g} (last at day {times[predicted >= level].max():g})" if np.isnan(value) else ""
        for level, value in zip(levels, model, strict=True)
    ]
    return NetBenefit(levels, np.array(model), np.array(treat_all), tuple(reasons))


def _benefit(event: Bools, time: Floats, treated: Bools, horizon: float, odds: float) -> float:
    if not treated.any():
        return 0.0
    died = 1.0 - float(kaplan_meier(event[treated], time[treated]).at([horizon])[0][0])
    return float(treated.mean() * (died - (1.0 - died) * odds))
