"""The volume of a drawing by planimetry: contour area times the distance of the contours, without voxels.

It contradicts the mask where the mask is wrong, so it shares nothing with the way from contours to voxels but the points: areas come from the
shoelace formula, and the distance of each drawn area from the boxes of the areas above and below.
"""

from collections.abc import Sequence

import numpy as np

from penumbra.imaging.overlaps import Arrangement, Sizes, area_mm2

MISSING = 1.5  # of the usual distance: beyond it a contour is missing between two planes


def planimetric_mm3(heights: np.ndarray, planes: Sequence[Arrangement], positions: np.ndarray) -> float:
    """Sum over planes of contour area times the distance that it represents, mm3.

    Parameters
    ----------
    heights
        Of the planes as drawn, increasing, mm along the normal.
    planes
        The contours of each.
    positions
        Of the slices, increasing: a distance without a slice in it has no contour missing.
    """
    islands = [_islands(plane) for plane in planes]
    areas, low, high = (np.concatenate([part[place] for part in islands]) for place in range(3))
    at = np.repeat(heights, [len(part[0]) for part in islands])
    up = _nearest(at, low, high)
    down = _nearest(-at[::-1], low[::-1], high[::-1])[::-1]
    gap = float(np.median(np.diff(positions)))
    distances = np.sort(up[np.isfinite(up)])
    median = float(distances[(distances.size - 1) // 2]) if distances.size else gap
    usual = MISSING * np.maximum(np.minimum(up, down), median) + 1e-6
    whole = [
        np.where((distance <= usual) | (_between(positions, first, last) == 0), distance, np.inf)
        for distance, first, last in ((up, at, at + up), (down, at - down, at))
    ]
    nearest = np.minimum(*whole)
    nearest = np.where(np.isfinite(nearest), nearest, gap)
    reach = sum(np.where(np.isfinite(distance), distance, nearest) / 2 for distance in whole)
    return float(np.sum(areas * reach))


def _between(positions: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """How many slices lie between two heights, neither counted."""
    return np.searchsorted(positions, last - 1e-3, side="left") - np.searchsorted(positions, first + 1e-3, side="right")


def _islands(plane: Arrangement) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area in mm2 and box (x and y, mm) of every island of a plane."""
    size, labels = Sizes.of(plane.rings), np.asarray(plane.islands)
    names, owner, members = np.unique(labels, return_inverse=True, return_counts=True)
    low, high = np.full((len(names), 2), np.inf), np.full((len(names), 2), -np.inf)
    np.minimum.at(low, owner, size.low)
    np.maximum.at(high, owner, size.high)
    areas = np.zeros(len(names))
    areas[owner] = size.areas  # right where an island is one ring
    for island in np.flatnonzero(members > 1):
        inside = np.flatnonzero(owner == island)
        areas[island] = area_mm2([plane.rings[place] for place in inside], [plane.shapes[place] for place in inside])
    return areas, low, high


def _nearest(at: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """For each box the distance to the nearest plane above with a box that overlaps it in the plane, infinite without one. at: rising."""
    planes, first = np.unique(at, return_index=True)
    starts = np.append(first, len(at))
    nearest = np.full(len(at), np.inf)
    for number in range(len(planes)):
        open_boxes = np.arange(starts[number], starts[number + 1])
        for other in range(number + 1, len(planes)):
            if not open_boxes.size:
                break
            upper = slice(starts[other], starts[other + 1])
            overlap: np.ndarray = (low[open_boxes, None] <= high[None, upper]) & (low[None, upper] <= high[open_boxes, None])
            meets = np.any(overlap.all(axis=2), axis=1)
            nearest[open_boxes[meets]] = planes[other] - planes[number]
            open_boxes = open_boxes[~meets]
    return nearest
