"""What a validation can tell before it is made: the widths of its intervals, from how many patients there are, how many died, and how their risks spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.concordance import concordance_index
from penumbra.survival.outcome import Floats, Undefined, checked_risk

DRAWS, SEED = 200, 1
BISECTIONS = 80


@dataclass(frozen=True)
class Precision:
    """Expected half-widths of intervals.

    Parameters
    ----------
    concordance
        Of Harrell's C.
    slope
        Of the calibration slope.
    ratio
        Of deaths observed over expected, as a factor: from 1 / ratio to ratio, where the model is right.
    expected_concordance
        The C itself, were the model right.
    """

    concordance: float
    slope: float
    ratio: float
    expected_concordance: float


def expected_precision(log_risk: ArrayLike, events: float, *, level: float = 0.95, draws: int = DRAWS, seed: int = SEED) -> Precision:
    """Return how precisely a model can be validated on some patients, if it is right there; no outcome but the number of deaths is looked at.

    Parameters
    ----------
    log_risk : shape (n,)
        Of the patients, higher = earlier death.
    events
        How many of them died.
    level
        Of the intervals.
    draws, seed
        Of the cohorts that C is simulated in.

    Returns
    -------
    Precision
        C by simulation: hazards exp(log_risk), censoring at one rate that leaves so many deaths; half-width from the standard deviation of C. Slope and ratio
        from the Fisher information of the expected deaths.

    Raises
    ------
    Undefined
        "no deaths among n patients ..." / "the log risk has no spread ...".

    References
    ----------
    Riley et al. 2021, Stat Med 40:4230; for time to event 2022, Stat Med 41:1280 (the widths by simulation from the distribution of the risks).

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.survival import expected_precision
    >>> of = expected_precision(0.45 * np.random.default_rng(1).normal(size=79), 27)
    >>> round(of.concordance, 2), round(of.slope, 2), round(of.ratio, 2)
    (0.12, 1.03, 1.46)
    """
    from scipy.special import ndtri

    risk = checked_risk(log_risk, np.size(log_risk))
    if not 0 < events <= risk.size:
        raise Undefined(f"{events:g} deaths among {risk.size} patients tell nothing: there is no width to expect")
    if not risk.std() > 1e-9:
        raise Undefined("the log risk has no spread among these patients")
    hazard = np.exp(risk - risk.mean())
    censoring = _rate(hazard, min(float(events), risk.size - 0.5))
    share = hazard / (hazard + censoring)
    reach = float(ndtri(0.5 + 0.5 * level))
    center = (share * risk).sum() / share.sum()
    information = float((share * (risk - center) ** 2).sum())
    drawn = _concordances(risk, hazard, censoring, draws, np.random.default_rng(seed))
    return Precision(
        concordance=reach * float(drawn.std(ddof=1)),
        slope=reach / math.sqrt(information),
        ratio=math.exp(reach / math.sqrt(float(events))),
        expected_concordance=float(drawn.mean()),
    )


def _rate(hazard: Floats, events: float) -> float:
    """The rate of censoring with which so many deaths are expected to be seen."""
    low, high = 1e-12, 1e12
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if (hazard / (hazard + middle)).sum() > events else (low, middle)
    return math.sqrt(low * high)


def _concordances(risk: Floats, hazard: Floats, censoring: float, draws: int, random: np.random.Generator) -> Floats:
    values = []
    for _ in range(draws):
        death, end = random.exponential(size=risk.size) / hazard, random.exponential(size=risk.size) / censoring
        try:
            values.append(concordance_index(death <= end, np.minimum(death, end), risk))
        except Undefined:
            continue
    if len(values) < 2:
        raise Undefined(f"C is not defined in {draws - len(values)} of {draws} cohorts of {risk.size} patients with so few deaths")
    return np.array(values)
