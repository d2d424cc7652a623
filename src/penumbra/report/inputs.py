"""What a report is made of: plain rows and arrays, no patient's name, no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from penumbra.registry import MetricRow


@dataclass(frozen=True)
class CenterFlow:
    """What became of one center's patients.

    found      patients in the center's folder.
    excluded   (reason in words, count), in the order of the steps; found - sum = accepted.
    flagged    (remark in words, count) of accepted patients, e.g. ("mask touches the image border", 25).
    events     deaths among the accepted.
    training   whether the accepted were used to fit.
    """

    center: str
    training: bool
    found: int
    excluded: tuple[tuple[str, int], ...]
    accepted: int
    events: int
    flagged: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class ModelRow:
    """One fitted model as a row of the tables.

    name      as in `MetricRow.model`; label is what a reader sees.
    kind      "radiomics", "deep", "combined" or "control".
    features  how many features it uses; 0 is shown as "no feature retained".
    """

    name: str
    label: str
    kind: str
    features: int


@dataclass(frozen=True)
class CenterColumn:
    """One center, or pooled set, as a column of the tables.

    center  as in `MetricRow.center`; label is what a reader sees.
    paper   "train" or "test": which of the paper's numbers stands beside it; None for no comparison.
    """

    center: str
    label: str
    paper: str | None = None


@dataclass(frozen=True)
class PaperValue:
    """A number the paper states, on its own patients.

    model, metric  as in `MetricRow`; split "train" or "test".
    """

    model: str
    metric: str
    split: str
    value: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class SurvivalPanel:
    """Patients of one Kaplan-Meier figure.

    event      (n,) bool, True = died.
    time       (n,) days, > 0.
    high_risk  (n,) bool, above the training median.
    """

    title: str
    event: np.ndarray
    time: np.ndarray
    high_risk: np.ndarray


@dataclass(frozen=True)
class KeptFeature:
    """A feature a model uses; coefficient per standard deviation of the feature in the training centers, in log hazard."""

    model: str
    feature: str
    coefficient: float


@dataclass(frozen=True)
class SlicePicture:
    """One axial slice of a patient.

    patient     key, never a name.
    hu          (y, x) CT numbers in HU.
    gtv         (y, x) bool.
    rings       "ring_3mm" -> (y, x) bool, the GTV excluded.
    spacing_mm  (y, x).
    """

    patient: str
    center: str
    hu: np.ndarray
    gtv: np.ndarray
    rings: Mapping[str, np.ndarray]
    spacing_mm: tuple[float, float]
    log_risk: float
    risk_group: str


@dataclass(frozen=True)
class ModelCard:
    """Facts of the registered version.

    parameters  (name, value in words) as in params.yaml.
    facts       further (name, value) lines, such as what the model must not be used for.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    digest: str
    train_centers: tuple[str, ...]
    registered_at: str
    store_commit: int
    store_digest: str
    code_commit: str
    parameters: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NextCommand:
    """A command to type next and what it does."""

    command: str
    purpose: str


@dataclass(frozen=True)
class ReportInputs:
    """Everything on the page.

    date       as it shall be printed; the only thing that differs between two reports on the same inputs.
    combined   name of the model whose risk groups, AUC and features are shown.
    metrics    rows of `model_metrics`: harrell_c, auc_1y, auc_2y, auc_3y, hazard_ratio, log_rank_p (the last without limits).
    window_hu  (centre, width) of the CT pictures.
    notes      sentences a reader must know, shown under the headline.
    """

    title: str
    date: str
    combined: str
    flow: tuple[CenterFlow, ...]
    models: tuple[ModelRow, ...]
    columns: tuple[CenterColumn, ...]
    metrics: tuple[MetricRow, ...]
    paper: tuple[PaperValue, ...]
    survival: tuple[SurvivalPanel, ...]
    features: tuple[KeptFeature, ...]
    slices: tuple[SlicePicture, ...]
    card: ModelCard
    next_commands: tuple[NextCommand, ...]
    window_hu: tuple[float, float]
    notes: tuple[str, ...] = field(default=())
