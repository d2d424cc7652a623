"""Two models on the same patients: every measure of both, the difference, its interval and its p, on the same resamples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from penumbra import survival
from penumbra.survival import Undefined
from penumbra.survival.agreement import resampled_survival
from penumbra.survival.bootstrap import difference_from, resample_counts, right_and_comparable
from penumbra.survival.brier_score import brier_parts
from penumbra.survival.case_status import require_two, status
from penumbra.survival.horizons import beyond, horizon_name
from penumbra.survival.outcome import Outcomes

HIGHER_IS_BETTER = ("harrell_c", "auc")  # how a measure's name begins; of every other, lower is better


@dataclass(frozen=True)
class Scores:
    """What one model says of n patients: log_risk (n,); death (n, k), probability to have died by each horizon, NaN where it says none."""

    log_risk: np.ndarray
    death: np.ndarray


@dataclass(frozen=True)
class PairedRow:
    """One measure of two models on one set of patients.

    metric      harrell_c; auc_1y (status at the horizon); brier_1y; calibration_1y: |log(deaths observed / deaths predicted)|; named by the time.
    difference  second minus first, with percentile limits and a two-sided bootstrap p; NaN with a reason where these patients define none.
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


Measured = tuple[np.ndarray, np.ndarray]  # values (2,) on the patients themselves, and (2, b) on the resamples


def paired_rows(
    center: str,
    outcomes: Outcomes,
    first: Scores,
    second: Scores,
    *,
    horizons_days: Sequence[float],
    bootstraps: int,
    confidence: float,
    seed: int,
) -> Iterator[PairedRow]:
    """C, and for each horizon AUC, Brier score and calibration, of two models on the same patients and the same resamples.

    horizons_days  (k,) in days, rising.

    Of patients of several centers C and AUC count pairs of one center only, since a risk that only tells the centers apart would rank pairs of
    two, and patients are resampled within each center.
    The weights of the Brier score (inverse probability of censoring) stay those of all n patients in every resample.

    Source: Efron and Tibshirani 1993, ch. 16 (paired bootstrap).
    """
    event, time = outcomes.event, outcomes.time
    strata = np.unique(outcomes.centers, return_inverse=True)[1]
    counts = _resampled_within(strata, bootstraps, seed)
    both = (first, second)
    measures: dict[str, Callable[[], Measured]] = {"harrell_c": partial(_c, event, time, strata, both, counts)}
    for k, horizon in enumerate(horizons_days):
        name = horizon_name(horizon)
        measures[f"auc_{name}"] = partial(auc, event, time, strata, both, counts, horizon)
        measures[f"brier_{name}"] = partial(brier, event, time, both, counts, horizon, k)
        measures[f"calibration_{name}"] = partial(calibration, event, time, both, counts, horizon, k)
    for metric, measure in measures.items():
        try:
            own, drawn = measure()
            found = difference_from(float(own[1] - own[0]), drawn[1] - drawn[0], confidence)
            yield PairedRow(center, metric, float(own[0]), float(own[1]), found.value, found.lower, found.upper, found.p, *outcomes.size)
        except Undefined as undefined:
            yield PairedRow(center, metric, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, *outcomes.size, str(undefined))


def _resampled_within(strata: np.ndarray, bootstraps: int, seed: int) -> np.ndarray:
    """How often each patient is drawn, shape (bootstraps, n), from the patients of the own stratum."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((bootstraps, strata.size), dtype=np.int64)
    for stratum in range(int(strata.max(initial=-1)) + 1):
        here = np.flatnonzero(strata == stratum)
        counts[:, here] = resample_counts(here.size, bootstraps, rng)
    return counts


def _c(event: np.ndarray, time: np.ndarray, strata: np.ndarray, both: Sequence[Scores], counts: np.ndarray) -> Measured:
    risks = np.stack([_finite(scores.log_risk, "no risk") for scores in both])
    weights = np.vstack([np.ones((1, event.size), dtype=np.int64), counts])
    right, comparable = np.zeros((2, len(weights))), np.zeros(len(weights))
    for stratum in range(int(strata.max()) + 1):
        here = strata == stratum
        counted = right_and_comparable(event[here], time[here], risks[:, here], weights[:, here])
        right, comparable = right + counted[0], comparable + counted[1]
    if not comparable[0] > 0:
        raise Undefined(f"no comparable pair among {event.size} patients ({int(event.sum())} events)")
    values = np.where(comparable > 0, right, np.nan) / np.maximum(comparable, 1.0)
    return values[:, 0], values[:, 1:]


def auc(event: np.ndarray, time: np.ndarray, strata: np.ndarray, both: Sequence[Scores], counts: np.ndarray, horizon: float) -> Measured:
    """Cases died by the horizon, controls are known to be alive then; the weighted share of pairs in the right order."""
    case, control = status(event, time, horizon)
    same = (strata[case][:, None] == strata[control][None, :]).astype(float)
    if strata.max() == 0:
        own = np.array([survival.auc_binary(event, time, _finite(scores.log_risk, "no risk"), horizon).auc for scores in both])
    elif same.any():
        require_two(case, control)
        own = np.array([(_in_order(_finite(scores.log_risk, "no risk"), case, control) * same).sum() for scores in both]) / same.sum()
    else:
        raise Undefined(f"no center has both a death by day {horizon:g} and a patient who is alive after it")
    cases, controls = counts[:, case].astype(float), counts[:, control].astype(float)
    pairs = ((cases @ same) * controls).sum(axis=1)
    drawn = []
    for scores in both:
        right = _in_order(scores.log_risk, case, control) * same
        drawn.append(np.where(pairs > 0, ((cases @ right) * controls).sum(axis=1) / np.maximum(pairs, 1.0), np.nan))
    return own, np.array(drawn)


def _in_order(log_risk: np.ndarray, case: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Whether a case has the higher risk, shape (cases, controls); a half where both have the same."""
    above = log_risk[case][:, None] - log_risk[control][None, :]
    return np.asarray((above > 0) + 0.5 * (above == 0))


def brier(event: np.ndarray, time: np.ndarray, both: Sequence[Scores], counts: np.ndarray, horizon: float, k: int) -> Measured:
    parts = np.stack([brier_parts(event, time, 1.0 - _finite(scores.death[:, k], f"no survival at day {horizon:g}"), horizon) for scores in both])
    return parts.mean(axis=1), parts @ counts.T / counts.sum(axis=1)


def calibration(event: np.ndarray, time: np.ndarray, both: Sequence[Scores], counts: np.ndarray, horizon: float, k: int) -> Measured:
    if beyond(horizon, time.max()):
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {time.max():g})")
    weights = np.vstack([np.ones((1, event.size)), counts])
    observed = 1.0 - resampled_survival(event, time, horizon, weights)
    if not observed[0] > 0:
        raise Undefined(f"nobody died by day {horizon:g}")
    expected = np.stack([weights @ _finite(scores.death[:, k], f"no survival at day {horizon:g}") for scores in both]) / weights.sum(axis=1)
    if not (expected[:, 0] > 0).all():
        raise Undefined(f"one of the two models expects no death by day {horizon:g}")
    with np.errstate(divide="ignore"):
        distance = np.abs(np.log(observed / expected))
    distance[~np.isfinite(distance)] = np.nan  # a resample without a death has none
    return distance[:, 0], distance[:, 1:]


def _finite(values: np.ndarray, lacking: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise Undefined(f"one of the two models gives {lacking}")
    return values
