"""Shape against solids whose size is known, and diameters against all pairs of vertices."""

import itertools
import math

import numpy as np
import pytest

from penumbra.radiomics.shape import diameters, shape_features

from .conftest import blob

pytestmark = pytest.mark.numeric


def test_a_ball_has_the_size_of_a_ball() -> None:
    radius, step = 20.0, 1.0
    grid = np.indices((45, 45, 45)) - 22
    features = shape_features((grid**2).sum(axis=0) <= radius**2, (step, step, step))
    assert features["MeshVolume"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.02)
    assert features["Maximum3DDiameter"] == pytest.approx(2 * radius + step, rel=0.01)
    assert features["MajorAxisLength"] == pytest.approx(4 * radius / math.sqrt(5), rel=0.01)
    assert features["Flatness"] == pytest.approx(1.0)
    assert 0.9 < features["Sphericity"] < 1.0


def test_a_box_by_hand() -> None:
    features = shape_features(np.ones((2, 3, 4), dtype=bool), (3.0, 2.0, 1.0))
    assert features["VoxelVolume"] == 2 * 3 * 4 * 6.0
    # vertices lie half a step outside the outermost centers: z planes -1.5 and 4.5, x from -0.5 to 3.5, y from -1 to 5
    assert features["Maximum2DDiameterSlice"] == pytest.approx(max(math.hypot(4, 4), math.hypot(3, 6)))
    assert features["LeastAxisLength"] == pytest.approx(4 * math.sqrt(5 / 4))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 1.2)])
def test_diameters_are_those_of_all_pairs(spacing: tuple[float, float, float]) -> None:
    mask = np.pad(blob((13, 15, 14), (6, 7, 6), 4.5, seed=2), 1)
    points = []
    for axis in range(3):
        near, far = np.moveaxis(mask, axis, 0)[:-1], np.moveaxis(mask, axis, 0)[1:]
        places = np.argwhere(near != far).astype(float)
        places[:, 0] += 0.5
        order = [axis, *(other for other in range(3) if other != axis)]
        points.append(places[:, np.argsort(order)])
    vertices = np.concatenate(points) * spacing
    best = [0.0, 0.0, 0.0, 0.0]
    for a, b in itertools.combinations(vertices, 2):
        distance = math.dist(a, b)
        best[0] = max(best[0], distance)
        for axis in range(3):
            if a[axis] == b[axis]:
                best[1 + axis] = max(best[1 + axis], distance)
    assert diameters(mask, spacing) == pytest.approx(best)
