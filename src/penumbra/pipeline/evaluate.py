"""Stage 5: every metric for training, each center and all external centers pooled."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import fusion, store
from penumbra.base.progress import say
from penumbra.base.whole_files import write_whole
from penumbra.base.workers import available_cores
from penumbra.evaluate import MetricRow, ModelRisk, Refits, Resampling, internal_external, resampled_fits
from penumbra.evaluate import evaluate as evaluate_models
from penumbra.evaluate.choice import CONTROLS
from penumbra.fusion.resampled import Resampled
from penumbra.pipeline import evaluated_before, looks, manifests, plots
from penumbra.pipeline.ablation import DECLARED as WITHOUT_SE
from penumbra.pipeline.ablation import ablation, version_without_se
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.falsifiers import cross_fitted_falsifiers
from penumbra.pipeline.fuse import cross_fitted_by, current_fuse, load_models, risks
from penumbra.pipeline.inside import evidence_inside
from penumbra.pipeline.manifests import EvaluateManifest, FuseManifest, Origin
from penumbra.pipeline.origins import PROGRAM, accepted_images, current, flat, origin
from penumbra.pipeline.settings import Settings
from penumbra.pipeline.stable_columns import with_unstable
from penumbra.pipeline.workspace import Work
from penumbra.survival.horizons import horizon_name, middle

EVALUATION_CODE = 8  # raise when the same models, patients and numbers give other metrics than before


def evaluate(work: Work) -> EvaluateManifest:
    """Every metric for training, each center and all external centers pooled; also what DVC shows of it, see `pipeline.plots`."""
    data, settings = read_dataset(work), work.settings
    fused = current_fuse(work, data)
    key = evaluation_key(work, data, fused)
    models, crossed, made_from = load_models(work, fused.key), cross_fitted_by(work, fused.key), of_evaluate(work, data, fused)
    evaluation = evaluated_before.of(work.home, key)
    if evaluation is None:
        say(f"evaluating {len(fused.features)} models on {len(data.patients)} patients, {settings.evaluate.bootstraps} bootstraps")
        without_se = ablation(work, data)
        model_risks = risks(models, data) | ({} if without_se is None else {WITHOUT_SE.name: without_se.risk})
        with_falsifiers = crossed.and_then(cross_fitted_falsifiers(work, data, accepted_images(work), np.flatnonzero(data.training)))
        inner, choice = evidence_inside(settings, data.outcomes.rows(data.training), with_falsifiers)
        served = choice.served
        rows = measured(work, model_risks, data, combined=served)
        more, refits = refitted(work, data, models, rows, served)
        metrics = (*inner, *rows, *more)
        look = looks.Look("evaluate", {"evaluated": key}, work.settings.register.model)
        looks.count(work.home, work.run, look, data.centers, data.event, training=set(data.centers[data.training]))
        functions = None if refits.functions is None else _saved(refits.functions, evaluated_before.refits_file(work.home, key))
        evaluation = EvaluateManifest(
            key=key, metrics=metrics, kept=refits.selection_frequency, choice=choice, instability=refits.instability, refits=functions, made_from=made_from
        )
    evaluated_before.keep(work.home, evaluation)
    served = evaluation.choice.served if evaluation.choice else ""
    risk = risks({served: models[served]}, data)[served] if served and models[served].retained else None
    inside = models[served].slope * crossed.log_risk(served) if served and crossed.gives(served) else None
    plots.write_evaluation(work, data, evaluation.metrics, risk, inside, served)
    return manifests.write(work.home, replace(evaluation, made_from=made_from))


def _saved(functions: Resampled, path: Path) -> str:
    """Write refits; returns the SHA-256 of the file."""
    content = functions.to_bytes()
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def evaluation_key(work: Work, data: Dataset, fused: FuseManifest) -> str:
    """Key of everything that decides the metrics."""
    numbers, without_se = asdict(work.settings.evaluate), version_without_se(work)
    return store.version_key(
        {
            "fuse": fused.key,
            "dataset": data.fingerprint,
            "numbers": numbers,
            "choice": _of_choice(work.settings),
            "code": EVALUATION_CODE,
        }
        | ({} if without_se is None else {"without_se": without_se})
    )


def of_evaluate(work: Work, data: Dataset, fused: FuseManifest) -> Origin:
    """What evaluate makes its metrics from."""
    fingerprints = {"fuse": fused.key, "dataset": data.fingerprint, "network without SE": version_without_se(work) or ""}
    settings = work.settings
    return origin(
        work,
        fingerprints,
        {**flat("evaluate", settings.evaluate), **_of_choice(settings), PROGRAM: EVALUATION_CODE},
    )


def _of_choice(settings: Settings) -> dict[str, Any]:
    """The numbers that decide what is served."""
    register = {f"register.{name}": getattr(settings.register, name) for name in ("served", "candidates", "noise")}
    return {**register, **flat("retrain.gate", settings.retrain.gate)}


def current_evaluate(work: Work, data: Dataset, fused: FuseManifest) -> EvaluateManifest:
    """What evaluate left, provided that it was made from these data, models and numbers.

    Raises
    ------
    Refusal
        "stage_is_current".
    """
    return current(work, EvaluateManifest, of_evaluate(work, data, fused), key=evaluation_key(work, data, fused))


def measured(work: Work, model_risks: Mapping[str, ModelRisk], data: Dataset, *, combined: str) -> list[MetricRow]:
    """Every metric of the models' risks on every set, by the numbers of the group evaluate; `combined` is what the others are compared with."""
    return evaluate_models(model_risks, data.outcomes, data.training, work.settings.evaluate, combined=combined, controls=CONTROLS)


def refitted(work: Work, data: Dataset, models: Mapping[str, fusion.SurvivalModel], rows: Iterable[MetricRow], served: str) -> tuple[list[MetricRow], Refits]:
    """What refitting the served model says: each center left out, optimism of the training C, how often resamples keep a feature, and how predictions move."""
    settings, declared = work.settings, fusion.declarations(work.settings.models)
    say("refitting with each center left out")
    numbers = with_unstable(work, data, settings.fuse, declared.values())
    declarations = [declared[name] for name in (served, *CONTROLS.values()) if name in declared]
    left_out_rows = internal_external(declarations, data.blocks, data.outcomes, numbers, confidence=settings.evaluate.confidence)
    if not served or not models[served].retained:
        return left_out_rows, Refits({}, math.nan, 0)
    say(f"refitting {served} on {settings.evaluate.refits} resamples of the training patients")
    refits = resampled_fits(
        declared[served],
        models[served],
        data.rows(data.training),
        data.outcomes.rows(data.training),
        numbers,
        Resampling(
            refits=settings.evaluate.refits,
            seed=settings.evaluate.seed,
            day=middle(settings.evaluate.horizons_days)[0],
            confidence=settings.evaluate.confidence,
            workers=available_cores(),
            grid=tuple(models[served].baseline.on_grid(settings.evaluate.horizons_days).times.tolist()),
        ),
    )
    apparent = [row for row in rows if (row.model, row.split, row.metric) == (served, "train", "harrell_c")][-1]  # the pool comes last
    values = {"harrell_c_optimism": refits.optimism, "harrell_c_corrected": apparent.value - refits.optimism}
    reason = "" if math.isfinite(refits.optimism) else apparent.reason or "no resample has a C"
    alone = replace(apparent, lower=math.nan, upper=math.nan)
    rows_of_refits = [replace(alone, metric=name, value=value, reason=reason) for name, value in values.items()]
    over = refits.instability
    if over is not None:
        moved = {f"{name}_{horizon_name(over.day)}": value for name, value in over.summary().items()}
        rows_of_refits += [replace(alone, metric=name, value=value, reason="") for name, value in moved.items()]
    return [*left_out_rows, *rows_of_refits], refits
