"""Registering a fitted bundle as a version, and loading it again to score patients."""

import getpass
import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.params import model_name
from penumbra.base.refusal import Refusal
from penumbra.evaluate.rows import MetricRow
from penumbra.registry import noted, tracking
from penumbra.registry.bundle import Bundle, Lineage, network_path, read_lineage, read_manifest, read_models, read_settings, verify, write_bundle
from penumbra.registry.database import client, experiment_root, writing
from penumbra.registry.noted import AliasChange
from penumbra.registry.outside import RESTORE, model_missing
from penumbra.registry.remembered import CHAMPION, remembered
from penumbra.registry.scoring_code import importable, write_scoring_code
from penumbra.registry.shelf import BUNDLE_PATH, RegisteredVersion, shelf
from penumbra.registry.versions import CHALLENGER, find, restore_tags, versions
from penumbra.survival.horizons import horizon_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from penumbra.fusion import SurvivalModel

FIRST = "the first version"  # why it is champion
DESCRIPTION = "Overall survival of patients with non-small-cell lung cancer after radiotherapy, from the planning CT"
SERVING = ("mlflow", "numpy", "pandas")  # what the model server imports besides the code that the model carries


@dataclass(frozen=True)
class LoadedModel:
    """A version read from its files, ready to score.

    entry             number, aliases, digest, lineage tags.
    models            name -> fitted model; `served` names the one that answers.
    horizons_days     times in days at which survival is answered.
    feature_versions  ROI or "deep" -> version key the models need.
    settings          documents that compute the features of a new patient.
    network_path      for `penumbra.network.load`; None when the version has no network.
    """

    entry: RegisteredVersion
    models: "dict[str, SurvivalModel]"
    served: str
    horizons_days: tuple[float, ...]
    feature_versions: dict[str, str]
    settings: dict[str, Any]
    network_path: Path | None
    lineage: Lineage

    @property
    def model(self) -> "SurvivalModel":
        """The served model."""
        return self.models[self.served]


def register(home: Path, bundle: Bundle, metrics: Iterable[MetricRow] = (), *, challenger: bool = False, model: str | None = None) -> RegisteredVersion:
    """Register a bundle as a new version, or return the version that already holds exactly this bundle.

    The first version that there ever was becomes champion: an alias that was lost later is nobody's to guess. A later one becomes challenger only
    if `challenger` is set. Metrics that MLflow does not hold yet are added in both cases. A call that was killed half-way is completed by the next
    one with the same bundle.

    home   the folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    model  name in the registry; None: as params.yaml says (register.model).

    Raises  Refusal "model_kept" where the registered model was deleted or renamed in MLflow and a number would be given twice,
            "experiment_there" where its experiment was deleted.
    """
    model, rows = model or model_name(), list(metrics)
    with writing(home):
        staging = experiment_root(home).parent / "staging"
        shutil.rmtree(staging, ignore_errors=True)
        digest = write_bundle(bundle, staging / "bundle")
        entry = next((entry for entry in versions(home, model) if entry.digest == digest), None)
        if entry is None:
            entry = _add_version(home, model, bundle, digest, staging, rows)
        else:
            _restore_files(entry, bundle, staging)
        shutil.rmtree(staging)
        _complete(home, entry, bundle.served, rows, bundle.lineage)
        if challenger and CHAMPION not in find(home, entry.version, model).aliases:
            client(home).set_registered_model_alias(model, CHALLENGER, str(entry.version))
        return find(home, entry.version, model)


def unregister(home: Path, version: int, *, model: str) -> None:
    """Take back a version that nobody knows of yet, with its aliases; its run and its logged model stay, and serve the next attempt.

    Raises  Refusal "version_registered".
    """
    with writing(home):
        entry = find(home, version, model)
        mlflow_client = client(home)
        for alias in entry.aliases:
            mlflow_client.delete_registered_model_alias(model, alias)
        mlflow_client.delete_model_version_tag(model, str(entry.version), "digest")  # or it would be one that was deleted outside
        mlflow_client.delete_model_version(model, str(entry.version))


def record_metrics(home: Path, which: str | int, metrics: Iterable[MetricRow], *, model: str | None = None) -> int:
    """Add metrics to a version that is registered, such as those of a center that arrived later; returns how many values were new."""
    with writing(home):
        entry = find(home, which, model)
        return _complete(home, entry, read_manifest(entry.folder)["served"], list(metrics), read_lineage(entry.folder))


def load(home: Path, which: str | int = CHAMPION, *, model: str | None = None) -> LoadedModel:
    """A version's models, settings, network folder and lineage, read straight from its files.

    which   alias or number, see `versions.find`.
    Raises  Refusal "model_registered", "version_registered" or "bundle_readable".
    """
    entry = find(home, which, model)
    manifest = read_manifest(entry.folder)
    return LoadedModel(
        entry=entry,
        models=read_models(entry.folder),
        served=manifest["served"],
        horizons_days=tuple(manifest["horizons_days"]),
        feature_versions=manifest["feature_versions"],
        settings=read_settings(entry.folder),
        network_path=network_path(entry.folder),
        lineage=read_lineage(entry.folder),
    )


def _restore_files(entry: RegisteredVersion, bundle: Bundle, staging: Path) -> None:
    """Put back what is missing or altered of a version's files: a bundle of the same digest has those that it was registered with."""
    logged = entry.folder.parents[1]
    if not entry.model_id:
        return
    if not (logged / "MLmodel").is_file():
        _save_pyfunc(bundle, staging, staging / "pyfunc", entry.run_id, entry.model_id)
        shutil.copytree(staging / "pyfunc", logged, dirs_exist_ok=True)
    elif not _intact(entry):
        shutil.copytree(staging / "bundle", entry.folder, dirs_exist_ok=True)


def _intact(entry: RegisteredVersion) -> bool:
    try:
        verify(entry.folder, entry.digest)
    except Refusal:
        return False
    return True


def _complete(home: Path, entry: RegisteredVersion, served: str, rows: list[MetricRow], lineage: Lineage) -> int:
    """Whatever may come after a version's creation: the first champion, the link that MLflow shows, and metrics not held yet."""
    held = tracking.logged_metrics(home, entry)
    missing = {name: pair for name, pair in tracking.named_values(rows, served).items() if held.get(name) != pair[0]}
    found = shelf(home, entry.model)
    first = CHAMPION not in found.aliases and len(found.versions) == 1 and not found.deleted and remembered(home, entry.model).last_champion is None
    linked = tracking.is_linked(home, entry)
    if not (missing or first or found.altered or not linked):
        return 0
    mlflow_client = client(home)
    restore_tags(mlflow_client, found)
    if not linked:
        tracking.link(mlflow_client, entry)
    logged = tracking.log_metrics(mlflow_client, entry, missing, lineage) if missing else 0
    if first:
        left = noted.read(home, entry.model)
        change = AliasChange(entry.model, CHAMPION, entry.version, None, entry.digest, FIRST, getpass.getuser(), entry.created_at)
        noted.write(home, entry.model, replace(left, pending=(*left.pending, change)))
        mlflow_client.set_registered_model_alias(entry.model, CHAMPION, str(entry.version))
    return logged


def _add_version(home: Path, model: str, bundle: Bundle, digest: str, staging: Path, rows: list[MetricRow]) -> RegisteredVersion:
    _require_free_number(home, model, digest)
    mlflow_client = client(home)
    experiment = _experiment(mlflow_client, home, model)
    logged = _finished_model(mlflow_client, experiment, digest)
    if logged is None or not (experiment_root(home) / "models" / logged.model_id / BUNDLE_PATH).is_dir():
        _discard_unfinished(mlflow_client, home, experiment)
        logged = _log_model(mlflow_client, experiment, bundle, digest, staging, rows)
    tags = {
        "digest": digest,
        "model_id": logged.model_id,
        "train_centers": json.dumps(list(bundle.lineage.train_centers)),
        "store_commit": str(bundle.lineage.store_commit),
        "store_digest": bundle.lineage.store_digest,
        "code_commit": bundle.lineage.code_commit,
    }
    if not mlflow_client.search_registered_models(f"name = '{model}'"):
        mlflow_client.create_registered_model(model, description=DESCRIPTION)
    # one transaction writes the version and its tags: a version without its digest, which a second call would double, cannot exist
    created = mlflow_client.create_model_version(
        model, source=logged.artifact_location, run_id=logged.source_run_id, tags=tags, model_id=logged.model_id, await_creation_for=0
    )
    return find(home, created.version, model)


def _require_free_number(home: Path, model: str, digest: str) -> None:
    """Refuse to give a number again that the store knows for another version: MLflow counts from 1 where its registered model was deleted."""
    found, memory = shelf(home, model), remembered(home, model)
    number = found.newest + 1
    before, at = memory.digest(number), memory.created_at(number)
    counts_on = found.created_at is not None and (at is None or found.created_at <= at)
    if before in (None, digest) or counts_on:
        return
    fact = f"the registered model {model} was recreated outside penumbra, and the store knows another version {number}"
    raise (found.created_at is None and model_missing(home, model, memory)) or Refusal("model_kept", fact, RESTORE)


def _experiment(mlflow_client: "MlflowClient", home: Path, name: str) -> str:
    found = mlflow_client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":
        advice = f"restore it there: mlflow experiments restore --experiment-id {found.experiment_id}"
        raise Refusal("experiment_there", f"the experiment {name} was deleted in MLflow", advice)
    if found is not None:
        return str(found.experiment_id)
    return str(mlflow_client.create_experiment(name, artifact_location=experiment_root(home).resolve().as_uri()))


def _finished_model(mlflow_client: "MlflowClient", experiment: str, digest: str) -> Any:
    from mlflow.entities import LoggedModelStatus

    found = mlflow_client.search_logged_models([experiment], filter_string=f"tags.digest = '{digest}'")
    return next((logged for logged in found if logged.status == LoggedModelStatus.READY), None)


def _discard_unfinished(mlflow_client: "MlflowClient", home: Path, experiment: str) -> None:
    """Runs and models of calls that died: no call is under way elsewhere, since this one holds the registry alone."""
    from mlflow.entities import LoggedModelStatus

    for run in mlflow_client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if "digest" in run.data.tags:  # others may use the experiment too
            mlflow_client.set_terminated(run.info.run_id, "KILLED")
    for logged in mlflow_client.search_logged_models([experiment]):
        if logged.status == LoggedModelStatus.PENDING and "digest" in logged.tags:
            mlflow_client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
            shutil.rmtree(experiment_root(home) / "models" / logged.model_id, ignore_errors=True)


def _log_model(mlflow_client: "MlflowClient", experiment: str, bundle: Bundle, digest: str, staging: Path, rows: list[MetricRow]) -> Any:
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
    tracking.log_run(mlflow_client, run_id, lineage, {row.center: row.split for row in rows if row.split in tracking.PLAIN_SPLITS})
    tracking.log_curves(mlflow_client, run_id, bundle.curves)
    logged = mlflow_client.create_logged_model(experiment, name=bundle.served, source_run_id=run_id, tags=tags)
    _save_pyfunc(bundle, staging, staging / "pyfunc", run_id, logged.model_id)
    mlflow_client.log_model_artifacts(logged.model_id, str(staging / "pyfunc"))
    mlflow_client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])  # the run's page shows the model
    mlflow_client.set_terminated(run_id, "FINISHED")
    return mlflow_client.finalize_logged_model(logged.model_id, "READY")


def _save_pyfunc(bundle: Bundle, staging: Path, target: Path, run_id: str, model_id: str) -> None:
    """The bundle as an MLflow model folder: the code that scores, the bundle as an artifact, signature and input example."""
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    served = bundle.models[bundle.served]
    columns = list(served.columns)
    # AnyType: MLflow casts true and "1" to the declared type before our code sees them; penumbra.registry.sent takes numbers only
    # the mean training patient: nobody
    middle = [math.exp(mean) if log else mean for mean, log in zip(served.means, served.logs, strict=True)]
    survival = [ColSpec(DataType.double, f"survival_{horizon_name(day)}", required=False) for day in bundle.horizons_days]
    outputs = [ColSpec(DataType.double, "log_risk"), ColSpec(DataType.string, "risk_group"), *survival, ColSpec(DataType.string, "reason")]
    entry, package = write_scoring_code(staging / "code")
    with importable(package):
        save_model(
            str(target),
            python_model=str(entry),
            code_paths=[str(package)],
            artifacts={"bundle": str(staging / "bundle")},
            signature=ModelSignature(inputs=Schema([ColSpec(AnyType(), name) for name in columns]), outputs=Schema([*outputs])),
            input_example=pd.DataFrame([middle], columns=columns),
            pip_requirements=[f"{name}=={installed(name)}" for name in SERVING],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )
    _without_addresses(target / "MLmodel")


def _without_addresses(description: Path) -> None:
    """MLflow notes where code and artifacts were saved from, and reads neither: they would carry this machine's folders to others."""
    import yaml

    content = yaml.safe_load(description.read_text(encoding="utf-8"))
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    description.write_text(yaml.safe_dump(content, default_flow_style=False), encoding="utf-8")
