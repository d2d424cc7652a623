"""Registering a fitted bundle as a version, and loading it again to score patients."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.account import account
from penumbra.base.params import model_name
from penumbra.base.refusal import Refusal
from penumbra.evaluate.rows import MetricRow
from penumbra.registry import noted, tracking
from penumbra.registry.alias_event import move_alias
from penumbra.registry.bundle import (
    Bundle,
    Lineage,
    network_path,
    read_lineage,
    read_manifest,
    read_models,
    read_refits,
    read_settings,
    refits_path,
    verify,
    write_bundle,
)
from penumbra.registry.database import client, experiment_root, writing
from penumbra.registry.logged_model import discard_unfinished, experiment_of, finished_model, log_model, save_pyfunc
from penumbra.registry.named_metrics import is_named, write_table
from penumbra.registry.noted import AliasChange
from penumbra.registry.outside import RESTORE, model_missing
from penumbra.registry.remembered import CHAMPION, remembered
from penumbra.registry.shelf import BUNDLE_PATH, RegisteredVersion, shelf
from penumbra.registry.shown import DESCRIPTION, describe, extend_history
from penumbra.registry.updates import Update, updates_of
from penumbra.registry.versions import CHALLENGER, find, restore_tags, versions

if TYPE_CHECKING:
    from penumbra.fusion import SurvivalModel
    from penumbra.fusion.resampled import Resampled

FIRST = "the first version"  # why it is champion


@dataclass(frozen=True)
class LoadedModel:
    """A version read from its files, ready to score.

    Parameters
    ----------
    entry
        Number, aliases, digest, lineage tags.
    models
        Name -> fitted model.
    served
        Name of the one that answers.
    horizons_days : days
        Times at which survival is answered.
    feature_versions
        ROI or "deep" -> version key the models need.
    settings
        Documents that compute the features of a new patient.
    network_path
        For `penumbra.network.load`; None when the version has no network.
    lineage
        Where the models come from.
    refits
        Of the served model on resamples of its training patients; None when the version has none.
    """

    entry: RegisteredVersion
    models: "dict[str, SurvivalModel]"
    served: str
    horizons_days: tuple[float, ...]
    feature_versions: dict[str, str]
    settings: dict[str, Any]
    network_path: Path | None
    lineage: Lineage
    refits: "Resampled | None" = None

    @property
    def refits_path(self) -> Path | None:
        """The file of the refits; None when the version has none."""
        return refits_path(self.entry.folder)

    @property
    def model(self) -> "SurvivalModel":
        """The served model."""
        return self.models[self.served]

    @property
    def updates(self) -> dict[str, Update]:
        """Center -> how the probabilities of its patients differ from the model's; empty for most versions."""
        return updates_of(self.settings)


def register(home: Path, bundle: Bundle, metrics: Iterable[MetricRow] = (), *, challenger: bool = False, model: str | None = None) -> RegisteredVersion:
    """Register a bundle as a new version, or return the version that already holds exactly this bundle.

    The first version that there ever was becomes champion: an alias that was lost later is nobody's to guess. A later one becomes challenger only
    if `challenger` is set. Metrics that MLflow does not hold yet are added in both cases. A call that was killed half-way is completed by the next
    one with the same bundle.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    bundle
        All that scores a patient.
    metrics
        Of its models, on each center.
    challenger
        Whether a version that does not become champion becomes challenger.
    model
        Name in the registry; None: as params.yaml says (register.model).

    Returns
    -------
    RegisteredVersion
        The new version, or the one that holds this bundle already.

    Raises
    ------
    ValueError
        "served model 'x' is not among the models of the bundle: a, b".
    Refusal
        "model_scores" when the served model kept no feature; "model_kept" where the registered model was deleted or renamed in MLflow and a number would be
        given twice; "experiment_there" where its experiment was deleted: `the experiment nsclc-os was deleted in MLflow. ...`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import Bundle, Lineage, load, register
    >>> champion = load(Path("home"))
    >>> lineage = Lineage(train_centers=("north",), store_commit=3, store_digest="ab" * 32)
    >>> bundle = Bundle(champion.models, "Volume", champion.horizons_days, champion.feature_versions, champion.settings, lineage)
    >>> entry = register(Path("home"), bundle, challenger=True)
    >>> entry.version, entry.aliases
    (2, ('challenger',))
    >>> register(Path("home"), bundle).version
    2
    """
    model, rows = model or model_name(home), list(metrics)
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
            move_alias(client(home), model, CHALLENGER, entry.version)
        return find(home, entry.version, model)


def unregister(home: Path, version: int, *, model: str) -> None:
    """Take back a version that nobody knows of yet, with its aliases; its run and its logged model stay, and serve the next attempt.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    version
        Its number.
    model
        Name of the registered model.

    Raises
    ------
    Refusal
        "version_registered": `no version or alias 9 of nsclc-os. ...`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import unregister, versions
    >>> unregister(Path("home"), 1, model="nsclc-os")
    >>> versions(Path("home"))
    []
    """
    with writing(home):
        entry = find(home, version, model)
        mlflow_client = client(home)
        for alias in entry.aliases:
            mlflow_client.delete_registered_model_alias(model, alias)
        mlflow_client.delete_model_version_tag(model, str(entry.version), "digest")  # or it would be one that was deleted outside
        mlflow_client.delete_model_version(model, str(entry.version))


def record_metrics(home: Path, which: str | int, metrics: Iterable[MetricRow], *, model: str | None = None) -> int:
    """Add metrics to a version that is registered, such as those of a center that arrived later.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        Alias or number, see `find`.
    metrics
        Those that MLflow holds already are left out.
    model
        Name of the registered model; None: the one that params.yaml names (register.model).

    Returns
    -------
    int
        How many values were new.

    Raises
    ------
    Refusal
        "model_registered" or "version_registered", as `find`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.evaluate import MetricRow
    >>> from penumbra.registry import record_metrics
    >>> rows = [MetricRow("Combined", "west", "test", "harrell_c", 0.66, 0.58, 0.74, 50, 31)]
    >>> record_metrics(Path("home"), "champion", rows)
    5
    >>> record_metrics(Path("home"), "champion", rows)
    0
    """
    with writing(home):
        entry = find(home, which, model)
        return _complete(home, entry, read_manifest(entry.folder)["served"], list(metrics), read_lineage(entry.folder))


def load(home: Path, which: str | int = CHAMPION, *, model: str | None = None) -> LoadedModel:
    """Load a version's models, settings, network folder and lineage, read straight from its files.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        Alias or number, see `find`.
    model
        Name of the registered model; None: the one that params.yaml names (register.model).

    Returns
    -------
    LoadedModel
        Ready to score.

    Raises
    ------
    Refusal
        "model_registered", "version_registered" or "bundle_readable".

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import load
    >>> loaded = load(Path("home"), "champion")
    >>> loaded.entry.version, loaded.served, sorted(loaded.models)
    (1, 'Combined', ['Combined', 'Volume'])
    >>> loaded.model.columns
    ('gtv.original_shape_MeshVolume', 'ring_6mm.wavelet-LLH_glcm_Contrast', 'deep.deep_007')
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
        refits=read_refits(entry.folder),
    )


def _restore_files(entry: RegisteredVersion, bundle: Bundle, staging: Path) -> None:
    """Put back what is missing or altered of a version's files: a bundle of the same digest has those that it was registered with."""
    logged = entry.folder.parents[1]
    if not entry.model_id:
        return
    if not (logged / "MLmodel").is_file():
        save_pyfunc(bundle, staging, staging / "pyfunc", entry.run_id, entry.model_id)
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
    stored = tracking.logged_metrics(home, entry)
    missing = {name: pair for name, pair in tracking.named_values(rows, served).items() if stored.get(name) != pair[0]}
    inventory = shelf(home, entry.model)
    first = CHAMPION not in inventory.aliases and len(inventory.versions) == 1 and not inventory.deleted and remembered(home, entry.model).last_champion is None
    linked = tracking.is_linked(home, entry)
    if not (missing or first or inventory.altered or not linked):
        return 0
    mlflow_client = client(home)
    restore_tags(mlflow_client, inventory)
    if not linked:
        tracking.link(mlflow_client, entry)
    logged = 0
    if missing and tracking.can_log(mlflow_client, entry):
        write_table(home, entry.run_id, (row for row in rows if tracking.named_values([row], served).keys() & missing.keys()), served)
        tracking.log_metrics(mlflow_client, entry, {name: pair for name, pair in missing.items() if is_named(name)}, lineage)
        describe(mlflow_client, home, entry)
        extend_history(mlflow_client, home, entry.model)
        logged = len(missing)
    if first:
        notes = noted.read(home, entry.model)
        change = AliasChange(entry.model, CHAMPION, entry.version, None, entry.digest, FIRST, account(), entry.created_at)
        noted.write(home, entry.model, replace(notes, pending=(*notes.pending, change)))
        move_alias(mlflow_client, entry.model, CHAMPION, entry.version)
    return logged


def _add_version(home: Path, model: str, bundle: Bundle, digest: str, staging: Path, rows: list[MetricRow]) -> RegisteredVersion:
    _require_free_number(home, model, digest)
    mlflow_client = client(home)
    experiment = experiment_of(mlflow_client, home, model)
    logged = finished_model(mlflow_client, experiment, digest)
    if logged is None or not (experiment_root(home) / "models" / logged.model_id / BUNDLE_PATH).is_dir():
        discard_unfinished(mlflow_client, home, experiment)
        logged = log_model(mlflow_client, home, experiment, bundle, digest, staging, rows)
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
    inventory, memory = shelf(home, model), remembered(home, model)
    number = inventory.newest + 1
    recorded, at = memory.digest(number), memory.created_at(number)
    counts_on = inventory.created_at is not None and (at is None or inventory.created_at <= at)
    if recorded in (None, digest) or counts_on:
        return
    fact = f"the registered model {model} was recreated outside penumbra, and the store knows another version {number}"
    raise (inventory.created_at is None and model_missing(home, model, memory)) or Refusal("model_kept", fact, RESTORE)
