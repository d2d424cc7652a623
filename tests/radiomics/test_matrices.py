"""The matrices of an ROI are those that a plain loop over its voxels counts, whichever way they are counted."""

import numpy as np
import pytest

from penumbra.radiomics.first_order import Levels
from penumbra.radiomics.neighborhood import Neighborhood
from penumbra.radiomics.scratch import Scratch
from penumbra.radiomics.texture import Frame, Matrices, frame, matrices

pytestmark = pytest.mark.numeric

Place = tuple[int, int, int]


def counted(shape: Place, kinds: int, share: float, near: Neighborhood, seed: int) -> tuple[dict[Place, int], Levels, Frame, Matrices]:
    """Level by place of random voxels, some in blocks of equals, and their matrices, measured after another image of the same ROI."""
    rng = np.random.default_rng(seed)
    inside = rng.random(shape) < share
    blocks = rng.integers(1, kinds + 1, [n // 3 + 1 for n in shape]).repeat(3, 0).repeat(3, 1).repeat(3, 2)[tuple(slice(n) for n in shape)]
    image = np.where(rng.random(shape) < 0.6, blocks, rng.integers(1, kinds + 1, shape))
    where, scratch = frame(inside, shape, (0, 0, 0), near), Scratch()
    for values in (rng.permutation(image.reshape(-1)).reshape(shape), image):
        present, rows, counts = np.unique(values[inside], return_inverse=True, return_counts=True)
        levels = Levels((rows + 1).astype(np.uint16), present.astype(float), counts.astype(np.int64), int(present[-1]))
        result = matrices(levels, where, scratch)
    places = [(int(z), int(y), int(x)) for z, y, x in np.argwhere(inside)]
    return dict(zip(places, levels.rows.tolist(), strict=True)), levels, where, result


def beside(place: Place, way: np.ndarray, sign: int) -> Place:
    z, y, x = (int(at + sign * step) for at, step in zip(place, way, strict=True))
    return z, y, x


@pytest.mark.parametrize(
    ("shape", "kinds", "share", "near"),
    [
        ((7, 9, 70), 4, 0.8, Neighborhood()),
        ((7, 9, 70), 2, 0.97, Neighborhood()),
        ((5, 9, 70), 300, 0.8, Neighborhood()),
        ((1, 40, 31), 5, 0.9, Neighborhood()),
        ((6, 5, 8), 3, 0.5, Neighborhood()),
        ((6, 12, 66), 3, 0.9, Neighborhood(across=0)),
        ((4, 3, 80), 1, 1.0, Neighborhood()),
    ],
    ids=["registers", "two levels", "more cells than 16 bits", "flat", "narrow", "in planes", "one level"],
)
def test_matrices_are_those_of_a_plain_loop(shape: Place, kinds: int, share: float, near: Neighborhood) -> None:
    level, levels, where, result = counted(shape, kinds, share, near, seed=kinds)
    pairs, runs = np.zeros_like(result.cooccurrence), np.zeros_like(result.runs)
    for a, way in enumerate(where.directions):
        for place, row in level.items():
            pairs[a, row, level.get(beside(place, way, 1), 0)] += 1
            if level.get(beside(place, way, -1)) != row:
                length, last = 1, place
                while level.get(last := beside(last, way, 1)) == row:
                    length += 1
                runs[a, row - 1, length - 1] += where.with_lines[a]
    assert np.array_equal(result.cooccurrence[:, 1:, 1:], pairs[:, 1:, 1:])
    assert np.array_equal(result.runs, runs)

    dependence, differences = np.zeros_like(result.dependence), np.zeros_like(result.differences)
    zones: dict[tuple[int, int], int] = {}
    unseen = dict(level)
    for place, row in level.items():
        around = [level[each] for way in where.directions for sign in (-1, 1) if (each := beside(place, way, sign)) in level]
        dependence[row - 1, around.count(row)] += 1
        if around:
            differences[row - 1] += abs(levels.gray[row - 1] - np.mean([levels.gray[each - 1] for each in around]))
        if unseen.pop(place, None) is not None:
            stack, size = [place], 0
            while stack:
                size += 1
                here = stack.pop()
                for each in (beside(here, way, sign) for way in where.directions for sign in (-1, 1)):
                    if unseen.get(each) == row:
                        del unseen[each]
                        stack.append(each)
            zones[row - 1, size] = zones.get((row - 1, size), 0) + 1
    assert np.array_equal(result.dependence, dependence)
    assert np.allclose(result.differences, differences, rtol=1e-12)
    small = {(int(k), int(s) + 1): int(result.small_zones[k, s]) for k, s in np.argwhere(result.small_zones)}
    for k, s in result.large_zones.tolist():
        small[k, s] = small.get((k, s), 0) + 1
    assert small == zones
