"""Every metric of every model: for training, for each center, and for all external centers pooled (PROTOCOL 6)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from penumbra import survival
from penumbra.registry import MetricRow
from penumbra.survival import Undefined
from penumbra.survival.bootstrap import PairedDifference, difference_from, percentile_limits, resample_counts

TRAINING, EXTERNAL = "training", "external"  # names of the pooled sets
Value = tuple[float, float, float]


@dataclass(frozen=True)
class ModelRisk:
    """One model on every patient: log_risk (n,), NaN where it has none; cutoff divides high from low, the median of the training risk.

    death  (n, k): probability to have died by each horizon, 1 - S(t); None where the model gives no survival.
    """

    log_risk: np.ndarray
    cutoff: float
    death: np.ndarray | None = None


@dataclass(frozen=True)
class _Set:
    """Patients that are evaluated together."""

    center: str
    split: str
    rows: np.ndarray


def evaluate(
    models: Mapping[str, ModelRisk],
    centers: np.ndarray,
    training: np.ndarray,
    event: np.ndarray,
    time: np.ndarray,
    *,
    horizons_days: Sequence[float],
    resamples: int,
    level: float,
    seed: int,
    combined: str,
    volume: str,
) -> list[MetricRow]:
    """All metrics as rows; a metric that these patients do not define is a row with NaN and its reason.

    models    name -> its risks.
    centers   shape (n,), names.
    training  shape (n,), bool: the patient's center trained the models.
    event     shape (n,), bool; True = died. time: shape (n,), days.
    horizons_days  of AUC and Brier score; named 1y, 2y, ... in their order.
    resamples, level, seed  of the bootstrap behind C and its differences; the same resamples for every model, so that they pair.
    combined  the model that every other is compared with (delta_c_combined: C of `combined` minus its own; delong_p_1y).
    volume    the control; every model's C minus its C is delta_c_volume.

    Metrics: harrell_c, uno_c, auc_1y (status at the horizon, DeLong's limits), auc_ipcw_1y, brier_1y, hazard_ratio and log_rank_p (high against
    low at the training median), calibration_slope, delta_c_volume and its _p, delta_c_combined and its _p, delong_p_1y.
    """
    rows: list[MetricRow] = []
    for chosen in _sets(centers, training):
        inside = chosen.rows
        events, times = event[inside], time[inside]
        counts = resample_counts(int(inside.sum()), resamples, np.random.default_rng(seed))
        resampled = {name: _resampled(events, times, model.log_risk[inside], counts) for name, model in models.items()}
        for name, model in models.items():
            one = _OneModel(events, times, model.log_risk[inside], model.cutoff, None if model.death is None else model.death[inside], level)
            found: dict[str, Callable[[], Value]] = dict(one.metrics(horizons_days, resampled[name]))
            for against, other in (("volume", volume), ("combined", combined)):
                if other in models and name != other:
                    pair = (name, other) if against == "volume" else (other, name)
                    found |= _difference(events, times, models, resampled, inside, pair, f"delta_c_{against}", level)
            if combined in models and name != combined:
                for year, horizon in enumerate(horizons_days, 1):
                    found[f"delong_p_{year}y"] = _delong(events, times, model.log_risk[inside], models[combined].log_risk[inside], horizon)
            for metric, compute in found.items():
                value, lower, upper, reason = _tried(compute, model.log_risk[inside])
                rows.append(MetricRow(name, chosen.center, chosen.split, metric, value, lower, upper, int(inside.sum()), int(events.sum()), reason))
    return rows


def _sets(centers: np.ndarray, training: np.ndarray) -> Iterator[_Set]:
    """Training centers first, then the others, each group followed by its pool (the training pool only where several centers train)."""
    for split, pool, members in (("train", TRAINING, training), ("test", EXTERNAL, ~training)):
        names = sorted(set(centers[members].tolist()))
        yield from (_Set(name, split, members & (centers == name)) for name in names)
        if len(names) > 1 or (names and split == "test"):
            yield _Set(pool, split, members)


@dataclass(frozen=True)
class _OneModel:
    event: np.ndarray
    time: np.ndarray
    log_risk: np.ndarray
    cutoff: float
    death: np.ndarray | None
    level: float

    def metrics(self, horizons_days: Sequence[float], resampled: np.ndarray) -> Iterator[tuple[str, Callable[[], Value]]]:
        outcome, high = (self.event, self.time), self.log_risk > self.cutoff
        yield "harrell_c", lambda: (survival.concordance_index(*outcome, self.log_risk), *percentile_limits(resampled, self.level)[:2])
        yield "uno_c", lambda: _alone(survival.uno_c(*outcome, self.log_risk))
        for year, horizon in enumerate(horizons_days, 1):
            yield f"auc_{year}y", partial(self._auc, survival.auc_binary, horizon)
            yield f"auc_ipcw_{year}y", partial(self._auc, survival.auc_ipcw, horizon)
            if self.death is not None:
                yield f"brier_{year}y", partial(self._brier, 1.0 - self.death[:, year - 1], horizon)
        yield "hazard_ratio", lambda: _limits(survival.hazard_ratio(*outcome, high, level=self.level), "value")
        yield "log_rank_p", lambda: _alone(survival.log_rank(*outcome, high).p)
        yield "calibration_slope", lambda: _limits(survival.calibration_slope(*outcome, self.log_risk), "value")

    def _auc(self, auc: Callable[..., Any], horizon: float) -> Value:
        return _limits(auc(self.event, self.time, self.log_risk, horizon, level=self.level), "auc")

    def _brier(self, alive: np.ndarray, horizon: float) -> Value:
        return _alone(survival.brier(self.event, self.time, alive, horizon))


def _resampled(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
    if not np.isfinite(log_risk).all():
        return np.full(counts.shape[0], math.nan)
    return np.asarray(survival.harrell_resampled(event, time, log_risk[None, :], counts)[0])


def _difference(
    event: np.ndarray,
    time: np.ndarray,
    models: Mapping[str, ModelRisk],
    resampled: Mapping[str, np.ndarray],
    inside: np.ndarray,
    pair: tuple[str, str],
    metric: str,
    level: float,
) -> dict[str, Callable[[], Value]]:
    """C of the first of a pair minus C of the second on the same resamples, and its p."""
    a, b = (models[name].log_risk[inside] for name in pair)

    def both() -> PairedDifference:
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise Undefined("one of the two models has no risk")
        value = survival.concordance_index(event, time, a) - survival.concordance_index(event, time, b)
        return difference_from(value, resampled[pair[0]] - resampled[pair[1]], level)

    return {metric: lambda: _limits(both(), "value"), f"{metric}_p": lambda: _alone(both().p)}


def _delong(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray, combined: np.ndarray, horizon: float) -> Callable[[], Value]:
    return lambda: _alone(survival.delong_test(event, time, combined, log_risk, horizon).p)


def _tried(compute: Callable[[], Value], log_risk: np.ndarray) -> tuple[float, float, float, str]:
    """The value with its limits, or NaN with the reason why these patients have none."""
    if not np.isfinite(log_risk).all():
        return math.nan, math.nan, math.nan, "the model retained no feature"
    try:
        return (*compute(), "")
    except Undefined as undefined:
        return math.nan, math.nan, math.nan, str(undefined)


def _alone(value: float) -> Value:
    return float(value), math.nan, math.nan


def _limits(estimate: Any, name: str) -> Value:
    return float(getattr(estimate, name)), float(estimate.lower), float(estimate.upper)
