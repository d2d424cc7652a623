"""DICOM files of a patient: what a folder contains, and the slices of one CT series."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import BROKEN, SliceHeader, lenient, read_file
from penumbra.imaging.enhanced import frame_headers
from penumbra.imaging.folder import files_below, readable
from penumbra.imaging.plain_file import CT, plain_slice
from penumbra.imaging.unread import packed

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


# The only attributes read from image files. PatientID is compared among the files of a folder and forgotten; none of the others identifies a person.
_HEADER = (
    "PatientID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImageType",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)
_MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")  # Enhanced CT, Legacy Converted Enhanced CT
_MODALITIES = {
    CT: "CT",
    **dict.fromkeys(_MULTI_FRAME, "CT"),
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
}  # where it is left out
_NAMED_DICOM = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class DicomFolder:
    """DICOM content of a folder; `notes` lists what was left out, `foreign` the files of other modalities."""

    slices: tuple[SliceHeader, ...]
    structure_sets: tuple[Path, ...]
    segmentations: tuple[Path, ...]
    files: int
    notes: tuple[str, ...]
    foreign: str = ""


def find_dicom(folder: Path) -> DicomFolder:
    """All CT slices, structure sets and segmentations below `folder`, recognized by content, whatever their names and nesting.

    Raises
    ------
    Refusal
        `files_readable`, `one_patient: CT and contours of 2 patients in one folder. ...`, `slice_geometry: 3 CT files lack position, orientation or pixel
        spacing. ...`, `classic_ct: 24 files of modality CT are of class Secondary Capture Image, which need not hold HU. ...`.
    """
    slices: list[SliceHeader] = []
    structure_sets: list[Path] = []
    segmentations: list[Path] = []
    placeless: list[str] = []
    persons: set[str] = set()
    foreign: Counter[str] = Counter()
    modalities: Counter[str] = Counter()
    files = broken = localizers = without_places = 0
    for path in files_below(folder):
        files += 1
        if not _looks_like_dicom(path):
            broken += path.name.lower().endswith(_NAMED_DICOM)
            continue
        plain = plain_slice(path)
        if plain is not None:
            persons.add(plain.patient.strip().casefold())
            localizers += plain.localizer
            slices += [] if plain.localizer else [plain.header]
            continue
        try:
            header = _header(path)
            with lenient():
                modality = str(header.get("Modality", ""))
                meta = getattr(header, "file_meta", {})  # of a file that was cut off, it may be all there is
                kind = str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
                stated = _MODALITIES.get(str(meta.get("MediaStorageSOPClassUID") or "")) or _MODALITIES.get(kind, "")
                if not modality or stated == "RTSTRUCT":  # left out, or cut off within its value
                    modality = stated
            described_at_all = bool(kind or modality)
        except BROKEN:
            described_at_all = False
        if not described_at_all:
            broken += 1
            continue
        if modality in ("CT", "RTSTRUCT", "SEG"):
            persons.add(str(header.get("PatientID") or "").strip().casefold())
        if modality == "RTSTRUCT":
            structure_sets.append(path)
        elif modality == "SEG":
            segmentations.append(path)
        elif modality == "CT":
            image_type = header.get("ImageType") or []
            if "LOCALIZER" in [str(part).upper() for part in ([image_type] if isinstance(image_type, str) else image_type)]:
                localizers += 1
            elif kind not in ("", CT, *_MULTI_FRAME):
                foreign[_class_name(kind)] += 1
            elif kind in _MULTI_FRAME or _many_frames(header):
                frames = frame_headers(path)
                without_places += frames is None
                localizers += frames == ()
                slices += frames or ()
            else:
                described = _slice_header(path, header)
                if described is None and "SeriesInstanceUID" not in header:
                    broken += 1
                elif described is None:
                    placeless.append(str(header.get("SeriesInstanceUID", "")))
                else:
                    slices.append(described)
        elif re.fullmatch(r"[A-Z]{2,16}", modality):
            modalities[modality] += 1
    if len(persons - {""}) > 1:
        raise Refusal("one_patient", f"CT and contours of {len(persons - {''})} patients in one folder", "Give every patient a folder of its own")
    series = {item.series for item in slices}
    if placeless and (not slices or series & set(placeless)):
        raise Refusal(
            "slice_geometry",
            f"{len(placeless)} CT files lack position, orientation or pixel spacing",
            "Export the series again with ImagePositionPatient, ImageOrientationPatient and PixelSpacing in every slice",
        )
    if without_places and not slices:
        raise Refusal(
            "classic_ct",
            f"{without_places} multi-frame CT files do not say where each of their frames is",
            "Export the series again as Enhanced CT with position, orientation and pixel spacing of every frame, or as one file per slice (CT Image Storage)",
        )
    if foreign and not slices:
        raise Refusal(
            "classic_ct",
            f"{foreign.total()} files of modality CT are of class {' and '.join(sorted(foreign))}, which need not hold HU",
            "Export the original series from the scanner's archive as CT Image Storage or Enhanced CT Image Storage",
        )
    originals = {item.instance for item in slices if item.number is None}
    copies = sum(bool(item.converted) and originals.issuperset(item.converted) for item in slices)
    slices = [item for item in slices if not item.converted or not originals.issuperset(item.converted)]
    notes = [f"{archives} was left out."] if (archives := packed(folder)) else []
    if without_places:
        notes.append(f"{without_places} multi-frame CT files were left out.")
    if broken:
        notes.append(f"{broken} damaged DICOM files were left out.")
    if copies:
        notes.append(f"{copies} frames that were converted from slices that are here were left out.")
    others = localizers + foreign.total() + len(placeless)
    if others:
        notes.append(f"{others} localizers and other pictures of modality CT were left out.")
    other_modalities = f" ({', '.join(f'{count} of modality {name}' for name, count in sorted(modalities.items()))})" if modalities else ""
    return DicomFolder(tuple(slices), tuple(structure_sets), tuple(segmentations), files, tuple(notes), other_modalities)


def _many_frames(header: "Dataset") -> bool:
    try:
        return int(header.get("NumberOfFrames") or 1) > 1
    except BROKEN:
        return True  # which it is, if it says where they are


def _class_name(kind: str) -> str:
    """The DICOM name of a storage class; an unknown one may hold anything."""
    from pydicom.uid import UID

    name = UID(kind).name
    return "unknown" if name == kind else name.removesuffix(" Storage")


def _looks_like_dicom(path: Path) -> bool:
    """The preamble, or a data set that starts with group 0008 in little endian, as old archives write it."""
    with readable(), path.open("rb") as stream:
        start = stream.read(132)
    return start[128:132] == b"DICM" or (len(start) == 132 and start[:2] == b"\x08\x00" and start[2:4] in (b"\x00\x00", b"\x05\x00", b"\x08\x00"))


def _header(path: Path) -> "Dataset":
    """The attributes in `_HEADER`. Of a data set that cannot be read, such as a deflated one that was cut off, the class that the file meta information has.

    Raises one of BROKEN where that is damaged too.
    """
    from pydicom.dataset import Dataset
    from pydicom.filereader import read_file_meta_info

    try:
        return read_file(path, _HEADER)
    except BROKEN:
        with readable(), lenient():
            kind = read_file_meta_info(path).MediaStorageSOPClassUID
        header = Dataset()
        header.SOPClassUID = kind
        return header


def _slice_header(path: Path, header: "Dataset") -> SliceHeader | None:
    try:
        orientation = np.array([float(value) for value in header.ImageOrientationPatient])
        position = np.array([float(value) for value in header.ImagePositionPatient])
        rows, columns = (float(value) for value in header.PixelSpacing)
        described = SliceHeader(
            path=path,
            instance=str(header.SOPInstanceUID),
            series=str(header.SeriesInstanceUID),
            frame=str(header.get("FrameOfReferenceUID") or "") or None,
            size=(int(header.Rows), int(header.Columns)),
            spacing=(rows, columns),
            orientation=orientation,
            position=position,
        )
    except BROKEN:
        return None
    numbers = np.concatenate([orientation, position, [rows, columns]])
    if orientation.shape != (6,) or position.shape != (3,) or not np.isfinite(numbers).all() or min(rows, columns) <= 0:
        return None
    return described
