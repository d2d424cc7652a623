"""How the contours of one plane relate: apart, nested, duplicated or crossing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penumbra.imaging.scanlines import crossings, edges, united

LINES = 128  # across the stretch that two rings share
ROUNDED_MM = 0.1  # two outlines that meet may reach this far across each other: exports round points, some to 0.1 mm
SAMPLE_MM = 0.25  # between points of an outline at which its distance from another is measured
AREA_LINES = 2048


@dataclass(frozen=True)
class Arrangement:
    """The contours of one plane, classified.

    Parameters
    ----------
    rings : each (n, 2)
        In mm, those that were sent twice once.
    shapes
        Of each ring: rings that cross each other are one shape, their union; between shapes the even-odd rule holds.
    islands
        Of each ring: rings that overlap or lie within each other belong together.
    copies
        Rings left out because another has the same outline.
    crossing
        Rings that cross another.
    """

    rings: tuple[np.ndarray, ...]
    shapes: tuple[int, ...]
    islands: tuple[int, ...]
    copies: int = 0
    crossing: int = 0

    @property
    def area_mm2(self) -> float:
        """The enclosed area: shapes by the even-odd rule, the rings of a shape as their union."""
        return area_mm2(self.rings, self.shapes)


def arranged(rings: Sequence[np.ndarray], pixel_mm: float, *, exclusive: bool = False) -> Arrangement:
    """Classify the contours of one plane.

    Parameters
    ----------
    rings : each (n, 2)
        In mm, as drawn.
    pixel_mm
        Of the image in the plane: two outlines that are nearer to each other than half of it, on average, are one, however often sampled; the one with
        more points is kept.
    exclusive
        The contours are CLOSEDPLANAR_XOR: overlaps are left out, whatever crosses what.

    References
    ----------
    DICOM PS3.3 C.8.8.6.3.
    """
    size = Sizes.of(rings)
    areas, lengths = size.areas, size.lengths
    pairs = size.near()
    copies: set[int] = set()
    crossing: set[int] = set()
    joined: list[tuple[int, int]] = []
    united_pairs: list[tuple[int, int]] = []
    for one, other in pairs:
        if one in copies or other in copies:
            continue
        shared = shared_area(rings[one], rings[other])
        apart_mm = (areas[one] + areas[other] - 2 * shared) / max((lengths[one] + lengths[other]) / 2, 1e-9)
        if shared > 0.5 * max(areas[one], areas[other]) and apart_mm < 0.5 * pixel_mm:
            copies.add(one if len(rings[one]) < len(rings[other]) else other)
            continue
        if shared <= 0:
            continue
        joined.append((one, other))
        small, large = (one, other) if areas[one] <= areas[other] else (other, one)
        if not exclusive and across(rings[small], rings[large]):
            united_pairs.append((one, other))
            crossing |= {one, other}
    unique = [place for place in range(len(rings)) if place not in copies]
    shapes, islands = (_groups(len(rings), links) for links in (united_pairs, joined))
    return Arrangement(
        rings=tuple(rings[place] for place in unique),
        shapes=tuple(int(shapes[place]) for place in unique),
        islands=tuple(int(islands[place]) for place in unique),
        copies=len(copies),
        crossing=len(crossing - copies),
    )


def area_mm2(rings: Sequence[np.ndarray], shapes: Sequence[int]) -> float:
    """Area of the plane that the rings enclose, (n, 2) in mm each: by the shoelace formula, ring by ring, where none crosses another."""
    size = Sizes.of(rings)
    depth = np.zeros(len(rings), dtype=int)
    mixed = len(set(shapes)) < len(rings)
    for one, other in size.near() if not mixed else ():
        small, large = (one, other) if size.areas[one] <= size.areas[other] else (other, one)
        depth[small] += 2 * shared_area(rings[one], rings[other]) > size.areas[small]
        mixed |= across(rings[small], rings[large])
    if not mixed:
        return abs(float(np.sum(np.where(depth % 2, -size.areas, size.areas))))
    low, high = float(size.low[:, 1].min()), float(size.high[:, 1].max())
    step = (high - low) / AREA_LINES
    whole = united(crossings(rings, low + step / 2, step, AREA_LINES), np.asarray(shapes))
    order = np.lexsort((whole.x, whole.line))
    x = whole.x[order]
    return step * float(np.sum(x[1::2] - x[::2]))


@dataclass(frozen=True)
class Sizes:
    """Area by the shoelace formula (mm2), length of the outline (mm) and box (x and y, mm) of closed rings, in their order."""

    areas: np.ndarray
    lengths: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rings: Sequence[np.ndarray]) -> "Sizes":
        """Of rings of (n, 2) in mm each."""
        start, end, owner = edges(rings)
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        corner = start[first][owner]  # near the ring, so that no digits are lost
        (x, y), (next_x, next_y) = (start - corner).T, (end - corner).T
        areas = np.abs(np.add.reduceat(x * next_y - y * next_x, first)) / 2
        lengths = np.add.reduceat(np.hypot(next_x - x, next_y - y), first)
        return cls(areas, lengths, np.minimum.reduceat(start, first), np.maximum.reduceat(start, first))

    def near(self) -> list[tuple[int, int]]:
        """Pairs of rings whose boxes overlap."""
        overlap = ((self.low[:, None] < self.high[None]) & (self.low[None] < self.high[:, None])).all(axis=2)
        return [(int(one), int(other)) for one, other in zip(*np.nonzero(np.triu(overlap, 1)), strict=True)]


def shared_area(one: np.ndarray, other: np.ndarray) -> float:
    """Area in mm2 that lies inside both rings, each (n, 2) in mm, by the even-odd rule of each."""
    low, high = max(one[:, 1].min(), other[:, 1].min()), min(one[:, 1].max(), other[:, 1].max())
    if high <= low:
        return 0.0
    step = float(high - low) / LINES
    crossing = crossings([one, other], float(low) + step / 2, step, LINES)
    order = np.lexsort((crossing.x, crossing.line))
    x, ring = crossing.x[order], crossing.ring[order]
    inside = (np.cumsum(ring == 0) % 2 == 1) & (np.cumsum(ring == 1) % 2 == 1)  # from this crossing to the next; even again behind every line
    return step * float(np.sum((x[1:] - x[:-1])[inside[:-1]]))


def across(small: np.ndarray, large: np.ndarray) -> bool:
    """Whether two outlines, (n, 2) in mm each, cross by more than the rounding of their points.

    They do where one reaches more than ROUNDED_MM into the other, and the smaller one as far out of it: neighbors that share a side, a hole that touches
    the outline around it, and what lies inside or apart do not.
    """
    outward = _distances(small, large)
    if outward.max() <= ROUNDED_MM:
        return False
    return bool(outward.min() < -ROUNDED_MM or _distances(large, small).min() < -ROUNDED_MM)


def _distances(ring: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of points along a ring, its corners among them, to the outline of another in mm: below 0 inside of it (even-odd rule)."""
    following = np.roll(ring, -1, axis=0)
    parts = np.maximum(np.ceil(np.hypot(*(following - ring).T) / SAMPLE_MM), 1).astype(int)
    edge = np.repeat(np.arange(len(ring)), parts)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(parts) - parts, parts)) / parts[edge]
    points = ring[edge] + share[:, None] * (following - ring)[edge]
    (x, y), (from_x, from_y) = (column[:, None] for column in points.T), other.T
    along_x, along_y = (np.roll(other, -1, axis=0) - other).T
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.nan_to_num(((x - from_x) * along_x + (y - from_y) * along_y) / (along_x**2 + along_y**2)).clip(0, 1)
        reached = from_x + (y - from_y) / along_y * along_x
    squared = (x - from_x - nearest * along_x) ** 2 + (y - from_y - nearest * along_y) ** 2
    crossed = ((from_y > y) != (from_y + along_y > y)) & (x < reached)
    return np.asarray(np.sqrt(squared.min(axis=1)) * np.where(crossed.sum(axis=1) % 2, -1.0, 1.0))


def _groups(count: int, links: Sequence[tuple[int, int]]) -> np.ndarray:
    """Label of each of `count` things that `links` join."""
    label = np.arange(count)
    for one, other in links:
        label[label == label[other]] = label[one]
    return label
