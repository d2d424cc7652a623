"""Names of structures: which one is the GTV."""

from pathlib import Path

from pydicom.dataset import Dataset

from ..phantom import Ellipsoid, Patient, Shape
from .case import BALL, OTHER, Both, refused, right, write


@refused("gtv_named")
def no_gtv(patient: Patient, folder: Path) -> None:
    """Organs alone."""
    patient.rois = {"Lung_L": OTHER, "Heart": OTHER, "PTV": BALL}
    patient.write(folder)


@refused("gtv_named")
def nodes_alone(patient: Patient, folder: Path) -> None:
    """Nodal volumes and derived ones are not a primary tumor."""
    patient.rois = {"GTVn": OTHER, "GTV_LN": OTHER, "GTV+5mm": BALL, "CTV": BALL}
    patient.write(folder)


@right()
def blanks_and_case(patient: Patient, folder: Path) -> None:
    """' gtv_Primary ' with blanks around."""
    patient.rois = {"External": OTHER, " gtv_Primary ": BALL}
    patient.write(folder)


@right()
def tumor_c40(patient: Patient, folder: Path) -> None:
    """Named after the phase that it was drawn on."""
    patient.rois = {"Tumor_c40": BALL}
    patient.write(folder)


@right("2 structures match")
def several_first(patient: Patient, folder: Path) -> None:
    """GTV-2 and GTV-1; the policy is first, in order of the patterns."""
    patient.rois = {"GTV-2": OTHER, "GTV-1": BALL}
    patient.write(folder)


@right("2 structures match", several="largest")
def several_largest(patient: Patient, folder: Path) -> None:
    """The larger one is named second."""
    patient.rois = {"GTV-1": OTHER, "GTV-2": BALL}
    patient.write(folder)


@right("2 structures match", several="union", overlap=0.95)
def several_union(patient: Patient, folder: Path) -> Shape:
    """Two tumors apart."""
    small = Ellipsoid((13.0, 13.0, 40.0), (7.0, 7.0, 8.0))
    patient.rois = {"GTV-1": small, "GTV-2": BALL}
    patient.write(folder)
    return Both(small, BALL)  # type: ignore[return-value]


@right()
def same_name_twice(patient: Patient, folder: Path) -> None:
    """Two ROIs named GTV-1; the first has no contours."""
    structures = patient.structures()
    empty = Dataset()
    empty.ROINumber, empty.ROIName, empty.ReferencedFrameOfReferenceUID = 1, "GTV-1", patient.frame
    structures.StructureSetROISequence.insert(0, empty)
    write(patient, folder, structures)


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), first_number=41, rois={"Heart": OTHER, "GTV-1": BALL, "Cord": OTHER}))
def numbers_are_not_places(patient: Patient, folder: Path) -> None:
    """ROI numbers start at 41 and the contour sequence is in another order."""
    patient.write(folder)
