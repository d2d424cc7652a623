"""The training patients whom a version would know a person by, looked up in the store at the time of asking: the version itself holds none of them."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penumbra import store
from penumbra.base.blocks import CLINICAL, DEEP, GTV, column
from penumbra.fusion import SurvivalModel
from penumbra.fusion.applicability import Measured
from penumbra.fusion.domain import measured
from penumbra.pipeline import covariates
from penumbra.pipeline.arrived import blocks_of
from penumbra.pipeline.dataset import clinical_block, matrix_block
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel


@dataclass(frozen=True)
class Similar:
    """A training patient who is alike, with the outcome that the version was fitted on; distance in the space of the version's domain."""

    patient: str
    center: str
    distance: float
    log_risk: float
    time: float
    event: bool


def version_table(lake: store.Store, loaded: LoadedModel, center: str, patients: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Every column that a version reads, and its refits where the store has theirs, of those patients of a center who have them.

    Returns
    -------
    tuple
        Names of n patients, and the columns, each (n,).
    """
    blocks = blocks_of((*loaded.model.columns, *(loaded.refits.names if loaded.refits is not None else ())))
    records = {row["patient"]: row for row in lake.sql("SELECT * FROM patients WHERE center = ?", [center]).to_pylist()}
    matrices = {
        name: store.read_matrix(
            lake,
            "deep" if name == DEEP else "radiomics",
            GTV if name == DEEP else name,
            version=loaded.feature_versions[name],
            patients=patients,
            centers=[center],
        )
        for name in sorted(blocks - {CLINICAL})
    }
    complete = set(patients).intersection(records, *(matrix.patients.tolist() for matrix in matrices.values()))
    names = [patient for patient in patients if patient in complete]
    if not names:
        return [], {}
    read = [matrix_block(name, matrix, names) for name, matrix in matrices.items()]
    columns = covariates.of_version(loaded.settings)
    by_person = covariates.own_values(lake, {(name, center) for name in names}) if columns else {}
    read.append(covariates.extended(clinical_block(tuple(records[name] for name in names)), columns, [by_person.get((name, center), {}) for name in names]))
    return names, {column(block.name, feature): block.values[:, j] for block in read for j, feature in enumerate(block.features)}


class Trained:
    """The training patients of a version as the store had them when it was fitted; each center is read once.

    Parameters
    ----------
    then
        The store as of that commit, open.
    """

    def __init__(self, then: store.Store) -> None:
        self._then = then
        self._read: dict[str, tuple[list[str], dict[str, np.ndarray], dict[str, Any]]] = {}

    def of(self, loaded: LoadedModel, center: str, patients: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray], dict[str, Any]]:
        """Names of a center's training patients who have every column, the columns, each (n,), and their outcomes by name."""
        if center not in self._read:
            names, table = version_table(self._then, loaded, center, patients)
            rows = self._then.sql("SELECT patient, time, event FROM patients WHERE center = ?", [center]).to_pylist()
            self._read[center] = names, table, {row["patient"]: row for row in rows}
        return self._read[center]


def nearest(
    work: Work,
    loaded: LoadedModel,
    named: tuple[str, str],
    table: Mapping[str, np.ndarray],
    sha256: str | None,
    *,
    lake: store.Store | None = None,
    trained: Trained | None = None,
) -> tuple[tuple[Similar, ...], str]:
    """The training patients of the own center who are nearest in the space of the model, as the store had them when the version was fitted.

    Parameters
    ----------
    named
        Patient and center of whom they are like.
    table : each (1,)
        Column -> value.
    sha256
        Of the scan's files, by which the same patient under another name is known; None: not known.
    lake
        The store, open; None: it is opened.
    trained
        The training patients, where several persons are asked about; None: they are read.

    Returns
    -------
    tuple
        The nearest first, and whose they are or why there are none.
    """
    center = named[1]
    model, numbers, entry = loaded.model, work.settings.explain, loaded.entry
    if model.domain is None:
        return (), "none: the version was registered before it knew its space of features"
    centers = [name for name in loaded.lineage.train_centers if numbers.other_centers or name == center]
    if not centers:
        others = "; explain.other_centers in params.yaml shows those of other centers"
        return (), f"none: {center} is no training center of {entry.model}/{entry.version}{others}"
    origin = model.domain.coordinates(_measured(model, table, center))[0]
    around = replace(model.domain, center=tuple(origin.tolist()))
    similar: list[Similar] = []
    uses = "SELECT patient FROM model_uses WHERE model = ? AND version = ? AND split = 'train' AND center = ? ORDER BY patient"
    with contextlib.ExitStack() as opened:
        now = lake or opened.enter_context(store.connect(work.home, read_only=True))
        listed = {name: now.sql(uses, [entry.model, str(entry.version), name]).column("patient").to_pylist() for name in centers}
        twins = {(row["patient"], row["center"]) for row in now.sql("SELECT patient, center FROM images WHERE sha256 = ?", [sha256]).to_pylist()}
        twins |= {named}
        trained = trained or Trained(opened.enter_context(store.connect(work.home, as_of=entry.store_commit)))
        for name in centers:
            everybody, values, outcomes = trained.of(loaded, name, listed[name])
            rows = [i for i, patient in enumerate(everybody) if (patient, name) not in twins]
            if not rows:
                continue
            theirs = {column: each[rows] for column, each in values.items()}
            distances = around.distances(_measured(model, theirs, name))
            risks = model.log_risk(theirs, centers=[name] * len(rows), missing="nan")
            similar += [
                Similar(patient, name, float(distances[i]), float(risks[i]), float(outcomes[patient]["time"]), bool(outcomes[patient]["event"]))
                for i, patient in enumerate(everybody[row] for row in rows)
                if np.isfinite(distances[i])
            ]
    first = sorted(similar, key=lambda each: (each.distance, each.center, each.patient))[: numbers.similar]
    whose = "all training centers" if numbers.other_centers else center
    return tuple(first), f"training patients of {whose}, as the store had them at commit {entry.store_commit}"


def _measured(model: SurvivalModel, table: Mapping[str, np.ndarray], center: str) -> Measured:
    """Some patients of one center as the domain of a model measures them."""
    return measured(model.weighted, table, [center] * len(next(iter(table.values()))))
