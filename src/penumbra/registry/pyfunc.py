"""The code file MLflow runs to serve a version (models-from-code): reads the bundle next to it and answers a table of features."""

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from penumbra.fusion.contributions import TOP
from penumbra.registry.scoring import Scoring


class ServedModel(PythonModel):
    """The served model of one bundle."""

    def load_context(self, context: PythonModelContext) -> None:
        self.scoring = Scoring.of_bundle(Path(context.artifacts["bundle"]))

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
        options = params or {}
        try:
            answers = self.scoring.answer(model_input, explain=bool(options.get("explain")), features=int(str(options.get("features", TOP))))
        except ValueError as broken:
            raise MlflowException(str(broken), error_code=INVALID_PARAMETER_VALUE) from broken
        return pd.DataFrame(answers)


if __name__ != "penumbra.registry.pyfunc":  # run by MLflow under a name of its own; a plain import changes nothing
    mlflow.models.set_model(ServedModel())
