"""What of a fitted model is registered: nothing that is one training patient's. A fit has the day of every death; a version has a grid of months.

The baseline hazard keeps its values at the end of each month of 365.25 / 12 days and on the declared horizons, with a straight line in between, so that the
probabilities at the horizons are those of the fit. The follow-up ends with the last of these days. Risks of the training patients become quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.model import SurvivalModel

LEVELS = tuple(level / 100 for level in range(5, 100, 5))  # of the quantiles: neither the lowest risk nor the highest, which are one patient's each
DIGITS = 3  # of a quantile, which may be one patient's risk


def released(model: SurvivalModel, horizons_days: Sequence[float], log_risk: ArrayLike = ()) -> SurvivalModel:
    """Return a model without what is one patient's: exact days of death and follow-up.

    Parameters
    ----------
    model
        As fitted; one without a feature stays as it is.
    horizons_days : days
        Where survival stays as it is.
    log_risk : any shape
        Of the training patients, cross-fitted, on the scale of the model's own; nan where there is none.

    Returns
    -------
    SurvivalModel
        With the same log_risk, groups and, at the horizons, survival.
    """
    if not model.retained:
        return model
    baseline = model.baseline.on_grid(horizons_days)
    risks = np.asarray(log_risk, dtype=float)
    risks = risks[np.isfinite(risks)]
    return replace(
        model,
        baseline_times=tuple(baseline.times.tolist()),
        baseline_hazard=tuple(baseline.cumulative_hazard.tolist()),
        linear_baseline=True,
        risk_quantiles=tuple(np.round(np.quantile(risks, LEVELS), DIGITS).tolist()) if risks.size else (),
        training=replace(model.training, followed=baseline.followed),
        members=tuple(replace(member, model=released(member.model, horizons_days)) for member in model.members),
    )


def percentile(model: SurvivalModel, log_risk: float) -> tuple[float, float] | None:
    """Return between which percentiles of the training patients a risk lies, such as (60, 65); (0, 5) below and (95, 100) above all; None: not recorded."""
    if not model.risk_quantiles:
        return None
    place = int(np.searchsorted(model.risk_quantiles, log_risk, side="right"))
    edges = (0.0, *(100 * level for level in LEVELS), 100.0)
    return round(edges[place], 6), round(edges[place + 1], 6)
