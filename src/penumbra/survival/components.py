"""Principal components, with a sign that does not depend on the machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import Floats, Undefined, checked_covariates


@dataclass(frozen=True)
class Components:
    """Principal components of a table.

    Parameters
    ----------
    mean : shape (p,)
        Of each column.
    components : shape (k, p)
        Orthonormal rows; k is how many are kept.
    explained : shape (m,)
        Share of variance of every component, also of those that are not kept.
    """

    mean: Floats
    components: Floats
    explained: Floats

    def transform(self, X: ArrayLike) -> Floats:
        """Return the scores (n, k) of X (n, p)."""
        return (np.asarray(X, dtype=float) - self.mean) @ self.components.T


def principal_components(X: ArrayLike, *, variance: float = 0.95) -> Components:
    """Return the fewest principal components that hold at least a given share of the variance of a table.

    Parameters
    ----------
    X : shape (n, p)
        Columns that the caller has z-scored.
    variance
        The share to hold, 0 < variance <= 1.

    Returns
    -------
    Components
        The mean of each column, the components, and the share of variance of each.

    Raises
    ------
    Undefined
        "X has no variance ...".
    ValueError
        "variance must be ...".

    Notes
    -----
    The largest loading of each component is positive, so that every machine gives the same sign.

    References
    ----------
    Jolliffe 2002, Principal Component Analysis; equals R's prcomp up to sign.

    Examples
    --------
    >>> from penumbra.survival import principal_components
    >>> X = [[1.0, 1.1, 0.0], [2.0, 1.9, 0.1], [3.0, 3.2, 0.0], [4.0, 3.8, 0.1]]
    >>> pca = principal_components(X, variance=0.95)
    >>> pca.components.shape, pca.transform(X).shape
    ((1, 3), (4, 1))
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance must be above 0 and at most 1; found {variance}")
    table = np.asarray(X, dtype=float)
    table = checked_covariates(table, table.shape[0] if table.ndim else 0)
    mean = table.mean(axis=0)
    _, singular, rows = np.linalg.svd(table - mean, full_matrices=False)
    power = singular**2
    if not power.sum() > 0:
        raise Undefined(f"X has no variance among {table.shape[0]} patients: no component to keep")
    explained = power / power.sum()
    # the last component of a table of rank r is rounding error: 1 - 1e-12 counts as 1
    count = min(int(np.searchsorted(np.cumsum(explained), variance - 1e-12)) + 1, int((explained > 1e-20).sum()))
    rows = rows[:count]
    largest = rows[np.arange(count), np.abs(rows).argmax(axis=1)]
    return Components(mean, rows * np.sign(largest)[:, None], explained)
