"""Features of matrices that count gray level against a size: runs (GLRLM), zones (GLSZM), dependence (GLDM); and of gray tone differences (NGTDM)."""

import math

import numpy as np

from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.first_order import EPSILON
from penumbra.radiomics.texture import Matrices

# What `size_features` writes, in this order, and what each family calls it. In a family's own word a size is a run, an area or a dependence.
RUNS = (
    "ShortRunEmphasis",
    "LongRunEmphasis",
    "GrayLevelNonUniformity",
    "GrayLevelNonUniformityNormalized",
    "RunLengthNonUniformity",
    "RunLengthNonUniformityNormalized",
    "RunPercentage",
    "GrayLevelVariance",
    "RunVariance",
    "RunEntropy",
    "LowGrayLevelRunEmphasis",
    "HighGrayLevelRunEmphasis",
    "ShortRunLowGrayLevelEmphasis",
    "ShortRunHighGrayLevelEmphasis",
    "LongRunLowGrayLevelEmphasis",
    "LongRunHighGrayLevelEmphasis",
)
ZONES = (
    "SmallAreaEmphasis",
    "LargeAreaEmphasis",
    "GrayLevelNonUniformity",
    "GrayLevelNonUniformityNormalized",
    "SizeZoneNonUniformity",
    "SizeZoneNonUniformityNormalized",
    "ZonePercentage",
    "GrayLevelVariance",
    "ZoneVariance",
    "ZoneEntropy",
    "LowGrayLevelZoneEmphasis",
    "HighGrayLevelZoneEmphasis",
    "SmallAreaLowGrayLevelEmphasis",
    "SmallAreaHighGrayLevelEmphasis",
    "LargeAreaLowGrayLevelEmphasis",
    "LargeAreaHighGrayLevelEmphasis",
)
DEPENDENCE = (
    "SmallDependenceEmphasis",
    "LargeDependenceEmphasis",
    "GrayLevelNonUniformity",
    "",  # equal to first-order uniformity
    "DependenceNonUniformity",
    "DependenceNonUniformityNormalized",
    "",  # always 1
    "GrayLevelVariance",
    "DependenceVariance",
    "DependenceEntropy",
    "LowGrayLevelEmphasis",
    "HighGrayLevelEmphasis",
    "SmallDependenceLowGrayLevelEmphasis",
    "SmallDependenceHighGrayLevelEmphasis",
    "LargeDependenceLowGrayLevelEmphasis",
    "LargeDependenceHighGrayLevelEmphasis",
)
DIFFERENCES = ("Coarseness", "Contrast", "Busyness", "Complexity", "Strength")
NO_LARGE = np.empty((0, 2), dtype=np.int64)


def run_features(matrices: Matrices, gray: np.ndarray) -> dict[str, float]:
    """The GLRLM features, averaged over directions. Source: PyRadiomics 3.0.1, class glrlm; IBSI 1 section 3.7, 3D:avg."""
    runs_by_direction = matrices.runs[matrices.runs.any(axis=(1, 2))]
    if not len(runs_by_direction):
        return dict.fromkeys(RUNS, math.nan)
    values = np.empty((len(runs_by_direction), len(RUNS)))
    for runs, row in zip(runs_by_direction, values, strict=True):
        size_features(runs, NO_LARGE, gray, EPSILON, row)
    return dict(zip(RUNS, values.mean(axis=0).tolist(), strict=True))


def zone_features(matrices: Matrices, gray: np.ndarray) -> dict[str, float]:
    """The GLSZM features. Source: PyRadiomics 3.0.1, class glszm; IBSI 1 section 3.8, 3D."""
    large = matrices.large_zones
    values = np.empty(len(ZONES))
    size_features(matrices.small_zones, large[np.lexsort((large[:, 0], large[:, 1]))], gray, EPSILON, values)
    return dict(zip(ZONES, values.tolist(), strict=True))


def dependence_features(matrices: Matrices, gray: np.ndarray) -> dict[str, float]:
    """The GLDM features. Source: PyRadiomics 3.0.1, class gldm; IBSI 1 section 3.11 (NGLDM), 3D, coarseness 0."""
    values = np.empty(len(DEPENDENCE))
    size_features(matrices.dependence, NO_LARGE, gray, EPSILON, values)
    return {name: value for name, value in zip(DEPENDENCE, values.tolist(), strict=True) if name}


def difference_features(matrices: Matrices, gray: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """The NGTDM features; `counts` (k,) are the voxels at each gray level. Source: PyRadiomics 3.0.1, class ngtdm; IBSI 1 section 3.10, 3D."""
    values = np.empty(len(DIFFERENCES))
    tone_features(counts, matrices.differences, gray, values)
    return dict(zip(DIFFERENCES, values.tolist(), strict=True))


@kernel
def size_features(counts: np.ndarray, large: np.ndarray, gray: np.ndarray, epsilon: float, values: np.ndarray) -> None:
    """Features of a matrix of gray level against size, in the order of RUNS.

    counts (k, s): how many of size s + 1. large (n, 2): row and size of each one beyond that, sorted by size, then row.
    """
    rows, columns = counts.shape
    by_gray = np.zeros(rows)
    total, extent = 0.0, 0.0
    squared_sizes, size_mean, entropy = 0.0, 0.0, 0.0
    small, big, small_low, small_high, big_low, big_high = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(rows):
        for s in range(columns):
            by_gray[k] += counts[k, s]
            extent += counts[k, s] * (s + 1.0)
        total += by_gray[k]
    for n in range(large.shape[0]):
        by_gray[large[n, 0]] += 1.0
        extent += large[n, 1]
        total += 1.0
    size_mean = extent / total

    size_variance = 0.0
    for s in range(columns):
        of_size, low, high = 0.0, 0.0, 0.0
        for k in range(rows):
            count = counts[k, s]
            if count == 0:
                continue
            p = count / total
            entropy -= p * np.log2(p + epsilon)
            of_size += count
            squared = gray[k] * gray[k]
            low += count / squared
            high += count * squared
        if of_size == 0.0:
            continue
        size = s + 1.0
        square = size * size
        squared_sizes += of_size * of_size
        size_variance += of_size / total * (size - size_mean) ** 2
        small += of_size / square
        big += of_size * square
        small_low += low / square
        small_high += high / square
        big_low += low * square
        big_high += high * square
    n = 0
    while n < large.shape[0]:
        size = np.float64(large[n, 1])
        square = size * size
        of_size = 0.0
        while n < large.shape[0] and large[n, 1] == size:
            row = large[n, 0]
            count = 0.0
            while n < large.shape[0] and large[n, 1] == size and large[n, 0] == row:
                count += 1.0
                n += 1
            p = count / total
            entropy -= p * np.log2(p + epsilon)
            of_size += count
            squared = gray[row] * gray[row]
            small_low += count / (squared * square)
            small_high += count * squared / square
            big_low += count * square / squared
            big_high += count * squared * square
        squared_sizes += of_size * of_size
        size_variance += of_size / total * (size - size_mean) ** 2
        small += of_size / square
        big += of_size * square

    squared_grays, gray_mean, low, high = 0.0, 0.0, 0.0, 0.0
    for k in range(rows):
        squared_grays += by_gray[k] * by_gray[k]
        gray_mean += by_gray[k] / total * gray[k]
        low += by_gray[k] / (gray[k] * gray[k])
        high += by_gray[k] * gray[k] * gray[k]
    gray_variance = 0.0
    for k in range(rows):
        gray_variance += by_gray[k] / total * (gray[k] - gray_mean) ** 2

    values[0] = small / total
    values[1] = big / total
    values[2] = squared_grays / total
    values[3] = squared_grays / (total * total)
    values[4] = squared_sizes / total
    values[5] = squared_sizes / (total * total)
    values[6] = total / extent
    values[7] = gray_variance
    values[8] = size_variance
    values[9] = entropy
    values[10] = low / total
    values[11] = high / total
    values[12] = small_low / total
    values[13] = small_high / total
    values[14] = big_low / total
    values[15] = big_high / total


@kernel
def tone_features(counts: np.ndarray, differences: np.ndarray, gray: np.ndarray, values: np.ndarray) -> None:
    """Features of gray tone differences, in the order of DIFFERENCES."""
    size = gray.size
    voxels = 0.0
    for k in range(size):
        voxels += counts[k]
    weighted, summed = 0.0, 0.0
    for k in range(size):
        weighted += counts[k] / voxels * differences[k]
        summed += differences[k]
    contrast, unlike, complexity, strength = 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        pi = counts[i] / voxels
        for j in range(i):  # both halves are equal, the diagonal is zero
            pj = counts[j] / voxels
            step = gray[i] - gray[j]
            contrast += 2.0 * pi * pj * step * step
            unlike += 2.0 * abs(gray[i] * pi - gray[j] * pj)
            complexity += 2.0 * step * (pi * differences[i] + pj * differences[j]) / (pi + pj)
            strength += 2.0 * (pi + pj) * step * step
    values[0] = 1.0 / weighted if weighted != 0.0 else 1e6
    values[1] = contrast * summed / voxels / (size * (size - 1.0)) if size > 1 else 0.0
    values[2] = weighted / unlike if unlike != 0.0 else 0.0
    values[3] = complexity / voxels
    values[4] = strength / summed if summed != 0.0 else 0.0
