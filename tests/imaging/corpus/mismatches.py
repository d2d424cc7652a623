"""Contours and slices that do not go together."""

from pathlib import Path

import numpy as np

from ..phantom import Ellipsoid, Patient, Shape, contour
from .case import BALL, Both, drawn, refused, right, write


@right("between slices")
def contours_of_a_thicker_reconstruction(patient: Patient, folder: Path) -> Shape:
    """Contours every 4 mm on slices 3 mm apart."""
    ball = Ellipsoid((31.3, 33.6, 34.7), (17.0, 17.0, 20.0))
    patient.rois = {"GTV-1": ball}
    patient.contour_heights = [0.6 + 4.0 * k for k in range(17)]
    patient.write(folder)
    return ball


@right("were joined")
def one_scan_in_two_series(patient: Patient, folder: Path) -> None:
    """The upper half arrived as a series of its own; the contours name slices of both."""
    slices = patient.slices()
    for item in slices[12:]:
        item.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.77"
    write(patient, folder, slices=slices)


@refused("one_series")
def two_series_with_a_hole_between(patient: Patient, folder: Path) -> None:
    """Two series, both named, that do not continue each other: six slices between them are missing."""
    slices = patient.slices()
    for item in slices[15:]:
        item.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.77"
    write(patient, folder, slices=[*slices[:9], *slices[15:]])


LOW_BALL = Ellipsoid((31.3, 33.6, 30.7), (13.0, 13.0, 13.0))


@right("true positions", patient=lambda: Patient(heights=[*np.arange(0, 56, 1.5), *range(60, 90, 7)], rois={"GTV-1": LOW_BALL}))
def thin_slices_in_the_lung_and_thick_ones_elsewhere(patient: Patient, folder: Path) -> Shape:
    """Slices of 1.5 mm around the tumor and 7 mm far above it."""
    patient.write(folder)
    return LOW_BALL


@refused("slice_gaps", patient=lambda: Patient(heights=[*np.arange(0, 36, 1.5), *range(42, 90, 7)], rois={"GTV-1": BALL}))
def thick_slices_in_the_tumor(patient: Patient, folder: Path) -> None:
    """The slices become thick within the tumor."""
    patient.write(folder)


@right()
def contours_that_cross(patient: Patient, folder: Path) -> Shape:
    """Two contours on every plane that overlap: one drawing in two strokes."""
    both = Both(Ellipsoid((27.0, 33.6, 34.7), (11.0, 11.0, 13.0)), Ellipsoid((36.0, 33.6, 34.7), (11.0, 11.0, 13.0)))
    patient.rois = {"GTV-1": both}  # type: ignore[dict-item]
    patient.write(folder)
    return both  # type: ignore[return-value]


@right("taken once")
def contours_sent_twice_with_other_points(patient: Patient, folder: Path) -> None:
    """Every contour once more, rounded and with every third point."""
    structures = patient.structures()
    sequence = drawn(structures, patient).ContourSequence
    for item in list(sequence):
        sequence.append(contour(np.reshape(np.array(item.ContourData, dtype=float), (-1, 3))[::3].round(1)))
    write(patient, folder, structures)
