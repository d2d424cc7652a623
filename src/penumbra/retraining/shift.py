"""How differently a new center looks to the champion: the features that it reads, at the center and where it was fitted.

`penumbra drift` compares every feature that is stored (commands/drift.py).
"""

import math

import numpy as np

from penumbra.pipeline.dataset import Dataset, columns_of


def shifted(data: Dataset, columns: tuple[str, ...], center: str) -> dict[str, float]:
    """Column -> standardized mean difference of `center` against the training patients of `data`, the largest first; NaN left out.

    (mean at the center - mean in training) / sqrt((sd_center^2 + sd_training^2) / 2), sd with n - 1; as the view `center_drift` has it per pair of
    centers, which knows no deep features and no pool.

    References
    ----------
    Austin 2009, Stat Med 28:3083.
    """
    table, here = columns_of(data.blocks), data.centers == center
    differences = {}
    for column in columns:
        new, old = (values[np.isfinite(values)] for values in (table[column][here], table[column][data.training & ~here]))
        if min(new.size, old.size) > 1:
            spread = math.sqrt((np.var(new, ddof=1) + np.var(old, ddof=1)) / 2)
            if spread > 0:
                differences[column] = float((new.mean() - old.mean()) / spread)
    return dict(sorted(differences.items(), key=lambda item: -abs(item[1])))
