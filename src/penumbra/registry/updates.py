"""What a version changes for the patients of single centers, to whom its probabilities were fitted; everybody else's are the model's.

They are a settings document of the bundle, so that a version with other updates has another digest, and one without any has the one it always had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

DOCUMENT = "updates"  # its name among the settings
CENTER = "center"  # the column of a served version that has some, with the center of each patient


@dataclass(frozen=True)
class Update:
    """What is done to the log_risk of a center's patients before it meets the baseline hazard; ranks stay, since the slope is positive.

    Parameters
    ----------
    step
        That a closed test chose: "intercept" or "slope".
    intercept, slope
        Survival is that of the log_risk intercept + slope x log_risk.
    patients, deaths
        Of the center, that it was fitted on.
    """

    step: str
    intercept: float
    slope: float
    patients: int
    deaths: int

    def apply(self, log_risk: ArrayLike) -> np.ndarray:
        """The log_risk, of the same shape, that has the updated survival."""
        return np.asarray(self.intercept + self.slope * np.asarray(log_risk, dtype=float))


def updates_of(settings: Mapping[str, Any]) -> dict[str, Update]:
    """Center -> its update, of a bundle's settings; {} where there is none."""
    return {center: Update(**facts) for center, facts in settings.get(DOCUMENT, {}).items()}


def lines_of(updates: Mapping[str, Update], centers: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope, each (n,), behind the probabilities of patients of some centers, (n,): 0 and 1 where there is no update."""
    each = [updates.get(str(center)) for center in np.asarray(centers).tolist()]
    return np.array([0.0 if one is None else one.intercept for one in each]), np.array([1.0 if one is None else one.slope for one in each])


def answered(updates: Mapping[str, Update], log_risk: np.ndarray, centers: ArrayLike) -> np.ndarray:
    """The log_risk, (n,), behind the probabilities of patients of some centers, (n,)."""
    risk, names = np.array(log_risk, dtype=float), np.asarray(centers)
    for center, update in updates.items():
        here = names == center
        risk[here] = update.apply(risk[here])
    return risk
