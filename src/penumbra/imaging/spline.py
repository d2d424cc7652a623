"""Interpolation along one axis as a matrix: cubic B-spline and linear, on a uniform or a true grid of samples."""

from collections.abc import Iterator

import numpy as np

# Weights below this are dropped. They fall by 0.27 a sample, so a row keeps about 18 neighbors on each side, and what is dropped stays
# below 1e-6 HU.
_NEGLIGIBLE = 1e-10


def cubic_matrix(samples: int, at: np.ndarray) -> np.ndarray:
    """Weights (len(at), samples) of cubic B-spline interpolation at the positions `at`, in units of the sample distance from sample 0.

    The spline passes through all samples and continues beyond the ends as their mirror image, as SimpleITK's sitkBSpline does inside its buffer.

    References
    ----------
    Unser, Aldroubi, Eden, IEEE Trans. Signal Processing 41 (1993) 821.
    """
    if samples == 1:
        return np.ones((len(at), 1))
    collocation = np.diag(np.full(samples, 4.0 / 6.0))
    inner = np.arange(samples)
    for step in (-1, 1):
        np.add.at(collocation, (inner, _mirror(inner + step, samples)), 1.0 / 6.0)
    base = np.floor(at).astype(np.int64)
    t = at - base
    taps = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    evaluation = np.zeros((len(at), samples))
    for offset, tap in zip((-1, 0, 1, 2), taps, strict=True):
        np.add.at(evaluation, (np.arange(len(at)), _mirror(base + offset, samples)), tap)
    weights: np.ndarray = np.linalg.solve(collocation.T, evaluation.T).T
    weights[np.abs(weights) < _NEGLIGIBLE] = 0.0
    return weights


def linear_matrix(samples: int, at: np.ndarray) -> np.ndarray:
    """Weights (len(at), samples) of linear interpolation at `at`, in units of the sample distance; constant beyond the ends."""
    clamped = np.clip(at, 0, samples - 1)
    base = np.minimum(np.floor(clamped).astype(np.int64), max(samples - 2, 0))
    t = clamped - base
    weights = np.zeros((len(at), samples))
    np.add.at(weights, (np.arange(len(at)), base), 1.0 - t)
    np.add.at(weights, (np.arange(len(at)), np.minimum(base + 1, samples - 1)), t)
    return weights


def bands(weights: np.ndarray, rows: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The matrix in blocks of `rows` rows, each cut to the columns that it uses: (rows, columns, block)."""
    for start in range(0, len(weights), rows):
        block = weights[start : start + rows]
        occupied = np.flatnonzero(block.any(axis=0))
        columns = slice(int(occupied[0]), int(occupied[-1]) + 1)
        yield slice(start, start + len(block)), columns, np.ascontiguousarray(block[:, columns])


def true_position_matrix(positions: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Weights (len(at), len(positions)) of the cubic spline through samples at their own increasing `positions`, evaluated at `at`, both in mm.

    Linear where there are fewer than four samples. Beyond the ends the outer sample is held.
    """
    from scipy.interpolate import make_interp_spline

    degree = 3 if len(positions) >= 4 else min(1, len(positions) - 1)
    if degree == 0:
        return np.ones((len(at), 1))
    clamped = np.clip(at, positions[0], positions[-1])
    weights: np.ndarray = make_interp_spline(positions, np.eye(len(positions)), k=degree)(clamped)
    weights[np.abs(weights) < _NEGLIGIBLE] = 0.0
    return weights


def _mirror(index: np.ndarray, samples: int) -> np.ndarray:
    """Indices reflected at the first and last sample, which are not repeated."""
    period = 2 * (samples - 1)
    folded = np.abs(index) % period
    return np.asarray(np.where(folded >= samples, period - folded, folded))
