"""`penumbra verify`: what a registered version was trained on, rebuilt from the store and proved by its SHA-256."""

from dataclasses import dataclass
from pathlib import Path

from penumbra import registry, store
from penumbra.dataset import GTV, matrix_block, sha256_of
from penumbra.fusion import DEEP
from penumbra.refusal import Refusal


@dataclass(frozen=True)
class Proof:
    """A version whose training matrix was rebuilt and found to be the same, bit for bit.

    commit    the store's, as of which it was read. patients, columns  of the matrix, all blocks of features together.
    sha256    over patients' records, names and values, as recorded at registration.
    """

    model: str
    version: int
    commit: int
    patients: int
    columns: int
    sha256: str


def verify(home: Path, which: str) -> Proof:
    """Rebuild the training matrix of a version (3, champion, or with the name of its model nsclc-os/3) as of its commit and compare.

    Raises  Refusal "model_registered", "version_registered", "bundle_unchanged" (its files), "training_matrix" (its values or patients).
    """
    loaded = registry.load(home, which)
    entry = loaded.entry
    registry.verify(entry.folder, entry.digest)
    with store.connect(home, read_only=True) as lake:
        who = lake.sql("SELECT patient FROM model_patients WHERE model = ? AND version = ? AND split = 'train'", [entry.model, str(entry.version)])
        label = f"{entry.model}/{entry.version}"
        forgotten = lake.sql("SELECT count(*) AS n FROM withdrawals WHERE list_contains(models, ?)", [label]).column("n")[0].as_py()
    if forgotten:
        found = (
            f"{label} was trained on {forgotten} patients who were forgotten since"
            if forgotten > 1
            else f"{label} was trained on a patient who was forgotten since"
        )
        raise Refusal("training_matrix", found, "retrain: penumbra run")
    patients = sorted(who.column("patient").to_pylist())
    with store.connect(home, as_of=entry.store_commit) as lake:
        matrices = {
            name: store.read_matrix(lake, "deep" if name == DEEP else "radiomics", GTV if name == DEEP else name, version=version, patients=patients)
            for name, version in loaded.feature_versions.items()
        }
        records = {row["patient"]: {name: value for name, value in row.items() if name != "commit_id"} for row in lake.rows("patients")}
    lost = [patient for patient in patients if patient not in records or any(patient not in matrix.patients for matrix in matrices.values())]
    if lost or not patients:
        raise Refusal("training_matrix", f"{len(lost)} of {len(patients)} training patients of {label} are not in the store", "retrain without them")
    blocks = {name: matrix_block(name, matrix, patients) for name, matrix in matrices.items()}
    found = sha256_of(blocks, [records[patient] for patient in patients])
    if found != entry.store_digest:
        advice = "the store was altered outside penumbra: see penumbra doctor, and restore an export"
        raise Refusal("training_matrix", f"{label} was trained on {entry.store_digest[:12]}, the store now holds {found[:12]}", advice)
    return Proof(entry.model, entry.version, entry.store_commit, len(patients), sum(len(block.features) for block in blocks.values()), found)
