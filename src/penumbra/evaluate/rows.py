"""One number of one model on one set of patients: what evaluation leaves, and every table is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricRow:
    """One number of one fitted model on one center: a row of the relation `model_metrics` without its version.

    model    name of the fitted model, e.g. "Combined", "DL", "Volume".
    center   center, or the name of a pooled set.
    split    "train" or "test"; a subgroup carries its name here.
    metric   e.g. "harrell_c".
    value, lower, upper   estimate with its 95 % limits; NaN where undefined.
    n, events   patients and deaths behind it.
    reason   why `value` is NaN; "" where it is not.
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
