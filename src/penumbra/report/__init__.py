"""The report: figures, tables and one page that needs no network."""

from penumbra.report.checks import checklist
from penumbra.report.inputs import (
    CenterColumn,
    CenterFlow,
    ChecklistItem,
    KeptFeature,
    Loadings,
    Measures,
    ModelCard,
    ModelRow,
    NextCommand,
    PaperValue,
    ReportInputs,
    RiskPanel,
    SlicePicture,
    SurvivalPanel,
)
from penumbra.report.page import write_report
from penumbra.report.slices import picture_of

__all__ = [
    "CenterColumn",
    "CenterFlow",
    "ChecklistItem",
    "KeptFeature",
    "Loadings",
    "Measures",
    "ModelCard",
    "ModelRow",
    "NextCommand",
    "PaperValue",
    "ReportInputs",
    "RiskPanel",
    "SlicePicture",
    "SurvivalPanel",
    "checklist",
    "picture_of",
    "write_report",
]
