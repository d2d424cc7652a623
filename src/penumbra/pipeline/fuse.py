"""Stage 4: signatures, combined model and controls from the features of the training patients."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from penumbra import fusion, store
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_folder
from penumbra.evaluate import ModelRisk
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.manifests import FuseManifest, Origin
from penumbra.pipeline.origins import PROGRAM, current, flat, origin, train_centers
from penumbra.pipeline.workspace import Work

FITTED = "fitted"  # folder of fitted models below the state folder, one subfolder for each key
FUSION_CODE = 3  # raise when the same data and numbers fit another model than before


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
        fitted = fusion.fit_all(declared.values(), data.rows(data.training), data.outcomes.rows(data.training), settings.fuse)
        _save_models(folder, fitted)
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
    numbers = work.settings.fuse.stored()
    return store.version_key({"models": work.settings.models, "numbers": numbers, "code": FUSION_CODE, "training": data.training_fingerprint})


def of_fuse(work: Work, data: Dataset) -> Origin:
    """What fuse makes its models from."""
    settings = work.settings
    places = {str(patient): {"center": str(center)} for patient, center in zip(data.patients, data.centers, strict=True)}
    return origin(
        work,
        {"dataset": data.fingerprint, "training": data.training_sha256, **{f"features of {block}": version for block, version in data.versions.items()}},
        {
            "cohort.train_centers": train_centers(work, places),
            **flat("fuse", settings.fuse),
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


def _save_models(folder: Path, models: Mapping[str, fusion.SurvivalModel]) -> None:
    """All models of one fit: the folder is there complete, or not."""
    with whole_folder(folder) as fresh:
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
            model_risks[name] = ModelRisk(log_risk, model.cutoff, model.baseline)
        else:
            model_risks[name] = ModelRisk(np.full(len(data.patients), math.nan), math.nan)
    return model_risks


def columns_of(blocks: Mapping[str, fusion.Block]) -> dict[str, np.ndarray]:
    """ "block.feature" -> its values, (n,): the table that a fitted model reads."""
    return {column: block.values[:, i] for block in blocks.values() for i, column in enumerate(block.columns)}
