"""`penumbra rois`: the structure names of a center, and what each maps to."""

from pathlib import Path

from penumbra import cohort
from penumbra.base import tables
from penumbra.base.params import project_root, read_yaml, state_home
from penumbra.cohort.rois import RoiSurvey
from penumbra.cohort.rois import list_rois as survey
from penumbra.pipeline import arrivals
from penumbra.pipeline.settings import load_settings


def rois(folder: Path, center: str) -> str:
    """All structure names below a center's folder, in how many patients, and what each maps to; then who would be refused."""
    roi_survey = _survey(folder, center)
    text = tables.render(["name", "patients", "maps to", "why"], [[entry.name, entry.patients, entry.meaning, entry.reason] for entry in roi_survey.names])
    if roi_survey.refused:
        text += "\n\n" + tables.render(["refused patient", "why"], [[patient, str(refusal)] for patient, refusal in roi_survey.refused])
    return text


def roi_rows(folder: Path, center: str) -> tables.Answer:
    """The same for other programs: one row per name, then one per refused patient."""
    roi_survey = _survey(folder, center)
    records: list[dict[str, object]] = [
        {"kind": "structure", "name": entry.name, "patients": entry.patients, "maps_to": entry.meaning, "why": entry.reason} for entry in roi_survey.names
    ]
    records += [{"kind": "refused patient", "name": patient, "patients": 1, "why": str(refusal)} for patient, refusal in roi_survey.refused]
    return tables.Answer.of(records, ("kind", "name", "patients", "maps_to", "why"))


def _survey(folder: Path, center: str) -> RoiSurvey:
    rules = cohort.roi_rules(read_yaml(project_root() / "features" / "rois.yaml"))
    return survey(folder, rules.of(center), arrivals.link_roots(state_home(), folder, load_settings().ingest.roots))
