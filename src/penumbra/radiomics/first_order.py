"""Gray levels of an ROI and the eighteen first-order features."""

import math
from dataclasses import dataclass

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.radiomics.compiled import kernel
from penumbra.radiomics.settings import ImageType

EPSILON = float(np.spacing(1.0))  # PyRadiomics adds it to every probability inside a logarithm
# PyRadiomics' matrices grow with the square of the number of levels, and its MCC with the third power; beyond this it does not end within minutes.
MAX_GRAY_LEVELS = 2048
BLOCK = 256  # values summed before they are added to a total
NARROW_BINS = 1024
APART = 4  # values that follow one another are counted apart: the same bin twice in a row would wait for itself


@dataclass(frozen=True)
class Levels:
    """The voxels of an ROI in bins."""

    rows: np.ndarray  # (voxels,) uint16, 1..K: which of the levels that occur
    gray: np.ndarray  # (K,) float64: the level itself, 1..highest
    counts: np.ndarray  # (K,) int64: voxels at each
    highest: int


def gray_levels(values: np.ndarray, precision: np.dtype, image: ImageType, roi: str) -> Levels:
    """The level of each voxel: the number of its bin, counted from that of the lowest value.

    Parameters
    ----------
    values : shape (voxels,)
        float64.
    precision
        Of the image: the edges are computed in it, as PyRadiomics does.
    image
        Whose bins they are: of fixed width with edges at its multiples, or a fixed count between lowest and highest.

    Raises
    ------
    Refusal
        `grey_levels: gtv in wavelet-LLL spans 5211 gray levels. ...`.
    """
    lowest, highest = precision.type(values.min()), precision.type(values.max())
    checked_span(float(lowest), float(highest), image, roi)
    width = image.bin_width
    if image.bin_count is None:
        edges = np.arange(lowest - (lowest % width), highest + 2 * width, width)
    else:
        edges = np.histogram_bin_edges(np.array([lowest, highest]), image.bin_count)
        width = float(edges[-1] - edges[0]) / image.bin_count
        edges[-1] += 1  # the highest value belongs to the last bin
    rows = np.empty(values.size, dtype=np.uint16)
    counts = np.zeros(edges.size + 1, dtype=np.int64)
    digitize(values, edges, 1.0 / width, rows, counts)
    present = np.flatnonzero(counts)
    if present[-1] != present.size:  # some levels in between do not occur
        order = np.zeros(counts.size, dtype=np.uint16)
        order[present] = np.arange(1, present.size + 1)
        rows = order[rows]
    return Levels(rows, present.astype(np.float64), counts[present], int(present[-1]))


def checked_span(lowest: float, highest: float, image: ImageType, roi: str) -> None:
    """Refuse an ROI of too many gray levels.

    Raises
    ------
    Refusal
        `grey_levels` when an ROI with these extremes has more levels than are counted.
    """
    span = (highest - lowest) / image.bin_width if image.bin_count is None else image.bin_count
    if span > MAX_GRAY_LEVELS:
        raise Refusal(
            "grey_levels",
            f"{roi} in {image.name} spans {span:.0f} gray levels",
            f"At most {MAX_GRAY_LEVELS} are counted; remove metal from the ROI, or choose wider bins",
        )


@kernel
def digitize(values: np.ndarray, edges: np.ndarray, per_width: float, levels: np.ndarray, counts: np.ndarray) -> None:
    """levels[n] = how many edges are at or below values[n], and how often each level occurs."""
    low = edges[0]
    for n in range(values.size):
        value = values[n]
        level = min(int((value - low) * per_width) + 1, edges.size)
        # the division is rounded, the comparison with the edges decides
        while level > 0 and value < edges[level - 1]:
            level -= 1
        while level < edges.size and value >= edges[level]:
            level += 1
        levels[n] = level
        counts[level] += 1


def first_order(values: np.ndarray, counts: np.ndarray, voxel_volume_mm3: float, shift: float = 0.0) -> dict[str, float]:
    """The first-order features of an ROI.

    Parameters
    ----------
    values : shape (voxels,)
        float64, any order.
    counts
        Voxels at each gray level that occurs.
    shift
        Added to each value before it is squared for an energy.

    References
    ----------
    PyRadiomics 3.0.1, class firstorder; IBSI 1 sections 3.3 and 3.4 (kurtosis here is not excess kurtosis).
    """
    n = values.size
    lowest, highest = float(values.min()), float(values.max())
    places = np.array([10.0, 25.0, 50.0, 75.0, 90.0]) / 100.0 * (n - 1)
    below = places.astype(np.int64)
    p10, p25, p50, p75, p90 = _between(values, lowest, highest, below, places - below)
    if lowest == highest:
        # PyRadiomics gives what the rounding of numpy's own mean leaves
        mean = float(values.mean())
        deviations = values - mean
        m2, m3, m4 = (float((deviations**power).mean()) for power in (2, 3, 4))
        energy, absolute, robust = float(((values + shift) ** 2).sum()), float(np.abs(deviations).mean()), float(np.abs(deviations).mean())
    else:
        mean, energy, m2, m3, m4, absolute, robust = moments(values, p10, p90, shift)
    p = counts / n
    return {
        "10Percentile": p10,
        "90Percentile": p90,
        "Energy": energy,
        "Entropy": float(-np.sum(p * np.log2(p + EPSILON))),
        "InterquartileRange": p75 - p25,
        "Kurtosis": m4 / m2**2 if m2 != 0 else m4,
        "Maximum": highest,
        "MeanAbsoluteDeviation": absolute,
        "Mean": mean,
        "Median": p50,
        "Minimum": lowest,
        "Range": highest - lowest,
        "RobustMeanAbsoluteDeviation": robust,
        "RootMeanSquared": math.sqrt(energy / n),
        "StandardDeviation": math.sqrt(m2),
        "Skewness": m3 / m2**1.5 if m2 != 0 else m3,
        "TotalEnergy": energy * voxel_volume_mm3,
        "Uniformity": float(np.sum(p * p)),
        "Variance": m2,
    }


def _between(values: np.ndarray, lowest: float, highest: float, below: np.ndarray, part: np.ndarray) -> list[float]:
    """Percentiles as numpy interpolates them: between the values of rank `below` and the next."""
    ranks = np.concatenate([below, np.minimum(below + 1, values.size - 1)])
    quantiles = ranked(values, lowest, highest, ranks) if lowest < highest else np.full(ranks.size, lowest)
    low, high = quantiles[: below.size], quantiles[below.size :]
    answer: list[float] = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part)).tolist()
    return answer


def ranked(values: np.ndarray, lowest: float, highest: float, ranks: np.ndarray) -> np.ndarray:
    """The values of given ranks without sorting all: only those that share a narrow bin with one of them are sorted."""
    scale = (NARROW_BINS - 1) / (highest - lowest)
    bins = np.empty(values.size, dtype=np.uint16)
    apart = np.zeros((APART, NARROW_BINS), dtype=np.int32)
    count_narrow(values, lowest, scale, bins, apart)
    counts = apart.sum(axis=0)
    cumulated = np.cumsum(counts)
    bins_of_ranks = np.searchsorted(cumulated, ranks, side="right")
    selected = np.zeros(NARROW_BINS, dtype=np.bool_)
    selected[bins_of_ranks] = True
    candidates = np.empty(int(counts[selected].sum()))
    collect_selected(values, bins, selected, candidates)
    left_out = np.cumsum(np.where(selected, 0, counts))
    among = ranks - left_out[bins_of_ranks]
    candidates.partition(np.unique(among))
    return np.asarray(candidates[among])


@kernel
def count_narrow(values: np.ndarray, lowest: float, scale: float, bins: np.ndarray, counts: np.ndarray) -> None:
    """The bin of width 1 / scale of each value, and how many lie in each, in APART parts."""
    for n in range(values.size):
        bins[n] = np.uint16(np.int32((values[n] - lowest) * scale))
    whole = values.size // APART * APART
    for n in range(0, whole, APART):
        counts[0, bins[n]] += 1
        counts[1, bins[n + 1]] += 1
        counts[2, bins[n + 2]] += 1
        counts[3, bins[n + 3]] += 1
    for n in range(whole, values.size):
        counts[0, bins[n]] += 1


@kernel
def collect_selected(values: np.ndarray, bins: np.ndarray, selected: np.ndarray, candidates: np.ndarray) -> None:
    """The values in the selected bins."""
    top = 0
    for n in range(values.size):
        if selected[bins[n]]:
            candidates[top] = values[n]
            top += 1


@kernel
def moments(values: np.ndarray, p10: float, p90: float, shift: float) -> tuple[float, float, float, float, float, float, float]:
    """Mean, energy of the values + shift, central moments 2 to 4, mean absolute deviation, and the same among the values from p10 to p90.

    Summed in blocks, so that the rounding does not grow with the number of voxels.
    """
    count = values.size
    total, energy = 0.0, 0.0
    for start in range(0, count, BLOCK):
        s1, s2 = 0.0, 0.0
        for n in range(start, min(start + BLOCK, count)):
            s1 += values[n]
            s2 += (values[n] + shift) * (values[n] + shift)
        total += s1
        energy += s2
    mean = total / count
    m2, m3, m4, absolute, middle, inner = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for start in range(0, count, BLOCK):
        s2, s3, s4, s, t = 0.0, 0.0, 0.0, 0.0, 0.0
        for n in range(start, min(start + BLOCK, count)):
            value = values[n]
            deviation = value - mean
            square = deviation * deviation
            s2 += square
            s3 += square * deviation
            s4 += square * square
            s += abs(deviation)
            within = p10 <= value <= p90
            t += value * within
            inner += within
        m2 += s2
        m3 += s3
        m4 += s4
        absolute += s
        middle += t
    middle /= inner
    robust = 0.0
    for start in range(0, count, BLOCK):
        s = 0.0
        for n in range(start, min(start + BLOCK, count)):
            s += abs(values[n] - middle) * (p10 <= values[n] <= p90)
        robust += s
    return mean, energy, m2 / count, m3 / count, m4 / count, absolute / count, robust / inner
