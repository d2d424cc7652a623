"""Shares of voxels against counting points with another program, and areas by the shoelace formula."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from penumbra.imaging.contours import Contours, Plane, Region
from penumbra.imaging.overlaps import arranged
from penumbra.imaging.raster import coverage


def star(center: tuple[float, float], seed: int, points: int = 23) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = np.random.default_rng(seed).uniform(4, 10, points)
    return np.stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)], axis=1)


def on_planes(*planes: tuple[float, float, list[np.ndarray]]) -> Contours:
    made = tuple(Plane((low + high) / 2, low, high, tuple(rings)) for low, high, rings in planes)
    return Contours((Region("GTV", 1, made, 0.0),), len(made))


@pytest.mark.parametrize("seed", range(4))
def test_shares_equal_counted_points(seed: int) -> None:
    rings = [star((14.3, 15.1), seed), star((14.0, 15.5), seed + 10) * 0.4 + 8.7, star((33.2, 12.9), seed + 20)]
    spacing = (3.0, 0.8, 1.3)
    box, share = coverage(on_planes((-1.5, 1.5, rings)), (2, 36, 40), spacing)
    fine = 10
    y, x = np.meshgrid(((np.arange(36 * fine) + 0.5) / fine - 0.5) * spacing[1], ((np.arange(40 * fine) + 0.5) / fine - 0.5) * spacing[2], indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    odd = np.zeros(len(points), dtype=bool)
    for ring in rings:
        odd ^= Polygon(np.vstack([ring, ring[:1]]), closed=True).contains_points(points)
    counted = odd.reshape(36, fine, 40, fine).mean(axis=(1, 3))
    whole = np.zeros((2, 36, 40))
    whole[box] = share
    assert np.abs(whole[0] - counted).max() < 0.08  # a voxel holds 100 points
    assert np.abs(whole[0] - counted).mean() < 0.002
    assert not whole[1].any()


def test_area_of_a_plane_with_a_hole_and_an_island_in_it() -> None:
    square = np.array([[0.0, 0], [20, 0], [20, 20], [0, 20]])
    rings = [square, square[::-1] / 2 + 3, square / 5 + 5]
    drawn = arranged(rings, 1.0)
    assert drawn.area_mm2 == pytest.approx(400 - 100 + 16)
    assert (len(set(drawn.shapes)), len(set(drawn.islands)), drawn.copies, drawn.crossing) == (3, 1, 0, 0)
    _, share = coverage(on_planes((-1.0, 1.5, rings)), (5, 30, 30), (1.0, 1.0, 1.0))
    assert share.sum(dtype=np.float64) == pytest.approx(316 * (1.5 + 0.5), rel=1e-5)  # what lies before the first voxel's face is cut off


def test_slabs_share_a_voxel() -> None:
    square = np.array([[2.5, 2.5], [6.5, 2.5], [6.5, 5.5], [2.5, 5.5]])
    box, share = coverage(on_planes((0.75, 2.0, [square]), (2.0, 3.25, [square])), (6, 10, 10), (1.0, 1.0, 1.0))
    assert box == (slice(1, 4), slice(3, 6), slice(3, 7))
    assert share[:, 0, 0] == pytest.approx([0.75, 1.0, 0.75])
