"""Stage 4: signatures, combined model and controls from the features of the training patients."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from penumbra import fusion, store
from penumbra.base.blocks import DEEP
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_folder
from penumbra.evaluate import ModelRisk
from penumbra.fusion.release import released
from penumbra.fusion.texts import read_model
from penumbra.pipeline import manifests
from penumbra.pipeline.crossfit import CrossFitted, Recipe, cross_fitted
from penumbra.pipeline.dataset import Dataset, columns_of, read_dataset
from penumbra.pipeline.manifests import FuseManifest, Origin
from penumbra.pipeline.origins import PROGRAM, accepted_images, current, flat, origin, train_centers
from penumbra.pipeline.stable_columns import with_unstable
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.survival import Undefined
from penumbra.survival.calibrating import mean_baseline, slope_within
from penumbra.survival.outcome import Outcomes

CROSS_FITTED = "crossfitted.npz"  # in the folder of fitted models
MIN_SLOPE = 0.01  # of a model whose cross-fitted risks say nothing
FITTED = "fitted"  # folder of fitted models below the state folder, one subfolder for each key
FUSION_CODE = 5  # raise when the same data and numbers fit another model than before


def fuse(work: Work) -> FuseManifest:
    """Signatures, combined model and controls, fitted on the training centers and on nothing else."""
    data, settings = read_dataset(work), work.settings
    declared = fusion.declarations(settings.models)
    key = fusion_key(work, data)
    folder = work.home / FITTED / key
    if not data.event[data.training].any():
        raise Refusal(
            "training_events",
            f"none of the {int(data.training.sum())} training patients died",
            "name a center with deaths in params.yaml, cohort.train_centers, or check the column event",
        )
    if not folder.is_dir():
        say(f"fusing {len(declared)} models on {int(data.training.sum())} training patients")
        outcomes = data.outcomes.rows(data.training)
        fitted = fusion.fit_all(declared.values(), data.rows(data.training), outcomes, with_unstable(work, data, settings.fuse, declared.values()))
        recipe, images, inside = Recipe.of(settings), accepted_images(work), np.flatnonzero(data.training)
        crossed = cross_fitted(work, data, images, inside, recipe)
        if settings.crossfit.calibrate:
            fitted = {name: calibrated(model, outcomes, crossed.log_risk(name)) if model.retained else model for name, model in fitted.items()}
        table = columns_of(data.rows(data.training))
        fitted = {name: model.with_domain(table, outcomes.centers, settings.applicability) for name, model in fitted.items()}
        _save_models(folder, fitted, crossed)
    models = load_models(work, key)
    made_from = of_fuse(work, data)
    return manifests.write(
        work.home,
        FuseManifest(
            key=key,
            dataset=data.fingerprint,
            training_sha256=data.training_sha256,
            store_commit=_store_commit(manifests.earlier(work.home, FuseManifest), made_from, data),
            made_from=made_from,
            trained_on=int(data.training.sum()),
            events=int(data.event[data.training].sum()),
            features={name: len(model.columns) for name, model in models.items()},
            not_retained={name: model.reason for name, model in models.items() if not model.retained},
            digests={name: model.digest() for name, model in models.items()},
        ),
    )


def fusion_key(work: Work, data: Dataset) -> str:
    """Key of everything that decides the fitted models; they are stored in the folder of this name."""
    settings = work.settings
    groups = {name: asdict(getattr(settings, name)) for name in ("crossfit", "applicability")}
    numbers = with_unstable(work, data, settings.fuse, fusion.declarations(settings.models).values())
    facts = {"models": settings.models, "numbers": numbers.stored(), **groups}
    recipe = Recipe.of(settings).facts()  # with the network's numbers where it is trained again for each fold
    return store.version_key({**facts, "code": FUSION_CODE, "training": data.training_fingerprint, "deep": data.versions[DEEP], "recipe": recipe})


def of_fuse(work: Work, data: Dataset) -> Origin:
    """What fuse makes its models from."""
    settings = work.settings
    stable = with_unstable(work, data, settings.fuse, fusion.declarations(settings.models).values()).stability
    unstable = {} if stable is None else {"unstable columns": store.version_key({"unstable": stable.unstable})}
    places = {str(patient): {"center": str(center)} for patient, center in zip(data.patients, data.centers, strict=True)}
    return origin(
        work,
        {
            "dataset": data.fingerprint,
            "training": data.training_sha256,
            **{f"features of {block}": version for block, version in data.versions.items()},
            **unstable,
        },
        {
            "cohort.train_centers": train_centers(work, places),
            **flat("fuse", settings.fuse),
            **flat("crossfit", settings.crossfit),
            **flat("applicability", settings.applicability),
            **{f"models/{name}.yaml": store.version_key(dict(declared)) for name, declared in settings.models.items()},
            PROGRAM: FUSION_CODE,
        },
    )


def _store_commit(before: FuseManifest | None, made_from: Origin, data: Dataset) -> int:
    """The store's commit to name: that of an earlier fuse on the same training patients with the same features, else today's."""
    if before is None or before.store_commit is None or before.made_from is None or before.store_commit > data.commit:
        return data.commit
    then, now = ({name: value for name, value in source.data.items() if name != "dataset"} for source in (before.made_from, made_from))
    return before.store_commit if then == now else data.commit


def current_fuse(work: Work, data: Dataset) -> FuseManifest:
    """What fuse left, provided that it was made from these data and today's numbers.

    Raises
    ------
    Refusal
        "stage_is_current".
    """
    return current(work, FuseManifest, of_fuse(work, data), key=fusion_key(work, data), dataset=data.fingerprint)


def calibrated(model: fusion.SurvivalModel, outcomes: Outcomes, log_risk: np.ndarray) -> fusion.SurvivalModel:
    """The model with slope and baseline hazard from cross-fitted risks of its training patients, (draws, n): not from the fit that saw them.

    A slope that is not positive says that the risks know nothing: it becomes MIN_SLOPE, with which ranks stay and everybody's survival is about that of
    all patients.
    """
    try:
        slope = max(MIN_SLOPE, slope_within(outcomes.event, outcomes.time, outcomes.centers, log_risk).value)
    except Undefined:
        slope = MIN_SLOPE
    return model.calibrated(slope, mean_baseline(outcomes.event, outcomes.time, slope * log_risk))


def cross_fitted_by(work: Work, key: str) -> CrossFitted:
    """The cross-fitted risks of the training patients that belong to the fitted models of one key."""
    return CrossFitted.load(work.home / FITTED / key / CROSS_FITTED)


def cross_fitted_of(home: Path, loaded: LoadedModel, trained: Sequence[str]) -> dict[str, float]:
    """What fits that never saw them say of the training patients of a registered version, on its scale: the mean over the draws of the folds.

    Parameters
    ----------
    trained
        The training patients, by their names.

    Returns
    -------
    dict
        Patient -> log_risk; empty where the state folder no longer has the fit that was registered.
    """
    for folder in sorted((home / FITTED).glob("*")):
        file, crossed = folder / f"{loaded.served}.json", folder / CROSS_FITTED
        if not (file.is_file() and crossed.is_file()):
            continue
        model, risks = read_model(file), CrossFitted.load(crossed)
        on_scale = model.slope * risks.risks[loaded.served] if risks.gives(loaded.served) else np.empty((0, len(trained)))
        if on_scale.shape == (len(on_scale), len(trained)) and len(on_scale) and released(model, loaded.horizons_days, on_scale) == loaded.model:
            finite = np.asarray(np.isfinite(on_scale).all(axis=0))
            means = np.asarray(np.where(finite, on_scale, 0.0).mean(axis=0))
            return {patient: float(mean) for patient, mean, whole in zip(sorted(trained), means, finite, strict=True) if whole}
    return {}


def _save_models(folder: Path, models: Mapping[str, fusion.SurvivalModel], crossed: CrossFitted) -> None:
    """All models of one fit with their cross-fitted risks: the folder is there complete, or not."""
    with whole_folder(folder) as fresh:
        crossed.save(fresh / CROSS_FITTED)
        for name, model in models.items():
            (fresh / f"{name}.json").write_text(model.to_json(), encoding="utf-8")


def load_models(work: Work, key: str) -> dict[str, fusion.SurvivalModel]:
    """The fitted models of one key by name, in the order in which they are declared."""
    folder = work.home / FITTED / key
    names = fusion.declarations(work.settings.models)
    return {name: fusion.SurvivalModel.from_json((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def risks(models: Mapping[str, fusion.SurvivalModel], data: Dataset) -> dict[str, ModelRisk]:
    """Every model on every patient; NaN from a model that retained no feature, and for a center that it refuses."""
    table = columns_of(data.blocks)
    model_risks = {}
    for name, model in models.items():
        if model.retained:
            log_risk = model.log_risk(table, centers=data.centers, missing="nan" if model.harmonizes else "refuse")
            model_risks[name] = ModelRisk(log_risk, model.cutoff, model.baseline, model.slope)
        else:
            model_risks[name] = ModelRisk(np.full(len(data.patients), math.nan), math.nan)
    return model_risks
