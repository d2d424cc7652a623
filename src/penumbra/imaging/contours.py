"""Planar contours of a structure: what was drawn, plane by plane, and the volume that the drawing encloses."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plane:
    """Closed contours drawn on one plane that reach equally far along the normal.

    Parameters
    ----------
    position : mm
        Along the slice normal from voxel plane 0 of the image.
    lower, upper
        The slab that the drawing represents, same axis: halfway to the next planes of the same part.
    rings : each (n, 2)
        X and y in mm along rows and columns from the center of voxel [0, 0, 0]; the last point joins the first.
    shapes
        Of each ring: rings of one shape are united (they cross each other); between shapes the even-odd rule holds. None: each its own.
    """

    position: float
    lower: float
    upper: float
    rings: tuple[np.ndarray, ...]
    shapes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Region:
    """One structure.

    Parameters
    ----------
    name, number
        The structure's name and ROI number.
    planes
        In order of position.
    planimetric_mm3 : mm3
        Its volume by contour area times distance of the contours.
    """

    name: str
    number: int
    planes: tuple[Plane, ...]
    planimetric_mm3: float


@dataclass(frozen=True)
class Contours:
    """The structures whose union is the GTV.

    Parameters
    ----------
    regions
        One, or several where the policy is "union".
    planes_named
        Planes that carry a closed contour, as sent.
    crossing
        Contours that cross another one of the same structure and plane; their union counts.
    """

    regions: tuple[Region, ...]
    planes_named: int
    crossing: int = 0

    @property
    def planimetric_mm3(self) -> float | None:
        """The volume by area times distance; None for several structures, which may overlap."""
        return self.regions[0].planimetric_mm3 if len(self.regions) == 1 else None
