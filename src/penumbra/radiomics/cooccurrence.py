"""The 24 features of the grey level co-occurrence matrix, averaged over the directions in which voxels have neighbours."""

import math

import numba
import numpy as np

from penumbra.radiomics.first_order import EPSILON

# What `direction_features` writes, in this order; MCC comes from `correlation_coefficients`.
NAMES = (
    "Autocorrelation",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "Id",
    "Idm",
    "Idmn",
    "Idn",
    "Imc1",
    "Imc2",
    "InverseVariance",
    "JointAverage",
    "JointEnergy",
    "JointEntropy",
    "MaximumProbability",
    "SumAverage",
    "SumEntropy",
    "SumSquares",
)


def cooccurrence_features(counts: np.ndarray, grey: np.ndarray, highest: int) -> dict[str, float]:
    """The GLCM features of an ROI.

    counts     (direction, k + 1, k + 1): pairs of voxels one step apart, in one sense; row and column 0 are not read.
    grey       (k,): grey level of each row.
    highest    the highest grey level.

    Without any pair of neighbours every value is NaN, as in PyRadiomics.

    Source: PyRadiomics 3.0.1, class glcm; IBSI 1 section 3.6, aggregation 3D:avg.
    """
    values = np.empty((len(counts), len(NAMES) + 1))
    probabilities = np.empty((len(counts), len(grey), len(grey)))
    used = direction_features(counts, grey, highest, EPSILON, probabilities, values)
    if used == 0:
        return dict.fromkeys((*NAMES, "MCC"), math.nan)
    means = np.empty(len(NAMES) + 1)
    maximal_correlations(probabilities[:used], EPSILON, values[:used, -1])
    for a in np.flatnonzero(values[:used, -1] < 0):
        values[a, -1] = _maximal_correlation(probabilities[a])
    mean_of_numbers(values[:used], means)
    return dict(zip((*NAMES, "MCC"), means.tolist(), strict=True))


def _maximal_correlation(p: np.ndarray) -> float:
    """The same as `maximal_correlations` by all eigenvalues of Q, for the rare matrices whose second eigenvalue has a near neighbour."""
    px = p.sum(axis=1)
    squares = np.sort(np.linalg.eigvals((p / (np.outer(px, px) + EPSILON)) @ p).real)
    return math.sqrt(max(float(squares[-2]), 0.0))


@numba.njit(cache=True, nogil=True)
def direction_features(counts, grey, highest, epsilon, p, values):  # type: ignore[no-untyped-def]
    """For each direction that has neighbours: p (k, k), the symmetric matrix of probabilities, and its features in the order of NAMES.

    Returns how many directions have neighbours; they come first.
    """
    size = grey.size
    px = np.empty(size)
    together = np.empty(2 * highest + 1)
    apart = np.empty(highest)
    used = 0
    for direction in range(counts.shape[0]):
        count = counts[direction]
        total = 0
        for i in range(1, size + 1):
            for j in range(1, size + 1):
                total += count[i, j]
        if total == 0:
            continue
        a = used
        used += 1
        px[:] = 0.0
        together[:] = 0.0
        apart[:] = 0.0
        product, energy, entropy, largest, mean = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(size):
            gi = int(grey[i])
            for j in range(i + 1):
                both = count[i + 1, j + 1] + count[j + 1, i + 1]
                value = both / (2.0 * total)
                p[a, i, j] = value
                p[a, j, i] = value
                if both == 0:
                    continue
                gj = int(grey[j])
                weight = 1.0 if i == j else 2.0
                px[i] += value
                if i != j:
                    px[j] += value
                together[gi + gj] += weight * value
                apart[gi - gj] += weight * value
                product += weight * value * gi * gj
                energy += weight * value * value
                entropy -= weight * value * np.log2(value + epsilon)
                largest = max(largest, value)
        for i in range(size):
            mean += grey[i] * px[i]

        spread, marginal, independent, crossed, covariance = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(size):
            spread += (grey[i] - mean) ** 2 * px[i]
            marginal -= px[i] * np.log2(px[i] + epsilon)
            for j in range(i + 1):
                both = px[i] * px[j]
                if both == 0.0:
                    continue
                weight = 1.0 if i == j else 2.0
                logarithm = np.log2(both + epsilon)
                crossed -= weight * p[a, i, j] * logarithm
                independent -= weight * both * logarithm
                covariance += weight * p[a, i, j] * (grey[i] - mean) * (grey[j] - mean)

        tendency, shade, prominence, sum_average, sum_entropy = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(2, 2 * highest + 1):
            value = together[k]
            if value == 0.0:
                continue
            off = k - 2.0 * mean
            tendency += off * off * value
            shade += off * off * off * value
            prominence += off * off * off * off * value
            sum_average += k * value
            sum_entropy -= value * np.log2(value + epsilon)

        contrast, average, difference_entropy = 0.0, 0.0, 0.0
        inverse, inverse_moment, inverse_moment_n, inverse_n, inverse_variance = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(highest):
            value = apart[k]
            if value == 0.0:
                continue
            contrast += k * k * value
            average += k * value
            difference_entropy -= value * np.log2(value + epsilon)
            inverse += value / (1.0 + k)
            inverse_moment += value / (1.0 + k * k)
            inverse_moment_n += value / (1.0 + (k * k) / (1.0 * highest * highest))
            inverse_n += value / (1.0 + k / (1.0 * highest))
            if k > 0:
                inverse_variance += value / (1.0 * k * k)
        difference_variance = 0.0
        for k in range(highest):
            difference_variance += apart[k] * (k - average) ** 2

        deviation = np.sqrt(spread)
        squared = deviation * deviation
        values[a, 0] = product
        values[a, 1] = prominence
        values[a, 2] = shade
        values[a, 3] = tendency
        values[a, 4] = contrast
        values[a, 5] = covariance / (squared + epsilon) if squared != 0.0 else 1.0
        values[a, 6] = average
        values[a, 7] = difference_entropy
        values[a, 8] = difference_variance
        values[a, 9] = inverse
        values[a, 10] = inverse_moment
        values[a, 11] = inverse_moment_n
        values[a, 12] = inverse_n
        values[a, 13] = (entropy - crossed) / marginal if marginal != 0.0 else 0.0
        values[a, 14] = 0.0 if independent == entropy else np.sqrt(1.0 - np.exp(-2.0 * (independent - entropy)))
        values[a, 15] = inverse_variance
        values[a, 16] = mean
        values[a, 17] = energy
        values[a, 18] = entropy
        values[a, 19] = largest
        values[a, 20] = sum_average
        values[a, 21] = sum_entropy
        values[a, 22] = spread
    return used


@numba.njit(cache=True, nogil=True)
def maximal_correlations(p, epsilon, result):  # type: ignore[no-untyped-def]
    """PyRadiomics' MCC of each direction: the root of the second largest eigenvalue of Q.

    p    (direction, k, k), symmetric, each summing to 1.

    Q[i, j] = sum over l of p[i, l] p[j, l] / (px[i] px[l] + epsilon). Without epsilon Q is similar to the square of the symmetric matrix
    S = p / sqrt(px px'), whose eigenvalues cost a tenth; both eigenvectors of Q follow from that of S, and Rayleigh's quotient with them corrects the
    eigenvalue to first order. Where a level is so rare that epsilon is not small beside px[i] px[l], one inverse iteration sharpens the vectors.
    -1 where that fails, because another eigenvalue is too near.
    """
    size = p.shape[1]
    if size < 2:
        result[:] = 1.0
        return
    for a in range(p.shape[0]):
        px = np.zeros(size)
        symmetric = np.zeros((size, size))
        for i in range(size):
            for j in range(size):
                px[i] += p[a, i, j]
        for i in range(size):
            for j in range(size):
                if p[a, i, j] > 0.0:  # a level without a neighbour in this direction keeps its row of zeros and adds an eigenvalue of zero
                    symmetric[i, j] = p[a, i, j] / np.sqrt(px[i] * px[j])
        eigenvalues, vectors = np.linalg.eigh(symmetric)
        # the largest square is 1 and stands last; the second is at one of the ends of what remains, the third beside it
        second, third = size - 2, 0
        if eigenvalues[0] ** 2 > eigenvalues[size - 2] ** 2:
            second = 0
            third = 1 if size > 2 and eigenvalues[1] ** 2 > eigenvalues[size - 2] ** 2 else size - 2
        elif size > 2 and eigenvalues[size - 3] ** 2 > eigenvalues[0] ** 2:
            third = size - 3
        left, right = np.zeros(size), np.zeros(size)
        rarest = 1.0
        for i in range(size):
            if px[i] > 0.0:
                rarest = min(rarest, px[i])
                left[i] = np.sqrt(px[i]) * vectors[i, second]
                right[i] = vectors[i, second] / np.sqrt(px[i])
        q = np.zeros((size, size))
        for i in range(size):
            for k in range(size):
                if p[a, i, k] > 0.0:
                    weighted = p[a, i, k] / (px[i] * px[k] + epsilon)
                    for j in range(size):
                        q[i, j] += weighted * p[a, j, k]
        square = rayleigh_quotient(q, left, right)
        if epsilon > 1e-8 * rarest * rarest and square > 1e-12:
            nearest = 1.0 - square if third == second else min(1.0 - square, square - eigenvalues[third] ** 2)
            if nearest < 1e-3:  # eigenvectors of almost equal eigenvalues are mixed: the caller asks for all eigenvalues
                result[a] = -1.0
                continue
            for i in range(size):
                q[i, i] -= square * (1.0 - 1e-10)
            left, right = np.linalg.solve(q.T.copy(), left), np.linalg.solve(q, right)
            square = square * (1.0 - 1e-10) + rayleigh_quotient(q, left, right)
        result[a] = np.sqrt(max(square, 0.0))


@numba.njit(cache=True, nogil=True)
def rayleigh_quotient(matrix, left, right):  # type: ignore[no-untyped-def]
    """left' matrix right / left' right."""
    above, below = 0.0, 0.0
    for i in range(left.size):
        below += left[i] * right[i]
        for j in range(left.size):
            above += left[i] * matrix[i, j] * right[j]
    return above / below if below != 0.0 else 0.0


@numba.njit(cache=True, nogil=True)
def mean_of_numbers(values, means):  # type: ignore[no-untyped-def]
    """The mean of each column over the rows that are not NaN: a rounding may make Imc2 the root of a negative number; PyRadiomics leaves it out."""
    for column in range(values.shape[1]):
        total, count = 0.0, 0
        for row in range(values.shape[0]):
            if not np.isnan(values[row, column]):
                total += values[row, column]
                count += 1
        means[column] = total / count if count > 0 else np.nan
