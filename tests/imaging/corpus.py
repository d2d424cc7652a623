"""Difficult and malformed folders: what is done to a sound patient, and what must come of it.

A case is a function that writes a folder. Its one-line docstring says what the folder is like. `right(...)` cases must come back with the shape
and the HU of the phantom, `refused(...)` cases with that rule and no other.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)

from .phantom import Box, Ellipsoid, Patient, Shape, Torus, contour, jpeg_lossless_stream, save, turned

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


# ---- files and folders


@right()
def sound_patient(patient: Patient, folder: Path) -> None:
    """Nothing is wrong."""
    patient.write(folder)


@right()
def names_without_extension(patient: Patient, folder: Path) -> None:
    """Files named by numbers alone."""
    patient.write(folder)
    for path in list(folder.rglob("*.dcm")):
        path.rename(path.with_suffix(""))


@right()
def deep_nesting(patient: Patient, folder: Path) -> None:
    """Every slice in a folder of its own."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / "a" / str(index % 3) / f"s{index}" / "image")
    save(patient.structures(), folder / "a" / "rs" / "x" / "RS")


@right()
def junk_beside(patient: Patient, folder: Path) -> None:
    """Text, an empty file, a DICOMDIR, a broken link, a picture."""
    patient.write(folder)
    (folder / "readme.txt").write_text("hello" * 100)
    (folder / "empty").write_bytes(b"")
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID, directory.file_meta.TransferSyntaxUID = generate_uid(), ExplicitVRLittleEndian
    save(directory, folder / "DICOMDIR")
    (folder / "link.dcm").symlink_to(folder / "nowhere")
    (folder / "shot.png").write_bytes(b"\x89PNG" + bytes(300))


@right("damaged")
def damaged_extra_file(patient: Patient, folder: Path) -> None:
    """A DICOM file cut off in its header."""
    patient.write(folder)
    whole = next(folder.rglob("0000.dcm")).read_bytes()
    (folder / "cut.dcm").write_bytes(whole[:150])


@right()
def no_preamble(patient: Patient, folder: Path) -> None:
    """Old files that start with the data set, implicit little endian."""
    for index, item in enumerate([*patient.slices(), patient.structures()]):
        del item.file_meta
        item.save_as(folder / f"{index}", implicit_vr=True, little_endian=True, enforce_file_format=False)


@refused("ct_found")
def empty_folder(patient: Patient, folder: Path) -> None:
    """Nothing in it."""


@refused("ct_found")
def no_ct(patient: Patient, folder: Path) -> None:
    """A structure set alone."""
    save(patient.structures(), folder / "rs.dcm")


@refused("contours_found")
def no_structure_set(patient: Patient, folder: Path) -> None:
    """A CT alone."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / f"{index}.dcm")


@refused("structure_set_readable")
def damaged_structure_set(patient: Patient, folder: Path) -> None:
    """An ROI without a number."""
    structures = patient.structures()
    del structures.StructureSetROISequence[0].ROINumber
    write(patient, folder, structures)


# ---- slices


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
    for index, item in enumerate(_another_phase(patient)):
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
    for index, item in enumerate(_another_phase(patient)):
        save(item, folder / "phase" / f"{index}.dcm")


def _another_phase(patient: Patient) -> list[Dataset]:
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


# ---- pixels


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), signed=True, intercept=0.0, rois={"GTV-1": BALL}))
def signed_pixels(patient: Patient, folder: Path) -> None:
    """Stored as signed HU."""
    patient.write(folder)


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), slope=0.25, rois={"GTV-1": BALL}))
def fractional_slope(patient: Patient, folder: Path) -> None:
    """Rescale slope of one quarter."""
    patient.write(folder)


@right()
def rescale_of_its_own_in_every_slice(patient: Patient, folder: Path) -> None:
    """Slope and intercept change from slice to slice."""
    slices = []
    for index in range(24):
        patient.slope, patient.intercept = 1.0 + index % 3, -1024.0 - 10 * index
        slices.append(patient.slices()[index])
    write(patient, folder, slices=slices)


@right()
def no_rescale(patient: Patient, folder: Path) -> None:
    """Signed HU without slope and intercept."""
    patient.signed, patient.intercept = True, 0.0
    slices = patient.slices()
    for item in slices:
        del item.RescaleSlope, item.RescaleIntercept
    write(patient, folder, slices=slices)


@right()
def rle(patient: Patient, folder: Path) -> None:
    """RLE lossless."""
    slices = patient.slices()
    for item in slices:
        item.compress(RLELossless)
    write(patient, folder, slices=slices)


@right()
def jpeg_2000(patient: Patient, folder: Path) -> None:
    """JPEG 2000 lossless."""
    slices = patient.slices()
    for item in slices:
        item.compress(JPEG2000Lossless)
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def pixels_cut_off(patient: Patient, folder: Path) -> None:
    """Half the pixels of one slice are missing."""
    slices = patient.slices()
    slices[5].PixelData = slices[5].PixelData[: len(slices[5].PixelData) // 2]
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def no_pixels(patient: Patient, folder: Path) -> None:
    """One slice has no pixels."""
    slices = patient.slices()
    del slices[5].PixelData
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def unknown_compression(patient: Patient, folder: Path) -> None:
    """A transfer syntax that nobody can decode."""
    slices = patient.slices()
    for item in slices:
        item.compress(RLELossless)
        item.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.103")
    write(patient, folder, slices=slices)


# ---- series and frames of reference


@right("series")
def two_series(patient: Patient, folder: Path) -> None:
    """A second CT next to the one that the structure set names."""
    patient.write(folder / "planning")
    other = Patient(rois={"GTV-1": OTHER}, seed=1)
    for index, item in enumerate(other.slices()):
        save(item, folder / "diagnostic" / f"{index}.dcm")


@right("another series")
def named_series_has_another_uid(patient: Patient, folder: Path) -> None:
    """The series UID was changed on the way; the frame of reference was not."""
    patient.referenced_series = generate_uid()
    structures = patient.structures()
    for index, instance in enumerate(patient.instances):
        patient.instances[index] = generate_uid(entropy_srcs=[instance])
    write(patient, folder, structures)


@refused("one_series")
def two_series_none_named(patient: Patient, folder: Path) -> None:
    """Two CT series in one frame of reference; the structure set names neither."""
    patient.referenced_series = generate_uid()
    structures = patient.structures()
    for half in range(2):
        patient.series, patient.instances = generate_uid(), [generate_uid() for _ in patient.instances]
        for index, item in enumerate(patient.slices()):
            save(item, folder / str(half) / f"{index}.dcm")
    save(structures, folder / "rs.dcm")


@refused("frame_of_reference")
def another_frame_of_reference(patient: Patient, folder: Path) -> None:
    """The structure set was drawn in another frame of reference."""
    patient.structure_frame = generate_uid()
    patient.write(folder)


@refused("frame_of_reference")
def structure_set_of_another_scan(patient: Patient, folder: Path) -> None:
    """Structure set and CT share nothing."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / f"{index}.dcm")
    save(sound().structures(), folder / "rs.dcm")


@right()
def no_frame_of_reference(patient: Patient, folder: Path) -> None:
    """The CT has no frame of reference, but the structure set names its series."""
    slices = patient.slices()
    for item in slices:
        del item.FrameOfReferenceUID
    write(patient, folder, slices=slices)


@right("newest")
def two_structure_sets(patient: Patient, folder: Path) -> None:
    """A corrected structure set in addition to the first."""
    patient.write(folder)
    patient.rois = {"GTV-1": OTHER}
    old = patient.structures()
    old.StructureSetDate = "20190101"
    save(old, folder / "a_first.dcm")


@refused("one_structure_set")
def two_structure_sets_of_one_time(patient: Patient, folder: Path) -> None:
    """Two different structure sets with the same date and time."""
    patient.write(folder)
    save(patient.structures(), folder / "second.dcm")


@right("newest")
def structure_set_without_gtv_beside(patient: Patient, folder: Path) -> None:
    """A later structure set that holds organs alone."""
    patient.write(folder)
    patient.rois = {"Heart": OTHER}
    later = patient.structures()
    later.StructureSetDate = "20210101"
    save(later, folder / "later.dcm")


@right("rejected")
def rejected_structure_set_beside(patient: Patient, folder: Path) -> None:
    """The newer structure set was rejected at its review."""
    patient.write(folder)
    patient.rois = {"GTV-1": OTHER}
    newer = patient.structures()
    newer.StructureSetDate, newer.ApprovalStatus = "20210101", "REJECTED"
    save(newer, folder / "newer.dcm")


@refused("structure_set_rejected")
def rejected_structure_set_alone(patient: Patient, folder: Path) -> None:
    """The only structure set was rejected at its review."""
    structures = patient.structures()
    structures.ApprovalStatus = "REJECTED"
    write(patient, folder, structures)


@right("newest by SeriesDate")
def structure_set_without_a_date(patient: Patient, folder: Path) -> None:
    """The revised structure set has lost its date on the way; the dates of the series are there."""
    structures = patient.structures()
    structures.StructureSetDate, structures.SeriesDate = "", "20200601"
    write(patient, folder, structures)
    patient.rois = {"GTV-1": OTHER}
    old = patient.structures()
    old.StructureSetDate = old.SeriesDate = "20190101"
    save(old, folder / "old.dcm")


@refused("structure_set_readable")
def a_newer_structure_set_cut_off(patient: Patient, folder: Path) -> None:
    """Deflated, and cut off in transfer; the older one is whole."""
    patient.write(folder)
    newer = patient.structures()
    newer.StructureSetDate, newer.file_meta.TransferSyntaxUID = "20210101", DeflatedExplicitVRLittleEndian
    content = save(newer, folder / "newer.dcm").read_bytes()
    (folder / "newer.dcm").write_bytes(content[: len(content) * 9 // 10])


# ---- names


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


# ---- contours


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


# ---- an adversary's folders: each of these looks sound to a reader that trusts one attribute


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=np.diag([-1.0, 1.0, -1.0]), rois={"GTV-1": BALL}))
def feet_first(patient: Patient, folder: Path) -> None:
    """Rows run to the right, slices downwards."""
    patient.write(folder)


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]), rois={"GTV-1": BALL}))
def decubitus(patient: Patient, folder: Path) -> None:
    """The patient lies on a side: rows run to the back, columns to the right."""
    patient.write(folder)


@right()
def folders_behind_links(patient: Patient, folder: Path) -> None:
    """The CT is behind a link to a folder, which holds a link to its own parent."""
    elsewhere = folder.parent / f"{folder.name}_ct"
    for index, item in enumerate(patient.slices()):
        save(item, elsewhere / f"{index}.dcm")
    (elsewhere / "again").symlink_to(elsewhere, target_is_directory=True)
    (folder / "ct").symlink_to(elsewhere, target_is_directory=True)
    save(patient.structures(), folder / "rs.dcm")


@right()
def padding(patient: Patient, folder: Path) -> None:
    """A corner beyond the field of view holds the padding value -2000, declared as an unsigned number."""
    patient.signed, patient.intercept = True, 0.0
    slices = patient.slices()
    for item in slices:
        stored = item.pixel_array.copy()
        stored[:6, :6] = -2000
        item.PixelData = stored.tobytes()
        item.add_new(0x00280120, "US", 65536 - 2000)
    write(patient, folder, slices=slices)


@right()
def twelve_bits_with_an_overlay_in_the_rest(patient: Patient, folder: Path) -> None:
    """12 bits stored in 16, the highest bit set by an old overlay."""
    slices = patient.slices()
    for item in slices:
        stored = item.pixel_array.copy()
        stored[10:40] |= 0x8000
        item.BitsStored, item.HighBit, item.PixelData = 12, 11, stored.tobytes()
    write(patient, folder, slices=slices)


@right()
def twelve_signed_bits(patient: Patient, folder: Path) -> None:
    """Signed HU in 12 bits, the sign not extended."""
    patient.signed, patient.intercept = True, 0.0
    slices = patient.slices()
    for item in slices:
        item.PixelData = (item.pixel_array & 0x0FFF).astype("<u2").tobytes()
        item.BitsStored, item.HighBit = 12, 11
    write(patient, folder, slices=slices)


@refused("rescale_known")
def unsigned_without_rescale(patient: Patient, folder: Path) -> None:
    """Unsigned pixels without slope and intercept: nobody knows their HU."""
    slices = patient.slices()
    for item in slices:
        del item.RescaleSlope, item.RescaleIntercept
    write(patient, folder, slices=slices)


@refused("rescale_known")
def slope_of_nothing(patient: Patient, folder: Path) -> None:
    """RescaleSlope 0 in one slice."""
    slices = patient.slices()
    slices[4].RescaleSlope = "0"
    write(patient, folder, slices=slices)


@right()
def big_endian(patient: Patient, folder: Path) -> None:
    """Explicit VR big endian, as old archives hold it."""
    slices = patient.slices()
    for index, item in enumerate(slices):
        item.PixelData = item.pixel_array.astype(">u2").tobytes()
        item.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        (folder / "ct").mkdir(exist_ok=True)
        item.save_as(folder / "ct" / f"{index}.dcm", enforce_file_format=True)
    save(patient.structures(), folder / "rs.dcm")


@right()
def deflated(patient: Patient, folder: Path) -> None:
    """Deflated explicit VR little endian."""
    slices = patient.slices()
    for item in slices:
        item.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write(patient, folder, slices=slices)


@right()
def jpeg_lossless(patient: Patient, folder: Path) -> None:
    """JPEG lossless, process 14, as another program (GDCM) encodes it."""
    slices = patient.slices()
    for index, item in enumerate(slices):
        item.PixelData, item.file_meta.TransferSyntaxUID = (
            encapsulate([jpeg_lossless_stream(item.pixel_array, folder.parent / f"{folder.name}{index}.dcm")]),
            JPEGLosslessSV1,
        )
        item["PixelData"].VR = "OB"
    write(patient, folder, slices=slices)


@right("multi-frame")
def multi_frame_beside(patient: Patient, folder: Path) -> None:
    """An enhanced CT of another series in addition to the slices."""
    patient.write(folder)
    item = patient.slices()[0]
    item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2.1")
    item.SeriesInstanceUID, item.NumberOfFrames = generate_uid(), 24
    save(item, folder / "enhanced.dcm")


@refused("frame_of_reference")
def nothing_ties_contours_to_the_scan(patient: Patient, folder: Path) -> None:
    """The CT has no frame of reference and the structure set names another series."""
    patient.referenced_series = generate_uid()
    structures = patient.structures()
    for index in range(len(patient.instances)):
        patient.instances[index] = generate_uid()
    slices = patient.slices()
    for item in slices:
        del item.FrameOfReferenceUID
    write(patient, folder, structures, slices)


@refused("frame_of_reference")
def a_structure_set_that_names_nothing(patient: Patient, folder: Path) -> None:
    """No frame of reference, no series, no slices: it may be of any scan."""
    structures = patient.structures()
    del structures.ReferencedFrameOfReferenceSequence
    for item in structures.StructureSetROISequence:
        del item.ReferencedFrameOfReferenceUID
    for item in structures.ROIContourSequence:
        for part in item.ContourSequence:
            part.pop("ContourImageSequence", None)
    write(patient, folder, structures)


@right("series")
def organs_on_another_series(patient: Patient, folder: Path) -> None:
    """The structure set names two series; the organs' contours lie on the other one, the GTV's on this."""
    structures = patient.structures()
    other = Patient((24, 58, 64), (3.0, 1.2, 1.0), hu=lambda x, y, z: 40.0 + 0 * x, rois={"Heart": BALL, "Lung_L": OTHER})
    other.frame = patient.frame
    reference = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence
    more = Dataset()
    more.SeriesInstanceUID = other.series
    more.ContourImageSequence = Items([other.reference(instance) for instance in other.instances])
    reference.insert(0, more)
    for item in structures.ROIContourSequence:
        if item is not drawn(structures, patient):
            for part in item.ContourSequence:
                part.ContourImageSequence = Items([other.reference(other.instances[3])])
    write(patient, folder / "planning", structures)
    for index, slice_ in enumerate(other.slices()):
        save(slice_, folder / "other" / f"{index}.dcm")


@refused("roi_numbers")
def one_number_for_two_structures(patient: Patient, folder: Path) -> None:
    """GTV and heart have the same ROI number: their contours cannot be told apart."""
    structures = patient.structures()
    for item in (*structures.StructureSetROISequence, *structures.ROIContourSequence):
        if "ROINumber" in item:
            item.ROINumber = 3
        else:
            item.ReferencedROINumber = 3
    write(patient, folder, structures)


@refused("contours_on_named_slices")
def contours_moved_against_their_slices(patient: Patient, folder: Path) -> None:
    """Every contour names its slice but lies four slices above it: a table position was added."""
    structures = patient.structures()
    for item in drawn(structures, patient).ContourSequence:
        points = np.reshape(np.array(item.ContourData, dtype=float), (-1, 3)) + np.array([0.0, 0.0, 12.0])
        item.ContourData = contour(points).ContourData
    write(patient, folder, structures)


@right()
def contour_that_touches_itself(patient: Patient, folder: Path) -> Shape:
    """Two boxes that meet in a corner, drawn as one contour in the shape of an eight."""
    low, high = Box((22.3, 26.3, 34.5), (14.0, 12.0, 24.0)), Box((36.3, 38.3, 34.5), (14.0, 12.0, 24.0))
    both = Both(low, high)
    patient.rois = {"GTV-1": both}  # type: ignore[dict-item]
    structures = patient.structures()
    items = []
    for height in patient.heights or []:
        if low.section(height):
            first, second = low.section(height)[0], high.section(height)[0]
            eight = np.concatenate([first[[2, 3, 0, 1]], second[[0, 1, 2, 3]]])
            items.append(contour(patient.points(np.column_stack([eight, np.full(len(eight), height)]))))
    drawn(structures, patient).ContourSequence = Items(items)
    write(patient, folder, structures)
    return both  # type: ignore[return-value]


# ---- segmentations


def segmented(patient: Patient, folder: Path, fractional: int | None = None) -> Dataset:
    """The CT written, and the segmentation to write next to it."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / "ct" / f"{index}.dcm")
    return patient.segmentation(fractional)


@right(overlap=0.93)
def segmentation(patient: Patient, folder: Path) -> None:
    """A binary DICOM SEG of three segments."""
    save(segmented(patient, folder), folder / "seg.dcm")


@right(overlap=0.93)
def fractional_segmentation(patient: Patient, folder: Path) -> None:
    """Shares up to 200; half and more is inside."""
    save(segmented(patient, folder, 200), folder / "seg.dcm")


@right(overlap=0.93, patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=turned(20, -15, 30), rois={"GTV-1": BALL}))
def oblique_segmentation(patient: Patient, folder: Path) -> None:
    """A segmentation of slices that are turned about all three axes."""
    save(segmented(patient, folder), folder / "seg.dcm")


@right("same GTV")
def segmentation_of_the_same_contours(patient: Patient, folder: Path) -> None:
    """Structure set and segmentation hold one drawing, as the archives deliver it: the structure set is taken."""
    structures = patient.structures()
    save(segmented(patient, folder), folder / "seg.dcm")
    save(structures, folder / "rs.dcm")


@right("GTV is that of the segmentation", overlap=0.93)
def segmentation_holds_the_gtv(patient: Patient, folder: Path) -> None:
    """The structure set holds organs alone, the segmentation the tumor."""
    patient.rois = {"Heart": OTHER, "Lung_L": OTHER}
    structures = patient.structures()
    patient.rois = {"Neoplasm, Primary": BALL}
    save(segmented(patient, folder), folder / "seg.dcm")
    save(structures, folder / "rs.dcm")


@right("left out")
def damaged_segmentation_beside_a_structure_set(patient: Patient, folder: Path) -> None:
    """The contours are whole, and the segmentation cannot be read."""
    made = segmented(patient, folder)
    del made.PerFrameFunctionalGroupsSequence
    save(made, folder / "seg.dcm")
    save(patient.structures(), folder / "rs.dcm")


@refused("sources_agree")
def segmentation_beside_a_structure_set(patient: Patient, folder: Path) -> None:
    """The segmentation says something else than the structure set."""
    structures = patient.structures()
    patient.rois = {"GTV-1": OTHER}
    save(segmented(patient, folder), folder / "seg.dcm")
    save(structures, folder / "rs.dcm")


@refused("gtv_named")
def segmentation_without_gtv(patient: Patient, folder: Path) -> None:
    """Segments of organs alone."""
    patient.rois = {"Heart": OTHER, "Lung_L": BALL}
    save(segmented(patient, folder), folder / "seg.dcm")


@refused("gtv_not_empty")
def segmentation_of_nothing(patient: Patient, folder: Path) -> None:
    """Every voxel of the segment is zero."""
    made = segmented(patient, folder)
    made.PixelData = bytes(len(made.PixelData))
    save(made, folder / "seg.dcm")


@refused("same_grid")
def segmentation_on_a_coarser_grid(patient: Patient, folder: Path) -> None:
    """The segmentation has other pixels than the CT."""
    made = segmented(patient, folder)
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = ["2.4", "2.0"]
    save(made, folder / "seg.dcm")


@refused("same_grid")
def segmentation_moved_sideways(patient: Patient, folder: Path) -> None:
    """Every frame is half a pixel off its slice."""
    made = segmented(patient, folder)
    for frame in made.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        place.ImagePositionPatient = [str(float(place.ImagePositionPatient[0]) + 0.5), *place.ImagePositionPatient[1:]]
    save(made, folder / "seg.dcm")


@refused("same_grid")
def segmentation_of_slices_that_are_missing(patient: Patient, folder: Path) -> None:
    """The scan ends in the middle of the segment."""
    made = patient.segmentation()
    for index, item in enumerate(patient.slices()[:12]):
        save(item, folder / "ct" / f"{index}.dcm")
    save(made, folder / "seg.dcm")


@refused("frame_of_reference")
def segmentation_of_another_scan(patient: Patient, folder: Path) -> None:
    """Segmentation and CT share nothing."""
    segmented(patient, folder)
    save(sound().segmentation(), folder / "seg.dcm")


@refused("segmentation_type")
def label_map(patient: Patient, folder: Path) -> None:
    """A segmentation of type LABELMAP."""
    made = segmented(patient, folder)
    made.SegmentationType = "LABELMAP"
    save(made, folder / "seg.dcm")


@refused("segmentation_readable")
def damaged_segmentation(patient: Patient, folder: Path) -> None:
    """Frames without a place."""
    made = segmented(patient, folder)
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    save(made, folder / "seg.dcm")


@refused("one_segmentation")
def two_segmentations(patient: Patient, folder: Path) -> None:
    """Two segmentations that both hold a GTV."""
    save(segmented(patient, folder), folder / "seg.dcm")
    save(patient.segmentation(), folder / "other.dcm")


@right(overlap=0.93)
def segmentation_with_rows_upwards(patient: Patient, folder: Path) -> None:
    """The same voxels, each frame stored from the last row to the first."""
    made = segmented(patient, folder)
    frames = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")[: made.NumberOfFrames * made.Rows * made.Columns]
    made.PixelData = np.packbits(frames.reshape(-1, made.Rows, made.Columns)[:, ::-1].ravel(), bitorder="little").tobytes()
    shared = made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    along, down = patient.direction[:, 0], patient.direction[:, 1]
    shared.ImageOrientationPatient = [str(value) for value in (*along, *-down)]
    for frame in made.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        place.ImagePositionPatient = [f"{value:.4f}" for value in np.array(place.ImagePositionPatient, float) + (made.Rows - 1) * patient.spacing[1] * down]
    save(made, folder / "seg.dcm")


@right(overlap=0.93)
def segmentation_in_sagittal_frames(patient: Patient, folder: Path) -> None:
    """The same voxels, a frame for every column of the CT."""
    made = segmented(patient, folder)
    depth, rows, columns = patient.shape
    volume = np.zeros((depth, rows, columns), dtype=np.uint8)
    bits = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")[: made.NumberOfFrames * rows * columns].reshape(-1, rows, columns)
    wanted = patient.first_number + list(patient.rois).index("GTV-1")
    for frame, values in zip(made.PerFrameFunctionalGroupsSequence, bits, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == wanted:
            height = (np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float) - np.array(patient.origin)) @ patient.direction[:, 2]
            volume[round(float(height) / patient.spacing[0])] = values
    used = np.flatnonzero(volume.any(axis=(0, 1)))
    template = next(iter(made.PerFrameFunctionalGroupsSequence))
    frames = []
    for column in used:
        frame, segment, place = Dataset(), Dataset(), Dataset()
        segment.ReferencedSegmentNumber = wanted
        place.ImagePositionPatient = [str(value) for value in patient.points(np.array([[column * patient.spacing[2], 0.0, 0.0]]))[0]]
        frame.SegmentIdentificationSequence, frame.PlanePositionSequence = Items([segment]), Items([place])
        frame.DerivationImageSequence = template.DerivationImageSequence
        frames.append(frame)
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [str(value) for value in (*patient.direction[:, 1], *patient.direction[:, 2])]
    shared.PixelMeasuresSequence[0].PixelSpacing = [str(patient.spacing[0]), str(patient.spacing[1])]
    made.PerFrameFunctionalGroupsSequence, made.NumberOfFrames, made.Rows, made.Columns = Items(frames), len(frames), depth, rows
    packed = np.packbits(np.moveaxis(volume[:, :, used], 2, 0).ravel(), bitorder="little").tobytes()
    made.PixelData = packed + bytes(len(packed) % 2)
    save(made, folder / "seg.dcm")


# ---- contours and slices that do not go together


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


# ---- folders that once came back wrong, or never


@right()
def a_pipe_and_a_link_upwards(patient: Patient, folder: Path) -> None:
    """A named pipe, whose end never comes, and a link to the folder above, which holds other patients."""
    os.mkfifo(folder / "pipe")
    (folder / "up").symlink_to("..", target_is_directory=True)
    patient.write(folder)


@right("damaged")
def an_empty_file_named_like_a_slice(patient: Patient, folder: Path) -> None:
    """A transfer that broke off before the first byte."""
    patient.write(folder)
    (folder / "0099.dcm").write_bytes(b"")


@right()
def no_modality(patient: Patient, folder: Path) -> None:
    """Modality was wiped; the SOP class still says what each file is."""
    structures, slices = patient.structures(), patient.slices()
    for item in (structures, *slices):
        del item.Modality
    write(patient, folder, structures, slices)


@refused("one_slice_per_position")
def one_instance_with_two_contents(patient: Patient, folder: Path) -> None:
    """A slice is there twice with one SOP instance UID, but the pixels differ."""
    edited = patient.slices()[11]
    edited.PixelData = bytes(len(edited.PixelData))
    write(patient, folder, slices=[*patient.slices(), edited])


@right("share a position")
def two_slices_a_hair_apart(patient: Patient, folder: Path) -> None:
    """Between two slices one of another phase, 0.05 mm above the first: a spline through both overshoots by thousands of HU."""
    slices = patient.slices()
    other = _another_phase(patient)[11]
    other.ImagePositionPatient = [*other.ImagePositionPatient[:2], str(float(other.ImagePositionPatient[2]) + 0.05)]
    write(patient, folder, slices=[*slices, other])


@refused("slice_geometry")
def pixels_of_ten_meters(patient: Patient, folder: Path) -> None:
    """PixelSpacing of 10000 mm: the grid of it would fill any memory."""
    slices = patient.slices()
    for item in slices:
        item.PixelSpacing = ["10000", "10000"]
    write(patient, folder, slices=slices)


@refused("rescale_known")
def slope_of_a_billion(patient: Patient, folder: Path) -> None:
    """RescaleSlope 1e9 in one slice: in 32 bits it wraps round to something."""
    slices = patient.slices()
    slices[4].RescaleSlope = "1e9"
    write(patient, folder, slices=slices)


@refused("hu_range")
def pixels_of_32_bits_gone_wrong(patient: Patient, folder: Path) -> None:
    """32 bits a pixel, one of them all ones: 4294967295, or -1 to a careless reader."""
    slices = patient.slices()
    for item in slices:
        stored = item.pixel_array.astype("<u4")
        stored[0, 0] = 2**32 - 1
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelData = 32, 32, 31, stored.tobytes()
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def jpeg_stream_without_its_end(patient: Patient, folder: Path) -> None:
    """JPEG lossless, one stream cut off: its decoder fills what is missing."""
    slices = patient.slices()
    for index, item in enumerate(slices):
        stream = jpeg_lossless_stream(item.pixel_array, folder.parent / f"{folder.name}{index}.dcm")
        item.PixelData = encapsulate([stream[: len(stream) // 2] if index == 11 else stream])
        item.file_meta.TransferSyntaxUID, item["PixelData"].VR = JPEGLosslessSV1, "OB"
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def rle_stream_damaged(patient: Patient, folder: Path) -> None:
    """RLE with a wrong header: its decoder panics."""
    slices = patient.slices()
    for item in slices:
        item.compress(RLELossless)
    slices[11].PixelData = encapsulate([b"\x02\0\0\0\x40\0\0\0\xff\xff\0\0" + bytes(58)])
    write(patient, folder, slices=slices)


@right("lie between slices")
def one_contour_between_slices(patient: Patient, folder: Path) -> None:
    """A contour on every slice, and one more halfway between two."""
    patient.contour_heights = sorted([*(patient.heights or []), 34.5])
    patient.write(folder)


@right("every 2. slice", overlap=0.95)
def every_second_slice_and_one_more(patient: Patient, folder: Path) -> Shape:
    """Drawn on every second slice, and on one between."""
    ball = Ellipsoid((31.3, 33.6, 34.7), (17.0, 17.0, 24.0))
    patient.rois = {"GTV-1": ball}
    patient.contour_heights = sorted([*list(patient.heights or [])[::2], 33.0])
    patient.write(folder)
    return ball


@right("true positions", patient=lambda: Patient(heights=[*range(0, 30, 3), *range(30, 48, 6), *range(48, 80, 3)], rois={"GTV-1": BALL}), overlap=0.94)
def a_slice_missing_among_uneven_gaps(patient: Patient, folder: Path) -> None:
    """Gaps of 3 and 6 mm, and one slice lost whose contour is still there."""
    slices = patient.slices()
    write(patient, folder, slices=[*slices[:9], *slices[10:]])


@right("taken once")
def a_contour_and_its_reverse(patient: Patient, folder: Path) -> None:
    """Every contour once more, the other way round and from another start; even-odd would leave nothing."""
    structures = patient.structures()
    sequence = drawn(structures, patient).ContourSequence
    for item in list(sequence):
        points = np.reshape(np.array(item.ContourData, dtype=float), (-1, 3))
        sequence.append(contour(np.roll(points[::-1], 7, axis=0)))
    write(patient, folder, structures)


@right()
def contours_of_more_than_64_kb(patient: Patient, folder: Path) -> None:
    """More points than an explicit length of 16 bits can announce: they travel as of unknown VR."""
    structures = patient.structures()
    for item in drawn(structures, patient).ContourSequence:
        points = np.reshape(np.array(item.ContourData, dtype=float), (-1, 3))
        values = contour(np.repeat(points, 15, axis=0)).ContourData
        item.add_new(0x30060050, "UN", "\\".join(map(str, values)).encode())
    write(patient, folder, structures)


@refused("one_structure_set")
def an_edited_copy_of_the_structure_set(patient: Patient, folder: Path) -> None:
    """Two structure sets with one UID and one date, but different contours."""
    structures = patient.structures()
    patient.rois = {"GTV-1": OTHER}
    edited = patient.structures()
    edited.SOPInstanceUID = edited.file_meta.MediaStorageSOPInstanceUID = structures.SOPInstanceUID
    save(edited, folder / "a_copy.dcm")
    write(patient, folder, structures)


@right()
def dashes_of_a_word_processor(patient: Patient, folder: Path) -> None:
    """GTV-1 in characters of double width, with a dash of another kind."""
    structures = patient.structures()
    structures.SpecificCharacterSet = "ISO_IR 192"
    structures.StructureSetROISequence[1].ROIName = "\uff27\uff34\uff36\u20131"
    write(patient, folder, structures)


@refused("gtv_named")
def nodes_by_other_names(patient: Patient, folder: Path) -> None:
    """Nodal and derived volumes as hospitals abbreviate them."""
    patient.rois = {"GTV_hilus": BALL, "GTV LK": OTHER, "Gross Tumor Volume nodal": BALL, "GTVmediastinum": OTHER, "GTV_exp": BALL}
    patient.write(folder)


@right("true positions", overlap=0.92, patient=lambda: Patient(heights=[*range(0, 30, 3), *range(30, 48, 6), *range(48, 80, 3)], rois={"GTV-1": BALL}))
def segmentation_on_uneven_gaps(patient: Patient, folder: Path) -> None:
    """A segmentation of slices that are 3 and 6 mm apart."""
    save(segmented(patient, folder), folder / "seg.dcm")


@refused("roi_numbers")
def two_segments_of_one_number(patient: Patient, folder: Path) -> None:
    """Heart and GTV share a segment number: their frames cannot be told apart."""
    made = segmented(patient, folder)
    for segment in made.SegmentSequence:
        segment.SegmentNumber = 3
    save(made, folder / "seg.dcm")


@refused("one_patient")
def two_patients_in_one_folder(patient: Patient, folder: Path) -> None:
    """Each with CT and structure set of their own: the newest structure set was taken silently."""
    patient.write(folder / "a")
    other = Patient(rois={"GTV-1": OTHER})
    for item in [*(slices := other.slices()), structures := other.structures()]:
        item.PatientID = "P2"
    write(other, folder / "b", structures, slices=slices)


@refused("one_patient")
def contours_of_another_patient(patient: Patient, folder: Path) -> None:
    """A structure set that names this CT and another patient."""
    structures = patient.structures()
    structures.PatientID = "P2"
    write(patient, folder, structures)


@right()
def patient_ids_written_differently(patient: Patient, folder: Path) -> None:
    """Blanks and capitals make no other patient, and an id left out says nothing."""
    slices, structures = patient.slices(), patient.structures()
    structures.PatientID = " p1 "
    del slices[0].PatientID
    write(patient, folder, structures, slices=slices)
