"""The Lasso-Cox path by proximal quasi-Newton steps: a quadratic model with a full Hessian on a working set, minimized exactly.

Coordinate descent with a diagonal Hessian (glmnet, scikit-survival) takes many more steps on correlated columns and overflows at small
penalties. The Hessian is computed once for each column that comes in and corrected afterwards by the change of the gradient that each step
brings (Broyden, Fletcher, Goldfarb, Shanno): along a path it stays good enough for two to five steps per penalty, and where it does not
it is computed again. A step that does not lower the objective is halved, so the path always ends. Nothing depends on the Hessian but the
number of steps: gradient, objective and optimality are exact. The arithmetic is compiled.
"""

from __future__ import annotations

import numpy as np

from penumbra.survival.compiled import kernel
from penumbra.survival.lasso_quadratic import divide, minimized
from penumbra.survival.outcome import Bools, Floats
from penumbra.survival.regression import risk_sets

MAX_STEPS = 80
MAX_ROUNDS = 20
MAX_HALVINGS = 40
PATIENT_STEPS = 7  # at one penalty, before the Hessian is computed again in each
MORE_STEPS = 12  # the same for a working set of more than BLOCK columns, where computing it takes longest
BLOCK = 256  # rows of the Hessian that are computed at once; its other half is the same
BATCH = 64  # columns that may come in at once, or twice as many as there are


class PartialLikelihood:
    """Breslow's log partial likelihood over n, for patients sorted once."""

    def __init__(self, event: Bools, time: Floats, X: Floats) -> None:
        sets = risk_sets(event, time, "breslow")
        self.n = event.size
        self.X = np.asfortranarray(X[sets.order])
        self.last = sets.group_last
        self.deaths = np.bincount(sets.group).astype(float)
        self.died = sets.died
        self.died_sum = self.X[sets.died].sum(axis=0)
        self.saturated = -float(np.sum(self.deaths * np.log(self.deaths))) / self.n

    def value(self, eta: Floats) -> float:
        """Of log risks (n,) in the sorted order."""
        return float(_value(eta, self.died, self.deaths, self.last))

    def deviance(self, eta: Floats) -> float:
        """Twice the saturated minus the model's log partial likelihood."""
        return 2.0 * self.n * (self.saturated - self.value(eta))


class LassoPath:
    """The coefficients at one penalty after the other, each penalty smaller than the one before; every step starts where the last ended."""

    def __init__(self, event: Bools, time: Floats, X: Floats, tolerance: float) -> None:
        self.likelihood = PartialLikelihood(event, time, X)
        self.eta: Floats = np.zeros(event.size)  # of the last step, in the sorted order
        self._tolerance = tolerance
        self._beta: Floats = np.zeros(X.shape[1])
        self._null = self.likelihood.value(self.eta)
        likelihood = self.likelihood
        self._patients = (likelihood.X.T, likelihood.died, likelihood.died_sum, likelihood.deaths, likelihood.last)
        self._gradient: Floats = gradient_at(*self._patients, self.eta)
        self._previous = float(np.abs(self._gradient).max(initial=0.0))
        self._working = (np.zeros(0, np.int64), np.zeros((0, event.size)), np.zeros((0, 0)))  # columns, room for their values, their Hessian

    def step(self, penalty: float) -> Floats:
        """Return the coefficients (p,) at the next penalty."""
        self.eta, *self._working = _step(*self._patients, self._beta, self.eta, self._gradient, *self._working, self._previous, penalty, self._tolerance)
        self._previous = penalty
        return self._beta.copy()

    def explained(self) -> float:
        """Return the share of the deviance that the last step explains."""
        saturated = self.likelihood.saturated
        return (self.likelihood.value(self.eta) - self._null) / (saturated - self._null) if saturated > self._null else 0.0


@kernel
def _value(eta, died, deaths, last):  # type: ignore[no-untyped-def]
    """Breslow's log partial likelihood over n."""
    total = 0.0
    for row in died:
        total += eta[row]
    largest, scaled, group = -np.inf, 0.0, 0
    for row in range(eta.size):
        if eta[row] > largest:
            scaled = scaled * np.exp(largest - eta[row]) + 1.0
            largest = eta[row]
        else:
            scaled += np.exp(eta[row] - largest)
        if group < last.size and last[group] == row:
            total -= deaths[group] * (largest + np.log(scaled))
            group += 1
    return total / eta.size


@kernel
def _at(eta, died, deaths, last):  # type: ignore[no-untyped-def]
    """exp(eta) up to a factor, the sums over the risk sets, each patient's expected deaths, and the log partial likelihood over n."""
    largest = eta.max()
    weight = np.exp(eta - largest)
    at_risk = np.empty(last.size)
    total, start, value = 0.0, 0, 0.0
    for group in range(last.size):
        for row in range(start, last[group] + 1):
            total += weight[row]
        start = last[group] + 1
        at_risk[group] = max(total, 2.3e-308)
        value -= deaths[group] * np.log(at_risk[group])
    expected = np.zeros(eta.size)
    hazard, end = 0.0, last[-1] + 1
    for group in range(last.size - 1, -1, -1):
        hazard += deaths[group] / at_risk[group]
        begin = last[group - 1] + 1 if group > 0 else 0
        for row in range(begin, end):
            expected[row] = weight[row] * hazard
        end = begin
    if at_risk[0] < 1e-290:
        return weight, at_risk, expected, _value(eta, died, deaths, last)
    value -= deaths.sum() * largest
    for row in died:
        value += eta[row]
    return weight, at_risk, expected, value / eta.size


@kernel
def gradient_at(X, died, died_sum, deaths, last, eta):  # type: ignore[no-untyped-def]
    """The gradient (p,) of the log partial likelihood over n, of columns X (p, n) at log risks eta (n,)."""
    return (died_sum - np.dot(X, _at(eta, died, deaths, last)[2])) / eta.size


@kernel
def _images(values, deaths, last, weight, at_risk, expected):  # type: ignore[no-untyped-def]
    """What the Hessian over the patients (n, n), of minus the log partial likelihood, makes of columns (k, n)."""
    many, n = values.shape
    images = np.zeros((many, n))
    means = np.empty(last.size)
    for k in range(many):
        total, start = 0.0, 0
        for group in range(last.size):
            for row in range(start, last[group] + 1):
                total += weight[row] * values[k, row]
            start = last[group] + 1
            means[group] = total / at_risk[group] * deaths[group] / at_risk[group]
        carried, end = 0.0, last[-1] + 1
        for group in range(last.size - 1, -1, -1):
            carried += means[group]
            begin = last[group - 1] + 1 if group > 0 else 0
            for row in range(begin, end):
                images[k, row] = (expected[row] * values[k, row] - weight[row] * carried) / n
            end = begin
    return images


@kernel
def _with_columns(X, columns, store, hessian, fresh, deaths, last, weight, at_risk, expected):  # type: ignore[no-untyped-def]
    """Append columns to the working set; those that are there keep their part of the Hessian."""
    n, before, size = X.shape[1], columns.size, columns.size + fresh.size
    if store.shape[0] < size:
        grown = np.empty((max(size, min(2 * size, X.shape[0])), n))
        for k in range(before):
            _copy(store[k], grown[k])
        store = grown
    everyone = np.empty(size, np.int64)
    for k in range(before):
        everyone[k] = columns[k]
    for k in range(fresh.size):
        everyone[before + k] = fresh[k]
        _copy(X[fresh[k]], store[before + k])
    values = store[:size]
    part = np.dot(_images(values[before:], deaths, last, weight, at_risk, expected), values.T)
    whole = np.empty((size, size))
    for i in range(before):
        _copy(hessian[i], whole[i])
    for i in range(fresh.size):
        for j in range(before):
            whole[before + i, j] = whole[j, before + i] = part[i, j]
        for j in range(fresh.size):
            whole[before + i, before + j] = (part[i, before + j] + part[j, before + i]) / 2
    return everyone, store, whole


@kernel
def _pruned(columns, store, hessian, beta, gradient, threshold):  # type: ignore[no-untyped-def]
    """The working set without the columns that have been zero and will almost surely stay so."""
    count = 0
    keep = np.empty(columns.size, np.int64)
    for k in range(columns.size):
        if beta[columns[k]] != 0 or abs(gradient[columns[k]]) >= threshold:
            keep[count] = k
            count += 1
    if columns.size < 2 * count + BATCH:
        return columns, hessian
    fewer = np.empty((count, count))
    for i in range(count):
        _copy(store[keep[i]], store[i])
        for j in range(count):
            fewer[i, j] = hessian[keep[i], keep[j]]
    for i in range(count):
        keep[i] = columns[keep[i]]
    return keep[:count].copy(), fewer


@kernel
def _candidates(columns, gradient, threshold):  # type: ignore[no-untyped-def]
    """The columns outside the working set whose slope reaches a threshold; where they are very many, a higher one."""
    steep = np.abs(gradient)
    for column in columns:
        steep[column] = -1.0
    threshold, largest, many = max(threshold, 0.0), steep.max(), max(BATCH, 2 * columns.size)
    for _ in range(MAX_HALVINGS):
        count = 0
        for slope in steep:
            count += slope >= threshold
        if count <= many:
            break
        threshold += (largest - threshold) / 2
    reaching = np.empty(count, np.int64)
    count = 0
    for column in range(steep.size):
        if steep[column] >= threshold:
            reaching[count] = column
            count += 1
    return reaching


@kernel
def _copy(values, target):  # type: ignore[no-untyped-def]
    """Put values at the beginning of a row: compiled much sooner than an assignment of arrays, which brings its messages."""
    for k in range(values.size):
        target[k] = values[k]


@kernel
def _chosen(values, places):  # type: ignore[no-untyped-def]
    """The values at some places."""
    chosen = np.empty(places.size)
    for k in range(places.size):
        chosen[k] = values[places[k]]
    return chosen


@kernel
def _step(X, died, died_sum, deaths, last, beta, eta, gradient, columns, store, hessian, previous, penalty, tolerance):  # type: ignore[no-untyped-def]
    """The next penalty: changes beta and gradient in place; returns X beta and the working set."""
    n = eta.size
    # the strong rule: the others will almost surely stay zero at this penalty; the check below catches them when not
    threshold = 2 * penalty - previous
    columns, hessian = _pruned(columns, store, hessian, beta, gradient, threshold)
    fresh = _candidates(columns, gradient, threshold)
    weight, at_risk, expected, value = _at(eta, died, deaths, last)
    for _ in range(MAX_ROUNDS):
        if fresh.size:
            columns, store, hessian = _with_columns(X, columns, store, hessian, fresh, deaths, last, weight, at_risk, expected)
        if columns.size:
            values = store[: columns.size]
            here, slope = _chosen(beta, columns), _chosen(gradient, columns)
            eta, weight, at_risk, expected, value = _solve(
                values, died, _chosen(died_sum, columns), deaths, last, here, slope, hessian, eta, weight, at_risk, expected, value, penalty, tolerance
            )
            for k in range(columns.size):
                beta[columns[k]], gradient[columns[k]] = here[k], slope[k]
            if columns.size == beta.size:
                break
            _copy((died_sum - np.dot(X, expected)) / n, gradient)
        fresh = _candidates(columns, gradient, penalty * (1 + 1e-6))
        if not fresh.size:
            break
    return eta, columns, store, hessian


@kernel
def _solve(values, died, died_sum, deaths, last, beta, slope, hessian, eta, weight, at_risk, expected, value, penalty, tolerance):  # type: ignore[no-untyped-def]
    """Minimize over the working columns, in place in beta, slope and hessian; return X beta and what `_at` gives there."""
    size, n = values.shape
    objective = penalty * np.abs(beta).sum() - value
    is_exact, must_be, whole, pairs = False, False, True, 0
    active, upper = np.zeros(0, np.int64), np.zeros((0, 0))  # of the last minimum, whose factor the pairs of steps and changes of the slope correct
    patient = PATIENT_STEPS if size <= BLOCK else MORE_STEPS
    steps, changes = np.empty((patient, size)), np.empty((patient, size))
    for iteration in range(MAX_STEPS):
        if must_be and not is_exact:
            _compute(hessian, values, _images(values, deaths, last, weight, at_risk, expected))
            is_exact = True
        step = np.zeros(size)
        if not (whole or must_be):
            aimed = _chosen(slope - penalty * np.sign(beta), active)
            _correct(aimed, upper, active, steps[:pairs], changes[:pairs])
            for k in range(active.size):
                step[active[k]] = aimed[k]
                whole = whole or (beta[active[k]] + aimed[k]) * beta[active[k]] <= 0
        if whole or must_be:
            goal, singular, active, upper = minimized(hessian, slope + np.dot(hessian, beta), beta, penalty)
            if singular and not is_exact:
                must_be = True
                continue
            step, pairs = goal - beta, 0
        if np.abs(step).max() < tolerance:
            break
        along = np.zeros(n)
        for i in range(size):
            if step[i] != 0.0:
                for row in range(n):
                    along[row] += values[i, row] * step[i]
        scale = 1.0
        for _ in range(MAX_HALVINGS):
            new = beta + scale * step
            new_eta = eta + scale * along
            weight, at_risk, expected, value = _at(new_eta, died, deaths, last)
            reached = penalty * np.abs(new).sum() - value
            if reached <= objective + 1e-13 * abs(objective):
                break
            scale *= 0.5
        eta, objective = new_eta, reached
        new_slope = (died_sum - np.dot(values, expected)) / n
        made, bent = steps[pairs % patient], changes[pairs % patient]
        _copy(new - beta, made)
        _copy(slope - new_slope, bent)
        whole = not _learn(hessian, made, bent) or pairs + 1 >= patient or scale < 1.0
        is_exact, pairs = False, pairs + 1
        _copy(new, beta)
        _copy(new_slope, slope)
        for i in range(size):  # a column that left, or that would come in: the factor is not of these
            whole = whole or (beta[i] == 0 and (step[i] != 0 or abs(slope[i]) > penalty * (1 + 1e-9)))
        must_be = iteration >= patient or scale < 1.0
    return eta, weight, at_risk, expected, value


@kernel
def _compute(hessian, values, images):  # type: ignore[no-untyped-def]
    """The Hessian, in place, of columns (k, n) and what it makes of each over the patients."""
    for start in range(0, values.shape[0], BLOCK):
        end = min(start + BLOCK, values.shape[0])
        part = np.dot(values[start:end], images[start:].T)
        for i in range(end - start):
            for j in range(end - start):
                hessian[start + i, start + j] = (part[i, j] + part[j, i]) / 2
            for j in range(end - start, part.shape[1]):
                hessian[start + i, start + j] = hessian[start + j, start + i] = part[i, j]


@kernel
def _correct(residual, upper, active, steps, changes):  # type: ignore[no-untyped-def]
    """Make of the slopes of the active columns, in place, their step by an earlier Hessian's factor and what each step since changed (as L-BFGS does)."""
    many = steps.shape[0]
    shares = np.empty(many)
    for k in range(many - 1, -1, -1):
        step, change = _chosen(steps[k], active), _chosen(changes[k], active)
        shares[k] = np.dot(step, residual) / np.dot(step, change)
        residual -= shares[k] * change
    divide(upper, residual)
    for k in range(many):
        step, change = _chosen(steps[k], active), _chosen(changes[k], active)
        residual += step * (shares[k] - np.dot(change, residual) / np.dot(step, change))


@kernel
def _learn(hessian, step, change):  # type: ignore[no-untyped-def]
    """Correct the Hessian, in place, so that it makes of the step the change of the slope; False where the change is only rounding."""
    image = np.dot(hessian, step)
    seen, modeled = np.dot(step, change), np.dot(step, image)
    if modeled <= 0 or seen <= 1e-8 * modeled:
        return False
    for i in range(step.size):
        a, b, row = change[i] / seen, image[i] / modeled, hessian[i]
        for j in range(step.size):
            row[j] += a * change[j] - b * image[j]
    return True
