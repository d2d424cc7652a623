"""Risks of patients from models that never saw them: the whole recipe, network included, refitted without each fold in turn."""

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from penumbra import fusion, store
from penumbra.base.blocks import DEEP, deep_names
from penumbra.base.progress import track
from penumbra.base.whole_files import write_whole
from penumbra.fusion import Block, Fitting
from penumbra.network import Augment, EnsembleSettings, Network, Pretrain, Train
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.fuse import columns_of
from penumbra.pipeline.origins import Images
from penumbra.pipeline.train import keep_compiled, network_inputs
from penumbra.pipeline.workspace import Work

CROSSFIT_CODE = 2  # raise when the same patients and numbers give other risks than before


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a fit besides its patients."""

    network: Network
    augment: Augment
    train: Train
    pretrain: Pretrain
    ensemble: EnsembleSettings
    fuse: Fitting
    declared: tuple[fusion.Declaration, ...]


def cross_fitted(work: Work, data: Dataset, images: Images, centers: Iterable[str], recipe: Recipe, *, folds: int, seed: int) -> dict[str, np.ndarray]:
    """Model -> log_risk (n,) of each patient of `centers`, from a fit on the other folds; NaN elsewhere, and where nothing was retained.

    Folds are drawn within center and outcome. Every fold has a fit of its own, so their risks share a meaning (a Cox linear predictor) but no
    scale. A fold that was finished before a kill is read back.
    """
    inside = np.flatnonzero(np.isin(data.centers, list(centers)))
    fold = assign_folds(data.centers[inside], data.event[inside], folds=folds, seed=seed)
    scans = [[patient, images[patient]["image_version"]] for patient in data.patients[inside].tolist()]
    key = store.version_key({"data": data.key_of(inside), "scans": scans, "recipe": asdict(recipe), "folds": fold.tolist(), "code": CROSSFIT_CODE})
    risks = {declaration.name: np.full(len(data.patients), np.nan) for declaration in recipe.declared}
    with track("cross-fitting", folds) as advance:
        for number in range(folds):
            file = work.home / "crossfitted" / key / f"fold-{number}.npz"
            if not file.is_file():
                _write_arrays(file, _fold(work, data, images, inside, fold == number, recipe))
            with np.load(file, allow_pickle=False) as arrays:
                for name in risks:
                    risks[name][inside[fold == number]] = arrays[name]
            advance()
    return risks


def assign_folds(centers: np.ndarray, event: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """The fold of each patient, (n,) int: each center's deaths, and its survivors, are spread evenly."""
    fold = np.empty(len(centers), int)
    generator = np.random.default_rng(seed)
    begin = 0
    for center in sorted(set(centers.tolist())):
        for died in (True, False):
            rows = generator.permutation(np.flatnonzero((centers == center) & (event == died)))
            fold[rows] = (begin + np.arange(len(rows))) % folds
            begin += len(rows)
    return fold


def _fold(work: Work, data: Dataset, images: Images, inside: np.ndarray, held_out: np.ndarray, recipe: Recipe) -> dict[str, np.ndarray]:
    """Fit on the patients `inside` (indices) that are not held out (bool); log_risk of those that are."""
    fitted = inside[~held_out]
    blocks = {name: Block(block.name, block.features, block.values[inside]) for name, block in data.blocks.items()}
    if any(DEEP in declaration.sources for declaration in recipe.declared):
        blocks[DEEP] = _deep(work, data, images, inside, held_out, recipe)
    train = {name: Block(block.name, block.features, block.values[~held_out]) for name, block in blocks.items()}
    models = fusion.fit_all(recipe.declared, train, data.outcomes.rows(fitted), recipe.fuse)
    table = {column: values[held_out] for column, values in columns_of(blocks).items()}
    centers = data.centers[inside[held_out]]
    return {name: model.log_risk(table, centers=centers) if model.retained else np.full(int(held_out.sum()), np.nan) for name, model in models.items()}


def _deep(work: Work, data: Dataset, images: Images, inside: np.ndarray, held_out: np.ndarray, recipe: Recipe) -> Block:
    """Deep features of everybody inside, from a network that was trained without those held out."""
    from penumbra import network

    keep_compiled(work)
    volumes = network_inputs(work, data.patients[inside].tolist(), images, recipe.network)
    event, time = data.event[inside], data.time[inside]
    trained = network.fit_ensemble(
        volumes[~held_out],
        event[~held_out],
        time[~held_out],
        network.Learning(recipe.network, recipe.augment, recipe.train),
        pretrain=recipe.pretrain,
        ensemble=recipe.ensemble,
    )
    features = network.embed(trained, volumes)[1].astype(float)
    return Block(DEEP, deep_names(features.shape[1]), features)


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name as one file that is there whole or not at all."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_whole(path, stream.getvalue())
