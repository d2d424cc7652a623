"""Planar contours of a structure: what was drawn, plane by plane, and the volume that the drawing encloses."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plane:
    """The closed contours drawn on one plane.

    position      mm along the slice normal from voxel plane 0 of the image.
    lower, upper  the slab that the drawing stands for, same axis: halfway to the neighbouring planes.
    rings         each (n, 2): x and y in mm along rows and columns from the centre of voxel [0, 0, 0]; the last point joins the first.
    """

    position: float
    lower: float
    upper: float
    rings: tuple[np.ndarray, ...]

    @property
    def thickness(self) -> float:
        return self.upper - self.lower

    @property
    def area_mm2(self) -> float:
        """Area by the even-odd rule from the polygons alone: a ring inside an odd number of others is a hole."""
        total = 0.0
        for index, ring in enumerate(self.rings):
            depth = sum(_mostly_inside(ring, other) for place, other in enumerate(self.rings) if place != index)
            total += (-1) ** depth * abs(shoelace(ring))
        return abs(total)


@dataclass(frozen=True)
class Region:
    """One structure: its planes in order of position. `name` is the structure's name, `number` its ROI number."""

    name: str
    number: int
    planes: tuple[Plane, ...]

    @property
    def planimetric_mm3(self) -> float:
        """Sum over planes of contour area times slab thickness."""
        return sum(plane.area_mm2 * plane.thickness for plane in self.planes)


@dataclass(frozen=True)
class Contours:
    """The structures whose union is the GTV.

    regions           one, or several where the policy is "union".
    planes_named      planes that carry a closed contour, as sent.
    planes_off_image  of those, planes beyond the first or last slice, which no voxel can hold.
    """

    regions: tuple[Region, ...]
    planes_named: int
    planes_off_image: int = 0

    @property
    def planimetric_mm3(self) -> float | None:
        """The volume by area times thickness; None for several structures, which may overlap."""
        return self.regions[0].planimetric_mm3 if len(self.regions) == 1 else None


def shoelace(ring: np.ndarray) -> float:
    """Signed area in mm2 of the polygon `ring`, (n, 2) in mm; positive when x turns towards y."""
    x, y = (ring - ring[0]).T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _mostly_inside(ring: np.ndarray, other: np.ndarray) -> bool:
    """Do most points of `ring` lie inside the polygon `other`? A single point may lie on a side that both share."""
    some = ring[:: max(1, len(ring) // 16)]
    return 2 * sum(_inside(point, other) for point in some) > len(some)


def _inside(point: np.ndarray, ring: np.ndarray) -> bool:
    """Is `point` (2,) inside the polygon `ring` (n, 2) by the even-odd rule?"""
    x, y = ring.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    crosses = (y <= point[1]) != (next_y <= point[1])
    rise = np.where(crosses, next_y - y, 1.0)
    at = x + (point[1] - y) / rise * (next_x - x)
    return bool(np.count_nonzero(crosses & (at > point[0])) % 2)
