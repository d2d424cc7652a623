"""Enhanced CT: a whole series in one file, each frame with its own place, spacing and rescaling."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import BROKEN, SliceHeader, decoded, lenient, read_file
from penumbra.imaging.pixels import hu_of, pixels, undecodable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# The only attributes read from a multi-frame file before its pixels; none of them identifies a person.
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_HEADER = ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "NumberOfFrames", "Rows", "Columns", *_GROUPS)
_OF_ALL_FRAMES = ("PixelRepresentation", "BitsAllocated", "BitsStored", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept")
_HU = ("", "HU", "US")  # rescale types: left out, HU, and unspecified, which converters write; others are electron density, atomic number and the like


def frame_headers(path: Path) -> tuple[SliceHeader, ...] | None:
    """The frames of a multi-frame CT file as slices, localizers left out; None where any other frame lacks its place, or the file is damaged.

    What a frame does not say itself, it shares with the others.

    Raises
    ------
    Refusal
        `files_readable`.

    References
    ----------
    DICOM PS3.3 A.38 (Enhanced CT), A.70 (Legacy Converted Enhanced CT), C.7.6.16 (functional groups), C.7.6.16.2.1 (pixel measures), C.7.6.16.2.3 (plane
    position), C.7.6.16.2.4 (plane orientation).
    """
    try:
        dataset = read_file(path, _HEADER)
        with lenient():
            frames = dataset.PerFrameFunctionalGroupsSequence
            if not len(frames) == int(dataset.NumberOfFrames) > 0:
                return None
            headers = [_header(path, dataset, index) for index in range(len(frames)) if not _is_localizer(dataset, index)]
    except BROKEN:
        return None
    sound = all(
        header.orientation.shape == (6,)
        and header.position.shape == (3,)
        and np.isfinite([*header.orientation, *header.position, *header.spacing]).all()
        and min(header.spacing) > 0
        for header in headers
    )
    return tuple(headers) if sound else None


class SlicePixels:
    """The HU of slices, each a file or a frame of a file; the multi-frame file that was read last stays in memory with this object."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._dataset: Dataset | None = None

    def __call__(self, item: SliceHeader) -> np.ndarray:
        """The HU of one slice, as `pixels` gives them.

        Raises
        ------
        Refusal
            Rules pixels_readable, rescale_known, hu_range.
        """
        if item.number is None:
            return pixels(item.path)
        try:
            if self._path != item.path or self._dataset is None:
                self._path, self._dataset = item.path, read_file(item.path)
            with lenient():
                return hu_of(_as_slice(self._dataset, item.number - 1), decoded(self._dataset, item.number - 1))
        except (*BROKEN, MemoryError) as error:
            raise undecodable(error) from error


def _header(path: Path, dataset: "Dataset", index: int) -> SliceHeader:
    rows, columns = (float(value) for value in _group(dataset, index, "PixelMeasuresSequence").PixelSpacing)
    orientation = _group(dataset, index, "PlaneOrientationSequence").ImageOrientationPatient
    position = _group(dataset, index, "PlanePositionSequence").ImagePositionPatient
    source = _find_group(dataset, index, "ConversionSourceAttributesSequence")
    return SliceHeader(
        path=path,
        instance=str(dataset.SOPInstanceUID),
        series=str(dataset.SeriesInstanceUID),
        frame=str(dataset.get("FrameOfReferenceUID") or "") or None,
        size=(int(dataset.Rows), int(dataset.Columns)),
        spacing=(rows, columns),
        orientation=np.array([float(value) for value in orientation]),
        position=np.array([float(value) for value in position]),
        number=index + 1,
        converted=(str(source.ReferencedSOPInstanceUID),) if source is not None and "ReferencedSOPInstanceUID" in source else (),
    )


def _is_localizer(dataset: "Dataset", index: int) -> bool:
    kind = _find_group(dataset, index, "CTImageFrameTypeSequence")
    parts = (kind.get("FrameType") or []) if kind is not None else []
    return "LOCALIZER" in [str(part).upper() for part in ([parts] if isinstance(parts, str) else parts)]


def _as_slice(dataset: "Dataset", index: int) -> "Dataset":
    """The attributes that a single-slice file would have for the values of this frame.

    Raises
    ------
    Refusal
        `rescale_known: a frame holds values of type ED, not HU. ...`.

    References
    ----------
    DICOM PS3.3 C.7.6.16.2.9b (pixel value transformation), C.11.1.1.2 (rescale type).
    """
    from pydicom.dataset import Dataset

    plain = Dataset()
    for name in _OF_ALL_FRAMES:
        if name in dataset:
            plain[name] = dataset[name]
    transformation = _find_group(dataset, index, "PixelValueTransformationSequence")
    if transformation is not None:
        kind = str(transformation.get("RescaleType") or "").strip().upper()
        if kind not in _HU:
            raise Refusal("rescale_known", f"a frame holds values of type {kind[:16]}, not HU", "Send the reconstruction in HU that was contoured")
        plain.RescaleSlope, plain.RescaleIntercept = transformation.get("RescaleSlope"), transformation.get("RescaleIntercept")
    return plain


def _group(dataset: "Dataset", index: int, name: str) -> "Dataset":
    group = _find_group(dataset, index, name)
    if group is None:
        raise KeyError(name)
    return group


def _find_group(dataset: "Dataset", index: int, name: str) -> "Dataset | None":
    """One functional group of a frame: its own, or the one that all frames share."""
    for holder in (dataset.PerFrameFunctionalGroupsSequence[index], *(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]):
        if holder.get(name):
            group: Dataset = holder[name].value[0]
            return group
    return None
