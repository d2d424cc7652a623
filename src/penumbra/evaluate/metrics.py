"""Every metric of every model on every set of patients."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from penumbra import survival
from penumbra.evaluate.across import pooled_rows
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import ModelRisk, PatientSet, Value, alone, limits, sets_of, value_or_reason
from penumbra.evaluate.settings import Evaluating
from penumbra.evaluate.within import within_rows
from penumbra.fusion.parts import limited
from penumbra.survival import Undefined
from penumbra.survival.bootstrap import PairedDifference, difference_from, percentile_limits, resample_counts
from penumbra.survival.horizons import beyond, horizon_name
from penumbra.survival.outcome import Outcomes

MONTHS = 12  # steps between two horizons when the Brier score is averaged over time


def evaluate(
    models: Mapping[str, ModelRisk],
    outcomes: Outcomes,
    training: np.ndarray,
    numbers: Evaluating,
    *,
    combined: str,
    controls: Mapping[str, str],
) -> list[MetricRow]:
    """All metrics as rows; a metric that these patients do not define is a row with NaN and its reason.

    So is one at a horizon beyond the follow-up of the set, and one that needs a survival beyond the follow-up of the model's training patients.

    Parameters
    ----------
    models
        Name -> its risks.
    training : shape (n,), bool
        The patient's center trained the models.
    numbers
        A metric is named by its horizon: 1y for 365 days, 180d for 180. The same resamples for every model, so that they pair.
    combined
        The model that every other is compared with (delta_c_combined: C of `combined` minus its own; delong_p_1y).
    controls
        Short name -> model: every model's C minus the control's is delta_c_<short name>.

    Notes
    -----
    Metrics: harrell_c, uno_c, auc_1y (status at the horizon, DeLong's limits), auc_ipcw_1y, brier_1y, brier_integrated (mean over the time from
    the first horizon to the last), hazard_ratio and log_rank_p (high against low at the training median), calibration_slope,
    calibration_intercept (log of observed over expected deaths, up to the last day that the model answers for), observed_expected_1y, beyond_limits (share of
    the probabilities at the horizons that would be below 0.5 % or above 99.5 %, which nobody is told),
    delta_c_volume and its _p (paired bootstrap), delta_c_combined and its _p, delong_p_1y;
    for the external pool also harrell_c_pooled, harrell_c_prediction, calibration_slope_pooled and
    calibration_slope_prediction (random effects over the test centers), and of `combined` delta_c_volume_within (pairs of one center).
    """
    rows: list[MetricRow] = []
    for subset in sets_of(outcomes.centers, training):
        inside = subset.rows
        events, times = outcomes.event[inside], outcomes.time[inside]
        here = {name: model.of(inside) for name, model in models.items()}
        counts = resample_counts(events.size, numbers.bootstraps, np.random.default_rng(numbers.seed))
        resampled = {name: _resampled(events, times, model.log_risk, counts) for name, model in here.items()}
        for name, model in here.items():
            one = OneModel(events, times, model, numbers.confidence)
            computations: dict[str, Callable[[], Value]] = {"harrell_c": partial(one.concordance, resampled[name]), **dict(one.metrics(numbers.horizons_days))}
            for against, control in controls.items():
                if control in here and name != control:
                    computations |= _difference(events, times, here, resampled, (name, control), f"delta_c_{against}", numbers.confidence)
            if combined in here and name != combined:
                computations |= _difference(events, times, here, resampled, (combined, name), "delta_c_combined", numbers.confidence)
                for horizon in numbers.horizons_days:
                    computations[f"delong_p_{horizon_name(horizon)}"] = partial(_delong, events, times, here[combined].log_risk, model.log_risk, horizon)
            rows += _rows(name, subset, computations, one)
    pooled = pooled_rows(models, outcomes, training, numbers.confidence)
    return [*rows, *pooled, *within_rows(models, outcomes, training, numbers, served=combined, controls=controls)]


def _rows(name: str, subset: PatientSet, computations: Mapping[str, Callable[[], Value]], one: "OneModel") -> Iterator[MetricRow]:
    for metric, compute in computations.items():
        value, lower, upper, reason = value_or_reason(compute, one.model.log_risk)
        reason = reason or (one.ends if metric == "calibration_intercept" else "")
        yield MetricRow(name, subset.center, subset.split, metric, value, lower, upper, one.event.size, int(one.event.sum()), reason)


@dataclass(frozen=True)
class OneModel:
    """One model on one set of patients: event (n,), time (n,) in days."""

    event: np.ndarray
    time: np.ndarray
    model: ModelRisk
    confidence: float

    def metrics(self, horizons_days: Sequence[float]) -> Iterator[tuple[str, Callable[[], Value]]]:
        """Name and computation of everything but what needs resamples or another model."""
        outcome, log_risk = (self.event, self.time), self.model.log_risk
        high = log_risk > self.model.cutoff
        yield "uno_c", lambda: alone(survival.uno_c(*outcome, log_risk))
        for horizon in horizons_days:
            yield f"auc_{horizon_name(horizon)}", partial(self._auc, survival.auc_binary, horizon)
            yield f"auc_ipcw_{horizon_name(horizon)}", partial(self._auc, survival.auc_ipcw, horizon)
        yield "hazard_ratio", lambda: limits(survival.hazard_ratio(*outcome, high, level=self.confidence), "value")
        yield "log_rank_p", lambda: alone(survival.log_rank(*outcome, high).p)
        yield "calibration_slope", lambda: limits(survival.calibration_slope(*outcome, log_risk), "value")
        if self.model.baseline is not None:
            yield "calibration_intercept", self.intercept
            yield "beyond_limits", partial(self._beyond_limits, horizons_days)
            for horizon in horizons_days:
                yield f"brier_{horizon_name(horizon)}", partial(self._brier, horizon)
                yield f"observed_expected_{horizon_name(horizon)}", partial(self._observed_expected, horizon)
            if len(horizons_days) > 1:
                yield "brier_integrated", partial(self._integrated_brier, horizons_days[0], horizons_days[-1], MONTHS * (len(horizons_days) - 1) + 1)

    def concordance(self, resampled: np.ndarray) -> Value:
        """Harrell's C with the limits of its resamples (b,)."""
        return survival.concordance_index(self.event, self.time, self.model.log_risk), *percentile_limits(resampled, self.confidence)[:2]

    def harrell(self) -> Value:
        """Harrell's C with limits by its own standard error."""
        from scipy.special import ndtri

        concordance = survival.harrell(self.event, self.time, self.model.log_risk)
        reach = float(ndtri(0.5 + 0.5 * self.confidence)) * concordance.se
        return concordance.c, max(0.0, concordance.c - reach), min(1.0, concordance.c + reach)

    def intercept(self) -> Value:
        """Log of observed over expected deaths, each patient's hazard cumulated over that patient's follow-up, up to the last day of the model."""
        assert self.model.baseline is not None
        last = self.model.baseline.last_day
        died, days = self.event & ~beyond(self.time, last), np.minimum(self.time, last)
        with np.errstate(over="ignore"):
            expected = self.model.baseline.at(days) * np.exp(self.model.log_risk)
        if not np.isfinite(expected).all():
            raise Undefined("the model expects more deaths of a patient than a number can be: the features are far from those of training")
        return limits(survival.calibration_intercept(died, expected), "value")

    @property
    def ends(self) -> str:
        """What to say of a value that is counted up to the last day of the model; "" where every patient's follow-up ends before."""
        if self.model.baseline is None or not beyond(self.time.max(), self.model.baseline.last_day):
            return ""
        return f"up to day {math.floor(self.model.baseline.last_day)}, to which the training patients were followed"

    def _beyond_limits(self, horizons_days: Sequence[float]) -> Value:
        alive = self.model.unlimited(horizons_days)
        if not np.isfinite(alive).any():
            raise Undefined(self.model.why_not(horizons_days[0]))
        return alone(float((limited(alive) != alive)[np.isfinite(alive)].mean()))

    def _auc(self, auc: Callable[..., Any], horizon: float) -> Value:
        return limits(auc(self.event, self.time, self.model.log_risk, horizon, level=self.confidence), "auc")

    def _brier(self, horizon: float) -> Value:
        return alone(survival.brier(self.event, self.time, self.model.alive([horizon])[:, 0], horizon))

    def _integrated_brier(self, first: float, last: float, steps: int) -> Value:
        days = np.linspace(first, last, steps)
        return alone(survival.integrated_brier(self.event, self.time, self.model.alive(days), days))

    def _observed_expected(self, horizon: float) -> Value:
        alive = self.model.alive([horizon])[:, 0]
        return alone(survival.calibration(self.event, self.time, alive, horizon, groups=1, resamples=0).observed_expected)


def is_calibration(metric: str) -> bool:
    """Whether a metric judges probabilities, and not only ranks."""
    return metric.startswith(("calibration", "observed_expected", "brier"))


def _resampled(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
    if not np.isfinite(log_risk).all():
        return np.full(counts.shape[0], math.nan)
    return np.asarray(survival.harrell_resampled(event, time, log_risk[None, :], counts)[0])


def _difference(
    event: np.ndarray,
    time: np.ndarray,
    models: Mapping[str, ModelRisk],
    resampled: Mapping[str, np.ndarray],
    pair: tuple[str, str],
    metric: str,
    confidence: float,
) -> dict[str, Callable[[], Value]]:
    """C of the first of a pair minus C of the second on the same resamples, and its p."""
    a, b = (models[name].log_risk for name in pair)

    def both() -> PairedDifference:
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise Undefined("one of the two models has no risk")
        value = survival.concordance_index(event, time, a) - survival.concordance_index(event, time, b)
        return difference_from(value, resampled[pair[0]] - resampled[pair[1]], confidence)

    return {metric: lambda: limits(both(), "value"), f"{metric}_p": lambda: alone(both().p)}


def _delong(event: np.ndarray, time: np.ndarray, combined: np.ndarray, log_risk: np.ndarray, horizon: float) -> Value:
    if not np.isfinite(combined).all():
        raise Undefined("the model to compare with has no risk")
    return alone(survival.delong_test(event, time, combined, log_risk, horizon).p)
