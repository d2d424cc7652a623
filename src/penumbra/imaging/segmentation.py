"""DICOM SEG: the segments of a segmentation, and their voxels on the slices of a CT series."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import BROKEN, decoded, lenient, read_file, referenced
from penumbra.imaging.grid import bounding_box
from penumbra.imaging.raster import mask_at_half
from penumbra.imaging.spline import linear_matrix
from penumbra.imaging.stack import Stack
from penumbra.imaging.volume import Mask

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

INSIDE = 0.5  # share of a voxel from which on a fractional segment holds it, as for interpolated masks (IBSI reference manual 2019, 2.4)
_OFF = 0.1  # voxels by which a frame may be off its slice (exports round positions)


@dataclass(frozen=True)
class Segmentation:
    """What a segmentation says about itself: labels by segment number, the frame of reference, and the CT that it was drawn on."""

    names: dict[int, str]
    frame: str | None
    series: frozenset[str]
    instances: frozenset[str]
    dataset: "Dataset"


def read_segmentation(path: Path) -> Segmentation:
    """The directory of a DICOM SEG.

    Raises
    ------
    Refusal
        `segmentation_readable: ...`, `segmentation_type: a segmentation of type LABELMAP. ...`, `roi_numbers: two segments ...`.

    References
    ----------
    DICOM PS3.3 A.51, C.8.20.
    """
    try:
        dataset = read_file(path)
        with lenient():
            kind = str(dataset.get("SegmentationType") or "").upper()
            if kind not in ("BINARY", "FRACTIONAL"):
                raise Refusal("segmentation_type", f"a segmentation of type {kind or 'unknown'}", "Send it as BINARY or FRACTIONAL, or send an RTSTRUCT")
            numbers = [int(item.SegmentNumber) for item in dataset.SegmentSequence]
            if len(set(numbers)) < len(numbers):
                raise Refusal("roi_numbers", "two segments have one number", "Export the segmentation again; frames find their segment by number")
            names = {number: str(item.get("SegmentLabel") or "") for number, item in zip(numbers, dataset.SegmentSequence, strict=True)}
            series = {str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or []}
            instances = {
                name
                for frame in dataset.PerFrameFunctionalGroupsSequence
                for image in frame.get("DerivationImageSequence") or []
                for source in image.get("SourceImageSequence") or []
                for name in referenced(source)
            }
            return Segmentation(names, str(dataset.get("FrameOfReferenceUID") or "") or None, frozenset(series), frozenset(instances), dataset)
    except BROKEN as error:
        raise _damaged(error) from error


def segment_masks(drawing: Segmentation, numbers: Sequence[int], stack: Stack) -> list[Mask]:
    """One mask per segment number on the volume of its CT series.

    A fractional segment holds the voxels of which it fills at least half. Where slice gaps are uneven, the planes between slices are interpolated
    linearly, threshold 0.5.

    Raises
    ------
    Refusal
        `same_grid: the segmentation has 32 x 32 pixels of 2.00 x 2.00 mm ...`, `gtv_not_empty`, `segmentation_readable`.
    """
    image = stack.image
    try:
        with lenient():
            frames = list(_frames(drawing.dataset))
            _count_frames(drawing.dataset, len(frames))
            stored = decoded(drawing.dataset)
            highest = float(drawing.dataset.get("MaximumFractionalValue") or 1) if str(drawing.dataset.SegmentationType).upper() == "FRACTIONAL" else 1.0
    except (*BROKEN, MemoryError) as error:
        raise _damaged(error) from error
    stored = stored.reshape(-1, *stored.shape[-2:])
    if len(stored) != len(frames):
        raise _damaged(ValueError())
    masks = {number: np.zeros((len(stack.positions), *image.values.shape[1:]), dtype=bool) for number in numbers}
    filled: set[tuple[int, int, int]] = set()
    for (number, frame), values in zip(frames, stored, strict=True):
        if number not in masks:
            continue
        inside = values >= INSIDE * highest
        if not inside.any():
            continue
        axis, voxels = _voxels_of(frame, inside, stack)
        place = (number, axis, int(voxels[axis][0]))
        if place in filled:
            raise Refusal("same_grid", "two frames of one segment lie on the same slice", "Export the segmentation again")
        filled.add(place)
        masks[number][tuple(voxels)] = True
    return [Mask(_on_lattice(values, stack), image.spacing, image.origin, image.direction) for values in masks.values()]


def _count_frames(dataset: "Dataset", places: int) -> None:
    """Correct a number of frames that is not the number of places, where there are pixels for exactly these: some of NSCLC-Radiogenomics arrive so."""
    bits = places * int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated)
    length = (bits + 7) // 8
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or len(dataset.PixelData) != length + length % 2:
        return
    if int(dataset.get("NumberOfFrames") or 0) != places:
        dataset.NumberOfFrames = places


def segment_points(drawing: Segmentation, numbers: Sequence[int]) -> np.ndarray:
    """Centers of the first and last pixel of every frame of the segments, (n, 3) in mm, LPS.

    Raises
    ------
    Refusal
        `segmentation_readable`.
    """
    try:
        with lenient():
            rows, columns = int(drawing.dataset.Rows), int(drawing.dataset.Columns)
            places = [place for number, place in _frames(drawing.dataset) if number in numbers]
    except BROKEN as error:
        raise _damaged(error) from error
    ends = [
        place.position + (rows - 1) * place.spacing[0] * place.orientation[3:] + (columns - 1) * place.spacing[1] * place.orientation[:3] for place in places
    ]
    return np.array([*(place.position for place in places), *ends]).reshape(-1, 3)


def _on_lattice(slices_mask: np.ndarray, stack: Stack) -> np.ndarray:
    """A mask of the slices, (slices, y, x), on the planes of the volume."""
    planes = np.arange(stack.image.values.shape[0]) * stack.image.spacing[0]
    if len(planes) == len(slices_mask):
        return slices_mask
    place = np.interp(planes, stack.positions, np.arange(len(slices_mask)))
    mask = np.zeros(stack.image.values.shape, dtype=bool)
    rows = bounding_box(slices_mask)[1:]
    mask[:, *rows] = mask_at_half(np.tensordot(linear_matrix(len(slices_mask), place), slices_mask[:, *rows], axes=(1, 0)))
    return mask


@dataclass(frozen=True)
class _Frame:
    """Place of a frame: pixel spacing (row, column) in mm, orientation (6,), center of the first pixel (3,) in mm, LPS."""

    spacing: np.ndarray
    orientation: np.ndarray
    position: np.ndarray


def _frames(dataset: "Dataset") -> "Sequence[tuple[int, _Frame]]":
    """Segment number and place of every frame, in the order of the pixels."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    frames = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:

        def group(name: str, frame: "Dataset" = frame) -> "Dataset":
            holder = frame if name in frame else shared
            item: Dataset = holder[name].value[0]
            return item

        place = _Frame(
            np.array(group("PixelMeasuresSequence").PixelSpacing, dtype=float),
            np.array(group("PlaneOrientationSequence").ImageOrientationPatient, dtype=float),
            np.array(group("PlanePositionSequence").ImagePositionPatient, dtype=float),
        )
        frames.append((int(group("SegmentIdentificationSequence").ReferencedSegmentNumber), place))
    return frames


def _voxels_of(frame: _Frame, inside: np.ndarray, stack: Stack) -> tuple[int, np.ndarray]:
    """The axis of the CT (z, y, x) that the frame lies across, and the voxels (3, n) of its pixels that are `inside`, voxel on voxel.

    A frame may run along other axes than the slices, or the other way round: the voxels are the same.
    """
    image, direction = stack.image, stack.image.direction
    row_mm, column_mm = image.spacing[1:]
    gap = float(np.diff(stack.positions).min())
    steps = np.stack([frame.orientation[3:] * frame.spacing[0], frame.orientation[:3] * frame.spacing[1]]) @ direction  # down, along; x, y, z
    axes = np.abs(steps).argmax(axis=1)
    turned = np.abs(steps).copy()
    turned[[0, 1], axes] = 0.0
    if axes[0] == axes[1] or turned.max() > 1e-3 * np.abs(steps).max():
        raise Refusal("same_grid", "the segmentation is turned against the CT", "Send the segmentation on the slices of the planning CT")
    sizes = np.array([column_mm, row_mm, gap])
    if np.abs(np.abs(steps[[0, 1], axes]) - sizes[axes]).max() > 1e-3:
        raise Refusal(
            "same_grid",
            f"the segmentation has {inside.shape[0]} x {inside.shape[1]} pixels of {frame.spacing[0]:.2f} x {frame.spacing[1]:.2f} mm, "
            f"the CT {image.values.shape[1]} x {image.values.shape[2]} of {row_mm:.2f} x {column_mm:.2f} mm",
            "Send the segmentation on the slices of the planning CT",
        )
    rows, columns = np.nonzero(inside)
    corner = (frame.position - np.asarray(image.origin)) @ direction
    x, y, height = (corner + rows[:, None] * steps[0] + columns[:, None] * steps[1]).T
    plane = np.abs(height[:, None] - stack.positions).argmin(axis=1) if axes.max() == 2 else np.full(len(x), np.abs(stack.positions - height[0]).argmin())
    voxels = np.stack([plane, np.rint(y / row_mm).astype(np.int64), np.rint(x / column_mm).astype(np.int64)])
    offsets = np.stack([height - stack.positions[plane], y - voxels[1] * row_mm, x - voxels[2] * column_mm])
    furthest = np.abs(offsets).max(axis=1)
    outside = ((voxels < 0) | (voxels >= np.array(image.values.shape)[:, None]))[1:].any()
    if outside or (furthest > np.array([2 * gap, row_mm, column_mm]) * _OFF).any():
        raise Refusal(
            "same_grid",
            f"a frame of the segmentation lies {furthest[2]:.1f}, {furthest[1]:.1f} and {furthest[0]:.1f} mm off its slice",
            "Send the segmentation on the slices of the planning CT, and all of those",
        )
    return 2 - (3 - int(axes.sum())), voxels


def _damaged(error: BaseException) -> Refusal:
    return Refusal("segmentation_readable", f"the DICOM SEG is damaged ({type(error).__name__})", "Export the segmentation again")
