"""Stage 6: the served model as a registry version, its metrics, scores and predictions in the store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from penumbra import fusion, registry, store
from penumbra.base.blocks import DEEP
from penumbra.base.progress import say
from penumbra.evaluate import MetricRow
from penumbra.fusion import SurvivalModel
from penumbra.fusion.release import released
from penumbra.fusion.resampled import Resampled, band_of
from penumbra.pipeline import aliases, applicability, covariates, experiments, manifests, recording
from penumbra.pipeline.dataset import Dataset, columns_of, network_file, read_dataset
from penumbra.pipeline.definition import image_versions
from penumbra.pipeline.evaluate import current_evaluate
from penumbra.pipeline.evaluated_before import refits_file
from penumbra.pipeline.fuse import cross_fitted_by, current_fuse, load_models, risks
from penumbra.pipeline.inside import served_by
from penumbra.pipeline.manifests import EvaluateManifest, FuseManifest, IngestManifest, Origin, RegisterManifest
from penumbra.pipeline.origins import current, flat, origin
from penumbra.pipeline.workspace import Work, code_commit


def register(work: Work) -> RegisterManifest:
    """The served model as a registry version with everything that scores a patient; its metrics, scores and predictions into the store.

    A model that register.served names and that is not shown to beat the controls inside is registered as well, as challenger.
    """
    recording.finish(work)
    data, settings = read_dataset(work), work.settings
    fused = current_fuse(work, data)
    evaluated = current_evaluate(work, data, fused)
    made_from, served = of_register(work, evaluated), served_by(evaluated)
    models = load_models(work, fused.key)
    if not served or not models[served].retained:
        reason = models[served].reason if served else _none(models, settings.register.candidates, evaluated)
        say(f"nothing registered: {f'{served} retained no feature ({reason})' if served else reason}")
        return experiments.keep(work.home, RegisterManifest(version=None, reason=reason, made_from=made_from))
    assert evaluated.choice is not None  # served_by saw to it
    say(evaluated.choice.reason)
    aliases.note(work.home, settings.register.model, run=work.run)
    entry = _registered(work, data, fused, evaluated, served)
    challenger = evaluated.choice.challenger
    second = _named(work, data, fused, evaluated, challenger) if challenger and models[challenger].retained else None
    if second is not None and registry.CHAMPION not in second.aliases:  # a champion of before stays champion, and is not its own challenger
        aliases.set_alias(work, second.version, registry.CHALLENGER, reason=evaluated.choice.reason)
    aliases.note_recorded(work.home, entry.model)
    made = RegisterManifest(
        model=entry.model,
        version=entry.version,
        digest=entry.digest,
        train_centers=_train_centers(data),
        metrics=len(evaluated.metrics),
        challenger=None if second is None else second.version,
        made_from=made_from,
    )
    return experiments.keep(work.home, made)


def _none(models: Mapping[str, SurvivalModel], candidates: Sequence[str], evaluated: EvaluateManifest) -> str:
    """Why no candidate is served: none retained a feature, or none beats what it has to."""
    able = [models[name] for name in candidates if name in models]
    if any(model.retained for model in able) and evaluated.choice is not None:
        return evaluated.choice.reason.removeprefix("Nothing is served: ").rstrip(".")
    return f"no candidate retained a feature ({'; '.join(sorted({model.reason for model in able}))})"


def _named(work: Work, data: Dataset, fused: FuseManifest, evaluated: EvaluateManifest, name: str) -> registry.RegisteredVersion:
    """The version of a model that register.served names; the champion where it answers with that very model, whose limits evaluate does not make again."""
    champion = registry.load(work.home, registry.CHAMPION, model=work.settings.register.model)
    if champion.served == name and champion.model == released_models(work, fused)[name]:
        return champion.entry
    return _registered(work, data, fused, evaluated, name)


def _registered(work: Work, data: Dataset, fused: FuseManifest, evaluated: EvaluateManifest, served: str) -> registry.RegisteredVersion:
    """One version that answers with one of the fitted models."""
    settings, models, rows = work.settings, released_models(work, fused), evaluated.metrics
    weights = network_file(work.home, data.versions[DEEP])
    with TemporaryDirectory(prefix="penumbra-") as folder:
        bundle = replace(_bundle(work, data, fused, models, served, released_network(weights, Path(folder))), refits=_refits(work, evaluated, served))
        facts = {**_version_rows(work, data, models, rows, served), **_predictions(work, data, models[served], bundle.refits)}
        return recording.registered(work, lambda: registry.register(work.home, bundle, rows, model=settings.register.model), facts)


def _bundle(work: Work, data: Dataset, fused: FuseManifest, models: Mapping[str, fusion.SurvivalModel], served: str, weights: Path) -> registry.Bundle:
    """What is registered: nothing in it is one training patient's."""
    settings = work.settings
    covariate_columns = covariates.used(settings.models, settings.clinical_columns)
    return registry.Bundle(
        models={name: model for name, model in models.items() if model.retained},
        served=served,
        horizons_days=settings.evaluate.horizons_days,
        feature_versions=dict(data.versions),
        settings={
            "radiomics": dict(settings.radiomics),
            "rois": dict(settings.rois),
            "ingest": {"grid_mm": settings.ingest.grid_mm, "certificate": asdict(settings.ingest.certificate)},
            "populate": {"engine": settings.populate.engine},
            "intended_use": settings.intended_use.to_dict(),
            **({covariates.SETTING: {name: column.to_dict() for name, column in covariate_columns.items()}} if covariate_columns else {}),
        },
        network=weights,
        curves=learning_curves(weights),
        lineage=registry.Lineage(
            train_centers=_train_centers(data),
            store_commit=data.commit if fused.store_commit is None else fused.store_commit,
            store_digest=data.training_sha256,
            code_commit=code_commit(),
            # a center whose table was refused is not there yet: once its table is accepted, it has arrived
            data_digests={center: facts.clinical for center, facts in manifests.read(work.home, IngestManifest).centers.items() if facts.clinical is not None},
            params=_flat(settings),
            environment=registry.environment(),
            image_versions=image_versions(),
        ),
    )


def released_network(weights: Path, folder: Path) -> Path:
    """The weights as they are registered, in a folder."""
    from penumbra import network

    if not weights.is_file():
        return weights
    network.save(network.released(network.load(weights)), folder / weights.name)
    return folder / weights.name


def _refits(work: Work, evaluated: EvaluateManifest, served: str) -> Path | None:
    """The refits of a model, where it is the one that evaluate refitted."""
    return refits_file(work.home, evaluated.key) if evaluated.refits is not None and served == served_by(evaluated) else None


def released_models(work: Work, fused: FuseManifest) -> dict[str, fusion.SurvivalModel]:
    """The fitted models as they are registered: without what is one training patient's."""
    crossed, days = cross_fitted_by(work, fused.key), work.settings.evaluate.horizons_days
    return {
        name: released(model, days, model.slope * crossed.risks[name] if crossed.gives(name) else ()) for name, model in load_models(work, fused.key).items()
    }


def _train_centers(data: Dataset) -> tuple[str, ...]:
    return tuple(sorted(set(data.centers[data.training].tolist())))


def of_register(work: Work, evaluated: EvaluateManifest) -> Origin:
    """What register makes a version from."""
    use = {"models/intended_use.yaml": store.version_key(work.settings.intended_use.to_dict())}
    return origin(work, {"evaluate": evaluated.key}, {**flat("register", work.settings.register), **use})


def current_register(work: Work, evaluated: EvaluateManifest) -> RegisterManifest:
    """What register left, provided that it was made from this evaluation.

    Raises
    ------
    Refusal
        "stage_is_current".
    """
    return current(work, RegisterManifest, of_register(work, evaluated))


def learning_curves(weights: Path) -> dict[str, list[float]]:
    """What each epoch of each network measured: "network_0/validation_loss" -> its values."""
    from penumbra import network

    if not weights.is_file():
        return {}
    members = enumerate(network.load(weights).members)
    return {
        f"network_{i}/{name}": [getattr(epoch, name) for epoch in member.history]
        for i, member in members
        for name in ("train_loss", "train_c", "validation_loss", "validation_c")
    }


def _version_rows(
    work: Work, data: Dataset, models: Mapping[str, fusion.SurvivalModel], rows: Iterable[MetricRow], served: str
) -> dict[str, recording.Records]:
    """What the store is to say of a version and its models, before it has its number."""
    model_risks, patients, name = risks(models, data), recording.people(data), work.settings.register.model
    return {
        "model_patients": [{"model": name, **person, "split": "train" if trains else "test"} for person, trains in zip(patients, data.training, strict=True)],
        "model_metrics": recording.metric_records(name, served, rows),
        "signatures": [
            {**patients[i], "signature": signature, "model": name, "score": float(model.log_risk[i])}
            for signature, model in model_risks.items()
            if np.isfinite(model.log_risk).all()
            for i in range(len(patients))
        ],
    }


def _predictions(work: Work, data: Dataset, served: fusion.SurvivalModel, refits: Path | None) -> dict[str, recording.Records]:
    """What the served model says of every patient, with limits."""
    risk, days = risks({served.name: served}, data)[served.name], work.settings.evaluate.horizons_days
    band = band_of(None if refits is None else Resampled.from_file(refits), served, columns_of(data.blocks), risk.log_risk, days)
    people, name = recording.people(data), work.settings.register.model
    within = applicability.records(applicability.assessed(served, work.settings.intended_use, data))
    return recording.prediction_records(name, people, risk.log_risk, served.risk_group(risk.log_risk), days, 1.0 - risk.death(days), band, within)


NOT_ASKED = ("fuse", "stability", None)  # a version from before it could be asked for has none, and is the same version


def _flat(settings: Any) -> dict[str, Any]:
    """The groups of params.yaml as flat names."""
    flat: dict[str, Any] = {"profile": settings.profile}
    for group in ("cohort", "network", "augment", "train", "pretrain", "ensemble", "fuse", "crossfit", "applicability", "evaluate", "register"):
        flat |= {f"{group}.{name}": value for name, value in asdict(getattr(settings, group)).items() if (group, name, value) != NOT_ASKED}
    return flat
