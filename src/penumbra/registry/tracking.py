"""What MLflow shows of a version besides its files: the run, its parameters, and metrics per center."""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.progress import say
from penumbra.evaluate.rows import MetricRow
from penumbra.registry import remote
from penumbra.registry.bundle import Lineage
from penumbra.registry.database import query
from penumbra.registry.named_metrics import TABLE, is_named, read_table
from penumbra.registry.shelf import RegisteredVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # limits of MLflow's log_batch
DIGEST_LENGTH = 36  # of an MLflow dataset
LINK = "mlflow.modelVersions"  # tag of a logged model: JSON, the versions that it was registered as
PLAIN_SPLITS = ("train", "test")
TABLES = "mlflow.loggedArtifacts"  # tag of a run: JSON, which artifacts MLflow shows as tables


def metric_name(row: MetricRow, served: str) -> str:
    """MLflow's name of a metric: "harrell_c/east" for the served model, "harrell_c/east/deep" for another, a subgroup behind it."""
    parts = [row.metric, row.center]
    if row.model != served:
        parts.append(row.model)
    if row.split not in PLAIN_SPLITS:
        parts.append(row.split)
    return "/".join("".join(letter if letter.isalnum() or letter in "_-. :" else "_" for letter in part) for part in parts)


def logged_metrics(home: Path, entry: RegisteredVersion) -> dict[str, float]:
    """Read the newest value of every metric that MLflow holds for a version: those that it shows by name, and those of the table among its artifacts.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    entry
        The version, from `find`.

    Returns
    -------
    dict
        Name -> value, with names such as "harrell_c/east", "harrell_c_lower/east" and "n/east".

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import find, logged_metrics
    >>> metrics = logged_metrics(Path("home"), find(Path("home")))
    >>> metrics["harrell_c/east"], metrics["n/east"]
    (0.7, 30.0)
    """
    address = remote.server()
    if address:
        by_name = remote.metrics(address, entry.model_id)
    else:
        by_name = {row["name"]: float(row["value"]) for row in query(home, "metrics.sql", {"model_id": entry.model_id})}
    for row, of_served in read_table(home, entry.run_id):
        values = named_values([row], row.model if of_served else "")
        by_name |= {name: value for name, (value, _) in values.items() if name not in by_name or not is_named(name)}
    return by_name


def named_values(rows: Iterable[MetricRow], served: str) -> dict[str, tuple[float, str]]:
    """Metric name -> (value, center) of all finite numbers in `rows`: estimate, limits, patients and events.

    What is undefined is left out: MLflow would store a NaN as 0.
    """
    values: dict[str, tuple[float, str]] = {}
    for row in rows:
        name = metric_name(row, served)
        metric, _, place = name.partition("/")
        numbers = {name: row.value, f"{metric}_lower/{place}": row.lower, f"{metric}_upper/{place}": row.upper}
        if row.model == served:
            numbers |= {f"n/{place}": row.n, f"events/{place}": row.events}
        values |= {key: (float(value), row.center) for key, value in numbers.items() if math.isfinite(value)}
    return values


def can_log(client: "MlflowClient", entry: RegisteredVersion) -> bool:
    """Whether a version's run and logged model are there.

    Where one of both was deleted in MLflow there is nothing to attach metrics to, which is said: the store has them all the same.
    """
    deleted = _deleted(client, entry)
    if deleted:
        say(f"{entry.model}/{entry.version}: its {deleted} in MLflow, which therefore shows no new metrics of it; restore it there")
    return not deleted


def log_metrics(client: "MlflowClient", entry: RegisteredVersion, values: Mapping[str, tuple[float, str]], lineage: Lineage) -> None:
    """Attach metrics to a version's run and to its logged model, each with the center it was measured on as its dataset."""
    from mlflow.entities import Metric

    run_id, model_id = entry.run_id, entry.model_id
    timestamp = time.time_ns() // 1_000_000
    metrics = [
        Metric(name, value, timestamp, 0, model_id=model_id, dataset_name=center, dataset_digest=_digest(center, lineage), run_id=run_id)
        for name, (value, center) in sorted(values.items())
    ]
    for part in _parts(metrics, METRICS_PER_CALL):
        client.log_batch(run_id, metrics=part)
    client.set_tag(run_id, TABLES, json.dumps([{"path": TABLE, "type": "table"}]))


def is_linked(home: Path, entry: RegisteredVersion) -> bool:
    """Whether MLflow's page of the logged model shows the version; True where the logged model is gone."""
    address = remote.server()
    if address:
        tags = remote.logged_model_tags(address, entry.model_id)
    else:
        rows = query(home, "logged_model_tags.sql", {"model_id": entry.model_id})
        tags = {row["name"]: row["value"] for row in rows} if rows else None
    return tags is None or _link(entry) in _links(tags.get(LINK))


def link(client: "MlflowClient", entry: RegisteredVersion) -> None:
    """What MLflow itself notes at a logged model that is registered."""
    from mlflow.exceptions import MlflowException

    try:
        links = [*_links(client.get_logged_model(entry.model_id).tags.get(LINK)), _link(entry)]
        client.set_logged_model_tags(entry.model_id, {LINK: json.dumps(links)})
    except MlflowException as error:
        if error.error_code != remote.UNKNOWN:
            raise


def _link(entry: RegisteredVersion) -> dict[str, str]:
    return {"name": entry.model, "version": str(entry.version)}


def _links(tag: str | None) -> list[dict[str, str]]:
    """Name and version of each version of a logged model; none where somebody wrote something else there."""
    try:
        entries = json.loads(tag or "[]")
        return [{"name": str(each["name"]), "version": str(each["version"])} for each in entries]
    except (ValueError, TypeError, KeyError):
        return []


def _deleted(client: "MlflowClient", entry: RegisteredVersion) -> str:
    """What of a version's run and logged model was deleted, in words; "" where both are there."""
    from mlflow.exceptions import MlflowException

    try:
        if client.get_run(entry.run_id).info.lifecycle_stage != "active":
            return "run was deleted"
    except MlflowException as error:
        if error.error_code != remote.UNKNOWN:
            raise
        return "run was deleted for good"
    try:
        client.get_logged_model(entry.model_id)
    except MlflowException as error:
        if error.error_code != remote.UNKNOWN:
            raise
        return "logged model was deleted"
    return ""


def log_curves(client: "MlflowClient", run_id: str, curves: Mapping[str, Sequence[float]]) -> None:
    """Values by epoch, the first is step 1, so that MLflow draws them."""
    from mlflow.entities import Metric

    timestamp = time.time_ns() // 1_000_000
    metrics = [
        Metric(name, float(value), timestamp, step) for name, values in sorted(curves.items()) for step, value in enumerate(values, 1) if math.isfinite(value)
    ]
    for part in _parts(metrics, METRICS_PER_CALL):
        client.log_batch(run_id, metrics=part)


def log_run(client: "MlflowClient", run_id: str, params: Mapping[str, str], lineage: Lineage, centers: Mapping[str, str]) -> None:
    """Parameters and, per center, the dataset a run used; `centers` is center -> "train" or "test"."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    for part in _parts([Param(name, value) for name, value in params.items()], PARAMS_PER_CALL):
        client.log_batch(run_id, params=part)
    source = json.dumps({"store_commit": lineage.store_commit})
    inputs = [
        DatasetInput(Dataset(center, _digest(center, lineage), "penumbra store", source), [InputTag("mlflow.data.context", split)])
        for center, split in sorted(centers.items())
    ]
    if inputs:
        client.log_inputs(run_id, datasets=inputs)


def _digest(center: str, lineage: Lineage) -> str:
    return lineage.data_digests.get(center, lineage.store_digest)[:DIGEST_LENGTH]


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
