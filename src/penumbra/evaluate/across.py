"""Over centers: the random-effects mean of C and of the calibration slope, and the interval in which a new center's value is expected."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from penumbra import survival
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import EXTERNAL, ModelRisk, Value, value_or_reason
from penumbra.survival import Undefined
from penumbra.survival.outcome import Outcomes

NORMAL_95 = 1.959963984540054
Estimate = tuple[float, float]  # value and its standard error
PerCenter = tuple[np.ndarray, np.ndarray, np.ndarray]  # event, time and log_risk of a center


def pooled_rows(models: Mapping[str, ModelRisk], outcomes: Outcomes, training: np.ndarray, confidence: float) -> Iterator[MetricRow]:
    """Rows of the external pool: mean of the test centers with limits (`_pooled`) and with the prediction interval (`_prediction`)."""
    external = np.flatnonzero(~training)
    patients = outcomes.rows(external)
    if not external.size:
        return
    for name, model in models.items():
        per_center = by_center(patients, model.log_risk[external])
        for metric, value, lower, upper, reason in pooled(per_center, "harrell_c", "calibration_slope", confidence):
            yield MetricRow(name, EXTERNAL, "test", metric, value, lower, upper, *patients.size, reason)


def by_center(patients: Outcomes, log_risk: np.ndarray) -> list[PerCenter]:
    """Event, time and log_risk of the patients of each center, in the order of their names."""
    places = [patients.centers == name for name in sorted(set(patients.centers.tolist()))]
    return [(patients.event[rows], patients.time[rows], log_risk[rows]) for rows in places]


def pooled(per_center: Sequence[PerCenter], c_name: str, slope_name: str, confidence: float) -> Iterator[tuple[str, float, float, float, str]]:
    """Metric, value, limits and reason of C and of the slope, mean and prediction, over (event, time, log_risk) of each center."""
    log_risk = np.concatenate([risk for _, _, risk in per_center])
    for metric, estimate, pool in ((c_name, _c, survival.pooled_c), (slope_name, _slope, survival.pooled)):
        for suffix, ends in (("pooled", ("lower", "upper")), ("prediction", ("prediction_lower", "prediction_upper"))):
            yield f"{metric}_{suffix}", *value_or_reason(_over(per_center, estimate, pool, ends, confidence), log_risk)


def _over(
    per_center: Sequence[PerCenter],
    estimate: Callable[[np.ndarray, np.ndarray, np.ndarray], Estimate],
    pool: Callable[..., Any],
    ends: tuple[str, str],
    confidence: float,
) -> Callable[[], Value]:
    def compute() -> Value:
        estimates, missing = [], []
        for patients in per_center:
            try:
                estimates.append(estimate(*patients))
            except Undefined as undefined:
                missing.append(str(undefined))
        try:
            pool_estimate = pool([value for value, _ in estimates], [se for _, se in estimates], level=confidence)
        except Undefined as undefined:
            raise Undefined("; ".join([str(undefined), *missing])) from None
        return pool_estimate.mean, getattr(pool_estimate, ends[0]), getattr(pool_estimate, ends[1])

    return compute


def _c(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray) -> Estimate:
    concordance = survival.harrell(event, time, log_risk)
    if not concordance.se > 0:
        raise Undefined(f"C of {event.size} patients has no standard error")
    return concordance.c, concordance.se


def _slope(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray) -> Estimate:
    slope = survival.calibration_slope(event, time, log_risk)
    return slope.value, (slope.upper - slope.lower) / (2 * NORMAL_95)
