"""Probabilities fitted to a center: the frozen champion's level, and with twice the deaths its spread, by that center's own patients alone.

`retrain.recalibrate_from` says from how many deaths. What was fitted is a manifest per center and digest of the champion: another champion has none. The
registered bundle, log_risk and ranks stay as they are.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra import registry, store
from penumbra.base.params import recalibrate_from
from penumbra.evaluate import MetricRow, ModelRisk
from penumbra.evaluate.metrics import OneModel, is_calibration
from penumbra.evaluate.sets import NO_RISK, value_or_reason
from penumbra.pipeline import looks, manifests, recording
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.fuse import risks
from penumbra.pipeline.manifests import RecalibrationManifest
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.survival import Undefined
from penumbra.survival.horizons import beyond
from penumbra.survival.updating import left_out_in_turn, recalibrate

if TYPE_CHECKING:
    from pathlib import Path

    from penumbra.fusion import SurvivalModel

METRICS = "recalibrated_"  # how the metrics begin that the recalibrated probabilities have, cross-validated within their center; split test
MAX_NAME = 200  # letters of a center in a file name
SPLIT = "test"  # neither the champion nor the recalibration of a patient's fold was fitted on the patient
NOTHING = "the champion was fitted on this center: nothing to recalibrate"


@dataclass(frozen=True)
class Applied:
    """A recalibration behind the probabilities of a patient.

    Parameters
    ----------
    center
        Of the patients that it was fitted on, of whom `deaths` died.
    at
        When it was fitted, UTC, ISO 8601.
    intercept, slope
        Survival is that of the log_risk intercept + slope x log_risk.
    """

    center: str
    deaths: int
    at: str
    intercept: float
    slope: float

    def survival(self, model: "SurvivalModel", log_risk: np.ndarray, days: list[float]) -> np.ndarray:
        """The recalibrated probability to be alive at each day, (n, k), within the limits of the model's own; NaN beyond its follow-up."""
        return np.asarray(model.survival(self.shifted(log_risk), days))

    def shifted(self, log_risk: np.ndarray) -> np.ndarray:
        """The log_risk, (n,), that has the recalibrated survival."""
        return np.asarray(self.intercept + self.slope * log_risk)

    def __str__(self) -> str:
        return f"on {self.deaths} deaths at {self.center}, {self.at[:10]}"


def record(fitted: Applied, model: str, patient: str | None) -> dict[str, Any]:
    """A row of `recalibrations` without its version: what is behind the probabilities of a patient."""
    facts = {"deaths": fitted.deaths, "intercept": fitted.intercept, "slope": fitted.slope, "fitted_at": fitted.at}
    return {"patient": patient, "center": fitted.center, "model": model, **facts}


def applied(home: "Path", loaded: LoadedModel, center: str) -> Applied | None:
    """What fits the probabilities of a version to a center: its own update, or a recalibration, where params.yaml still asks for one of so few deaths."""
    if center in loaded.updates:
        return of_update(loaded, center)
    least, name = recalibrate_from(home), name_of(center, loaded.entry.digest)
    if least is None or "/" in center or len(center) > MAX_NAME or not manifests.file_of(home, name).is_file():
        return None
    fitted = manifests.read(home, RecalibrationManifest, name)
    if fitted.digest != loaded.entry.digest or fitted.deaths < least:
        return None
    return Applied(fitted.center, fitted.deaths, fitted.at, fitted.intercept, fitted.slope)


def of_update(loaded: LoadedModel, center: str) -> Applied:
    """A version's own update for a center; it is as old as the version."""
    update = loaded.updates[center]
    return Applied(center, update.deaths, loaded.entry.created_at.isoformat(timespec="seconds"), update.intercept, update.slope)


def name_of(center: str, digest: str) -> str:
    """Name of the manifest of a version's recalibration to a center."""
    return f"recalibration-{center}-{digest[:12]}"


def at_center(work: Work, champion: LoadedModel, data: Dataset, center: str) -> tuple[str, dict[str, Any]]:
    """Fit the champion's probabilities to a center, and record how they were there before and, cross-validated, after.

    Returns
    -------
    tuple
        One sentence, and the numbers behind it. Where nothing is fitted, what was fitted on an earlier state of the center goes.
    """
    fitted = _fitted(work, champion, data, center)
    path = manifests.file_of(work.home, name_of(center, champion.entry.digest))
    if isinstance(fitted, str):
        path.unlink(missing_ok=True)
        return fitted, {}
    if path.is_file():
        before = manifests.earlier(work.home, RecalibrationManifest, path.stem)
        fitted = before if before is not None and replace(fitted, at=before.at) == before else fitted
    entry = champion.entry
    rows = recording.metric_records(entry.model, champion.served, fitted.after)
    with store.connect(work.home) as lake:
        lake.write(recording.of_version(entry.version, {"model_metrics": rows}), run=work.run, what=f"{entry.model}/{entry.version} recalibrated to {center}")
    registry.record_metrics(work.home, entry.version, fitted.after, model=entry.model)
    manifests.write(work.home, fitted, path.stem)
    return _sentence(fitted), fitted.to_json()


def _fitted(work: Work, champion: LoadedModel, data: Dataset, center: str) -> RecalibrationManifest | str:
    """What was fitted, or why nothing was."""
    least, numbers = work.settings.retrain.recalibrate_from, work.settings.crossfit
    if least is None or center in champion.lineage.train_centers:
        return NOTHING
    if center in champion.updates:
        return f"nothing recalibrated: {champion.entry.model}/{champion.entry.version} has an update of its own for {center}"
    here = data.centers == center
    event, time = data.event[here], data.time[here]
    risk = risks({champion.served: champion.model}, data)[champion.served].of(here)
    if risk.baseline is None or not np.isfinite(risk.log_risk).all():
        return f"nothing recalibrated: {NO_RISK}"
    deaths = int((event & ~beyond(time, risk.baseline.last_day)).sum())
    if deaths < least:
        return f"nothing recalibrated: {deaths} deaths at {center}, {least} are needed"
    entry = champion.entry
    evaluation = {"digest": entry.digest, "event": event.tolist(), "time": time.tolist(), "from": least}
    look = looks.Look("recalibration", evaluation, entry.model, str(entry.version))
    looks.count(work.home, work.run, look, data.centers[here], event, training=champion.lineage.train_centers)
    with_slope = deaths >= 2 * least
    try:
        fitted = recalibrate(event, time, risk.log_risk, risk.baseline, with_slope=with_slope)
    except Undefined as undefined:
        return f"nothing recalibrated: {undefined}"
    after = left_out_in_turn(event, time, risk.log_risk, risk.baseline, with_slope=with_slope, folds=numbers.folds, seed=numbers.seed)
    shown = (champion, center, event, time, work.settings.evaluate.confidence)
    return RecalibrationManifest(
        model=champion.entry.model,
        version=champion.entry.version,
        digest=champion.entry.digest,
        center=center,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        patients=fitted.n,
        deaths=fitted.events,
        intercept=fitted.intercept,
        slope=fitted.slope,
        reason=fitted.reason,
        before=calibration_rows(*shown, risk, ""),
        after=calibration_rows(*shown, replace(risk, log_risk=after), METRICS),
    )


def calibration_rows(
    champion: LoadedModel, center: str, event: np.ndarray, time: np.ndarray, confidence: float, risk: ModelRisk, prefix: str
) -> tuple[MetricRow, ...]:
    """Calibration and Brier score of the probabilities of a risk."""
    rows, size = [], (len(event), int(event.sum()))
    for name, compute in OneModel(event, time, risk, confidence).metrics(champion.horizons_days):
        if is_calibration(name):
            value, lower, upper, reason = value_or_reason(compute, risk.log_risk)
            rows.append(MetricRow(champion.served, center, SPLIT, f"{prefix}{name}", value, lower, upper, *size, reason))
    return tuple(rows)


def _sentence(fitted: RecalibrationManifest) -> str:
    name = "calibration_intercept"
    before, after = (next(row.value for row in rows if row.metric.endswith(name)) for rows in (fitted.before, fitted.after))
    slope = f"slope {fitted.slope:.2f}" if fitted.slope != 1 else f"the slope stays{f', {fitted.reason}' if fitted.reason else ''}"
    return (
        f"probabilities of {fitted.model}/{fitted.version} fitted to {fitted.center} on {fitted.deaths} deaths: intercept {fitted.intercept:+.2f}, {slope};"
        f" log of observed over expected deaths there {before:+.2f} before, {after:+.2f} after (cross-validated);"
        f" penumbra predict --center {fitted.center} applies it"
    )
