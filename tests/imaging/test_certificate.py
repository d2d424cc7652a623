"""The certificate: its figures by hand, each limit alone."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from penumbra.imaging import Certificate, CertificateLimits, Mask, Scan, Volume, certify, read_patient, rings, to_grid

from ..limits import certificate_limits
from .phantom import Box, Ellipsoid, Patient, Torus

MARGINS = (3.0, 6.0)
NEVER = CertificateLimits(**{field.name: 0.0 if field.name == "planimetric_floor_mm3" else None for field in fields(CertificateLimits)})  # type: ignore[arg-type]


def certificate(scan: Scan, limits: CertificateLimits | None = None) -> Certificate:
    grid = to_grid(scan, margin_mm=8)
    return certify(scan, grid, rings(grid.gtv, MARGINS), limits or certificate_limits())


def voxels(mask: np.ndarray, hu: float = 40.0) -> Scan:
    spacing = (1.0, 1.0, 1.0)
    image = np.full(mask.shape, hu, dtype=np.int16)
    image[-1, -1, -1] = -1000  # air
    return Scan(Volume(image, spacing), Mask(mask, spacing))


def block() -> np.ndarray:
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[15:25, 15:25, 15:25] = True
    return mask


def rules(found: Certificate) -> list[str]:
    return [finding.rule for finding in found.findings]


def test_a_sound_voxel_mask() -> None:
    found = certificate(voxels(block()))
    assert (found.status, found.findings) == ("accepted", ())
    assert (found.contour_planes, found.planimetric_mm3) == (None, None)
    assert (found.native_mm3, found.grid_mm3, found.slices, found.skipped_slices) == (1000.0, 1000.0, 10, 0)
    assert (found.holes, found.islands, found.largest_share, found.border_voxels) == (0, 1, 1.0, 0)
    assert [roi.roi for roi in found.rois] == ["gtv", "ring_3mm", "ring_6mm"]
    assert [roi.lost_mm3 for roi in found.rois] == [0.0, 0.0, 0.0]
    assert (found.rois[0].hu_min, found.rois[0].hu_median, found.rois[0].hu_max) == (40.0, 40.0, 40.0)


def test_holes_islands_and_skipped_slices() -> None:
    mask = block()
    mask[18, 18:20, 18:20] = False
    mask[20] = False
    mask[30:32, 15, 15] = True
    found = certificate(voxels(mask))
    assert (found.holes, found.islands, found.slices, found.skipped_slices) == (1, 3, 11, 6)
    assert found.largest_share == pytest.approx(496 / 898)
    assert (found.status, rules(found)) == ("flagged", ["slices_in_a_row"])
    assert rules(certificate(voxels(mask), certificate_limits(share_flag=0.6))) == ["one_part", "slices_in_a_row"]


def test_a_mask_at_the_border_is_flagged_and_never_refused() -> None:
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[0:10, 15:25, 0:12] = True
    found = certificate(voxels(mask))
    assert found.status == "flagged"
    assert rules(found) == ["inside_scan", "ring_inside_scan", "ring_inside_scan"]
    assert found.border_voxels == 10 * 12 + 10 * 10 - 10
    assert found.rois[1].lost_mm3 > 0


@pytest.mark.parametrize(
    ("limits", "status", "rule"),
    [
        ({"small_refuse_voxels": 1001}, "refused", "gtv_large_enough"),
        ({"small_flag_mm3": 1001.0}, "flagged", "gtv_large_enough"),
        ({"hu_low_flag": 41.0}, "flagged", "hu_of_tissue"),
        ({"hu_high_flag": 39.0}, "flagged", "hu_of_tissue"),
        ({"gap_refuse_mm": 0.5}, "refused", "slice_gaps"),
        ({"air_flag": -1001.0}, "flagged", "hu_of_air"),
    ],
)
def test_each_limit_alone(limits: dict[str, float], status: str, rule: str) -> None:
    assert certificate(voxels(block()), NEVER).status == "accepted"
    found = certificate(voxels(block()), replace(NEVER, **limits))  # type: ignore[arg-type]
    assert (found.status, rules(found)) == (status, [rule])


def test_an_empty_mask_is_refused() -> None:
    scan = voxels(np.zeros((5, 5, 5), dtype=bool))
    found = certify(scan, scan, {}, NEVER)
    assert (found.status, rules(found)) == ("refused", ["gtv_not_empty"])


def test_contours(tmp_path: Path) -> None:
    torus = Torus((30.0, 30.0, 36.0), 16.0, 8.0)
    found = certificate(read_patient(Patient((24, 64, 64), (3.0, 1.0, 1.0), rois={"GTV": torus}).write(tmp_path)))
    assert found.status == "accepted"
    assert (found.contour_planes, found.contour_planes_hit, found.holes) == (5, 5, 5)
    assert found.planimetric_mm3 == pytest.approx(found.grid_mm3, rel=0.002)
    assert (found.gap_min_mm, found.gap_max_mm) == pytest.approx((3.0, 3.0))


def test_contours_that_cross_each_other_are_united_and_flagged(tmp_path: Path) -> None:
    """Two overlapping contours on a plane: even-odd would take their common part out."""
    left, right = Box((25.0, 30.0, 30.0), (24.0, 20.0, 30.0)), Box((35.0, 30.0, 30.0), (24.0, 20.0, 30.0))
    patient = Patient((24, 64, 64), (3.0, 1.0, 1.0), rois={"GTV": left})
    structures = patient.structures()
    structures.ROIContourSequence[0].ContourSequence.extend(patient.contours(right))
    from .phantom import save

    for index, item in enumerate(patient.slices()):
        save(item, tmp_path / f"{index}.dcm")
    save(structures, tmp_path / "rs.dcm")
    found = certificate(read_patient(tmp_path))
    assert (found.status, rules(found)) == ("flagged", ["contours_apart"])
    assert found.crossing == 22  # two on each of 11 planes
    assert found.grid_mm3 == pytest.approx(34 * 20 * 33, rel=0.01)
    assert found.planimetric_mm3 == pytest.approx(34 * 20 * 33, rel=0.002)


def test_planimetry_contradicts_a_mask_with_slabs_of_its_own(tmp_path: Path) -> None:
    """The volume by the contours does not come from the slabs that the mask was made of: a mask with half of them is refused."""
    scan = read_patient(Patient((24, 64, 64), (3.0, 1.0, 1.0), rois={"GTV": Ellipsoid((30.0, 30.0, 34.0), (12.0, 12.0, 12.0))}).write(tmp_path))
    assert scan.contours is not None
    (region,) = scan.contours.regions
    thin = tuple(replace(plane, lower=plane.position - 0.75, upper=plane.position + 0.75) for plane in region.planes)
    found = certificate(replace(scan, contours=replace(scan.contours, regions=(replace(region, planes=thin),))))
    assert found.status == "refused"
    assert "volume_as_drawn" in rules(found)


def test_uneven_gaps_and_planes_beyond_the_scan_are_flagged(tmp_path: Path) -> None:
    heights = [*range(0, 30, 3), *range(30, 48, 6), *range(48, 60, 3)]
    ball = Ellipsoid((30.0, 30.0, 34.0), (12.0, 12.0, 12.0))
    found = certificate(read_patient(Patient(heights=heights, rois={"GTV": ball}).write(tmp_path / "gaps")))
    assert (found.status, rules(found)) == ("flagged", ["slice_gaps"])
    assert (found.gap_min_mm, found.gap_max_mm) == pytest.approx((3.0, 6.0))

    long = Ellipsoid((30.0, 30.0, 60.0), (10.0, 10.0, 30.0))
    patient = Patient((24, 64, 64), (3.0, 1.0, 1.0), rois={"GTV": long}, contour_heights=list(range(0, 90, 3)))
    beyond = certificate(read_patient(patient.write(tmp_path / "beyond")))
    assert beyond.status == "refused"
    assert "planes_hit" in rules(beyond)
    assert beyond.contour_planes is not None
    assert beyond.contour_planes_hit is not None
    assert beyond.contour_planes - beyond.contour_planes_hit == 6
