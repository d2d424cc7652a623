"""Deaths of patients as they come, against those that a model expects: observed minus expected, and a risk-adjusted CUSUM with simulated limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.horizons import beyond
from penumbra.survival.outcome import Bools, Floats, checked_risk


@dataclass(frozen=True)
class Stream:
    """Deaths and expected deaths of some patients in the order of days.

    Parameters
    ----------
    day : shape (k,)
        Rising, of each step.
    expected : shape (k,)
        Deaths expected up to and with the step.
    died : shape (k,), bool
        Whether the step is a death; else expectation alone grew.
    """

    day: Floats
    expected: Floats
    died: Bools

    @property
    def observed(self) -> np.ndarray:
        """Deaths up to and with each step, (k,)."""
        return np.cumsum(self.died)


@dataclass(frozen=True)
class Chart:
    """A CUSUM after each step of a stream.

    Parameters
    ----------
    value : shape (k,)
        The log likelihood ratio of the hazard ratio against 1, above its lowest so far.
    limit
        Beyond which it signals.
    signal
        The first step beyond; None: none yet.
    """

    value: Floats
    limit: float
    signal: int | None


def stream_of(
    event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, baseline: BaselineHazard, *, entered: ArrayLike | None = None, since: ArrayLike | None = None
) -> Stream:
    """Put the deaths of some patients, and those expected of a model, in the order of days.

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
    entered : shape (n,), days
        The day on which each patient's time began, on one calendar; None: the same day for everybody.
    since : shape (n,), days
        Of each patient's time, up to which it was known when the risk was given that the patient was alive: it expects nothing. None: 0.

    Returns
    -------
    Stream
        A step at each death, and where the baseline hazard of a patient has grown: at each of its times, and at the end of the follow-up.
    """
    died, times = np.asarray(event, dtype=bool), np.asarray(time, dtype=float)
    risk = checked_risk(log_risk, died.size)
    begin = np.zeros(died.size) if entered is None else np.asarray(entered, dtype=float)
    alive_until = np.zeros(died.size) if since is None else np.asarray(since, dtype=float)
    last = baseline.last_day
    counted, until = died & ~beyond(times, last) & (times > alive_until), np.minimum(times, last)
    edges = np.clip(np.concatenate([[0.0], baseline.times, [last]])[None, :], alive_until[:, None], until[:, None])  # (n, k), those of each patient's time
    growth = np.diff(baseline.at(edges), axis=1) * np.exp(risk)[:, None]
    patient, step = np.nonzero(growth > 0)
    days = np.concatenate([begin[patient] + edges[patient, step + 1], begin[counted] + times[counted]])
    amounts = np.concatenate([growth[patient, step], np.zeros(int(counted.sum()))])
    deaths = np.concatenate([np.zeros(step.size, dtype=bool), np.ones(int(counted.sum()), dtype=bool)])
    order = np.lexsort((deaths, days))  # on the same day the hazard comes first
    return Stream(days[order], np.cumsum(amounts[order]), deaths[order])


def cusum(stream: Stream, hazard_ratio: float, limit: float) -> Chart:
    """Follow a stream with a risk-adjusted CUSUM.

    Parameters
    ----------
    stream
        From `stream_of`.
    hazard_ratio
        That the chart looks for: above 1 more deaths than expected, below 1 fewer.
    limit
        Beyond which it signals, from `limit_of`.

    Returns
    -------
    Chart
        Its value after each step.

    References
    ----------
    Biswas and Kalbfleisch 2008, Stat Med 27:3382.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.survival.monitoring import Stream, cusum
    >>> stream = Stream(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.5]), np.array([False, True, True]))
    >>> cusum(stream, 2.0, 1.0).value.round(3), cusum(stream, 2.0, 1.0).signal
    (array([0.   , 0.693, 1.386]), 2)
    """
    ratio = math.log(hazard_ratio) * stream.observed - (hazard_ratio - 1) * stream.expected
    value = ratio - np.minimum(np.minimum.accumulate(ratio), 0.0) if ratio.size else ratio
    beyond_it = np.flatnonzero(value > limit)
    return Chart(value, limit, int(beyond_it[0]) if beyond_it.size else None)


def limit_of(hazard_ratio: float, *, false_alarms: float, expected: float, runs: int, seed: int) -> float:
    """Return the limit of a CUSUM that an in-control stream exceeds with a stated probability.

    Where the model is right, deaths counted over expected deaths are a Poisson process with rate 1, for any patients: one limit holds everywhere.

    Parameters
    ----------
    hazard_ratio
        As in `cusum`.
    false_alarms
        Share of in-control streams that signal.
    expected
        Before so many deaths are expected.
    runs, seed
        Of the simulation.

    Returns
    -------
    float
        The 1 - false_alarms quantile of the highest value of each simulated stream.

    Examples
    --------
    >>> from penumbra.survival.monitoring import limit_of
    >>> round(limit_of(2.0, false_alarms=0.05, expected=50, runs=2000, seed=1), 1)
    4.5
    """
    random, highest = np.random.default_rng(seed), np.empty(runs)
    for run in range(runs):
        deaths = np.sort(random.uniform(0, expected, random.poisson(expected)))
        highest[run] = _highest(deaths, expected, hazard_ratio)
    return float(np.quantile(highest, 1 - false_alarms))


def _highest(deaths: Floats, expected: float, hazard_ratio: float) -> float:
    """The highest value of a CUSUM whose deaths come at these expected deaths: looked at before and after each, and at the end."""
    number = np.arange(deaths.size)
    theta, slope = math.log(hazard_ratio), hazard_ratio - 1
    before, after = theta * number - slope * deaths, theta * (number + 1) - slope * deaths
    path = np.concatenate([np.column_stack([before, after]).ravel(), [theta * deaths.size - slope * expected]])
    return float((path - np.minimum(np.minimum.accumulate(path), 0.0)).max())
