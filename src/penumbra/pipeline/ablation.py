"""The ablation: the deep signature of the same network without squeeze-and-excitation, measured next to the models and never registered."""

from dataclasses import dataclass

import numpy as np

from penumbra import fusion, store
from penumbra.base.blocks import DEEP, GTV
from penumbra.evaluate import ModelRisk
from penumbra.fusion import Block, Declaration, SurvivalModel
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import Dataset, matrix_block
from penumbra.pipeline.manifests import TrainManifest
from penumbra.pipeline.workspace import Work

BLOCK = "deep_without_se"
DECLARED = Declaration("DL_without_SE", "Deep learning, no SE", "deep", "signature", blocks=(BLOCK,))


@dataclass(frozen=True)
class Ablation:
    """The signature of the network without SE, fitted as that of the network with SE, and its risk of every patient."""

    model: SurvivalModel
    risk: ModelRisk


def version_without_se(work: Work) -> str | None:
    """Version of the deep features of the network without SE; None where params.yaml asked for none (ablation.without_se)."""
    return manifests.read(work.home, TrainManifest).without_se


def ablation(work: Work, data: Dataset) -> Ablation | None:
    """The ablation of the last training, fitted on its training patients; None where there was none."""
    version = version_without_se(work)
    if version is None:
        return None
    patients = data.patients.tolist()
    with store.connect(work.home, read_only=True) as lake:
        block = matrix_block(BLOCK, store.read_matrix(lake, DEEP, GTV, version=version, patients=patients), patients)
    inside = data.training
    trained = {BLOCK: Block(BLOCK, block.features, block.values[inside])}
    model = fusion.fit(DECLARED, trained, data.outcomes.rows(inside), work.settings.fuse)
    if not model.retained:
        return Ablation(model, ModelRisk(np.full(len(patients), np.nan), np.nan))
    table = dict(zip(block.columns, block.values.T, strict=True))
    log_risk = model.log_risk(table, centers=data.centers, missing="nan" if model.harmonizes else "refuse")
    return Ablation(model, ModelRisk(log_risk, model.cutoff, model.baseline))
