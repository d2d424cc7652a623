"""How stable the features are, as the report shows it: from the relation feature_stability."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from penumbra import radiomics, store
from penumbra.imaging.perturbation import PERTURBATIONS
from penumbra.pipeline.workspace import Work
from penumbra.report import inputs as page

STABLE = 0.75  # Koo and Li 2016, J Chiropr Med 15:155: good from here on, by the lower limit of the interval


def stability_rows(work: Work, version: str) -> list[dict[str, Any]]:
    """What was measured of a definition of the features; nothing where penumbra stability has not run."""
    with store.connect(work.home, read_only=True) as lake:
        return [row for row in lake.rows("feature_stability") if row["version"] == version]


def stability_of(work: Work, rows: Sequence[dict[str, Any]]) -> tuple[page.StabilityOfRoi, ...]:
    """The rows by ROI, image and family."""
    place = {feature: tuple(feature.split("_")[:2]) for feature in radiomics.feature_names(work.settings.radiomics, engine=work.settings.populate.engine)}
    rois = dict.fromkeys(row["roi"] for row in rows)
    order = sorted(rois, key=lambda roi: (roi != "gtv", roi))
    return tuple(_of_roi(roi, [row for row in rows if row["roi"] == roi], place) for roi in order)


def _of_roi(roi: str, rows: Sequence[dict[str, Any]], place: dict[str, tuple[str, ...]]) -> page.StabilityOfRoi:
    measured = {row["perturbation"] for row in rows}
    perturbations = tuple(name for name in PERTURBATIONS if name in measured)
    by_cell: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = {each: {} for each in place.values()}
    for row in rows:
        if row["feature"] in place:
            by_cell[place[row["feature"]]].setdefault(row["feature"], []).append(row)
    cells = tuple(_cells(by_cell, perturbations))
    return page.StabilityOfRoi(roi, perturbations, max(row["patients"] for row in rows), cells)


def _cells(by_cell: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]], perturbations: Sequence[str]) -> Iterator[page.StabilityCell]:
    for (image, family), features in by_cell.items():
        if not features:
            continue
        median = {}
        for name in perturbations:
            values = [row["icc"] for rows in features.values() for row in rows if row["perturbation"] == name and row["icc"] is not None]
            median[name] = float(np.median(values)) if values else float("nan")
        lowest = [min(row["icc"] for row in rows) for rows in features.values() if all(row["icc"] is not None for row in rows)]
        stable = [all(row["lower"] is not None and row["lower"] >= STABLE for row in rows) for rows in features.values()]
        yield page.StabilityCell(image, family, len(features), median, float(np.median(lowest)) if lowest else float("nan"), float(np.mean(stable)))
