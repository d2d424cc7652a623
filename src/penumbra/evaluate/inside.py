"""C inside the training centers, from cross-fitted risks: pairs of one center, the mean over the draws of the folds, with its standard error over patients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from penumbra import survival
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import CROSS_FITTED, NO_RISK, TRAINING
from penumbra.evaluate.settings import Evaluating
from penumbra.survival import Undefined
from penumbra.survival.calibrating import slope_within
from penumbra.survival.outcome import Outcomes
from penumbra.survival.within_centers import Drawn, Pairs


@dataclass(frozen=True)
class Inside:
    """Pairs of several models on the training patients and on resamples of them.

    Parameters
    ----------
    names
        Of the models that give a risk, in the order of `by_center`.
    by_center
        Center -> pairs of every model.
    """

    names: tuple[str, ...]
    by_center: Mapping[str, Pairs]
    outcomes: Outcomes

    @classmethod
    def of(cls, ranks: Mapping[str, np.ndarray], outcomes: Outcomes, *, resamples: int, seed: int) -> Inside:
        """Count the pairs of each model's cross-fitted risks, (draws, n)."""
        pairs = survival.pairs_within(outcomes.event, outcomes.time, outcomes.centers, list(ranks.values()), resamples=resamples, seed=seed) if ranks else {}
        return cls(tuple(ranks), pairs, outcomes)

    @property
    def pool(self) -> Pairs:
        """Over all training centers; pairs between centers are not among them."""
        return survival.together(self.by_center.values())

    def c(self, name: str, of: Pairs | None = None) -> Drawn:
        """C of a model, on the patients and on their resamples.

        Raises
        ------
        Undefined
            NO_RISK, "no comparable pair".
        """
        return self.difference(name, None, of)

    def difference(self, name: str, other: str | None, of: Pairs | None = None) -> Drawn:
        """C of one model minus C of another on the same resamples; None: C itself.

        Raises
        ------
        Undefined
            NO_RISK, "no comparable pair".
        """
        if name not in self.names or (other is not None and other not in self.names):
            raise Undefined(NO_RISK)
        pairs = self.pool if of is None else of
        if not pairs.comparable[0] > 0:
            raise Undefined("no comparable pair")
        right = pairs.right[self.names.index(name)]
        against = 0.0 if other is None else pairs.right[self.names.index(other)]
        gained = (right - against) / np.maximum(pairs.comparable, 1.0)
        return Drawn(float(gained[0]), gained[1:][pairs.comparable[1:] > 0] if other is None else gained[1:])


def inside_rows(inside: Inside, log_risks: Mapping[str, np.ndarray], numbers: Evaluating, controls: Mapping[str, str]) -> Iterator[MetricRow]:
    """Rows of split "cross_fitted" of every model, for each training center and for all of them (TRAINING).

    harrell_c and its standard error harrell_c_se; delta_c_<short name> against each control, with delta_c_<short name>_se; calibration_slope of the
    risks as they were fitted: below 1 they are too far apart. Limits are percentiles of resampled patients.

    Parameters
    ----------
    log_risks : each (draws, n)
        Model -> its cross-fitted risks, for the slope.
    numbers
        Of which `confidence` is used.
    controls
        Short name -> model.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 6 (standard errors) and 16 (paired).
    """
    outcomes = inside.outcomes
    places = [
        *((name, pairs, outcomes.centers == name) for name, pairs in inside.by_center.items()),
        (TRAINING, inside.pool, np.ones(outcomes.event.size, bool)),
    ]
    tail = 0.5 * (1.0 - numbers.confidence)
    for model, log_risk in log_risks.items():
        for center, pairs, rows in places:
            here = outcomes.rows(rows)
            common = (model, center, CROSS_FITTED)
            for metric, other in (("harrell_c", None), *((f"delta_c_{short}", name) for short, name in controls.items() if name != model)):
                try:
                    drawn = inside.difference(model, other, pairs)
                    se = float(drawn.resampled.std(ddof=1)) if drawn.resampled.size > 1 else math.nan
                    limits = (drawn.limit(tail), drawn.limit(1.0 - tail)) if drawn.resampled.size else (math.nan, math.nan)
                    yield MetricRow(*common, metric, drawn.value, *limits, *here.size)
                    yield MetricRow(*common, f"{metric}_se", se, math.nan, math.nan, *here.size)
                except Undefined as undefined:
                    yield MetricRow(*common, metric, math.nan, math.nan, math.nan, *here.size, str(undefined))
            try:
                if model not in inside.names:
                    raise Undefined(NO_RISK)
                slope = slope_within(here.event, here.time, here.centers, log_risk[:, rows], level=numbers.confidence)
                yield MetricRow(*common, "calibration_slope", slope.value, slope.lower, slope.upper, *here.size)
            except Undefined as undefined:
                yield MetricRow(*common, "calibration_slope", math.nan, math.nan, math.nan, *here.size, str(undefined))
