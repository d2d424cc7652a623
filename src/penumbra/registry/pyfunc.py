"""The code file MLflow runs to serve a version (models-from-code): reads the bundle next to it and answers a table of features."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from penumbra.fusion.contributions import TOP, contributions_of, explained
from penumbra.fusion.release import percentile
from penumbra.fusion.resampled import band_of
from penumbra.registry.bundle import read_manifest, read_models, read_refits, read_settings
from penumbra.registry.sent import numbers
from penumbra.registry.updates import CENTER, answered, lines_of, updates_of
from penumbra.survival.horizons import horizon_name

COLUMNS = 10  # beyond the percentiles of training, that an answer names
DIGITS = 6  # of what adds up to log_risk


class ServedModel(PythonModel):
    """The served model of one bundle."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["bundle"])
        manifest = read_manifest(folder)
        self.model = read_models(folder, (manifest["served"],))[manifest["served"]]
        self.horizons_days = np.array(manifest["horizons_days"], dtype=float)
        self.updates = updates_of(read_settings(folder))
        self.refits = read_refits(folder)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        """One row of answers per row of features.

        Parameters
        ----------
        model_input
            Columns "<block>.<feature>" of the model's signature, any order, raw values as extracted. The optional ones are those that refits read and the
            model does not: without them there are no limits. Of a version with updates of single centers also "center", which may be left out: then the
            probabilities are those of the model without them.
        params
            explain: true adds limits, percentile and contributions; features: how many of each block.

        Returns
        -------
        pd.DataFrame
            applicability (inside, edge, outside, or unknown of a version from before it was learned) with share, distance and columns, by the features alone;
            then log_risk, risk_group, survival_1y and so on, each named by its time; null, with a reason, beyond the follow-up of the training patients.
            Explained: a lower and an upper limit of each, what they cover, between which percentiles of the training patients the risk lies, and what adds up
            to it.

        Raises
        ------
        MlflowException
            (HTTP 400) with the rule that a value breaks and its column.
        """
        options, sent = params or {}, [name for name in self._columns(params) if name in model_input]
        try:
            table = _table(model_input[sent])
            log_risk = self.model.log_risk(table)
        except ValueError as broken:
            raise MlflowException(str(broken), error_code=INVALID_PARAMETER_VALUE) from broken
        risk = answered(self.updates, log_risk, model_input[CENTER].astype(str)) if self.updates and CENTER in model_input else log_risk
        survival = self.model.survival(risk, self.horizons_days)
        within = [patient.to_dict() for patient in self.model.applicability(table)]
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
        if options.get("explain"):
            centers = model_input[CENTER].astype(str) if CENTER in model_input else [""] * len(log_risk)
            answers |= self._explained(table, log_risk, lines_of(self.updates, centers), int(str(options.get("features", TOP))))
        return pd.DataFrame({**answers, "reason": "; ".join(filter(None, reasons))})

    def _columns(self, params: dict[str, object] | None) -> tuple[str, ...]:
        """The columns that an answer reads."""
        further = self.refits.names if self.refits is not None and (params or {}).get("explain") else ()
        return tuple(dict.fromkeys((*self.model.columns, *further)))

    def _explained(self, table: dict[str, np.ndarray], log_risk: np.ndarray, recalibration: tuple[np.ndarray, np.ndarray], features: int) -> dict[str, object]:
        """Limits, percentiles and contributions of each row, as columns."""
        band = band_of(self.refits, self.model, table, log_risk, self.horizons_days.tolist(), recalibration=recalibration)
        columns: dict[str, object] = {"log_risk_lower": _or_null(band.lower), "log_risk_upper": _or_null(band.upper)}
        for place, day in enumerate(self.horizons_days):
            columns[f"survival_{horizon_name(day)}_lower"] = _or_null(band.survival_lower[:, place])
            columns[f"survival_{horizon_name(day)}_upper"] = _or_null(band.survival_upper[:, place])
        columns["limits"] = band.covers
        columns["percentile"] = [percentile(self.model, risk) for risk in log_risk.tolist()]
        parts = contributions_of(self.model, table)
        columns["contributions"] = [explained(parts, table, row=row, top=features, digits=DIGITS).to_dict() for row in range(len(log_risk))]
        return columns


def _table(sent: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns as floats; a thousand columns of numbers at once, since pandas takes 10 ms to give them out one by one."""
    if all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in set(sent.dtypes)):
        return dict(zip(sent.columns, sent.to_numpy(dtype=float).T, strict=True))
    return {name: numbers(name, sent[name].array) for name in sent.columns}


def _or_null(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


if __name__ != "penumbra.registry.pyfunc":  # run by MLflow under a name of its own; a plain import changes nothing
    mlflow.models.set_model(ServedModel())
