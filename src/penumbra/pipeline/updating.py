"""How much of the champion a center's patients ask to change, and a version that changes so much and no more."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.evaluate import EXTERNAL, MetricRow, ModelRisk
from penumbra.evaluate.metrics import is_calibration
from penumbra.evaluate.sets import NO_RISK
from penumbra.evaluate.updating import UpdateEvidence
from penumbra.fusion import contributions_of
from penumbra.pipeline import aliases, looks, recording, shadow
from penumbra.pipeline.dataset import Dataset, columns_of
from penumbra.pipeline.fuse import risks
from penumbra.pipeline.prospective import LIVE
from penumbra.pipeline.recalibration import METRICS, SPLIT, calibration_rows
from penumbra.pipeline.register import learning_curves
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.registry.updates import DOCUMENT, Update, answered
from penumbra.survival import Undefined
from penumbra.survival.closed_testing import ClosedTest, closed_test
from penumbra.survival.update_steps import AS_IT_IS, INTERCEPT, REFIT, SLOPE
from penumbra.survival.updating import left_out_in_turn, recalibrate

METRIC_COLUMNS = ("center", "split", "metric", "value", "lower", "upper", "n", "events")
PER_TERM = 10  # deaths for every parameter of the refit that is tested
ONE_TERM = "the slope, and the hazard from the middle on"
CHOICES: dict[str, str] = {AS_IT_IS: "to leave the model as it is", INTERCEPT: "the intercept", SLOPE: "intercept and slope", REFIT: "a refit"}
USED = "update"  # split of the patients that an update was fitted on: no model was


def evidence_at(work: Work, champion: LoadedModel, data: Dataset, center: str) -> UpdateEvidence | str:
    """What a closed test on a center's patients chooses, those left out whom the champion was fitted on; or why there is none."""
    here = unseen(work, champion, data, center)
    numbers, event, time = work.settings.retrain, data.event[here], data.time[here]
    if event.sum() < numbers.min_events:
        return f"{int(event.sum())} deaths at {center} among patients that the champion was not fitted on, {numbers.min_events} are needed"
    risk = answering(champion, data, here)
    if risk.baseline is None or not np.isfinite(risk.log_risk).all():
        return NO_RISK
    entry = champion.entry
    look = looks.Look(
        "update", {"digest": entry.digest, "event": event.tolist(), "time": time.tolist(), "alpha": numbers.update_alpha}, entry.model, str(entry.version)
    )
    looks.count(work.home, work.run, look, data.centers[here], event, training=champion.lineage.train_centers)
    try:
        words, tested = _tested(champion, data, here, risk, numbers.update_alpha)
        fitted = recalibrate(event, time, risk.log_risk, risk.baseline, with_slope=tested.step == SLOPE)
    except Undefined as undefined:
        return str(undefined)
    evidence = UpdateEvidence(
        step=tested.step,
        tests=tested.tests,
        alpha=numbers.update_alpha,
        terms=words,
        patients=tested.n,
        deaths=tested.events,
        expected=tested.expected,
    )
    if tested.step == SLOPE and fitted.reason:  # a slope that turns the ranks round is no recalibration
        return replace(evidence, step=REFIT, reason=fitted.reason)
    return evidence if tested.step in (AS_IT_IS, REFIT) else replace(evidence, intercept=fitted.intercept, slope=fitted.slope)


def unseen(work: Work, champion: LoadedModel, data: Dataset, center: str) -> np.ndarray:
    """The patients of a center that the champion was not fitted on, (n,) bool."""
    query = "SELECT patient FROM model_uses WHERE model = ? AND version = ? AND center = ? AND split = 'train'"
    with store.connect(work.home, read_only=True) as lake:
        fitted = lake.sql(query, [champion.entry.model, str(champion.entry.version), center]).column("patient").to_pylist()
    return np.asarray((data.centers == center) & ~np.isin(data.patients, fitted))


def answering(champion: LoadedModel, data: Dataset, rows: np.ndarray) -> ModelRisk:
    """The champion on some patients, (n,) bool, with the log risk behind the probabilities that it gives them."""
    risk = risks({champion.served: champion.model}, data)[champion.served].of(rows)
    return replace(risk, log_risk=answered(champion.updates, risk.log_risk, data.centers[rows]))


def _tested(champion: LoadedModel, data: Dataset, here: np.ndarray, risk: ModelRisk, alpha: float) -> tuple[str, ClosedTest]:
    """The closed test with the finest terms that the deaths allow: the model's columns, its members, its blocks, or one."""
    assert risk.baseline is not None
    table = {name: values[here] for name, values in columns_of(data.blocks).items()}
    update = champion.updates.get(str(data.centers[here][0]))
    scale = 1.0 if update is None else update.slope
    parts = contributions_of(champion.model, table, centers=data.centers[here])
    finer = {"columns": parts.terms, "members": _columns(parts.members), "blocks": _columns(parts.blocks)}
    outcome = (data.event[here], data.time[here], risk.log_risk, risk.baseline)
    for words, terms in finer.items():
        if terms.shape[1] > 1 and data.event[here].sum() >= PER_TERM * (terms.shape[1] + 1):
            try:
                return words, closed_test(*outcome, terms=scale * terms, alpha=alpha)
            except Undefined:
                continue
    return ONE_TERM, closed_test(*outcome, alpha=alpha)


def _columns(terms: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.stack(list(terms.values()), axis=1) if terms else np.empty((0, 0))


def calibrations(
    work: Work, champion: LoadedModel, data: Dataset, center: str, evidence: UpdateEvidence
) -> tuple[tuple[MetricRow, ...], tuple[MetricRow, ...]]:
    """Calibration and Brier score at the center as the champion answers, and updated by the other folds of the center."""
    here, numbers = unseen(work, champion, data, center), work.settings.crossfit
    event, time, risk = data.event[here], data.time[here], answering(champion, data, here)
    assert risk.baseline is not None
    after = left_out_in_turn(event, time, risk.log_risk, risk.baseline, with_slope=evidence.step == SLOPE, folds=numbers.folds, seed=numbers.seed)
    shown = (champion, center, event, time, work.settings.evaluate.confidence)
    return calibration_rows(*shown, risk, ""), calibration_rows(*shown, replace(risk, log_risk=after), "")


def register(work: Work, champion: LoadedModel, data: Dataset, center: str, evidence: UpdateEvidence, after: Sequence[MetricRow]) -> registry.RegisteredVersion:
    """The champion's own models with the update of a center on top of those that it has; the version of an earlier call with the same ones.

    Its metrics are the champion's, which ranks as before, but for its calibration at the center.
    """
    before = champion.updates.get(center, Update("", 0.0, 1.0, 0, 0))
    total = Update(evidence.step, evidence.intercept + evidence.slope * before.intercept, evidence.slope * before.slope, evidence.patients, evidence.deaths)
    updates = {**champion.updates, center: total}
    settings = {**champion.settings, DOCUMENT: {name: asdict(update) for name, update in updates.items()}}
    assert champion.network_path is not None, "a registered model carries its network"
    bundle = registry.Bundle(
        models=champion.models,
        served=champion.served,
        horizons_days=champion.horizons_days,
        feature_versions=champion.feature_versions,
        settings=settings,
        lineage=champion.lineage,
        network=champion.network_path,
        curves=learning_curves(champion.network_path),
        refits=champion.refits_path,
    )
    name = champion.entry.model
    rows = _rows(work, replace(champion, settings=settings), data, center, after)
    metrics = [_metric_row(champion, row) for row in rows["model_metrics"]]
    aliases.note(work.home, name, run=work.run)
    entry = recording.registered(work, lambda: registry.register(work.home, bundle, metrics, model=name), rows)
    aliases.note_recorded(work.home, name)
    return entry


def _metric_row(champion: LoadedModel, row: dict[str, Any]) -> MetricRow:
    """A row of `model_metrics` as it was before the store had it."""
    facts = {column: row[column] for column in METRIC_COLUMNS} | {name: math.nan for name in ("value", "lower", "upper") if row[name] is None}
    return MetricRow(model=champion.served if row["model"] == champion.entry.model else row["model"], **facts)


def _rows(work: Work, updated: LoadedModel, data: Dataset, center: str, after: Sequence[MetricRow]) -> dict[str, recording.Records]:
    """What the store says of the updated version: what it says of the champion, with its own probabilities and its own calibration at the center.

    It has no calibration over all external centers together: at this one it is cross-validated, and at the others it is not.
    """
    name, version = updated.entry.model, str(updated.entry.version)
    with store.connect(work.home, read_only=True) as lake:
        uses = lake.sql("SELECT patient, center, split FROM model_uses WHERE model = ? AND version = ?", [name, version]).to_pylist()
        stored = [row for row in lake.rows("model_metrics") if row["version"] == version and row["split"] != LIVE and not row["metric"].startswith(METRICS)]
    here = unseen(work, updated, data, center)
    fitted = {str(patient) for patient in data.patients[here]}
    people = recording.people(data)
    already = {row["patient"] for row in uses}
    used = [{"model": name, **row, "split": USED if row["patient"] in fitted and row["center"] == center else row["split"]} for row in uses]
    used += [
        {"model": name, "patient": row["patient"], "center": row["center"], "split": USED if row["patient"] in fitted else "test"}
        for row in people
        if row["patient"] not in already
    ]
    metrics = [
        {column: row[column] for column in ("model", *METRIC_COLUMNS)}
        for row in stored
        if not (row["model"] == name and row["center"] in (center, EXTERNAL) and row["split"] == SPLIT and is_calibration(row["metric"]))
    ]
    everybody = np.ones(len(data.patients), dtype=bool)
    model_risks = risks(updated.models, data)
    return {
        "model_patients": used,
        "model_metrics": [*metrics, *recording.metric_records(name, updated.served, after)],
        "signatures": [
            {
                "patient": row["patient"],
                "center": row["center"],
                "image_version": row["image_version"],
                "signature": signature,
                "model": name,
                "score": float(risk.log_risk[i]),
            }
            for signature, risk in model_risks.items()
            if np.isfinite(risk.log_risk).all()
            for i, row in enumerate(people)
        ],
        **shadow.answers(updated, data, everybody),
    }


def sentence(evidence: UpdateEvidence) -> str:
    """What the closed test chose, and on what, in one sentence without a full stop."""
    tests = ", ".join(f"against {test.against} {test.statistic:.1f} ({test.df} df, p {p_words(test.p)})" for test in evidence.tests)
    reason = f"; but {evidence.reason}" if evidence.reason else ""
    return (
        f"closed testing on {evidence.deaths} deaths, {evidence.expected:.1f} expected, chose {CHOICES[evidence.step]}: chi-square of a refit"
        f" ({evidence.terms}) {tests}; alpha {evidence.alpha:g}{reason}"
    )


def p_words(p: float) -> str:
    """A p as people read it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
