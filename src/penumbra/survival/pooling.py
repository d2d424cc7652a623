"""Random-effects pooling over centers: the mean of a statistic, and the interval in which that of a new center is expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import Floats, Undefined

MIN_CENTERS = 3  # below, the spread between centers cannot be told from chance, and the interval has no degree of freedom


@dataclass(frozen=True)
class Pooled:
    """A statistic pooled over centers.

    Parameters
    ----------
    mean, lower, upper
        The mean over centers and its limits.
    prediction_lower, prediction_upper
        The interval in which that of a new center is expected.
    tau2
        Variance between centers.
    centers
        How many.
    """

    mean: float
    lower: float
    upper: float
    prediction_lower: float
    prediction_upper: float
    tau2: float
    centers: int


def pooled(values: ArrayLike, ses: ArrayLike, *, level: float = 0.95) -> Pooled:
    """Pool a statistic over centers: between-center variance by restricted maximum likelihood, limits by Hartung, Knapp, Sidik and Jonkman.

    Parameters
    ----------
    values : shape (k,)
        One statistic of each center, on a scale where it is about normal; see pooled_c for a concordance.
    ses : shape (k,)
        Their standard errors, positive.
    level
        Of the limits and of the prediction interval (Student's t with k - 1 and k - 2 degrees of freedom).

    Returns
    -------
    Pooled
        The mean over centers with limits, the prediction interval for a new center, and the variance between centers.

    Raises
    ------
    Undefined
        "pooling needs at least 3 centers; found ...".
    ValueError
        "values and ses must be finite, of one shape (k,), ses positive; found ...".

    References
    ----------
    Viechtbauer 2005, J Educ Behav Stat 30:261 (REML); IntHout et al. 2014, BMC Med Res Methodol 14:25; Higgins et al. 2009, JRSS A 172:137 (prediction
    interval); as TRIPOD-Cluster asks (Debray et al. 2023, BMJ 380:e071018).

    Examples
    --------
    >>> from penumbra.survival import pooled
    >>> over = pooled([0.40, 0.55, 0.30, 0.62], [0.10, 0.12, 0.09, 0.15])
    >>> f"{over.mean:.3f} ({over.lower:.3f} to {over.upper:.3f}), {over.centers} centers"
    '0.439 (0.215 to 0.663), 4 centers'
    """
    from scipy.stats import t as student

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
    """Pool concordances on the logit scale, standard errors by the delta method.

    Parameters
    ----------
    values : shape (k,)
        One concordance of each center, between 0 and 1.
    ses : shape (k,)
        Their standard errors, positive.
    level
        Of the limits and of the prediction interval, as in `pooled`.

    Returns
    -------
    Pooled
        All but tau2 are concordances again; tau2 is on the logit scale.

    Raises
    ------
    Undefined
        "a concordance of ... has no logit: pooling has no value" / "pooling needs at least 3 centers; found ...".

    References
    ----------
    Snell et al. 2018, Stat Methods Med Res 27:3505.

    Examples
    --------
    >>> from penumbra.survival import pooled_c
    >>> over = pooled_c([0.62, 0.66, 0.58, 0.70], [0.03, 0.04, 0.03, 0.05])
    >>> f"{over.mean:.3f} ({over.lower:.3f} to {over.upper:.3f})"
    '0.628 (0.548 to 0.701)'
    """
    from scipy.special import expit, logit

    c, errors = np.asarray(values, dtype=float), np.asarray(ses, dtype=float)
    inside = (c > 0) & (c < 1)
    if not inside.all():
        raise Undefined(f"a concordance of {c[~inside][0]:g} has no logit: pooling has no value")
    logits = pooled(logit(c), errors / (c * (1.0 - c)), level=level)
    mean, lower, upper, prediction_lower, prediction_upper = (
        float(expit(end)) for end in (logits.mean, logits.lower, logits.upper, logits.prediction_lower, logits.prediction_upper)
    )
    return Pooled(mean, lower, upper, prediction_lower, prediction_upper, logits.tau2, logits.centers)


def _restricted_likelihood(effects: Floats, variances: Floats) -> float:
    """Return the tau2 where the restricted likelihood is flat; 0 where it falls from 0 on."""
    from scipy.optimize import brentq

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
