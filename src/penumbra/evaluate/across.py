"""Over centers: the random-effects mean of C and of the calibration slope, and the interval in which a new center's value is expected."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from penumbra import survival
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import EXTERNAL, ModelRisk, Value, tried
from penumbra.survival import Undefined

NORMAL_95 = 1.959963984540054
Estimate = tuple[float, float]  # value and its standard error


def pooled_rows(
    models: Mapping[str, ModelRisk], centers: np.ndarray, training: np.ndarray, event: np.ndarray, time: np.ndarray, level: float
) -> Iterator[MetricRow]:
    """Rows of the external pool: mean of the test centers with limits (`_pooled`) and with the prediction interval (`_prediction`)."""
    outside = [(~training) & (centers == name) for name in sorted(set(centers[~training].tolist()))]
    if not outside:
        return
    n, events = int((~training).sum()), int(event[~training].sum())
    for name, model in models.items():
        per_center = [(event[rows], time[rows], model.log_risk[rows]) for rows in outside]
        for metric, value, lower, upper, reason in pooled(per_center, "harrell_c", "calibration_slope", level):
            yield MetricRow(name, EXTERNAL, "test", metric, value, lower, upper, n, events, reason)


def pooled(
    per_center: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], c_name: str, slope_name: str, level: float
) -> Iterator[tuple[str, float, float, float, str]]:
    """Metric, value, limits and reason of C and of the slope, mean and prediction, over (event, time, log_risk) of each center."""
    log_risk = np.concatenate([risk for _, _, risk in per_center])
    for metric, estimate, pool in ((c_name, _c, survival.pooled_c), (slope_name, _slope, survival.pooled)):
        for suffix, ends in (("pooled", ("lower", "upper")), ("prediction", ("prediction_lower", "prediction_upper"))):
            yield f"{metric}_{suffix}", *tried(_over(per_center, estimate, pool, ends, level), log_risk)


def _over(
    per_center: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    estimate: Callable[[np.ndarray, np.ndarray, np.ndarray], Estimate],
    pool: Callable[..., Any],
    ends: tuple[str, str],
    level: float,
) -> Callable[[], Value]:
    def compute() -> Value:
        known, missing = [], []
        for patients in per_center:
            try:
                known.append(estimate(*patients))
            except Undefined as undefined:
                missing.append(str(undefined))
        try:
            found = pool([value for value, _ in known], [se for _, se in known], level=level)
        except Undefined as undefined:
            raise Undefined("; ".join([str(undefined), *missing])) from None
        return found.mean, getattr(found, ends[0]), getattr(found, ends[1])

    return compute


def _c(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray) -> Estimate:
    found = survival.harrell(event, time, log_risk)
    if not found.se > 0:
        raise Undefined(f"C of {event.size} patients has no standard error")
    return found.c, found.se


def _slope(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray) -> Estimate:
    found = survival.calibration_slope(event, time, log_risk)
    return found.value, (found.upper - found.lower) / (2 * NORMAL_95)
