"""Voxels in space: an image or a mask with its place in the patient, and the scan that holds both."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from penumbra.imaging.contours import Contours


@dataclass(frozen=True)
class Volume:
    """Voxel values with their geometry.

    values     shape (z, y, x).
    spacing    mm between voxel centres, (z, y, x).
    origin     centre of voxel [0, 0, 0] in mm, DICOM patient coordinates (LPS), (x, y, z) as SimpleITK and DICOM write a point.
    direction  (3, 3) direction cosines as in SimpleITK: column i is the direction of image axis i, axes in the order x, y, z.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing))


@dataclass(frozen=True)
class Mask(Volume):
    """A region of interest: `values` is boolean on the grid of its image."""

    @property
    def volume_mm3(self) -> float:
        return float(np.count_nonzero(self.values)) * self.voxel_volume_mm3


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation (population, ddof 0, in HU) over all `count` voxels of the whole image on the grid,
    which PyRadiomics' `normalize` needs; they survive cropping."""

    mean: float
    std: float
    count: int


@dataclass(frozen=True)
class Scan:
    """A patient's image and GTV on one grid; carries no identifying attribute.

    image            HU.
    gtv              same grid as `image`.
    moments          of the whole image on the 1 mm grid when `image` is a crop of it; None: take them from `image` itself.
    source           "dicom" or "nifti", None for a scan that was made in memory.
    roi_name         name of the contoured structure(s) that became `gtv`.
    contours         the planar contours that `gtv` was filled from, in the frame of `image`; None for a mask that arrived as voxels.
    series_named     False where the contours name another CT series than this one and share only its frame of reference; None for NIfTI.
    slice_positions  mm along the slice normal from voxel plane 0, one per arrived slice; not the planes of `image` where gaps were uneven.
    notes            what the reader did that a person may want to know, one sentence each.
    """

    image: Volume
    gtv: Mask
    moments: Moments | None = None
    source: str | None = None
    roi_name: str | None = None
    contours: "Contours | None" = None
    series_named: bool | None = None
    slice_positions: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
