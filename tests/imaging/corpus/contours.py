"""Contours: shapes, directions, crossings, planes of their own."""

from pathlib import Path

import numpy as np
from pydicom.sequence import Sequence as Items

from ..phantom import Box, Ellipsoid, Patient, Shape, Torus, contour
from .case import BALL, Both, drawn, refused, right, write


@refused("gtv_not_empty")
def no_contour_sequence(patient: Patient, folder: Path) -> None:
    """The GTV has a name and no ContourSequence."""
    structures = patient.structures()
    del drawn(structures, patient).ContourSequence
    write(patient, folder, structures)


@refused("gtv_not_empty")
def empty_contour_sequence(patient: Patient, folder: Path) -> None:
    """The GTV has an empty ContourSequence."""
    structures = patient.structures()
    drawn(structures, patient).ContourSequence = Items([])
    write(patient, folder, structures)


@refused("gtv_not_empty")
def points_alone(patient: Patient, folder: Path) -> None:
    """The GTV is one POINT."""
    structures = patient.structures()
    drawn(structures, patient).ContourSequence = Items([contour(patient.points(np.array([BALL.center])), "POINT")])
    write(patient, folder, structures)


@right("enclose nothing")
def points_and_lines_beside(patient: Patient, folder: Path) -> None:
    """A POINT, an OPEN_PLANAR line and a contour of two points in addition to the closed ones."""
    structures = patient.structures()
    line = patient.points(np.array([[1.0, 2, 30], [50, 2, 30], [50, 50, 30]]))
    extra = [contour(line[:1], "POINT"), contour(line, "OPEN_PLANAR"), contour(line[:2])]
    drawn(structures, patient).ContourSequence.extend(extra)
    write(patient, folder, structures)


@refused("contour_data")
def coordinates_missing(patient: Patient, folder: Path) -> None:
    """A contour whose numbers are not a multiple of three."""
    structures = patient.structures()
    item = drawn(structures, patient).ContourSequence[2]
    item.ContourData = list(item.ContourData)[:-1]
    write(patient, folder, structures)


@refused("contours_parallel")
def sagittal_contours(patient: Patient, folder: Path) -> None:
    """Contours drawn across the slices."""
    structures = patient.structures()
    for item in drawn(structures, patient).ContourSequence:
        item.ContourData = list(np.reshape(item.ContourData, (-1, 3))[:, ::-1].ravel().round(3).astype(str))
    write(patient, folder, structures)


@refused("contours_on_image")
def contours_beyond_the_slices(patient: Patient, folder: Path) -> None:
    """All contours lie above the last slice."""
    patient.rois = {"GTV": Ellipsoid((30.0, 30.0, 130.0), (10.0, 10.0, 10.0))}
    patient.contour_heights = list(range(120, 142, 3))
    patient.write(folder)


@refused("gtv_not_empty")
def contours_beside_the_image(patient: Patient, folder: Path) -> None:
    """Contours on the slices, but outside the field of view."""
    patient.rois = {"GTV": Ellipsoid((230.0, 30.0, 30.0), (10.0, 10.0, 10.0))}
    patient.write(folder)


@right(overlap=0.94)
def donut(patient: Patient, folder: Path) -> Shape:
    """An outer and an inner contour on every slice."""
    torus = Torus((31.0, 33.0, 34.5), 17.0, 9.0)
    patient.rois = {"GTV-1": torus}
    patient.write(folder)
    return torus


@right(overlap=0.94)
def donut_by_keyhole(patient: Patient, folder: Path) -> Shape:
    """One contour that runs around, through a channel of no width, and back along the hole."""
    torus = Torus((31.0, 33.0, 34.5), 17.0, 9.0)
    patient.rois = {"GTV-1": torus}
    structures = patient.structures()
    items = []
    for height in patient.heights or []:
        rings = torus.section(height)
        if rings:
            outer, inner = rings
            closed = np.concatenate([outer, outer[:1], inner[-1:], inner, outer[:1]])
            items.append(contour(patient.points(np.column_stack([closed, np.full(len(closed), height)]))))
    drawn(structures, patient).ContourSequence = Items(items)
    write(patient, folder, structures)
    return torus


@right(overlap=0.94)
def islands(patient: Patient, folder: Path) -> Shape:
    """Two closed contours on the same slices."""
    both = Both(BALL, Ellipsoid((10.0, 12.0, 36.0), (7.0, 7.0, 9.0)))
    patient.rois = {"GTV-1": both}  # type: ignore[dict-item]
    patient.write(folder)
    return both  # type: ignore[return-value]


@right()
def other_winding(patient: Patient, folder: Path) -> None:
    """Every second contour runs the other way round."""
    structures = patient.structures()
    for item in list(drawn(structures, patient).ContourSequence)[::2]:
        item.ContourData = list(np.reshape(item.ContourData, (-1, 3))[::-1].ravel().round(5).astype(str))
    write(patient, folder, structures)


@right()
def closed_by_hand(patient: Patient, folder: Path) -> None:
    """The first point is repeated as the last."""
    structures = patient.structures()
    for item in drawn(structures, patient).ContourSequence:
        item.ContourData = [*item.ContourData, *item.ContourData[:3]]
    write(patient, folder, structures)


@right("taken once")
def contours_sent_twice(patient: Patient, folder: Path) -> None:
    """Every contour is there twice; even-odd would leave nothing."""
    structures = patient.structures()
    sequence = drawn(structures, patient).ContourSequence
    sequence.extend(list(sequence))
    write(patient, folder, structures)


@right()
def contours_a_little_off(patient: Patient, folder: Path) -> None:
    """Contours a tenth of a millimeter off their slices."""
    patient.contour_heights = [height + 0.1 for height in patient.heights or []]
    patient.write(folder)


@right("between slices")
def contours_between_slices(patient: Patient, folder: Path) -> None:
    """Contours halfway between slices."""
    patient.contour_heights = [height + 1.5 for height in patient.heights or []][:-1]
    patient.write(folder)


@right("every 2. slice")
def contours_on_every_second_slice(patient: Patient, folder: Path) -> Shape:
    """The physician drew on every second slice."""
    ball = Ellipsoid((31.3, 33.6, 34.7), (17.0, 17.0, 24.0))
    patient.rois = {"GTV-1": ball}
    patient.contour_heights = list(patient.heights or [])[::2]
    patient.write(folder)
    return ball


@right()
def no_reference_to_slices(patient: Patient, folder: Path) -> None:
    """Contours name no slices; their position says where they are."""
    structures = patient.structures()
    for item in structures.ROIContourSequence:
        for part in item.ContourSequence:
            part.pop("ContourImageSequence", None)
    write(patient, folder, structures)


@right("beyond the scan", overlap=0.0)
def some_contours_beyond_the_slices(patient: Patient, folder: Path) -> None:
    """The scan ends in the middle of the tumor."""
    write(patient, folder, slices=patient.slices()[:12])


@right()
def a_box_at_the_edge(patient: Patient, folder: Path) -> Shape:
    """The tumor reaches the edge of the field of view."""
    box = Box((55.0, 30.0, 34.5), (30.0, 20.0, 18.0))
    patient.rois = {"GTV-1": box}
    patient.write(folder)
    return Box((51.75, 30.0, 34.5), (23.5, 20.0, 18.0))  # the last column ends at 63.5 mm
