"""A challenger against other models on the same patients: what the gate decides on."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from penumbra import survival
from penumbra.evaluate.gate import Contrast, Evidence, GateLimits
from penumbra.survival import Undefined
from penumbra.survival.outcome import Outcomes
from penumbra.survival.within_centers import Pairs

ALL = "all centers"


def contrasts(outcomes: Outcomes, champion: np.ndarray, challenger: np.ndarray, baselines: Mapping[str, np.ndarray], limits: GateLimits) -> Evidence:
    """Differences in Harrell's C, challenger minus another model, with their limits: pairs of one center, patients resampled within each center.

    Parameters
    ----------
    champion, challenger : shape (n,) or (draws, n)
        log_risk; NaN where a model gives none, which leaves every difference with it undefined. Of several draws the pairs are the mean.
    baselines
        Name -> log_risk, likewise, of a model that must be beaten.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 16 (paired bootstrap).
    """
    several = _Contrasts(outcomes, [challenger, champion, *baselines.values()], limits)
    centers = tuple(several.contrast(name, "champion", 1, outcomes.centers == name, pairs) for name, pairs in several.by_center.items())
    baseline_rows = tuple(several.overall(name, which) for which, name in enumerate(baselines, 2))
    return Evidence(limits, several.overall("champion", 1), centers, baseline_rows)


def against(outcomes: Outcomes, challenger: np.ndarray, baselines: Mapping[str, np.ndarray], limits: GateLimits) -> tuple[Contrast, ...]:
    """The same against baselines alone, over all centers."""
    several = _Contrasts(outcomes, [challenger, *baselines.values()], limits)
    return tuple(several.overall(name, which) for which, name in enumerate(baselines, 1))


class _Contrasts:
    """The pairs of several models, each (n,) or (draws, n), of which the first is the challenger."""

    def __init__(self, outcomes: Outcomes, log_risks: Sequence[np.ndarray], limits: GateLimits) -> None:
        each = [np.atleast_2d(np.asarray(risk, dtype=float)) for risk in log_risks]
        self.outcomes, self.limits = outcomes, limits
        self.finite = np.stack([np.isfinite(risk).all(axis=0) for risk in each])
        finite_risks = [np.where(np.isfinite(risk), risk, 0.0) for risk in each]
        drawn_by = {"resamples": limits.resamples, "seed": limits.seed}
        self.by_center = survival.pairs_within(outcomes.event, outcomes.time, outcomes.centers, finite_risks, **drawn_by)
        self.pool = survival.together(self.by_center.values())

    def overall(self, name: str, which: int) -> Contrast:
        return self.contrast(ALL, name, which, np.ones(len(self.outcomes.centers), dtype=bool), self.pool)

    def contrast(self, center: str, name: str, which: int, here: np.ndarray, of: Pairs) -> Contrast:
        sizes = int(here.sum()), int(self.outcomes.event[here].sum()), int(of.comparable[0])
        try:
            missing = int((~self.finite[[0, which]][:, here]).any(axis=0).sum())
            if missing:
                raise Undefined(f"one of the two gives no risk to {missing} of {sizes[0]} patients")
            difference = of.difference(0, which)
        except Undefined as undefined:
            return Contrast(center, name, *sizes, math.nan, math.nan, False, math.nan, math.nan, math.nan, str(undefined))
        tail = 0.5 * (1.0 - self.limits.confidence)
        low, lower, upper = (difference.limit(share, self.limits.interval) for share in (self.limits.noise, tail, 1.0 - tail))
        return Contrast(center, name, *sizes, of.c(which), of.c(0), bool(of.constant[0]), low, lower, upper)
