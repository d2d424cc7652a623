"""`penumbra stability`: the table at its end."""

from typing import Any

from penumbra.base import tables
from penumbra.pipeline.stability import UNITS
from penumbra.pipeline.stability_manifest import Perturbed, StabilityManifest

COLUMNS = ("roi", "perturbation", "levels", "patients", "refused", "median_icc", "above_75", "above_90")  # for other programs


def summary(manifest: StabilityManifest) -> str:
    """Per ROI and perturbation: levels, patients, and how many features are stable."""
    header = ["ROI", "perturbation", "levels", "patients", "refused", "median ICC", "lower limit\nat least 0.75", "lower limit\nat least 0.9"]
    body = [
        [each.roi, each.perturbation, _levels(each), each.patients, each.refused, f"{each.median_icc:.2f}", f"{each.above_75:.0%}", f"{each.above_90:.0%}"]
        for each in manifest.perturbations
    ]
    return tables.render(header, body, whole="penumbra stability --format csv")


def rows(manifest: StabilityManifest) -> list[dict[str, Any]]:
    """The same for other programs."""
    return [{**each.to_json(), "levels": _levels(each)} for each in manifest.perturbations]


def _levels(each: Perturbed) -> str:
    return f"{', '.join(f'{level:g}' for level in each.levels)} {UNITS[each.perturbation]}"
