"""Which patients are evaluated together, and one model on every patient; how an undefined value becomes a row with its reason."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penumbra import survival
from penumbra.fusion.parts import limited
from penumbra.survival import Undefined
from penumbra.survival.baseline import BaselineHazard

TRAINING, EXTERNAL = "training", "external"  # names of the pooled sets
CROSS_FITTED = "cross_fitted"  # split of rows measured inside the training centers, on risks of models that did not see the patient
LEFT_OUT = "left_out"  # split of rows measured on a center by a model fitted on all others; the name of their pool as well
NO_RISK = "the model gives these patients no risk: it retained no feature, or refuses their center"
Value = tuple[float, float, float]


@dataclass(frozen=True)
class ModelRisk:
    """One model on every patient: log_risk (n,), NaN where it has none; cutoff divides high from low, the median of the training risk.

    Parameters
    ----------
    baseline
        Breslow's, of the training patients; None where the model gives no survival, or has retained nothing.
    slope
        That the log risk contains already: the model's as it was fitted is log_risk / slope.
    """

    log_risk: np.ndarray
    cutoff: float
    baseline: BaselineHazard | None = None
    slope: float = 1.0

    def of(self, rows: np.ndarray) -> "ModelRisk":
        """The same model on some patients, (n,) bool or indices."""
        return ModelRisk(self.log_risk[rows], self.cutoff, self.baseline, self.slope)

    def death(self, times_days: Sequence[float] | np.ndarray) -> np.ndarray:
        """Probability to have died by each time, 1 - S(t), shape (n, k), within the limits of `limited`; NaN beyond the training patients' follow-up."""
        return np.asarray(1.0 - limited(self.unlimited(times_days)))

    def unlimited(self, times_days: Sequence[float] | np.ndarray) -> np.ndarray:
        """S(t) as the model has it, (n, k), to count who is beyond the limits; never shown."""
        if self.baseline is None:
            raise Undefined("the model gives no survival")
        return self.baseline.survival(self.log_risk, np.asarray(times_days, dtype=float))

    def alive(self, times_days: Sequence[float] | np.ndarray) -> np.ndarray:
        """Probability to be alive at each time, shape (n, k).

        Raises
        ------
        Undefined
            "no survival at day ...: the training patients were followed to day ...".
        """
        reason = self.why_not(float(np.max(times_days)))
        if reason:
            raise Undefined(reason)
        return 1.0 - self.death(times_days)

    def why_not(self, day: float) -> str:
        """Why the model gives no survival at a day; "" where it does."""
        return "the model gives no survival" if self.baseline is None else self.baseline.why_not(day)


@dataclass(frozen=True)
class PatientSet:
    """Patients that are evaluated together: rows (n,) bool."""

    center: str
    split: str
    rows: np.ndarray


def sets_of(centers: np.ndarray, training: np.ndarray) -> Iterator[PatientSet]:
    """Training centers first, then the others, each group followed by its pool (the training pool only where several centers train)."""
    for split, pool, members in (("train", TRAINING, training), ("test", EXTERNAL, ~training)):
        names = sorted(set(centers[members].tolist()))
        yield from (PatientSet(name, split, members & (centers == name)) for name in names)
        if len(names) > 1 or (names and split == "test"):
            yield PatientSet(pool, split, members)


def clipped(event: np.ndarray, time: np.ndarray, horizons_days: Sequence[float]) -> tuple[float, ...]:
    """Each horizon within the follow-up of these patients, for a figure that is labeled with the day; a number named by its horizon stays there."""
    days = []
    for horizon in horizons_days:
        try:
            days.append(float(survival.within_follow_up(event, time, horizon)))
        except Undefined:
            days.append(float(horizon))  # what is measured there says itself why it has no value
    return tuple(days)


def value_or_reason(compute: Callable[[], Value], log_risk: np.ndarray) -> tuple[float, float, float, str]:
    """The value with its limits, or NaN with the reason why these patients have none."""
    if not np.isfinite(log_risk).all():
        return math.nan, math.nan, math.nan, NO_RISK
    try:
        return (*compute(), "")
    except Undefined as undefined:
        return math.nan, math.nan, math.nan, str(undefined)


def alone(value: float) -> Value:
    """A value without limits."""
    return float(value), math.nan, math.nan


def limits(estimate: Any, name: str) -> Value:
    """A value with its limits."""
    return float(getattr(estimate, name)), float(estimate.lower), float(estimate.upper)
