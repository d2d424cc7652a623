"""Segmentations: voxels in a DICOM SEG in place of contours, or next to them."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from ..phantom import Patient, save, turned
from .case import BALL, OTHER, refused, right, sound


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
