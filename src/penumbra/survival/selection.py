"""Lasso-Cox: the path of coefficients and its cross-validation, as glmnet does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penumbra.survival.outcome import Bools, Floats, Undefined, checked_covariates, checked_outcome, require_events

MIN_FOLDS = 3
N_LAMBDAS = 100  # of a default path, as in glmnet
STOP_GAIN = 2e-4  # the path ends where a step adds less than this share to the explained deviance (glmnet ends its path there too, by its own rule)
TOLERANCE = 1e-10  # of a coefficient: what one more step would still change
WARM_STEPS = 6  # penalties on the way to a single one: each starts where the last ended
STOP_EXPLAINED = 0.999  # or where this share of the deviance is explained (glmnet: devmax)


@dataclass(frozen=True)
class LassoCox:
    """The path and its cross-validation.

    Parameters
    ----------
    lambdas : shape (k,)
        Penalties, falling.
    deviance : shape (k,)
        Mean over folds of the partial-likelihood deviance per event, folds weighted by their events.
    deviance_se : shape (k,)
        Its standard error.
    nonzero : shape (k,)
        Number of non-zero coefficients.
    lambda_min
        Where the deviance is lowest.
    lambda_1se
        The largest lambda within one standard error of the lowest deviance.
    coef_min, coef_1se : shape (p,)
        Coefficients there, of the fit on all patients.
    path : shape (p, k)
        Coefficients along the path.
    """

    lambdas: Floats
    deviance: Floats
    deviance_se: Floats
    nonzero: NDArray[np.int64]
    lambda_min: float
    lambda_1se: float
    coef_min: Floats
    coef_1se: Floats
    path: Floats


def assign_folds(event: ArrayLike, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a fold number 1 .. folds per patient, with the deaths spread evenly over the folds.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    """
    events = np.asarray(event, dtype=bool)
    order = np.concatenate([rng.permutation(np.flatnonzero(events)), rng.permutation(np.flatnonzero(~events))])
    fold = np.empty(events.size, dtype=np.int64)
    fold[order] = np.arange(events.size) % folds + 1
    return fold


def folds_within(centers: ArrayLike, event: ArrayLike, *, folds: int, seed: int | Sequence[int]) -> NDArray[np.int64]:
    """Return a fold number 0 .. folds - 1 per patient, with the deaths and the survivors of each center spread evenly over the folds.

    Parameters
    ----------
    centers : shape (n,)
        Names.
    event : shape (n,), bool
        True = died.
    """
    names, events = np.asarray(centers), np.asarray(event, dtype=bool)
    fold = np.empty(events.size, dtype=np.int64)
    generator = np.random.default_rng(seed)
    begin = 0
    for center in sorted(set(names.tolist())):
        for died in (True, False):
            rows = generator.permutation(np.flatnonzero((names == center) & (events == died)))
            fold[rows] = (begin + np.arange(rows.size)) % folds
            begin += rows.size
    return fold


def lasso_cox_cv(
    event: ArrayLike,
    time: ArrayLike,
    X: ArrayLike,
    *,
    folds: ArrayLike | int = 10,
    seed: int = 0,
    lambdas: ArrayLike | None = None,
    patience: int | None = None,
    tolerance: float = TOLERANCE,
) -> LassoCox:
    """Fit the Lasso-Cox path and choose its penalty by cross-validation.

    Minimizes -1/n times the log partial likelihood plus lambda times the sum of absolute coefficients, Breslow ties, without scaling the
    columns: scale them before. A fold's deviance is that of all patients minus that of the patients outside the fold, both at the coefficients
    fitted outside the fold ("grouped" in glmnet).

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        Columns z-scored.
    folds : a number, or shape (n,)
        How many folds to draw with `seed`, deaths spread evenly; or the fold number of each patient.
    seed
        Of numpy's default generator, for drawing folds.
    lambdas : shape (k,)
        Penalties, falling; None: 100 from the smallest that keeps nothing down to its 1e-4 (1e-2 when n <= p), log-spaced, ended early where the fit no
        longer improves.
    patience
        End the path when the deviance has not fallen below its lowest for this many penalties; None: never (as glmnet).
    tolerance
        A fit has converged when one more step would change no coefficient by more.

    Returns
    -------
    LassoCox
        The penalties, their cross-validated deviance, and the coefficients at the two usual choices.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "cross-validation needs ... folds with an event outside each; found ...".
    ValueError
        "folds must be ..." / "lambdas must be positive numbers, shape (k,); found ...".

    References
    ----------
    Simon et al. 2011, J Stat Softw 39(5):1; Verweij and van Houwelingen 1993, Stat Med 12:2305. glmnet 4.1 drops a patient censored at a time of death from
    that risk set when its internal nudge of 2e-14 days is lost to rounding; here such a patient is at risk.

    Examples
    --------
    >>> from penumbra.survival import lasso_cox_cv
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 4))
    >>> time = rng.exponential(np.exp(-1.5 * X[:, 0]))
    >>> fit = lasso_cox_cv(np.ones(60), time, X, folds=3)
    >>> bool(fit.coef_1se[0] > 0.5), fit.lambda_1se >= fit.lambda_min
    (True, True)
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    from penumbra.survival.lasso_path import LassoPath

    covariates = checked_covariates(X, events.size)
    fold = checked_folds(folds, events, seed)
    names = np.unique(fold)
    if names.size < MIN_FOLDS or any(not events[fold != name].any() for name in names):
        raise Undefined(
            f"cross-validation needs at least {MIN_FOLDS} folds with an event outside each; found {names.size} folds and {int(events.sum())} events"
        )
    grid = None if lambdas is None else _checked_lambdas(lambdas)
    if grid is None:
        grid = default_lambdas(events, times, covariates)
    everybody = LassoPath(events, times, covariates, tolerance)
    outside = [fold != name for name in names]
    others = [LassoPath(events[rows], times[rows], covariates[rows], tolerance) for rows in outside]
    weights = np.array([events[~rows].sum() for rows in outside], dtype=float)
    informative = weights > 0
    weights = weights[informative]
    steps: list[Floats] = []
    scores: list[Floats] = []
    explained = 0.0
    for k, lam in enumerate(grid):
        steps.append(everybody.step(float(lam)))
        betas = [path.step(float(lam)) for path in others]
        whole = everybody.likelihood
        left_out = [whole.deviance(whole.X @ beta) - path.likelihood.deviance(path.eta) for path, beta in zip(others, betas, strict=True)]
        scores.append(np.array(left_out)[informative] / weights)
        previous, explained = explained, everybody.explained()
        if lambdas is None and k >= 4 and (explained > STOP_EXPLAINED or explained - previous < STOP_GAIN * explained):
            break
        if patience is not None and k - int(np.argmin([weights @ score for score in scores])) >= patience:
            break
    penalties, path, table = grid[: len(steps)], np.stack(steps, axis=1), np.stack(scores, axis=1)
    mean, se = weighted_mean(table, weights)
    best, within = lowest_and_one_se(mean, se)
    return LassoCox(
        lambdas=penalties,
        deviance=mean,
        deviance_se=se,
        nonzero=(path != 0).sum(axis=0),
        lambda_min=float(penalties[best]),
        lambda_1se=float(penalties[within]),
        coef_min=path[:, best].copy(),
        coef_1se=path[:, within].copy(),
        path=path,
    )


def lasso_cox(event: ArrayLike, time: ArrayLike, X: ArrayLike, *, penalty: float, tolerance: float = TOLERANCE) -> Floats:
    """Return the Lasso-Cox coefficients at one penalty; the objective is that of `lasso_cox_cv`.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    X : shape (n, p)
        Columns z-scored.
    penalty
        The lambda of the objective; at or above the smallest that keeps nothing, all coefficients are 0.
    tolerance
        A fit has converged when one more step would change no coefficient by more.

    Returns
    -------
    array of shape (p,)
        The coefficients; 0 for a column that is not kept.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "no column has any association with the outcome: ...".

    Examples
    --------
    >>> from penumbra.survival import lasso_cox
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> X = [[0.5, 1.0], [0.1, -0.4], [1.1, 0.3], [-0.2, 0.8], [0.4, -1.2], [0.3, -0.1], [-1.3, 0.2], [-0.9, -0.6]]
    >>> lasso_cox(event, time, X, penalty=0.05).round(3)
    array([0.766, 1.154])
    >>> lasso_cox(event, time, X, penalty=10.0)
    array([0., 0.])
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    from penumbra.survival.lasso_path import LassoPath

    covariates = checked_covariates(X, events.size)
    largest = largest_lambda(events, times, covariates)
    coefficients: Floats = np.zeros(covariates.shape[1])
    if penalty < largest:
        path = LassoPath(events, times, covariates, tolerance)
        for lam in np.geomspace(largest, penalty, WARM_STEPS):
            coefficients = path.step(float(lam))
    return coefficients


def weighted_mean(scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the mean over folds of scores (folds, k) and its standard error, folds weighing `weights` (folds,)."""
    mean = weights @ scores / weights.sum()
    return mean, np.sqrt(weights @ (scores - mean) ** 2 / weights.sum() / max(weights.size - 1, 1))


def lowest_and_one_se(mean: Floats, se: Floats) -> tuple[int, int]:
    """Return where the deviance is lowest, and the first place within one standard error of it."""
    best = int(np.argmin(mean))
    return best, int(np.flatnonzero(mean <= mean[best] + se[best])[0])


def checked_folds(folds: ArrayLike | int, event: Bools, seed: int) -> NDArray[np.int64]:
    """Return the fold of each patient (n,), drawn where their number is given."""
    if isinstance(folds, int | np.integer):
        if not MIN_FOLDS <= folds <= event.size:
            raise Undefined(f"cross-validation needs at least {MIN_FOLDS} folds and no more than patients; found {folds} folds, {event.size} patients")
        return assign_folds(event, int(folds), np.random.default_rng(seed))
    fold = np.asarray(folds)
    if fold.shape != event.shape:
        raise ValueError(f"folds must be a number or one fold per patient, shape {event.shape}; found {fold.shape}")
    return np.unique(fold, return_inverse=True)[1].astype(np.int64)


def _checked_lambdas(lambdas: ArrayLike) -> Floats:
    values = np.atleast_1d(np.asarray(lambdas, dtype=np.float64))
    if values.ndim != 1 or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"lambdas must be positive numbers, shape (k,); found {lambdas!r}")
    return np.sort(values)[::-1]


def default_lambdas(event: Bools, time: Floats, X: Floats) -> Floats:
    """Return the penalties from the smallest that keeps nothing."""
    n, p = X.shape
    return largest_lambda(event, time, X) * np.geomspace(1.0, 1e-4 if n > p else 1e-2, N_LAMBDAS)


def largest_lambda(event: Bools, time: Floats, X: Floats) -> float:
    """Return the smallest penalty that keeps nothing."""
    order = np.argsort(-time, kind="stable")
    sorted_time, died = -time[order], event[order]
    last = np.searchsorted(sorted_time, sorted_time[died], side="right") - 1
    mean_at_risk = np.cumsum(X[order], axis=0)[last] / (last + 1.0)[:, None]
    largest = float(np.abs(np.sum(X[order][died] - mean_at_risk, axis=0)).max()) / event.size
    if not largest > 1e-12:
        raise Undefined("no column has any association with the outcome: every column is constant among those at risk")
    return largest


def deviance(event: Bools, time: Floats, log_risk: Floats) -> float:
    """Return twice the saturated minus the model's log partial likelihood (Breslow)."""
    order = np.argsort(-time, kind="stable")
    died, eta = event[order], log_risk[order]
    sorted_time = -time[order]
    last = np.searchsorted(sorted_time, sorted_time[died], side="right") - 1
    likelihood = float(np.sum(eta[died] - np.logaddexp.accumulate(eta)[last]))
    deaths = np.unique(time[event], return_counts=True)[1]
    return -2.0 * (likelihood + float(np.sum(deaths * np.log(deaths))))
