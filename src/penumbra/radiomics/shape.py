"""The shape features of an ROI: mesh volume and surface, diameters, axes."""

import functools
import math

import numpy as np

from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.cubes import areas_and_volumes

Spacing = tuple[float, float, float]


def shape_features(mask: np.ndarray, spacing: Spacing) -> dict[str, float]:
    """The shape features of an ROI.

    Parameters
    ----------
    mask
        The ROI's box, (z, y, x), bool.
    spacing : mm, (z, y, x)

    References
    ----------
    PyRadiomics 3.0.1, class shape; IBSI 1 section 3.1. The mesh runs through the midpoints of the edges between inside and outside.
    """
    padded = np.pad(mask, 1)
    steps = np.array(spacing)
    area, volume = mesh_sums(padded, cube_table(spacing), steps)
    whole, same_z, same_y, same_x = diameters(padded, spacing)
    least, minor, major = axes(mask, spacing)
    count = int(np.count_nonzero(mask))
    sphericity = (36 * math.pi * volume**2) ** (1.0 / 3.0) / area
    return {
        "Compactness1": volume / (area**1.5 * math.sqrt(math.pi)),
        "Compactness2": 36 * math.pi * volume**2 / area**3,
        "Elongation": math.sqrt(minor / major),
        "Flatness": math.sqrt(least / major),
        "LeastAxisLength": 4 * math.sqrt(least),
        "MajorAxisLength": 4 * math.sqrt(major),
        "Maximum2DDiameterColumn": same_y,
        "Maximum2DDiameterRow": same_x,
        "Maximum2DDiameterSlice": same_z,
        "Maximum3DDiameter": whole,
        "MeshVolume": volume,
        "MinorAxisLength": 4 * math.sqrt(minor),
        "SphericalDisproportion": 1.0 / sphericity,
        "Sphericity": sphericity,
        "SurfaceArea": area,
        "SurfaceVolumeRatio": area / volume,
        "VoxelVolume": count * spacing[0] * spacing[1] * spacing[2],
    }


def axes(mask: np.ndarray, spacing: Spacing) -> tuple[float, float, float]:
    """Variances of the voxel centers along the principal axes, mm2, the smallest first."""
    counts = [mask.sum(axis=tuple(b for b in range(3) if b != a), dtype=np.int64) for a in range(3)]
    pairs = {(a, b): mask.sum(axis=3 - a - b, dtype=np.int64) for a, b in ((0, 1), (0, 2), (1, 2))}
    ranges = [np.arange(n, dtype=np.int64) for n in mask.shape]
    n = int(counts[0].sum())
    first = [int(counts[a] @ ranges[a]) for a in range(3)]
    covariance = np.empty((3, 3))
    for a in range(3):
        for b in range(a, 3):
            second = int(counts[a] @ ranges[a] ** 2) if a == b else int(ranges[a] @ pairs[a, b] @ ranges[b])
            # whole numbers until here: a flat ROI has a variance of exactly zero
            covariance[a, b] = covariance[b, a] = (n * second - first[a] * first[b]) / n**2 * spacing[a] * spacing[b]
    least, minor, major = np.maximum(np.linalg.eigvalsh(covariance), 0.0).tolist()
    return least, minor, major


@functools.lru_cache(maxsize=16)
def cube_table(spacing: Spacing) -> np.ndarray:
    """What a cube of eight neighboring voxels adds to the mesh, for each of the 256 patterns of voxels inside the ROI.

    Columns: surface mm2, volume mm3 with the cube at the origin, and the surface's area vector (z, y, x), which gives the volume elsewhere.
    Bit 4 z + 2 y + x of the pattern is the corner (z, y, x). Which of several surfaces fits a pattern is PyRadiomics' choice (penumbra.radiomics.cubes).
    """
    steps = np.array(spacing)
    first = areas_and_volumes((0, 0, 0), steps)
    table = np.empty((256, 5))
    table[:, 0], table[:, 1] = first[:, 0], first[:, 1] / 6
    pattern = np.arange(256)
    for axis in range(3):
        # a second cube before this one along an axis, filled alike: this one is now one step from the origin
        origin = (int(axis == 0), int(axis == 1), int(axis == 2))
        bit = 4 >> axis  # of a corner's number along the axis
        near = sum(((pattern >> (corner & ~bit)) & 1) << corner for corner in range(8))
        volume = (first[near, 1] + areas_and_volumes(origin, steps)[:, 1]) / 6
        table[:, 2 + axis] = 3.0 * (volume - table[near, 1] - table[:, 1]) / steps[axis]
    return table


@kernel
def mesh_sums(padded: np.ndarray, table: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """Surface and volume of the mesh around the True voxels of a padded mask."""
    area, volume = 0.0, 0.0
    for z in range(padded.shape[0] - 1):
        for y in range(padded.shape[1] - 1):
            near = padded[z, y, 0] + 2 * padded[z, y + 1, 0] + 4 * padded[z + 1, y, 0] + 8 * padded[z + 1, y + 1, 0]
            for x in range(padded.shape[2] - 1):
                far = padded[z, y, x + 1] + 2 * padded[z, y + 1, x + 1] + 4 * padded[z + 1, y, x + 1] + 8 * padded[z + 1, y + 1, x + 1]
                if near + far > 0 and near + far < 30:
                    pattern = 0
                    for corner in range(4):
                        pattern |= ((near >> corner) & 1) << (2 * corner)
                        pattern |= ((far >> corner) & 1) << (2 * corner + 1)
                    area += table[pattern, 0]
                    moved = z * steps[0] * table[pattern, 2] + y * steps[1] * table[pattern, 3] + x * steps[2] * table[pattern, 4]
                    volume += table[pattern, 1] + moved / 3.0
                near = far
    return area, volume


def diameters(padded: np.ndarray, spacing: Spacing) -> tuple[float, float, float, float]:
    """The largest distance between two mesh vertices, mm: in all, and with equal z, y and x.

    A vertex lies half-way between a voxel inside and a neighbor outside. Of the vertices on a line along x (or y), only the two outermost can be the
    end of a diameter.
    """
    along_x = outermost(padded)
    along_y = outermost(np.ascontiguousarray(padded.transpose(0, 2, 1)))
    z, y, x = spacing
    same_z = planes_diameter(along_x, y / 2, x / 2)
    same_y = planes_diameter(np.ascontiguousarray(along_x.transpose(1, 0, 2)), z / 2, x / 2)
    same_x = planes_diameter(np.ascontiguousarray(along_y.transpose(1, 0, 2)), z / 2, y / 2)
    corners = hull_corners(along_x, y / 2, x / 2)
    points = corners * (np.array(spacing) / 2)
    if len(points) > 4000:  # many pairs: the hull of all of them costs less, also when its program must be loaded first
        from scipy.spatial import ConvexHull

        points = points[ConvexHull(points).vertices]
    return largest_distance(points), same_z, same_y, same_x


def outermost(padded: np.ndarray) -> np.ndarray:
    """First and last mesh vertex on each line along the last axis, in half steps: (2 a - 1, 2 b - 1, 2); last = -1: none."""
    ends = np.empty((2 * padded.shape[0] - 1, 2 * padded.shape[1] - 1, 2), dtype=np.int64)
    ends[:, :, 0] = 2 * padded.shape[2]
    ends[:, :, 1] = -1
    find_outermost(padded, ends)
    return ends


@kernel
def find_outermost(padded: np.ndarray, ends: np.ndarray) -> None:
    """Fills `ends` as `outermost` describes."""
    for z in range(padded.shape[0]):
        for y in range(padded.shape[1]):
            deeper = z + 1 < padded.shape[0]
            higher = y + 1 < padded.shape[1]
            for x in range(padded.shape[2]):
                inside = padded[z, y, x]
                if x + 1 < padded.shape[2] and inside != padded[z, y, x + 1]:
                    ends[2 * z, 2 * y, 0] = min(ends[2 * z, 2 * y, 0], 2 * x + 1)
                    ends[2 * z, 2 * y, 1] = 2 * x + 1
                if higher and inside != padded[z, y + 1, x]:
                    ends[2 * z, 2 * y + 1, 0] = min(ends[2 * z, 2 * y + 1, 0], 2 * x)
                    ends[2 * z, 2 * y + 1, 1] = 2 * x
                if deeper and inside != padded[z + 1, y, x]:
                    ends[2 * z + 1, 2 * y, 0] = min(ends[2 * z + 1, 2 * y, 0], 2 * x)
                    ends[2 * z + 1, 2 * y, 1] = 2 * x


def planes_diameter(ends: np.ndarray, step_row: float, step_line: float) -> float:
    """The largest distance between two vertices of one plane; planes are the first axis of `ends`, rows the second."""
    filled = ends[:, :, 1] >= 0
    planes = np.flatnonzero(filled.any(axis=1))
    first = filled.argmax(axis=1)
    last = filled.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
    # no pair of a plane is further apart than the corners of its box
    rows = (last - first)[planes] * step_row
    lines = (ends[planes, :, 1].max(axis=1) - ends[planes, :, 0].min(axis=1)) * step_line
    reach = rows * rows + lines * lines
    order = np.argsort(-reach)
    return math.sqrt(largest_in_planes(ends, planes[order], reach[order], step_row, step_line))


@kernel
def largest_in_planes(ends: np.ndarray, planes: np.ndarray, reach: np.ndarray, step_row: float, step_line: float) -> float:
    """The squared largest distance in the planes, which come in falling order of their reach."""
    rows = ends.shape[1]
    best = 0.0
    for n in range(planes.size):
        if reach[n] <= best:
            break
        a = planes[n]
        smallest, largest = ends[a, 0, 0], ends[a, 0, 1]
        for b in range(rows):
            smallest, largest = min(smallest, ends[a, b, 0]), max(largest, ends[a, b, 1])
        widest = (largest - smallest) * step_line
        for b in range(rows):
            if ends[a, b, 1] < 0:
                continue
            for c in range(rows - 1, b - 1, -1):
                along = (c - b) * step_row
                if along * along + widest * widest <= best:  # nearer rows are no better
                    break
                if ends[a, c, 1] < 0:
                    continue
                across = max(abs(ends[a, c, 1] - ends[a, b, 0]), abs(ends[a, b, 1] - ends[a, c, 0])) * step_line
                best = max(best, along * along + across * across)
    return best


@kernel
def hull_corners(ends: np.ndarray, step_row: float, step_line: float) -> np.ndarray:
    """The corners of each plane's convex hull, in half steps (n, 3); the ends of a diameter are among them."""
    planes, rows = ends.shape[0], ends.shape[1]
    corners = np.empty((2 * planes * rows, 3))
    count = 0
    chain = np.empty((rows, 2))
    for a in range(planes):
        for side in range(2):
            sign = 1.0 if side == 0 else -1.0
            length = 0
            for b in range(rows):
                if ends[a, b, 1] < 0:
                    continue
                across = sign * ends[a, b, side]
                while length >= 2:
                    turn = (chain[length - 1, 0] - chain[length - 2, 0]) * (across - chain[length - 2, 1]) - (chain[length - 1, 1] - chain[length - 2, 1]) * (
                        b - chain[length - 2, 0]
                    )
                    if turn > 0.0:
                        break
                    length -= 1
                chain[length, 0] = b
                chain[length, 1] = across
                length += 1
            for n in range(length):
                corners[count, 0] = a
                corners[count, 1] = chain[n, 0]
                corners[count, 2] = sign * chain[n, 1]
                count += 1
    return corners[:count]


def largest_distance(points: np.ndarray) -> float:
    """The largest distance between two points (n, 3)."""
    reach = np.sqrt(((points - (points.min(axis=0) + points.max(axis=0)) / 2) ** 2).sum(axis=1))
    order = np.argsort(-reach)
    return math.sqrt(largest_square(points[order], reach[order]))


@kernel
def largest_square(points: np.ndarray, reach: np.ndarray) -> float:
    """The squared largest distance between two points (n, 3), which come in falling order of their distance from one place, `reach`."""
    best, enough = 0.0, 0.0
    for i in range(points.shape[0]):
        if 2.0 * reach[i] < enough:
            break
        for j in range(i + 1, points.shape[0]):
            if reach[i] + reach[j] < enough:
                break
            z = points[i, 0] - points[j, 0]
            y = points[i, 1] - points[j, 1]
            x = points[i, 2] - points[j, 2]
            square = z * z + y * y + x * x
            if square > best:
                best = square
                enough = np.sqrt(best) * (1.0 - 1e-9)  # what rounding could have taken from a sum of two distances
    return best
