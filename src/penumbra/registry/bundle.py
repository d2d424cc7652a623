"""The bundle: a folder with everything that scores a patient, and the digest that names it."""

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal

if TYPE_CHECKING:
    from penumbra.fusion import SurvivalModel
    from penumbra.fusion.resampled import Resampled

FORMAT = 1
MANIFEST = "manifest.json"
LINEAGE = "lineage.json"
MODELS = "models"
NETWORK = "network"
NETWORK_FILE = "network/weights.safetensors"
SETTINGS = "settings"
REFITS = "refits"
REFITS_FILE = "refits/refits.npz"
ENVIRONMENT = (
    "penumbra-survival",
    "numpy",
    "scipy",
    "pandas",
    "scikit-survival",
    "SimpleITK",
    "pydicom",
    "pyradiomics",
    "jax",
    "flax",
    "duckdb",
    "mlflow",
)


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from; recorded with it, not part of its digest.

    Parameters
    ----------
    train_centers
        Centers that the model was fitted on.
    store_commit
        The store's commit number the training rows were read at ("as of").
    store_digest
        Digest of these rows.
    code_commit
        Revision of the code, "" when it is not known.
    data_digests
        Center -> digest of its rows.
    params
        Flat name -> value, as in params.yaml.
    environment
        Package -> version.
    image_versions
        "reader", "grid" or "network_input" -> version of that code; empty for versions from before these were recorded.
    """

    train_centers: tuple[str, ...]
    store_commit: int
    store_digest: str
    code_commit: str = ""
    data_digests: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    image_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """What is registered as one version.

    Parameters
    ----------
    models
        Name -> fitted model: the signatures, the controls and the combined one.
    served
        Name of the model that `predict` and the server answer with.
    horizons_days : days
        Times at which survival is answered, each in a column named by it: survival_1y, survival_180d.
    feature_versions
        ROI or "deep" -> version key of the definition the models were fitted on.
    settings
        Name -> document (radiomics, rois, image, ...) that computes the features of a new patient.
    lineage
        See `Lineage`.
    network
        File that `penumbra.network.save` wrote (or a folder of such files), or None.
    curves
        Name -> value after each epoch of a training; MLflow shows them, they are not part of the digest.
    refits
        File of the refits of the served model on resamples, see `penumbra.fusion.resampled`; None: its answers have no limits.
    """

    models: "Mapping[str, SurvivalModel]"
    served: str
    horizons_days: tuple[float, ...]
    feature_versions: Mapping[str, str]
    settings: Mapping[str, Any]
    lineage: Lineage
    network: Path | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    refits: Path | None = None


def environment() -> dict[str, str]:
    """List the versions of Python and of the packages whose numbers enter a model.

    Returns
    -------
    dict
        Package -> version, "not installed" where it is not.

    Examples
    --------
    >>> from penumbra.registry import environment
    >>> sorted(environment())[:3]
    ['SimpleITK', 'duckdb', 'flax']
    """
    versions = {"python": platform.python_version()}
    for package in ENVIRONMENT:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def write_bundle(bundle: Bundle, folder: Path) -> str:
    """Write a bundle into an empty or absent folder and return its digest.

    The digest is the SHA-256 of the canonical JSON over every file that scores a patient, the served model's name and the feature versions.
    Lineage is outside: the same model from a later commit is the same model.

    Raises
    ------
    ValueError
        "served model 'x' is not among the models of the bundle: a, b".
    Refusal
        "model_scores" when the served model kept no feature: `Combined retained no feature: ... ...`.
    """
    if bundle.served not in bundle.models:
        raise ValueError(f"served model {bundle.served!r} is not among the models of the bundle: {', '.join(sorted(bundle.models))}")
    if not bundle.models[bundle.served].columns:
        fault = f"{bundle.served} retained no feature: {bundle.models[bundle.served].reason}"
        raise Refusal("model_scores", fault, "there is nothing to register; train on more patients or on other centers")
    folder.mkdir(parents=True, exist_ok=True)
    for part in (MODELS, SETTINGS):
        (folder / part).mkdir()
    for name, model in sorted(bundle.models.items()):
        (folder / MODELS / f"{name}.json").write_text(model.to_json(), encoding="utf-8")
    for name, document in sorted(bundle.settings.items()):
        (folder / SETTINGS / f"{name}.json").write_text(canonical(document), encoding="utf-8")
    if bundle.network is not None and bundle.network.is_dir():
        shutil.copytree(bundle.network, folder / NETWORK)
    elif bundle.network is not None:
        (folder / NETWORK).mkdir()
        shutil.copyfile(bundle.network, folder / NETWORK_FILE)
    if bundle.refits is not None:
        (folder / REFITS).mkdir()
        shutil.copyfile(bundle.refits, folder / REFITS_FILE)
    scoring = {
        "format": FORMAT,
        "served": bundle.served,
        "horizons_days": list(bundle.horizons_days),
        "feature_versions": dict(bundle.feature_versions),
        "files": _hash_files(folder),
    }
    (folder / LINEAGE).write_text(canonical(_lineage_document(bundle.lineage)), encoding="utf-8")
    digest = hashlib.sha256(canonical(scoring).encode()).hexdigest()
    manifest = {"scoring": scoring, "digest": digest, "lineage_sha256": _sha256(folder / LINEAGE)}
    (folder / MANIFEST).write_text(canonical(manifest), encoding="utf-8")
    return digest


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a bundle's folder says of itself: served, horizons_days, feature_versions, files, and the digest over these.

    Raises
    ------
    Refusal
        "bundle_readable" when the folder holds no bundle of a known format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise Refusal("bundle_readable", f"no {MANIFEST} in {folder.name}", "the registry's artifact folder is incomplete; restore it or register again")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if manifest["scoring"]["format"] != FORMAT:
        fault = f"bundle format {manifest['scoring']['format']}, this program reads {FORMAT}"
        raise Refusal("bundle_readable", fault, "use the program version that wrote it")
    return {**manifest["scoring"], "digest": manifest["digest"], "lineage_sha256": manifest["lineage_sha256"]}


def read_models(folder: Path, names: tuple[str, ...] | None = None) -> "dict[str, SurvivalModel]":
    """The fitted models of a bundle's folder, all or the named ones.

    Raises
    ------
    Refusal
        "bundle_readable": a file is damaged, or of a format that this program does not know.
    """
    from penumbra.fusion.texts import read_model

    models = {}
    for path in sorted((folder / MODELS).glob("*.json")):
        if names is None or path.stem in names:
            try:
                models[path.stem] = read_model(path)
            except ValueError as error:
                advice = "restore it from a backup, or use the program version that wrote it"
                raise Refusal("bundle_readable", f"{path.name} of a registered version cannot be read ({error})", advice) from None
    return models


def network_path(folder: Path) -> Path | None:
    """What `penumbra.network.load` reads in a bundle's folder; None when the bundle has no network."""
    return next((path for path in (folder / NETWORK_FILE, folder / NETWORK) if path.exists()), None)


def read_refits(folder: Path) -> "Resampled | None":
    """The refits of the served model of a bundle's folder; None when the bundle has none."""
    from penumbra.fusion.resampled import Resampled

    path = refits_path(folder)
    return None if path is None else Resampled.from_file(path)


def refits_path(folder: Path) -> Path | None:
    """The file of the refits of a bundle's folder; None when the bundle has none."""
    return folder / REFITS_FILE if (folder / REFITS_FILE).is_file() else None


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings documents of a bundle's folder by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / SETTINGS).glob("*.json"))}


def read_lineage(folder: Path) -> Lineage:
    """The lineage of a bundle's folder."""
    document = json.loads((folder / LINEAGE).read_text(encoding="utf-8"))
    document["train_centers"] = tuple(document["train_centers"])
    return Lineage(**document)


def verify(folder: Path, digest: str) -> None:
    """Refuse a folder whose files are not the ones that were registered under `digest`.

    Parameters
    ----------
    folder
        The bundle's files, `RegisteredVersion.folder`.
    digest
        That it was registered under.

    Raises
    ------
    Refusal
        "bundle_unchanged", with the files changed, missing or added: `settings/rois.json not as registered (0123456789ab). ...`; "bundle_readable" when the
        folder holds no bundle of a known format.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import find, verify
    >>> entry = find(Path("home"))
    >>> verify(entry.folder, entry.digest)
    """
    manifest = read_manifest(folder)
    hashes, registered = _hash_files(folder), manifest["files"]
    wrong = sorted(name for name in hashes.keys() | registered.keys() if hashes.get(name) != registered.get(name))
    scoring = {key: value for key, value in manifest.items() if key not in ("digest", "lineage_sha256")}
    if hashlib.sha256(canonical(scoring).encode()).hexdigest() != digest:
        wrong.append(MANIFEST)
    if not (folder / LINEAGE).is_file() or _sha256(folder / LINEAGE) != manifest["lineage_sha256"]:
        wrong.append(LINEAGE)
    if wrong:
        raise Refusal("bundle_unchanged", f"{', '.join(wrong)} not as registered ({digest[:12]})", "restore the artifacts from a back-up or register again")


def canonical(document: Any) -> str:
    """JSON with sorted keys and without NaN, so that equal content is equal text."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _lineage_document(lineage: Lineage) -> dict[str, Any]:
    return {
        "train_centers": list(lineage.train_centers),
        "store_commit": lineage.store_commit,
        "store_digest": lineage.store_digest,
        "code_commit": lineage.code_commit,
        "data_digests": dict(lineage.data_digests),
        "params": dict(lineage.params),
        "environment": dict(lineage.environment),
        "image_versions": dict(lineage.image_versions),
    }


def _hash_files(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of the files that score a patient."""
    parts = [folder / part for part in (MODELS, NETWORK, SETTINGS, REFITS)]
    return {path.relative_to(folder).as_posix(): _sha256(path) for part in parts for path in sorted(part.rglob("*")) if path.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
