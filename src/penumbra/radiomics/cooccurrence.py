"""The 24 features of the gray level co-occurrence matrix, averaged over the directions in which voxels have neighbors."""

import math

import numpy as np

from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.first_order import EPSILON
from penumbra.radiomics.names import FEATURES

# What `direction_features` writes, in this order; MCC comes from `correlation_coefficients`.
NAMES = tuple(name for name in FEATURES["glcm"] if name != "MCC")


def cooccurrence_features(counts: np.ndarray, gray: np.ndarray, highest: int) -> dict[str, float]:
    """The GLCM features of an ROI, each pair counted in both senses.

    Parameters
    ----------
    counts : shape (direction, k + 1, k + 1)
        Pairs of voxels one step apart, in one sense; row and column 0 are not read.
    gray : shape (k,)
        Gray level of each row.
    highest
        The highest gray level.

    Notes
    -----
    Without any pair of neighbors every value is NaN, as in PyRadiomics.

    References
    ----------
    PyRadiomics 3.0.1, class glcm; IBSI 1 section 3.6, aggregation 3D:avg.
    """
    values = np.empty((len(counts), len(NAMES) + 1))
    probabilities = np.empty((len(counts), len(gray), len(gray)))
    count = direction_features(counts, gray, highest, EPSILON, probabilities, values)
    if count == 0:
        return dict.fromkeys((*NAMES, "MCC"), math.nan)
    values[:count, -1] = maximal_correlations(probabilities[:count])
    means = np.empty(len(NAMES) + 1)
    mean_of_numbers(values[:count], means)
    return dict(zip((*NAMES, "MCC"), means.tolist(), strict=True))


@kernel
def direction_features(counts: np.ndarray, gray: np.ndarray, highest: int, epsilon: float, p: np.ndarray, values: np.ndarray) -> int:
    """For each direction that has neighbors: p (k, k), the symmetric matrix of probabilities, and its features in the order of NAMES.

    Returns
    -------
    int
        How many directions have neighbors; they come first.
    """
    size = gray.size
    px = np.empty(size)
    together = np.empty(2 * highest + 1)
    apart = np.empty(highest)
    filled = 0
    for direction in range(counts.shape[0]):
        count = counts[direction]
        total = 0
        for i in range(1, size + 1):
            for j in range(1, size + 1):
                total += count[i, j]
        if total == 0:
            continue
        a = filled
        filled += 1
        px[:] = 0.0
        together[:] = 0.0
        apart[:] = 0.0
        product, energy, entropy, largest, mean = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(size):
            gi = int(gray[i])
            for j in range(i + 1):
                both = count[i + 1, j + 1] + count[j + 1, i + 1]
                value = both / (2.0 * total)
                p[a, i, j] = value
                p[a, j, i] = value
                if both == 0:
                    continue
                gj = int(gray[j])
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
            mean += gray[i] * px[i]

        spread, marginal, independent, crossed, covariance = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(size):
            spread += (gray[i] - mean) ** 2 * px[i]
            marginal -= px[i] * np.log2(px[i] + epsilon)
            for j in range(i + 1):
                both = px[i] * px[j]
                if both == 0.0:
                    continue
                weight = 1.0 if i == j else 2.0
                logarithm = np.log2(both + epsilon)
                crossed -= weight * p[a, i, j] * logarithm
                independent -= weight * both * logarithm
                covariance += weight * p[a, i, j] * (gray[i] - mean) * (gray[j] - mean)

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
    return filled


def maximal_correlations(p: np.ndarray) -> np.ndarray:
    """PyRadiomics' MCC of each direction: the root of the second largest eigenvalue of Q.

    Parameters
    ----------
    p : shape (direction, k, k)
        Symmetric, each summing to 1.

    Notes
    -----
    Q[i, j] = sum over l of p[i, l] p[j, l] / (px[i] px[l] + epsilon). Without epsilon Q is similar to the square of the symmetric matrix
    S = p / sqrt(px px'), whose eigenvalues cost a tenth; both eigenvectors of Q follow from that of S, and Rayleigh's quotient with them corrects the
    eigenvalue to first order. Where a level is so rare that epsilon is not small compared with px[i] px[l], one inverse iteration sharpens the vectors;
    where another eigenvalue is too near for that, all eigenvalues of Q are computed.
    """
    directions, size = p.shape[:2]
    if size < 2:
        return np.ones(directions)
    px = p.sum(axis=2)
    symmetric, q = np.zeros_like(p), np.zeros_like(p)
    correlation_matrices(p, px, EPSILON, symmetric, q)
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    # the largest square is 1 and comes last
    squares = np.sort(eigenvalues[:, :-1] ** 2, axis=1)
    second = np.argmax(eigenvalues[:, :-1] ** 2, axis=1)
    vector = np.take_along_axis(vectors, second[:, None, None], axis=2)[:, :, 0]
    root = np.sqrt(px)
    left_vector, right_vector = root * vector, np.divide(vector, root, out=np.zeros_like(px), where=px > 0)
    largest = rayleigh_quotient(q, left_vector, right_vector)

    rarest = np.min(px, axis=1, where=px > 0, initial=1.0)
    nearest = np.minimum(1.0 - largest, largest - squares[:, -2]) if size > 2 else np.minimum(1.0 - largest, 1.0)
    coarse = (1e-8 * rarest**2 < EPSILON) & (largest > 1e-12)
    for a in np.flatnonzero(coarse & (nearest < 1e-3)):  # eigenvectors of almost equal eigenvalues are mixed
        largest[a] = np.sort(np.linalg.eigvals(q[a]).real)[-2]
    those = np.flatnonzero(coarse & (nearest >= 1e-3))
    if len(those):
        shift = largest[those] * (1.0 - 1e-10)
        near = q[those] - shift[:, None, None] * np.eye(size)
        sharper = (np.linalg.solve(of, rough[those, :, None])[:, :, 0] for of, rough in ((near.transpose(0, 2, 1), left_vector), (near, right_vector)))
        largest[those] = shift + rayleigh_quotient(near, *sharper)
    return np.asarray(np.sqrt(np.maximum(largest, 0.0)))


def rayleigh_quotient(matrix: np.ndarray, left_vector: np.ndarray, right_vector: np.ndarray) -> np.ndarray:
    """left' matrix right / left' right of each matrix (..., k, k); 0 where both vectors are 0."""
    above, below = (left_vector[..., None, :] @ matrix @ right_vector[..., None])[..., 0, 0], (left_vector * right_vector).sum(axis=-1)
    return np.asarray(np.divide(above, below, out=np.zeros_like(below), where=below != 0))


@kernel
def correlation_matrices(p: np.ndarray, px: np.ndarray, epsilon: float, symmetric: np.ndarray, q: np.ndarray) -> None:
    """Fills S and Q of `maximal_correlations`; a level without a neighbor in a direction keeps its row of zeros and adds an eigenvalue of zero."""
    for a in range(p.shape[0]):
        for i in range(p.shape[1]):
            for k in range(p.shape[1]):
                if p[a, i, k] > 0.0:
                    both = px[a, i] * px[a, k]
                    symmetric[a, i, k] = p[a, i, k] / np.sqrt(both)
                    weighted = p[a, i, k] / (both + epsilon)
                    for j in range(p.shape[1]):
                        q[a, i, j] += weighted * p[a, j, k]


@kernel
def mean_of_numbers(values: np.ndarray, means: np.ndarray) -> None:
    """The mean of each column over the rows that are not NaN: a rounding may make Imc2 the root of a negative number; PyRadiomics leaves it out."""
    for column in range(values.shape[1]):
        total, count = 0.0, 0
        for row in range(values.shape[0]):
            if not np.isnan(values[row, column]):
                total += values[row, column]
                count += 1
        means[column] = total / count if count > 0 else np.nan
