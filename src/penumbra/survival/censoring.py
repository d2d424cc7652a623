"""The censoring distribution, for weights by the inverse probability of still being followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penumbra.survival.outcome import Bools, Floats


@dataclass(frozen=True)
class CensoringSurvival:
    """Kaplan-Meier estimate of not yet being censored: steps at times (k,), probability (k,), at_risk (k,) and censored (k,) there."""

    times: Floats
    probability: Floats
    at_risk: Floats
    censored: Floats

    def at(self, times: Floats) -> Floats:
        """Return G(t), for times of any shape."""
        return np.concatenate([[1.0], self.probability])[np.searchsorted(self.times, times, side="right")]

    def left_limit(self, times: Floats) -> Floats:
        """Return G(t-), the value just before t, for times of any shape."""
        return np.concatenate([[1.0], self.probability])[np.searchsorted(self.times, times, side="left")]


def censoring_survival(event: Bools, time: Floats) -> CensoringSurvival:
    """Estimate G; who dies at t left before anybody is censored at t, so that the dead of t are not at risk of censoring at t.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    """
    times, censored = np.unique(time[~event], return_counts=True)
    ordered, deaths = np.sort(time), np.sort(time[event])
    at_risk = time.size - np.searchsorted(ordered, times, side="left")
    at_risk = at_risk - (np.searchsorted(deaths, times, side="right") - np.searchsorted(deaths, times, side="left"))
    return CensoringSurvival(times, np.cumprod(1.0 - censored / at_risk), at_risk.astype(float), censored.astype(float))
