"""Champion and challenger side by side on patients that neither was fitted on, with what a useful model must beat."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from penumbra import fusion
from penumbra.base.refusal import Refusal
from penumbra.evaluate import EXTERNAL, Evaluating, Evidence, MetricRow, ModelRisk
from penumbra.evaluate.choice import CONTROLS
from penumbra.evaluate.contrasts import ALL, contrasts
from penumbra.evaluate.paired import Pair, paired_rows
from penumbra.evaluate.rows import PairedRow
from penumbra.evaluate.sets import sets_of
from penumbra.fusion import Fitting, StableOnly
from penumbra.network import EnsembleSettings, Pretrain
from penumbra.pipeline import looks, networks
from penumbra.pipeline.crossfit import CrossFitted, Recipe, cross_fitted
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.evaluate import measured
from penumbra.pipeline.falsifiers import cross_fitted_falsifiers, everywhere, falsifiers_elsewhere, falsifiers_of
from penumbra.pipeline.fuse import cross_fitted_by, current_fuse, load_models, risks
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel

OLD, NEW = "champion", "challenger"
METRIC = "harrell_c"
BETWEEN_CENTERS = ("harrell_c", "uno_c", "delta_c", "auc", "delong")  # count pairs of two centers where several are together


@dataclass(frozen=True)
class Unseen:
    """A model on n patients, from fits that did not see the patient.

    Parameters
    ----------
    ranks : shape (draws, n)
        For C within centers: ranks within a fold where the model was fitted, its log risk elsewhere.
    model
        With one log_risk a patient: the mean of the cross-fitted ones where the model was fitted.
    """

    ranks: np.ndarray
    model: ModelRisk

    @classmethod
    def of(cls, name: str, crossed: CrossFitted, registered: ModelRisk, inside: np.ndarray) -> "Unseen":
        """A model, cross-fitted on the patients `inside` (indices) and with its `registered` risk elsewhere."""
        log_risk = registered.log_risk.copy()
        log_risk[inside] = registered.slope * crossed.log_risk(name).mean(axis=0)
        return cls(everywhere(crossed.ranks(name), inside, registered.log_risk), replace(registered, log_risk=log_risk))


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


def challenge(work: Work, champion: LoadedModel, data: Dataset, served: str) -> Challenge:
    """Champion and challenger at every center, from risks of patients that neither was fitted on.

    Where a model was fitted its risks are cross-fitted (see pipeline.crossfit), the champion's by its own network and numbers; elsewhere they are the
    registered model's own. Next to them what must be beaten: the challenger's falsifiers (see pipeline.falsifiers), fitted as the challenger is. A
    control has none.

    Parameters
    ----------
    data
        As the champion sees it, with its deep features.
    served
        Which of the fitted models is the challenger.

    Raises
    ------
    Refusal
        "model_declared" when models/ does not declare what the champion serves.
    """
    settings = work.settings
    now, images = read_dataset(work), accepted_images(work)
    key, inside = current_fuse(work, now).key, np.flatnonzero(now.training)
    ours = cross_fitted_by(work, key).and_then(cross_fitted_falsifiers(work, now, images, inside, [served]))
    fitted = risks(load_models(work, key), now)
    new = {name: Unseen.of(name, ours, fitted[name], inside) for name in (served, *CONTROLS.values()) if name in fitted}

    declared = fusion.declarations(settings.models)
    if champion.served not in declared:
        fault = f"the champion serves {champion.served}, which no file of models/ declares"
        raise Refusal("model_declared", fault, "declare it again, or promote a version that is declared")
    trained = np.flatnonzero(np.isin(data.centers, champion.lineage.train_centers))
    theirs = cross_fitted(work, data, images, trained, _recipe_of(champion, Recipe.of(settings, [champion.served])))
    old = Unseen.of(champion.served, theirs, risks(champion.models, data)[champion.served], trained)

    elsewhere = {name: one.model.log_risk for name, one in new.items()} | falsifiers_elsewhere(work, now, images, inside, new[served].model.log_risk)
    control = served in CONTROLS.values()  # has nothing to beat but the champion
    falsifiers = {} if control else falsifiers_of(served, ours, now.centers[inside], settings.crossfit.seed)
    baselines = {name: everywhere(ranks, inside, elsewhere[name]) for name, ranks in falsifiers.items()}
    evidence = contrasts(now.outcomes, old.ranks, new[served].ranks, baselines, settings.retrain.gate)
    models = {OLD: old.model, NEW: new[served].model, **{name: new[name].model for name in CONTROLS.values() if name in new}}
    unseen = replace(now, training=np.zeros_like(now.training))
    metrics = [row if row.center != EXTERNAL else replace(row, center=ALL) for row in measured(work, models, unseen, combined=NEW)]
    metrics = [row for row in metrics if row.center != ALL or not row.metric.startswith(BETWEEN_CENTERS)]
    look = looks.Look(
        "challenge", {"champion": champion.entry.digest, "challenger": key, "data": now.fingerprint}, champion.entry.model, str(champion.entry.version)
    )
    looks.count(work.home, work.run, look, now.centers, now.event, training=champion.lineage.train_centers)
    pair = _pair(unseen, (models[OLD], models[NEW]), settings.evaluate)
    pairs = tuple(pair.of(ALL if one.center == EXTERNAL else one.center, one.rows) for one in sets_of(unseen.centers, unseen.training))
    paired = tuple(row for here in pairs for row in paired_rows(here, settings.evaluate))
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


def stable_only(registered: Mapping[str, Any] | None) -> StableOnly | None:
    """What a version was registered with; one from before there was a choice took every column."""
    return None if registered is None else StableOnly(float(registered["min_icc"]), tuple(registered["under"]))


def _recipe_of(champion: LoadedModel, today: Recipe) -> Recipe:
    """How the champion was fitted: its network's own settings and its registered numbers; the declarations are today's."""
    assert champion.network_path is not None, "a registered model carries its network"
    trained = networks.read(champion.network_path)
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
        fuse=Fitting(**registered("fuse", today.fuse) | {"stability": stable_only(params.get("fuse.stability"))}),
    )
