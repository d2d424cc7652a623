"""How far a covariance of few patients and many columns is to be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def ledoit_wolf_shrinkage(X: ArrayLike) -> tuple[float, float]:
    """Return by how much the covariance of a table is shrunk toward a multiple of the identity, and that multiple.

    The covariance S (divided by n) becomes (1 - share) x S + share x mean x identity, the combination with the smallest expected squared error. It is
    counted from products of patients, so that thousands of columns cost nothing.

    Parameters
    ----------
    X : shape (n, p)
        Columns on comparable scales; p may be far above n.

    Returns
    -------
    share : float
        Between 0 and 1; 1 where there is one column, whose variance is its own target.
    mean : float
        Of the variances of the columns.

    References
    ----------
    Ledoit and Wolf 2004, J Multivariate Anal 88:365; equals scikit-learn's ledoit_wolf_shrinkage.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.survival.shrinkage import ledoit_wolf_shrinkage
    >>> share, mean = ledoit_wolf_shrinkage(np.random.default_rng(0).normal(size=(50, 20)))
    >>> round(share, 1), round(mean, 1)
    (0.9, 1.0)
    """
    table = np.asarray(X, dtype=float)
    n, p = table.shape
    centered = table - table.mean(axis=0)
    products = centered @ centered.T
    mean = float(np.trace(products)) / n / p
    squared = float((products**2).sum()) / n**2
    distance = squared - p * mean**2
    if p == 1 or distance <= 1e-12 * squared:
        return 1.0, mean
    error = float((np.diag(products) ** 2).sum()) / n**2 - squared / n
    return min(1.0, max(0.0, error / distance)), mean
