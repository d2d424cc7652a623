"""Stage 3: the network on the training centers, and its features of every accepted patient."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra import cohort, store
from penumbra.base.blocks import DEEP, GTV, deep_names
from penumbra.base.progress import track
from penumbra.pipeline import manifests, networks, plots
from penumbra.pipeline.dataset import fingerprint, network_file, no_training_center
from penumbra.pipeline.manifests import TrainManifest
from penumbra.pipeline.origins import Images, accepted_images, of_train
from penumbra.pipeline.workspace import Work

if TYPE_CHECKING:
    from penumbra.network import Ensemble, Epoch, Network

NETWORK_CODE = 2  # raise when the same patients and settings give other weights or features than before, in the last bit too


def train(work: Work) -> TrainManifest:
    """The network on the training centers; its log_risk and deep features of every accepted patient into the store."""
    from penumbra import network

    images, settings = accepted_images(work), work.settings
    fitted = sorted(patient for patient in images if images[patient]["center"] in settings.cohort.train_centers)
    if not fitted:
        raise no_training_center(work, images)
    with store.connect(work.home) as lake:
        records = {row["patient"]: row for row in lake.rows("patients")}
        without_se = None
        if settings.ablation.without_se:
            without_se, _ = _embedded(work, lake, replace(settings.network, se=False), fitted, images, records, f"{DEEP} {work.profile}, without SE")
        version, trained = _embedded(work, lake, settings.network, fitted, images, records, f"{DEEP} {work.profile}")
        lake.write({"current_versions": [{"kind": DEEP, "version": version}]}, run=work.run, what=f"{DEEP} version {version} is current")
        matrix = store.read_matrix(lake, DEEP, GTV, version=version, patients=sorted(images))
    plots.write_training(work, trained)
    return manifests.write(
        work.home,
        TrainManifest(
            version=version,
            patients=tuple(sorted(images)),
            trained_on=len(fitted),
            networks=len(trained.members),
            best_epochs=trained.best_epochs,
            network=network.digest(trained),
            digest=fingerprint(matrix),
            without_se=without_se,
            made_from=of_train(work, images, records),
        ),
    )


def _embedded(
    work: Work, lake: store.Store, architecture: "Network", fitted: Sequence[str], images: Images, records: dict[str, dict[str, Any]], label: str
) -> tuple[str, "Ensemble"]:
    """A network of one architecture, trained where it is not yet, with its features of every accepted patient in the store; their version."""
    from penumbra import network

    settings = work.settings
    engine = {name: installed(name) for name in ("jax", "flax", "optax")}
    definition = {
        "network": asdict(architecture),
        "augment": asdict(settings.augment),
        "train": asdict(settings.train),
        "pretrain": asdict(settings.pretrain),
        "ensemble": asdict(settings.ensemble),
        "grid_mm": settings.ingest.grid_mm,
        "engine": engine,
        **code_of(architecture),
        "trained_on": [[patient, images[patient]["image_version"], float(records[patient]["time"]), bool(records[patient]["event"])] for patient in fitted],
    }
    event, time = outcomes_of(fitted, records)
    if network.any_needs_redraw(event, time, train=settings.train, ensemble=settings.ensemble):
        definition["validation"] = "pairs first"  # until this was a rule such a network kept its first epoch: it is another one
    version = store.version_key(definition)
    weights = network_file(work.home, version)
    keys = [(patient, GTV, image["image_version"]) for patient, image in sorted(images.items())]
    lacking = [patient for patient, _, _ in store.missing(lake, DEEP, version, keys)]
    if not weights.is_file():
        _train(work, architecture, weights, fitted, images, records)
    trained = networks.load(work.home, weights)
    if lacking:
        names = deep_names(architecture.filters[-1])
        store.declare_version(lake, version, DEEP, definition, features=names, run=work.run, label=label, engine=engine)
        _embed(work, lake, version, trained, lacking, images)
    return version, trained


def code_of(architecture: "Network") -> dict[str, Any]:
    """Return what a key says of the program behind the weights."""
    from penumbra import network

    wide = {"convolution": "Winograd's filtering"} if network.is_wide(architecture) else {}  # since 2026-11-27; narrow networks kept their bits
    return {"code": NETWORK_CODE, **wide}


def embed(work: Work, version: str, weights: Path) -> None:
    """Deep features and log_risk, from a network that was trained before, of every accepted patient that has none of this version yet."""
    images = accepted_images(work)
    with store.connect(work.home) as lake:
        keys = [(patient, GTV, image["image_version"]) for patient, image in images.items()]
        lacking = sorted(patient for patient, _, _ in store.missing(lake, DEEP, version, keys))
        if lacking:
            _embed(work, lake, version, networks.load(work.home, weights), lacking, images)


def _embed(work: Work, lake: store.Store, version: str, trained: "Ensemble", patients: Sequence[str], images: Images) -> None:
    from penumbra import network

    log_risk, features = network.embed(trained, network_inputs(work, patients, images, trained.network))
    rows = [
        {
            "patient": patient,
            "center": images[patient]["center"],
            "roi": GTV,
            "image_version": images[patient]["image_version"],
            "log_risk": float(log_risk[i]),
            "values": features[i].astype(float),
        }
        for i, patient in enumerate(patients)
    ]
    store.write_features(lake, DEEP, version, rows, features=deep_names(features.shape[1]), run=work.run)


def outcomes_of(patients: Sequence[str], records: Mapping[str, Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Event (n,) bool and time (n,) days of patients, from the rows of the relation `patients` by id."""
    return np.array([bool(records[patient]["event"]) for patient in patients]), np.array([float(records[patient]["time"]) for patient in patients])


def _train(work: Work, architecture: "Network", weights: Path, fitted: Sequence[str], images: Images, records: dict[str, dict[str, Any]]) -> None:
    """Train and save as the file `weights`; a training that was killed resumes from its checkpoint and reaches the same weights."""
    from penumbra import network

    settings = work.settings
    networks.keep_compiled(work.home)
    event, time = outcomes_of(fitted, records)
    learning = network.Learning(architecture, settings.augment, settings.train)
    unfinished = weights.parent / "unfinished"
    members = max(1, settings.ensemble.folds) * settings.ensemble.seeds
    with network.compiling_ahead(event, time, learning, ensemble=settings.ensemble):
        volumes = network_inputs(work, fitted, images, architecture)
        with track("train", members * settings.train.epochs, batch=settings.train.epochs) as advance:
            done = 0

            def show(member: int, epoch: "Epoch") -> None:
                nonlocal done
                reached = member * settings.train.epochs + epoch.epoch  # a member that stopped early leaves its other epochs out
                advance(reached - done, note=f"loss {epoch.train_loss:.2f}, validation {epoch.validation_loss:.2f}, C {epoch.validation_c:.2f}")
                done = reached

            trained = network.fit_ensemble(
                volumes,
                event,
                time,
                learning,
                pretrain=settings.pretrain,
                ensemble=settings.ensemble,
                folder=unfinished,
                progress=show,
            )
    network.save(trained, weights)
    shutil.rmtree(unfinished, ignore_errors=True)


def network_inputs(work: Work, patients: Sequence[str], images: Images, settings: "Network") -> np.ndarray:
    """What the network sees of some patients, (n, size, size, size)."""
    from penumbra import network

    cubes = []
    with track("prepare", len(patients)) as advance:
        for patient in patients:
            scan = cohort.load_patient(work.home / "images", {"patient": patient, **images[patient]})
            cubes.append(network.prepare(scan.image.values, scan.gtv.values, size=settings.input_size, masked=settings.masked_input))
            advance()
    return np.stack(cubes)
