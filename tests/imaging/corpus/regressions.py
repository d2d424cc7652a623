"""Folders that once came back wrong, or never."""

import os
from pathlib import Path

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1, RLELossless

from ..phantom import Ellipsoid, Patient, Shape, contour, jpeg_lossless_stream, save
from .case import BALL, OTHER, drawn, refused, right, write
from .segmentations import segmented
from .slices import another_phase


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
    other = another_phase(patient)[11]
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
