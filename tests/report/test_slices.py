"""Which slice is shown, and how it is cut."""

import numpy as np

from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.report import picture_of

SPACING = (3.0, 1.0, 2.0)


def scan_with(gtv: np.ndarray) -> Scan:
    planes = np.broadcast_to(np.arange(gtv.shape[0], dtype=float)[:, None, None], gtv.shape)
    return Scan(Volume(planes.copy(), SPACING), Mask(gtv, SPACING))


def test_largest_plane_cut_to_a_square_in_millimeters() -> None:
    gtv = np.zeros((6, 80, 60), dtype=bool)
    gtv[2, 40, 30] = True
    gtv[3, 36:45, 28:32] = True
    ring = np.roll(gtv, 1, axis=1) & ~gtv
    picture = picture_of(scan_with(gtv), {"ring_3mm": Mask(ring, SPACING)}, patient="p1", center="east", log_risk=0.1, risk_group="high", margin_mm=10.0)
    assert np.all(picture.hu == 3), "plane 3 has the largest area"
    assert picture.gtv.sum() == 36
    assert picture.rings["ring_3mm"].sum() == 4
    assert picture.spacing_mm == (1.0, 2.0)
    height, width = picture.hu.shape[0] * 1.0, picture.hu.shape[1] * 2.0
    assert abs(height - width) <= 2 * 2.0, "to the voxel"
    assert height >= 9 + 2 * 10


def test_a_tumor_at_the_border_is_cut_by_the_image() -> None:
    gtv = np.zeros((2, 20, 20), dtype=bool)
    gtv[0, 0:3, 17:20] = True
    picture = picture_of(scan_with(gtv), {}, patient="p1", center="east", log_risk=0.1, risk_group="high", margin_mm=4.0)
    assert picture.gtv.sum() == 9
    assert picture.gtv[0, -1]
