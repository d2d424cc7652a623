"""One number of one model, or of two, on one set of patients: what evaluation leaves, and every table is made of."""

from dataclasses import dataclass

HIGHER_IS_BETTER = ("harrell_c", "auc")  # how a measure's name begins; of every other, lower is better


@dataclass(frozen=True)
class MetricRow:
    """One number of one fitted model on one center: a row of the relation `model_metrics` without its version.

    Parameters
    ----------
    model
        Name of the fitted model, e.g. "Combined", "DL", "Volume".
    center
        Center, or the name of a pooled set.
    split
        "train" or "test"; a subgroup carries its name here.
    metric
        e.g. "harrell_c".
    value, lower, upper
        Estimate with its 95 % limits; NaN where undefined.
    n, events
        Patients and deaths behind it.
    reason
        Why `value` is NaN; "" where it is not.
    """

    model: str
    center: str
    split: str
    metric: str
    value: float
    lower: float
    upper: float
    n: int
    events: int
    reason: str = ""


@dataclass(frozen=True)
class PairedRow:
    """One measure of two models on one set of patients.

    Parameters
    ----------
    metric
        harrell_c; auc_1y (status at the horizon); brier_1y; calibration_1y: |log(deaths observed / deaths predicted)|; named by the time.
    difference
        Second minus first, with percentile limits and a two-sided bootstrap p; NaN with a reason where these patients define none.
    """

    center: str
    metric: str
    first: float
    second: float
    difference: float
    lower: float
    upper: float
    p: float
    n: int
    events: int
    reason: str = ""

    @property
    def better(self) -> bool:
        """Whether the second is better on these patients."""
        return self.difference > 0 if self.metric.startswith(HIGHER_IS_BETTER) else self.difference < 0
