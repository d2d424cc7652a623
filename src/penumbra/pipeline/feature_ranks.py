"""The features of one patient among those of the training patients: percentile, out of range, unstable, read by the model."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from penumbra import store
from penumbra.base.blocks import column
from penumbra.base.params import project_root
from penumbra.base.project import part_of

MOST = 1000  # training patients whose values are held: 42 MB for 1316 features of 4 ROIs
GOOD_ICC = 0.75  # a lower limit below this is called unstable; good reliability begins there (Koo and Li 2016)


@dataclass(frozen=True)
class Ranked:
    """One feature of one patient.

    Parameters
    ----------
    value
        NaN where it is missing.
    percentile
        Share of the training patients with a smaller value, ties counted half, in percent; NaN where there is nothing to compare.
    low, high
        Of the training patients' values, at the percentiles that applicability uses.
    icc
        Its lowest lower limit over the perturbations that were measured; None: not measured.
    used
        Whether the model reads it.
    """

    roi: str
    feature: str
    family: str
    image: str
    meaning: str
    unit: str
    value: float
    percentile: float
    low: float
    high: float
    icc: float | None
    used: bool

    @property
    def outside(self) -> bool:
        """Whether it is beyond the training patients' percentiles."""
        return bool(self.value < self.low or self.value > self.high)

    @property
    def unstable(self) -> bool:
        return self.icc is not None and self.icc < GOOD_ICC

    @property
    def missing(self) -> bool:
        return not np.isfinite(self.value)


@dataclass(frozen=True)
class Reference:
    """What a patient's features are compared with.

    Parameters
    ----------
    matrices
        ROI -> values of these patients.
    training
        How many training patients there are; at most MOST of them are in the matrices.
    stability
        (ROI, feature) -> the lowest lower limit of its ICC.
    """

    matrices: Mapping[str, store.Matrix]
    training: int
    stability: Mapping[tuple[str, str], float]

    @property
    def compared(self) -> int:
        """How many training patients are compared with."""
        return max((len(matrix.patients) for matrix in self.matrices.values()), default=0)


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    with part_of(project_root() / "features", "catalogue.csv").open(encoding="utf-8", newline="") as stream:
        return {row["feature"]: row for row in csv.DictReader(stream)}


def feature_families() -> dict[str, str]:
    """Feature -> family."""
    return {feature: row["family"] for feature, row in _catalogue().items()}


def families() -> list[str]:
    """The families of the catalogue, in its order."""
    return list(dict.fromkeys(row["family"] for row in _catalogue().values()))


def reference(lake: store.Store, trained: Sequence[tuple[str, str]]) -> Reference:
    """The features of the training patients, (patient, center) each; of more than MOST every k-th."""
    step = -(-len(trained) // MOST) or 1
    chosen = trained[::step]
    rois = lake.sql("SELECT DISTINCT roi FROM stored.radiomics_vectors ORDER BY roi").column("roi").to_pylist() if chosen else []
    names, centers = [patient for patient, _ in chosen], sorted({center for _, center in chosen})
    matrices = {roi: store.read_matrix(lake, "radiomics", roi, patients=names, centers=centers) for roi in rois}
    lowest = 'SELECT roi, feature, min("lower") AS icc FROM feature_stability SEMI JOIN current_versions USING (version) GROUP BY ALL'
    stability = {(row["roi"], row["feature"]): row["icc"] for row in lake.sql(lowest).to_pylist() if row["icc"] is not None}
    return Reference(matrices, len(trained), stability)


@dataclass(frozen=True)
class RoiRanks:
    """The features of one ROI of a patient, arrays (p,) each: value, percentile, and the training patients' low and high."""

    roi: str
    features: tuple[str, ...]
    values: np.ndarray
    percentiles: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Ranks:
    """Every radiomic feature of a patient."""

    rois: tuple[RoiRanks, ...]
    stability: Mapping[tuple[str, str], float]
    used: frozenset[str]

    def matching(self, words: str = "", *, family: str = "", roi: str = "", marks: Collection[str] = ()) -> list[Ranked]:
        """Those whose name, meaning or image has all of some words.

        Parameters
        ----------
        marks
            Only those that are all of these: "outside", "unstable", "missing", "used".
        """
        sought = words.lower().split()
        return [
            one
            for block in self.rois
            if roi in ("", block.roi)
            for j, feature in enumerate(block.features)
            if _fits(feature, sought, family)
            for one in [self._one(block, j)]
            if all(getattr(one, mark) for mark in marks)
        ]

    def _one(self, block: RoiRanks, j: int) -> Ranked:
        feature = block.features[j]
        listed = _catalogue().get(feature, {})
        return Ranked(
            roi=block.roi,
            feature=feature,
            family=listed.get("family", ""),
            image=listed.get("image", ""),
            meaning=listed.get("meaning", ""),
            unit=listed.get("unit", ""),
            value=float(block.values[j]),
            percentile=float(block.percentiles[j]),
            low=float(block.low[j]),
            high=float(block.high[j]),
            icc=self.stability.get((block.roi, feature)),
            used=column(block.roi, feature) in self.used,
        )


def _fits(feature: str, sought: Sequence[str], family: str) -> bool:
    listed = _catalogue().get(feature, {})
    if family and listed.get("family") != family:
        return False
    text = f"{feature} {listed.get('meaning', '')}".lower()
    return all(word in text for word in sought)


def ranked(lake: store.Store, patient: str, center: str, among: Reference, *, low: float, high: float, used: Collection[str] = ()) -> Ranks:
    """Every radiomic feature of a patient, ROI by ROI in the order of the catalogue; the patient is not compared with itself.

    Parameters
    ----------
    low, high : percent
        Percentiles of the training patients between which a value is in range.
    used
        Columns that the model reads.
    """
    rois = lake.sql("SELECT DISTINCT roi FROM stored.radiomics_vectors WHERE patient = ? AND center = ? ORDER BY roi", [patient, center])
    blocks = []
    for roi in rois.column("roi").to_pylist():
        vectors, others = store.read_matrix(lake, "radiomics", roi, patients=[patient], centers=[center]), among.matrices.get(roi)
        if others is not None and others.features == vectors.features:
            values_of_others = others.values[~((others.patients == patient) & (others.centers == center))]
            blocks.append(_of_roi(roi, others.features, vectors.values[0], values_of_others, low, high))
        else:
            blocks.append(_of_roi(roi, vectors.features, vectors.values[0], np.empty((0, len(vectors.features))), low, high))
    return Ranks(tuple(blocks), among.stability, frozenset(used))


def _of_roi(roi: str, features: tuple[str, ...], values: np.ndarray, values_of_others: np.ndarray, low: float, high: float) -> RoiRanks:
    finite = np.isfinite(values_of_others)
    count = finite.sum(axis=0)
    below = (finite & (values_of_others < values)).sum(axis=0) + 0.5 * (finite & (values_of_others == values)).sum(axis=0)
    percentiles = np.where((count > 0) & np.isfinite(values), 100 * below / np.maximum(count, 1), np.nan)
    ends, seen = np.full((2, len(values)), np.nan), count > 0
    if seen.any():
        ends[:, seen] = np.nanpercentile(np.where(finite, values_of_others, np.nan)[:, seen], [low, high], axis=0)
    return RoiRanks(roi, features, values, percentiles, ends[0], ends[1])
