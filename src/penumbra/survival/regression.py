"""Cox regression by Newton's method: one column at a time for a thousand columns at once, or all columns together.

Both fits sort the patients from the longest time to the shortest, so that every risk set is a prefix and its sums come from cumulative sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import LARGEST, Bools, Floats, Undefined, checked_covariates, checked_outcome, require_events

TIES = ("efron", "breslow")
MAX_STEPS = 60
RUNAWAY = 300.0  # no two patients of a real fit differ by this in log hazard
CACHE_VALUES = 200_000  # columns are fitted in blocks of about this many values: faster than all at once, and bounded memory


@dataclass(frozen=True)
class UnivariateCox:
    """One Cox model per column of X.

    Parameters
    ----------
    coef, se, z, p : shape (p,)
        Per unit of the column; p by Wald's test.
    log_likelihood : shape (p,)
        At coef.
    log_likelihood_null
        At zero; the same for all columns.
    reason : shape (p,)
        "" where fitted; else why coef, se, z and p are nan: "constant", "not finite" or "separation".
    """

    coef: Floats
    se: Floats
    z: Floats
    p: Floats
    log_likelihood: Floats
    log_likelihood_null: float
    reason: np.ndarray


@dataclass(frozen=True)
class CoxFit:
    """A Cox model of p columns.

    Parameters
    ----------
    coef, se, z, p : shape (p,)
        Per unit of the column; p by Wald's test.
    log_likelihood, log_likelihood_null
        At coef and at zero.
    covariance : shape (p, p)
        Of the coefficients.
    ridge
        As used in the fit.
    """

    coef: Floats
    se: Floats
    z: Floats
    p: Floats
    log_likelihood: float
    log_likelihood_null: float
    covariance: Floats
    ridge: float


@dataclass(frozen=True)
class RiskSets:
    """Patients sorted from long to short time; one entry per death: its row, the last row of its risk set, its tie group, Efron's share l/d."""

    order: np.ndarray
    died: np.ndarray
    last: np.ndarray
    group_start: np.ndarray
    group: np.ndarray
    share: Floats
    group_last: np.ndarray


def risk_sets(event: Bools, time: Floats, ties: str) -> RiskSets:
    """Return who is at risk at each death."""
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}; found {ties!r}")
    order = np.lexsort((event, -time))
    sorted_time = time[order]
    died = np.flatnonzero(event[order])
    last = np.searchsorted(-sorted_time, -sorted_time[died], side="right") - 1
    starts = np.flatnonzero(np.r_[True, last[1:] != last[:-1]]) if died.size else np.zeros(0, int)
    sizes = np.diff(np.r_[starts, died.size])
    group = np.repeat(np.arange(starts.size), sizes)
    share = (np.arange(died.size) - starts[group]) / sizes[group] if died.size else np.zeros(0)
    if ties == "breslow":
        share = np.zeros(died.size)
    return RiskSets(order, died, last, starts, group, share, last[starts])


def univariate_cox(event: ArrayLike, time: ArrayLike, X: ArrayLike, *, ties: str = "efron") -> UnivariateCox:
    """Fit one Cox model per column of X, all columns at once.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        One column per model, in any unit.
    ties
        "efron" or "breslow".

    Returns
    -------
    UnivariateCox
        Its coef, se, z, p, log_likelihood and reason have shape (p,).

    Raises
    ------
    Undefined
        "no event among n patients ...".
    ValueError
        As checked_outcome.

    Notes
    -----
    A column that is constant (among everybody, or among those at risk at each death), not finite, or separates the deaths perfectly (its
    coefficient would be infinite) has nan and a reason.

    References
    ----------
    Cox 1972, JRSS B 34:187; Efron 1977, JASA 72:557. Equals R's survival::coxph.

    Examples
    --------
    >>> from penumbra.survival import univariate_cox
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> X = [[0.5, 1.0], [0.1, -0.4], [1.1, 0.3], [-0.2, 0.8], [0.4, -1.2], [0.3, -0.1], [-1.3, 0.2], [-0.9, -0.6]]
    >>> models = univariate_cox(event, time, X)
    >>> models.coef.round(3), models.p.round(3)
    (array([0.985, 1.556]), array([0.237, 0.159]))
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    covariates = checked_covariates(X, events.size, finite=False)
    sets = risk_sets(events, times, ties)
    n, p = covariates.shape
    coef, se, gain = np.full(p, np.nan), np.full(p, np.nan), np.full(p, np.nan)
    reason = np.full(p, "", dtype="<U10")
    null = float(-np.sum(np.log((sets.last + 1.0) - sets.share * np.bincount(sets.group)[sets.group])))
    block = max(1, CACHE_VALUES // n)
    for start in range(0, p, block):
        here = slice(start, min(start + block, p))
        coef[here], se[here], gain[here], reason[here] = _fit_columns(covariates[sets.order, here], sets)
    z = coef / se
    return UnivariateCox(coef, se, z, two_sided_p(z), null + gain, null, reason)


def two_sided_p(z: ArrayLike) -> Floats:
    """Return the two-sided p of a standard normal z."""
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(np.asarray(z, dtype=float))))


def _fit_columns(x: Floats, sets: RiskSets) -> tuple[Floats, Floats, Floats, np.ndarray]:
    """Return coef, se, gain of log-likelihood over zero, and reason for the columns of x (n, q), rows sorted as sets.order."""
    q = x.shape[1]
    coef, se, gain = np.full(q, np.nan), np.full(q, np.nan), np.full(q, np.nan)
    reason = np.full(q, "", dtype="<U10")
    finite = (np.abs(x) < LARGEST).all(axis=0)
    reason[~finite] = "not finite"
    with np.errstate(invalid="ignore", over="ignore"):
        mean, scale = x.mean(axis=0), x.std(axis=0)
        # a constant column of 0.1 has a standard deviation of 1e-17, not of 0
        constant = finite & ~(scale > 1e-12 * np.maximum(np.abs(mean), np.finfo(float).tiny))
    reason[constant] = "constant"
    usable = np.flatnonzero(finite & ~constant)
    if usable.size == 0:
        return coef, se, gain, reason
    z = (x[:, usable] - mean[usable]) / scale[usable]
    highest, lowest = np.maximum.accumulate(z)[sets.last], np.minimum.accumulate(z)[sets.last]
    separated = (z[sets.died] == highest).all(axis=0) | (z[sets.died] == lowest).all(axis=0)
    reason[usable[separated]] = "separation"
    reason[usable[(highest == lowest).all(axis=0)]] = "constant"
    usable, z = usable[~separated], z[:, ~separated]

    beta = np.zeros(usable.size)
    likelihood, gradient, information = _column_derivatives(z, beta, sets)
    at_zero = likelihood.copy()
    active = np.arange(usable.size)
    for _ in range(MAX_STEPS):
        step = gradient[active] / information[active]
        moving = np.abs(step) > 1e-11 * (1.0 + np.abs(beta[active]))
        active, step = active[moving], step[moving]
        if active.size == 0:
            break
        for _ in range(40):
            trial = _column_derivatives(z[:, active], beta[active] + step, sets)
            worse = ~(trial[0] >= likelihood[active] - 1e-12 * np.abs(likelihood[active]))
            if not worse.any():
                break
            step = np.where(worse, 0.5 * step, step)
        beta[active] += step
        likelihood[active], gradient[active], information[active] = trial
    coef[usable] = beta / scale[usable]
    se[usable] = 1.0 / (np.sqrt(information) * scale[usable])
    gain[usable] = likelihood - at_zero
    return coef, se, gain, reason


def _column_derivatives(z: Floats, beta: Floats, sets: RiskSets) -> tuple[Floats, Floats, Floats]:
    """Return log-likelihood, its gradient and information per column."""
    eta = z * beta
    eta -= eta.max(axis=0)
    weight = np.exp(eta)
    first, second = weight * z, weight * z * z
    sums = [np.cumsum(part, axis=0)[sets.group_last][sets.group] for part in (weight, first, second)]
    if sets.share.any():
        share = sets.share[:, None]
        for total, part in zip(sums, (weight, first, second), strict=True):
            total -= share * np.add.reduceat(part[sets.died], sets.group_start, axis=0)[sets.group]
    total, first, second = sums
    # a step so long that a whole risk set underflows is not taken: it counts as worse and is halved
    thin = ~(total > 1e-290).all(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / total
        likelihood = np.where(thin, -np.inf, np.sum(eta[sets.died] - np.log(total), axis=0))
        gradient = np.sum(z[sets.died] - mean, axis=0)
        information = np.sum(second / total - mean * mean, axis=0)
    return likelihood, gradient, information


def cox_fit(event: ArrayLike, time: ArrayLike, X: ArrayLike, *, ties: str = "efron", ridge: float = 0.0) -> CoxFit:
    """Fit one Cox model of all columns of X by Newton's method with step halving.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        The columns of the model, in any unit.
    ties
        "efron" or "breslow".
    ridge
        Penalty: ridge / 2 times the sum of squared coefficients of the columns scaled to standard deviation 1 is subtracted from the log-likelihood; 0 =
        none. A positive value also fits what has no finite maximum.

    Returns
    -------
    CoxFit
        With coef, se, z, p, their covariance, and the log-likelihood.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "column 3 is constant ..." / "columns are linearly dependent: rank r of p ..." / "... among those at risk at the
        deaths ..." / "the columns separate the deaths perfectly ...".
    ValueError
        "ridge must be finite and not negative; found ...".

    References
    ----------
    Cox 1972, JRSS B 34:187; Efron 1977, JASA 72:557. Equals R's survival::coxph.

    Examples
    --------
    >>> from penumbra.survival import cox_fit
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> X = [[0.5, 1.0], [0.1, -0.4], [1.1, 0.3], [-0.2, 0.8], [0.4, -1.2], [0.3, -0.1], [-1.3, 0.2], [-0.9, -0.6]]
    >>> model = cox_fit(event, time, X)
    >>> model.coef.round(3), model.se.round(3)
    (array([1.092, 1.692]), array([0.884, 1.218]))
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    covariates = checked_covariates(X, events.size)
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge must be finite and not negative; found {ridge}")
    sets = risk_sets(events, times, ties)
    mean, scale = covariates.mean(axis=0), covariates.std(axis=0)
    constant = np.flatnonzero(~(scale > 1e-12 * np.maximum(np.abs(mean), np.finfo(float).tiny)))
    if constant.size:
        raise Undefined(f"column {constant[0]} is constant among {events.size} patients: drop it")
    z = ((covariates - mean) / scale)[sets.order]
    p = z.shape[1]
    rank = int(np.linalg.matrix_rank(z, tol=1e-10 * np.sqrt(z.size)))
    if rank < p and ridge == 0:
        raise Undefined(f"columns are linearly dependent: rank {rank} of {p} columns among {events.size} patients: drop columns or set ridge")

    beta = np.zeros(p)
    likelihood, gradient, information = derivatives(z, beta, sets, ridge)
    null, information_at_zero = likelihood, information
    if ridge == 0 and not _curved(information, int(events.sum())):
        raise Undefined(
            f"columns are constant or linearly dependent among those at risk at the deaths ({int(events.sum())} events, {p} columns): drop columns or set ridge"
        )
    for _ in range(MAX_STEPS):
        step = _solved(information, gradient)
        if float(step @ gradient) < 1e-20 * (1.0 + abs(likelihood)):
            break
        for _ in range(40):
            trial = derivatives(z, beta + step, sets, ridge)
            if trial[0] >= likelihood - 1e-12 * abs(likelihood):
                break
            step = 0.5 * step
        else:
            break
        beta = beta + step
        likelihood, gradient, information = trial
        if ridge == 0 and (np.ptp(z @ beta) > RUNAWAY or _flattened(information, information_at_zero)):
            raise Undefined(f"the columns separate the deaths perfectly ({int(events.sum())} events, {p} columns): no finite maximum; set ridge")
    covariance = np.linalg.inv(information) / np.outer(scale, scale)
    coef, se = beta / scale, np.sqrt(np.diag(covariance))
    unpenalized = likelihood + 0.5 * ridge * float(beta @ beta)
    return CoxFit(coef, se, coef / se, two_sided_p(coef / se), unpenalized, null, covariance, float(ridge))


def partial_likelihood(log_risk: Floats, sets: RiskSets) -> float:
    """Return the log partial likelihood at log_risk (n,), rows sorted as sets.order."""
    eta = log_risk - log_risk.max()
    weight = np.exp(eta)
    tie_weight = np.add.reduceat(weight[sets.died], sets.group_start)[sets.group]
    total = np.cumsum(weight)[sets.last] - sets.share * tie_weight
    with np.errstate(divide="ignore"):
        return float(np.sum(eta[sets.died] - np.log(total)))


def _solved(information: Floats, gradient: Floats) -> Floats:
    try:
        return np.linalg.solve(information, gradient)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(information, gradient, rcond=None)[0]


def _curved(information: Floats, events: int) -> bool:
    """Whether the information at zero (p, p), of columns with standard deviation 1, is more than rounding in every direction."""
    values = np.linalg.eigvalsh(information)
    return bool(values[0] > max(1e-12 * values[-1], 1e-14 * events))


def _flattened(information: Floats, at_zero: Floats) -> bool:
    """Whether the likelihood has gone flat in some direction, as it does when a coefficient runs away: at a true maximum it stays curved."""
    values, vectors = np.linalg.eigh(at_zero)
    if values[0] <= 1e-12 * values[-1]:
        return True
    root = vectors / np.sqrt(values)
    return bool(np.linalg.eigvalsh(root.T @ information @ root)[0] < 1e-7)


def derivatives(z: Floats, beta: Floats, sets: RiskSets, ridge: float) -> tuple[float, Floats, Floats]:
    """Return penalized log-likelihood, gradient (p,) and information (p, p) without ever holding n matrices of p x p."""
    n, p = z.shape
    eta = z @ beta
    eta -= eta.max()
    weight = np.exp(eta)
    tie_weight = np.add.reduceat(weight[sets.died], sets.group_start)[sets.group]
    total = np.cumsum(weight)[sets.last] - sets.share * tie_weight
    if not (total > 1e-290).all():
        # a step so long that a whole risk set underflows is not taken: it counts as worse and is halved
        return -np.inf, np.zeros(p), np.eye(p)
    first = np.cumsum(weight[:, None] * z, axis=0)[sets.group_last][sets.group]
    first -= sets.share[:, None] * np.add.reduceat(weight[sets.died, None] * z[sets.died], sets.group_start, axis=0)[sets.group]
    mean = first / total[:, None]
    # how often each patient counts in the second moments: once per death at or before their time, less Efron's share of the own tie
    multiplicity = np.zeros(n)
    np.add.at(multiplicity, sets.last, 1.0 / total)
    multiplicity = np.cumsum(multiplicity[::-1])[::-1]
    multiplicity[sets.died] -= np.add.reduceat(sets.share / total, sets.group_start)[sets.group]
    information = (z * (weight * multiplicity)[:, None]).T @ z - mean.T @ mean + ridge * np.eye(p)
    likelihood = float(np.sum(eta[sets.died] - np.log(total))) - 0.5 * ridge * float(beta @ beta)
    gradient = np.sum(z[sets.died] - mean, axis=0) - ridge * beta
    return likelihood, gradient, information
