"""How far the predictions for a person move when the same recipe is fitted on resamples of the same patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penumbra.base.documents import Document

if TYPE_CHECKING:
    import numpy as np

DIGITS = 4  # that are kept of a probability


@dataclass(frozen=True)
class Instability(Document):
    """Predictions of the training patients over refits of the served model on resamples of them; each tuple has one entry per patient.

    Parameters
    ----------
    day
        By which death is predicted.
    refits
        How many retained a feature.
    original
        Probability of death by the served model.
    lower, upper
        Limits of the probabilities under the refits.
    mape
        Mean absolute difference between the probability of a refit and the original one.
    cii
        Share of the refits that put the patient into the other risk group.

    References
    ----------
    Riley and Collins 2023, Biometrical Journal 65:2200302.
    """

    day: float
    refits: int
    original: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    mape: tuple[float, ...]
    cii: tuple[float, ...]

    @classmethod
    def of(
        cls, day: float, original: np.ndarray, high: np.ndarray, refitted: np.ndarray, refitted_high: np.ndarray, *, confidence: float
    ) -> Instability | None:
        """Summarize refits; None where there are none.

        Parameters
        ----------
        original, high : shape (n,)
            Probability of death by the served model, and whether the patient is of high risk.
        refitted, refitted_high : shape (b, n)
            The same under each refit.
        confidence
            Share of the refits between the limits.
        """
        import numpy as np  # who reads the document needs none

        if not len(refitted):
            return None
        tail = 0.5 * (1.0 - confidence)
        lower, upper = np.quantile(refitted, (tail, 1.0 - tail), axis=0)
        values = (original, lower, upper, np.abs(refitted - original).mean(axis=0), (refitted_high != high).mean(axis=0))
        return cls(float(day), len(refitted), *(tuple(np.round(value, DIGITS).tolist()) for value in values))

    @property
    def worst(self) -> float:
        """Mean absolute difference of the patient whose prediction moves most."""
        return max(self.mape)

    def summary(self) -> dict[str, float]:
        """Name of a metric, without its time -> its value: means over patients, and the worst."""
        return {"mape": sum(self.mape) / len(self.mape), "mape_worst": self.worst, "cii": sum(self.cii) / len(self.cii)}
