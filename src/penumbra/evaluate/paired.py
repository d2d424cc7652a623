"""Two models on the same patients: every measure of both, the difference, its interval and its p, on the same resamples."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from penumbra import survival
from penumbra.evaluate.rows import PairedRow
from penumbra.evaluate.settings import Evaluating
from penumbra.survival import Undefined
from penumbra.survival.agreement import resampled_survival
from penumbra.survival.bootstrap import difference_from, resample_counts, right_and_comparable
from penumbra.survival.brier_score import brier_parts
from penumbra.survival.case_status import require_two, status
from penumbra.survival.horizons import beyond, horizon_name
from penumbra.survival.outcome import Outcomes


@dataclass(frozen=True)
class Pair:
    """Two models on the same n patients, for example two registered versions, or champion and challenger.

    Parameters
    ----------
    center
        What these patients are called: a center, or several together.
    labels
        Of the two models.
    outcomes
        Of the patients. Of patients of several centers only pairs of one center count; to count the others too, let them be of one center.
    log_risk : shape (2, n)
        Higher = earlier death.
    death : shape (2, n, k)
        Probability to have died by each day, NaN where a model gives none.
    high : shape (2, n), bool
        Whether the patient is in the model's group of high risk.
    fitted : shape (2, n), bool
        Whether the model was fitted on the patient's outcome.
    days : shape (k,)
        Those that both answer for, rising.
    """

    center: str
    labels: tuple[str, str]
    outcomes: Outcomes
    log_risk: np.ndarray
    death: np.ndarray
    high: np.ndarray
    fitted: np.ndarray
    days: tuple[float, ...]

    def of(self, center: str, chosen: np.ndarray, *, as_one: bool = False) -> "Pair":
        """Some of the patients, (n,) bool, under another name; `as_one`: as of one center, so that pairs of two centers count."""
        outcomes = self.outcomes.rows(chosen)
        each = {name: getattr(self, name)[:, chosen] for name in ("log_risk", "death", "high", "fitted")}
        return replace(self, center=center, outcomes=Outcomes.of_one_center(outcomes.event, outcomes.time) if as_one else outcomes, **each)

    @property
    def fitted_here(self) -> tuple[bool, bool]:
        """Whether the first model, and the second, was fitted on any of these patients: its value here is optimistic."""
        return bool(self.fitted[0].any()), bool(self.fitted[1].any())


Measured = tuple[np.ndarray, np.ndarray]  # values (2,) on the patients themselves, and (2, b) on the resamples


def paired_rows(pair: Pair, numbers: Evaluating) -> Iterator[PairedRow]:
    """C first, and for each day AUC, Brier score and calibration, of two models on the same patients and the same resamples.

    Of patients of several centers C and AUC count pairs of one center only, since a risk that only tells the centers apart would rank pairs of
    two, and patients are resampled within each center.
    The weights of the Brier score (inverse probability of censoring) stay those of all n patients in every resample.

    References
    ----------
    Efron and Tibshirani 1993, ch. 16 (paired bootstrap).
    """
    strata = _strata(pair)
    counts = _resampled_within(strata, numbers.bootstraps, numbers.seed)
    measures: dict[str, Callable[[], Measured]] = {"harrell_c": partial(_c, pair, strata, counts)}
    for k, day in enumerate(pair.days):
        name = horizon_name(day)
        measures |= {
            f"{metric}_{name}": partial(measure, pair, counts, k) for metric, measure in (("auc", auc), ("brier", brier), ("calibration", calibration))
        }
    size = pair.outcomes.size
    for metric, measure in measures.items():
        try:
            observed, resampled = measure()
            difference = difference_from(float(observed[1] - observed[0]), resampled[1] - resampled[0], numbers.confidence)
            yield PairedRow(
                pair.center, metric, float(observed[0]), float(observed[1]), difference.value, difference.lower, difference.upper, difference.p, *size
            )
        except Undefined as undefined:
            yield PairedRow(pair.center, metric, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, *size, str(undefined))


def _strata(pair: Pair) -> np.ndarray:
    return np.unique(pair.outcomes.centers, return_inverse=True)[1]


def _resampled_within(strata: np.ndarray, bootstraps: int, seed: int) -> np.ndarray:
    """How often each patient is drawn, shape (bootstraps, n), from the patients of the own stratum."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((bootstraps, strata.size), dtype=np.int64)
    for stratum in range(int(strata.max(initial=-1)) + 1):
        here = np.flatnonzero(strata == stratum)
        counts[:, here] = resample_counts(here.size, bootstraps, rng)
    return counts


def _c(pair: Pair, strata: np.ndarray, counts: np.ndarray) -> Measured:
    event, time, risks = pair.outcomes.event, pair.outcomes.time, _finite(pair.log_risk, "no risk")
    weights = np.vstack([np.ones((1, event.size), dtype=np.int64), counts])
    right, comparable = np.zeros((2, len(weights))), np.zeros(len(weights))
    for stratum in range(int(strata.max()) + 1):
        here = strata == stratum
        counted_pairs = right_and_comparable(event[here], time[here], risks[:, here], weights[:, here])
        right, comparable = right + counted_pairs[0], comparable + counted_pairs[1]
    if not comparable[0] > 0:
        raise Undefined(f"no comparable pair among {event.size} patients ({int(event.sum())} events)")
    values = np.where(comparable > 0, right, np.nan) / np.maximum(comparable, 1.0)
    return values[:, 0], values[:, 1:]


def auc(pair: Pair, counts: np.ndarray, k: int) -> Measured:
    """Cases died by the horizon, controls are known to be alive then; the weighted share of pairs in the right order."""
    event, time, strata, horizon = pair.outcomes.event, pair.outcomes.time, _strata(pair), pair.days[k]
    case, control = status(event, time, horizon)
    same = (strata[case][:, None] == strata[control][None, :]).astype(float)
    if strata.max() == 0:
        observed = np.array([survival.auc_binary(event, time, log_risk, horizon).auc for log_risk in _finite(pair.log_risk, "no risk")])
    elif same.any():
        require_two(case, control)
        observed = np.array([(_in_order(log_risk, case, control) * same).sum() for log_risk in _finite(pair.log_risk, "no risk")]) / same.sum()
    else:
        raise Undefined(f"no center has both a death by day {horizon:g} and a patient who is alive after it")
    cases, controls = counts[:, case].astype(float), counts[:, control].astype(float)
    pairs = ((cases @ same) * controls).sum(axis=1)
    resampled = []
    for log_risk in pair.log_risk:
        right = _in_order(log_risk, case, control) * same
        resampled.append(np.where(pairs > 0, ((cases @ right) * controls).sum(axis=1) / np.maximum(pairs, 1.0), np.nan))
    return observed, np.array(resampled)


def _in_order(log_risk: np.ndarray, case: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Whether a case has the higher risk, shape (cases, controls); a half where both have the same."""
    above = log_risk[case][:, None] - log_risk[control][None, :]
    return np.asarray((above > 0) + 0.5 * (above == 0))


def brier(pair: Pair, counts: np.ndarray, k: int) -> Measured:
    """The mean of the squared errors, each weighted by the inverse probability of censoring."""
    day = pair.days[k]
    parts = np.stack([brier_parts(pair.outcomes.event, pair.outcomes.time, 1.0 - death, day) for death in _deaths(pair, k)])
    return parts.mean(axis=1), parts @ counts.T / counts.sum(axis=1)


def calibration(pair: Pair, counts: np.ndarray, k: int) -> Measured:
    """The distance |log(deaths observed / deaths predicted)|."""
    event, time, horizon = pair.outcomes.event, pair.outcomes.time, pair.days[k]
    if beyond(horizon, time.max()):
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {time.max():g})")
    weights = np.vstack([np.ones((1, event.size)), counts])
    observed = 1.0 - resampled_survival(event, time, horizon, weights)
    if not observed[0] > 0:
        raise Undefined(f"nobody died by day {horizon:g}")
    expected = np.stack([weights @ death for death in _deaths(pair, k)]) / weights.sum(axis=1)
    if not (expected[:, 0] > 0).all():
        raise Undefined(f"one of the two models expects no death by day {horizon:g}")
    with np.errstate(divide="ignore"):
        distance = np.abs(np.log(observed / expected))
    distance[~np.isfinite(distance)] = np.nan  # a resample without a death has none
    return distance[:, 0], distance[:, 1:]


def _deaths(pair: Pair, k: int) -> np.ndarray:
    return _finite(pair.death[:, :, k], f"no survival at day {pair.days[k]:g}")


def _finite(values: np.ndarray, lacking: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise Undefined(f"one of the two models gives {lacking}")
    return values
