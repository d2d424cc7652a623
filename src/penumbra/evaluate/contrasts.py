"""A challenger against other models on the same patients: what the gate decides on."""

import math
from collections.abc import Mapping

import numpy as np

from penumbra import survival
from penumbra.evaluate.gate import Contrast, Evidence, GateLimits
from penumbra.survival import Undefined
from penumbra.survival.outcome import Outcomes
from penumbra.survival.within_centers import Pairs

ALL = "all centers"


def contrasts(
    outcomes: Outcomes,
    champion: np.ndarray,
    challenger: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    limits: GateLimits,
) -> Evidence:
    """Differences in Harrell's C, challenger minus another model, with their limits: pairs of one center, patients resampled within each center.

    Parameters
    ----------
    champion, challenger : shape (n,)
        log_risk; NaN where a model gives none, which leaves every difference with it undefined.
    baselines
        Name -> log_risk (n,) of a model that must be beaten.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 16 (paired bootstrap).
    """
    risks = np.stack([challenger, champion, *baselines.values()]).astype(float)
    finite = np.isfinite(risks)
    pairs = survival.pairs_within(outcomes.event, outcomes.time, outcomes.centers, np.where(finite, risks, 0.0), resamples=limits.resamples, seed=limits.seed)
    overall = survival.together(pairs.values())

    def contrast(center: str, against: str, which: int, here: np.ndarray, of: Pairs) -> Contrast:
        sizes = int(here.sum()), int(outcomes.event[here].sum()), int(of.comparable[0])
        try:
            missing = int((~finite[[0, which]][:, here]).any(axis=0).sum())
            if missing:
                raise Undefined(f"one of the two gives no risk to {missing} of {sizes[0]} patients")
            difference = of.difference(0, which)
        except Undefined as undefined:
            return Contrast(center, against, *sizes, math.nan, math.nan, False, math.nan, math.nan, math.nan, str(undefined))
        tail = 0.5 * (1.0 - limits.confidence)
        low, lower, upper = (difference.limit(share, limits.interval) for share in (limits.noise, tail, 1.0 - tail))
        return Contrast(center, against, *sizes, of.c(which), of.c(0), bool(of.constant[0]), low, lower, upper)

    everybody = np.ones(len(outcomes.centers), dtype=bool)
    return Evidence(
        limits,
        contrast(ALL, "champion", 1, everybody, overall),
        tuple(contrast(name, "champion", 1, outcomes.centers == name, of) for name, of in pairs.items()),
        tuple(contrast(ALL, name, which, everybody, overall) for which, name in enumerate(baselines, 2)),
    )
