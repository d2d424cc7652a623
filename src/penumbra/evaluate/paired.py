"""Two models on the same patients: every measure of both, the difference, its interval and its p, on the same resamples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from penumbra import survival
from penumbra.survival import Undefined
from penumbra.survival.agreement import brier_parts, resampled_survival
from penumbra.survival.bootstrap import difference_from, resample_counts

HIGHER_IS_BETTER = ("harrell_c", "auc")  # how a measure's name begins; of every other, lower is better


@dataclass(frozen=True)
class Scores:
    """What one model says of n patients: log_risk (n,); death (n, k), probability to have died by each horizon, NaN where it says none."""

    log_risk: np.ndarray
    death: np.ndarray


@dataclass(frozen=True)
class PairedRow:
    """One measure of two models on one set of patients.

    metric      harrell_c; auc_1y (status at the horizon); brier_1y; calibration_1y: |log(deaths observed / deaths predicted)|.
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
    event: np.ndarray,
    time: np.ndarray,
    first: Scores,
    second: Scores,
    *,
    horizons_days: Sequence[float],
    resamples: int,
    level: float,
    seed: int,
) -> Iterator[PairedRow]:
    """C, and for each horizon AUC, Brier score and calibration, of two models on the same patients and the same resamples.

    event, time  shape (n,); horizons_days (k,) in days, named 1y, 2y, ... in their order.
    The weights of the Brier score (inverse probability of censoring) stay those of all n patients in every resample.

    Source: Efron and Tibshirani 1993, ch. 16 (paired bootstrap).
    """
    counts = resample_counts(event.size, resamples, np.random.default_rng(seed))
    both = (first, second)
    measures: dict[str, Callable[[], Measured]] = {"harrell_c": partial(_c, event, time, both, counts)}
    for year, horizon in enumerate(horizons_days, 1):
        measures[f"auc_{year}y"] = partial(_auc, event, time, both, counts, horizon)
        measures[f"brier_{year}y"] = partial(_brier, event, time, both, counts, horizon, year - 1)
        measures[f"calibration_{year}y"] = partial(_calibration, event, time, both, counts, horizon, year - 1)
    size = event.size, int(event.sum())
    for metric, measure in measures.items():
        try:
            own, drawn = measure()
            found = difference_from(float(own[1] - own[0]), drawn[1] - drawn[0], level)
            yield PairedRow(center, metric, float(own[0]), float(own[1]), found.value, found.lower, found.upper, found.p, *size)
        except Undefined as undefined:
            yield PairedRow(center, metric, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, *size, str(undefined))


def _c(event: np.ndarray, time: np.ndarray, both: Sequence[Scores], counts: np.ndarray) -> Measured:
    risks = np.stack([_finite(scores.log_risk) for scores in both])
    own = np.array([survival.concordance_index(event, time, risk) for risk in risks])
    return own, np.asarray(survival.harrell_resampled(event, time, risks, counts))


def _auc(event: np.ndarray, time: np.ndarray, both: Sequence[Scores], counts: np.ndarray, horizon: float) -> Measured:
    """Cases died by the horizon, controls were alive after it; the weighted share of pairs in the right order."""
    own = np.array([survival.auc_binary(event, time, _finite(scores.log_risk), horizon).auc for scores in both])
    case, control = event & (time <= horizon), time > horizon
    cases, controls = counts[:, case].astype(float), counts[:, control].astype(float)
    pairs = cases.sum(axis=1) * controls.sum(axis=1)
    drawn = []
    for scores in both:
        above = scores.log_risk[case][:, None] - scores.log_risk[control][None, :]
        right = (above > 0) + 0.5 * (above == 0)
        drawn.append(np.where(pairs > 0, ((cases @ right) * controls).sum(axis=1) / np.maximum(pairs, 1.0), np.nan))
    return own, np.array(drawn)


def _brier(event: np.ndarray, time: np.ndarray, both: Sequence[Scores], counts: np.ndarray, horizon: float, k: int) -> Measured:
    parts = np.stack([brier_parts(event, time, 1.0 - _finite(scores.death[:, k]), horizon) for scores in both])
    return parts.mean(axis=1), parts @ counts.T / counts.sum(axis=1)


def _calibration(event: np.ndarray, time: np.ndarray, both: Sequence[Scores], counts: np.ndarray, horizon: float, k: int) -> Measured:
    if time.max() < horizon:
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {time.max():g})")
    weights = np.vstack([np.ones((1, event.size)), counts])
    observed = 1.0 - resampled_survival(event, time, horizon, weights)
    if not observed[0] > 0:
        raise Undefined(f"nobody died by day {horizon:g}")
    expected = np.stack([weights @ _finite(scores.death[:, k]) for scores in both]) / weights.sum(axis=1)
    with np.errstate(divide="ignore"):
        distance = np.abs(np.log(observed / expected))
    distance[~np.isfinite(distance)] = np.nan  # a resample without a death has none
    return distance[:, 0], distance[:, 1:]


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise Undefined("one of the two models gives none")
    return values
