"""Random-effects pooling over centers: the mean of a statistic, and the interval in which that of a new center is expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import t as student

from penumbra.survival.outcome import Floats, Undefined

MIN_CENTERS = 3  # below, the spread between centers cannot be told from chance, and the interval has no degree of freedom


@dataclass(frozen=True)
class Pooled:
    """mean over centers with limits, prediction interval for a new center, tau2 = variance between centers, centers = how many."""

    mean: float
    lower: float
    upper: float
    prediction_lower: float
    prediction_upper: float
    tau2: float
    centers: int


def pooled(values: ArrayLike, ses: ArrayLike, *, level: float = 0.95) -> Pooled:
    """Pool a statistic over centers: between-center variance by restricted maximum likelihood, limits by Hartung, Knapp, Sidik and Jonkman.

    values  shape (k,), one statistic of each center, on a scale where it is about normal; see pooled_c for a concordance.
    ses     shape (k,), their standard errors, positive.
    level   of the limits and of the prediction interval (Student's t with k - 1 and k - 2 degrees of freedom).

    Raises
      Undefined   "pooling needs at least 3 centers; found ..."

    Source: Viechtbauer 2005, J Educ Behav Stat 30:261 (REML); IntHout et al. 2014, BMC Med Res Methodol 14:25; Higgins et al. 2009,
    JRSS A 172:137 (prediction interval); as TRIPOD-Cluster asks (Debray et al. 2023, BMJ 380:e071018).
    """
    effects, errors = np.asarray(values, dtype=float), np.asarray(ses, dtype=float)
    if effects.ndim != 1 or effects.shape != errors.shape or not (np.isfinite(effects) & np.isfinite(errors) & (errors > 0)).all():
        raise ValueError(f"values and ses must be finite, of one shape (k,), ses positive; found {values!r} and {ses!r}")
    k = effects.size
    if k < MIN_CENTERS:
        raise Undefined(f"pooling needs at least {MIN_CENTERS} centers; found {k}")
    tau2 = _restricted_likelihood(effects, errors**2)
    weight = 1.0 / (errors**2 + tau2)
    mean = float(weight @ effects / weight.sum())
    spread = float(weight @ (effects - mean) ** 2 / (k - 1))
    # never narrower than without the correction: with few centers that happen to agree, it would promise too much
    se = float(np.sqrt(max(spread, 1.0) / weight.sum()))
    reach, further = student.ppf(0.5 + 0.5 * level, k - 1) * se, student.ppf(0.5 + 0.5 * level, k - 2) * float(np.sqrt(tau2 + se**2))
    return Pooled(mean, mean - reach, mean + reach, mean - further, mean + further, tau2, k)


def pooled_c(values: ArrayLike, ses: ArrayLike, *, level: float = 0.95) -> Pooled:
    """Pool concordances of shape (k,), on the logit scale (standard errors by the delta method); all but tau2 are concordances again.

    Source: Snell et al. 2018, Stat Methods Med Res 27:3505.
    """
    c, errors = np.asarray(values, dtype=float), np.asarray(ses, dtype=float)
    inside = (c > 0) & (c < 1)
    if not inside.all():
        raise Undefined(f"a concordance of {c[~inside][0]:g} has no logit: pooling has no value")
    found = pooled(logit(c), errors / (c * (1.0 - c)), level=level)
    mean, lower, upper, prediction_lower, prediction_upper = (
        float(expit(end)) for end in (found.mean, found.lower, found.upper, found.prediction_lower, found.prediction_upper)
    )
    return Pooled(mean, lower, upper, prediction_lower, prediction_upper, found.tau2, found.centers)


def _restricted_likelihood(effects: Floats, variances: Floats) -> float:
    """Return the tau2 where the restricted likelihood is flat; 0 where it falls from 0 on."""

    def slope(tau2: float) -> float:
        weight = 1.0 / (variances + tau2)
        mean = weight @ effects / weight.sum()
        return float(weight**2 @ (effects - mean) ** 2 - weight.sum() + (weight**2).sum() / weight.sum())

    if slope(0.0) <= 0:
        return 0.0
    high = float(np.var(effects, ddof=1)) + float(variances.max())
    while slope(high) > 0:
        high *= 2
    return float(brentq(slope, 0.0, high, xtol=1e-14, rtol=1e-12))
