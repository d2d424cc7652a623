"""A small bundle with fitted models and its metrics: the same in every process."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from penumbra.evaluate import MetricRow
from penumbra.fusion import Block, Declaration, Fitting, SurvivalModel, fit_all
from penumbra.registry import Bundle, Lineage
from penumbra.survival.outcome import Outcomes

COLUMNS = ("gtv.original_shape_MeshVolume", "ring_6mm.wavelet-LLH_glcm_Contrast", "deep.deep_007")
METRICS = [
    MetricRow("Combined", "north", "train", "harrell_c", 0.8, 0.7, 0.9, 60, 40),
    MetricRow("Combined", "east", "test", "harrell_c", 0.7, 0.6, 0.8, 30, 20),
    MetricRow("Volume", "east", "test", "harrell_c", 0.55, 0.45, 0.65, 30, 20),
    MetricRow("Combined", "south", "test", "harrell_c", float("nan"), float("nan"), float("nan"), 4, 0),
]


@cache
def fitted_models() -> Mapping[str, SurvivalModel]:
    """A combined model of three blocks and a volume model, on forty invented patients."""
    generator = np.random.default_rng(7)
    values = generator.normal(size=(40, 3))
    values[:, 0] = np.exp(values[:, 0])
    names = [column.split(".", 1) for column in COLUMNS]
    blocks = [Block(block, (feature,), values[:, [place]]) for place, (block, feature) in enumerate(names)]
    time = generator.exponential(500 * np.exp(-values[:, 1]))
    declared = [
        Declaration("Combined", "Combined", "Combined", "cox", columns=COLUMNS, log=COLUMNS[:1]),
        Declaration("Volume", "Volume only", "control", "cox", columns=COLUMNS[:1], log=COLUMNS[:1]),
    ]
    numbers = Fitting(alpha=0.05, folds=5, seed=1, ties="efron", pca_variance=0.95, lasso_lambda="min", lasso_patience=15, ridge=1.0)
    return fit_all(declared, blocks, Outcomes.of_one_center(np.arange(40) % 3 > 0, time), numbers)


def small_bundle(network: Path, volume_weight: float = 0.5, *, code_commit: str = "c0ffee", served: str = "Combined") -> Bundle:
    """The bundle; another `volume_weight` is another model, another `code_commit` alone is not."""
    fitted = fitted_models()
    combined = fitted["Combined"]
    models = {**fitted, "Combined": replace(combined, inputs=(replace(combined.inputs[0], coefficient=volume_weight), *combined.inputs[1:]))}
    lineage = Lineage(
        train_centers=("north",),
        store_commit=7,
        store_digest="ab" * 32,
        code_commit=code_commit,
        data_digests={"north": "aa" * 32, "east": "bb" * 32},
        params={"network.filters": 8, "fusion.variance": 0.95},
        environment={"python": "3.11"},
    )
    settings = {"radiomics": {"binWidth": 25}, "rois": {"margins_mm": [3, 6, 9]}}
    return Bundle(models, served, (365.25, 730.5, 1095.75), {"gtv": "0123456789ab"}, settings, lineage, network, {"network_0/validation_loss": [3.0, 2.5]})
