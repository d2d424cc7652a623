"""What the report shows of images and of the network: a slice with its outlines, training curves, and where the network looks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SlicePicture:
    """One axial slice of a patient.

    Parameters
    ----------
    patient
        Key, never a name.
    hu : shape (y, x)
        CT numbers in HU.
    gtv : shape (y, x)
        Bool.
    rings
        "ring_3mm" -> (y, x) bool, the GTV excluded.
    spacing_mm : shape (y, x)
    page
        Link to the page of the patient's explanation, relative to the report; "" where there is none.
    """

    patient: str
    center: str
    hu: np.ndarray
    gtv: np.ndarray
    rings: Mapping[str, np.ndarray]
    spacing_mm: tuple[float, float]
    log_risk: float
    risk_group: str
    page: str = ""


@dataclass(frozen=True)
class LearningCurve:
    """How one network was trained; tuples with one entry an epoch. `best_epoch`, the first is 1, is the one that was kept."""

    best_epoch: int
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    train_c: tuple[float, ...]
    validation_c: tuple[float, ...]


@dataclass(frozen=True)
class RiskMap:
    """One axial slice of a patient and what of it moves the network's answer.

    Parameters
    ----------
    hu : shape (y, x)
        CT numbers in HU.
    gtv : shape (y, x)
        Bool.
    effect : shape (y, x)
        Change of the network's log_risk by what is seen there; NaN outside the box that the network is given.
    """

    patient: str
    center: str
    hu: np.ndarray
    gtv: np.ndarray
    effect: np.ndarray
    spacing_mm: tuple[float, float]

    @property
    def largest(self) -> float:
        """The largest effect on the slice, whatever its sign; 0 where the slice has no box."""
        return float(np.max(np.abs(np.nan_to_num(self.effect)), initial=0.0))
