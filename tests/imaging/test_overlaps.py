"""Contours of one plane: holes stay holes, what crosses is united, what was sent twice counts once."""

from collections.abc import Sequence

import numpy as np
import pytest

from penumbra.imaging.contours import Contours, Plane, Region
from penumbra.imaging.overlaps import arranged
from penumbra.imaging.raster import coverage


def circle(x: float, y: float, radius: float, points: int = 90, start: float = 0.0) -> np.ndarray:
    angle = start + np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def areas(rings: Sequence[np.ndarray], *, exclusive: bool = False) -> tuple[float, float, int, int]:
    """Area by the points, area by voxels, copies, crossing contours."""
    drawn = arranged(rings, 1.0, exclusive=exclusive)
    plane = Plane(0.0, -0.5, 0.5, drawn.rings, drawn.shapes)
    _, share = coverage(Contours((Region("GTV", 1, (plane,), 0.0),), 1), (1, 90, 90), (1.0, 1.0, 1.0))
    return drawn.area_mm2, float(share.sum(dtype=np.float64)), drawn.copies, drawn.crossing


def lens(radius: float, apart: float) -> float:
    """Area that two circles share (hand-computed: two circular segments)."""
    half = apart / 2
    return float(2 * radius**2 * np.arccos(half / radius) - 2 * half * np.sqrt(radius**2 - half**2))


def common(large: float, small: float, apart: float) -> float:
    """Area that two circles of different radii share (hand-computed, as above)."""
    d = (apart**2 + large**2 - small**2) / (2 * apart)
    e = apart - d
    return float(large**2 * np.arccos(d / large) - d * np.sqrt(large**2 - d**2) + small**2 * np.arccos(e / small) - e * np.sqrt(small**2 - e**2))


@pytest.mark.parametrize("apart", [0.8, 4.0, 12.0, 20.0, 22.0, 23.4, 23.8])
def test_two_circles_that_cross_are_united(apart: float) -> None:
    both = [circle(30, 40, 12, 720), circle(30 + apart, 40, 12, 720)]
    union = 2 * np.pi * 144 - lens(12, apart)
    assert areas(both) == (pytest.approx(union, rel=2e-3), pytest.approx(union, rel=2e-3), 0, 2)
    exclusive = union - lens(12, apart)
    assert areas(both, exclusive=True)[:2] == pytest.approx((exclusive, exclusive), rel=0.02)


def test_holes_islands_in_holes_and_keyholes_stay() -> None:
    rings = [circle(40, 40, 30), circle(40, 40, 20)[::-1], circle(40, 40, 10)]
    right = np.pi * (900 - 400 + 100)
    assert areas(rings) == (pytest.approx(right, rel=2e-3), pytest.approx(right, rel=2e-3), 0, 0)
    outer, inner = circle(40, 40, 30), circle(40, 40, 20)[::-1]
    keyhole = [np.concatenate([outer, outer[:1], inner[-1:], inner, outer[:1]])]
    assert areas(keyhole)[1] == pytest.approx(np.pi * 500, rel=2e-3)


def test_a_hole_that_touches_its_outline_stays_a_hole() -> None:
    square = np.array([[10.0, 10], [50, 10], [50, 50], [10, 50]])
    assert areas([square, square / 2 + 5])[:2] == pytest.approx((1200, 1200), rel=1e-3)  # shares a corner and two stretches of side


def test_neighbors_that_share_a_side_are_no_crossing() -> None:
    left = np.array([[10.0, 10], [30, 10], [30, 50], [10, 50]])
    assert areas([left, left + np.array([20.02, 0])])[2:] == (0, 0)
    assert areas([left, left + np.array([19.97, 0])]) == (pytest.approx(1600, rel=2e-3), pytest.approx(1600, rel=2e-3), 0, 0)


@pytest.mark.parametrize("beyond", [0.3, 1.0, 9.0])
def test_an_outline_that_leaves_the_one_around_it_is_united_with_it(beyond: float) -> None:
    """Drawn inside another, all but a part that reaches beyond it: across, not a hole."""
    around, small = circle(40, 40, 20, 720), circle(60 + beyond - 5, 40, 5, 720)
    area, voxels, copies, crossing = areas([around, small])
    assert (copies, crossing) == (0, 2)
    union = np.pi * 400 + np.pi * 25 - common(20, 5, 15 + beyond)
    assert (area, voxels) == pytest.approx((union, union), rel=2e-3)


def test_a_hole_whose_rounded_points_leave_its_outline_stays_a_hole() -> None:
    around, hole = circle(40, 40, 20, 200), circle(55, 40, 5, 200)
    area, voxels, copies, crossing = areas([around.round(1), hole.round(1)])
    assert (copies, crossing) == (0, 0)
    assert (area, voxels) == pytest.approx((np.pi * 375, np.pi * 375), rel=5e-3)


@pytest.mark.parametrize(
    "again",
    [
        circle(40, 40, 15)[::-1],
        circle(40, 40, 15).round(1),
        circle(40, 40, 15, 31, 0.1),
        circle(40, 40, 15, 180),
        circle(40.1, 39.9, 15, 60),
    ],
    ids=["reversed", "rounded", "fewer points", "more points", "a little off"],
)
def test_the_same_outline_twice_counts_once(again: np.ndarray) -> None:
    area, voxels, copies, crossing = areas([circle(40, 40, 15), again])
    assert (copies, crossing) == (1, 0)
    assert (area, voxels) == pytest.approx((np.pi * 225, np.pi * 225), rel=0.01)


def test_a_thin_shell_is_no_copy() -> None:
    """Outer and inner wall a millimeter apart: a hole, not the same contour sent twice."""
    assert areas([circle(40, 40, 15, 180), circle(40, 40, 14, 180)])[:3] == (pytest.approx(np.pi * 29, rel=0.01), pytest.approx(np.pi * 29, rel=0.01), 0)


def test_crossing_holes_are_one_hole() -> None:
    rings = [circle(45, 45, 35, 720), circle(38, 45, 10, 720), circle(50, 45, 10, 720)]
    right = np.pi * 1225 - (2 * np.pi * 100 - lens(10, 12))
    assert areas(rings)[:2] == pytest.approx((right, right), rel=3e-3)
