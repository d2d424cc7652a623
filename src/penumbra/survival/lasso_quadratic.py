"""The minimum of a quadratic model with an absolute penalty, exactly: the inner problem of the Lasso-Cox path.

The Cholesky factor of the active columns is kept from move to move, as its transpose: every inner loop runs along a row.
"""

from __future__ import annotations

import numpy as np

from penumbra.survival.compiled import kernel

SINGULAR = 1e-12  # of a pivot against its diagonal: columns that say the same among those at risk
MANY = 12  # active columns from which LAPACK factorizes faster than the loop


@kernel
def minimized(hessian, linear, start, penalty):  # type: ignore[no-untyped-def]
    """The minimum of b' H b / 2 - linear' b + penalty |b|, by following the signs of the non-zero coefficients.

    Returns the coefficients, whether H was singular there, the active columns, and the factor U of their part of H = U'U.

    With signs fixed the minimum is a linear system. Where its solution changes a sign, go as far as the first coefficient that reaches zero
    and leave it there; where all signs hold, let in the zero coefficients that violate their optimality most. Each move lowers the
    objective, so no set of signs comes back. A column that says the same as the active ones is not let in. Source: Lee et al. 2007,
    NIPS 19:801 (feature-sign search).
    """
    size = start.size
    beta, sign, is_open = start.copy(), np.zeros(size), np.ones(size, np.bool_)
    active = np.empty(size, np.int64)  # in the order in which they came in
    upper = np.empty((size, size))
    count, singular = _factorized(hessian, start, active, upper)
    for i in range(size):
        if start[i] != 0:
            is_open[i] = False
            beta[i] = 0.0
    for i in active[:count]:
        beta[i], sign[i] = start[i], np.sign(start[i])
    for _ in range(20 * size + 100):
        if count:
            target = _solved(upper, linear, active[:count], penalty, sign)
            first, nearest = -1, np.inf
            for i in range(count):
                here = beta[active[i]]
                if target[i] * sign[active[i]] <= 0:
                    share = here / (here - target[i]) if here != target[i] else 0.0
                    if share < nearest:
                        first, nearest = i, share
            if first >= 0:
                for i in range(count):
                    beta[active[i]] += nearest * (target[i] - beta[active[i]])
                beta[active[first]], is_open[active[first]] = 0.0, True
                _removed(upper, active, first, count)
                count -= 1
                continue
            for i in range(count):
                beta[active[i]] = target[i]
        slope = linear - np.dot(hessian, beta)
        least, steepest = penalty * (1 + 1e-9) + 1e-15, 0.0
        for i in range(size):
            if is_open[i]:
                steepest = max(steepest, abs(slope[i]))
        if steepest <= least:
            break
        for i in range(size):
            if is_open[i] and abs(slope[i]) > max(least, (steepest + penalty) / 2):
                is_open[i] = False
                if _entered(hessian, upper, active, count, i):
                    sign[i] = np.sign(slope[i])
                    count += 1
                else:
                    singular = True
    return beta, singular, active[:count], upper


@kernel
def _factorized(hessian, start, active, upper):  # type: ignore[no-untyped-def]
    """Fill the active columns and their factor from the non-zero start; return their number and whether one was left out."""
    nonzero, count = np.empty(start.size, np.int64), 0
    for i in range(start.size):
        if start[i] != 0:
            nonzero[count] = i
            count += 1
    nonzero = nonzero[:count]
    if nonzero.size >= MANY:
        part = np.empty((nonzero.size, nonzero.size))
        for i in range(nonzero.size):
            for j in range(nonzero.size):
                part[i, j] = hessian[nonzero[i], nonzero[j]]
        regular = True
        try:
            factor = np.linalg.cholesky(part)
        except Exception:  # the only class that numba knows
            factor, regular = part, False
        for i in range(nonzero.size):
            regular = regular and factor[i, i] ** 2 > SINGULAR * part[i, i]
        if regular:
            for i in range(nonzero.size):
                active[i] = nonzero[i]
                for j in range(i, nonzero.size):
                    upper[i, j] = factor[j, i]
            return nonzero.size, False
    count = 0
    for i in nonzero:
        if _entered(hessian, upper, active, count, i):
            count += 1
    return count, count < nonzero.size


@kernel
def _entered(hessian, upper, active, count, column):  # type: ignore[no-untyped-def]
    """Append a column to the factor; False where it says the same as those already there."""
    fresh = np.empty(count)
    for i in range(count):
        fresh[i] = hessian[column, active[i]]
    pivot = hessian[column, column]
    for i in range(count):
        share = fresh[i] / upper[i, i]
        fresh[i] = share
        pivot -= share * share
        _subtract(fresh[i + 1 :], share, upper[i, i + 1 : count])
    if not pivot > max(SINGULAR * hessian[column, column], 1e-300):
        return False
    for i in range(count):
        upper[i, count] = fresh[i]
    upper[count, count] = np.sqrt(pivot)
    active[count] = column
    return True


@kernel
def _removed(upper, active, place, count):  # type: ignore[no-untyped-def]
    """Take a column out of the factor: the rows below it are turned back to a triangle, two by two."""
    for i in range(place, count - 1):
        active[i] = active[i + 1]
    for row in range(count):
        for j in range(max(place, row - 1), count - 1):
            upper[row, j] = upper[row, j + 1]
    for row in range(place, count - 1):
        a, b = upper[row, row], upper[row + 1, row]
        length = np.hypot(a, b)
        cosine, sine = a / length, b / length
        upper[row, row] = length
        for j in range(row + 1, count - 1):
            a, b = upper[row, j], upper[row + 1, j]
            upper[row, j] = cosine * a + sine * b
            upper[row + 1, j] = cosine * b - sine * a


@kernel
def _solved(upper, linear, active, penalty, sign):  # type: ignore[no-untyped-def]
    """The minimum of the active coefficients with their signs fixed."""
    solution = np.empty(active.size)
    for i in range(active.size):
        solution[i] = linear[active[i]] - penalty * sign[active[i]]
    divide(upper, solution)
    return solution


@kernel
def divide(upper, solution):  # type: ignore[no-untyped-def]
    """Solve U'U x = b for the factor of the first columns, in place in b."""
    size = solution.size
    for i in range(size):
        solution[i] /= upper[i, i]
        _subtract(solution[i + 1 :], solution[i], upper[i, i + 1 : size])
    for i in range(size - 1, -1, -1):
        solution[i] = (solution[i] - np.dot(upper[i, i + 1 : size], solution[i + 1 :])) / upper[i, i]


@kernel
def _subtract(target, factor, row):  # type: ignore[no-untyped-def]
    """Subtract a multiple of a row: a function of its own, since numba vectorizes loops that begin at 0."""
    for j in range(target.size):
        target[j] -= factor * row[j]
