"""What a report is made of: plain rows and arrays, no patient's name, no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from penumbra.cohort.baseline import BaselineRow
from penumbra.evaluate import Evaluating, MetricRow
from penumbra.evaluate.chosen import Choice
from penumbra.evaluate.instability import Instability
from penumbra.evaluate.sample_size import Demand, Sample
from penumbra.report.card import ModelCard as ModelCard
from penumbra.report.images import LearningCurve as LearningCurve
from penumbra.report.images import RiskMap as RiskMap
from penumbra.report.images import SlicePicture as SlicePicture
from penumbra.survival.outcome import Undefined


@dataclass(frozen=True)
class CenterFlow:
    """What became of one center's patients.

    Parameters
    ----------
    total
        Patients in the center's folder.
    excluded
        (reason in words, count), in the order of the steps; total - sum = accepted.
    flagged
        (remark in words, count) of accepted patients, e.g. ("mask touches the image border", 25).
    events
        Deaths among the accepted.
    training
        Whether the accepted were used to fit.
    """

    center: str
    training: bool
    total: int
    excluded: tuple[tuple[str, int], ...]
    accepted: int
    events: int
    flagged: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Baseline:
    """The baseline table: names of the groups of patients, how many each has, and one row per variable or level."""

    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: tuple[BaselineRow, ...]


@dataclass(frozen=True)
class ModelRow:
    """One fitted model as a row of the tables.

    Parameters
    ----------
    name
        As in `MetricRow.model`; label is what a reader sees.
    kind
        "radiomics", "deep", "combined" or "control".
    features
        How many features it uses; 0 is shown as "no feature retained".
    """

    name: str
    label: str
    kind: str
    features: int


@dataclass(frozen=True)
class CenterColumn:
    """One center, or pooled set, as a column of the tables.

    Parameters
    ----------
    center
        As in `MetricRow.center`; label is what a reader sees.
    paper
        "train" or "test": which of the paper's numbers it is compared with; None for no comparison.
    split
        As in `MetricRow.split`: cross_fitted and train rows have the same centers; "": any.
    """

    center: str
    label: str
    paper: str | None = None
    split: str = ""

    @property
    def apparent(self) -> bool:
        """Whether these patients were seen by the fit: shown last, in gray."""
        return self.split == "train"


@dataclass(frozen=True)
class PaperValue:
    """A number the paper states, on its own patients.

    Parameters
    ----------
    model, metric
        As in `MetricRow`; split "train" or "test".
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

    Parameters
    ----------
    event : shape (n,)
        Bool, True = died.
    time : shape (n,)
        Days, > 0.
    high_risk : shape (n,)
        Bool, above the training median.
    apparent
        Whether the fit saw them.
    """

    title: str
    event: np.ndarray
    time: np.ndarray
    high_risk: np.ndarray
    apparent: bool = False


@dataclass(frozen=True)
class RiskPanel:
    """One model on the patients of one set, for the figures that need more than groups.

    Parameters
    ----------
    column
        The set; its label is what a reader sees.
    model
        Name, as in `MetricRow.model`.
    event : shape (n,)
        Bool; time (n,) days; log_risk (n,).
    days : shape (k,)
        Of the horizons, within the follow-up of these patients; death (n, k) probability to have died by each.
    unanswered : shape (k,)
        Why the model gives no probability then: beyond the follow-up of its training patients; "" where it gives one.
    subgroups
        (split, level, (n,) bool) in the order of showing; high_risk (n,) bool, above the training median.
    """

    column: CenterColumn
    model: str
    event: np.ndarray
    time: np.ndarray
    log_risk: np.ndarray
    days: tuple[float, ...]
    death: np.ndarray
    high_risk: np.ndarray
    subgroups: tuple[tuple[str, str, np.ndarray], ...] = ()
    unanswered: tuple[str, ...] = ()

    @property
    def center(self) -> str:
        """As in the tables' CSV."""
        return self.column.center

    @property
    def title(self) -> str:
        """What a reader sees."""
        return self.column.label

    def alive(self, column: int) -> np.ndarray:
        """Probability to be alive at one of the days, (n,).

        Raises
        ------
        Undefined
            With the reason in `unanswered`.
        """
        if self.unanswered and self.unanswered[column]:
            raise Undefined(self.unanswered[column])
        return np.asarray(1.0 - self.death[:, column])


@dataclass(frozen=True)
class Measures:
    """The numbers behind the figures, from params.yaml, group evaluate."""

    horizons_days: tuple[float, ...] = ()
    bootstraps: int = 0
    confidence: float = 0.95
    seed: int = 0
    calibration_groups: int = 1
    thresholds: tuple[float, ...] = ()
    subgroup_events: int = 1
    sample_size_c: tuple[float, ...] = ()

    @classmethod
    def of(cls, numbers: Evaluating, horizons_days: tuple[float, ...] | None = None) -> "Measures":
        """Those of the group evaluate; at other days where some are given."""
        days = numbers.horizons_days if horizons_days is None else horizons_days
        return cls(
            days,
            numbers.bootstraps,
            numbers.confidence,
            numbers.seed,
            numbers.calibration_groups,
            numbers.thresholds,
            numbers.subgroup_events,
            numbers.sample_size_c,
        )


@dataclass(frozen=True)
class Loadings:
    """Principal components: loadings (k, p) over `features` (p,), explained (k,) share of variance of each, coefficient (k,) and its p (k,)."""

    features: tuple[str, ...]
    loadings: np.ndarray
    explained: tuple[float, ...]
    coefficients: tuple[float, ...]
    p: tuple[float, ...]


@dataclass(frozen=True)
class ChecklistItem:
    """One item of a reporting guideline: answer "" means unanswered; evidence is a link on this page or to a file in its folder."""

    guideline: str
    item: str
    question: str
    answer: str = ""
    evidence: str = ""


@dataclass(frozen=True)
class KeptFeature:
    """A feature a model uses; coefficient per standard deviation of the feature in the training centers, in log hazard.

    Parameters
    ----------
    p, q
        Of the univariate step, raw and after Benjamini and Hochberg; NaN where it had none.
    selection_frequency
        Share of the bootstrap refits that keep it; NaN where the model was not refitted.
    """

    model: str
    feature: str
    coefficient: float
    p: float = float("nan")
    q: float = float("nan")
    selection_frequency: float = float("nan")


@dataclass(frozen=True)
class NextCommand:
    """A command to type next and what it does."""

    command: str
    purpose: str


@dataclass(frozen=True)
class StabilityCell:
    """The features of one family on one image.

    Parameters
    ----------
    features
        How many.
    median
        Perturbation -> median of their ICC.
    lowest
        Median of the lowest ICC of each; NaN where none has all.
    stable
        Share whose lower limit is at least 0.75 under every perturbation.
    """

    image: str
    family: str
    features: int
    median: Mapping[str, float]
    lowest: float
    stable: float


@dataclass(frozen=True)
class StabilityOfRoi:
    """How stable the features of one ROI are, measured on so many training patients at most."""

    roi: str
    perturbations: tuple[str, ...]
    patients: int
    cells: tuple[StabilityCell, ...]


@dataclass(frozen=True)
class ReportInputs:
    """Everything on the page.

    Parameters
    ----------
    date
        As it shall be printed; the only thing that differs between two reports on the same inputs.
    combined
        Name of the served model, whose risk groups, AUC and features are shown.
    metrics
        Rows of `model_metrics`: harrell_c, auc_1y and so on, hazard_ratio, log_rank_p (the last without limits).
    window_hu
        (center, width) of the CT pictures.
    notes
        Sentences a reader must know, shown under the headline.
    remarks
        Sentences on how models were fitted, shown with the cohort.
    panels
        The combined and the deep model on every set.
    checklist
        Items of reporting guidelines.
    shown_in_subgroups
        Centers, or pooled sets, whose subgroups have Kaplan-Meier figures; the table and the forest plots have all.
    ablation
        The paper's numbers for the network without squeeze-and-excitation, in words.
    learning
        One curve for each network of the version.
    maps
        Where it looks, for some of the patients in `slices`.
    choice
        Which model is served, and why; None where it was not chosen by evidence inside.
    sample, demands
        What the training patients carry, and what each model asks of them.
    instability
        Predictions of the training patients over refits of the served model.
    stability
        Of the features, by ROI; empty where it was not measured.
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
    remarks: tuple[str, ...] = field(default=())
    measures: Measures = field(default=Measures())
    panels: tuple[RiskPanel, ...] = field(default=())
    loadings: Loadings | None = None
    checklist: tuple[ChecklistItem, ...] = field(default=())
    shown_in_subgroups: tuple[str, ...] = field(default=())
    ablation: str = ""
    learning: tuple[LearningCurve, ...] = field(default=())
    maps: tuple[RiskMap, ...] = field(default=())
    baseline: Baseline | None = None
    choice: Choice | None = None
    sample: Sample | None = None
    demands: tuple[Demand, ...] = field(default=())
    instability: Instability | None = None
    stability: tuple[StabilityOfRoi, ...] = field(default=())
