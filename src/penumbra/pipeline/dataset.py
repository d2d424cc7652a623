"""The patients of a run with their features and outcome: what fusing, evaluating, registering and reporting read from the store."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import store
from penumbra.base.blocks import CLINICAL, DEEP, GTV
from penumbra.base.refusal import Refusal, nearest
from penumbra.cohort.intended_use import Declaration
from penumbra.fusion import Block
from penumbra.pipeline import manifests
from penumbra.pipeline.covariates import extended, own_values, seen, usable, used, with_covariates
from penumbra.pipeline.manifests import IngestManifest, PopulateManifest, TrainManifest
from penumbra.pipeline.origins import Images, accepted_images, current, of_populate, of_train, state_of
from penumbra.pipeline.workspace import Work
from penumbra.store.version import KEY_LENGTH
from penumbra.survival.outcome import Outcomes

# Overall stage as an ordinal, for the clinical control model; 0 and occult have no place on it: to the model they are missing.
STAGE_ORDINAL = {"I": 1.0, "II": 2.0, "III": 3.0, "IV": 4.0}

_last: tuple[Any, dict[str, Block]] | None = None  # what was read last, and from what


@dataclass(frozen=True)
class Dataset:
    """Patients in the order of their keys, with every block of features complete.

    event (n,) bool; time (n,) days; training (n,) bool: the patient belongs to a training center.

    Parameters
    ----------
    blocks
        Name -> its features, values (n, p).
    fingerprint
        Key of all values and outcomes.
    training_sha256
        Over those of the training centers alone.
    versions
        Block -> version of its features, for those that have one.
    commit
        The store's newest when it was read.
    clinical
        One record per patient as the relation `patients` has it.
    scans
        Image version of each, None where the store has no scan of the patient.
    declared
        Center -> what it says of its patients; a center that says nothing is not there.
    covariates
        What the models see of the columns of features/clinical.yaml that they read, one per patient; empty where they read none.
    """

    patients: np.ndarray
    centers: np.ndarray
    event: np.ndarray
    time: np.ndarray
    training: np.ndarray
    blocks: Mapping[str, Block]
    fingerprint: str
    training_sha256: str
    versions: Mapping[str, str]
    commit: int
    clinical: tuple[dict[str, Any], ...]
    scans: tuple[str | None, ...]
    declared: Mapping[str, Declaration] = field(default_factory=dict)
    covariates: tuple[Mapping[str, float | None], ...] = ()

    @property
    def outcomes(self) -> Outcomes:
        return Outcomes(self.event, self.time, self.centers)

    def rows(self, chosen: np.ndarray) -> dict[str, Block]:
        """The blocks of some patients, (n,) bool or indices."""
        return {name: Block(block.name, block.features, block.values[chosen]) for name, block in self.blocks.items()}

    @property
    def training_fingerprint(self) -> str:
        """Key of the values and outcomes of the training centers."""
        return self.training_sha256[: len(self.fingerprint)]

    def key_of(self, rows: np.ndarray) -> str:
        """A key of the features and the clinical records of some patients (indices)."""
        return _key(self.blocks, with_covariates(self.clinical, self.covariates), rows)


def read_dataset(work: Work, deep_version: str | None = None) -> Dataset:
    """Everything about the patients that were accepted, populated and embedded.

    Parameters
    ----------
    deep_version
        Of the deep features, which every populated patient must have; None: the one that the last training left.

    Raises
    ------
    Refusal
        "training_patients" when no training center has a patient, "stage_is_current" when ingest, populate or train was made from something else than
        what is there now.
    """
    with store.connect(work.home, read_only=True) as lake:
        images = accepted_images(work, lake)
        populate = current(work, PopulateManifest, of_populate(work, images))
        patients = list(populate.patients)
        clinical = {row["patient"]: row for row in lake.rows("patients")}
        columns = usable(work.settings.clinical_columns)
        by_person = own_values(lake) if columns else {}
        if deep_version is None:
            train = current(work, TrainManifest, of_train(work, images, clinical))
            deep_version, patients = train.version, sorted(set(patients) & set(train.patients))
        missing = len(set(patients) - set(clinical))
        if missing:
            fault = f"{missing} of the patients that populate or train worked on are no longer in the store"
            raise Refusal("stages_in_order", fault, "run penumbra populate and penumbra train again, or penumbra run")
        values = _features(lake, populate, deep_version, patients)
        commit = lake.newest_commit()
        declared = declarations(lake)
        scans = {row["patient"]: row["image_version"] for row in lake.sql("SELECT patient, image_version FROM images").to_pylist()}
    records = tuple({name: value for name, value in clinical[patient].items() if name != "commit_id"} for patient in patients)
    centers = np.array([record["center"] for record in records])
    training = np.isin(centers, work.settings.cohort.train_centers)
    if not training.any():
        raise no_training_center(work, images)
    answers = [by_person.get((record["patient"], record["center"]), {}) for record in records]
    covariates = seen(used(work.settings.models, columns), answers)
    keyed = with_covariates(records, covariates)
    return Dataset(
        patients=np.array(patients),
        centers=centers,
        event=np.array([bool(record["event"]) for record in records]),
        time=np.array([float(record["time"]) for record in records]),
        training=training,
        blocks={**values, CLINICAL: extended(clinical_block(records), columns, answers)},
        fingerprint=_key(values, keyed, np.arange(len(patients))),
        training_sha256=_sha256(values, keyed, np.flatnonzero(training)),
        versions={**dict.fromkeys(populate.rois, populate.version), DEEP: deep_version},
        commit=commit,
        clinical=records,
        scans=tuple(scans.get(patient) for patient in patients),
        declared=declared,
        covariates=covariates,
    )


def _features(lake: store.Store, populate: PopulateManifest, deep_version: str, patients: list[str]) -> dict[str, Block]:
    """The features of each ROI, and the deep ones; those that were read last, where nothing was written since: four stages of one run read the same."""
    global _last
    state = (*state_of(lake), populate.version, populate.rois, deep_version, tuple(patients))
    if _last is None or _last[0] != state:
        _last = None  # before the memory is needed again
        matrices = {roi: store.read_matrix(lake, "radiomics", roi, version=populate.version, patients=patients) for roi in populate.rois}
        matrices[DEEP] = store.read_matrix(lake, DEEP, GTV, version=deep_version, patients=patients)
        _last = state, {name: matrix_block(name, matrix, patients) for name, matrix in matrices.items()}
    return _last[1]


def declarations(lake: store.Store) -> dict[str, Declaration]:
    """What each center says of the patients that it sends."""
    rows = lake.sql("SELECT center, treatment, intent, imaging FROM center_declarations").to_pylist()
    return {row["center"]: Declaration(row["treatment"], row["intent"], row["imaging"]) for row in rows}


def _key(blocks: Mapping[str, Block], records: Sequence[Mapping[str, Any]], rows: np.ndarray) -> str:
    """A key of the features and the clinical records of some patients."""
    return _sha256(blocks, records, rows)[:KEY_LENGTH]


def _sha256(blocks: Mapping[str, Block], records: Sequence[Mapping[str, Any]], rows: np.ndarray) -> str:
    chosen = {name: Block(name, block.features, block.values[rows]) for name, block in blocks.items() if name != CLINICAL}
    return sha256_of(chosen, [records[i] for i in rows])


def sha256_of(blocks: Mapping[str, Block], records: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 over names and values of the features, bit for bit, and over the clinical records of the same patients in the same order."""
    hashes = {name: hashlib.sha256(np.ascontiguousarray(block.values, dtype="<f8").tobytes()).hexdigest() for name, block in blocks.items()}
    names = {name: store.version_key({"names": block.features}) for name, block in blocks.items()}
    return store.sha256({"values": hashes, "features": names, "records": list(records)})


def matrix_block(name: str, matrix: store.Matrix, patients: list[str]) -> Block:
    """A stored matrix with its rows in the order of some patients."""
    return Block(name, matrix.features, _aligned(matrix, patients))


def fingerprint(matrix: store.Matrix) -> str:
    """SHA-256 over the patients, the names and the values of a matrix, bit for bit."""
    digest = hashlib.sha256(repr((matrix.features, matrix.patients.tolist(), matrix.values.shape)).encode())
    digest.update(np.ascontiguousarray(matrix.values, dtype="<f8").tobytes())
    if matrix.log_risk is not None:
        digest.update(np.ascontiguousarray(matrix.log_risk, dtype="<f8").tobytes())
    return digest.hexdigest()


def network_file(home: Path, version: str) -> Path:
    """Where the weights of one deep feature version are stored, alone in their folder."""
    return home / "networks" / version / "network.safetensors"


def no_training_center(work: Work, images: Images) -> Refusal:
    """The refusal of a cohort in which nobody trains; it says so where that is because a training center's table was refused."""
    centers = manifests.read(work.home, IngestManifest).centers
    train_centers, here = work.settings.cohort.train_centers, ", ".join(sorted({image["center"] for image in images.values()})) or "none"
    near = next(filter(None, (nearest(name, (image["center"] for image in images.values())) for name in train_centers)), "")
    suggestion = f", such as {near}" if near else ""
    refused = [f"{center}: {centers[center].refused}" for center in train_centers if center in centers and centers[center].refused]
    return Refusal(
        "training_patients",
        f"none of the training centers ({', '.join(train_centers)}) has an accepted patient; centers here: {here}" + "".join(f"; {one}" for one in refused),
        "correct the table and run again" if refused else f"name the center that trains in params.yaml, cohort.train_centers{suggestion}",
    )


def _aligned(matrix: store.Matrix, patients: list[str]) -> np.ndarray:
    place = {patient: i for i, patient in enumerate(matrix.patients)}
    return np.asarray(matrix.values)[[place[patient] for patient in patients]]


def clinical_block(records: tuple[dict[str, Any], ...]) -> Block:
    """Age in years and overall stage as 1 to 4; NaN where unknown."""
    age = [np.nan if record["age"] is None else float(record["age"]) for record in records]
    stage = [STAGE_ORDINAL.get((record["overall_stage"] or "").rstrip("ABC"), np.nan) for record in records]
    return Block(CLINICAL, ("age", "overall_stage"), np.array([age, stage], dtype=float).T.reshape(len(records), 2))


def columns_of(blocks: Mapping[str, Block]) -> dict[str, np.ndarray]:
    """ "block.feature" -> its values, (n,): the table that a fitted model reads."""
    return {column: block.values[:, i] for block in blocks.values() for i, column in enumerate(block.columns)}
