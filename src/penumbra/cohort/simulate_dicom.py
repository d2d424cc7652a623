"""Writes one simulated patient as a hospital sends it: a CT series, an RTSTRUCT, and an identity that must not travel further."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
RTSTRUCT_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class Identity:
    """Invented attributes of a person and a hospital, planted in every file to test that they stay there."""

    name: str  # family^given
    hospital_number: str
    birth_date: str
    sex: str
    address: str
    telephone: str
    institution: str
    institution_address: str
    physician: str

    def words(self) -> tuple[str, ...]:
        """Every string that a leak would show; the sex is not secret."""
        family_name, given_name = self.name.split("^")
        return (
            family_name,
            given_name,
            self.hospital_number,
            self.birth_date,
            self.address,
            self.telephone,
            self.institution,
            self.institution_address,
            self.physician.split("^")[0],
        )


@dataclass(frozen=True)
class Pixels:
    """How a center stores HU: stored = (HU - intercept) / slope, signed or not."""

    slope: float
    intercept: float
    signed: bool


@dataclass(frozen=True)
class Contours:
    """One ROI of an RTSTRUCT: per slice index, closed polygons (n, 2) of (x, y) in mm."""

    name: str
    number: int
    color: tuple[int, int, int]
    kind: str  # RT ROI interpreted type: GTV, ORGAN, EXTERNAL
    polygons: Mapping[int, Sequence[np.ndarray]]


@dataclass(frozen=True)
class Study:
    """What one patient's folder holds.

    Parameters
    ----------
    image
        int16 HU, (z, y, x).
    axes : mm, (z, y, x)
        Patient coordinates (LPS), increasing.
    layout
        "flat", "nested" or "scattered": how the sender arranges folders and names files.
    foreign_frame
        True: the RTSTRUCT belongs to another frame of reference and another series.
    """

    uid_entropy: str
    image: np.ndarray
    axes: tuple[np.ndarray, np.ndarray, np.ndarray]
    slice_mm: float
    pixels: Pixels
    rois: Sequence[Contours]
    identity: Identity
    manufacturer: str
    model: str
    kernel: str
    study_date: str
    layout: str
    foreign_frame: bool = False


def dicom_uid(*parts: str) -> str:
    """A UID under the UUID root (DICOM PS3.5 annex B) that depends on nothing but `parts`."""
    return "2.25." + str(int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:15], "big"))


def decimal_string(value: float) -> str:
    """A DS of at most 16 characters (DICOM PS3.5 6.2)."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def write_study(folder: Path, study: Study, rng: np.random.Generator) -> None:
    """Write CT slices and RTSTRUCT below `folder`, in the sender's arrangement and in no useful order."""
    depth = study.image.shape[0]
    uids = [dicom_uid(study.uid_entropy, "ct", str(k)) for k in range(depth)]
    numbers = np.argsort(rng.permutation(depth)) + 1 if study.layout == "scattered" else np.arange(depth, 0, -1)
    paths = file_paths(folder, study, uids, rng)
    for path in {p.parent for p in paths}:
        path.mkdir(parents=True, exist_ok=True)
    template = encoded(ct_template(study))
    for k in rng.permutation(depth):
        write_ct_slice(paths[k], template, study, int(k), uids[k], int(numbers[k]))
    write_rtstruct(paths[-1], study, uids)


def file_paths(folder: Path, study: Study, uids: Sequence[str], rng: np.random.Generator) -> list[Path]:
    """One path per slice and, last, the RTSTRUCT's; names say nothing about the order of slices."""
    shuffled = rng.permutation(len(uids))
    if study.layout == "flat":
        return [folder / f"CT.{uid}.dcm" for uid in uids] + [folder / f"RS.{dicom_uid(study.uid_entropy, 'rs')}.dcm"]
    if study.layout == "nested":
        series = folder / "DICOM" / "planning"
        return [series / "CT" / f"IM{shuffled[k]:06d}.dcm" for k in range(len(uids))] + [series / "RTSTRUCT" / "RS000001.dcm"]
    digests = [hashlib.sha256(f"{study.uid_entropy}{k}".encode()).hexdigest()[:16].upper() for k in range(len(uids) + 1)]
    return [folder / digest[:2] / digest for digest in digests]


def common_attributes(study: Study) -> Any:
    """Patient, study and equipment modules; all identifying attributes of the simulation are here."""
    from pydicom.dataset import Dataset

    identity = study.identity
    common = Dataset()
    common.SpecificCharacterSet = "ISO_IR 192"
    common.InstanceCreationDate = study.study_date
    common.StudyDate = study.study_date
    common.StudyTime = "101500"
    common.AccessionNumber = f"A{identity.hospital_number[-6:]}"
    common.Manufacturer = study.manufacturer
    common.InstitutionName = identity.institution
    common.InstitutionAddress = identity.institution_address
    common.ReferringPhysicianName = identity.physician
    common.StudyDescription = f"Planning CT thorax, {identity.name.split('^')[0]}"
    common.ManufacturerModelName = study.model
    common.PatientName = identity.name
    common.PatientID = identity.hospital_number
    common.PatientBirthDate = identity.birth_date
    common.PatientSex = identity.sex
    common.PatientAddress = identity.address
    common.PatientTelephoneNumbers = identity.telephone
    common.StudyInstanceUID = dicom_uid(study.uid_entropy, "study")
    common.StudyID = "1"
    return common


def file_meta(sop_class: str, sop_instance: str) -> Any:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    meta.ImplementationClassUID = UID(dicom_uid("penumbra", "simulate"))
    return meta


def ct_template(study: Study) -> Any:
    """Everything of a CT slice (DICOM PS3.3 A.3) that does not change along the series."""
    _, y, x = study.axes
    ct = common_attributes(study)
    ct.SOPClassUID = CT_STORAGE
    ct.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ct.Modality = "CT"
    ct.SeriesDescription = "Planning"
    ct.KVP = "120"
    ct.ConvolutionKernel = study.kernel
    ct.PatientPosition = "HFS"
    ct.SliceThickness = decimal_string(study.slice_mm)
    ct.SeriesInstanceUID = dicom_uid(study.uid_entropy, "series")
    ct.SeriesNumber = "2"
    ct.FrameOfReferenceUID = dicom_uid(study.uid_entropy, "frame")
    ct.PositionReferenceIndicator = ""
    ct.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ct.SamplesPerPixel = 1
    ct.PhotometricInterpretation = "MONOCHROME2"
    ct.Rows, ct.Columns = study.image.shape[1:]
    ct.PixelSpacing = [decimal_string(y[1] - y[0]), decimal_string(x[1] - x[0])]  # between rows, then between columns
    ct.BitsAllocated, ct.BitsStored, ct.HighBit = 16, 16, 15
    ct.PixelRepresentation = int(study.pixels.signed)
    ct.RescaleIntercept = decimal_string(study.pixels.intercept)
    ct.RescaleSlope = decimal_string(study.pixels.slope)
    ct.RescaleType = "HU"
    return ct


def encoded(dataset: Any) -> dict[int, bytes]:
    """Tag -> the element as it is written in a file; what all slices share is encoded once, which makes writing four times faster."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_data_element

    elements = {}
    for element in dataset:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, ["utf-8"])
        elements[int(element.tag)] = buffer.getvalue()
    return elements


def write_ct_slice(path: Path, template: Mapping[int, bytes], study: Study, k: int, uid: str, number: int) -> None:
    """Slice k: the elements of the template and its own, in the order of their tags."""
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info

    z, y, x = study.axes
    stored = np.round((study.image[k] - study.pixels.intercept) / study.pixels.slope)
    limits = (-32768, 32767) if study.pixels.signed else (0, 65535)
    attributes = Dataset()
    attributes.SOPInstanceUID = uid
    attributes.InstanceNumber = str(number)
    attributes.ImagePositionPatient = [decimal_string(x[0]), decimal_string(y[0]), decimal_string(z[k])]
    attributes.SliceLocation = decimal_string(z[k])
    attributes.add_new("PixelData", "OW", np.clip(stored, *limits).astype("<i2" if study.pixels.signed else "<u2").tobytes())
    meta = DicomBytesIO()
    meta.is_little_endian, meta.is_implicit_VR = True, False
    write_file_meta_info(meta, file_meta(CT_STORAGE, uid))
    elements = {**template, **encoded(attributes)}
    path.write_bytes(bytes(128) + b"DICM" + meta.getvalue() + b"".join(elements[tag] for tag in sorted(elements)))


def write_rtstruct(path: Path, study: Study, ct_uids: Sequence[str]) -> None:
    """The structure set (DICOM PS3.3 A.19): ROIs by number, contours CLOSED_PLANAR, each naming its slice."""
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as DicomSequence
    from pydicom.tag import Tag

    prefix = "other-" if study.foreign_frame else ""
    frame = dicom_uid(study.uid_entropy, prefix + "frame")
    referenced = [dicom_uid(study.uid_entropy, prefix + "ct", str(k)) for k in range(len(ct_uids))] if prefix else list(ct_uids)
    uid = dicom_uid(study.uid_entropy, "rs")

    def points_element(points: np.ndarray, z: float) -> RawDataElement:
        """ContourData as written in the file: pydicom would check every number on its own, which costs more than all the rest."""
        flat = np.column_stack([points, np.full(len(points), z)]).ravel()
        value = "\\".join(f"{v:.3f}" for v in flat).encode("ascii")
        value += b" " * (len(value) % 2)
        return RawDataElement(Tag("ContourData"), "DS", len(value), value, 0, False, True)

    def item(**attributes: Any) -> Dataset:
        dataset = Dataset()
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        return dataset

    rs = common_attributes(study)
    rs.file_meta = file_meta(RTSTRUCT_STORAGE, uid)
    rs.SOPClassUID, rs.SOPInstanceUID, rs.Modality = RTSTRUCT_STORAGE, uid, "RTSTRUCT"
    rs.SeriesInstanceUID = dicom_uid(study.uid_entropy, "rs-series")
    rs.SeriesNumber, rs.InstanceNumber = "3", "1"
    rs.OperatorsName = study.identity.physician
    rs.StructureSetLabel, rs.StructureSetDate, rs.StructureSetTime = "PLAN", study.study_date, "113000"
    images = [item(ReferencedSOPClassUID=CT_STORAGE, ReferencedSOPInstanceUID=u) for u in referenced]
    series = item(SeriesInstanceUID=dicom_uid(study.uid_entropy, prefix + "series"), ContourImageSequence=DicomSequence(images))
    in_study = item(
        ReferencedSOPClassUID=DETACHED_STUDY,
        ReferencedSOPInstanceUID=rs.StudyInstanceUID,
        RTReferencedSeriesSequence=DicomSequence([series]),
    )
    rs.ReferencedFrameOfReferenceSequence = DicomSequence([item(FrameOfReferenceUID=frame, RTReferencedStudySequence=DicomSequence([in_study]))])
    rs.StructureSetROISequence = DicomSequence(
        [item(ROINumber=str(r.number), ReferencedFrameOfReferenceUID=frame, ROIName=r.name, ROIGenerationAlgorithm="MANUAL") for r in study.rois]
    )
    rs.RTROIObservationsSequence = DicomSequence(
        [
            item(ObservationNumber=str(n), ReferencedROINumber=str(r.number), RTROIInterpretedType=r.kind, ROIInterpreter="")
            for n, r in enumerate(study.rois, start=1)
        ]
    )
    contoured = []
    for roi in reversed(study.rois):  # another order than the names: only the number connects them
        contours = []
        for k, polygons in sorted(roi.polygons.items()):
            for points in polygons:
                image = item(ReferencedSOPClassUID=CT_STORAGE, ReferencedSOPInstanceUID=referenced[k])
                contour = item(
                    ContourImageSequence=DicomSequence([image]),
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=str(len(points)),
                )
                contour[Tag("ContourData")] = points_element(points, study.axes[0][k])
                contours.append(contour)
        contoured.append(item(ROIDisplayColor=[str(c) for c in roi.color], ReferencedROINumber=str(roi.number)))
        if contours or study.layout == "nested":  # an ROI that was named and never drawn has none, or an empty one
            contoured[-1].ContourSequence = DicomSequence(contours)
    rs.ROIContourSequence = DicomSequence(contoured)
    rs.ApprovalStatus = "UNAPPROVED"
    rs.save_as(path, enforce_file_format=True)
