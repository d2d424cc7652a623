"""The five texture matrices of an ROI, counted in three passes over its voxels.

Levels are kept on the ROI's box with one voxel of zeros around it, so that a neighbor is read without asking whether it exists; zero is "outside the
ROI". Only levels that occur get a row: `rows` hold 1..K, `gray[k]` is the gray level of row k + 1.
"""

from dataclasses import dataclass

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from penumbra.base.refusal import Refusal
from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.neighborhood import DIRECTIONS, USUAL, Neighborhood, compare_with_neighbors, count_far_pairs

SMALL_ZONE = 64  # zones up to this size are counted in a table, the few larger ones in a list
OPPOSITE = 13  # bits 0..12 of a voxel's marks: neighbors ahead that are equal; 13..25: neighbors behind
VISITED = 31


@dataclass(frozen=True)
class Frame:
    """Where an ROI's voxels are, in the order z, y, x: in the array of a filtered image, and in the padded box of levels."""

    in_image: np.ndarray  # int64, positions in the flat image
    in_box: np.ndarray  # int32, positions in the flat padded box
    padded: tuple[int, int, int]  # shape of the padded box
    steps: np.ndarray  # int64, distance in the flat padded box to the neighbor in each direction that the box is wide enough for
    with_lines: np.ndarray  # bool, whether two voxels share a line in that direction
    neighbors: np.ndarray  # int32, of each voxel: how many of its 26 neighbors are in the ROI
    neighborhood: Neighborhood
    far_steps: np.ndarray  # int64, as `steps`, to the neighbors at the distances of `neighborhood`
    pair_weights: np.ndarray | None  # of each of far_steps; None: directions are not added
    run_weights: np.ndarray | None  # of each of steps


@dataclass(frozen=True)
class Matrices:
    """Counts for one image and one ROI. a: direction, k: row of a gray level from 1 on, s: size from 1 on."""

    cooccurrence: np.ndarray  # (a, k, k), a neighbor in one sense only; row and column 0 are outside the ROI; a is 1 where directions were added
    runs: np.ndarray  # (a, k - 1, s - 1); likewise
    dependence: np.ndarray  # (k - 1, dependent neighbors)
    differences: np.ndarray  # (k - 1,), sum of |gray - mean of the neighbors|
    small_zones: np.ndarray  # (k - 1, s - 1), sizes up to SMALL_ZONE
    large_zones: np.ndarray  # (n, 2), k - 1 and s


def frame(
    mask: np.ndarray,
    image_shape: tuple[int, ...],
    offset: tuple[int, int, int],
    neighborhood: Neighborhood = USUAL,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Frame:
    """The places of the True voxels of `mask` (an ROI's box, z, y, x), which lies at `offset` in an image of `image_shape` and `spacing` (mm)."""
    places = np.stack(np.nonzero(mask))
    z, y, x = places
    border = max(neighborhood.distances)
    padded = (mask.shape[0] + 2 * border, mask.shape[1] + 2 * border, mask.shape[2] + 2 * border)
    in_image = ((z + offset[0]) * image_shape[1] + y + offset[1]) * image_shape[2] + x + offset[2]
    in_box = (((z + border) * padded[1] + y + border) * padded[2] + x + border).astype(np.int32)
    # PyRadiomics leaves out the directions along which the box is one voxel wide.
    directions = neighborhood.within(DIRECTIONS, mask.shape)
    far = neighborhood.directions(mask.shape)
    strides = np.array([padded[1] * padded[2], padded[2], 1])
    steps = directions @ strides
    inside = np.zeros(padded, dtype=np.int32).reshape(-1)
    inside[in_box] = 1
    with_lines = [bool(inside[in_box + step].any()) or _shares_a_line(places, way) for step, way in zip(steps, directions, strict=True)]
    around = np.empty_like(inside)
    sum_of_27(inside, padded[2], padded[1] * padded[2], np.zeros_like(inside), around)
    return Frame(
        in_image,
        in_box,
        padded,
        steps,
        np.array(with_lines),
        around[in_box] - 1,
        neighborhood,
        far @ strides,
        neighborhood.pair_weights(far, spacing),
        neighborhood.run_weights(directions, spacing),
    )


def _shares_a_line(places: np.ndarray, direction: np.ndarray) -> bool:
    axis = int(np.flatnonzero(direction)[0])
    starts = places - np.outer(direction, places[axis] * direction[axis])
    return bool(len(np.unique(starts, axis=1).T) < places.shape[1])


def matrices(rows: np.ndarray, gray: np.ndarray, where: Frame, roi: str = "") -> Matrices:
    """The matrices of an ROI whose voxels have the rows `rows` (1..K, in the order of `where`) with gray levels `gray` (K,).

    Raises
    ------
    Refusal
        "roi_dimensions" for an ROI that has no voxel's width in any direction in which neighbors are looked for.
    """
    if not len(where.steps) or not len(where.far_steps):
        extents = " x ".join(str(extent - 2 * max(where.neighborhood.distances)) for extent in where.padded)
        raise Refusal("roi_dimensions", f"{roi} is {extents} voxels, too narrow for any two to be neighbors", "Choose other distances or force2Ddimension")
    levels, longest, size = len(gray), max(where.padded) - 2 * max(where.neighborhood.distances), int(np.prod(where.padded))
    box = np.zeros(size, dtype=np.uint16)
    box[where.in_box] = rows
    lengths, marks = np.zeros(size, dtype=np.uint16), np.zeros(size, dtype=np.uint32)
    cooccurrence = np.zeros((len(where.steps), levels + 1, levels + 1), dtype=np.int32)
    runs = np.zeros((len(where.steps), levels + 1, longest), dtype=np.int32)
    count_pairs(box, where.in_box, where.steps, cooccurrence.reshape(len(runs), -1), runs.reshape(len(runs), -1), longest, lengths, marks)
    runs[~where.with_lines] = 0  # a direction in which no line holds two voxels says nothing of runs

    small_zones = np.zeros((levels, SMALL_ZONE), dtype=np.int32)
    large_zones = np.empty((len(rows) // SMALL_ZONE + 1, 2), dtype=np.int64)
    dependence = np.zeros((levels, 2 * len(DIRECTIONS) + 1), dtype=np.int32)
    large_count = grow_zones(box, where.in_box, where.steps, marks, small_zones, large_zones, dependence)

    tones = np.concatenate([[0], gray]).astype(np.int32)[box]
    differences = np.zeros(levels)
    if where.neighborhood.usual:
        around = marks.view(np.int32)  # no longer needed
        sum_of_27(tones, where.padded[2], where.padded[1] * where.padded[2], np.zeros_like(tones), around)
        sum_differences(box, where.in_box, tones, around, where.neighbors, differences)
    else:
        dependence = np.zeros((levels, 2 * len(where.far_steps) + 1), dtype=np.int32)
        compare_with_neighbors(box, tones, where.in_box, where.far_steps, where.neighborhood.max_difference, dependence, differences)
        if where.neighborhood.distances != (1,):
            cooccurrence = np.zeros((len(where.far_steps), levels + 1, levels + 1), dtype=np.int32)
            count_far_pairs(box, where.in_box, where.far_steps, cooccurrence)
    if where.pair_weights is not None and where.run_weights is not None:
        cooccurrence = np.tensordot(where.pair_weights, cooccurrence, axes=1)[None]
        runs = np.tensordot(where.run_weights, runs, axes=1)[None]
    return Matrices(cooccurrence, runs[:, 1:], dependence, differences, small_zones, large_zones[:large_count])


@kernel
def count_pairs(
    box: np.ndarray, places: np.ndarray, steps: np.ndarray, cooccurrence: np.ndarray, runs: np.ndarray, longest: int, lengths: np.ndarray, marks: np.ndarray
) -> None:
    """Co-occurrence and runs, direction by direction, and in `marks` which neighbors of a voxel are its equals.

    Nothing in the inner loop depends on a guess: whether neighbors are equal is as good as random, and a wrong guess costs more than the sums.
    `lengths` holds how long the run is that continues from a voxel; 0: it ends there. Unsigned numbers spare the test for negative positions.
    """
    one = np.uint64(1)
    side, width = np.uint64(0), np.uint64(longest)
    while side * side < np.uint64(cooccurrence.shape[1]):
        side += one
    for a in range(steps.size):
        step = np.uint64(steps[a])
        pairs, ended_runs = cooccurrence[a], runs[a]
        ahead, behind = np.uint32(1) << np.uint32(a), np.uint32(1) << np.uint32(a + OPPOSITE)
        for n in range(places.size):
            place = np.uint64(places[n])
            level = np.uint64(box[place])
            neighbor_level = np.uint64(box[place + step])
            pairs[level * side + neighbor_level] += 1
            goes_on = np.uint64(level == neighbor_level)
            run_length = np.uint64(lengths[place - step])
            lengths[place] = (run_length + one) * goes_on
            ended_runs[level * width + run_length] += np.int32(one - goes_on)
            marks[place] |= ahead * np.uint32(goes_on) | behind * np.uint32(run_length > np.uint64(0))


@kernel
def grow_zones(
    box: np.ndarray, places: np.ndarray, steps: np.ndarray, marks: np.ndarray, small_zones: np.ndarray, large_zones: np.ndarray, dependence: np.ndarray
) -> int:
    """Zones of equal level, connected through any of the 26 neighbors, and the number of equal neighbors of each voxel.

    Returns
    -------
    int
        How many large zones were written.
    """
    stack = np.empty(places.size, dtype=np.int64)
    visited = np.uint32(1) << np.uint32(VISITED)
    to_neighbor = np.empty(2 * OPPOSITE, dtype=np.int64)
    for a in range(steps.size):
        to_neighbor[a] = steps[a]
        to_neighbor[OPPOSITE + a] = -steps[a]
    large_count = 0
    for n in range(places.size):
        if marks[places[n]] & visited:
            continue
        level = box[places[n]] - 1
        marks[places[n]] |= visited
        stack[0] = places[n]
        top, size = 1, 0
        while top > 0:
            top -= 1
            place = stack[top]
            size += 1
            equals = marks[place] ^ visited
            equal = 0
            while equals:
                neighbor = place + to_neighbor[trailing_zeros(equals)]  # type: ignore[call-arg]  # an intrinsic: numba adds its typing context itself
                equals &= equals - np.uint32(1)
                equal += 1
                if not marks[neighbor] & visited:
                    marks[neighbor] |= visited
                    stack[top] = neighbor
                    top += 1
            dependence[level, equal] += 1
        if size <= small_zones.shape[1]:
            small_zones[level, size - 1] += 1
        else:
            large_zones[large_count, 0] = level
            large_zones[large_count, 1] = size
            large_count += 1
    return large_count


@kernel
def sum_of_27(values: np.ndarray, row: int, plane: int, between: np.ndarray, result: np.ndarray) -> None:
    """Sum over each voxel and its 26 neighbors in a flat padded box; right for every voxel that is not padding."""
    for source, target, step in ((values, result, 1), (result, between, row), (between, result, plane)):
        if values.size > 2 * step:
            previous, current, following = source[: -2 * step], source[step:-step], source[2 * step :]
            middle = target[step:-step]
            for i in range(current.size):
                middle[i] = previous[i] + current[i] + following[i]


@kernel
def sum_differences(box: np.ndarray, places: np.ndarray, tones: np.ndarray, around: np.ndarray, neighbors: np.ndarray, differences: np.ndarray) -> None:
    """Sum of |gray - mean of the neighbors| for each level; a voxel without neighbors differs by nothing."""
    for n in range(places.size):
        place = places[n]
        if neighbors[n] > 0:
            differences[box[place] - 1] += abs(tones[place] - (around[place] - tones[place]) / neighbors[n])
