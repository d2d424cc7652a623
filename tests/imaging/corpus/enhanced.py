"""Multi-frame CT: a series in one file, each frame with its own place and rescaling."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage, RLELossless, generate_uid

from ..phantom import Patient, Shape, contour, save, turned
from .case import BALL, drawn, refused, right, sound

SECONDARY_CAPTURE, MULTI_FRAME_CAPTURE = UID("1.2.840.10008.5.1.4.1.1.7"), UID("1.2.840.10008.5.1.4.1.1.7.3")
_FRAMES: dict[str, tuple[str, int]] = {}  # what a reference to a slice becomes where it is the frame of a file, see `pointing`


def item_of(**values: object) -> Items:
    """A sequence of one item with these attributes."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return Items([made])


def enhanced(patient: Patient, slices: Sequence[Dataset] | None = None, *, kind: str = EnhancedCTImageStorage, named: bool = True) -> Dataset:
    """The slices of a patient as one multi-frame file, frames in an order that means nothing.

    named  the patient's contours and segmentations name its frames from now on; otherwise they name the slices that it was converted from.
    """
    slices = patient.slices() if slices is None else slices
    order = np.random.default_rng(3).permutation(len(slices))
    whole = slices[0]
    places = [(item.ImagePositionPatient, item.ImageOrientationPatient, item.PixelSpacing) for item in slices]
    instance = generate_uid()
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = kind
    whole.SOPInstanceUID, whole.file_meta.MediaStorageSOPInstanceUID = instance, instance
    frames = []
    for index in order:
        position, orientation, _ = places[index]
        frame = Dataset()
        frame.PlanePositionSequence = item_of(ImagePositionPatient=position)
        frame.PlaneOrientationSequence = item_of(ImageOrientationPatient=orientation)
        frame.PixelValueTransformationSequence = item_of(RescaleSlope=whole.RescaleSlope, RescaleIntercept=whole.RescaleIntercept, RescaleType="HU")
        if not named:
            frame.ConversionSourceAttributesSequence = item_of(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=patient.instances[index])
        frames.append(frame)
    shared = Dataset()
    shared.PixelMeasuresSequence = item_of(PixelSpacing=places[0][2])
    shared.CTImageFrameTypeSequence = item_of(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    pixels = [slices[index].PixelData for index in order]
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept", "InstanceNumber"):
        delattr(whole, name)
    whole.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.NumberOfFrames, whole.PixelData = len(frames), b"".join(pixels)
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = Items([shared]), Items(frames)
    if named:
        patient.instances = [generate_uid() for _ in slices]
        _FRAMES.update({patient.instances[index]: (instance, number) for number, index in enumerate(order, 1)})
    return whole


def pointing(drawing: Dataset) -> Dataset:
    """References as DICOM writes them: the file, and the number of the frame."""

    def point(_: Dataset, element: object) -> None:
        for item in element.value if getattr(element, "VR", "") == "SQ" else ():  # type: ignore[attr-defined]
            if item.get("ReferencedSOPInstanceUID") in _FRAMES:
                item.ReferencedSOPInstanceUID, item.ReferencedFrameNumber = _FRAMES[item.ReferencedSOPInstanceUID]
                item.ReferencedSOPClassUID = EnhancedCTImageStorage

    drawing.walk(point)
    return drawing


def write(patient: Patient, folder: Path, *files: Dataset, structures: Dataset | None = None) -> None:
    for number, item in enumerate(files):
        save(item, folder / f"ct{number}")
    save(pointing(patient.structures() if structures is None else structures), folder / "structures")


def uneven() -> Patient:
    heights = [*np.arange(8) * 3.0, *(21.0 + np.arange(1, 9) * 1.5), *(33.0 + np.arange(1, 14) * 3.0)]
    return Patient((len(heights), 58, 64), (3.0, 1.2, 1.0), heights=heights, rois={"GTV-1": BALL})


@right()
def enhanced_ct(patient: Patient, folder: Path) -> None:
    """One Enhanced CT file instead of the slices; the contours name its frames."""
    write(patient, folder, enhanced(patient))


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=turned(4, -7, 12), rois={"GTV-1": BALL}))
def enhanced_turned(patient: Patient, folder: Path) -> None:
    """The patient lies at an angle."""
    write(patient, folder, enhanced(patient))


@right("interpolated by their true positions", patient=uneven)
def enhanced_with_uneven_gaps(patient: Patient, folder: Path) -> None:
    """Frames that are 1.5 mm apart in the middle and 3 mm elsewhere."""
    write(patient, folder, enhanced(patient))


@right("shifted sideways", patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), tilt=0.18, rois={"GTV-1": BALL}))
def enhanced_with_a_tilted_gantry(patient: Patient, folder: Path) -> None:
    """Each frame lies higher than the one before, as its own position says."""
    write(patient, folder, enhanced(patient))


@right()
def enhanced_with_a_rescale_of_each_frame(patient: Patient, folder: Path) -> None:
    """Slope and intercept differ from frame to frame."""
    made = enhanced(patient)
    stored = np.frombuffer(made.PixelData, "<u2").reshape(made.NumberOfFrames, made.Rows, made.Columns).astype(np.int64)
    for number, frame in enumerate(made.PerFrameFunctionalGroupsSequence):
        slope, intercept = 0.5 if number % 2 else 0.25, -1024 - 16 * number
        rescale = frame.PixelValueTransformationSequence[0]
        stored[number] = np.rint((stored[number] - 1024 - intercept) / slope)
        rescale.RescaleSlope, rescale.RescaleIntercept = slope, intercept
    made.PixelData = stored.astype("<u2").tobytes()
    write(patient, folder, made)


@right()
def enhanced_with_shared_groups(patient: Patient, folder: Path) -> None:
    """Orientation and rescaling are shared, the pixel spacing is in each frame."""
    made = enhanced(patient)
    shared, frames = made.SharedFunctionalGroupsSequence[0], made.PerFrameFunctionalGroupsSequence
    for frame in frames:
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
        shared.PlaneOrientationSequence, shared.PixelValueTransformationSequence = frame.PlaneOrientationSequence, frame.PixelValueTransformationSequence
        del frame.PlaneOrientationSequence, frame.PixelValueTransformationSequence
    del shared.PixelMeasuresSequence
    write(patient, folder, made)


@right()
def enhanced_and_compressed(patient: Patient, folder: Path) -> None:
    """Each frame compressed by RLE."""
    made = enhanced(patient)
    made.compress(RLELossless, generate_instance_uid=False)
    write(patient, folder, made)


@right()
def enhanced_in_two_files(patient: Patient, folder: Path) -> None:
    """A concatenation: one series, its frames in two files."""
    slices = patient.slices()
    first, second = slices[:11], slices[11:]
    instances = patient.instances
    one = enhanced(patient, first)
    names = patient.instances
    patient.instances = instances
    two = enhanced(patient, second)
    patient.instances = [*names, *patient.instances]
    write(patient, folder, one, two)


@right("localizers and other pictures")
def enhanced_beside_a_localizer(patient: Patient, folder: Path) -> None:
    """A localizer in a multi-frame file of its own."""
    scout = enhanced(sound())
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    write(patient, folder, enhanced(patient), scout)


@right()
def enhanced_with_a_localizer_frame(patient: Patient, folder: Path) -> None:
    """The first frame is the localizer, across the others."""
    made = enhanced(patient, named=False)
    frame = made.PerFrameFunctionalGroupsSequence[0]
    missing = patient.instances.index(frame.ConversionSourceAttributesSequence[0].ReferencedSOPInstanceUID)
    frame.CTImageFrameTypeSequence = item_of(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    frame.PlaneOrientationSequence = item_of(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    del frame.ConversionSourceAttributesSequence
    extra = sound()
    extra.series, extra.frame, extra.study = patient.series, patient.frame, patient.study
    whole = enhanced(extra, [extra.slices()[missing]])
    whole.PerFrameFunctionalGroupsSequence[0].ConversionSourceAttributesSequence = item_of(ReferencedSOPInstanceUID=patient.instances[missing])
    write(patient, folder, made, whole)


@right()
def enhanced_named_without_frames(patient: Patient, folder: Path) -> None:
    """The contours name the file and no frame."""
    made = enhanced(patient)
    structures = pointing(patient.structures())

    def forget(_: Dataset, element: object) -> None:
        for item in element.value if getattr(element, "VR", "") == "SQ" else ():  # type: ignore[attr-defined]
            if "ReferencedFrameNumber" in item:
                del item.ReferencedFrameNumber

    structures.walk(forget)
    write(patient, folder, made, structures=structures)


@right("share a position with a slice named by the contours")
def enhanced_of_two_phases(patient: Patient, folder: Path) -> None:
    """Two phases in one file; the contours name the frames of one."""
    patient.contour_heights = patient.heights
    other = Patient((24, 58, 64), (3.0, 1.2, 1.0), hu=lambda x, y, z: 0 * x - 900.0)
    other.series, other.frame, other.study = patient.series, patient.frame, patient.study
    slices = patient.slices()
    patient.instances = [*patient.instances, *other.instances]
    both = enhanced(patient, [*slices, *other.slices()])
    patient.instances = patient.instances[:24]
    patient.rois = {"GTV-1": BALL}
    structures = patient.structures()
    body = drawn(structures, patient)  # every slice of this phase is named by a contour of the GTV, as far away as it may be small
    body.ContourSequence.extend(_small(patient, index) for index in range(24))
    write(patient, folder, both, structures=structures)


def _small(patient: Patient, index: int) -> Dataset:
    """An open line on a slice, which encloses nothing and names the slice."""
    line = contour(patient.points(np.array([[30.0, 30.0, 3.0 * index], [31.0, 30.0, 3.0 * index]])), "OPEN_PLANAR")
    line.ContourImageSequence = Items([patient.reference(patient.instances[index])])
    return line


@right()
def legacy_converted_ct(patient: Patient, folder: Path) -> None:
    """Legacy Converted Enhanced CT under a new series; the contours name the slices that it was converted from."""
    made = enhanced(patient, kind=LegacyConvertedEnhancedCTImageStorage, named=False)
    made.SeriesInstanceUID = generate_uid()
    for frame in made.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleType = "US"
    write(patient, folder, made)


@right("converted from slices that are here")
def legacy_converted_ct_beside_its_slices(patient: Patient, folder: Path) -> None:
    """The slices and what they were converted to, as an archive keeps both."""
    made = enhanced(patient, kind=LegacyConvertedEnhancedCTImageStorage, named=False)
    made.SeriesInstanceUID = generate_uid()
    write(patient, folder, made, *patient.slices())


@right(overlap=0.95)
def enhanced_with_a_segmentation(patient: Patient, folder: Path) -> None:
    """A DICOM SEG names the frames."""
    made = enhanced(patient)
    save(made, folder / "ct")
    save(pointing(patient.segmentation()), folder / "seg")


@right()
def classic_slices_named_with_a_frame(patient: Patient, folder: Path) -> None:
    """Contours that name frame 1 of files that have but one."""
    structures = patient.structures()

    def number(_: Dataset, element: object) -> None:
        for item in element.value if getattr(element, "VR", "") == "SQ" else ():  # type: ignore[attr-defined]
            if "ReferencedSOPInstanceUID" in item:
                item.ReferencedFrameNumber = 1

    structures.walk(number)
    write(patient, folder, *patient.slices(), structures=structures)


@refused("one_slice_per_position")
def enhanced_of_two_phases_unnamed(patient: Patient, folder: Path) -> None:
    """Two phases in one file, and the contours name the file alone."""
    other = Patient((24, 58, 64), (3.0, 1.2, 1.0), hu=lambda x, y, z: 0 * x - 900.0)
    slices = patient.slices()
    patient.instances = [*patient.instances, *other.instances]
    both = enhanced(patient, [*slices, *other.slices()])
    patient.instances = [generate_uid() for _ in range(24)]
    write(patient, folder, both)


@refused("contours_on_named_slices")
def enhanced_with_shifted_frame_numbers(patient: Patient, folder: Path) -> None:
    """The contours name frames that lie elsewhere."""
    made = enhanced(patient)
    patient.instances = patient.instances[3:] + patient.instances[:3]
    write(patient, folder, made)


@right("localizers and other pictures")
def enhanced_localizer_by_its_frames(patient: Patient, folder: Path) -> None:
    """A localizer in a file of its own that only its frames call so."""
    scout = enhanced(sound())
    scout.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence = item_of(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    write(patient, folder, enhanced(patient), scout)


@refused("classic_ct")
def number_of_frames_that_is_none(patient: Patient, folder: Path) -> None:
    """Slices whose number of frames is not a number."""
    slices = patient.slices()
    for item in slices:
        item.add_new(0x00280008, "LO", "many")
    write(patient, folder, *slices)


@refused("rescale_known")
def enhanced_electron_density(patient: Patient, folder: Path) -> None:
    """Electron density instead of HU."""
    made = enhanced(patient)
    for frame in made.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleType = "ED"
    write(patient, folder, made)


@refused("rescale_known")
def enhanced_without_rescale(patient: Patient, folder: Path) -> None:
    """One frame has no rescaling."""
    made = enhanced(patient)
    del made.PerFrameFunctionalGroupsSequence[5].PixelValueTransformationSequence
    write(patient, folder, made)


@refused("classic_ct")
def enhanced_without_a_position(patient: Patient, folder: Path) -> None:
    """One frame has no position."""
    made = enhanced(patient)
    del made.PerFrameFunctionalGroupsSequence[5].PlanePositionSequence
    write(patient, folder, made)


@refused("classic_ct")
def enhanced_with_fewer_places_than_frames(patient: Patient, folder: Path) -> None:
    """More frames than places."""
    made = enhanced(patient)
    made.PerFrameFunctionalGroupsSequence.pop()
    write(patient, folder, made)


@refused("pixels_readable")
def enhanced_cut_off(patient: Patient, folder: Path) -> None:
    """The file ends in the middle of its last frame but one."""
    write(patient, folder, enhanced(patient))
    content = (folder / "ct0").read_bytes()
    (folder / "ct0").write_bytes(content[: -58 * 64 * 3])


@refused("pixels_readable")
def enhanced_and_compressed_cut_off(patient: Patient, folder: Path) -> None:
    """A compressed file that ends early."""
    made = enhanced(patient)
    made.compress(RLELossless, generate_instance_uid=False)
    made.PixelData = encapsulate([frame[: len(frame) // 3 * 2] for frame in _frames(made)])
    write(patient, folder, made)


def _frames(made: Dataset) -> list[bytes]:
    from pydicom.encaps import generate_frames

    return list(generate_frames(made.PixelData, number_of_frames=int(made.NumberOfFrames)))


@refused("classic_ct")
def secondary_capture(patient: Patient, folder: Path) -> None:
    """Every slice of class Secondary Capture, as conversion programs write them."""
    slices = patient.slices()
    for item in slices:
        item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    write(patient, folder, *slices)


@refused("classic_ct")
def secondary_capture_of_many_frames(patient: Patient, folder: Path) -> None:
    """One multi-frame picture of class Secondary Capture."""
    made = enhanced(patient, kind=MULTI_FRAME_CAPTURE)
    write(patient, folder, made)


@refused("slice_gaps")
def enhanced_with_missing_frames(patient: Patient, folder: Path) -> Shape | None:
    """Ten frames within the GTV are missing."""
    write(patient, folder, enhanced(patient, [*patient.slices()[:8], *patient.slices()[18:]], named=False))
    return None
