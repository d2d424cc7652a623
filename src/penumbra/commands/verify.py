"""`penumbra verify`: what a registered version was trained on, rebuilt from the store and verified by its SHA-256."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from penumbra import registry, store
from penumbra.base.blocks import DEEP, GTV
from penumbra.base.refusal import Refusal
from penumbra.pipeline import covariates, persons
from penumbra.pipeline.dataset import matrix_block, sha256_of
from penumbra.registry import LoadedModel

FITTED_ELSEWHERE = "its lineage names rows that it was not fitted on: promote another version, and register again with penumbra run"
RECORDED = 12  # digits of the SHA-256 that the first versions kept, of November 24, 2026; later ones keep it whole
SAME_TIME = 1e-6  # of a time: what a fit takes for one time may differ by rounding


@dataclass(frozen=True)
class Proof:
    """A version whose training matrix was rebuilt and found to be the same, bit for bit.

    Parameters
    ----------
    commit
        The store's, as of which it was read.
    patients, columns
        Of the matrix, all blocks of features together.
    sha256
        Over patients' records, names and values, as recorded at registration.
    doubled
        Which of its training patients share a scan with another patient, as far as the store tells today; "none".
    """

    model: str
    version: int
    commit: int
    patients: int
    columns: int
    sha256: str
    doubled: str = "none"


def verify(home: Path, which: str) -> Proof:
    """Rebuild the training matrix of a version (3, champion, or with the name of its model nsclc-os/3) as of its commit and compare.

    Raises
    ------
    Refusal
        "model_registered", "version_registered", "bundle_unchanged" (its files), "training_matrix" (its values or patients), or "fitted_on_these" when
        the model has deaths in it that these patients do not have: it was fitted on other outcomes.
    """
    loaded = registry.load(home, which)
    entry = loaded.entry
    registry.verify(entry.folder, entry.digest)
    with store.connect(home, read_only=True) as lake:
        lineage = lake.sql("SELECT patient FROM model_patients WHERE model = ? AND version = ? AND split = 'train'", [entry.model, str(entry.version)])
        label = f"{entry.model}/{entry.version}"
        forgotten = lake.sql("SELECT count(*) AS n FROM withdrawals WHERE list_contains(models, ?)", [label]).column("n")[0].as_py()
    if forgotten:
        reason = (
            f"{label} was trained on {forgotten} patients who were forgotten since"
            if forgotten > 1
            else f"{label} was trained on a patient who was forgotten since"
        )
        raise Refusal("training_matrix", reason, "retrain: penumbra run")
    patients = sorted(lineage.column("patient").to_pylist())
    with store.connect(home, read_only=True) as lake:
        doubled = persons.doubled(lake, frozenset(patients)) or "none"
    with store.connect(home, as_of=entry.store_commit) as lake:
        columns = covariates.of_version(loaded.settings)
        by_person = covariates.own_values(lake) if columns else {}
        matrices = {
            name: store.read_matrix(lake, "deep" if name == DEEP else "radiomics", GTV if name == DEEP else name, version=version, patients=patients)
            for name, version in loaded.feature_versions.items()
        }
        records = {row["patient"]: {name: value for name, value in row.items() if name != "commit_id"} for row in lake.rows("patients")}
    lost = [patient for patient in patients if patient not in records or any(patient not in matrix.patients for matrix in matrices.values())]
    if lost or not patients:
        raise Refusal("training_matrix", f"{len(lost)} of {len(patients)} training patients of {label} are not in the store", "retrain without them")
    blocks = {name: matrix_block(name, matrix, patients) for name, matrix in matrices.items()}
    trained = [records[patient] for patient in patients]
    seen = covariates.seen(columns, [by_person.get((record["patient"], record["center"]), {}) for record in trained])
    digest = sha256_of(blocks, covariates.with_covariates(trained, seen))
    if digest[: max(len(entry.store_digest), RECORDED)] != entry.store_digest:
        advice = "the store was altered outside penumbra: see penumbra doctor, and restore an export"
        raise Refusal("training_matrix", f"{label} was trained on {entry.store_digest[:12]}, the store now holds {digest[:12]}", advice)
    event, time = (np.array([records[patient][name] for patient in patients]) for name in ("event", "time"))
    wrong = contradiction(loaded, event.astype(bool), time)
    if wrong:
        raise Refusal("fitted_on_these", f"{label} {wrong}", FITTED_ELSEWHERE)
    return Proof(entry.model, entry.version, entry.store_commit, len(patients), sum(len(block.features) for block in blocks.values()), digest, doubled)


def contradiction(loaded: LoadedModel, event: np.ndarray, time: np.ndarray) -> str:
    """Why the served model was not fitted on these outcomes, (n,) bool and (n,) days; "" where nothing speaks against it.

    A version keeps how many patients and deaths its fit saw, and the months with deaths; versions from before it had a grid of months, the days of the deaths.
    """
    model = loaded.model
    if (model.training.patients, model.training.events) != (len(event), int(event.sum())):
        seen = f"{model.training.patients} patients with {model.training.events} deaths"
        return f"was fitted on {seen}, and its lineage names {len(event)} with {int(event.sum())}"
    days, died = np.array(model.baseline_times), np.sort(time[event].astype(float))
    if model.linear_baseline:
        return _month_without(days, np.array(model.baseline_hazard), died)
    after = np.minimum(np.searchsorted(died, days * (1 - SAME_TIME)), len(died) - 1)
    strange = days[np.abs(died[after] - days) > SAME_TIME * days]
    return f"was fitted on a death on day {strange[-1]:g}, which no patient has that its lineage names" if strange.size else ""


def _month_without(days: np.ndarray, hazard: np.ndarray, died: np.ndarray) -> str:
    """Where a hazard on a grid of days, (k,), rises though nobody died, by the days of the deaths, rising."""
    until = np.searchsorted(died, days * (1 + SAME_TIME), side="right")
    rises, dead = np.diff(hazard, prepend=0.0) > 0, np.diff(until, prepend=0) > 0
    wrong = np.flatnonzero(rises != dead)
    if not wrong.size:
        return ""
    last = wrong[-1]
    between = f"between day {days[last - 1] if last else 0:.0f} and day {days[last]:.0f}"
    whom = "which no patient has that its lineage names" if rises[last] else "though a patient that its lineage names died then"
    return f"was fitted on {'a death' if rises[last] else 'no death'} {between}, {whom}"


def contradicted(home: Path) -> Iterator[tuple[str, str]]:
    """(version, why) of every registered version whose lineage names outcomes that it was not fitted on."""
    statement = files("penumbra.commands").joinpath("fitted_outcomes.sql").read_text(encoding="utf-8")
    with store.connect(home, read_only=True) as lake:
        rows = lake.sql(statement).to_pylist()
        forgotten = {label for row in lake.rows("withdrawals") for label in row["models"] or ()}
    outcomes: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for row in rows:
        outcomes.setdefault((row["model"], row["version"]), []).append((bool(row["event"]), float(row["time"])))
    for (model, version), pairs in sorted(outcomes.items()):
        label = f"{model}/{version}"
        if label in forgotten:
            continue
        try:
            loaded = registry.load(home, version, model=model)
        except Refusal:  # deleted in MLflow, or its files are gone: not ours to say here
            continue
        reason = contradiction(loaded, np.array([event for event, _ in pairs]), np.array([time for _, time in pairs]))
        if reason:
            yield label, f"{reason}; {FITTED_ELSEWHERE}"
