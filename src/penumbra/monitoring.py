"""Monitoring: patients that were scored are remembered; once their outcome is known, the version that scored them is measured on them."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import cohort, recorded, registry, store
from penumbra.evaluate import ModelRisk
from penumbra.evaluate.metrics import OneModel
from penumbra.evaluate.sets import tried
from penumbra.registry import MetricRow
from penumbra.scoring import Prediction
from penumbra.work import Work

LIVE = "live"  # split of what was measured on patients scored before their outcome was known


def record(work: Work, folder: Path, center: str, prediction: Prediction) -> str:
    """Remember a scored patient in `predictions`; the name it has there (a pseudonym where PENUMBRA_PSEUDONYM_KEY is set, as at ingest)."""
    name, key = folder.resolve().name, cohort.pseudonym_key_from_environment()
    patient = cohort.pseudonym(name, center=center, key=key) if key else name
    survival = [np.nan if value is None else value for value in prediction.survival.values()]
    rows = recorded.prediction_records(
        prediction.model,
        [{"patient": patient, "center": center}],
        np.array([prediction.log_risk]),
        np.array([prediction.risk_group]),
        tuple(prediction.horizons_days.values()),
        np.array([survival]),
    )
    with store.connect(work.home) as lake:
        lake.write(recorded.of_version(prediction.version, rows), run=work.run, what=f"{prediction.model}/{prediction.version} scored a patient of {center}")
    return patient


def monitor(work: Work, model: str | None = None) -> list[tuple[str, MetricRow]]:
    """(version, measure) per center of the patients that a version scored before their outcome was known; also into `model_metrics`, split live.

    model  None: the one that params.yaml names.

    A measure that these patients do not define yet is a row with NaN and its reason, and is not stored.
    """
    model, found = model or work.settings.register.model, []
    statement = files("penumbra").joinpath("matured.sql").read_text(encoding="utf-8")
    with store.connect(work.home) as lake:
        rows = lake.sql(statement, [model]).to_pylist()
        for version in dict.fromkeys(row["version"] for row in rows):
            loaded = registry.load(work.home, version, model=model)
            mine = [row for row in rows if row["version"] == version]
            measured = [entry for center in dict.fromkeys(row["center"] for row in mine) for entry in _measured(work, loaded, center, mine)]
            defined = [entry for entry in measured if entry.value == entry.value]
            if defined:
                rows_of_version = {"model_metrics": recorded.metric_records(model, loaded.served, defined)}
                lake.write(recorded.of_version(loaded.entry.version, rows_of_version), run=work.run, what=f"{model}/{version} live")
            found += [(str(version), entry) for entry in measured]
    return found


def _measured(work: Work, loaded: registry.LoadedModel, center: str, rows: list[dict[str, Any]]) -> list[MetricRow]:
    here = [row for row in rows if row["center"] == center]
    event, time = np.array([bool(row["event"]) for row in here]), np.array([float(row["time"]) for row in here])
    risk = ModelRisk(np.array([row["log_risk"] for row in here], dtype=float), loaded.model.cutoff, loaded.model.baseline)
    one = OneModel(event, time, risk, work.settings.evaluate.confidence)
    shown = {"harrell_c": one.harrell, **{name: compute for name, compute in one.metrics(loaded.horizons_days) if _is_calibration(name)}}
    size, found = (len(here), int(event.sum())), []
    for name, compute in shown.items():
        value, lower, upper, reason = tried(compute, risk.log_risk)
        found.append(MetricRow(loaded.served, center, LIVE, name, value, lower, upper, *size, reason))
    return found


def _is_calibration(metric: str) -> bool:
    return metric.startswith(("calibration", "observed_expected", "brier"))
