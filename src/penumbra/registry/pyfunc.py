"""The code file MLflow runs to serve a version (models-from-code): reads the bundle next to it and answers a table of features."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from penumbra.registry.bundle import read_manifest, read_models, read_settings
from penumbra.registry.sent import numbers
from penumbra.registry.updates import CENTER, answered, updates_of
from penumbra.survival.horizons import horizon_name


class ServedModel(PythonModel):
    """The served model of one bundle."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["bundle"])
        manifest = read_manifest(folder)
        self.model = read_models(folder, (manifest["served"],))[manifest["served"]]
        self.horizons_days = np.array(manifest["horizons_days"], dtype=float)
        self.updates = updates_of(read_settings(folder))

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        """One row of answers per row of features.

        Parameters
        ----------
        model_input
            Columns "<block>.<feature>" of the model's signature, any order, raw values as extracted. Of a version with updates of single centers also
            "center", which may be left out: then the probabilities are those of the model without them.

        Returns
        -------
        pd.DataFrame
            log_risk, risk_group, survival_1y and so on, each named by its time; null, with a reason, beyond the follow-up of the training patients.

        Raises
        ------
        MlflowException
            (HTTP 400) with the rule that a value breaks and its column.
        """
        try:
            log_risk = self.model.log_risk({name: numbers(name, model_input[name].array) for name in self.model.columns})
        except ValueError as broken:
            raise MlflowException(str(broken), error_code=INVALID_PARAMETER_VALUE) from broken
        risk = answered(self.updates, log_risk, model_input[CENTER].astype(str)) if self.updates and CENTER in model_input else log_risk
        survival = self.model.survival(risk, self.horizons_days)
        answers: dict[str, object] = {"log_risk": log_risk, "risk_group": self.model.risk_group(log_risk)}
        reasons = [self.model.baseline.why_not(day) for day in self.horizons_days]
        for column, day in enumerate(self.horizons_days):
            # None and not NaN: JSON has no NaN
            answers[f"survival_{horizon_name(day)}"] = [None] * len(log_risk) if reasons[column] else survival[:, column]
        return pd.DataFrame({**answers, "reason": "; ".join(filter(None, reasons))})


if __name__ != "penumbra.registry.pyfunc":  # run by MLflow under a name of its own; a plain import changes nothing
    mlflow.models.set_model(ServedModel())
