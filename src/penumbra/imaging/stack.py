"""Slices to a volume: ordered along their normal, each at its own position."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import SliceHeader
from penumbra.imaging.enhanced import SlicePixels
from penumbra.imaging.padding import AIR_HU, fill_padding
from penumbra.imaging.spline import bands, cubic_matrix, true_position_matrix
from penumbra.imaging.volume import Volume, check_size

_HU = np.iinfo(np.int16)
_SAME_PLACE_MM = 0.01  # positions are sent with two or more decimals
_SAME_PLACE = 0.1  # share of the usual gap below which two slices are of one place: no scanner steps so unevenly, and a spline through both runs wild
_UNKNOWN_MM = 20.0  # thicker slices are in no scan: away from the GTV too what lies between is not known
REACH_MM = 15.0  # around the GTV the widest ring, and half a slice
_UNIFORM = 0.02  # share of a gap by which positions may differ from a regular series (rounding of the positions sent)
_LARGEST_GAP = 4.0  # in medians: three slices missing in a row; what lies between is not known
_SHIFT_MM = 0.02  # sideways offset between slices that counts as a tilted gantry


@dataclass(frozen=True)
class Stack:
    """A CT series as a volume on a regular lattice.

    Parameters
    ----------
    image : HU
        int16, or float32 where rescaling is not whole.
    positions : mm
        Along the normal from voxel plane 0, one per slice that arrived.
    heights
        The same by each name that a reference may call a slice (see `referenced`), of every slice that was sent.
    notes
        What was done.
    """

    image: Volume
    positions: np.ndarray
    heights: dict[str, float]
    notes: tuple[str, ...]


def read_stack(slices: Sequence[SliceHeader], preferred: Sequence[Set[str]] = (), around: np.ndarray | None = None) -> Stack:
    """The volume of one series.

    Parameters
    ----------
    slices
        Of one series, in any order.
    preferred
        Sets of slices that contours name, in order; they win where two slices share a position.
    around
        Points of the GTV, (n, 3) in mm, LPS: slices may be thicker elsewhere than here. None: they may not anywhere.

    Raises
    ------
    Refusal
        Rules one_pixel_grid, one_orientation, slices_enough, one_slice_per_position, slice_gaps, slice_geometry, pixels_readable, rescale_known,
        hu_range.

    Notes
    -----
    Uneven gaps are filled by a cubic spline through the slices at their true positions, on a lattice as fine as the smallest gap. Slices that
    are shifted sideways (tilted gantry) are brought onto one rectangular lattice by a cubic B-spline in their plane.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1 (position and orientation).
    """
    notes: list[str] = []
    first = slices[0]
    if len({(item.size, tuple(np.round(item.spacing, 4))) for item in slices}) > 1:
        raise Refusal("one_pixel_grid", "slices of one series differ in matrix size or pixel spacing", "Send one series of equal slices")
    if max(np.abs(item.orientation - first.orientation).max() for item in slices) > 1e-3:
        raise Refusal("one_orientation", "slices of one series are not parallel", "Send the planning CT without reformats")
    direction = _direction(first.orientation)
    order = sorted(slices, key=lambda item: float(item.position @ direction[:, 2]))
    pixels = SlicePixels()
    order = _one_per_position(order, direction[:, 2], preferred, notes, pixels)
    if len(order) < 2:
        raise Refusal("slices_enough", f"{len(order)} slice with a position of its own", "Send the whole CT series")

    offsets = (np.array([item.position for item in order]) - order[0].position) @ direction
    positions = offsets[:, 2]
    gaps = np.diff(positions)
    wide = gaps > _LARGEST_GAP * np.median(gaps) + _SAME_PLACE_MM
    if around is not None and len(around):
        height = (around - order[0].position) @ direction[:, 2]
        near = (positions[1:] > height.min() - REACH_MM) & (positions[:-1] < height.max() + REACH_MM)
        wide &= near | (gaps > _UNKNOWN_MM)
    if wide.any():
        raise Refusal(
            "slice_gaps",
            f"a gap of {gaps[wide].max():.2f} mm between slices that are mostly {np.median(gaps):.2f} mm apart",
            "Send the missing slices, or each scan as a series of its own",
        )
    check_size((*first.size, len(order)), (*first.spacing, float(gaps.max())), "slice_geometry", "the series")
    planes = fill_padding([_compact(pixels(item)) for item in order])
    if any(plane.shape != first.size for plane in planes):
        raise Refusal("one_pixel_grid", "a slice has another size than its header says", "Send the series again")
    whole = all(plane.dtype.kind == "i" for plane in planes)

    row_mm, column_mm = first.spacing
    origin = order[0].position
    heights = {name: float((item.position - origin) @ direction[:, 2]) for item in slices for name in item.own_names}
    sideways = offsets[:, :2]
    if np.abs(sideways).max() > _SHIFT_MM:
        planes, corner = _straighten(planes, sideways, (row_mm, column_mm))
        origin = origin + direction[:, :2] @ corner
        degrees = np.degrees(np.arctan2(np.linalg.norm(sideways[-1] - sideways[0]), positions[-1] - positions[0]))
        notes.append(f"Slices are shifted sideways (tilt of {degrees:.1f} degrees); they were brought onto one lattice.")

    regular = np.linspace(0.0, positions[-1], len(positions))
    if np.abs(positions - regular).max() <= _UNIFORM * regular[1]:
        lattice = positions = regular
        values = np.stack(planes)
    else:
        smallest = max(gaps.min(), np.median(gaps) / 4)
        lattice = np.linspace(0.0, positions[-1], round(positions[-1] / smallest) + 1)
        values = _at_true_positions(np.stack(planes), positions, lattice)
        notes.append(f"Slice gaps run from {gaps.min():.2f} to {gaps.max():.2f} mm; slices were interpolated by their true positions.")
    if whole and values.dtype != np.int16:
        if values.min() < _HU.min or values.max() > _HU.max:
            notes.append("HU beyond 16 bits were cut off.")
        values = np.clip(np.rint(values), _HU.min, _HU.max).astype(np.int16)
    image = Volume(
        values if whole else values.astype(np.float32),
        (float(lattice[1]), float(row_mm), float(column_mm)),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        direction,
    )
    return Stack(image, positions, heights, tuple(notes))


def _direction(orientation: np.ndarray) -> np.ndarray:
    """(3, 3): columns are the unit directions of x (along a row), y (down a column) and the normal."""
    along, down = orientation[:3], orientation[3:]
    if abs(np.linalg.norm(along) - 1) > 1e-2 or abs(np.linalg.norm(down) - 1) > 1e-2 or abs(along @ down) > 1e-2:
        raise Refusal("slice_geometry", "ImageOrientationPatient is not two perpendicular unit vectors", "Export the series again")
    along = along / np.linalg.norm(along)
    normal = np.cross(along, down)
    normal /= np.linalg.norm(normal)
    return np.stack([along, np.cross(normal, along), normal], axis=1)


def _one_per_position(order: list[SliceHeader], normal: np.ndarray, preferred: Sequence[Set[str]], notes: list[str], pixels: SlicePixels) -> list[SliceHeader]:
    """One slice for each position: the one that the contours name wins, copies of the same pixels are dropped, anything else is refused."""
    groups: list[list[SliceHeader]] = []
    same_place = _same_place(np.array([item.position @ normal for item in order]))
    for item in order:
        if groups and (item.position - groups[-1][0].position) @ normal < same_place:
            groups[-1].append(item)
        else:
            groups.append([item])
    copies = unnamed = 0
    for group in groups:
        candidates = next((matches for instances in preferred if (matches := [item for item in group if item.named_in(instances)])), group)
        if len(candidates) > 1:
            reference = pixels(candidates[0])
            if not all(np.array_equal(reference, pixels(item)) for item in candidates[1:]):
                raise Refusal(
                    "one_slice_per_position",
                    f"{len(candidates)} different slices of one series lie at the same position",
                    "Send one phase or reconstruction, the one that was contoured",
                )
        copies += len(candidates) - 1
        unnamed += len(group) - len(candidates)
        group[:] = candidates[:1]
    if copies:
        notes.append(f"{copies} duplicate slices were left out.")
    if unnamed:
        notes.append(f"{unnamed} slices that share a position with a slice named by the contours were left out.")
    return [item for group in groups for item in group]


def _same_place(heights: np.ndarray) -> float:
    """mm along the normal below which two of the slices, at increasing `heights`, share a position."""
    gaps = np.diff(heights)
    apart = gaps[gaps >= _SAME_PLACE_MM]
    return max(_SAME_PLACE_MM, _SAME_PLACE * float(np.quantile(apart, 0.9))) if apart.size else _SAME_PLACE_MM


def _compact(plane: np.ndarray) -> np.ndarray:
    """The same whole numbers in 16 bits where they fit, which halves the memory of a scan."""
    if plane.dtype == np.int32 and plane.min() >= _HU.min and plane.max() <= _HU.max:
        return plane.astype(np.int16)
    return plane


def _straighten(planes: list[np.ndarray], sideways: np.ndarray, spacing: tuple[float, float]) -> tuple[list[np.ndarray], np.ndarray]:
    """Slices on one in-plane lattice wide enough for all; also its first voxel relative to the first slice's, (x, y) in mm.

    Parameters
    ----------
    sideways : shape (slices, 2)
        Offset of each slice in its plane, x then y, mm.
    """
    steps = np.array([spacing[1], spacing[0]])
    low = np.floor(sideways.min(axis=0) / steps + 1e-6)
    extra = np.ceil(sideways.max(axis=0) / steps - 1e-6) - low
    rows, columns = planes[0].shape
    straight = []
    for plane, shift in zip(planes, sideways / steps, strict=True):
        x = np.arange(columns + int(extra[0])) + low[0] - shift[0]
        y = np.arange(rows + int(extra[1])) + low[1] - shift[1]
        moved = cubic_matrix(rows, y) @ plane @ cubic_matrix(columns, x).T
        moved[(y < -0.5) | (y > rows - 0.5), :] = AIR_HU
        moved[:, (x < -0.5) | (x > columns - 0.5)] = AIR_HU
        straight.append(moved)
    return straight, low * steps


def _at_true_positions(values: np.ndarray, positions: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    weights = true_position_matrix(positions, lattice)
    flat = values.reshape(len(values), -1)
    out = np.empty((len(lattice), flat.shape[1]), dtype=np.float32)
    for rows, columns, block in bands(weights, 16):
        out[rows] = block @ flat[columns]
    return out.reshape(len(lattice), *values.shape[1:])
