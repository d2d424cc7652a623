"""The three steps of selection within one block: z-score, univariate Cox, Lasso-Cox. Training patients only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.declaration import Block
from penumbra.fusion.settings import Fitting
from penumbra.survival.outcome import Bools, Floats, Outcomes, Undefined, checked_outcome
from penumbra.survival.regression import univariate_cox
from penumbra.survival.selection import MIN_FOLDS, assign_folds, lasso_cox, lasso_cox_cv


@dataclass(frozen=True)
class BlockSelection:
    """What the three steps kept of one block.

    offered         how many columns came in
    constant, not_finite   columns dropped before any step
    significant     how many have a univariate p below alpha; significant_fdr: after Benjamini and Hochberg, at the same level
    kept            columns with a non-zero Lasso coefficient; coefficients (per standard deviation), univariate_p and univariate_q (Benjamini and
                    Hochberg's adjusted p, over all columns offered): theirs
    candidates      the significant columns, all of them
    penalty         the chosen lambda; 0.0 where the Lasso was not run
    reason          "" or why nothing is kept
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

    Arguments as fit. lambda_known  is the Lasso's lambda itself, and nothing is cross-validated.
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
    kept, coefficients, chosen, reason = np.zeros(0, dtype=int), np.zeros(0), 0.0, ""
    if significant.size == 0:
        reason = f"no column of {block.name} has p < {numbers.alpha:g} (of {values.shape[1]})"
    else:
        z = values[:, significant]
        z = (z - z.mean(axis=0)) / z.std(axis=0)
        coef, chosen, reason = lasso(events, times, z, numbers, block.name, lambda_known)
        kept, coefficients = significant[coef != 0], coef[coef != 0]
    return BlockSelection(
        block=block.name,
        offered=len(block.features),
        constant=tuple(columns[reasons == "constant"]),
        not_finite=tuple(columns[reasons == "not finite"]),
        significant=int(significant.size),
        significant_fdr=int((q < numbers.alpha).sum()),
        candidates=tuple(columns[significant]),
        kept=tuple(columns[kept]),
        coefficients=tuple(coefficients.tolist()),
        univariate_p=tuple(p[kept].tolist()),
        univariate_q=tuple(q[kept].tolist()),
        penalty=chosen,
        reason=reason,
    )


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Return p adjusted for the false discovery rate, same shape (n,). Source: Benjamini and Hochberg 1995, JRSS B 57:289."""
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw)[::-1]
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum.accumulate(raw[order] * raw.size / np.arange(raw.size, 0, -1))
    return np.minimum(adjusted, 1.0)


def lasso(event: Bools, time: Floats, z: Floats, numbers: Fitting, where: str, lambda_known: float | None = None) -> tuple[Floats, float, str]:
    """Return coefficients of the z-scored columns, the chosen lambda, and why nothing is kept ("" where something is)."""
    if lambda_known is not None:
        coef = lasso_cox(event, time, z, penalty=lambda_known)
        return coef, lambda_known, "" if coef.any() else f"the Lasso of {where} keeps none of {z.shape[1]} columns at lambda {lambda_known:g}"
    if numbers.lasso_lambda not in ("min", "1se"):
        raise ValueError(f"lasso_lambda must be 'min' or '1se'; found {numbers.lasso_lambda!r}")
    possible = min(numbers.folds, int(event.sum()))
    if possible < MIN_FOLDS:
        return np.zeros(z.shape[1]), 0.0, f"{int(event.sum())} events in training are too few to cross-validate the Lasso of {where}"
    fold = assign_folds(event, possible, np.random.default_rng(numbers.seed))
    try:
        path = lasso_cox_cv(event, time, z, folds=fold, patience=numbers.lasso_patience)
    except Undefined as undefined:
        return np.zeros(z.shape[1]), 0.0, f"Lasso of {where}: {undefined}"
    coef, chosen = (path.coef_min, path.lambda_min) if numbers.lasso_lambda == "min" else (path.coef_1se, path.lambda_1se)
    return coef, chosen, "" if coef.any() else f"the Lasso of {where} keeps none of {z.shape[1]} columns: cross-validation prefers no column"
