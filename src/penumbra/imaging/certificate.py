"""The certificate of a mask: figures that show whether it matches the contours, and the verdict."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from penumbra.base.blocks import GTV, ring_margin
from penumbra.imaging.figures import Certificate, CertificateLimits, Finding, RoiFigures, Status
from penumbra.imaging.fingerprint import pixel_digest
from penumbra.imaging.grid import bounding_box
from penumbra.imaging.rings import ring_loss
from penumbra.imaging.volume import Mask, Scan

SOFT_TISSUE_HU = (-200.0, 300.0)  # fat, muscle, blood with contrast: most of a person except lung and bone


def certify(native: Scan, grid: Scan, rings: Mapping[str, Mask], limits: CertificateLimits) -> Certificate:
    """Certify a patient's masks: the figures, and what follows from them.

    Parameters
    ----------
    native
        The scan as `read_patient` gave it.
    grid
        The same on the grid, cropped or not, as `to_grid` gave it.
    rings
        On that grid, as `rings` gave them.
    limits
        From which value on a figure flags or refuses.

    Returns
    -------
    Certificate
        With status "accepted", "flagged" or "refused", and a finding for each limit that was passed.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import CertificateLimits, Mask, Scan, Volume, certify, rings, to_grid
    >>> inside = np.zeros((10, 20, 20), dtype=bool)
    >>> inside[3:7, 8:14, 8:14] = True
    >>> spacing = (3.0, 1.0, 1.0)
    >>> scan = Scan(Volume(np.where(inside, 40, -700).astype(np.int16), spacing), Mask(inside, spacing))
    >>> grid = to_grid(scan)
    >>> certificate = certify(scan, grid, rings(grid.gtv, [3]), CertificateLimits.of({'small_flag_mm3': 500.0}))
    >>> certificate.status, certificate.native_mm3, certificate.grid_mm3
    ('flagged', 432.0, 432.0)
    >>> certificate.findings[0].rule
    'gtv_large_enough'
    """
    mask = native.gtv.values
    planes = mask.any(axis=(1, 2))
    occupied = np.flatnonzero(planes)
    islands, largest = _parts(grid.gtv.values)
    hit = _planes_hit(native)
    low, high = _gaps(native)
    draft = Certificate(
        status="accepted",
        findings=(),
        contour_planes=native.contours.planes_named if native.contours else None,
        contour_planes_hit=hit,
        slices=len(occupied),
        skipped_slices=int(occupied[-1] - occupied[0] + 1 - len(occupied)) if occupied.size else 0,
        planimetric_mm3=native.contours.planimetric_mm3 if native.contours else None,
        crossing=native.contours.crossing if native.contours else 0,
        native_mm3=native.gtv.volume_mm3,
        grid_mm3=grid.gtv.volume_mm3,
        holes=_holes(mask),
        islands=islands,
        largest_share=largest,
        border_voxels=_border(mask),
        gap_min_mm=low,
        gap_max_mm=high,
        hu_lowest=float(native.image.values.min()),
        scan_mean=grid.moments.mean if grid.moments else float(grid.image.values.mean()),
        scan_std=grid.moments.std if grid.moments else float(grid.image.values.std()),
        soft_tissue=_soft_tissue(native.image.values),
        slice_step=_slice_step(native.image.values),
        pixels=pixel_digest(native.image),
        series_named=native.series_named,
        rois=_rois(grid, rings),
    )
    refusing, flagging = _judge(draft, limits)
    status: Status = "refused" if refusing else "flagged" if flagging else "accepted"
    return replace(draft, status=status, findings=(*refusing, *flagging))


def _judge(figures: Certificate, limits: CertificateLimits) -> tuple[list[Finding], list[Finding]]:
    """Findings that refuse and findings that flag."""
    refusing: list[Finding] = []
    flagging: list[Finding] = []

    def check(rule: str, value: float | None, refuse: float | None, flag: float | None, fault: str, advice: str) -> None:
        if value is None:
            return
        if refuse is not None and value > refuse:
            refusing.append(Finding(rule, fault, advice))
        elif flag is not None and value > flag:
            flagging.append(Finding(rule, fault, advice))

    gtv = figures.rois[0]
    if not gtv.voxels:
        refusing.append(Finding("gtv_not_empty", "the GTV holds no voxel", "Contour the GTV of this patient, or leave the patient out"))
        return refusing, flagging
    smallest = limits.small_refuse_voxels
    if smallest is not None and gtv.voxels < smallest:
        refusing.append(Finding("gtv_large_enough", f"the GTV has {gtv.voxels} voxels on the grid", "Check whether the right structure was named"))
    elif limits.small_flag_mm3 is not None and gtv.volume_mm3 < limits.small_flag_mm3:
        flagging.append(Finding("gtv_large_enough", f"the GTV has {gtv.volume_mm3:.0f} mm3", "Check whether the right structure was named"))
    if figures.planimetric_mm3 is not None:
        difference = abs(figures.grid_mm3 - figures.planimetric_mm3)
        check(
            "volume_as_drawn",
            max(difference - limits.planimetric_floor_mm3, 0.0) / max(figures.planimetric_mm3, 1e-9),
            limits.planimetric_refuse,
            limits.planimetric_flag,
            f"{figures.grid_mm3:.0f} mm3 in voxels, {figures.planimetric_mm3:.0f} mm3 by the contours",
            "Look at the contours: they may cross themselves or each other, or lie beyond the scan",
        )
    check(
        "contours_apart",
        figures.crossing,
        None,
        limits.crossing_flag,
        f"{figures.crossing} contours cross another contour of the GTV on their plane; their union was taken",
        "Look at the contours, and export them as one where they belong together",
    )
    if figures.contour_planes and figures.contour_planes_hit is not None:
        unhit = figures.contour_planes - figures.contour_planes_hit
        check(
            "planes_hit",
            unhit / figures.contour_planes,
            limits.planes_refuse,
            limits.planes_flag,
            f"{unhit} of {figures.contour_planes} contour planes hit no voxel",
            "Check that all slices of the contoured CT were sent",
        )
    check(
        "inside_scan",
        figures.border_voxels,
        None,
        limits.border_flag,
        f"{figures.border_voxels} GTV voxels touch the border of the scan",
        "Part of the tumor or its rings may be cut off; send a larger field of view if there is one",
    )
    for roi in figures.rois[1:]:
        check(
            "ring_inside_scan",
            roi.lost_mm3 / (roi.lost_mm3 + roi.volume_mm3) if roi.lost_mm3 + roi.volume_mm3 > 0 else None,
            None,
            limits.lost_flag,
            f"{roi.roi} loses {roi.lost_mm3:.0f} of {roi.lost_mm3 + roi.volume_mm3:.0f} mm3 beyond the scan",
            "Send a larger field of view if there is one",
        )
    check(
        "one_part",
        1 - figures.largest_share,
        None,
        None if limits.share_flag is None else 1 - limits.share_flag,
        f"{figures.islands} parts; the largest holds {figures.largest_share:.0%}",
        "Look at the contours",
    )
    check(
        "slices_in_a_row",
        figures.skipped_slices,
        None,
        limits.skipped_flag,
        f"{figures.skipped_slices} slices without contour between the first and the last",
        "Look whether slices were forgotten in contouring",
    )
    if limits.gap_refuse_mm is not None and figures.gap_max_mm > limits.gap_refuse_mm:
        refusing.append(Finding("slice_gaps", f"slices {figures.gap_max_mm:.2f} mm apart within the GTV", "Send the missing slices"))
    elif limits.gap_flag is not None and figures.gap_max_mm > limits.gap_flag * figures.gap_min_mm:
        flagging.append(Finding("slice_gaps", f"slice gaps of {figures.gap_min_mm:.2f} to {figures.gap_max_mm:.2f} mm within the GTV", "Look at the contours"))
    if (limits.hu_low_flag is not None and gtv.hu_median < limits.hu_low_flag) or (limits.hu_high_flag is not None and gtv.hu_median > limits.hu_high_flag):
        flagging.append(
            Finding(
                "hu_of_tissue",
                f"median of {gtv.hu_median:.0f} HU inside the GTV",
                "Check that the contours belong to this image, and that it holds HU",
            )
        )
    check("hu_of_air", figures.hu_lowest, None, limits.air_flag, f"no voxel of the scan is below {figures.hu_lowest:.0f} HU", "Check that the scan holds HU")
    flagging += _of_no_person(figures, limits)
    check(
        "slices_alike",
        figures.slice_step,
        None,
        limits.slice_step_flag,
        f"the mean of a slice differs by {figures.slice_step:.0f} HU from that of its neighbors",
        "Look at the slices: one may be rescaled otherwise, or be another patient's",
    )
    if limits.series_flag and figures.series_named is False:
        flagging.append(
            Finding(
                "series_named",
                "the contours name another CT series of the same frame of reference",
                "Check that they were drawn on this phase and reconstruction",
            )
        )
    return refusing, flagging


def _of_no_person(figures: Certificate, limits: CertificateLimits) -> list[Finding]:
    """Mean and standard deviation of the scan scale every feature of intensity."""
    findings = []
    for name, value, low, high in (
        ("mean", figures.scan_mean, limits.scan_mean_low_flag, limits.scan_mean_high_flag),
        ("standard deviation", figures.scan_std, None, limits.scan_std_high_flag),
    ):
        if (low is not None and value < low) or (high is not None and value > high):
            advice = "Check that the scan holds HU, and what was written where nothing was measured"
            findings.append(Finding("scan_of_a_person", f"a {name} of {value:.0f} HU over the whole scan", advice))
    if limits.soft_tissue_flag is not None and figures.soft_tissue < limits.soft_tissue_flag:
        low, high = SOFT_TISSUE_HU
        fault = f"{figures.soft_tissue:.2%} of the scan between {low:.0f} and {high:.0f} HU, the range of soft tissue"
        findings.append(Finding("scan_of_a_person", fault, "Check RescaleSlope and RescaleIntercept: the scan may be in a unit other than HU"))
    return findings


def _soft_tissue(values: np.ndarray) -> float:
    """Slice by slice: two comparisons of a whole scan would take half of its memory again."""
    low, high = SOFT_TISSUE_HU
    return float(sum(int(np.count_nonzero((plane >= low) & (plane <= high))) for plane in values) / values.size) if values.size else 0.0


def _rois(grid: Scan, rings: Mapping[str, Mask]) -> tuple[RoiFigures, ...]:
    margins = {name: ring_margin(name) for name in rings}
    losses = ring_loss(grid.gtv, list(margins.values())) if margins and grid.gtv.values.any() else dict.fromkeys(margins, 0.0)
    figures = []
    for name, mask in {GTV: grid.gtv, **rings}.items():
        inside = grid.image.values[mask.values]
        low, middle, high = (float(inside.min()), float(np.median(inside)), float(inside.max())) if inside.size else (np.nan,) * 3
        figures.append(RoiFigures(name, mask.volume_mm3, int(inside.size), losses.get(name, 0.0), low, middle, high))
    return tuple(figures)


def _parts(mask: np.ndarray) -> tuple[int, float]:
    """Number of connected parts and the share of the largest."""
    from scipy.ndimage import label

    tight = mask[bounding_box(mask)]
    labels, count = label(tight, structure=np.ones((3, 3, 3)))
    if not count:
        return 0, 0.0
    sizes = np.bincount(labels.ravel())[1:]
    return int(count), float(sizes.max() / sizes.sum())


def _holes(mask: np.ndarray) -> int:
    """Parts of the background that a plane's mask encloses, over all planes."""
    from scipy.ndimage import label

    count = 0
    for plane in mask[bounding_box(mask)]:
        _, parts = label(~np.pad(plane, 1))
        count += parts - 1
    return count


def _border(mask: np.ndarray) -> int:
    inner = mask[1:-1, 1:-1, 1:-1]
    return int(np.count_nonzero(mask)) - int(np.count_nonzero(inner))


def _planes_hit(native: Scan) -> int | None:
    """Contour planes with a mask voxel in the part of the image that their slab covers."""
    if native.contours is None:
        return None
    step = native.image.spacing[0]
    occupied = np.asarray(native.gtv.values.any(axis=(1, 2)))
    hit = set()
    for region in native.contours.regions:
        for plane in region.planes:
            first = max(int(np.floor(plane.lower / step + 0.5)), 0)
            last = max(int(np.ceil(plane.upper / step + 0.5 - 1e-6)), first + 1)
            if occupied[first:last].any():
                hit.add((region.number, plane.position))
    return len(hit)


def _slice_step(values: np.ndarray) -> float:
    means = np.array([plane.mean(dtype=np.float64) for plane in values])
    return float(np.abs(means[1:-1] - (means[:-2] + means[2:]) / 2).max()) if len(means) > 2 else 0.0


def _gaps(native: Scan) -> tuple[float, float]:
    """Smallest and largest distance between neighboring slices from the one before the GTV to the one behind."""
    step = native.image.spacing[0]
    positions = np.asarray(native.slice_positions) if native.slice_positions else np.arange(native.image.values.shape[0]) * step
    occupied = np.flatnonzero(native.gtv.values.any(axis=(1, 2)))
    gaps = np.diff(positions)
    if not occupied.size or not gaps.size:
        return step, step
    near = (positions[1:] >= occupied[0] * step - 1e-6) & (positions[:-1] <= occupied[-1] * step + 1e-6)
    gaps = gaps[near] if near.any() else gaps
    return float(gaps.min()), float(gaps.max())
