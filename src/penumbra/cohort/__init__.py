"""Centers as they arrive: the clinical table, a center's folder, and a simulated cohort whose ground truth is known."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.cohort.clinical import ClinicalRecord, ClinicalTable, InclusionRules, read_clinical
    from penumbra.cohort.coding import DECLARED_FILE
    from penumbra.cohort.entries import Accepted, Arrival, ImageRules, Rejected
    from penumbra.cohort.folders import count_patients, patient_folders
    from penumbra.cohort.incoming import ingest_center, known_scan, load_patient
    from penumbra.cohort.links import Roots, refuse_leaving
    from penumbra.cohort.pseudonyms import PSEUDONYM, key_fingerprint, pseudonym, pseudonym_key_from_environment
    from penumbra.cohort.rois import RoiRules, RoiSurvey, list_rois, roi_rules
    from penumbra.cohort.sheet import CLINICAL_FILE, clinical_table
    from penumbra.cohort.simulate import Truth, read_truth
    from penumbra.cohort.simulate_centers import CENTERS, CenterPlan, small_cohort
    from penumbra.cohort.twins import KnownScan

# The function that writes a cohort is penumbra.cohort.simulate.simulate: here its module already has that name.
_HOMES = {
    **dict.fromkeys(("ClinicalRecord", "ClinicalTable", "InclusionRules", "read_clinical"), "clinical"),
    **dict.fromkeys(("Accepted", "Arrival", "ImageRules", "Rejected"), "entries"),
    **dict.fromkeys(("ingest_center", "known_scan", "load_patient"), "incoming"),
    **dict.fromkeys(("PSEUDONYM", "key_fingerprint", "pseudonym", "pseudonym_key_from_environment"), "pseudonyms"),
    **dict.fromkeys(("patient_folders", "count_patients"), "folders"),
    **dict.fromkeys(("Roots", "refuse_leaving"), "links"),
    **dict.fromkeys(("RoiRules", "RoiSurvey", "list_rois", "roi_rules"), "rois"),
    **dict.fromkeys(("DECLARED_FILE",), "coding"),
    **dict.fromkeys(("CLINICAL_FILE", "clinical_table"), "sheet"),
    "KnownScan": "twins",
    **dict.fromkeys(("CENTERS", "CenterPlan", "small_cohort"), "simulate_centers"),
    **dict.fromkeys(("Truth", "read_truth"), "simulate"),
}

__all__ = [
    "CENTERS",
    "CLINICAL_FILE",
    "DECLARED_FILE",
    "PSEUDONYM",
    "Accepted",
    "Arrival",
    "CenterPlan",
    "ClinicalRecord",
    "ClinicalTable",
    "ImageRules",
    "InclusionRules",
    "KnownScan",
    "Rejected",
    "RoiRules",
    "RoiSurvey",
    "Roots",
    "Truth",
    "clinical_table",
    "count_patients",
    "ingest_center",
    "key_fingerprint",
    "known_scan",
    "list_rois",
    "load_patient",
    "patient_folders",
    "pseudonym",
    "pseudonym_key_from_environment",
    "read_clinical",
    "read_truth",
    "refuse_leaving",
    "roi_rules",
    "small_cohort",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
