"""Shape against solids whose size is known, and diameters against all pairs of vertices."""

import itertools
import math
import warnings

import numpy as np
import pytest

from penumbra.radiomics.cubes import areas_and_volumes
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


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.9765625, 0.9765625), (2.5, 0.7, 1.3)])
def test_every_pattern_of_a_cube_has_the_area_and_volume_of_pyradiomics(spacing: tuple[float, float, float]) -> None:
    """The core needs no PyRadiomics: its mesh is ours. On the grid of 1 mm to the last bit, since features that are stored were made with theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from radiomics import cShape
    steps = np.array(spacing)
    tables = [areas_and_volumes((z, 0, 0), steps) for z in range(5)]
    for number in range(256):
        inside = np.array([(number >> bit) & 1 for bit in range(8)], dtype=bool).reshape(2, 2, 2)
        for cubes in (inside, np.concatenate([inside, inside, ~inside])):
            theirs = cShape.calculate_coefficients(np.ascontiguousarray(cubes), steps)[:2]
            patterns = [int(cubes[z : z + 2].reshape(-1) @ (1 << np.arange(8))) for z in range(len(cubes) - 1)]
            area, volume = (sum(table[pattern] for table, pattern in zip(tables, patterns, strict=False))).tolist()
            ours = area, volume / 6
            assert ours == theirs if cubes is inside and spacing == (1.0, 1.0, 1.0) else ours == pytest.approx(theirs, rel=1e-13, abs=1e-13)
