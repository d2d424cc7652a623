"""Area under the ROC curve at a horizon, in both definitions in use, with confidence limits and DeLong's test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.case_status import cases_and_controls, require_two
from penumbra.survival.censoring import CensoringSurvival, censoring_survival
from penumbra.survival.concordance import NO_SPREAD
from penumbra.survival.outcome import Bools, Floats, Undefined
from penumbra.survival.regression import two_sided_p


@dataclass(frozen=True)
class Auc:
    """auc with standard error and limits (clipped to 0 .. 1); cases died by the horizon, controls outlived it.

    An area of exactly 0 or 1 has a standard error of 0 and limits equal to itself in both definitions (as in pROC): with every pair in order,
    these estimates of the error know of no other outcome.
    """

    auc: float
    se: float
    lower: float
    upper: float
    cases: int
    controls: int


@dataclass(frozen=True)
class AucDifference:
    """Two areas on the same patients, difference = a - b with standard error, limits, z and two-sided p."""

    z: float
    p: float
    auc_a: float
    auc_b: float
    difference: float
    se: float
    lower: float
    upper: float


@dataclass(frozen=True)
class RocCurve:
    """Points of the ROC curve from (0, 0) to (1, 1), one per distinct risk.

    Parameters
    ----------
    false_positive_rate, true_positive_rate : shape (k,)
        Shares of the controls and of the cases at or above the threshold.
    threshold : shape (k,)
        Of the risk, falling.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats


def auc_binary(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, horizon: float, *, level: float = 0.95) -> Auc:
    """Return the AUC for the status at the horizon: dead by it, or known to be alive then; who was censored earlier is left out.

    Leaving patients out assumes that censoring before the horizon is rare or unrelated to survival; auc_ipcw weights instead.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    horizon : days
        Day at which the status is asked for.
    level
        Of the limits: 0.95 for 95 %.

    Returns
    -------
    Auc
        The area with its standard error and limits, and how many cases and controls it compares.

    Raises
    ------
    Undefined
        "nobody died by day ..." / "nobody is followed to day ..." / "one case or one control only: ...".

    References
    ----------
    DeLong et al. 1988, Biometrics 44:837 (variance). Equals R's pROC::roc and ci.auc.

    Examples
    --------
    >>> from penumbra.survival import auc_binary
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> area = auc_binary(event, time, log_risk, 365)
    >>> round(area.auc, 4), round(area.se, 4), area.cases, area.controls
    (0.8333, 0.1863, 3, 4)
    """
    _, _, case, control, (risk,) = cases_and_controls(event, time, horizon, log_risk)
    require_two(case, control)
    above, below = _placements(risk[case], risk[control])
    auc = float(above.mean())
    se = float(np.sqrt(_covariance(above[None], below[None])[0, 0]))
    return _limited(auc, se, int(case.sum()), int(control.sum()), level)


def delong_test(event: ArrayLike, time: ArrayLike, log_risk_a: ArrayLike, log_risk_b: ArrayLike, horizon: float) -> AucDifference:
    """Compare the AUC of two risks at a horizon on the same patients; status as `auc_binary`.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk_a, log_risk_b : shape (n,)
        Of the two models; higher = earlier death.
    horizon : days
        Day at which the status is asked for.

    Returns
    -------
    AucDifference
        Both areas, a - b with standard error and 95 % limits, z and two-sided p.

    Raises
    ------
    Undefined
        As auc_binary; "the areas ... have no standard error: ...".

    References
    ----------
    DeLong et al. 1988, Biometrics 44:837. Equals R's pROC::roc.test(method = "delong", paired = TRUE).

    Examples
    --------
    >>> from penumbra.survival import delong_test
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> risk_a = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> risk_b = [0.2, 0.9, 0.4, -0.1, 0.3, 0.1, -0.2, 0.0]
    >>> test = delong_test(event, time, risk_a, risk_b, 365)
    >>> round(test.auc_a, 4), round(test.auc_b, 4), round(test.p, 3)
    (0.8333, 0.6667, 0.589)
    """
    _, _, case, control, risks = cases_and_controls(event, time, horizon, log_risk_a, log_risk_b)
    require_two(case, control)
    placed = [_placements(risk[case], risk[control]) for risk in risks]
    above, below = (np.stack(part) for part in zip(*placed, strict=True))
    auc_a, auc_b = (float(a) for a in above.mean(axis=1))
    covariance = _covariance(above, below)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return _difference(auc_a, auc_b, float(np.sqrt(max(variance, 0.0))))


def auc_ipcw(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, horizon: float, *, level: float = 0.95) -> Auc:
    """Return the cumulative/dynamic AUC at the horizon, each death by then weighted by 1 / G(t-), with G of censoring as in `uno`.

    Controls all weigh 1 / G(horizon), which cancels. The standard error comes from the influence function and counts the estimation of G.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    horizon : days
        Day at which the status is asked for.
    level
        Of the limits: 0.95 for 95 %.

    Returns
    -------
    Auc
        The area with its standard error and limits, and how many cases and controls it compares.

    Raises
    ------
    Undefined
        As auc_binary: the influence function of a single case or control says nothing of how that patient was drawn.

    References
    ----------
    Uno et al. 2007, JASA 102:527; Hung and Chiang 2010, Can J Stat 38:8; Blanche et al. 2013, Stat Med 32:5381. Equals R's riskRegression::Score.

    Examples
    --------
    >>> from penumbra.survival import auc_ipcw
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> area = auc_ipcw(event, time, log_risk, 365)
    >>> round(area.auc, 4), round(area.se, 4)
    (0.8281, 0.1739)
    """
    events, times, case, control, (risk,) = cases_and_controls(event, time, horizon, log_risk)
    require_two(case, control)
    auc, influence = _weighted_auc(events, times, risk, case, control)
    return _limited(auc, _influence_error(influence), int(case.sum()), int(control.sum()), level)


def auc_ipcw_test(event: ArrayLike, time: ArrayLike, log_risk_a: ArrayLike, log_risk_b: ArrayLike, horizon: float) -> AucDifference:
    """Compare the weighted AUC of two risks at a horizon on the same patients; status and weights as auc_ipcw.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk_a, log_risk_b : shape (n,)
        Of the two models; higher = earlier death.
    horizon : days
        Day at which the status is asked for.

    Returns
    -------
    AucDifference
        Both areas, a - b with standard error and 95 % limits, z and two-sided p.

    Raises
    ------
    Undefined
        As auc_ipcw; "the areas ... have no standard error: ...".

    References
    ----------
    Blanche et al. 2013, Stat Med 32:5381 (difference of the influence functions). Equals the contrasts of R's riskRegression::Score.

    Examples
    --------
    >>> from penumbra.survival import auc_ipcw_test
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> risk_a = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> risk_b = [0.2, 0.9, 0.4, -0.1, 0.3, 0.1, -0.2, 0.0]
    >>> test = auc_ipcw_test(event, time, risk_a, risk_b, 365)
    >>> round(test.auc_a, 4), round(test.auc_b, 4), round(test.difference, 4)
    (0.8281, 0.6406, 0.1875)
    """
    events, times, case, control, risks = cases_and_controls(event, time, horizon, log_risk_a, log_risk_b)
    require_two(case, control)
    (a, of_a), (b, of_b) = (_weighted_auc(events, times, risk, case, control) for risk in risks)
    return _difference(a, b, _influence_error(of_a - of_b))


def _weighted_auc(event: Bools, time: Floats, risk: Floats, case: Bools, control: Bools) -> tuple[float, Floats]:
    """Return the weighted AUC and each patient's influence on it (n,)."""
    censoring = censoring_survival(event, time)
    weight = 1.0 / censoring.left_limit(time[case])
    share = weight / weight.sum()
    above = _placements(risk[case], risk[control])[0]
    # numerator and denominator are summed alike, so that a perfect order is exactly 1
    auc = float(np.sum(weight * above) / np.sum(weight))
    below = _weighted_placements(risk[case], share, risk[control])
    n = event.size
    influence = np.zeros(n)
    influence[case] += n * share * (above - auc)
    influence[control] += n / control.sum() * (below - auc)
    influence += n * _censoring_influence(censoring, time, event, time[case], share * (above - auc))
    return auc, influence


def _influence_error(influence: Floats) -> float:
    return float(np.sqrt(np.sum(influence**2) / (influence.size * max(influence.size - 1, 1))))


def roc_curve(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, horizon: float) -> RocCurve:
    """Return the ROC curve for the status at the horizon; status as `auc_binary`.

    A single case or control has a curve too.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    horizon : days
        Day at which the status is asked for.

    Returns
    -------
    RocCurve
        Rates of false and true positives, one point per distinct risk.

    Raises
    ------
    Undefined
        "nobody died by day ..." / "nobody is followed to day ...".

    Examples
    --------
    >>> from penumbra.survival import roc_curve
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> curve = roc_curve(event, time, log_risk, 365)
    >>> curve.false_positive_rate.round(2), curve.true_positive_rate.round(2)
    (array([0.  , 0.  , 0.25, 0.25, 0.25, 0.5 , 0.75, 1.  ]), array([0.  , 0.33, 0.33, 0.67, 1.  , 1.  , 1.  , 1.  ]))
    """
    _, _, case, control, (risk,) = cases_and_controls(event, time, horizon, log_risk)
    threshold = np.unique(risk[case | control])[::-1]
    rates = [1.0 - np.searchsorted(np.sort(risk[group]), threshold, side="left") / group.sum() for group in (control, case)]
    return RocCurve(np.r_[0.0, rates[0]], np.r_[0.0, rates[1]], np.r_[np.inf, threshold])


def _placements(case: Floats, control: Floats) -> tuple[Floats, Floats]:
    """Return for each case the share of controls it exceeds, for each control the share of cases that exceed it; ties count half."""
    from scipy.stats import rankdata

    together = rankdata(np.concatenate([case, control]))
    above = (together[: case.size] - rankdata(case)) / control.size
    below = 1.0 - (together[case.size :] - rankdata(control)) / case.size
    return above, below


def _weighted_placements(case: Floats, share: Floats, control: Floats) -> Floats:
    order = np.argsort(case)
    cumulated = np.concatenate([[0.0], np.cumsum(share[order])])
    at_or_below, below = (np.searchsorted(case[order], control, side=side) for side in ("right", "left"))
    return np.asarray(cumulated[-1] - 0.5 * (cumulated[at_or_below] + cumulated[below]))


def _covariance(above: Floats, below: Floats) -> Floats:
    """Return DeLong's covariance (k, k) of the areas of k risks."""

    def part(placed: Floats) -> Floats:
        return np.asarray(np.atleast_2d(np.cov(placed)) / placed.shape[1])

    return part(above) + part(below)


def _censoring_influence(censoring: CensoringSurvival, time: Floats, event: Bools, at: Floats, amount: Floats) -> Floats:
    """Return how each patient moves a sum of amount / G(at-) through the estimate of G, per unit of weight 1/n."""
    if censoring.times.size == 0:
        return np.zeros(time.size)
    order = np.argsort(at)
    later = np.concatenate([np.cumsum(amount[order][::-1])[::-1], [0.0]])[np.searchsorted(at[order], censoring.times, side="right")]
    # where all at risk are censored, G is 0 from there on and no amount comes later
    staying = censoring.at_risk - censoring.censored
    jump = np.divide(later, staying, out=np.zeros_like(later), where=staying > 0)
    drift = np.concatenate([[0.0], np.cumsum(jump * censoring.censored / censoring.at_risk)])
    # at risk of censoring at u: everybody with a longer time, and the censored of u (the dead of u left before)
    last = np.where(event, np.searchsorted(censoring.times, time, side="left"), np.searchsorted(censoring.times, time, side="right"))
    moved = -drift[last]
    moved[~event] += jump[np.searchsorted(censoring.times, time[~event])]
    return moved


def _difference(a: float, b: float, se: float) -> AucDifference:
    difference = a - b
    if se <= NO_SPREAD:
        if abs(difference) > NO_SPREAD:
            raise Undefined(f"the areas {a:g} and {b:g} have no standard error: one of the risks orders all cases and controls perfectly")
        # two risks of the same order: no difference, and rounding must not make one
        return AucDifference(0.0, 1.0, a, b, difference, se, difference, difference)
    z, reach = difference / se, _normal(0.95) * se
    return AucDifference(z, float(two_sided_p(z)), a, b, difference, se, difference - reach, difference + reach)


def _normal(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + 0.5 * level))


def _limited(auc: float, se: float, cases: int, controls: int, level: float) -> Auc:
    se = se if se > NO_SPREAD else 0.0
    reach = _normal(level) * se
    return Auc(auc, se, max(0.0, auc - reach), min(1.0, auc + reach), cases, controls)
