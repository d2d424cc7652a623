"""RTSTRUCT: the structures of a structure set, and their contours on the slices of a volume."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra.imaging.contours import Contours, Plane, Region
from penumbra.imaging.dicom import BROKEN, lenient, read_file
from penumbra.imaging.volume import Volume
from penumbra.refusal import Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_ON_SLICE = 0.2  # share of the slice gap within which a contour lies on its slice (exports round positions)
_SAME_MM = 1e-3  # between the points of two contours that are one
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


@dataclass(frozen=True)
class Structure:
    """One ROI of a structure set.

    frame     of reference that it is drawn in.
    contours  closed ones, each (n, 3) in mm, LPS.
    slices    per contour the SOP instance UID of the slice that it names; None where it names none or several.
    ignored   contours that enclose nothing.
    """

    name: str
    number: int
    frame: str | None
    contours: tuple[np.ndarray, ...]
    slices: tuple[str | None, ...]
    ignored: int = 0

    @property
    def instances(self) -> frozenset[str]:
        """Slices that the contours name."""
        return frozenset(name for name in self.slices if name)


@dataclass(frozen=True)
class StructureSet:
    """What a structure set says about itself: names by ROI number, frames by ROI number, the CT series and slices it was drawn on."""

    names: dict[int, str]
    frames: dict[int, str | None]
    drawn: frozenset[int]
    series: frozenset[str]
    instances: frozenset[str]
    saved: str
    dataset: "Dataset"


def read_structure_set(path: Path) -> StructureSet:
    """The directory of a structure set; contour points are read by `structure`.

    Raises Refusal: `structure_set_readable: the RTSTRUCT is damaged (...). ...`, `roi_numbers: two structures have the number 3. ...`.

    Source: DICOM PS3.3 C.8.8.5, C.8.8.6.
    """
    try:
        dataset = read_file(path)
        with lenient():
            named = _by_number(dataset.get("StructureSetROISequence"), "ROINumber")
            contoured = _by_number(dataset.get("ROIContourSequence"), "ReferencedROINumber")
            frames, series, instances = [], set(), set()
            for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
                frames.append(str(frame.get("FrameOfReferenceUID") or ""))
                for study in frame.get("RTReferencedStudySequence") or []:
                    for item in study.get("RTReferencedSeriesSequence") or []:
                        series.add(str(item.SeriesInstanceUID))
                        instances |= set(_instances(item))
            for item in contoured.values():
                for contour in item.get("ContourSequence") or []:
                    instances |= set(_instances(contour))
            only_frame = frames[0] if len(frames) == 1 else ""  # of a structure that names none itself
            return StructureSet(
                names={number: _name(item) for number, item in named.items()},
                frames={number: str(item.get("ReferencedFrameOfReferenceUID") or only_frame) or None for number, item in named.items()},
                drawn=frozenset(number for number, item in contoured.items() if item.get("ContourSequence")),
                series=frozenset(series),
                instances=frozenset(instances),
                saved=f"{dataset.get('StructureSetDate') or ''}{dataset.get('StructureSetTime') or ''}",
                dataset=dataset,
            )
    except BROKEN as error:
        raise Refusal("structure_set_readable", f"the RTSTRUCT is damaged ({type(error).__name__})", "Export the structure set again") from error


def structure(drawing: StructureSet, number: int) -> Structure:
    """One ROI with its contour points, found by ROI number and never by its place in a sequence.

    POINT and OPEN_PLANAR contours and those of fewer than three points enclose nothing: they are counted in `ignored`.

    Raises Refusal: `contour_data: a contour of 'GTV-1' has 7 numbers, which are not points in space. ...`.
    """
    name = drawing.names[number].strip()
    closed: list[np.ndarray] = []
    slices: list[str | None] = []
    ignored = 0
    try:
        with lenient():
            for contour in _contour_items(drawing.dataset, number):
                numbers = np.array(_floats(contour.get("ContourData")))
                kind = str(contour.get("ContourGeometricType") or "CLOSED_PLANAR").upper()
                if kind not in _CLOSED:
                    ignored += 1
                    continue
                if numbers.size % 3 or not np.isfinite(numbers).all():
                    raise Refusal(
                        "contour_data",
                        f"a contour of {name!r} has {numbers.size} numbers, which are not points in space",
                        "Export the structure set again",
                    )
                points = numbers.reshape(-1, 3)
                if len(points) < 3:
                    ignored += 1
                else:
                    closed.append(points)
                    on = list(_instances(contour))
                    slices.append(on[0] if len(on) == 1 and on[0] else None)
    except BROKEN as error:
        raise Refusal("contour_data", f"the contours of {name!r} are damaged ({type(error).__name__})", "Export the structure set again") from error
    return Structure(name, number, drawing.frames[number], tuple(closed), tuple(slices), ignored)


def place(
    structures: Sequence[Structure], image: Volume, positions: np.ndarray, heights: Mapping[str, float] | None = None
) -> tuple[Contours, tuple[str, ...]]:
    """The contours of the structures on the planes of a volume, and notes.

    image      on whose slices they were drawn.
    positions  mm along the normal from voxel plane 0 of the slices that arrived.
    heights    the same for every slice by its SOP instance UID: a contour that names a slice must lie on it.

    A contour within a fifth of a gap from a slice lies on it. Each stands for the slab that ends halfway to its neighbours: the next contour plane,
    where no slice between them was left out, or all between them regularly are (every second or third slice is drawn); otherwise the next slice.

    Raises Refusal: rules contours_parallel, contours_on_image, contours_on_named_slices.
    """
    notes: list[str] = []
    regions: list[Region] = []
    named = off = 0
    for item in structures:
        found, beyond = _planes(item, image, positions, notes)
        _check_named_slices(item, image, positions, heights or {})
        named += len(found) + beyond
        off += beyond
        if found:
            regions.append(Region(item.name, item.number, found))
        if item.ignored:
            notes.append(f"{item.ignored} contours of {item.name!r} that enclose nothing (points, open lines) were ignored.")
    if not regions:
        raise Refusal("contours_on_image", "all contours lie beyond the first or last slice", "Send all slices of the contoured CT")
    if off:
        notes.append(f"{off} of {named} contour planes lie beyond the scan.")
    return Contours(tuple(regions), named, off), tuple(notes)


def _check_named_slices(item: Structure, image: Volume, positions: np.ndarray, heights: Mapping[str, float]) -> None:
    """Contours whose points lie more than half a gap from the slice that they name were moved against the CT, or belong to another one."""
    gap = float(np.diff(positions).max())
    apart = [
        abs(float(((points - np.asarray(image.origin)) @ image.direction)[:, 2].mean()) - heights[name])
        for points, name in zip(item.contours, item.slices, strict=True)
        if name is not None and name in heights
    ]
    off = [distance for distance in apart if distance > (0.5 + _ON_SLICE) * gap]
    if off:
        raise Refusal(
            "contours_on_named_slices",
            f"{len(off)} contours of {item.name!r} lie up to {max(off):.1f} mm from the slices that they name",
            "Export the structure set again together with its CT",
        )


def _planes(item: Structure, image: Volume, positions: np.ndarray, notes: list[str]) -> tuple[tuple[Plane, ...], int]:
    gap = float(np.median(np.diff(positions)))
    edges = np.concatenate([[positions[0] - (positions[1] - positions[0]) / 2], (positions[1:] + positions[:-1]) / 2])
    edges = np.append(edges, positions[-1] + (positions[-1] - positions[-2]) / 2)

    rings: dict[float, list[np.ndarray]] = {}
    copies = 0
    beyond: set[float] = set()
    for points in item.contours:
        framed = (points - np.asarray(image.origin)) @ image.direction
        height = float(framed[:, 2].mean())
        if np.ptp(framed[:, 2]) > max(2 * _ON_SLICE * gap, 0.1):
            raise Refusal(
                "contours_parallel",
                f"a contour of {item.name!r} spans {np.ptp(framed[:, 2]):.1f} mm across the slices",
                "Contour on the slices of the planning CT, or export the structure set for this series",
            )
        if not edges[0] - _ON_SLICE * gap <= height <= edges[-1] + _ON_SLICE * gap:
            beyond.add(round(height, 1))
            continue
        nearest = int(np.abs(positions - height).argmin())
        on_slice = abs(positions[nearest] - height) <= _ON_SLICE * gap
        key = float(positions[nearest]) if on_slice else next((known for known in rings if abs(known - height) < 0.05 * gap), height)
        drawn = rings.setdefault(key, [])
        ring = framed[:, :2].copy()
        if any(_same_ring(ring, other) for other in drawn):
            copies += 1  # by the even-odd rule a second copy would erase the first
        else:
            drawn.append(ring)
    if copies:
        notes.append(f"{copies} contours of {item.name!r} that were sent twice were taken once.")
    heights = np.array(sorted(rings))
    lower, upper = _slabs(heights, positions, edges, item.name, notes) if rings else (heights, heights)
    return tuple(Plane(float(at), float(low), float(high), tuple(rings[float(at)])) for at, low, high in zip(heights, lower, upper, strict=True)), len(beyond)


def _slabs(heights: np.ndarray, positions: np.ndarray, edges: np.ndarray, name: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the slab of each contour plane, halfway to the neighbours.

    heights    of the contour planes, increasing, mm.
    positions  of the slices; `edges` halfway between them and as far beyond the first and the last.
    """
    between = np.searchsorted(positions, heights[1:], side="left") - np.searchsorted(positions, heights[:-1], side="right")
    usual = int(np.sort(between)[(len(between) - 1) // 2]) if len(between) > 1 else 0  # slices between two contours; the smaller median
    on_slice = np.isin(heights, positions)
    if not on_slice.all():
        notes.append(f"{np.count_nonzero(~on_slice)} contour planes of {name!r} lie between slices; each stands for half the way to the next contours.")
    elif usual:
        notes.append(f"{name!r} is drawn on every {usual + 1}. slice; the slices between were filled halfway to the next contour.")
    middle = (heights[1:] + heights[:-1]) / 2
    neighbours = between <= usual
    below = np.concatenate([[np.nan], np.where(neighbours, heights[1:] - middle, np.nan)])
    above = np.concatenate([np.where(neighbours, middle - heights[:-1], np.nan), [np.nan]])

    # without a neighbour on one side: as far as on the other; on slices that were all drawn, as far as the slice itself reaches
    cell = np.clip(np.searchsorted(edges, heights, side="right") - 1, 0, len(positions) - 1)
    half_gap = float(np.median(np.diff(positions))) / 2
    reach_below = np.where(np.isnan(above), half_gap, above)
    reach_above = np.where(np.isnan(below), half_gap, below)
    if on_slice.all() and not usual:
        reach_below, reach_above = heights - edges[cell], edges[cell + 1] - heights
    return heights - np.where(np.isnan(below), reach_below, below), heights + np.where(np.isnan(above), reach_above, above)


def _same_ring(ring: np.ndarray, other: np.ndarray) -> bool:
    """Are two contours, (n, 2) in mm, one and the same, wherever they start and whichever way they run?"""
    if ring.shape != other.shape:
        return False
    starts = np.flatnonzero(np.abs(other - ring[0]).max(axis=1) < _SAME_MM)
    turned = (np.roll(way, shift, axis=0) for start in starts for way, shift in ((other, -start), (other[::-1], start + 1)))
    return any(np.abs(candidate - ring).max() < _SAME_MM for candidate in turned)


def _name(item: "Dataset") -> str:
    """The name as sent; one that holds a backslash arrives in parts."""
    value = item.get("ROIName") or ""
    return value if isinstance(value, str) else "\\".join(map(str, value))


def _by_number(items: "Iterable[Dataset] | None", key: str) -> dict[int, "Dataset"]:
    found: dict[int, Dataset] = {}
    for item in items or []:
        number = int(item[key].value)
        if number in found:
            raise Refusal("roi_numbers", f"two structures have the number {number}", "Export the structure set again; contours find their name by number")
        found[number] = item
    return found


def _contour_items(dataset: "Dataset", number: int) -> Iterator["Dataset"]:
    for item in dataset.get("ROIContourSequence") or []:
        if int(item.ReferencedROINumber) == number:
            yield from item.get("ContourSequence") or []


def _instances(item: "Dataset") -> Iterator[str]:
    for reference in item.get("ContourImageSequence") or []:
        yield str(reference.get("ReferencedSOPInstanceUID") or "")


def _floats(values: Any) -> list[float]:
    if values is None:
        return []
    if isinstance(values, bytes):  # more than 64 kB with an explicit VR can only be sent as of unknown VR
        values = values.decode("ascii").strip(" \0").split("\\")
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        values = [values]
    return [float(value) for value in values]
