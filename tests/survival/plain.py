"""Second implementations of the survival statistics, written from their formulas with loops over patients; for small cohorts only.

Each returns None where the statistic has no value. Times are compared exactly: the caller hands in times without rounding errors.
"""

import math

import numpy as np
from scipy.optimize import linprog

NORMAL_95 = 1.959963984540054
Array = np.ndarray


def outlived(event: Array, time: Array, i: int, j: int) -> bool:
    """Whether i is known to have died before j."""
    return bool(event[i]) and bool(time[j] > time[i] or (time[j] == time[i] and not event[j]))


def order(first: float, second: float) -> float:
    return 1.0 if first > second else 0.5 if first == second else 0.0


def pair_tables(event: Array, time: Array, risk: Array) -> tuple[Array, Array]:
    """Which pairs (n, n) are comparable, and how well the risks order each."""
    n = range(len(event))
    comparable = np.array([[float(outlived(event, time, i, j)) for j in n] for i in n])
    return comparable, np.array([[order(risk[i], risk[j]) for j in n] for i in n])


def concordance(event: Array, time: Array, risk: Array, weight: Array | None = None) -> tuple[float, float, Array] | None:
    """C, its standard error, and the derivative of C for each patient's weight; `weight` (n,) of each death's pairs."""
    comparable, ordered = pair_tables(event, time, risk)
    table = comparable * (np.ones(len(event)) if weight is None else weight)[:, None]
    if not table.sum() > 0:
        return None
    c = float((table * ordered).sum() / table.sum())
    excess = table * (ordered - c)
    influence = (excess.sum(axis=0) + excess.sum(axis=1)) / table.sum()
    return c, math.sqrt(float((influence**2).sum())), influence


def censoring_before(event: Array, time: Array, day: float) -> float:
    """Kaplan-Meier of not being censored just before a day; who died on a day left before the censored of that day."""
    value = 1.0
    for u in sorted({t for t, e in zip(time, event, strict=True) if not e and t < day}):
        lost = sum(time[i] == u and not event[i] for i in range(len(event)))
        watched = sum(time[i] > u or (time[i] == u and not event[i]) for i in range(len(event)))
        value *= 1.0 - lost / watched
    return value


def kaplan_meier(event: Array, time: Array) -> list[tuple[float, float, float, int, int, int]]:
    """Per distinct time: time, survival, variance of its logarithm (Greenwood), at risk, deaths, censored."""
    rows, survival, variance = [], 1.0, 0.0
    for t in sorted(set(time.tolist())):
        watched = int((time >= t).sum())
        deaths = int(((time == t) & event).sum())
        survival *= 1 - deaths / watched
        variance = variance + deaths / (watched * (watched - deaths)) if watched > deaths else math.inf
        rows.append((t, survival, variance, watched, deaths, int(((time == t) & ~event).sum())))
    return rows


def survival_at(event: Array, time: Array, day: float) -> float | None:
    """Kaplan-Meier at a day; None after the last follow-up of a curve that is not down at 0."""
    value = 1.0
    for t, survival, *_ in kaplan_meier(event, time):
        if t <= day:
            value = survival
    return None if day > time.max() and value > 0 else value


def median(curve: list[tuple[float, float]]) -> float:
    """When a curve falls below one half; the middle of the step on which it equals one half; nan where it does neither."""
    for k, (t, value) in enumerate(curve):
        if abs(value - 0.5) < 1e-9:
            later = [u for u, lower in curve[k:] if lower < 0.5 - 1e-9]
            return (t + later[0]) / 2 if later else t
        if value < 0.5:
            return t
    return math.nan


def log_rank(event: Array, time: Array, group: Array) -> tuple[float, Array, Array] | None:
    """Chi-square, observed and expected deaths per group."""
    labels = sorted(set(group.tolist()))
    k = len(labels)
    observed, expected, covariance = np.zeros(k), np.zeros(k), np.zeros((k, k))
    for t in sorted(set(time[event].tolist())):
        watched = np.array([((time >= t) & (group == label)).sum() for label in labels], dtype=float)
        deaths = np.array([((time == t) & event & (group == label)).sum() for label in labels], dtype=float)
        n, d = watched.sum(), deaths.sum()
        observed += deaths
        expected += d * watched / n
        if n > 1:
            covariance += d * (n - d) / (n - 1) * (np.diag(watched) / n - np.outer(watched, watched) / n**2)
    if k < 2 or not event.any() or np.linalg.matrix_rank(covariance, tol=1e-9) < k - 1:
        return None
    difference = observed - expected
    return float(difference @ np.linalg.pinv(covariance, rcond=1e-9) @ difference), observed, expected


def partial_likelihood(event: Array, time: Array, eta: Array, ties: str) -> float:
    """Cox's log partial likelihood at log hazards eta (n,)."""
    value = 0.0
    for t in set(time[event].tolist()):
        died = [i for i in range(len(event)) if event[i] and time[i] == t]
        risk_set = sum(math.exp(eta[i]) for i in range(len(event)) if time[i] >= t)
        own = sum(math.exp(eta[i]) for i in died)
        for k, i in enumerate(died):
            value += eta[i] - math.log(risk_set - (k / len(died) * own if ties == "efron" else 0.0))
    return value


def has_maximum(event: Array, time: Array, X: Array) -> bool:
    """Whether the partial likelihood of X (n, p) has one finite maximum: no direction in which every death has the highest value of its risk set."""
    n = range(len(event))
    differences = np.array([X[i] - X[j] for i in n for j in n if event[i] and time[j] >= time[i] and i != j]).reshape(-1, X.shape[1])
    if np.linalg.matrix_rank(differences, tol=1e-9) < X.shape[1]:
        return False
    found = linprog(-differences.sum(axis=0), A_ub=-differences, b_ub=np.zeros(len(differences)), bounds=[(-1, 1)] * X.shape[1])
    return bool(found.fun > -1e-9)


def breslow(event: Array, time: Array, risk: Array) -> list[tuple[float, float]]:
    """Death times and cumulative hazard."""
    rows, total = [], 0.0
    for t in sorted(set(time[event].tolist())):
        total += ((time == t) & event).sum() / sum(math.exp(risk[i]) for i in range(len(event)) if time[i] >= t)
        rows.append((t, total))
    return rows


def status(event: Array, time: Array, horizon: float) -> tuple[list[int], list[int]]:
    """Who died by the horizon, and who is known to be alive then."""
    cases = [i for i in range(len(event)) if event[i] and time[i] <= horizon]
    return cases, [i for i in range(len(event)) if time[i] > horizon or (time[i] == horizon and not event[i])]


def delong(event: Array, time: Array, risks: list[Array], horizon: float) -> tuple[Array, Array] | None:
    """Areas (k,) and their covariance (k, k)."""
    cases, controls = status(event, time, horizon)
    if len(cases) < 2 or len(controls) < 2:
        return None
    of_cases = np.array([[sum(order(risk[i], risk[j]) for j in controls) / len(controls) for i in cases] for risk in risks])
    of_controls = np.array([[sum(order(risk[i], risk[j]) for i in cases) / len(cases) for j in controls] for risk in risks])
    covariance = np.zeros((len(risks), len(risks)))
    for part in (of_cases, of_controls):
        centered = part - part.mean(axis=1, keepdims=True)
        covariance += centered @ centered.T / (part.shape[1] - 1) / part.shape[1]
    return of_cases.mean(axis=1), covariance


def weighted_auc(event: Array, time: Array, risk: Array, horizon: float, weights: Array) -> Array:
    """Cumulative/dynamic AUC for each row of patients' weights (m, n), deaths over G just before them, G estimated with these weights."""
    cases, controls = status(event, time, horizon)
    own = np.ones((len(weights), len(cases)))
    for u in sorted(set(time[~event].tolist())):
        lost = weights[:, (time == u) & ~event].sum(axis=1)
        watched = weights[:, (time > u) | ((time == u) & ~event)].sum(axis=1)
        for k, i in enumerate(cases):
            if u < time[i]:
                own[:, k] /= 1.0 - lost / watched
    own = own * weights[:, cases]
    others = weights[:, controls]
    ordered = np.array([[order(risk[i], risk[j]) for j in controls] for i in cases])
    return np.asarray(((own @ ordered) * others).sum(axis=1) / (own.sum(axis=1) * others.sum(axis=1)))


def ipcw(event: Array, time: Array, risk: Array, horizon: float) -> tuple[float, Array] | None:
    """Weighted AUC and each patient's influence on it, by differences of the weights."""
    cases, controls = status(event, time, horizon)
    n = len(event)
    if len(cases) < 2 or len(controls) < 2:
        return None
    step = 1e-5 * np.eye(n)
    up, down = (weighted_auc(event, time, risk, horizon, 1 + sign * step) for sign in (1, -1))
    return float(weighted_auc(event, time, risk, horizon, np.ones((1, n)))[0]), n * (up - down) / 2e-5


def brier(event: Array, time: Array, survival: Array, horizon: float) -> float | None:
    """Mean square of status minus survival, weighted by the probability that the status is known."""
    if horizon > time.max():
        return None
    cases, alive = status(event, time, horizon)
    total = sum(survival[i] ** 2 / censoring_before(event, time, time[i]) for i in cases)
    return (total + sum((1 - survival[i]) ** 2 for i in alive) / censoring_before(event, time, horizon)) / len(event)


def net_benefit(event: Array, time: Array, death: Array, horizon: float, threshold: float) -> float | None:
    chosen = death >= threshold
    if not chosen.any():
        return 0.0
    alive = survival_at(event[chosen], time[chosen], horizon)
    return None if alive is None else chosen.mean() * ((1 - alive) - alive * threshold / (1 - threshold))
