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

    Parameters
    ----------
    values : shape (z, y, x)
        HU of an image; true inside of a mask.
    spacing : mm, (z, y, x)
        Between voxel centers.
    origin : mm, (x, y, z)
        Center of voxel [0, 0, 0], DICOM patient coordinates (LPS), as SimpleITK and DICOM write a point.
    direction : shape (3, 3)
        Direction cosines as in SimpleITK: column i is the direction of image axis i, axes in the order x, y, z.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Volume
    >>> Volume(np.zeros((4, 8, 8)), spacing=(3.0, 1.0, 1.0)).voxel_volume_mm3
    3.0
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def voxel_volume_mm3(self) -> float:
        """Of one voxel."""
        return float(np.prod(self.spacing))


@dataclass(frozen=True)
class Mask(Volume):
    """A region of interest, on the grid of its image.

    Parameters
    ----------
    values : shape (z, y, x), bool
        True inside.
    spacing : mm, (z, y, x)
        As in `Volume`.
    origin : mm, (x, y, z)
        As in `Volume`.
    direction : shape (3, 3)
        As in `Volume`.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Mask
    >>> Mask(np.ones((1, 2, 2), dtype=bool), spacing=(3.0, 1.0, 1.0)).volume_mm3
    12.0
    """

    @property
    def volume_mm3(self) -> float:
        """Of all voxels inside."""
        return float(np.count_nonzero(self.values)) * self.voxel_volume_mm3


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a whole image on the grid, which PyRadiomics' `normalize` needs; they survive cropping.

    Parameters
    ----------
    mean, std : HU
        Over all voxels; the standard deviation is that of a population (ddof 0).
    count
        How many voxels.
    """

    mean: float
    std: float
    count: int


@dataclass(frozen=True)
class Scan:
    """A patient's image and GTV on one grid; carries no identifying attribute.

    Parameters
    ----------
    image : shape (z, y, x), HU
        The CT.
    gtv : shape (z, y, x)
        Same grid as `image`.
    moments
        Of the whole image on the 1 mm grid when `image` is a crop of it; None: take them from `image` itself.
    offset : voxels, (z, y, x)
        First voxel of `image` in the whole image on that grid; None: unknown, or `image` is the whole.
    source
        "dicom", "nifti" or "nrrd", None for a scan that was made in memory.
    roi_name
        Name of the contoured structure(s) that became `gtv`.
    contours
        The planar contours that `gtv` was filled from, in the frame of `image`; None for a mask that arrived as voxels.
    series_named
        False where the contours name another CT series than this one and share only its frame of reference; None for NIfTI.
    slice_positions : mm
        Along the slice normal from voxel plane 0, one per arrived slice; not the planes of `image` where gaps were uneven.
    notes
        What the reader did that a person may want to know, one sentence each.
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

    Parameters
    ----------
    size, spacing
        Voxels and mm, in the same order of axes.
    rule
        Of the refusal.

    Raises
    ------
    Refusal
        `nifti_geometry: ct.nii.gz has voxels of 1000 x 1000 x 3000 mm and is 512000 mm long. ...`.
    """
    longest = max(count * step for count, step in zip(size, spacing, strict=True))
    if not (min(spacing) >= _STEP_MM[0] and max(spacing) <= _STEP_MM[1] and longest <= _LONGEST_MM):
        size_mm = " x ".join(f"{step:.6g}" for step in spacing)
        raise Refusal(rule, f"{name} has voxels of {size_mm} mm and is {longest:.6g} mm long", "Write it again with its voxel size in mm")


def check_range(values: np.ndarray, name: str) -> None:
    """Refuse values that cannot be HU.

    Raises
    ------
    Refusal
        `hu_range: ct.nii.gz holds values up to 1e+30, which are not HU. ...`.
    """
    largest = max(abs(float(values.min())), abs(float(values.max()))) if values.size else 0.0
    if not largest <= _LARGEST_HU:
        raise Refusal("hu_range", f"{name} holds values up to {largest:.3g}, which are not HU", "Export the scan again in HU")
