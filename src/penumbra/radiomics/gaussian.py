"""Laplacian of Gaussian images by recursive filters, bit for bit what ITK's LaplacianRecursiveGaussianImageFilter gives, on the part that is wanted.

ITK runs nine passes over the whole image: for each axis the second derivative of a Gaussian along it, then the Gaussian along the two others, in
double along a line and stored as 32-bit floats between passes. Here the passes and their arithmetic are the same, but a pass keeps only the lines
that later passes need, and runs LINES lines side by side.

Source: R. Deriche, Recursively implementing the Gaussian and its derivatives, INRIA RR-1893, 1993; boundary values by G. Farneback and C.-F. Westin,
Improving Deriche-style recursive Gaussian filters, J Math Imaging Vis 26, 2006, as in ITK.
"""

import math

import numpy as np

from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.region import Box, Normalization
from penumbra.radiomics.scratch import Scratch

LINES = 24  # side by side: three registers of eight doubles
PADDING = 8  # voxels around a line that are written and not wanted

# Deriche's fourth-order approximation: (a1, b1, a2, b2) of the Gaussian and of its second derivative, and the two frequencies and decays they share.
GAUSSIAN = (1.3530, 1.8151, -0.3531, 0.0902)
SECOND_DERIVATIVE = (-1.3563, 5.2318, 0.3446, -2.2355)
FREQUENCY_1, DECAY_1, FREQUENCY_2, DECAY_2 = 0.6681, -1.3932, 2.0787, -1.3732


Pass = tuple[int, int, int, np.ndarray]  # axis of a slice; voxels that are read along it, and from which on they are returned; coefficients


def laplacian_of_gaussian(
    image: np.ndarray,
    part: Box,
    spacing: tuple[float, float, float],
    sigma_mm: float,
    target_box: Box,
    scratch: Scratch,
    how: Normalization | None = None,
) -> np.ndarray:
    """The scale-normalized Laplacian of Gaussian of part of an image, on a box of it.

    Parameters
    ----------
    image : shape (z, y, x)
        Contiguous; int16, float32 or float64.
    part
        The box of `image` that is read, at least four voxels along each axis; beyond it its outermost voxels repeat.
    spacing : mm, (z, y, x)
    sigma_mm
        Width of the Gaussian.
    target_box
        The box of `image` that is returned, inside `part`.
    how
        What is done to the image first; None: nothing.

    Returns
    -------
    np.ndarray
        float32, the shape of `target_box`.
    """
    size, target_size = ([side.stop - side.start for side in box] for box in (part, target_box))
    corner = np.array([side.start for side in part])
    numbers = np.array([] if how is None else [how.shift, how.scale, math.inf if how.limit is None else how.limit, how.factor])
    work = np.zeros((max(size) + 2 * PADDING) * 2 * LINES)
    result = np.zeros(target_size, dtype=np.float32)
    for derived in (2, 1, 0):
        # the derivative first, then the two smoothings in the order x, y, z; the first two of these within slices across the last axis
        order = (derived, *(axis for axis in (2, 1, 0) if axis != derived))
        across, rows = order[2], 1 - order[2]
        first, second, last = (
            (place, size[axis], target_box[axis].start - part[axis].start, recursion(sigma_mm, spacing[axis], second_derivative=axis == derived))
            for axis, place in ((axis, 2 if axis == 2 else int(axis != across)) for axis in order)
        )
        plane = scratch.take("plane", (1, size[rows], size[2]), np.float64)
        between = scratch.take("between", (1, *(target_size[axis] if axis == derived else size[axis] for axis in (rows, 2))))
        sliced = scratch.take("sliced", (size[across], target_size[rows], target_size[2]))
        filter_slices(image, corner, across, numbers, plane, first, second, work, between, sliced)
        filtered = scratch.take("filtered", (target_size[across], target_size[rows], target_size[2]))
        filter_axis(sliced, *last, work, filtered)
        if across != 0:
            filtered = np.ascontiguousarray(filtered.transpose(1, 0, 2))
        add_scaled(result.reshape(-1), filtered.reshape(-1), 1.0 / (spacing[derived] * spacing[derived]))
    return result


def recursion(sigma_mm: float, step_mm: float, *, second_derivative: bool) -> np.ndarray:
    """Coefficients of the recursive filter for a Gaussian, or for its second derivative times sigma^2, on voxels `step_mm` apart.

    Returns
    -------
    np.ndarray
        Shape (5, 4): causal input n0..n3, recursion d1..d4, anticausal input m1..m4, and the two rows of boundary values.
    """
    sigma = sigma_mm / step_mm
    cos_1, cos_2 = math.cos(FREQUENCY_1 / sigma), math.cos(FREQUENCY_2 / sigma)
    exp_1, exp_2 = math.exp(DECAY_1 / sigma), math.exp(DECAY_2 / sigma)
    d4 = exp_1 * exp_1 * exp_2 * exp_2
    d3 = -2 * cos_1 * exp_1 * exp_2 * exp_2
    d3 += -2 * cos_2 * exp_2 * exp_1 * exp_1
    d2 = 4 * cos_2 * cos_1 * exp_1 * exp_2
    d2 += exp_1 * exp_1 + exp_2 * exp_2
    d1 = -2 * (exp_2 * cos_2 + exp_1 * cos_1)
    sum_d = 1.0 + d1 + d2 + d3 + d4
    first_d = d1 + 2 * d2 + 3 * d3 + 4 * d4
    second_d = d1 + 4 * d2 + 9 * d3 + 16 * d4

    smooth = _numerator(sigma, *GAUSSIAN)
    sum_0 = smooth[0] + smooth[1] + smooth[2] + smooth[3]
    if second_derivative:
        curved = _numerator(sigma, *SECOND_DERIVATIVE)
        sum_2 = curved[0] + curved[1] + curved[2] + curved[3]
        beta = -(2 * sum_2 - sum_d * curved[0]) / (2 * sum_0 - sum_d * smooth[0])  # makes the response to a constant zero
        sum_n = sum_2 + beta * sum_0
        first_n = _first(curved) + beta * _first(smooth)
        second_n = _second(curved) + beta * _second(smooth)
        alpha = second_n * sum_d * sum_d - second_d * sum_n * sum_d - 2 * first_n * first_d * sum_d + 2 * first_d * first_d * sum_n
        alpha /= sum_d * sum_d * sum_d
        factor = sigma_mm * sigma_mm / alpha
        n = [(c + beta * s) * factor for c, s in zip(curved, smooth, strict=True)]
    else:
        factor = 1.0 / (2 * sum_0 / sum_d - smooth[0])
        n = [s * factor for s in smooth]
    d = [d1, d2, d3, d4]
    m = [n[1] - d1 * n[0], n[2] - d2 * n[0], n[3] - d3 * n[0], -d4 * n[0]]
    gain_n = n[0] + n[1] + n[2] + n[3]
    gain_m = m[0] + m[1] + m[2] + m[3]
    return np.array([n, d, m, [c * gain_n / sum_d for c in d], [c * gain_m / sum_d for c in d]])


def _numerator(sigma: float, a1: float, b1: float, a2: float, b2: float) -> tuple[float, float, float, float]:
    sin_1, sin_2 = math.sin(FREQUENCY_1 / sigma), math.sin(FREQUENCY_2 / sigma)
    cos_1, cos_2 = math.cos(FREQUENCY_1 / sigma), math.cos(FREQUENCY_2 / sigma)
    exp_1, exp_2 = math.exp(DECAY_1 / sigma), math.exp(DECAY_2 / sigma)
    n1 = exp_2 * (b2 * sin_2 - (a2 + 2 * a1) * cos_2)
    n1 += exp_1 * (b1 * sin_1 - (a1 + 2 * a2) * cos_1)
    n2 = (a1 + a2) * cos_2 * cos_1
    n2 -= b1 * cos_2 * sin_1 + b2 * cos_1 * sin_2
    n2 *= 2 * exp_1 * exp_2
    n2 += a2 * exp_1 * exp_1 + a1 * exp_2 * exp_2
    n3 = exp_2 * exp_1 * exp_1 * (b2 * sin_2 - a2 * cos_2)
    n3 += exp_1 * exp_2 * exp_2 * (b1 * sin_1 - a1 * cos_1)
    return a1 + a2, n1, n2, n3


def _first(n: tuple[float, float, float, float]) -> float:
    return n[1] + 2 * n[2] + 3 * n[3]


def _second(n: tuple[float, float, float, float]) -> float:
    return n[1] + 4 * n[2] + 9 * n[3]


@kernel
def recurse(work: np.ndarray, length: int, start: int, stop: int, c: np.ndarray) -> None:
    """Both passes of the recursive filter over LINES lines that lie side by side, of which voxels `start` to `stop` are wanted.

    Parameters
    ----------
    work
        Flat, `length` + 2 PADDING rows of twice LINES: the input, which is lost, and the outcome; voxel i is in row i + PADDING.

    Notes
    -----
    Neither pass goes beyond what is wanted. Four voxels of a line are computed at once, so that their inputs are read once; the anticausal pass lies in the
    places of inputs that are no longer needed. All is in one flat array at distances that the compiler knows: it sees what cannot overlap and uses whole
    registers.
    """
    lines, one = np.uint64(LINES), np.uint64(2 * LINES)
    two, three, four = one + one, one + one + one, one + one + one + one
    n0, n1, n2, n3 = c[0, 0], c[0, 1], c[0, 2], c[0, 3]
    d1, d2, d3, d4 = c[1, 0], c[1, 1], c[1, 2], c[1, 3]
    m1, m2, m3, m4 = c[2, 0], c[2, 1], c[2, 2], c[2, 3]
    for w in range(LINES):
        x = np.uint64(PADDING) * one + np.uint64(w)
        y = x + lines
        x0, x1, x2, x3 = work[x], work[x + one], work[x + two], work[x + three]
        y0 = (x0 * n0 + x0 * n1 + x0 * n2 + x0 * n3) - (x0 * c[3, 0] + x0 * c[3, 1] + x0 * c[3, 2] + x0 * c[3, 3])
        y1 = (x1 * n0 + x0 * n1 + x0 * n2 + x0 * n3) - (y0 * d1 + x0 * c[3, 1] + x0 * c[3, 2] + x0 * c[3, 3])
        y2 = (x2 * n0 + x1 * n1 + x0 * n2 + x0 * n3) - (y1 * d1 + y0 * d2 + x0 * c[3, 2] + x0 * c[3, 3])
        y3 = (x3 * n0 + x2 * n1 + x1 * n2 + x0 * n3) - (y2 * d1 + y1 * d2 + y0 * d3 + x0 * c[3, 3])
        work[y], work[y + one], work[y + two], work[y + three] = y0, y1, y2, y3
    for i in range(4, stop, 4):
        row = np.uint64(i + PADDING) * one
        for w in range(LINES):
            x = row + np.uint64(w)
            y = x + lines
            x0, x1, x2, x3 = work[x], work[x + one], work[x + two], work[x + three]
            xa, xb, xc = work[x - one], work[x - two], work[x - three]
            ya, yb, yc, yd = work[y - one], work[y - two], work[y - three], work[y - four]
            y0 = (x0 * n0 + xa * n1 + xb * n2 + xc * n3) - (ya * d1 + yb * d2 + yc * d3 + yd * d4)
            y1 = (x1 * n0 + x0 * n1 + xa * n2 + xb * n3) - (y0 * d1 + ya * d2 + yb * d3 + yc * d4)
            y2 = (x2 * n0 + x1 * n1 + x0 * n2 + xa * n3) - (y1 * d1 + y0 * d2 + ya * d3 + yb * d4)
            y3 = (x3 * n0 + x2 * n1 + x1 * n2 + x0 * n3) - (y2 * d1 + y1 * d2 + y0 * d3 + ya * d4)
            work[y] = y0
            work[y + one] = y1
            work[y + two] = y2
            work[y + three] = y3
    for w in range(LINES):
        x = np.uint64(length - 1 + PADDING) * one + np.uint64(w)
        y = x + lines
        x0, x1, x2 = work[x], work[x - one], work[x - two]
        y0 = (x0 * m1 + x0 * m2 + x0 * m3 + x0 * m4) - (x0 * c[4, 0] + x0 * c[4, 1] + x0 * c[4, 2] + x0 * c[4, 3])
        y1 = (x0 * m1 + x0 * m2 + x0 * m3 + x0 * m4) - (y0 * d1 + x0 * c[4, 1] + x0 * c[4, 2] + x0 * c[4, 3])
        y2 = (x1 * m1 + x0 * m2 + x0 * m3 + x0 * m4) - (y1 * d1 + y0 * d2 + x0 * c[4, 2] + x0 * c[4, 3])
        y3 = (x2 * m1 + x1 * m2 + x0 * m3 + x0 * m4) - (y2 * d1 + y1 * d2 + y0 * d3 + x0 * c[4, 3])
        work[y] += y0
        work[y - one] += y1
        work[y - two] += y2
        work[y - three] += y3
        x += four
        work[x], work[x - one], work[x - two], work[x - three] = y0, y1, y2, y3
    for i in range(length - 5, start - 1, -4):
        row = np.uint64(i + PADDING) * one
        for w in range(LINES):
            x = row + np.uint64(w)
            y = x + lines
            z = x + four  # of the anticausal pass
            x1, x2, x3, x4 = work[x + one], work[x + two], work[x + three], work[x + four]
            x0, xa, xb = work[x], work[x - one], work[x - two]
            ya, yb, yc, yd = work[z + one], work[z + two], work[z + three], work[z + four]
            y0 = (x1 * m1 + x2 * m2 + x3 * m3 + x4 * m4) - (ya * d1 + yb * d2 + yc * d3 + yd * d4)
            y1 = (x0 * m1 + x1 * m2 + x2 * m3 + x3 * m4) - (y0 * d1 + ya * d2 + yb * d3 + yc * d4)
            y2 = (xa * m1 + x0 * m2 + x1 * m3 + x2 * m4) - (y1 * d1 + y0 * d2 + ya * d3 + yb * d4)
            y3 = (xb * m1 + xa * m2 + x0 * m3 + x1 * m4) - (y2 * d1 + y1 * d2 + y0 * d3 + ya * d4)
            work[z] = y0
            work[z - one] = y1
            work[z - two] = y2
            work[z - three] = y3
            work[y] += y0
            work[y - one] += y1
            work[y - two] += y2
            work[y - three] += y3


@kernel
def filter_axis(source: np.ndarray, axis: int, length: int, start: int, c: np.ndarray, work: np.ndarray, result: np.ndarray) -> None:
    """Filters `length` voxels along `axis` of `source`; `result` takes those from `start` on, and sets the other extents. `work` as in `recurse`."""
    row = np.uint64(2 * LINES)
    depth, height, width = result.shape
    extent = result.shape[axis]
    outer = height if axis == 0 else depth
    inner = height if axis == 2 else width
    all_lines = np.uint64(LINES)
    first = np.uint64(PADDING) * row
    outcome = np.uint64(PADDING + start) * row + all_lines
    for a in range(np.uint64(outer)):
        for b in range(np.uint64(0), np.uint64(inner), all_lines):
            lines = min(all_lines, np.uint64(inner) - b)
            if axis == 0:
                for i in range(np.uint64(length)):
                    for w in range(lines):
                        work[first + i * row + w] = source[i, a, b + w]
            elif axis == 1:
                for i in range(np.uint64(length)):
                    for w in range(lines):
                        work[first + i * row + w] = source[a, i, b + w]
            else:
                for w in range(lines):
                    for i in range(np.uint64(length)):
                        work[first + i * row + w] = source[a, b + w, i]
            recurse(work, length, start, start + extent, c)
            if axis == 0:
                for i in range(np.uint64(extent)):
                    for w in range(lines):
                        result[i, a, b + w] = work[outcome + i * row + w]
            elif axis == 1:
                for i in range(np.uint64(extent)):
                    for w in range(lines):
                        result[a, i, b + w] = work[outcome + i * row + w]
            else:
                for w in range(lines):
                    for i in range(np.uint64(extent)):
                        result[a, b + w, i] = work[outcome + i * row + w]


@kernel
def normal_slice(image: np.ndarray, corner: np.ndarray, across: int, n: int, how: np.ndarray, plane: np.ndarray) -> None:
    """The n-th slice across the first or second axis of the part of `image` at `corner`, normalized by shift, scale, limit and factor, if there are any."""
    z, y, x = np.uint64(corner[0]), np.uint64(corner[1]), np.uint64(corner[2])
    for i in range(np.uint64(plane.shape[1])):
        line_z, line_y = (z + np.uint64(n), y + i) if across == 0 else (z + i, y + np.uint64(n))
        if how.size == 0:
            for w in range(np.uint64(plane.shape[2])):
                plane[0, i, w] = image[line_z, line_y, x + w]
        else:
            shift, scale, limit, factor = how[0], how[1], how[2], how[3]
            for w in range(np.uint64(plane.shape[2])):
                plane[0, i, w] = min(max((np.float64(image[line_z, line_y, x + w]) + shift) * scale, -limit), limit) * factor


@kernel
def filter_slices(
    image: np.ndarray,
    corner: np.ndarray,
    across: int,
    how: np.ndarray,
    plane: np.ndarray,
    first: Pass,
    second: Pass,
    work: np.ndarray,
    between: np.ndarray,
    result: np.ndarray,
) -> None:
    """The two passes within slices, slice by slice, so that all but the image and the result stays in a fast cache; (slice, y or z, x)."""
    for n in range(result.shape[0]):
        normal_slice(image, corner, across, n, how, plane)
        filter_axis(plane, first[0], first[1], first[2], first[3], work, between)
        filter_axis(between, second[0], second[1], second[2], second[3], work, result[n : n + 1])


@kernel
def add_scaled(total: np.ndarray, part: np.ndarray, factor: float) -> None:
    """total += part x factor, in double, kept as float32."""
    for i in range(total.size):
        total[i] = np.float64(total[i]) + np.float64(part[i]) * factor
