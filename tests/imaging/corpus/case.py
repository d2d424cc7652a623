"""Difficult and malformed folders: what is done to a sound patient, and what must come of it.

A case is a function that writes a folder. Its one-line docstring says what the folder is like. `right(...)` cases must come back with the shape
and the HU of the phantom, `refused(...)` cases with that rule and no other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ..phantom import Ellipsoid, Patient, Shape, save

BALL = Ellipsoid((31.3, 33.6, 34.7), (13.0, 13.0, 13.0))


OTHER = Ellipsoid((14.0, 15.0, 30.0), (8.0, 8.0, 8.0))


@dataclass(frozen=True)
class Case:
    """One folder. `shape` is what the mask must be, in the frame of `patient`; `rule` the refusal instead; `note` a word that `notes` must hold."""

    make: Callable[[Patient, Path], Shape | None]
    patient: Callable[[], Patient]
    rule: str | None
    note: str | None
    several: str
    overlap: float

    @property
    def name(self) -> str:
        return self.make.__name__


CASES: list[Case] = []


def sound() -> Patient:
    return Patient((24, 58, 64), (3.0, 1.2, 1.0), rois={"Lung_L": OTHER, "GTV-1": BALL, "Heart": OTHER})


def right(
    note: str | None = None, *, patient: Callable[[], Patient] = sound, several: str = "first", overlap: float = 0.96
) -> Callable[[Callable[[Patient, Path], Shape | None]], Callable[[Patient, Path], Shape | None]]:
    def add(make: Callable[[Patient, Path], Shape | None]) -> Callable[[Patient, Path], Shape | None]:
        CASES.append(Case(make, patient, None, note, several, overlap))
        return make

    return add


def refused(rule: str, *, patient: Callable[[], Patient] = sound) -> Callable[[Callable[[Patient, Path], None]], Callable[[Patient, Path], None]]:
    def add(make: Callable[[Patient, Path], None]) -> Callable[[Patient, Path], None]:
        CASES.append(Case(make, patient, rule, None, "first", 0.0))
        return make

    return add


def write(patient: Patient, folder: Path, structures: Dataset | None = None, slices: list[Dataset] | None = None) -> None:
    for index, item in enumerate(patient.slices() if slices is None else slices):
        save(item, folder / f"{(index * 7) % 1009:04d}.dcm")
    save(patient.structures() if structures is None else structures, folder / "structures.dcm")


def drawn(structures: Dataset, patient: Patient, name: str = "GTV-1") -> Dataset:
    number = patient.first_number + list(patient.rois).index(name)
    found: Dataset = next(item for item in structures.ROIContourSequence if item.ReferencedROINumber == number)
    return found


@dataclass(frozen=True)
class Both:
    """Two shapes as one."""

    first: Shape
    second: Shape

    @property
    def center(self) -> tuple[float, float, float]:
        return self.first.center

    @property
    def volume(self) -> float:
        return self.first.volume + self.second.volume

    def section(self, z: float) -> list[np.ndarray]:
        return self.first.section(z) + self.second.section(z)

    def inside(self, xyz: np.ndarray) -> np.ndarray:
        return self.first.inside(xyz) | self.second.inside(xyz)
