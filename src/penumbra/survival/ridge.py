"""Cox regression with a ridge penalty that cross-validation of the partial likelihood chooses, for many more columns than patients.

The penalty does not change when the columns are rotated, so the fit happens in the row space of the table: as many coordinates as patients, however many
columns there are, and the same coefficients. The linear algebra runs in one thread: several give other last bits, and are slower on a table of this size.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import Bools, Floats, Undefined, checked_covariates, checked_outcome, require_events
from penumbra.survival.regression import MAX_STEPS, RiskSets, derivatives, partial_likelihood, risk_sets
from penumbra.survival.selection import MIN_FOLDS, checked_folds

PENALTIES = 20  # of a default path
SPAN = (10.0, 1e-4)  # of a default path, times the information of the direction with the largest variance: from nothing left to nothing taken
PATIENCE = 3  # the path ends when the deviance has not fallen below its lowest for this many penalties
COARSE, FINE = 1e-10, 1e-18  # Newton ends where a step promises less log-likelihood than this: along the path, and for the coefficients


@dataclass(frozen=True)
class RidgeCox:
    """The path of a ridge penalty and its cross-validation.

    Parameters
    ----------
    penalties : shape (k,)
        Falling, as far as the path was followed.
    deviance : shape (k,)
        Minus twice the cross-validated log partial likelihood, per death.
    penalty_min
        Where it is lowest.
    coef : shape (p,)
        Coefficients there, of the fit on all patients.
    """

    penalties: Floats
    deviance: Floats
    penalty_min: float
    coef: Floats


def _one_thread() -> AbstractContextManager[object]:
    from threadpoolctl import threadpool_limits

    one: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return one


def ridge_cox_cv(
    event: ArrayLike,
    time: ArrayLike,
    X: ArrayLike,
    *,
    folds: ArrayLike | int = 10,
    seed: int = 0,
    penalties: ArrayLike | None = None,
    ties: str = "efron",
) -> RidgeCox:
    """Fit a Cox model of all columns and choose its ridge penalty by cross-validation.

    Maximizes the log partial likelihood minus penalty / 2 times the sum of squared coefficients, without scaling the columns: scale them before. What a
    fold contributes is the log partial likelihood of all patients minus that of the patients outside the fold, both at the coefficients fitted outside.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        Columns z-scored; p may be far above n.
    folds : a number, or shape (n,)
        How many folds to draw with `seed`, deaths spread evenly; or the fold number of each patient.
    seed
        Of numpy's default generator, for drawing folds.
    penalties : shape (k,)
        None: 20, log-spaced, from where next to nothing is left of any coefficient; the path ends where the deviance has risen for three of them.
    ties
        "efron" or "breslow".

    Returns
    -------
    RidgeCox
        The penalties, their cross-validated deviance, and the coefficients at the lowest.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "cross-validation needs ... folds with an event outside each; found ..." / "no column has any spread ...".
    ValueError
        "folds must be ..." / "penalties must be positive numbers, shape (k,); found ...".

    References
    ----------
    Verweij and van Houwelingen 1993, Stat Med 12:2305 and 1994, 13:2427; van Houwelingen et al. 2006, Stat Med 25:3201.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.survival import ridge_cox_cv
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 200))
    >>> time = rng.exponential(np.exp(-1.5 * X[:, 0]))
    >>> fit = ridge_cox_cv(np.ones(60), time, X, folds=5)
    >>> fit.coef.shape, int(np.argmax(np.abs(fit.coef)))
    ((200,), 0)
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    covariates = checked_covariates(X, events.size)
    fold = checked_folds(folds, events, seed)
    outside = [fold != name for name in np.unique(fold)]
    if len(outside) < MIN_FOLDS or any(not events[rows].any() for rows in outside):
        raise Undefined(
            f"cross-validation needs at least {MIN_FOLDS} folds with an event outside each; found {len(outside)} folds and {int(events.sum())} events"
        )
    with _one_thread():
        return _path(events, times, covariates, outside, penalties, ties)


def _path(events: Bools, times: Floats, covariates: Floats, outside: list[Bools], penalties: ArrayLike | None, ties: str) -> RidgeCox:
    scores, back = row_space(covariates)
    grid = _checked(penalties) if penalties is not None else _default(scores, int(events.sum()))
    everybody = _Fit(events, times, scores, ties)
    start: Floats = np.zeros(scores.shape[1])
    others = [(_Fit(events[rows], times[rows], scores[rows], ties), start) for rows in outside]
    deviances: list[float] = []
    for k, penalty in enumerate(grid):
        others = [(fit, fit.maximum(penalty, coef, COARSE)) for fit, coef in others]
        gain = sum(everybody.log_likelihood(coef) - fit.log_likelihood(coef) for fit, coef in others)
        deviances.append(-2.0 * float(gain) / int(events.sum()))
        if penalties is None and k - int(np.argmin(deviances)) >= PATIENCE:
            break
    lowest = float(grid[int(np.argmin(deviances))])
    coef = back(everybody.maximum(lowest, start, FINE))
    return RidgeCox(grid[: len(deviances)], np.array(deviances), lowest, coef)


def ridge_cox(event: ArrayLike, time: ArrayLike, X: ArrayLike, *, penalty: float, ties: str = "efron") -> Floats:
    """Return the coefficients at one ridge penalty; the objective is that of `ridge_cox_cv`.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        Columns z-scored; p may be far above n.
    penalty
        Positive: times half the sum of squared coefficients.
    ties
        "efron" or "breslow".

    Returns
    -------
    array of shape (p,)
        The coefficients.

    Raises
    ------
    Undefined
        "no event among n patients ...".
    ValueError
        "penalties must be positive numbers, shape (k,); found ...".

    Notes
    -----
    Equals scikit-survival's CoxPHSurvivalAnalysis with alpha = penalty.

    Examples
    --------
    >>> from penumbra.survival import ridge_cox
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> X = [[0.5, 1.0], [0.1, -0.4], [1.1, 0.3], [-0.2, 0.8], [0.4, -1.2], [0.3, -0.1], [-1.3, 0.2], [-0.9, -0.6]]
    >>> ridge_cox(event, time, X, penalty=1.0).round(3)
    array([0.618, 0.785])
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    covariates = checked_covariates(X, events.size)
    with _one_thread():
        scores, back = row_space(covariates)
        return back(_Fit(events, times, scores, ties).maximum(float(_checked(penalty)[0]), np.zeros(scores.shape[1]), FINE))


def ridge_cox_positive(event: ArrayLike, time: ArrayLike, X: ArrayLike, *, folds: ArrayLike, ties: str = "efron") -> Floats:
    """Return the coefficients of a ridge Cox model of a few columns, none below 0, at the penalty that cross-validation chooses without this bound.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        Columns z-scored, p below n.
    folds : shape (n,)
        The fold number of each patient.
    ties
        "efron" or "breslow".

    Returns
    -------
    array of shape (p,)
        The maximum over all coefficients that are not negative.

    Raises
    ------
    Undefined
        As `ridge_cox_cv`.

    Notes
    -----
    Newton's quadratic model, maximized exactly under the bound (Lawson and Hanson 1974, Solving Least Squares Problems), with step halving.
    """
    events, times = checked_outcome(event, time)
    covariates = checked_covariates(X, events.size)
    penalty = ridge_cox_cv(events, times, covariates, folds=folds, ties=ties).penalty_min
    with _one_thread():
        return _bounded(covariates, risk_sets(events, times, ties), penalty)


def _bounded(covariates: Floats, sets: RiskSets, penalty: float) -> Floats:
    from scipy.optimize import nnls

    z = covariates[sets.order]
    coef: Floats = np.zeros(z.shape[1])
    value, gradient, information = derivatives(z, coef, sets, penalty)
    for _ in range(MAX_STEPS):
        root = np.linalg.cholesky(information)
        target = nnls(root.T, np.linalg.solve(root, information @ coef + gradient))[0]
        step = target - coef
        if float(step @ gradient) < FINE * (1.0 + abs(value)):
            break
        for _ in range(40):
            trial = derivatives(z, coef + step, sets, penalty)
            if trial[0] >= value - 1e-12 * abs(value):
                break
            step = 0.5 * step
        coef = coef + step
        value, gradient, information = trial
    return np.asarray(np.where(coef > 1e-9 * np.abs(coef).max(initial=0.0), coef, 0.0))


class _Basis:
    """From coordinates back to coefficients of the columns."""

    def __init__(self, basis: Floats | None) -> None:
        self._basis = basis

    def __call__(self, coef: Floats) -> Floats:
        return coef if self._basis is None else np.asarray(self._basis @ coef)


def row_space(X: Floats) -> tuple[Floats, _Basis]:
    """Return the patients' coordinates (n, k), k at most n and p, in an orthonormal basis of the rows of X (n, p), and the way back to its columns."""
    if X.shape[1] <= X.shape[0]:
        return X, _Basis(None)
    basis, triangle = np.linalg.qr(X.T)
    return np.asarray(triangle.T), _Basis(np.asarray(basis))


class _Fit:
    """Some patients, sorted once, and the maximum of their penalized likelihood."""

    def __init__(self, event: Bools, time: Floats, scores: Floats, ties: str) -> None:
        self._sets: RiskSets = risk_sets(event, time, ties)
        self._scores = scores[self._sets.order]

    def log_likelihood(self, coef: Floats) -> float:
        """Without the penalty."""
        return partial_likelihood(self._scores @ coef, self._sets)

    def maximum(self, penalty: float, start: Floats, tolerance: float) -> Floats:
        coef = start
        value, gradient, information = derivatives(self._scores, coef, self._sets, penalty)
        for _ in range(MAX_STEPS):
            step = np.linalg.solve(information, gradient)
            if float(step @ gradient) < tolerance * (1.0 + abs(value)):
                break
            for _ in range(40):
                trial = derivatives(self._scores, coef + step, self._sets, penalty)
                if trial[0] >= value - 1e-12 * abs(value):
                    break
                step = 0.5 * step
            else:
                break
            coef = coef + step
            value, gradient, information = trial
        return coef


def _checked(penalties: ArrayLike) -> Floats:
    values = np.atleast_1d(np.asarray(penalties, dtype=np.float64))
    if values.ndim != 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"penalties must be positive numbers, shape (k,); found {penalties!r}")
    return np.sort(values)[::-1]


def _default(scores: Floats, deaths: int) -> Floats:
    """Penalties around the information that the deaths give on the direction with the largest variance."""
    centered = scores - scores.mean(axis=0)
    largest = float(np.linalg.norm(centered, 2)) ** 2 * deaths / scores.shape[0]
    if not largest > 1e-12:
        raise Undefined("no column has any spread among the patients")
    return np.asarray(largest * np.geomspace(*SPAN, PENALTIES))
