"""The columns that a registered version reads: what each adds to the risk, how often refits keep it, how stable its feature is when measured again."""

import math
from dataclasses import dataclass

import numpy as np

from penumbra import store
from penumbra.registry import LoadedModel

_WEAKEST = "SELECT version, roi, feature, min(icc) AS icc FROM feature_stability GROUP BY ALL"


@dataclass(frozen=True)
class ModelColumn:
    """One column of the served model; NaN where a number is not known.

    Parameters
    ----------
    name
        `<block>.<feature>`.
    coefficient
        Log hazard per standard deviation of the training patients.
    p, q
        Of the univariate step, raw and adjusted.
    refits
        Share of the refits on resamples that keep it.
    icc
        Of its feature, under the perturbation that it stands least.
    """

    name: str
    log: bool
    coefficient: float
    p: float
    q: float
    refits: float
    icc: float

    @property
    def roi(self) -> str:
        """The block: a ROI, or deep."""
        return self.name.partition(".")[0]

    @property
    def feature(self) -> str:
        """Its name in the catalogue."""
        return self.name.partition(".")[2]


def model_columns(lake: "store.Store", loaded: LoadedModel) -> tuple[ModelColumn, ...]:
    """The columns of the served model, the largest coefficient first."""
    model = loaded.model
    tested = {
        column: (p, q)
        for part in (model, *model.parts)
        for selection in part.selections
        for column, p, q in zip(selection.kept, selection.univariate_p, selection.univariate_q, strict=True)
    }
    shares = _shares(loaded)
    weakest = {(row["version"], f"{row['roi']}.{row['feature']}"): row["icc"] for row in lake.sql(_WEAKEST).to_pylist()}
    unknown = math.nan, math.nan
    rows = []
    for column in model.inputs:
        version = loaded.feature_versions.get(column.name.partition(".")[0], "")
        icc = weakest.get((version, column.name))
        p, q = tested.get(column.name, unknown)
        rows.append(ModelColumn(column.name, column.log, column.coefficient, p, q, shares.get(column.name, math.nan), math.nan if icc is None else icc))
    return tuple(sorted(rows, key=lambda row: (-abs(row.coefficient), row.name)))


def _shares(loaded: LoadedModel) -> dict[str, float]:
    """Column -> share of the refits in which it has a coefficient; {} where the version has no refits."""
    if loaded.refits is None:
        return {}
    presence = np.mean(loaded.refits.coefficients != 0, axis=0)
    shares: dict[str, float] = {}
    for column, share in zip(loaded.refits.columns, presence.tolist(), strict=True):
        shares[column.name] = max(shares.get(column.name, 0.0), share)
    return shares
