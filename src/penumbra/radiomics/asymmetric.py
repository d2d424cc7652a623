"""The GLCM features of matrices in which a pair is counted in one sense only (`symmetricalGLCM: false`): rows and columns have other sums then."""

import math

import numpy as np

from penumbra.radiomics.first_order import EPSILON
from penumbra.radiomics.names import FEATURES


def one_sided_features(counts: np.ndarray, gray: np.ndarray, highest: int) -> dict[str, float]:
    """The GLCM features of an ROI, averaged over directions; arguments as of `cooccurrence_features`.

    References
    ----------
    PyRadiomics 3.0.1, class glcm; "average" and "sum of squares" are of the rows, as there.
    """
    totals = counts[:, 1:, 1:].sum(axis=(1, 2))
    if not totals.any():
        return dict.fromkeys(FEATURES["glcm"], math.nan)
    rows = [_of_one_direction(count[1:, 1:] / total, gray, highest) for count, total in zip(counts, totals, strict=True) if total]
    return {name: float(np.nanmean([row[name] for row in rows])) for name in FEATURES["glcm"]}


def _of_one_direction(p: np.ndarray, gray: np.ndarray, highest: int) -> dict[str, float]:
    i, j = gray[:, None], gray[None, :]
    px, py = p.sum(axis=1), p.sum(axis=0)
    mean_x, mean_y = float(gray @ px), float(gray @ py)
    sums = np.bincount((i + j).astype(np.int64).ravel(), p.ravel(), 2 * highest + 1)
    apart = np.bincount(np.abs(i - j).astype(np.int64).ravel(), p.ravel(), highest)
    k, k_sum = np.arange(highest, dtype=float), np.arange(2 * highest + 1, dtype=float)
    both = px[:, None] * py[None, :]
    entropy, crossed, independent = _entropy(p, p), _entropy(p, both), _entropy(both, both)
    marginal = max(_entropy(px, px), _entropy(py, py))
    off = i + j - mean_x - mean_y
    spread = math.sqrt(float((p * (i - mean_x) ** 2).sum())) * math.sqrt(float((p * (j - mean_y) ** 2).sum()))
    average = float((k * apart).sum())
    gained = 1.0 - math.exp(-2.0 * (independent - entropy))
    return {
        "Autocorrelation": float((p * i * j).sum()),
        "ClusterProminence": float((p * off**4).sum()),
        "ClusterShade": float((p * off**3).sum()),
        "ClusterTendency": float((p * off**2).sum()),
        "Contrast": float((k**2 * apart).sum()),
        "Correlation": float((p * (i - mean_x) * (j - mean_y)).sum()) / (spread + EPSILON) if spread else 1.0,
        "DifferenceAverage": average,
        "DifferenceEntropy": _entropy(apart, apart),
        "DifferenceVariance": float((apart * (k - average) ** 2).sum()),
        "Id": float((apart / (1 + k)).sum()),
        "Idm": float((apart / (1 + k**2)).sum()),
        "Idmn": float((apart / (1 + k**2 / highest**2)).sum()),
        "Idn": float((apart / (1 + k / highest)).sum()),
        "Imc1": (entropy - crossed) / marginal if marginal else 0.0,
        "Imc2": 0.0 if independent == entropy else math.sqrt(gained) if gained >= 0 else math.nan,
        "InverseVariance": float((apart[1:] / k[1:] ** 2).sum()),
        "JointAverage": mean_x,
        "JointEnergy": float((p**2).sum()),
        "JointEntropy": entropy,
        "MCC": _maximal_correlation(p, both),
        "MaximumProbability": float(p.max()),
        "SumAverage": float((k_sum * sums).sum()),
        "SumEntropy": _entropy(sums, sums),
        "SumSquares": float((p * (i - mean_x) ** 2).sum()),
    }


def _entropy(weights: np.ndarray, p: np.ndarray) -> float:
    return -float((weights * np.log2(p + EPSILON)).sum())


def _maximal_correlation(p: np.ndarray, both: np.ndarray) -> float:
    """The root of the second largest eigenvalue of Q[i, j] = sum over k of p[i, k] p[j, k] / (px[i] py[k] + epsilon)."""
    if len(p) < 2:
        return 1.0
    second = np.sort(np.linalg.eigvals((p / (both + EPSILON)) @ p.T))[-2]
    return float(np.sqrt(second).real)
