"""RTSTRUCT: the structures of a structure set, and their contours on the slices of a volume."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.contours import Contours, Region
from penumbra.imaging.dicom_file import BROKEN, lenient, read_file, referenced
from penumbra.imaging.folder import readable
from penumbra.imaging.overlaps import arranged
from penumbra.imaging.planimetry import planimetric_mm3
from penumbra.imaging.slabs import Slices, slabs
from penumbra.imaging.volume import Volume
from penumbra.imaging.whole import top_level_tags

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_ON_SLICE = 0.2  # share of the slice gap within which a contour lies on its slice (exports round positions)
_ROUNDED = 0.02  # share of the slice gap within which all contours of a structure lie equally far from their slices
_SAME_PLANE, _SAME_PLANE_MM = 0.05, 0.2  # share of the slice gap, and mm, within which contours lie on one plane
_MISSING = 1.5  # slice gaps; drawn more sparsely a structure skips slices
_REQUIRED = {0x30060020: "StructureSetROISequence", 0x30060039: "ROIContourSequence"}
_SAVED = ("StructureSet", "Series", "InstanceCreation", "Content")  # each with Date and Time: when it was saved, the best evidence first
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


@dataclass(frozen=True)
class Structure:
    """One ROI of a structure set.

    Parameters
    ----------
    frame
        Of reference that it is drawn in.
    contours
        Closed ones, each (n, 3) in mm, LPS.
    slices
        Per contour the slice that it names, see `referenced`; None where it names none or several.
    ignored
        Contours that enclose nothing.
    exclusive
        Whether any of them is CLOSEDPLANAR_XOR: overlaps are left out instead of united.
    """

    name: str
    number: int
    frame: str | None
    contours: tuple[np.ndarray, ...]
    slices: tuple[str | None, ...]
    ignored: int = 0
    exclusive: bool = False

    @property
    def instances(self) -> frozenset[str]:
        """Slices that the contours name."""
        return frozenset(name for name in self.slices if name)


@dataclass(frozen=True)
class StructureSet:
    """What a structure set says about itself: names by ROI number, frames by ROI number, the CT series and slices it was drawn on.

    Parameters
    ----------
    approval
        ApprovalStatus, in capitals; empty where it has none.
    saved
        Attribute -> its date and time as sent, in the order in which they count: StructureSet, Series, InstanceCreation, Content.
    """

    names: dict[int, str]
    frames: dict[int, str | None]
    contoured: frozenset[int]
    series: frozenset[str]
    instances: frozenset[str]
    approval: str
    saved: Mapping[str, tuple[str, str]]
    dataset: "Dataset"


def read_structure_set(path: Path) -> StructureSet:
    """The directory of a structure set; contour points are read by `structure`.

    Raises
    ------
    Refusal
        `structure_set_readable: the RTSTRUCT is damaged (...). ...`, also where it was cut off, `roi_numbers: two structures have the number 3. ...`.

    References
    ----------
    DICOM PS3.3 C.8.8.5, C.8.8.6.
    """
    try:
        with readable():
            content = path.read_bytes()
        tags = top_level_tags(content)
        missing = [name for tag, name in _REQUIRED.items() if tag not in tags]
        if missing:
            raise ValueError(missing[0])
        dataset = read_file(path)
        with lenient():
            by_number = _by_number(dataset.get("StructureSetROISequence"), "ROINumber")
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
                names={number: _name(item) for number, item in by_number.items()},
                frames={number: str(item.get("ReferencedFrameOfReferenceUID") or only_frame) or None for number, item in by_number.items()},
                contoured=frozenset(number for number, item in contoured.items() if item.get("ContourSequence")),
                series=frozenset(series),
                instances=frozenset(instances),
                approval=_text(dataset, "ApprovalStatus").upper(),
                saved={kind: (_text(dataset, f"{kind}Date"), _text(dataset, f"{kind}Time")) for kind in _SAVED},
                dataset=dataset,
            )
    except BROKEN as error:
        cause = str(error) if isinstance(error, ValueError) and str(error) == "cut off" else f"damaged, {type(error).__name__}"
        raise Refusal("structure_set_readable", f"the RTSTRUCT does not arrive whole ({cause})", "Export the structure set again") from error


def structure(drawing: StructureSet, number: int) -> Structure:
    """One ROI with its contour points, found by ROI number and never by its place in a sequence.

    POINT and OPEN_PLANAR contours and those of fewer than three points enclose nothing: they are counted in `ignored`.

    Raises
    ------
    Refusal
        `contour_data: a contour of 'GTV-1' has 7 numbers, which are not points in space. ...`.
    """
    name = drawing.names[number].strip()
    contours: list[np.ndarray] = []
    slices: list[str | None] = []
    ignored = 0
    exclusive = False
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
                    contours.append(points)
                    exclusive |= kind != "CLOSED_PLANAR"
                    on = list(_instances(contour))
                    slices.append(on[0] if len(on) == 1 and on[0] else None)
    except BROKEN as error:
        raise Refusal("contour_data", f"the contours of {name!r} are damaged ({type(error).__name__})", "Export the structure set again") from error
    return Structure(name, number, drawing.frames[number], tuple(contours), tuple(slices), ignored, exclusive)


def place(
    structures: Sequence[Structure], image: Volume, positions: np.ndarray, heights: Mapping[str, float] | None = None
) -> tuple[Contours, tuple[str, ...]]:
    """The contours of the structures on the planes of a volume, and notes.

    Parameters
    ----------
    image
        On whose slices they were drawn.
    positions : mm
        Along the normal from voxel plane 0 of the slices that arrived.
    heights
        The same for every slice by its SOP instance UID: a contour that names a slice must lie on it.

    Raises
    ------
    Refusal
        Rules contours_parallel, contours_on_image, contours_on_named_slices.

    Notes
    -----
    Each contour plane represents the slab that ends halfway to the next plane of the same part (see `slabs`), whatever slices lie between.
    """
    notes: list[str] = []
    regions: list[Region] = []
    planes_named = off = crossing = 0
    for item in structures:
        region, beyond, across = _region(item, image, Slices(positions), notes)
        _check_named_slices(item, image, positions, heights or {})
        planes_named += len({plane.position for plane in region.planes}) + beyond
        off += beyond
        crossing += across
        if region.planes:
            regions.append(region)
        if item.ignored:
            notes.append(f"{item.ignored} contours of {item.name!r} that enclose nothing (points, open lines) were ignored.")
    if not regions:
        raise Refusal("contours_on_image", "all contours lie beyond the first or last slice", "Send all slices of the contoured CT")
    if off:
        notes.append(f"{off} of {planes_named} contour planes lie beyond the scan.")
    return Contours(tuple(regions), planes_named, crossing), tuple(notes)


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


def _region(item: Structure, image: Volume, slices: Slices, notes: list[str]) -> tuple[Region, int, int]:
    """A structure on the planes of the volume; how many of its planes lie beyond the scan, how many contours cross another."""
    gap, edges = slices.gap, slices.edges
    rings: list[tuple[float, np.ndarray]] = []
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
        if edges[0] - _ON_SLICE * gap <= height <= edges[-1] + _ON_SLICE * gap:
            rings.append((height, framed[:, :2].copy()))
        else:
            beyond.add(round(height, 1))
    if not rings:
        return Region(item.name, item.number, (), 0.0), len(beyond), 0
    heights, groups = _on_planes(rings, gap)
    pixel_mm = min(image.spacing[1:])
    arrangements = [arranged(group, pixel_mm, exclusive=item.exclusive) for group in groups]
    copies, crossing = sum(plane.copies for plane in arrangements), sum(plane.crossing for plane in arrangements)
    if copies:
        notes.append(f"{copies} contours of {item.name!r} that were sent twice were taken once.")
    nearest = slices.positions[np.abs(heights[:, None] - slices.positions).argmin(axis=1)]
    moved = heights - nearest
    on_slices = bool(np.abs(moved).max() <= _ON_SLICE * gap and np.ptp(moved) <= max(_ROUNDED * gap, 0.01))
    placed = nearest if on_slices else heights
    planes, usual = slabs(placed, arrangements, slices, pixel_mm, on_slices=on_slices)
    between = int(np.count_nonzero(np.abs(moved) > _ON_SLICE * gap))
    if between:
        notes.append(f"{between} contour planes of {item.name!r} lie between slices; each represents half the way to the next contours.")
    elif usual > _MISSING * gap:
        notes.append(f"{item.name!r} is drawn on every {round(usual / gap)}. slice; the slices between were filled halfway to the next contour.")
    return Region(item.name, item.number, planes, planimetric_mm3(heights, arrangements, slices.positions)), len(beyond), crossing


def _on_planes(rings: Sequence[tuple[float, np.ndarray]], gap: float) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Contours that lie at one height but for rounding as one plane: heights (mean), and the contours of each."""
    groups: list[list[tuple[float, np.ndarray]]] = []
    for height, ring in sorted(rings, key=lambda entry: entry[0]):
        if groups and height - groups[-1][0][0] < min(_SAME_PLANE * gap, _SAME_PLANE_MM):
            groups[-1].append((height, ring))
        else:
            groups.append([(height, ring)])
    return np.array([np.mean([height for height, _ in group]) for group in groups]), [[ring for _, ring in group] for group in groups]


def _text(dataset: "Dataset", attribute: str) -> str:
    return str(dataset.get(attribute) or "").strip()


def _name(item: "Dataset") -> str:
    """The name as sent; one that holds a backslash arrives in parts."""
    value = item.get("ROIName") or ""
    return value if isinstance(value, str) else "\\".join(map(str, value))


def _by_number(items: "Iterable[Dataset] | None", key: str) -> dict[int, "Dataset"]:
    items_by_number: dict[int, Dataset] = {}
    for item in items or []:
        number = int(item[key].value)
        if number in items_by_number:
            raise Refusal("roi_numbers", f"two structures have the number {number}", "Export the structure set again; contours find their name by number")
        items_by_number[number] = item
    return items_by_number


def _contour_items(dataset: "Dataset", number: int) -> Iterator["Dataset"]:
    for item in dataset.get("ROIContourSequence") or []:
        if int(item.ReferencedROINumber) == number:
            yield from item.get("ContourSequence") or []


def _instances(item: "Dataset") -> Iterator[str]:
    for reference in item.get("ContourImageSequence") or []:
        yield from referenced(reference)


def _floats(values: Any) -> list[float]:
    if values is None:
        return []
    if isinstance(values, bytes):  # more than 64 kB with an explicit VR can only be sent as of unknown VR
        values = values.decode("ascii").strip(" \0").split("\\")
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        values = [values]
    return [float(value) for value in values]
