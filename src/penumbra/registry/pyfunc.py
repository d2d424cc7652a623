"""The code file MLflow runs to serve a version (models-from-code): reads the bundle beside it and answers a table of features."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from penumbra.registry.bundle import read_manifest, read_models
from penumbra.registry.sent import numbers


class ServedModel(PythonModel):
    """The served model of one bundle."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["bundle"])
        manifest = read_manifest(folder)
        self.model = read_models(folder, (manifest["served"],))[manifest["served"]]
        self.horizons_days = np.array(manifest["horizons_days"], dtype=float)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """One row of answers per row of features.

        model_input  columns "<block>.<feature>" of the model's signature, any order, raw values as extracted.
        Raises       MlflowException (HTTP 400) with the rule that a value breaks and its column.
        """
        try:
            log_risk = self.model.log_risk({name: numbers(name, model_input[name].array) for name in self.model.columns})
        except ValueError as broken:
            raise MlflowException(str(broken), error_code=INVALID_PARAMETER_VALUE) from broken
        survival = self.model.survival(log_risk, self.horizons_days)
        answers = {"log_risk": log_risk, "risk_group": self.model.risk_group(log_risk)}
        return pd.DataFrame({**answers, **{f"survival_{year}y": survival[:, year - 1] for year in range(1, survival.shape[1] + 1)}})


if __name__ != "penumbra.registry.pyfunc":  # run by MLflow under a name of its own; a plain import changes nothing
    mlflow.models.set_model(ServedModel())
