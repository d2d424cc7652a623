"""Everything that the store has of one patient: what became of it, its record with its history, scan, mask, and every version that used or scored it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penumbra import registry, store
from penumbra.imaging.figures import Finding
from penumbra.pipeline.certificates import Figure, figures_of, findings_of

RECORDED = ("age", "sex", "histology", "t_stage", "n_stage", "m_stage", "overall_stage", "time", "event", "details")  # of the clinical record
LEARNED = ("train", "update")  # uses after which a version's answer is no prediction for the patient

RECORDS = """
SELECT records.*, made."at" FROM stored.patients AS records JOIN stored.commits AS made ON made.id = records.commit_id
WHERE patient = ? AND center = ? ORDER BY records.commit_id
"""
OWN_RECORDS = """
SELECT name, CASE WHEN type = 'boolean' THEN CASE number WHEN 1 THEN 'yes' WHEN 0 THEN 'no' END
                  ELSE coalesce(level, concat_ws(' ', printf('%g', number), unit)) END AS shown, records.commit_id, made."at",
       coalesce(level, number::VARCHAR) IS NOT NULL AS known
FROM stored.clinical_long AS records JOIN clinical_columns USING (name) JOIN stored.commits AS made ON made.id = records.commit_id
WHERE patient = ? AND center = ? ORDER BY records.commit_id
"""
SCANS = """
SELECT image_version, source, spacing, size, status, commit_id, made."at" FROM stored.images AS scans JOIN stored.commits AS made ON made.id = scans.commit_id
WHERE patient = ? AND center = ? ORDER BY commit_id DESC
"""
VALUES = """
SELECT name, CASE WHEN type = 'boolean' THEN CASE number WHEN 1 THEN 'yes' WHEN 0 THEN 'no' END
                  ELSE coalesce(level, concat_ws(' ', printf('%g', number), unit)) END AS shown, coalesce(level, number::VARCHAR) AS known
FROM clinical_columns LEFT JOIN (FROM clinical_long WHERE patient = ? AND center = ?) AS own USING (name)
"""
USES = """
SELECT model, version, alias, train_centers, created_at, uses.split, uses.source
FROM model_versions LEFT JOIN (FROM model_uses WHERE patient = ? AND center = ?) AS uses USING (model, version)
WHERE alias IS DISTINCT FROM 'deleted'
ORDER BY alias = 'champion' DESC NULLS LAST, model_versions.commit_id DESC, TRY_CAST(version AS BIGINT) DESC
"""


@dataclass(frozen=True)
class Change:
    """A clinical record that came: what it changed, (name, before, after); the first one changes nothing."""

    at: datetime
    commit: int
    changed: tuple[tuple[str, Any, Any], ...]


@dataclass(frozen=True)
class Scored:
    """A registered version and one patient.

    Parameters
    ----------
    split
        What the version used the patient for: train, update, test; None: for nothing that it knows of.
    derived
        Whether that is known from its training centers alone.
    prediction
        The row of `predictions`; None: it has none.
    survival
        Days -> (survival, lower, upper), None where there is no limit.
    """

    model: str
    version: str
    champion: bool
    created_at: datetime | None
    split: str | None
    derived: bool
    prediction: Mapping[str, Any] | None
    survival: Mapping[float, tuple[float | None, float | None, float | None]]

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"

    @property
    def learned(self) -> bool:
        """Whether the version was fitted on the patient."""
        return self.split in LEARNED


@dataclass(frozen=True)
class PatientRecord:
    """One patient of one center.

    Parameters
    ----------
    state
        The row of `cohort`.
    elsewhere
        Other centers that sent a patient of this name.
    clinical
        The newest clinical record; None: the store has none.
    changes
        The records that came, the first one first.
    image
        The row of `images`; None: no accepted scan.
    scans
        Every accepted scan, the newest first.
    reasons
        Rows of `rejections`.
    values
        Columns of features/clinical.yaml -> their values in words; None: not known.
    """

    patient: str
    center: str
    state: Mapping[str, Any]
    elsewhere: tuple[str, ...]
    clinical: Mapping[str, Any] | None
    changes: tuple[Change, ...]
    image: Mapping[str, Any] | None
    scans: tuple[Mapping[str, Any], ...]
    rois: tuple[Mapping[str, Any], ...]
    figures: tuple[Figure, ...]
    findings: tuple[Finding, ...]
    reasons: tuple[Mapping[str, Any], ...]
    declared: Mapping[str, Any]
    versions: tuple[Scored, ...]
    values: Mapping[str, str | None]


def patient_record(lake: store.Store, standings: Sequence[Mapping[str, Any]], center: str = "") -> PatientRecord | None:
    """Read what the store has of a patient; None where it has nothing.

    Parameters
    ----------
    standings
        The rows of `cohort` with the patient's name, one per center that sent one of this name.
    center
        Of the patient; "": where its scan was accepted, of several.
    """
    by_center = {row["center"]: row for row in sorted(standings, key=lambda row: (row["image_version"] is None, row["center"]))}
    place = center or next(iter(by_center), "")
    if place not in by_center:
        return None
    patient: str = by_center[place]["patient"]
    of = [patient, place]

    def rows(relation: str, order: str = "commit_id") -> tuple[dict[str, Any], ...]:
        return tuple(lake.sql(f"FROM {relation} WHERE patient = ? AND center = ? ORDER BY {order}", of).to_pylist())

    images, rois, clinical = rows("images"), rows("rois", "roi"), rows("patients")
    return PatientRecord(
        patient=patient,
        center=place,
        state=by_center[place],
        elsewhere=tuple(name for name in by_center if name != place),
        clinical=clinical[0] if clinical else None,
        changes=_changes(lake.sql(RECORDS, of).to_pylist(), lake.sql(OWN_RECORDS, of).to_pylist()) if clinical else (),
        image=images[0] if images else None,
        scans=tuple(lake.sql(SCANS, of).to_pylist()) if images else (),
        rois=rois,
        figures=figures_of(images[0], rois) if images else (),
        findings=findings_of(images[0]) if images else (),
        reasons=rows("rejections", '"at", rule'),
        declared=next(iter(lake.sql("SELECT treatment, intent, imaging FROM center_declarations WHERE center = ?", [place]).to_pylist()), {}),
        versions=_versions(lake, patient, place),
        values={row["name"]: row["shown"] if row["known"] is not None else None for row in lake.sql(VALUES, of).to_pylist()} if clinical else {},
    )


def _changes(records: Sequence[Mapping[str, Any]], values: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """What each commit changed of the record: of the columns that every center has, and of the department's own."""
    moments = {row["commit_id"]: row["at"] for row in (*records, *values)}
    changes, before, state = list[Change](), None, dict[str, Any]()
    for commit in sorted(moments):
        state = dict(state)
        for record in records:
            if record["commit_id"] == commit:
                state |= {name: record[name] for name in RECORDED}
        for row in values:
            if row["commit_id"] == commit:
                state[row["name"]] = row["shown"] if row["known"] else None
        changed = () if before is None else tuple((name, before.get(name), value) for name, value in state.items() if before.get(name) != value)
        if before is None or changed:
            changes.append(Change(moments[commit], commit, changed))
        before = state
    return tuple(changes)


def _versions(lake: store.Store, patient: str, center: str) -> tuple[Scored, ...]:
    of = [patient, center]
    predictions = {(row["model"], row["version"]): row for row in lake.sql("FROM predictions WHERE patient = ? AND center = ?", of).to_pylist()}
    survival: dict[tuple[str, str], dict[float, tuple[float | None, float | None, float | None]]] = {}
    for row in lake.sql("FROM prediction_horizons WHERE patient = ? AND center = ? ORDER BY days", of).to_pylist():
        survival.setdefault((row["model"], row["version"]), {})[row["days"]] = (row["survival"], row["lower"], row["upper"])
    return tuple(
        Scored(
            model=row["model"],
            version=row["version"],
            champion=row["alias"] == registry.CHAMPION,
            created_at=row["created_at"],
            split=row["split"],
            derived=row["source"] == "derived",
            prediction=predictions.get((row["model"], row["version"])),
            survival=survival.get((row["model"], row["version"]), {}),
        )
        for row in lake.sql(USES, of).to_pylist()
    )
