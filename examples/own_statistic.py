"""A statistic of one's own on the cross-fitted risks of a registered version. `python examples/own_statistic.py [VERSION]`.

Each training patient's risk comes from fits that never saw the patient. The statistic: the Brier score two years after the start, censoring weighted by
Kaplan-Meier (Graf 1999), and how much better that is than giving everybody the same probability.
"""

import sys

import numpy as np

import penumbra
from penumbra.survival import kaplan_meier

DAYS, RESAMPLES = 730.0, 500

version = penumbra.load(sys.argv[1] if len(sys.argv) > 1 else "champion")
people = version.cross_fitted
event, time = people["event"].to_numpy(dtype=bool), people["time"].to_numpy(dtype=float)
alive = version.loaded.model.survival(people["log_risk"], [DAYS])[:, 0]


def brier(probability: np.ndarray, event: np.ndarray, time: np.ndarray) -> float:
    """The weighted mean of (alive after two years - probability)^2."""
    followed = kaplan_meier(~event, time)  # how likely it is to be followed at least so long
    before = np.concatenate([[1.0], followed.survival])[np.searchsorted(followed.times, np.minimum(time, DAYS), side="left")]
    weight = np.where(event | (time > DAYS), 1 / before, 0.0)
    return float(np.mean(weight * ((time > DAYS) - probability) ** 2))


def skill(rows: np.ndarray) -> float:
    """One minus the score over that of the same probability for everybody."""
    common = kaplan_meier(event[rows], time[rows]).at([DAYS])[0]
    return 1 - brier(alive[rows], event[rows], time[rows]) / brier(np.full(rows.size, common[0]), event[rows], time[rows])


everyone, random = np.arange(event.size), np.random.default_rng(0)
lower, upper = np.quantile([skill(random.choice(everyone, everyone.size)) for _ in range(RESAMPLES)], [0.025, 0.975])
print(f"{version.name}/{version.version}, {event.size} training patients, cross-fitted")
print(f"Brier score at 2 years: {brier(alive, event, time):.3f}")
print(f"better than one probability for all by {skill(everyone):.1%} (95 % {lower:.1%} to {upper:.1%})")
