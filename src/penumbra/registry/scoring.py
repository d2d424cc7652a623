"""A table of features through the served model of a version: what MLflow's server answers, and `penumbra.load(...).predict`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.fusion.contributions import TOP, contributions_of, explained
from penumbra.fusion.model import SurvivalModel
from penumbra.fusion.release import percentile
from penumbra.fusion.resampled import Resampled, band_of
from penumbra.registry.bundle import read_manifest, read_models, read_refits, read_settings
from penumbra.registry.sent import numbers
from penumbra.registry.updates import CENTER, Update, answered, lines_of, updates_of
from penumbra.survival.horizons import horizon_name

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 10  # beyond the percentiles of training, that an answer names
DIGITS = 6  # of what adds up to log_risk


@dataclass(frozen=True)
class Scoring:
    """What a version needs to answer a table of features.

    Parameters
    ----------
    model
        The served one.
    horizons_days : days
        Times at which survival is answered.
    updates
        Center -> how its probabilities differ.
    refits
        For limits; None: there are none.
    """

    model: SurvivalModel
    horizons_days: tuple[float, ...]
    updates: Mapping[str, Update]
    refits: Resampled | None

    @classmethod
    def of_bundle(cls, folder: Path) -> "Scoring":
        """Read a bundle's files."""
        manifest = read_manifest(folder)
        model = read_models(folder, (manifest["served"],))[manifest["served"]]
        return cls(model, tuple(map(float, manifest["horizons_days"])), updates_of(read_settings(folder)), read_refits(folder))

    def answer(self, rows: "pd.DataFrame", *, explain: bool = False, features: int = TOP, at_centers: bool = False) -> dict[str, object]:
        """One value per row of features, by the column of the answer.

        Parameters
        ----------
        rows
            Columns "<block>.<feature>" of the model, any order, raw values as extracted; "center" where a version has updates of single centers.
        explain
            Add limits, percentile and contributions.
        features
            How many contributions of each block.
        at_centers
            Whether columns are harmonized as those of the patient's center, where the model harmonizes; otherwise as those of one that did not train.

        Raises
        ------
        Unusable
            The rule that a value breaks, and its column.
        """
        sent = [name for name in self._columns(explain) if name in rows]
        table, names = _table(rows[sent]), rows[CENTER].astype(str) if CENTER in rows else None
        places = names if at_centers and self.model.harmonizes else None
        log_risk = self.model.log_risk(table, centers=places)
        risk = answered(self.updates, log_risk, names) if self.updates and names is not None else log_risk
        survival = self.model.survival(risk, list(self.horizons_days))
        within = [patient.to_dict() for patient in self.model.applicability(table, centers=places)]
        answers: dict[str, object] = {
            "applicability": [patient["word"] for patient in within],
            "applicability_share": [patient["share"] for patient in within],
            "applicability_distance": [patient["distance"] for patient in within],
            "applicability_columns": [", ".join(patient["columns"][:COLUMNS]) for patient in within],
            "log_risk": log_risk,
            "risk_group": self.model.risk_group(log_risk),
        }
        reasons = [self.model.baseline.why_not(day) for day in self.horizons_days]
        for column, day in enumerate(self.horizons_days):
            # None and not NaN: JSON has no NaN
            answers[f"survival_{horizon_name(day)}"] = [None] * len(log_risk) if reasons[column] else survival[:, column]
        if explain:
            centers = [""] * len(log_risk) if names is None else names
            answers |= self._explained(table, log_risk, lines_of(self.updates, centers), features)
        return {**answers, "reason": "; ".join(filter(None, reasons))}

    def _columns(self, explain: bool) -> tuple[str, ...]:
        """The columns that an answer reads."""
        further = self.refits.names if self.refits is not None and explain else ()
        return tuple(dict.fromkeys((*self.model.columns, *further)))

    def _explained(self, table: dict[str, np.ndarray], log_risk: np.ndarray, recalibration: tuple[np.ndarray, np.ndarray], features: int) -> dict[str, object]:
        """Limits, percentiles and contributions of each row, as columns."""
        band = band_of(self.refits, self.model, table, log_risk, list(self.horizons_days), recalibration=recalibration)
        columns: dict[str, object] = {"log_risk_lower": _or_null(band.lower), "log_risk_upper": _or_null(band.upper)}
        for place, day in enumerate(self.horizons_days):
            columns[f"survival_{horizon_name(day)}_lower"] = _or_null(band.survival_lower[:, place])
            columns[f"survival_{horizon_name(day)}_upper"] = _or_null(band.survival_upper[:, place])
        columns["limits"] = band.covers
        columns["percentile"] = [percentile(self.model, risk) for risk in log_risk.tolist()]
        parts = contributions_of(self.model, table)
        columns["contributions"] = [explained(parts, table, row=row, top=features, digits=DIGITS).to_dict() for row in range(len(log_risk))]
        return columns


def _table(sent: "pd.DataFrame") -> dict[str, np.ndarray]:
    """The columns as floats; a thousand columns of numbers at once, since pandas takes 10 ms to give them out one by one."""
    if all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in set(sent.dtypes)):
        return dict(zip(sent.columns, sent.to_numpy(dtype=float).T, strict=True))
    return {name: numbers(name, sent[name].array) for name in sent.columns}


def _or_null(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
