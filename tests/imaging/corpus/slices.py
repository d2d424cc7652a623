"""Slices: orientation, gaps, doubles, what belongs to another stack."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from ..phantom import Ellipsoid, Patient, Shape, save, turned
from .case import BALL, refused, right, write


@right(patient=lambda: Patient((24, 60, 50), (3.0, 1.2, 0.8), rois={"GTV": Ellipsoid((18.0, 40.0, 34.7), (11.0, 16.0, 13.0))}))
def unequal_pixels(patient: Patient, folder: Path) -> Shape:
    """Rows 1.2 mm and columns 0.8 mm apart, matrix not square."""
    patient.write(folder)
    return patient.rois["GTV"]


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=turned(20, -15, 30), rois={"GTV-1": BALL}))
def oblique(patient: Patient, folder: Path) -> None:
    """Slices turned about all three axes."""
    patient.write(folder)


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]]), rois={"GTV-1": BALL}))
def coronal(patient: Patient, folder: Path) -> None:
    """Coronal slices."""
    patient.write(folder)


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=np.diag([-1.0, -1.0, 1.0]), rois={"GTV-1": BALL}))
def prone(patient: Patient, folder: Path) -> None:
    """Rows run to the right, columns to the front."""
    patient.write(folder)


@right("tilt", patient=lambda: Patient((24, 70, 64), (3.0, 1.2, 1.0), tilt=-0.2, rois={"GTV-1": BALL}))
def tilted_gantry(patient: Patient, folder: Path) -> None:
    """Every slice shifted along its columns."""
    patient.write(folder)


@right("true positions", patient=lambda: Patient(heights=[*range(0, 30, 3), *range(30, 48, 6), *range(48, 80, 3)], rois={"GTV-1": BALL}), overlap=0.94)
def gaps_of_3_and_6_mm(patient: Patient, folder: Path) -> None:
    """Gaps of 6 mm in the middle of the tumor, as six patients of NSCLC-Radiomics have them."""
    patient.write(folder)


@right(
    "true positions",
    patient=lambda: Patient(heights=[0, 2.5, 5, 8, 10.5, 14, 17, 19.5, 22, 25, 28, 30.5, 33, 36, 38.5, 41, 44, 47, 49.5, 52, 55, 58, 61], rois={"GTV-1": BALL}),
)
def uneven_gaps(patient: Patient, folder: Path) -> None:
    """Gaps between 2.5 and 3.5 mm without a common measure."""
    patient.write(folder)


@right(patient=lambda: Patient(heights=[round(k * 3 + 0.01 * (-1) ** k, 2) for k in range(24)], rois={"GTV-1": BALL}))
def rounded_positions(patient: Patient, folder: Path) -> None:
    """Positions off by a hundredth of a millimeter."""
    patient.write(folder)


@right("duplicate")
def slices_twice(patient: Patient, folder: Path) -> None:
    """The same files in two folders."""
    patient.write(folder / "one")
    for index, item in enumerate(patient.slices()):
        save(item, folder / "two" / f"{index}.dcm")


@right("share a position")
def two_phases_one_named(patient: Patient, folder: Path) -> None:
    """Two phases in one series; the structure set names the slices of one."""
    write(patient, folder)
    for index, item in enumerate(another_phase(patient)):
        save(item, folder / "phase" / f"{index}.dcm")


@refused("one_slice_per_position")
def two_phases_none_named(patient: Patient, folder: Path) -> None:
    """Two phases in one series; nothing says which one was contoured."""
    structures = patient.structures()
    del structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    for item in structures.ROIContourSequence:
        for part in item.ContourSequence:
            part.pop("ContourImageSequence", None)
    write(patient, folder, structures)
    for index, item in enumerate(another_phase(patient)):
        save(item, folder / "phase" / f"{index}.dcm")


def another_phase(patient: Patient) -> list[Dataset]:
    slices = patient.slices()
    for item in slices:
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        item.RescaleIntercept = "-1000"
    return slices


@right("true positions")
def a_slice_missing_beside_the_tumor(patient: Patient, folder: Path) -> None:
    """One slice was lost far from the contours."""
    slices = patient.slices()
    write(patient, folder, slices=[*slices[:4], *slices[5:]])


@right("true positions")
def a_slice_missing_in_the_tumor(patient: Patient, folder: Path) -> None:
    """One slice was lost whose contour is still there."""
    slices = patient.slices()
    write(patient, folder, slices=[*slices[:12], *slices[13:]])


@refused("slice_gaps")
def many_slices_missing(patient: Patient, folder: Path) -> None:
    """Six slices in a row were lost."""
    slices = patient.slices()
    write(patient, folder, slices=[*slices[:8], *slices[14:]])


@refused("slices_enough")
def one_slice(patient: Patient, folder: Path) -> None:
    """One slice is not a volume."""
    write(patient, folder, slices=patient.slices()[11:12])


@refused("one_pixel_grid")
def slices_of_two_sizes(patient: Patient, folder: Path) -> None:
    """One slice with another matrix in the same series."""
    slices = patient.slices()
    slices[3].Rows, slices[3].PixelData = 32, slices[3].PixelData[: 32 * 64 * 2]
    write(patient, folder, slices=slices)


@refused("one_orientation")
def reformats_in_the_series(patient: Patient, folder: Path) -> None:
    """One coronal slice in the same series."""
    slices = patient.slices()
    slices[3].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    write(patient, folder, slices=slices)


@refused("slice_geometry")
def no_pixel_spacing(patient: Patient, folder: Path) -> None:
    """Slices without PixelSpacing."""
    slices = patient.slices()
    for item in slices:
        del item.PixelSpacing
    write(patient, folder, slices=slices)


@refused("slice_geometry")
def skewed_orientation(patient: Patient, folder: Path) -> None:
    """Row and column direction are not perpendicular."""
    slices = patient.slices()
    for item in slices:
        item.ImageOrientationPatient = [1, 0, 0, 0.3, 0.954, 0]
    write(patient, folder, slices=slices)


@right("localizers")
def localizer_in_the_series(patient: Patient, folder: Path) -> None:
    """A scout view and a dose report among the slices."""
    slices = patient.slices()
    scout, report = patient.slices()[:2]
    scout.ImageType, scout.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [1, 0, 0, 0, 0, -1]
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    del report.ImagePositionPatient
    write(patient, folder, slices=[*slices, scout, report])


@refused("classic_ct")
def multi_frame(patient: Patient, folder: Path) -> None:
    """One enhanced CT file instead of slices."""
    item = patient.slices()[0]
    item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2.1")
    item.NumberOfFrames = 24
    write(patient, folder, slices=[item])
