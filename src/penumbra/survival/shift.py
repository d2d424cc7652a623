"""How far a new sample is from the one that a model learned from: per feature, for thousands of features at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import Floats


@dataclass(frozen=True)
class Shift:
    """Of each feature (p,): finite values in the reference and in the sample, means, Kolmogorov-Smirnov statistic with its p, stability index.

    NaN where a feature has fewer than two finite values on one side.
    """

    reference_n: np.ndarray
    sample_n: np.ndarray
    reference_mean: Floats
    sample_mean: Floats
    ks: Floats
    p: Floats
    psi: Floats


def shift(reference: ArrayLike, sample: ArrayLike, *, bins: int) -> Shift:
    """Compare each column of two samples.

    Parameters
    ----------
    reference : shape (n, p)
        The sample that the model learned from; values that are not finite are left out.
    sample : shape (m, p)
        The new one; values that are not finite are left out.
    bins
        Of the population stability index, between the quantiles of the reference. A value that several quantiles share (a feature that is constant, or
        mostly its minimum) has a bin of its own, so that what is below it counts as lying elsewhere.

    Raises
    ------
    ValueError
        "reference and sample must have the same columns; found shapes ...".

    References
    ----------
    Kolmogorov-Smirnov with the asymptotic p of scipy.stats.ks_2samp(method="asymp"); population stability index, sum of (a - b) ln(a / b) over the bins,
    with half a patient added to every bin that is not empty on both sides, so that an empty one is not infinite.
    """
    from scipy.stats import kstwo

    a, b = np.asarray(reference, dtype=float), np.asarray(sample, dtype=float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"reference and sample must have the same columns; found shapes {a.shape} and {b.shape}")
    a, b = np.where(np.isfinite(a), a, np.nan), np.where(np.isfinite(b), b, np.nan)
    n, m = np.isfinite(a).sum(axis=0), np.isfinite(b).sum(axis=0)
    enough = (n > 1) & (m > 1)
    ks, p, psi = (np.full(a.shape[1], np.nan) for _ in range(3))
    ks[enough] = _distance(a[:, enough], b[:, enough])
    size = np.round(n[enough] * m[enough] / (n[enough] + m[enough]))
    # Thousands of features take a few hundred distances.
    _, one, inverse = np.unique(np.column_stack([ks[enough].round(12), size]), axis=0, return_index=True, return_inverse=True)
    p[enough] = np.clip(kstwo.sf(ks[enough][one], size[one]), 0, 1)[inverse.reshape(-1)]
    psi[enough] = [
        _stability(one_column[np.isfinite(one_column)], other_column[np.isfinite(other_column)], bins)
        for one_column, other_column in zip(a[:, enough].T, b[:, enough].T, strict=True)
    ]
    means = [np.divide(np.nansum(values, axis=0), count, out=np.full(a.shape[1], np.nan), where=count > 0) for values, count in ((a, n), (b, m))]
    return Shift(n, m, means[0], means[1], ks, p, psi)


def _distance(a: Floats, b: Floats) -> Floats:
    """The largest distance between the two distribution functions of each column (p,); NaN sorts last and counts for neither."""
    both = np.concatenate([a, b])
    order = np.argsort(both, axis=0, kind="stable")
    values = np.take_along_axis(both, order, axis=0)
    present = ~np.isnan(values)
    first = (order < len(a)) & present
    share_a = np.cumsum(first, axis=0) / first.sum(axis=0)
    second = ~(order < len(a)) & present
    share_b = np.cumsum(second, axis=0) / second.sum(axis=0)
    last_of_tie = np.ones(values.shape, dtype=bool)
    last_of_tie[:-1] = values[:-1] != values[1:]
    return np.asarray(np.max(np.where(last_of_tie & present, np.abs(share_a - share_b), 0.0), axis=0))


def _stability(reference: Floats, sample: Floats, bins: int) -> float:
    quantiles = np.quantile(reference, np.linspace(0, 1, bins + 1))
    values, times = np.unique(quantiles, return_counts=True)
    edges, heavy = np.unique(quantiles[1:-1]), values[times > 1]
    # of each value: how many edges lie below it, and at how many shared values it is not below
    places = [np.searchsorted(edges, part, side="left") + np.searchsorted(heavy, part, side="right") for part in (reference, sample)]
    counts = np.array([np.bincount(place, minlength=len(edges) + len(heavy) + 1) for place in places])
    counts = counts[:, counts.any(axis=0)] + 0.5
    expected, observed = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sum((observed - expected) * np.log(observed / expected)))
