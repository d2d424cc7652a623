"""Contents of a certificate: the limits, the figures of the masks, and a finding for each limit exceeded."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Status = Literal["accepted", "flagged", "refused"]


@dataclass(frozen=True)
class CertificateLimits:
    """From which value on a figure flags or refuses a mask; None: never.

    Parameters
    ----------
    planimetric_flag, planimetric_refuse
        Share by which the volume on the grid differs from contour area times their distance; small masks are allowed `planimetric_floor_mm3` of
        difference, one layer of voxels being more than the share.
    planimetric_floor_mm3 : mm3
        Difference of volume that small masks are allowed.
    planes_flag, planes_refuse
        Share of contour planes that hit no voxel.
    border_flag
        GTV voxels on the outermost voxels of the scan as it arrived.
    lost_flag
        Share of a ring that is outside the scan.
    share_flag
        Share of the GTV in its largest connected part, at least.
    skipped_flag
        Empty slices between the first and last slice of one part of the drawing.
    small_flag_mm3
        Smaller volumes are flagged.
    small_refuse_voxels
        Fewer voxels on the grid are refused: texture needs neighbors.
    gap_flag
        Largest slice gap over the smallest, within the GTV.
    gap_refuse_mm
        Largest slice gap within the GTV.
    hu_low_flag, hu_high_flag
        Median HU inside.
    air_flag
        Lowest HU of the scan: a CT without air around or in the patient is rescaled or windowed.
    crossing_flag
        Contours that cross another one on their plane; their union is taken.
    scan_mean_low_flag, scan_mean_high_flag, scan_std_high_flag
        Mean and standard deviation of the whole scan in HU: outside, it is not a CT of a person in HU.
    soft_tissue_flag
        Share of the scan's voxels with the HU of soft tissue: below, it is not a CT of a person in HU.
    slice_step_flag : HU
        By which the mean of a slice differs from that of its two neighbors.
    series_flag
        True flags contours that were drawn on another series of the same frame of reference.
    """

    planimetric_flag: float | None
    planimetric_refuse: float | None
    planimetric_floor_mm3: float
    planes_flag: float | None
    planes_refuse: float | None
    border_flag: int | None
    lost_flag: float | None
    share_flag: float | None
    skipped_flag: int | None
    small_flag_mm3: float | None
    small_refuse_voxels: int | None
    gap_flag: float | None
    gap_refuse_mm: float | None
    hu_low_flag: float | None
    hu_high_flag: float | None
    air_flag: float | None
    crossing_flag: int | None
    scan_mean_low_flag: float | None
    scan_mean_high_flag: float | None
    scan_std_high_flag: float | None
    soft_tissue_flag: float | None
    slice_step_flag: float | None
    series_flag: bool | None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "CertificateLimits":
        """Take the limits that are given by name; none of the others flags or refuses.

        Parameters
        ----------
        stored
            Name -> limit, such as those that a version was registered with.

        Returns
        -------
        CertificateLimits
            With None for each limit that is not given, and a floor of 0 mm3.
        """
        limits: dict[str, Any] = {field.name: stored.get(field.name) for field in fields(cls)}
        return cls(**limits | {"planimetric_floor_mm3": stored.get("planimetric_floor_mm3", 0.0)})


@dataclass(frozen=True)
class Finding:
    """One limit that was exceeded.

    Parameters
    ----------
    rule
        Name of what it breaks.
    found
        The value found, in words.
    advice
        What to do.
    """

    rule: str
    found: str
    advice: str


@dataclass(frozen=True)
class RoiFigures:
    """Figures of one ROI on the grid.

    Parameters
    ----------
    roi
        Its name.
    volume_mm3 : mm3
        On the grid.
    voxels
        How many.
    lost_mm3 : mm3
        Volume lost beyond the scan.
    hu_min, hu_median, hu_max : HU
        Inside.
    """

    roi: str
    volume_mm3: float
    voxels: int
    lost_mm3: float
    hu_min: float
    hu_median: float
    hu_max: float


@dataclass(frozen=True)
class Certificate:
    """Figures of the GTV and its rings, and the verdict.

    Parameters
    ----------
    status
        "accepted", "flagged" or "refused".
    findings
        What refuses, then what flags.
    contour_planes
        Planes that were drawn, None where the mask arrived as voxels.
    contour_planes_hit
        Of those, planes with at least one mask voxel.
    slices
        Voxel planes of the native mask with at least one voxel.
    skipped_slices
        Empty ones between the first and the last.
    planimetric_mm3
        Contour area times distance of the contours, None where unknown.
    crossing
        Contours that cross another one on their plane.
    native_mm3, grid_mm3
        Volume of the mask as it arrived and on the grid.
    holes
        Enclosed holes, counted plane by plane on the native grid.
    islands
        Connected parts (26 neighbors) on the grid.
    largest_share
        Share of the largest part in the volume.
    border_voxels
        GTV voxels on the outermost voxels of the native grid.
    gap_min_mm, gap_max_mm
        Distances between neighboring slices within the GTV.
    hu_lowest
        Lowest HU of the scan as it arrived, padding apart.
    scan_mean, scan_std
        Of the whole scan on the grid, HU.
    soft_tissue
        Share of the scan's voxels that have the HU of soft tissue, as it arrived.
    slice_step : HU
        By which the mean of a slice differs from that of its two neighbors, at most.
    pixels
        Digest of the scan's pixels and geometry, see `pixel_digest`.
    series_named
        Whether the contours name this CT series; None for NIfTI.
    rois
        Figures of the GTV and of each ring.
    """

    status: Status
    findings: tuple[Finding, ...]
    contour_planes: int | None
    contour_planes_hit: int | None
    slices: int
    skipped_slices: int
    planimetric_mm3: float | None
    crossing: int
    native_mm3: float
    grid_mm3: float
    holes: int
    islands: int
    largest_share: float
    border_voxels: int
    gap_min_mm: float
    gap_max_mm: float
    hu_lowest: float
    scan_mean: float
    scan_std: float
    soft_tissue: float
    slice_step: float
    pixels: str
    series_named: bool | None
    rois: tuple[RoiFigures, ...]
