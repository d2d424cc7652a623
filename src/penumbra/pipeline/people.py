"""Everybody who arrived as one list: what became of them, and what one version of a model says of each."""

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store, survival
from penumbra.base.refusal import Refusal, choose
from penumbra.pipeline.fuse import cross_fitted_of
from penumbra.registry import LoadedModel
from penumbra.store.in_memory import InMemory

CROSS_FITTED, APPARENT, SCORED = "cross-fitted", "apparent", "scored"  # what a risk is: of a fit without the patient, of the fit that saw it, or of neither
USED = ("accepted", "remarked")  # statuses of the relation `cohort` that a model may be fitted on
OF_CLINICAL = "clinical."  # how a department's own columns begin in the relation `people`, as in a model
OUT = ("rejected", "excluded", "without scan")  # and those that it is not

VERSIONS = """
SELECT model, version, alias, train_centers, created_at FROM model_versions WHERE alias IS DISTINCT FROM 'deleted'
ORDER BY alias = 'champion' DESC NULLS LAST, commit_id DESC, TRY_CAST(version AS BIGINT) DESC
"""
RISKS = """
SELECT scored.patient, scored.center, log_risk, log_risk_lower, log_risk_upper, risk_group, applicability, applicability_reason,
       uses.patient IS NOT NULL AS trained
FROM predictions AS scored LEFT JOIN (SELECT DISTINCT patient, center FROM model_uses WHERE model = ? AND version = ? AND split = 'train') AS uses
     USING (patient, center)
WHERE model = ? AND version = ?
"""
PEOPLE = """
SELECT cohort.*, own.* EXCLUDE (patient, center), coalesce(crossed.log_risk, risks.log_risk) AS log_risk,
       CASE WHEN crossed.patient IS NULL THEN risks.risk_group WHEN crossed.log_risk > crossed.cutoff THEN 'high' ELSE 'low' END AS risk_group,
       CASE WHEN crossed.patient IS NOT NULL THEN 'cross-fitted' WHEN risks.trained THEN 'apparent' WHEN risks.patient IS NOT NULL THEN 'scored' END AS basis,
       applicability, applicability_reason
FROM cohort LEFT JOIN risks USING (patient, center) LEFT JOIN crossed USING (patient, center) LEFT JOIN own USING (patient, center)
"""
REMARKS = """
SELECT center, rule, count(*) AS n FROM (SELECT DISTINCT patient, center, unnest(rules) AS rule FROM people WHERE status IN ('accepted', 'remarked'))
GROUP BY ALL ORDER BY n DESC, rule
"""
OUTCOMES = "SELECT center, event, time FROM people WHERE status IN ('accepted', 'remarked') AND event IS NOT NULL AND time IS NOT NULL"


@dataclass(frozen=True)
class Named:
    """A registered version, and whether it is the champion."""

    model: str
    version: str
    champion: bool = False

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"


@dataclass(frozen=True)
class OwnColumn:
    """A column of features/clinical.yaml in a list; levels in their order, () for a number or a boolean."""

    name: str
    type: str
    unit: str
    levels: tuple[str, ...]
    meaning: str

    @property
    def column(self) -> str:
        """In the relation `people`."""
        return f"{OF_CLINICAL}{self.name}"

    @property
    def order(self) -> str:
        """By what it is sorted: an ordinal by its levels."""
        quoted = f'"{self.column}"'
        levels = ", ".join(f"'{level}'" for level in self.levels)  # letters, digits and + / - alone
        return f"list_position([{levels}], {quoted})" if self.levels else quoted


def own_columns(lake: store.Store) -> tuple[OwnColumn, ...]:
    """The columns that features/clinical.yaml declares."""
    rows = lake.sql("SELECT name, type, coalesce(unit, '') AS unit, levels, meaning FROM clinical_columns").to_pylist()
    return tuple(
        OwnColumn(row["name"], row["type"], row["unit"], tuple((row["levels"] or "").split(", ")) if row["levels"] else (), row["meaning"]) for row in rows
    )


def versions(lake: store.Store) -> list[Named]:
    """The registered versions, the champion first, then the newest."""
    return [Named(row["model"], row["version"], row["alias"] == registry.CHAMPION) for row in lake.sql(VERSIONS).to_pylist()]


def chosen(every: list[Named], label: str = "") -> Named | None:
    """The version that is asked for, such as 2 or nsclc-os/2; "": the champion, or the newest; None where there is none.

    Raises
    ------
    Refusal
        "version_registered".
    """
    if not label or label == registry.CHAMPION:
        return every[0] if every else None
    match = next((one for one in every if label in (str(one), one.version)), None)
    if match is None:
        raise Refusal("version_registered", f"no version {label[:80]!r} is registered", choose(label[:80], map(str, every), what="registered"))
    return match


def in_memory(home: Path, lake: store.Store, version: Named | None) -> InMemory:
    """The relation `people`: `cohort` with the columns of features/clinical.yaml (`clinical.ecog`) and the risks of a version.

    Those of its training patients are cross-fitted where the fit is still there.
    """
    import pyarrow as pa

    of = ["", "", "", ""] if version is None else [version.model, version.version] * 2
    risks = lake.sql(RISKS, of)
    crossed = list(_crossed(home, lake, version)) if version is not None else []
    columns = {"patient": pa.string(), "center": pa.string(), "log_risk": pa.float64(), "cutoff": pa.float64()}
    values = lake.sql("FROM clinical") if own_columns(lake) else pa.table({name: pa.array([], pa.string()) for name in ("patient", "center")})
    values = values.rename_columns([name if name in ("patient", "center") else f"{OF_CLINICAL}{name}" for name in values.column_names])
    tables = {"cohort": lake.sql("FROM cohort"), "own": values, "risks": risks, "crossed": pa.Table.from_pylist(crossed, pa.schema(columns))}
    return InMemory(tables, {"people": PEOPLE})


def _crossed(home: Path, lake: store.Store, version: Named) -> Iterator[dict[str, Any]]:
    try:
        loaded = registry.load(home, str(version))
    except Refusal:  # MLflow has the version no more, or its files were changed: the stored risks remain
        return
    for (patient, center), risk in cross_fitted(home, lake, loaded).items():
        yield {"patient": patient, "center": center, "log_risk": risk, "cutoff": loaded.model.cutoff}


def cross_fitted(home: Path, lake: store.Store, loaded: LoadedModel) -> dict[tuple[str, str], float]:
    """(patient, center) -> the cross-fitted log_risk of each training patient of a version; empty where the fit is no longer there."""
    query = "SELECT patient, center FROM model_uses WHERE model = ? AND version = ? AND split = 'train' ORDER BY patient"
    trained = {row["patient"]: row["center"] for row in lake.sql(query, [loaded.entry.model, str(loaded.entry.version)]).to_pylist()}
    return {(patient, trained[patient]): risk for patient, risk in cross_fitted_of(home, loaded, list(trained)).items()}


@dataclass(frozen=True)
class Flow:
    """What became of one center's patients.

    Parameters
    ----------
    arrived
        Everybody who was sent.
    out
        (status, rule, patients) of those who are not used, by the gravest reason.
    used
        Accepted, with or without remarks; `deaths` of them died, and `followed` is their median follow-up in days (reverse Kaplan-Meier).
    remarks
        (rule, patients) of those who are used; a patient may have several.
    """

    center: str
    training: bool
    arrived: int
    out: tuple[tuple[str, str, int], ...]
    used: int
    remarks: tuple[tuple[str, int], ...]
    deaths: int
    followed: float


def flows(listed: InMemory, centers: Collection[str], training: Collection[str]) -> list[Flow]:
    """Every center's flow: the training centers first, then the others by name."""
    counted = listed.rows("SELECT center, status, coalesce(rule, '') AS rule, count(*) AS n FROM people GROUP BY ALL ORDER BY n DESC, rule")
    remarks = listed.rows(REMARKS)
    outcomes: dict[str, list[tuple[bool, float]]] = {}
    for row in listed.rows(OUTCOMES):
        outcomes.setdefault(row["center"], []).append((row["event"], row["time"]))
    flow = []
    for center in sorted({*centers, *(row["center"] for row in counted)}, key=lambda name: (name not in training, name)):
        rows = [row for row in counted if row["center"] == center]
        event = np.array([died for died, _ in outcomes.get(center, ())], dtype=bool)
        time = np.array([day for _, day in outcomes.get(center, ())], dtype=float)
        flow.append(
            Flow(
                center=center,
                training=center in training,
                arrived=sum(row["n"] for row in rows),
                out=tuple((row["status"], row["rule"], row["n"]) for row in rows if row["status"] in OUT),
                used=sum(row["n"] for row in rows if row["status"] in USED),
                remarks=tuple((row["rule"], row["n"]) for row in remarks if row["center"] == center),
                deaths=int(event.sum()),
                followed=float(survival.kaplan_meier(~event, time).median) if event.size else math.nan,
            )
        )
    return flow


def details_of(row: dict[str, Any]) -> dict[str, Any]:
    """The further facts of a clinical record."""
    stored = row.get("details")
    document: dict[str, Any] = stored if isinstance(stored, dict) else json.loads(stored or "{}")
    return document
