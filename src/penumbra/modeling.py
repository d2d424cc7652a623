"""The stages from features to a registered version: fuse, evaluate, register."""

import json
import math
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import aliases, experiments, fusion, recorded, registry, store
from penumbra.ablation import DECLARED as WITHOUT_SE
from penumbra.ablation import ablation, version_without_se
from penumbra.dataset import Dataset, network_file, read_dataset
from penumbra.definition import image_versions
from penumbra.evaluate import ModelRisk, internal_external, resampled_fits
from penumbra.evaluate import evaluate as evaluate_models
from penumbra.origins import MADE_FROM, PROGRAM, Origin, current, earlier, flat, origin, train_centers
from penumbra.params import project_root
from penumbra.progress import say
from penumbra.refusal import Refusal
from penumbra.registry import MetricRow
from penumbra.settings import Fuse
from penumbra.work import Manifest, Work, read_manifest, write_manifest, write_whole
from penumbra.workers import available_cores

FITTED = "fitted"  # folder of fitted models below the state folder, one subfolder for each key
CONTROLS = {"volume": "Volume", "clinical": "Clinical"}  # what a useful model has to beat: short name in delta_c_<name> -> model
EVALUATION_CODE = 5  # raise when the same models, patients and numbers give other metrics than before
FUSION_CODE = 3  # raise when the same data and numbers fit another model than before


def fuse(work: Work) -> Manifest:
    """Signatures, combined model and controls, fitted on the training centers and on nothing else."""
    data, settings = read_dataset(work), work.settings
    declared = fusion.declarations(settings.models)
    numbers = fusion_numbers(settings.fuse)
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
        fitted = fusion.fit_all(
            declared.values(),
            data.rows(data.training),
            data.event[data.training],
            data.time[data.training],
            centers=data.centers[data.training],
            **numbers,
        )
        _save_models(folder, fitted)
    models = load_models(work, key)
    made_from, before = of_fuse(work, data), earlier(work.home, "fuse")
    content = {
        "key": key,
        "dataset": data.fingerprint,
        "training_sha256": data.training_sha256,
        "store_commit": before["store_commit"] if _same_training(before, made_from, data) else data.commit,
        MADE_FROM: made_from,
        "trained_on": int(data.training.sum()),
        "events": int(data.event[data.training].sum()),
        "features": {name: len(model.columns) for name, model in models.items()},
        "not_retained": {name: model.reason for name, model in models.items() if not model.retained},
        "digests": {name: model.digest() for name, model in models.items()},
    }
    return write_manifest(work.home, "fuse", content)


def fusion_key(work: Work, data: Dataset) -> str:
    """Key of everything that decides the fitted models; they are stored in the folder of this name."""
    numbers = fusion_numbers(work.settings.fuse)
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


def _same_training(before: Manifest, made_from: Origin, data: Dataset) -> bool:
    """Whether an earlier fuse was on the same training patients with the same features: then the store's commit of then is still the one to name."""
    if "store_commit" not in before or MADE_FROM not in before or before["store_commit"] > data.commit:
        return False
    then, now = ({name: value for name, value in found["data"].items() if name != "dataset"} for found in (before[MADE_FROM], made_from))
    return then == now


def current_fuse(work: Work, data: Dataset) -> Manifest:
    """What fuse left, provided that it was made from these data and today's numbers.

    Raises  Refusal "stage_is_current".
    """
    return current(work, "fuse", of_fuse(work, data), key=fusion_key(work, data), dataset=data.fingerprint)


def fusion_numbers(fuse: Fuse) -> dict[str, Any]:
    """The group `fuse` as the arguments of `fusion.fit`."""
    names = {"lasso_lambda": "penalty", "lasso_patience": "patience"}
    return {names.get(name, name): value for name, value in asdict(fuse).items()}


def _save_models(folder: Path, models: Mapping[str, fusion.SurvivalModel]) -> None:
    """All models of one fit: the folder is there complete, or not."""
    fresh = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, model in models.items():
        write_whole(fresh / f"{name}.json", model.to_json())
    fresh.rename(folder)


def load_models(work: Work, key: str) -> dict[str, fusion.SurvivalModel]:
    """The fitted models of one key by name, in the order in which they are declared."""
    folder = work.home / FITTED / key
    names = fusion.declarations(work.settings.models)
    return {name: fusion.SurvivalModel.from_json((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def risks(models: Mapping[str, fusion.SurvivalModel], data: Dataset) -> dict[str, ModelRisk]:
    """Every model on every patient; NaN from a model that retained no feature, and for a center that it refuses."""
    table = columns_of(data.blocks)
    found = {}
    for name, model in models.items():
        if model.retained:
            log_risk = model.log_risk(table, centers=data.centers, missing="nan" if model.harmonizer else "refuse")
            found[name] = ModelRisk(log_risk, model.cutoff, model.baseline)
        else:
            found[name] = ModelRisk(np.full(len(data.patients), math.nan), math.nan)
    return found


def columns_of(blocks: Mapping[str, fusion.Block]) -> dict[str, np.ndarray]:
    """ "block.feature" -> its values, (n,): the table that a fitted model reads."""
    return {column: block.values[:, i] for block in blocks.values() for i, column in enumerate(block.columns)}


def evaluate(work: Work) -> Manifest:
    """Every metric for training, each center and all external centers pooled; C-indices also as metrics.json for `dvc metrics`."""
    data, settings = read_dataset(work), work.settings
    fused, before = current_fuse(work, data), earlier(work.home, "evaluate")
    key = evaluation_key(work, data, fused)
    if before.get("key") == key:
        content = before
    else:
        say(f"evaluating {len(fused['features'])} models on {len(data.patients)} patients, {settings.evaluate.bootstraps} bootstraps")
        models = load_models(work, fused["key"])
        beside = ablation(work, data, fusion_numbers(settings.fuse))
        found = risks(models, data) | ({} if beside is None else {WITHOUT_SE.name: beside.risk})
        rows = measured(work, found, data, combined=settings.register.served)
        more, kept = _refitted(work, data, models, rows)
        content = {"key": key, "metrics": [_plain(asdict(row)) for row in (*rows, *more)], "kept": kept}
    if work.home == project_root() / "data":
        write_whole(project_root() / "metrics.json", json.dumps(_c_indices(content["metrics"]), indent=1) + "\n")
    return write_manifest(work.home, "evaluate", {**content, MADE_FROM: of_evaluate(work, data, fused)})


def evaluation_key(work: Work, data: Dataset, fused: Manifest) -> str:
    """Key of everything that decides the metrics."""
    numbers, without_se = asdict(work.settings.evaluate), version_without_se(work)
    return store.version_key(
        {"fuse": fused["key"], "dataset": data.fingerprint, "numbers": numbers, "served": work.settings.register.served, "code": EVALUATION_CODE}
        | ({} if without_se is None else {"without_se": without_se})
    )


def of_evaluate(work: Work, data: Dataset, fused: Manifest) -> Origin:
    """What evaluate makes its metrics from."""
    found = {"fuse": fused["key"], "dataset": data.fingerprint, "network without SE": version_without_se(work) or ""}
    return origin(work, found, {**flat("evaluate", work.settings.evaluate), "register.served": work.settings.register.served, PROGRAM: EVALUATION_CODE})


def current_evaluate(work: Work, data: Dataset, fused: Manifest) -> Manifest:
    """What evaluate left, provided that it was made from these data, models and numbers.

    Raises  Refusal "stage_is_current".
    """
    return current(work, "evaluate", of_evaluate(work, data, fused), key=evaluation_key(work, data, fused))


def measured(work: Work, found: Mapping[str, ModelRisk], data: Dataset, *, combined: str) -> list[MetricRow]:
    """Every metric of the models' risks on every set, by the numbers of the group evaluate; `combined` is what the others are compared with."""
    numbers = work.settings.evaluate
    return evaluate_models(
        found,
        data.centers,
        data.training,
        data.event,
        data.time,
        horizons_days=numbers.horizons_days,
        resamples=numbers.bootstraps,
        level=numbers.confidence,
        seed=numbers.seed,
        combined=combined,
        controls=CONTROLS,
    )


def _refitted(work: Work, data: Dataset, models: Mapping[str, fusion.SurvivalModel], rows: Iterable[MetricRow]) -> tuple[list[MetricRow], dict[str, float]]:
    """What refitting the served model says: each center left out, optimism of the training C, and how often resamples keep a feature."""
    settings, declared = work.settings, fusion.declarations(work.settings.models)
    numbers, served = fusion_numbers(settings.fuse), settings.register.served
    say("refitting with each center left out")
    wanted = [declared[name] for name in (served, *CONTROLS.values()) if name in declared]
    found = internal_external(wanted, data.blocks, data.centers, data.event, data.time, level=settings.evaluate.confidence, numbers=numbers)
    if not models[served].retained:
        return found, {}
    say(f"refitting {served} on {settings.evaluate.refits} resamples of the training patients")
    again = resampled_fits(
        declared[served],
        models[served],
        data.rows(data.training),
        data.event[data.training],
        data.time[data.training],
        centers=data.centers[data.training],
        refits=settings.evaluate.refits,
        seed=settings.evaluate.seed,
        numbers=numbers,
        workers=available_cores(),
    )
    apparent = [row for row in rows if (row.model, row.split, row.metric) == (served, "train", "harrell_c")][-1]  # the pool comes last
    values = {"harrell_c_optimism": again.optimism, "harrell_c_corrected": apparent.value - again.optimism}
    reason = "" if math.isfinite(again.optimism) else apparent.reason or "no resample has a C"
    return [*found, *(replace(apparent, metric=name, value=value, lower=math.nan, upper=math.nan, reason=reason) for name, value in values.items())], dict(
        again.kept
    )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """NaN as null, since JSON has none."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}


def metric_rows(manifest: Manifest) -> list[MetricRow]:
    """The rows that `evaluate` left."""
    numbers = ("value", "lower", "upper")
    return [MetricRow(**{**row, **{name: math.nan if row[name] is None else row[name] for name in numbers}}) for row in manifest["metrics"]]


def _c_indices(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Model -> center -> C, to four digits."""
    table: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["metric"] == "harrell_c" and row["value"] is not None:
            table.setdefault(row["model"], {})[row["center"]] = round(row["value"], 4)
    return table


def register(work: Work) -> Manifest:
    """The served model as a registry version with everything that scores a patient; its metrics, scores and predictions into the store."""
    recorded.finish(work)
    data, settings = read_dataset(work), work.settings
    fused = current_fuse(work, data)
    evaluated = current_evaluate(work, data, fused)
    made_from = of_register(work, evaluated)
    models = load_models(work, fused["key"])
    served = models[settings.register.served]
    if not served.retained:
        say(f"nothing registered: {served.name} retained no feature ({served.reason})")
        return experiments.keep(work.home, {"version": None, "reason": served.reason, MADE_FROM: made_from})
    rows = metric_rows(evaluated)
    centers = tuple(sorted(set(data.centers[data.training].tolist())))
    weights = network_file(work.home, data.versions[fusion.DEEP])
    bundle = registry.Bundle(
        models={name: model for name, model in models.items() if model.retained},
        served=served.name,
        horizons_days=settings.evaluate.horizons_days,
        feature_versions=dict(data.versions),
        settings={
            "radiomics": dict(settings.radiomics),
            "rois": dict(settings.rois),
            "ingest": {"grid_mm": settings.ingest.grid_mm, "certificate": asdict(settings.ingest.certificate)},
            "populate": {"engine": settings.populate.engine},
        },
        network=weights,
        curves=_curves(weights),
        lineage=registry.Lineage(
            train_centers=centers,
            store_commit=fused.get("store_commit", data.commit),
            store_digest=data.training_sha256,
            code_commit=_code_commit(),
            # a center whose table was refused is not there yet: once its table is accepted, it has arrived
            data_digests={center: str(facts["clinical"]) for center, facts in read_manifest(work.home, "ingest")["centers"].items() if "clinical" in facts},
            params=_flat(settings),
            environment=registry.environment(),
            image_versions=image_versions(),
        ),
    )
    aliases.note(work.home, settings.register.model, run=work.run)
    entry = recorded.registered(
        work, lambda: registry.register(work.home, bundle, rows, model=settings.register.model), _version_rows(work, data, models, rows, served)
    )
    aliases.known(work.home, entry.model)
    content = {"model": entry.model, "version": entry.version, "digest": entry.digest, "train_centers": list(centers), "metrics": len(rows)}
    return experiments.keep(work.home, {**content, MADE_FROM: made_from})


def of_register(work: Work, evaluated: Manifest) -> Origin:
    """What register makes a version from."""
    return origin(work, {"evaluate": evaluated["key"]}, flat("register", work.settings.register))


def current_register(work: Work, evaluated: Manifest) -> Manifest:
    """What register left, provided that it was made from this evaluation.

    Raises  Refusal "stage_is_current".
    """
    return current(work, "register", of_register(work, evaluated))


def _curves(weights: Path) -> dict[str, list[float]]:
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
    work: Work, data: Dataset, models: Mapping[str, fusion.SurvivalModel], rows: Iterable[MetricRow], served: fusion.SurvivalModel
) -> dict[str, recorded.Records]:
    """What the store is to say of a version, before it has its number."""
    found, who, name = risks(models, data), recorded.people(data), work.settings.register.model
    risk, days = found[served.name], work.settings.evaluate.horizons_days
    return {
        "model_patients": [{"model": name, **person, "split": "train" if trains else "test"} for person, trains in zip(who, data.training, strict=True)],
        "model_metrics": recorded.metric_records(name, served.name, rows),
        "signatures": [
            {**who[i], "signature": signature, "model": name, "score": float(model.log_risk[i])}
            for signature, model in found.items()
            if np.isfinite(model.log_risk).all()
            for i in range(len(who))
        ],
        **recorded.prediction_records(name, who, risk.log_risk, served.risk_group(risk.log_risk), days, 1.0 - risk.death(days)),
    }


def _flat(settings: Any) -> dict[str, Any]:
    """The groups of params.yaml as flat names."""
    flat: dict[str, Any] = {"profile": settings.profile}
    for group in ("cohort", "network", "augment", "train", "pretrain", "ensemble", "fuse", "evaluate", "register"):
        flat |= {f"{group}.{name}": value for name, value in asdict(getattr(settings, group)).items()}
    return flat


def _code_commit() -> str:
    """The revision of the checkout, "" outside one."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project_root(), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()
