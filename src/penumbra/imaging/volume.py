"""Voxels in space: an image or a mask with its place in the patient, and the scan that holds both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal

if TYPE_CHECKING:
    from penumbra.imaging.contours import Contours

# Outside these limits it cannot be a patient scan in mm: it was written in another unit, or its header is damaged.
_STEP_MM = (0.05, 25.0)
_LONGEST_MM = 3000.0
_LARGEST_HU = 131072.0  # metal reaches 32767 in extended scanners, and twice that in 16 unsigned bits


@dataclass(frozen=True)
class Volume:
    """Voxel values with their geometry.

    values     shape (z, y, x).
    spacing    mm between voxel centers, (z, y, x).
    origin     center of voxel [0, 0, 0] in mm, DICOM patient coordinates (LPS), (x, y, z) as SimpleITK and DICOM write a point.
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
    offset           first voxel of `image` in the whole image on that grid, (z, y, x); None: unknown, or `image` is the whole.
    source           "dicom", "nifti" or "nrrd", None for a scan that was made in memory.
    roi_name         name of the contoured structure(s) that became `gtv`.
    contours         the planar contours that `gtv` was filled from, in the frame of `image`; None for a mask that arrived as voxels.
    series_named     False where the contours name another CT series than this one and share only its frame of reference; None for NIfTI.
    slice_positions  mm along the slice normal from voxel plane 0, one per arrived slice; not the planes of `image` where gaps were uneven.
    notes            what the reader did that a person may want to know, one sentence each.
    """

    image: Volume
    gtv: Mask
    moments: Moments | None = None
    offset: tuple[int, int, int] | None = None
    source: str | None = None
    roi_name: str | None = None
    contours: "Contours | None" = None
    series_named: bool | None = None
    slice_positions: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def cropped(self) -> bool:
        """Whether `image` is a part of the image whose moments are known."""
        return self.moments is not None and self.moments.count != self.image.values.size


def check_size(size: Sequence[int], spacing: Sequence[float], rule: str, name: str) -> None:
    """Refuse what cannot be a scan of a person, before memory is asked for it.

    size, spacing  voxels and mm, in the same order of axes.
    rule           of the refusal.

    Raises Refusal: `nifti_geometry: ct.nii.gz has voxels of 1000 x 1000 x 3000 mm and is 512000 mm long. ...`.
    """
    longest = max(count * step for count, step in zip(size, spacing, strict=True))
    if not (min(spacing) >= _STEP_MM[0] and max(spacing) <= _STEP_MM[1] and longest <= _LONGEST_MM):
        shown = " x ".join(f"{step:.6g}" for step in spacing)
        raise Refusal(rule, f"{name} has voxels of {shown} mm and is {longest:.6g} mm long", "Write it again with its voxel size in mm")


def check_range(values: np.ndarray, name: str) -> None:
    """Raises Refusal: `hu_range: ct.nii.gz holds values up to 1e+30, which are not HU. ...`."""
    largest = max(abs(float(values.min())), abs(float(values.max()))) if values.size else 0.0
    if not largest <= _LARGEST_HU:
        raise Refusal("hu_range", f"{name} holds values up to {largest:.3g}, which are not HU", "Export the scan again in HU")
