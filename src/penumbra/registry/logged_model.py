"""A bundle as MLflow shows it: a run, and a logged model that its server can serve."""

import json
import math
import shutil
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal
from penumbra.evaluate.rows import MetricRow
from penumbra.fusion.contributions import TOP
from penumbra.fusion.model import SurvivalModel
from penumbra.registry import tracking
from penumbra.registry.bundle import Bundle, Lineage, read_refits
from penumbra.registry.database import experiment_root
from penumbra.registry.named_metrics import artifacts_of
from penumbra.registry.scoring_code import importable, write_scoring_code
from penumbra.registry.updates import CENTER, updates_of
from penumbra.survival.horizons import horizon_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = ("mlflow.experimentKind", "custom_model_development")  # else MLflow's pages open with traces, prompts and judges of language models
SERVING = ("mlflow", "numpy", "pandas")  # what the model server imports besides the code that the model carries


def experiment_of(mlflow_client: "MlflowClient", home: Path, name: str) -> str:
    """The experiment of a registered model, made where there is none.

    Raises
    ------
    Refusal
        "experiment_there": `the experiment nsclc-os was deleted in MLflow. ...`.
    """
    experiment = mlflow_client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage != "active":
        advice = f"restore it there: mlflow experiments restore --experiment-id {experiment.experiment_id}"
        raise Refusal("experiment_there", f"the experiment {name} was deleted in MLflow", advice)
    if experiment is None:
        return str(mlflow_client.create_experiment(name, artifact_location=experiment_root(home).resolve().as_uri(), tags=dict([KIND])))
    if KIND[0] not in experiment.tags:
        mlflow_client.set_experiment_tag(experiment.experiment_id, *KIND)
    return str(experiment.experiment_id)


def finished_model(mlflow_client: "MlflowClient", experiment: str, digest: str) -> Any:
    """The logged model that an earlier call finished with this digest; None: there is none."""
    from mlflow.entities import LoggedModelStatus

    candidates = mlflow_client.search_logged_models([experiment], filter_string=f"tags.digest = '{digest}'")
    return next((logged for logged in candidates if logged.status == LoggedModelStatus.READY), None)


def discard_unfinished(mlflow_client: "MlflowClient", home: Path, experiment: str) -> None:
    """Runs and models of calls that died: no call is under way elsewhere, since this one holds the registry alone."""
    from mlflow.entities import LoggedModelStatus

    for run in mlflow_client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if "digest" in run.data.tags:  # others may use the experiment too
            mlflow_client.set_terminated(run.info.run_id, "KILLED")
    for logged in mlflow_client.search_logged_models([experiment]):
        if logged.status == LoggedModelStatus.PENDING and "digest" in logged.tags:
            mlflow_client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
            shutil.rmtree(experiment_root(home) / "models" / logged.model_id, ignore_errors=True)


def log_model(mlflow_client: "MlflowClient", home: Path, experiment: str, bundle: Bundle, digest: str, staging: Path, rows: list[MetricRow]) -> Any:
    """Log a bundle as a run with its parameters and curves, and as a model that is ready."""
    from mlflow.entities import LoggedModelOutput

    lineage = bundle.lineage
    tags = {
        "digest": digest,
        "store_commit": str(lineage.store_commit),
        "store_digest": lineage.store_digest,
        "code_commit": lineage.code_commit,
        "train_centers": ", ".join(lineage.train_centers),
        **{f"data_digest.{center}": value for center, value in lineage.data_digests.items()},
    }
    run = mlflow_client.create_run(experiment, tags=tags, run_name=digest[:12])
    run_id = run.info.run_id
    params = {name: str(value) for name, value in sorted({**lineage.params, "served": bundle.served}.items())}
    tracking.log_run(mlflow_client, run_id, params, lineage, {row.center: row.split for row in rows if row.split in tracking.PLAIN_SPLITS})
    tracking.log_curves(mlflow_client, run_id, bundle.curves)
    logged = mlflow_client.create_logged_model(experiment, name=bundle.served, source_run_id=run_id, tags=tags, params=params)
    save_pyfunc(bundle, staging, staging / "pyfunc", run_id, logged.model_id)
    mlflow_client.log_model_artifacts(logged.model_id, str(staging / "pyfunc"))
    _write_facts(artifacts_of(home, run_id), lineage, staging / "pyfunc" / "requirements.txt")
    mlflow_client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])  # the run's page shows the model
    mlflow_client.set_terminated(run_id, "FINISHED")
    return mlflow_client.finalize_logged_model(logged.model_id, "READY")


def save_pyfunc(bundle: Bundle, staging: Path, target: Path, run_id: str, model_id: str) -> None:
    """The bundle as an MLflow model folder: the code that scores, the bundle as an artifact, signature and input example."""
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    served = bundle.models[bundle.served]
    columns = list(served.columns)
    refits = read_refits(staging / "bundle")
    further = [] if refits is None else [name for name in refits.names if name not in columns]  # that limits alone need
    # AnyType: MLflow casts true and "1" to the declared type before our code sees them; penumbra.registry.sent takes numbers only
    middle = typical_patient(served)
    survival = [ColSpec(DataType.double, f"survival_{horizon_name(day)}", required=False) for day in bundle.horizons_days]
    measured = [ColSpec(DataType.double, f"applicability_{name}", required=False) for name in ("share", "distance")]
    applicability = [ColSpec(DataType.string, "applicability"), *measured, ColSpec(DataType.string, "applicability_columns")]
    outputs = [*applicability, ColSpec(DataType.double, "log_risk"), ColSpec(DataType.string, "risk_group"), *survival, ColSpec(DataType.string, "reason")]
    inputs = [ColSpec(AnyType(), name) for name in columns]
    if updates_of(bundle.settings):
        inputs.append(ColSpec(DataType.string, CENTER, required=False))
    entry, package = write_scoring_code(staging / "code")
    with importable(package):
        save_model(
            str(target),
            python_model=str(entry),
            code_paths=[str(package)],
            artifacts={"bundle": str(staging / "bundle")},
            signature=ModelSignature(
                inputs=Schema([*inputs, *(ColSpec(AnyType(), name, required=False) for name in further)]),
                outputs=Schema([*outputs]),
                params=ParamSchema([ParamSpec("explain", DataType.boolean, False), ParamSpec("features", DataType.long, TOP)]),
            ),
            input_example=pd.DataFrame([[middle[name] for name in columns]], columns=columns),
            pip_requirements=[f"{name}=={installed(name)}" for name in SERVING],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )
    _without_addresses(target / "MLmodel")


def typical_patient(model: SurvivalModel) -> dict[str, float]:
    """The median of each column over the training patients, which is nobody; the mean where a version does not know its median.

    A radiomic feature is skewed, and its mean is a value that hardly any patient has.
    """
    mean, domain = mean_patient(model), model.domain
    if domain is None:
        return mean
    logs, plain = ({column.name for column in model.inputs if column.log is log} for log in (True, False))
    middle = {name: value for name, value in zip(domain.columns, domain.middle, strict=True) if name in mean and not (name in logs and name in plain)}
    return mean | {name: math.exp(value) if name in logs else value for name, value in middle.items()}


def mean_patient(model: SurvivalModel) -> dict[str, float]:
    """The mean of each column over the training patients; of one that is there as its logarithm alone, what has the mean logarithm."""
    logs = {column.name: math.exp(column.mean) for column in model.inputs if column.log}
    return logs | {column.name: column.mean for column in model.inputs if not column.log}


def _write_facts(folder: Path, lineage: Lineage, requirements: Path) -> None:
    """Parameters and requirements as files among the artifacts of the run."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in lineage.params.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(plain, default=str)), sort_keys=True), encoding="utf-8")
    shutil.copyfile(requirements, folder / "requirements.txt")


def _without_addresses(description: Path) -> None:
    """MLflow notes where code and artifacts were saved from, and reads neither: they would carry this machine's folders to others."""
    import yaml

    content = yaml.safe_load(description.read_text(encoding="utf-8"))
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    description.write_text(yaml.safe_dump(content, default_flow_style=False), encoding="utf-8")
