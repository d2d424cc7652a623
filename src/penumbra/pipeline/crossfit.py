"""Risks of the training patients from models that never saw them: every recipe refitted without each fold in turn, over several draws of the folds.

Everything learned from an outcome is learned again in each fit: screening, Lasso, components, ridge, harmonization, cut-off, and the network. Where the
networks are an ensemble of folds (`ensemble.folds`), the deep features of a training patient come from networks that never saw the patient, and are taken
as they are: the networks of the other patients may have seen the one that is left out. Where they are not, the network is trained again for each fold of the
first draw, and a model that uses it has this one draw.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import fusion, store
from penumbra.base.blocks import DEEP, deep_names
from penumbra.base.progress import track
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import write_whole
from penumbra.base.workers import available_cores, over
from penumbra.fusion import Block, Declaration, Fitting
from penumbra.fusion.patients import RowsOf
from penumbra.network import Augment, EnsembleSettings, Network, Pretrain, Train
from penumbra.pipeline.dataset import Dataset, columns_of
from penumbra.pipeline.networks import keep_compiled
from penumbra.pipeline.origins import Images
from penumbra.pipeline.settings import Settings
from penumbra.pipeline.stable_columns import with_unstable
from penumbra.pipeline.train import code_of, network_inputs
from penumbra.pipeline.workspace import Work
from penumbra.survival import Undefined
from penumbra.survival.outcome import Outcomes
from penumbra.survival.selection import folds_within

CROSSFIT_CODE = 3  # raise when the same patients and numbers give other risks than before
SMALL = 100_000  # values of all blocks below which processes of their own cost more than they save


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a fit besides its patients.

    Parameters
    ----------
    declared
        The models; a model of members holds theirs.
    """

    network: Network
    augment: Augment
    train: Train
    pretrain: Pretrain
    ensemble: EnsembleSettings
    fuse: Fitting
    declared: tuple[Declaration, ...]

    @classmethod
    def of(cls, settings: Settings, names: Iterable[str] | None = None) -> "Recipe":
        """Return today's recipe of some models, in the order in which they are declared; None: of all."""
        every, some = fusion.declarations(settings.models), None if names is None else set(names)
        declared = tuple(declaration for name, declaration in every.items() if some is None or name in some)
        return cls(settings.network, settings.augment, settings.train, settings.pretrain, settings.ensemble, settings.fuse, declared)

    def facts(self) -> dict[str, Any]:
        """Return what decides the risks besides the patients; the numbers of the network where it is trained for each fold."""
        facts = asdict(self)
        if self.fuse.stability is None:  # earlier keys have none
            del facts["fuse"]["stability"]
        return {name: facts[name] for name in ("fuse", "declared")} if self.shares_networks else facts | code_of(self.network)

    @property
    def shares_networks(self) -> bool:
        """Whether deep features of training patients come from networks that never saw them."""
        return self.ensemble.folds > 1


@dataclass(frozen=True)
class CrossFitted:
    """Cross-fitted risks of n patients.

    Parameters
    ----------
    fold : shape (draws, n)
        Of each patient.
    risks : each (draws, n), or (1, n)
        Model -> log_risk as its fits give it; NaN where a fit retained nothing.
    """

    fold: np.ndarray
    risks: Mapping[str, np.ndarray]

    def ranks(self, name: str) -> np.ndarray:
        """The ranks of a model's risks within each fold, between 0 and 1, (draws, n): each fold has a fit, and a scale, of its own. Ties share a rank.

        A patient whose fit retained nothing has 0.5.
        """
        from scipy.stats import rankdata

        ranks = np.full(self.risks[name].shape, 0.5)
        for draw, risk in enumerate(self.risks[name]):
            for fold in np.unique(self.fold[draw]):
                rows = np.flatnonzero((self.fold[draw] == fold) & np.isfinite(risk))
                ranks[draw, rows] = (rankdata(risk[rows]) - 0.5) / max(rows.size, 1)
        return ranks

    def log_risk(self, name: str) -> np.ndarray:
        """A model's risks, (draws, n), with 0, the risk of an average patient, where a fit retained nothing."""
        return np.where(np.isfinite(self.risks[name]), self.risks[name], 0.0)

    def gives(self, name: str) -> bool:
        """Whether any fit of a model retained a feature."""
        return name in self.risks and bool(np.isfinite(self.risks[name]).any())

    def and_then(self, others: Mapping[str, np.ndarray]) -> "CrossFitted":
        """These and further risks of the same folds."""
        return CrossFitted(self.fold, {**self.risks, **others})

    def save(self, path: Path) -> None:
        """Write to one file, whole or not at all."""
        write_arrays(path, {"fold": self.fold, **{f"risk {name}": risk for name, risk in self.risks.items()}})

    @classmethod
    def load(cls, path: Path) -> "CrossFitted":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["fold"], {name.removeprefix("risk "): arrays[name] for name in arrays.files if name != "fold"})


def cross_fitted(work: Work, data: Dataset, images: Images, inside: np.ndarray, recipe: Recipe, *, shuffled: bool = False, shown: bool = True) -> CrossFitted:
    """Cross-fit the declared models on some patients (indices of `data`), by the numbers of the group crossfit.

    Folds are drawn within center and outcome. A draw that was finished before a kill is read back.

    Parameters
    ----------
    shuffled
        Give each patient the features of another one of the same center, another one in each draw: what a recipe finds in columns that know nothing.
    shown
        Whether progress is.

    Raises
    ------
    Refusal
        As fusion.fit_all.
    """
    recipe = replace(recipe, fuse=with_unstable(work, data, recipe.fuse, recipe.declared))
    numbers, outcomes, blocks = work.settings.crossfit, data.outcomes.rows(inside), data.rows(inside)
    folds = np.stack([folds_within(outcomes.centers, outcomes.event, folds=numbers.folds, seed=(numbers.seed, draw)) for draw in range(numbers.repeats)])
    scans = [] if recipe.shares_networks else [[patient, images[patient]["image_version"]] for patient in data.patients[inside].tolist()]
    facts = {"data": data.key_of(inside), "scans": scans, "recipe": recipe.facts(), "folds": folds.tolist(), "shuffled": shuffled}
    folder = work.home / "crossfitted" / store.version_key(facts | {"code": CROSSFIT_CODE})
    deep = None
    if not recipe.shares_networks and any(DEEP in declaration.sources for declaration in recipe.declared):
        deep = _deep(work, data, images, inside, folds[0], recipe, folder)
    shuffle_seed = numbers.seed if shuffled else None
    task = partial(_draw, folder=folder, recipe=recipe, blocks=blocks, deep=deep, outcomes=outcomes, folds=folds, shuffle_seed=shuffle_seed)
    lacking = [draw for draw in range(numbers.repeats) if not _file(folder, draw).is_file()]
    workers = 1 if sum(block.values.size for block in blocks.values()) < SMALL else min(available_cores(), len(lacking))
    with track("cross-fit on shuffled columns" if shuffled else "cross-fit", numbers.repeats if shown else 0) as advance:
        advance(numbers.repeats - len(lacking))
        for _, refusal in over(task, lacking, workers) if workers > 1 else ((draw, task(draw)) for draw in lacking):
            if isinstance(refusal, Refusal):
                raise refusal
            advance()
    risks: dict[str, list[np.ndarray]] = {}
    for draw in range(numbers.repeats):
        with np.load(_file(folder, draw), allow_pickle=False) as arrays:
            for name in arrays.files:
                risks.setdefault(name, []).append(arrays[name])
    return CrossFitted(folds, {declaration.name: np.stack(risks[declaration.name]) for declaration in recipe.declared})


def permuted_within(centers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An order (n,) of patients in which each one's place is taken by a patient of the same center."""
    order = np.arange(len(centers))
    for center in sorted(set(centers.tolist())):
        rows = np.flatnonzero(centers == center)
        order[rows] = generator.permutation(rows)
    return order


def _draw(
    draw: int,
    *,
    folder: Path,
    recipe: Recipe,
    blocks: Mapping[str, Block],
    deep: Sequence[np.ndarray] | None,
    outcomes: Outcomes,
    folds: np.ndarray,
    shuffle_seed: int | None,
) -> None:
    """One draw of the folds: log_risk (n,) by model, from the fit on the other folds; into a file of its own."""
    if shuffle_seed is not None:
        order = permuted_within(outcomes.centers, np.random.default_rng((shuffle_seed, draw)))
        blocks = {name: Block(name, block.features, block.values[order]) for name, block in blocks.items()}
        deep = None if deep is None else [features[order] for features in deep]
    fold = folds[draw]
    declared = [one for one in recipe.declared if recipe.shares_networks or draw == 0 or DEEP not in one.sources]
    risks = {declaration.name: np.full(len(fold), np.nan) for declaration in declared}
    for number in range(int(folds.max()) + 1):
        here = dict(blocks)
        if deep is not None and draw == 0:
            here[DEEP] = Block(DEEP, deep_names(deep[number].shape[1]), deep[number])
        left_out = fold == number
        fitted = {name: Block(name, block.features, block.values[~left_out]) for name, block in here.items()}
        try:
            models = fusion.fit_all(declared, fitted, outcomes.rows(~left_out), recipe.fuse)
        except Undefined:  # nobody outside the fold died: nothing can be learned, and nothing is said of the fold
            continue
        table = RowsOf(columns_of(here), left_out)
        for name, model in models.items():
            if model.retained:
                risks[name][left_out] = model.log_risk(table, centers=outcomes.centers[left_out], missing="nan")
    write_arrays(_file(folder, draw), risks)


def _deep(work: Work, data: Dataset, images: Images, inside: np.ndarray, fold: np.ndarray, recipe: Recipe, folder: Path) -> list[np.ndarray]:
    """Deep features (n, channels) of everybody inside for each fold, from a network that was trained without it."""
    from penumbra import network

    features: list[np.ndarray] = []
    volumes = None
    for number in range(int(fold.max()) + 1):
        file = folder / f"network-{number}.npz"
        if not file.is_file():
            keep_compiled(work.home)
            volumes = network_inputs(work, data.patients[inside].tolist(), images, recipe.network) if volumes is None else volumes
            rows = inside[fold != number]
            trained = network.fit_ensemble(
                volumes[fold != number],
                data.event[rows],
                data.time[rows],
                network.Learning(recipe.network, recipe.augment, recipe.train),
                pretrain=recipe.pretrain,
                ensemble=recipe.ensemble,
            )
            write_arrays(file, {"features": network.embed(trained, volumes)[1].astype(float)})
        with np.load(file, allow_pickle=False) as arrays:
            features.append(arrays["features"])
    return features


def _file(folder: Path, draw: int) -> Path:
    return folder / f"draw-{draw}.npz"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays by name as one file that is there whole or not at all."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_whole(path, stream.getvalue())
