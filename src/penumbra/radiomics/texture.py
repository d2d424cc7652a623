"""The five texture matrices of an ROI, counted in few passes over its voxels.

Levels are latest on the ROI's box with one voxel of zeros around it, so that a neighbor is read without asking whether it exists; zero is "outside the
ROI". Only levels that occur get a row: `rows` hold 1..K, `gray[k]` is the gray level of row k + 1.

What compares neighbors goes over the whole box, in registers of many voxels, since most of a box is inside or costs nothing; what counts goes over the
voxels of the ROI.
"""

from dataclasses import dataclass

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.first_order import Levels
from penumbra.radiomics.neighborhood import DIRECTIONS, USUAL, Neighborhood, compare_with_neighbors, count_far_pairs
from penumbra.radiomics.scratch import Scratch
from penumbra.radiomics.zones import SMALL_ZONE, compare, join_zones, representatives

BLOCK = 2048  # voxels that are compared with all neighbors before the next ones
LANES = 32  # 16-bit numbers in a register
NARROW = 64  # neighbors nearer than this in the flat box are not compared in registers
CELLS = 2**16  # a table of counts with more is addressed voxel by voxel
APART = 4  # voxels that follow one another are counted in tables of their own: the same cell twice in a row would wait for itself


@dataclass(frozen=True)
class Frame:
    """Where an ROI's voxels are, in the order z, y, x: in the array of a filtered image, and in the padded box of levels."""

    in_image: np.ndarray  # int64, positions in the flat image
    in_box: np.ndarray  # int32, positions in the flat padded box
    padded: tuple[int, int, int]  # shape of the padded box
    directions: np.ndarray  # int64, (n, 3), those that the box is wide enough for
    steps: np.ndarray  # int64, distance in the flat padded box to the neighbor in each of them
    spans: np.ndarray  # int64, (n, 2), of each slice with voxels of the ROI: the place of its first voxel, and that behind its last
    with_lines: np.ndarray  # bool, whether two voxels share a line in that direction
    neighbors: np.ndarray  # uint16, of each voxel: how many of its 26 neighbors are in the ROI
    box: np.ndarray  # uint16, the flat padded box of rows, written for each image; 0 outside the ROI
    tones: np.ndarray  # likewise, of gray levels
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
    inside = np.zeros(padded, dtype=np.uint16).reshape(-1)
    inside[in_box] = 1
    with_lines = [_are_neighbors(inside, in_box, step) or _shares_a_line(places, way) for step, way in zip(steps, directions, strict=True)]
    changes = np.flatnonzero(np.concatenate([[True], z[1:] != z[:-1], [True]]))
    around = np.empty_like(inside)
    sum_of_27(inside, padded[2], padded[1] * padded[2], np.zeros_like(inside), around)
    return Frame(
        in_image,
        in_box,
        padded,
        directions,
        steps,
        np.stack([in_box[changes[:-1]], in_box[changes[1:] - 1] + 1], axis=1).astype(np.int64),
        np.array(with_lines),
        around[in_box] - np.uint16(1),
        np.zeros_like(inside),
        np.zeros_like(inside),
        neighborhood,
        far @ strides,
        neighborhood.pair_weights(far, spacing),
        neighborhood.run_weights(directions, spacing),
    )


def _are_neighbors(inside: np.ndarray, in_box: np.ndarray, step: int) -> bool:
    return any(bool(inside[some + step].any()) for some in (in_box[:BLOCK], in_box[BLOCK:]))


def _shares_a_line(places: np.ndarray, direction: np.ndarray) -> bool:
    axis = int(np.flatnonzero(direction)[0])
    starts = places - np.outer(direction, places[axis] * direction[axis])
    return bool(len(np.unique(starts, axis=1).T) < places.shape[1])


def matrices(levels: Levels, where: Frame, scratch: Scratch, roi: str = "") -> Matrices:
    """The matrices of an ROI whose voxels have these levels, in the order of `where`.

    Raises
    ------
    Refusal
        "roi_dimensions" for an ROI that has no voxel's width in any direction in which neighbors are looked for.
    """
    border = max(where.neighborhood.distances)
    if not len(where.steps) or not len(where.far_steps):
        extents = " x ".join(str(extent - 2 * border) for extent in where.padded)
        raise Refusal("roi_dimensions", f"{roi} is {extents} voxels, too narrow for any two to be neighbors", "Choose other distances or force2Ddimension")
    rows, gray, kinds, longest = levels.rows, levels.gray, len(levels.gray), max(where.padded) - 2 * border
    lay_out(rows, gray, where.in_box, where.box, where.tones)
    behind, equals, between, around = (scratch.take(name, where.box.shape, np.uint16) for name in ("behind", "equals", "between", "around"))
    side = kinds + 1
    cells = side * (side + longest)
    tables = np.empty((APART if APART * cells < len(rows) else 1) * cells, dtype=np.int32)
    cooccurrence = np.zeros((len(where.steps), side, side), dtype=np.int32)
    runs = np.zeros((len(where.steps), side, longest), dtype=np.int32)
    position = scratch.take("position", (8 * int(where.steps.max()),), np.uint16)
    count_pairs(where.box, where.in_box, where.spans, where.steps, levels.counts, position, between, tables, cooccurrence, runs)
    runs[~where.with_lines] = 0  # a direction in which no line holds two voxels says nothing of runs

    compare(where.box, where.spans, where.steps, behind, equals)
    small_zones = np.zeros((kinds, SMALL_ZONE), dtype=np.int32)
    large_zones = np.empty((len(rows) // SMALL_ZONE + 1, 2), dtype=np.int64)
    labels, joined = scratch.take("labels", where.box.shape, np.int32), scratch.take("joined", (3, len(rows) + 1), np.int32)
    representative = representatives(where.directions.tobytes())
    large_count = join_zones(where.box, where.in_box, where.steps, behind, representative, labels, joined, small_zones, large_zones)

    differences = np.zeros(kinds)
    if where.neighborhood.usual:
        dependence = np.zeros((kinds, 2 * len(DIRECTIONS) + 1), dtype=np.int32)
        sum_of_27(where.tones, where.padded[2], where.padded[1] * where.padded[2], between, around)
        sum_differences(rows, where.in_box, where.tones, around, where.neighbors, equals, dependence, differences)
    else:
        dependence = np.zeros((kinds, 2 * len(where.far_steps) + 1), dtype=np.int32)
        tones = where.tones.astype(np.int32)
        compare_with_neighbors(where.box, tones, where.in_box, where.far_steps, where.neighborhood.max_difference, dependence, differences)
        if where.neighborhood.distances != (1,):
            cooccurrence = np.zeros((len(where.far_steps), side, side), dtype=np.int32)
            count_far_pairs(where.box, where.in_box, where.far_steps, cooccurrence)
    if where.pair_weights is not None and where.run_weights is not None:
        cooccurrence = np.tensordot(where.pair_weights, cooccurrence, axes=1)[None]
        runs = np.tensordot(where.run_weights, runs, axes=1)[None]
    return Matrices(cooccurrence, runs[:, 1:], dependence, differences, small_zones, large_zones[:large_count])


@kernel
def lay_out(rows: np.ndarray, gray: np.ndarray, places: np.ndarray, box: np.ndarray, tones: np.ndarray) -> None:
    """Writes rows and gray levels of the voxels to their places in the flat padded box."""
    for n in range(places.size):
        place, row = np.uint64(places[n]), np.uint64(rows[n])
        box[place] = rows[n]
        tones[place] = np.uint16(np.int32(gray[row - np.uint64(1)]))


@kernel
def count_pairs(
    box: np.ndarray,
    places: np.ndarray,
    spans: np.ndarray,
    steps: np.ndarray,
    voxels: np.ndarray,
    position: np.ndarray,
    lengths: np.ndarray,
    tables: np.ndarray,
    cooccurrence: np.ndarray,
    runs: np.ndarray,
) -> None:
    """Co-occurrence and runs, direction by direction; `voxels` (k - 1,) are those at each level.

    A voxel is counted once: by its pair with the voxel behind it, or, if that is its equal, by its `position` in the run, from 1 on. As many runs are longer
    than s as voxels have the position s, and all voxels of a level that continue no run begin one.
    `position` holds those of the last voxels, `lengths` those of all.
    """
    kinds, longest = voxels.size, runs.shape[2]
    side, width = np.uint64(kinds + 1), np.uint64(longest)
    cells = side * (side + width)  # rows: the level behind, or beyond those the position; columns: the level
    apart = np.uint64(tables.size) // cells
    narrow = np.uint16(side)
    cell = np.empty(BLOCK, dtype=np.uint16)
    one, two, last, count = np.uint64(1), np.uint64(2), np.uint64(APART - 1), np.uint64(places.size)  # unsigned: no test for negative positions
    for a in range(steps.size):
        step = steps[a]
        tables[:] = 0
        if step >= NARROW and cells <= CELLS:
            reach = min(step // LANES * LANES, BLOCK)  # a voxel's run behind it is known before its block begins
            base, n = spans[0, 0] - step, np.uint64(0)
            for z in range(spans.shape[0]):
                for start in range(spans[z, 0], spans[z, 1], reach):
                    stop = min(start + reach, spans[z, 1])
                    if stop - base > position.size:
                        latest = position[start - step - base : start - base]  # less than a step, or nothing, after a gap
                        for i in range(latest.size):
                            position[i] = latest[i]
                        base = start - step
                    before, now = position[start - step - base : stop - step - base], position[start - base : stop - base]
                    current, previous = box[start:stop], box[start - step : stop - step]
                    for i in range(stop - start):
                        level, level_behind = current[i], previous[i]
                        at = np.uint16(before[i] + np.uint16(1)) if level == level_behind else np.uint16(0)
                        now[i] = at
                        row = np.uint16(narrow + at) if level == level_behind else level_behind
                        cell[i] = np.uint16(np.uint16(row * narrow) + level)
                    if apart == np.uint64(APART):
                        while n + last < count and places[n + last] < stop:
                            tables[np.uint64(cell[np.uint64(places[n] - start)])] += 1
                            tables[cells + np.uint64(cell[np.uint64(places[n + one] - start)])] += 1
                            tables[cells + cells + np.uint64(cell[np.uint64(places[n + two] - start)])] += 1
                            tables[cells + cells + cells + np.uint64(cell[np.uint64(places[n + last] - start)])] += 1
                            n += last + one
                    while n < count and places[n] < stop:
                        tables[np.uint64(cell[np.uint64(places[n] - start)])] += 1
                        n += one
        else:
            into = np.uint64(0)
            behind = np.uint64(step)
            for voxel in range(places.size):
                place = np.uint64(places[voxel])
                level, level_behind = np.uint64(box[place]), np.uint64(box[place - behind])
                goes_on = np.uint64(level == level_behind)  # a guess would be wrong half the time
                continued = (np.uint64(lengths[place - behind]) + one) * goes_on
                lengths[place] = np.uint16(continued)
                tables[into + (level_behind + goes_on * (side + continued - level_behind)) * side + level] += 1
                into += cells
                into = into if into < np.uint64(tables.size) else np.uint64(0)
        for k in range(np.uint64(1), side):
            for j in range(side):
                total = 0
                for t in range(apart):
                    total += tables[t * cells + j * side + k]
                cooccurrence[a, j, k] = total
            equal = 0
            for s in range(longest - 1, 0, -1):
                longer = 0
                for t in range(apart):
                    longer += tables[t * cells + (side + np.uint64(s)) * side + k]
                runs[a, k, s] += longer
                runs[a, k, s - 1] -= longer
                equal += longer
            runs[a, k, 0] += voxels[k - np.uint64(1)] - equal
            cooccurrence[a, k, k] = equal


@kernel
def sum_of_27(values: np.ndarray, row: int, plane: int, between: np.ndarray, result: np.ndarray) -> None:
    """Sum over each voxel and its 26 neighbors in a flat padded box; right for every voxel that is not padding."""
    for source, target, step in ((values, result, 1), (result, between, row), (between, result, plane)):
        if values.size > 2 * step:
            previous, current, following = source[: -2 * step], source[step:-step], source[2 * step :]
            middle = target[step:-step]
            for i in range(current.size):
                middle[i] = previous[i] + current[i] + following[i]  # below 2^16: 27 of at most MAX_GRAY_LEVELS


@kernel
def sum_differences(
    rows: np.ndarray,
    places: np.ndarray,
    tones: np.ndarray,
    around: np.ndarray,
    neighbors: np.ndarray,
    equals: np.ndarray,
    dependence: np.ndarray,
    differences: np.ndarray,
) -> None:
    """Sum of |gray - mean of the neighbors| for each level, and how many voxels have so many equal neighbors; one without neighbors differs by nothing."""
    for n in range(places.size):
        place, row = np.uint64(places[n]), np.uint64(rows[n]) - np.uint64(1)
        dependence[row, np.uint64(equals[place])] += 1
        if neighbors[n] > 0:
            tone = np.int64(tones[place])
            differences[row] += abs(tone - (np.int64(around[place]) - tone) / np.int64(neighbors[n]))
