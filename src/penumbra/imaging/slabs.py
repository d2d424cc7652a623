"""Contours to slabs: the stretch along the slice normal that each drawn plane represents, found from the contours alone.

A part of a tumor is what hangs together from plane to plane. Each of its planes reaches half the way to the part's next plane, wherever the
slices of the CT are: contours may come from a thicker reconstruction, from PET, or from every second slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penumbra.imaging.contours import Plane
from penumbra.imaging.overlaps import Arrangement
from penumbra.imaging.scanlines import crossings

MISSING = 1.5  # of the part's usual distance: beyond it a contour is missing between two planes
LONE_MM = 6.0  # two planes and no third tell no usual distance: they belong together up to the thickest slices in use
_NONE = -1


@dataclass(frozen=True)
class Slices:
    """The slices that arrived: their positions, mm along the normal from voxel plane 0, increasing."""

    positions: np.ndarray

    @property
    def gap(self) -> float:
        """The usual distance of two slices, mm."""
        return float(np.median(np.diff(self.positions)))

    @property
    def edges(self) -> np.ndarray:
        """Halfway between slices, and as far beyond the first and the last: (slices + 1,)."""
        at = self.positions
        return np.concatenate([[1.5 * at[0] - 0.5 * at[1]], (at[1:] + at[:-1]) / 2, [1.5 * at[-1] - 0.5 * at[-2]]])

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """How many slices lie between two heights, neither counted."""
        eps = 1e-6
        count: np.ndarray = np.searchsorted(self.positions, high - eps, side="left") - np.searchsorted(self.positions, low + eps, side="right")
        return np.asarray(np.maximum(count, 0))


@dataclass(frozen=True)
class _Island:
    """Rings of one plane that belong together: the plane, and the pixels that they cover, (n,) indices."""

    plane: int
    rings: tuple[int, ...]
    pixels: np.ndarray


def slabs(heights: np.ndarray, planes: Sequence[Arrangement], slices: Slices, pixel_mm: float, *, on_slices: bool) -> tuple[tuple[Plane, ...], float]:
    """The planes of one structure with the slab that each represents, and the usual distance of its planes in mm.

    Parameters
    ----------
    heights
        Of the planes, increasing, mm along the normal.
    planes
        What is drawn on each.
    pixel_mm
        Of the image in the plane.
    on_slices
        Every plane lies on a slice: at its end a part that is drawn on every slice reaches as far as the slice does.

    Notes
    -----
    Half the way to the next plane of the same part; where the part ends, or a contour is missing, as far as on the plane's other side, and a
    plane that is alone half the part's usual distance.
    Two neighboring slices belong together whatever their distance. Parts with distances of their own come as planes of their own.
    """
    islands = _islands(planes, pixel_mm)
    below, above = _neighbors(islands)
    at = np.array([heights[island.plane] for island in islands])
    part = _parts(below, above)
    down, up = (np.where(link == _NONE, np.inf, np.abs(at - at[link])) for link in (below, above))
    usual = _usual(part, down, up, slices.gap, float(np.sort(np.diff(heights))[(len(heights) - 2) // 2]) if len(heights) > 1 else slices.gap)
    next_down = (slices.between(at - np.where(np.isfinite(down), down, 0.0), at) == 0) & np.isfinite(down)
    next_up = (slices.between(at, at + np.where(np.isfinite(up), up, 0.0)) == 0) & np.isfinite(up)
    down = np.where((down <= MISSING * usual + 1e-6) | next_down, down, np.nan)
    up = np.where((up <= MISSING * usual + 1e-6) | next_up, up, np.nan)

    edges = slices.edges
    cell = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(slices.positions) - 1)
    slice_by_slice = on_slices & (usual <= MISSING * np.minimum(edges[cell + 1] - edges[cell], slices.gap))
    end_below = np.where(slice_by_slice, at - edges[cell], np.where(np.isnan(up), usual, up) / 2)
    end_above = np.where(slice_by_slice, edges[cell + 1] - at, np.where(np.isnan(down), usual, down) / 2)
    lower = at - np.where(np.isnan(down), end_below, down / 2)
    upper = at + np.where(np.isnan(up), end_above, up / 2)
    return _planes(heights, planes, islands, lower, upper), float(np.median(usual))


def _planes(heights: np.ndarray, arrangements: Sequence[Arrangement], islands: Sequence[_Island], lower: np.ndarray, upper: np.ndarray) -> tuple[Plane, ...]:
    """Islands of one plane that reach equally far as one plane."""
    grouped: dict[tuple[int, float, float], list[int]] = {}
    for island, low, high in zip(islands, lower, upper, strict=True):
        grouped.setdefault((island.plane, round(float(low), 6), round(float(high), 6)), []).extend(island.rings)
    return tuple(
        Plane(
            float(heights[plane]),
            low,
            high,
            tuple(arrangements[plane].rings[ring] for ring in rings),
            tuple(arrangements[plane].shapes[ring] for ring in rings),
        )
        for (plane, low, high), rings in sorted(grouped.items())
    )


def _islands(arrangements: Sequence[Arrangement], pixel_mm: float) -> list[_Island]:
    points = np.concatenate([ring for plane in arrangements for ring in plane.rings])
    corner = points.min(axis=0)
    columns, rows = (int(size) for size in np.floor((points.max(axis=0) - corner) / pixel_mm) + 1)
    islands = []
    for number, plane in enumerate(arrangements):
        lines = crossings(plane.rings, float(corner[1]) + pixel_mm / 2, pixel_mm, rows)
        line, ring, first, last = lines.spans()
        begin = np.clip(np.ceil((first - corner[0]) / pixel_mm - 0.5), 0, columns).astype(np.int64)
        stop = np.clip(np.ceil((last - corner[0]) / pixel_mm - 0.5), 0, columns).astype(np.int64)
        length = np.maximum(stop - begin, 0)
        covered = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length) + np.repeat(line * columns + begin, length)
        owner = np.repeat(ring, length)
        # a ring between the centers of pixels covers at least the one of its first point
        start = np.array([one[0] for one in plane.rings])
        first_pixel = np.clip((start - corner) // pixel_mm, 0, (columns - 1, rows - 1)).astype(np.int64)
        covered = np.concatenate([covered, first_pixel[:, 1] * columns + first_pixel[:, 0]])
        owner = np.concatenate([owner, np.arange(len(plane.rings))])
        label = np.asarray(plane.islands)[owner]
        order = np.argsort(label, kind="stable")
        names, starts = np.unique(label[order], return_index=True)
        members: dict[int, list[int]] = {}
        for place, island in enumerate(plane.islands):
            members.setdefault(island, []).append(place)
        islands += [_Island(number, tuple(members[int(name)]), pixels) for name, pixels in zip(names, np.split(covered[order], starts[1:]), strict=True)]
    return islands


def _neighbors(islands: Sequence[_Island]) -> tuple[np.ndarray, np.ndarray]:
    """For each island the nearest one that it covers, and the nearest that covers it: index, -1 for none."""
    size = 1 + max(int(island.pixels.max()) for island in islands)
    links = []
    for order in (range(len(islands)), range(len(islands) - 1, -1, -1)):
        latest = np.full(size, _NONE)
        link = np.full(len(islands), _NONE)
        waiting: list[int] = []  # of the plane at hand: they do not see each other
        for place in order:
            if waiting and islands[waiting[0]].plane != islands[place].plane:
                for other in waiting:
                    latest[islands[other].pixels] = other
                waiting = []
            covered = latest[islands[place].pixels]
            covered = covered[covered != _NONE]
            if covered.size:
                link[place] = covered.max() if order.step > 0 else covered.min()
            waiting.append(place)
        links.append(link)
    return links[0], links[1]


def _parts(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Label of the part that each island belongs to."""
    label = np.arange(len(below))
    for link in (below, above):
        for one, other in enumerate(link):
            if other != _NONE and label[one] != label[other]:
                label[label == label[other]] = label[one]
    return np.unique(label, return_inverse=True)[1].reshape(-1)


def _usual(part: np.ndarray, down: np.ndarray, up: np.ndarray, gap: float, whole: float) -> np.ndarray:
    """The usual distance of the planes of each island's part, (n,) in mm: the smaller median.

    Parameters
    ----------
    gap
        Of the slices.
    whole
        Usual distance of the structure's planes. They are used for a part of one plane, or of two that are far apart.
    """
    usual = np.empty(len(part))
    for label in range(int(part.max()) + 1):
        inside = part == label
        distances = np.sort(up[inside][np.isfinite(up[inside])])
        if distances.size > 1 or (distances.size and distances[0] <= max(LONE_MM, gap)):
            usual[inside] = distances[(distances.size - 1) // 2]
        else:
            usual[inside] = whole if whole <= max(LONE_MM, gap) else gap
    return usual
