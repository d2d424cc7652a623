"""How much better the served model ranks the patients of external centers than a control: pairs of one center, as the gate counts them."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from penumbra import survival
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import EXTERNAL, NO_RISK, ModelRisk
from penumbra.evaluate.settings import Evaluating
from penumbra.survival import Undefined
from penumbra.survival.outcome import Outcomes


def within_rows(
    models: Mapping[str, ModelRisk],
    outcomes: Outcomes,
    training: np.ndarray,
    numbers: Evaluating,
    *,
    served: str,
    controls: Mapping[str, str],
) -> Iterator[MetricRow]:
    """C of `served` minus a control's over all external centers, delta_c_<short name>_within, with its percentile interval at `confidence`.

    The arguments are those of `evaluate`. A C over pairs of two centers would reward a model that only tells the centers apart; patients are resampled
    within each center. Where it is undefined the value is NaN, with the reason.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 16 (paired bootstrap).
    """
    outside = ~training
    others = {short: name for short, name in controls.items() if name in models and name != served}
    if served not in models or not others or not outside.any():
        return
    risks = np.stack([models[name].log_risk[outside] for name in (served, *others.values())]).astype(float)
    finite = np.isfinite(risks).all(axis=1)
    here = np.where(np.isfinite(risks), risks, 0.0)
    patients = outcomes.rows(outside)
    drawn_by = {"resamples": numbers.bootstraps, "seed": numbers.seed}
    pairs = survival.together(survival.pairs_within(patients.event, patients.time, patients.centers, here, **drawn_by).values())
    tail, sizes = 0.5 * (1.0 - numbers.confidence), patients.size
    for which, short in enumerate(others, 1):
        metric = f"delta_c_{short}_within"
        try:
            if not (finite[0] and finite[which]):
                raise Undefined(NO_RISK)
            difference = pairs.difference(0, which)
            estimate = (difference.value, difference.limit(tail), difference.limit(1.0 - tail))
            yield MetricRow(served, EXTERNAL, "test", metric, *estimate, *sizes, "")
        except Undefined as undefined:
            yield MetricRow(served, EXTERNAL, "test", metric, math.nan, math.nan, math.nan, *sizes, str(undefined))
