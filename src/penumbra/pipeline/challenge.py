"""Champion and challenger side by side on patients that neither was fitted on, with what a useful model must beat."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from penumbra import fusion
from penumbra.evaluate import EXTERNAL, Evaluating, Evidence, MetricRow, ModelRisk
from penumbra.evaluate.contrasts import ALL, contrasts
from penumbra.evaluate.paired import Pair, paired_rows
from penumbra.evaluate.rows import PairedRow
from penumbra.evaluate.sets import sets_of
from penumbra.fusion import Fitting
from penumbra.network import EnsembleSettings, Pretrain
from penumbra.pipeline.crossfit import Recipe, cross_fitted
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.evaluate import CONTROLS, measured
from penumbra.pipeline.fuse import current_fuse, load_models, risks
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel

OLD, NEW, SHUFFLED = "champion", "challenger", "Shuffled"
METRIC = "harrell_c"
BETWEEN_CENTERS = ("harrell_c", "uno_c", "delta_c", "auc", "delong")  # count pairs of two centers where several are together


@dataclass(frozen=True)
class Challenge:
    """Champion, challenger and baselines at every center and at all of them (ALL; here nobody was fitted on, so that a training center is in it too).

    Parameters
    ----------
    rows
        Every metric of every model; none of those that would count pairs of two centers.
    paired
        Champion against challenger on the same resamples.
    evidence
        What the gate decides on.
    pairs
        Both at each center and at all of them.
    """

    rows: tuple[MetricRow, ...]
    paired: tuple[PairedRow, ...]
    evidence: Evidence
    pairs: tuple[Pair, ...]


def challenge(work: Work, champion: LoadedModel, data: Dataset) -> Challenge:
    """Champion and challenger at every center, from risks of patients that neither was fitted on.

    Where a model was fitted its risks are cross-fitted: its recipe, network included, refitted without each fold. Elsewhere they are the
    registered model's own. Next to them what must be beaten: the controls fitted as the challenger, and the challenger's risks permuted within
    each center (what is left when nothing of the image counts).
    """
    settings, limits = work.settings, work.settings.retrain
    declared = fusion.declarations(settings.models)
    declarations = tuple(declared[name] for name in (settings.register.served, *CONTROLS.values()) if name in declared)
    today = Recipe(settings.network, settings.augment, settings.train, settings.pretrain, settings.ensemble, settings.fuse, declarations)
    now = read_dataset(work)
    images = accepted_images(work)
    fitted = load_models(work, current_fuse(work, now).key)
    numbers = {"folds": settings.crossfit.folds, "seed": settings.crossfit.seed}

    ours, theirs = settings.cohort.train_centers, champion.lineage.train_centers
    new = out_of_sample(risks(fitted, now), cross_fitted(work, now, images, ours, today, **numbers), np.isin(now.centers, ours))
    former = cross_fitted(work, data, images, theirs, _recipe_of(champion, today), **numbers)
    old = out_of_sample(risks(champion.models, data), former, np.isin(data.centers, theirs))[champion.served]
    challenger = new[settings.register.served]
    generator = np.random.default_rng(settings.crossfit.seed)
    shuffled = challenger.log_risk.copy()
    for center in sorted(set(now.centers.tolist())):
        rows = np.flatnonzero(now.centers == center)
        shuffled[rows] = shuffled[generator.permutation(rows)]
    models = {OLD: old, NEW: challenger, **{name: new[name] for name in CONTROLS.values() if name in new}, SHUFFLED: replace(challenger, log_risk=shuffled)}
    unseen = replace(now, training=np.zeros_like(now.training))
    metrics = [row if row.center != EXTERNAL else replace(row, center=ALL) for row in measured(work, models, unseen, combined=NEW)]
    metrics = [row for row in metrics if row.center != ALL or not row.metric.startswith(BETWEEN_CENTERS)]
    pair = _pair(unseen, (old, challenger), settings.evaluate)
    pairs = tuple(pair.of(ALL if one.center == EXTERNAL else one.center, one.rows) for one in sets_of(unseen.centers, unseen.training))
    paired = tuple(row for here in pairs for row in paired_rows(here, settings.evaluate))
    baselines = {name: model.log_risk for name, model in models.items() if name not in (OLD, NEW)}
    evidence = contrasts(now.outcomes, old.log_risk, challenger.log_risk, baselines, limits.gate)
    return Challenge(tuple(metrics), paired, evidence, pairs)


def _pair(data: Dataset, both: tuple[ModelRisk, ModelRisk], numbers: Evaluating) -> Pair:
    return Pair(
        center="",
        labels=(OLD, NEW),
        outcomes=data.outcomes,
        log_risk=np.stack([model.log_risk for model in both]),
        death=np.stack([_death(model, numbers.horizons_days) for model in both]),
        high=np.stack([model.log_risk > model.cutoff for model in both]),
        fitted=np.zeros((2, len(data.patients)), dtype=bool),
        days=numbers.horizons_days,
    )


def _death(model: ModelRisk, horizons_days: tuple[float, ...]) -> np.ndarray:
    if model.baseline is None:
        return np.full((len(model.log_risk), len(horizons_days)), np.nan)
    return model.death(horizons_days)


def _recipe_of(champion: LoadedModel, today: Recipe) -> Recipe:
    """How the champion was fitted: its network's own settings and its registered numbers; the declarations are today's."""
    from penumbra import network

    assert champion.network_path is not None, "a registered model carries its network"
    trained = network.load(champion.network_path)
    params = champion.lineage.params

    def registered(group: str, now: Any) -> dict[str, Any]:
        return {name: params.get(f"{group}.{name}", value) for name, value in asdict(now).items()}

    return replace(
        today,
        network=trained.network,
        augment=trained.augment,
        train=trained.train,
        pretrain=Pretrain(**registered("pretrain", today.pretrain)),
        ensemble=EnsembleSettings(**registered("ensemble", today.ensemble)),
        fuse=Fitting(**registered("fuse", today.fuse)),
    )


def out_of_sample(models: Mapping[str, ModelRisk], crossed: Mapping[str, np.ndarray], fitted: np.ndarray) -> dict[str, ModelRisk]:
    """The models that were cross-fitted: those risks where a model was `fitted` (n,) bool, its own elsewhere.

    A patient whose fold retained nothing gets the mean of the other cross-fitted risks (0 without any), which says nothing; never the risk of
    the fit that saw the patient.
    """
    model_risks = {}
    for name, risk in crossed.items():
        usable = fitted & np.isfinite(risk)
        nothing = float(risk[usable].mean()) if usable.any() else 0.0
        model_risks[name] = replace(models[name], log_risk=np.where(fitted, np.where(usable, risk, nothing), models[name].log_risk))
    return model_risks
