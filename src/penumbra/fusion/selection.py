"""The three steps of selection within one block: z-score, univariate Cox, Lasso-Cox. Training patients only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penumbra.fusion.declaration import Block
from penumbra.fusion.settings import Fitting
from penumbra.survival.outcome import LARGEST, Bools, Floats, Outcomes, Undefined, checked_outcome
from penumbra.survival.regression import univariate_cox
from penumbra.survival.ridge import ridge_cox, ridge_cox_cv
from penumbra.survival.selection import MIN_FOLDS, assign_folds, lasso_cox, lasso_cox_cv


@dataclass(frozen=True)
class BlockSelection:
    """What the three steps kept of one block.

    Parameters
    ----------
    block
        Its name.
    offered
        How many columns came in.
    constant, not_finite
        Columns dropped before any step.
    significant, significant_fdr
        How many have a univariate p below alpha; and after Benjamini and Hochberg, at the same level.
    candidates
        The significant columns, all of them.
    kept
        Columns with a non-zero Lasso coefficient; none for a ridge, which keeps every column that is finite and varies.
    coefficients
        Of the kept columns, per standard deviation.
    univariate_p, univariate_q
        Of the kept columns: p, and Benjamini and Hochberg's adjusted p over all columns offered.
    penalty
        The chosen lambda, or the penalty of the ridge; 0.0 where neither was run.
    reason
        Why nothing is kept; "" where something is.
    """

    block: str
    offered: int
    constant: tuple[str, ...]
    not_finite: tuple[str, ...]
    significant: int
    significant_fdr: int
    candidates: tuple[str, ...]
    kept: tuple[str, ...]
    coefficients: tuple[float, ...]
    univariate_p: tuple[float, ...]
    univariate_q: tuple[float, ...]
    penalty: float
    reason: str


def select(
    block: Block,
    outcomes: Outcomes,
    numbers: Fitting,
    *,
    lambda_known: float | None = None,
) -> BlockSelection:
    """Return what z-score, univariate Cox and Lasso-Cox keep of one block of the training patients.

    Parameters
    ----------
    block : (n, p)
        Of the training patients.
    outcomes : n patients
        Event, time in days, and center of the training patients.
    numbers
        The group `fuse` of params.yaml.
    lambda_known
        The Lasso's lambda itself: nothing is cross-validated. None: cross-validation chooses it.

    Returns
    -------
    BlockSelection
        The columns kept, with their coefficients; or why there is none.

    Raises
    ------
    ValueError
        "lasso_lambda must be 'min' or '1se'; found ...".

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Fitting, select
    >>> from penumbra.survival.outcome import Outcomes
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> outcomes = Outcomes.of_one_center(np.arange(40) % 3 > 0, rng.exponential(500 * np.exp(-volume[:, 0])))
    >>> numbers = Fitting(alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> selection = select(block, outcomes, numbers)
    >>> selection.offered, selection.kept
    (1, ('gtv.original_shape_MeshVolume',))
    """
    events, times = checked_outcome(outcomes.event, outcomes.time)
    values = np.asarray(block.values, dtype=float)
    fitted = univariate_cox(events, times, values, ties=numbers.ties) if values.shape[1] else None
    reasons = np.array([]) if fitted is None else fitted.reason
    p = np.array([]) if fitted is None else fitted.p
    significant = np.flatnonzero(p < numbers.alpha)
    q = np.full(p.size, np.nan)
    q[np.isfinite(p)] = benjamini_hochberg(p[np.isfinite(p)])
    columns = np.array(block.columns, dtype=object)
    selected, coefficients, penalty, reason = np.zeros(0, dtype=int), np.zeros(0), 0.0, ""
    if significant.size == 0:
        reason = f"no column of {block.name} has p < {numbers.alpha:g} (of {values.shape[1]})"
    else:
        z = values[:, significant]
        z = (z - z.mean(axis=0)) / z.std(axis=0)
        coef, penalty, reason = lasso(events, times, z, numbers, block.name, lambda_known)
        selected, coefficients = significant[coef != 0], coef[coef != 0]
    return BlockSelection(
        block=block.name,
        offered=len(block.features),
        constant=tuple(columns[reasons == "constant"]),
        not_finite=tuple(columns[reasons == "not finite"]),
        significant=int(significant.size),
        significant_fdr=int((q < numbers.alpha).sum()),
        candidates=tuple(columns[significant]),
        kept=tuple(columns[selected]),
        coefficients=tuple(coefficients.tolist()),
        univariate_p=tuple(p[selected].tolist()),
        univariate_q=tuple(q[selected].tolist()),
        penalty=penalty,
        reason=reason,
    )


@dataclass(frozen=True)
class Usable:
    """The columns of a block that a ridge takes, without a look at the outcome.

    Parameters
    ----------
    names
        Finite, and not constant.
    constant, not_finite
        The others.
    """

    block: Block
    names: tuple[str, ...]
    constant: tuple[str, ...]
    not_finite: tuple[str, ...]

    @classmethod
    def of(cls, block: Block) -> Usable:
        values = np.asarray(block.values, dtype=float)
        finite = (np.abs(values) < LARGEST).all(axis=0)
        with np.errstate(invalid="ignore", over="ignore"):
            varies = values.std(axis=0) > 1e-12 * np.maximum(np.abs(values.mean(axis=0)), np.finfo(float).tiny)
        columns = np.array(block.columns, dtype=object)
        return cls(block, tuple(columns[finite & varies]), tuple(columns[finite & ~varies]), tuple(columns[~finite]))

    def selection(self, penalty: float) -> BlockSelection:
        """What is on record of the block: nothing was selected."""
        return BlockSelection(
            block=self.block.name,
            offered=len(self.block.features),
            constant=self.constant,
            not_finite=self.not_finite,
            significant=0,
            significant_fdr=0,
            candidates=(),
            kept=(),
            coefficients=(),
            univariate_p=(),
            univariate_q=(),
            penalty=penalty,
            reason="",
        )


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Adjust p for the false discovery rate.

    Parameters
    ----------
    p : shape (n,)
        Of n tests.

    Returns
    -------
    array of shape (n,)
        The smallest false discovery rate at which each test is significant, in the order of p.

    References
    ----------
    Benjamini and Hochberg 1995, JRSS B 57:289.

    Examples
    --------
    >>> from penumbra.fusion import benjamini_hochberg
    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).round(4)
    array([0.04  , 0.0533, 0.0533, 0.5   ])
    """
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw)[::-1]
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum.accumulate(raw[order] * raw.size / np.arange(raw.size, 0, -1))
    return np.asarray(np.minimum(adjusted, 1.0))


def lasso(event: Bools, time: Floats, z: Floats, numbers: Fitting, where: str, lambda_known: float | None = None) -> tuple[Floats, float, str]:
    """Return coefficients of the z-scored columns, the chosen lambda, and why nothing is kept ("" where something is)."""
    if lambda_known is not None:
        coef = lasso_cox(event, time, z, penalty=lambda_known)
        return coef, lambda_known, "" if coef.any() else f"the Lasso of {where} keeps none of {z.shape[1]} columns at lambda {lambda_known:g}"
    if numbers.lasso_lambda not in ("min", "1se"):
        raise ValueError(f"lasso_lambda must be 'min' or '1se'; found {numbers.lasso_lambda!r}")
    fold = _folds(event, numbers)
    if fold is None:
        return np.zeros(z.shape[1]), 0.0, f"{int(event.sum())} events in training are too few to cross-validate the Lasso of {where}"
    try:
        path = lasso_cox_cv(event, time, z, folds=fold, patience=numbers.lasso_patience)
    except Undefined as undefined:
        return np.zeros(z.shape[1]), 0.0, f"Lasso of {where}: {undefined}"
    coef, penalty = (path.coef_min, path.lambda_min) if numbers.lasso_lambda == "min" else (path.coef_1se, path.lambda_1se)
    return coef, penalty, "" if coef.any() else f"the Lasso of {where} keeps none of {z.shape[1]} columns: cross-validation prefers no column"


def ridge(event: Bools, time: Floats, z: Floats, numbers: Fitting, where: str, penalty: float | None = None) -> tuple[Floats, float, str]:
    """Return coefficients of the z-scored columns, the penalty, which cross-validation chooses where it is not known, and why there are none."""
    try:
        if penalty is not None:
            return ridge_cox(event, time, z, penalty=penalty, ties=numbers.ties), penalty, ""
        fold = _folds(event, numbers)
        if fold is None:
            return np.zeros(z.shape[1]), 0.0, f"{int(event.sum())} events in training are too few to cross-validate the ridge of {where}"
        path = ridge_cox_cv(event, time, z, folds=fold, ties=numbers.ties)
        return path.coef, path.penalty_min, ""
    except Undefined as undefined:
        return np.zeros(z.shape[1]), 0.0, f"Ridge of {where}: {undefined}"


def _folds(event: Bools, numbers: Fitting) -> NDArray[np.int64] | None:
    """The fold of each patient (n,), the deaths spread evenly; None where there are too few of them."""
    possible = min(numbers.folds, int(event.sum()))
    return None if possible < MIN_FOLDS else assign_folds(event, possible, np.random.default_rng(numbers.seed))
