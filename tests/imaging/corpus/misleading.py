"""An adversary's folders: each of these looks sound to a reader that trusts one attribute."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLosslessSV1, generate_uid

from ..phantom import Box, Patient, Shape, contour, jpeg_lossless_stream, save
from .case import BALL, OTHER, Both, drawn, refused, right, write


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
