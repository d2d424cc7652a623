"""The report a person looks at: figures, tables and one page that needs no network."""

from penumbra.report.inputs import (
    CenterColumn,
    CenterFlow,
    KeptFeature,
    ModelCard,
    ModelRow,
    NextCommand,
    PaperValue,
    ReportInputs,
    SlicePicture,
    SurvivalPanel,
)
from penumbra.report.page import write_report
from penumbra.report.slices import picture_of

__all__ = [
    "CenterColumn",
    "CenterFlow",
    "KeptFeature",
    "ModelCard",
    "ModelRow",
    "NextCommand",
    "PaperValue",
    "ReportInputs",
    "SlicePicture",
    "SurvivalPanel",
    "picture_of",
    "write_report",
]
