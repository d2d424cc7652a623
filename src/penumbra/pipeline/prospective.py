"""Which patients a version scored before their outcome was known: the only ones whose outcome is `live` evidence about it."""

import math
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from penumbra import store, survival
from penumbra.cohort.backwards import news

LIVE = "live"  # split of what was measured on them
DELTA = "delta_c_champion"  # the challenger's C minus the champion's, on those of them that both scored
SAME_C = 1e-9  # what rounding may change in a C of the same patients and risks

Place = tuple[str, str]  # version, center


def matured(lake: store.Store, model: str) -> list[dict[str, Any]]:
    """Every patient whose outcome came, or changed, after a version had scored them: version, patient, center, log_risk, time (days) and event.

    And answered_risk, the log_risk behind the probabilities that were given: another where they were fitted to the center.

    It changed by more than rounding, and in time or event: a record sent again, or another age, does not count.

    Where a version scored a patient several times, its last risk from before the outcome counts.
    """
    return list({(row["version"], row["patient"], row["center"]): row for row in _scored(lake, model)}.values())


def followed(lake: store.Store, model: str) -> list[dict[str, Any]]:
    """The same patients, each from the first time on that the version scored the patient: those who were known to be dead then are left out.

    known_time is the day up to which the patient was known to be alive then, 0 where nothing was known; scored_at is when that was, UTC. What was observed
    before is no evidence; and the first risk counts, since those who are scored again later are those who lived until then.
    """
    first: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in _scored(lake, model):
        first.setdefault((row["version"], row["patient"], row["center"]), row)
    return [{**row, "known_time": row["known_time"] or 0.0} for row in first.values() if not row["known_event"]]


def _scored(lake: store.Store, model: str) -> Iterator[dict[str, Any]]:
    """Each time that a version scored a patient whose outcome came, or changed, later: oldest first."""
    statement = files("penumbra.pipeline").joinpath("matured.sql").read_text(encoding="utf-8")
    for row in lake.sql(statement, [model]).to_pylist():
        if news({"time": row["known_time"], "event": row["known_event"]}, row):
            yield row


def stored(lake: store.Store, model: str) -> dict[Place, list[dict[str, Any]]]:
    """The live metrics of a model in the store, by version and center."""
    rows: dict[Place, list[dict[str, Any]]] = {}
    statement = "SELECT version, center, metric, value, n, events FROM model_metrics WHERE model = ? AND split = ? ORDER BY ALL"
    for row in lake.sql(statement, [model, LIVE]).to_pylist():
        rows.setdefault((row["version"], row["center"]), []).append(row)
    return rows


def unfounded(lake: store.Store, model: str) -> list[Place]:
    """Versions and centers whose stored live metrics were not measured on the patients, and the risks, that `matured` gives."""
    people: dict[Place, list[dict[str, Any]]] = {}
    for row in matured(lake, model):
        people.setdefault((row["version"], row["center"]), []).append(row)
    return [place for place, rows in stored(lake, model).items() if not _founded(rows, people.get(place, []))]


def _founded(rows: list[dict[str, Any]], people: list[dict[str, Any]]) -> bool:
    counts = (len(people), sum(bool(row["event"]) for row in people))
    if any((row["n"], row["events"]) != counts for row in rows if row["metric"] != DELTA):  # whose patients the champion scored too
        return False
    recorded = [row["value"] for row in rows if row["metric"] == "harrell_c"]
    if not recorded:
        return True
    event, time, log_risk = (np.array([row[name] for row in people]) for name in ("event", "time", "log_risk"))
    try:
        return math.isclose(survival.concordance_index(event, time, log_risk), recorded[0], abs_tol=SAME_C)
    except survival.Undefined:
        return False


def retractions(model: str, place: Place, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `model_metrics` that take live metrics back: measured on nobody."""
    version, center = place
    common = {"model": model, "version": version, "center": center, "split": LIVE, "value": None, "lower": None, "upper": None, "n": 0, "events": 0}
    return [{**common, "metric": row["metric"]} for row in rows]
