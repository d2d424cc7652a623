"""What registered versions predicted for patients: survival by day, also of versions whose columns were still named by their position."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.registry import LoadedModel
from penumbra.survival.horizons import LISTED_YEARS, beyond, horizon_name

LACKING = """
SELECT DISTINCT version FROM predictions
WHERE model = ? AND NOT EXISTS (
    FROM prediction_horizons AS named
    WHERE named.patient = predictions.patient AND named.center = predictions.center AND named.model = predictions.model AND named.version = predictions.version)
"""
TRAINING_TIMES = """
SELECT max(time) AS last FROM (
    SELECT patient, time FROM stored.patients
    WHERE commit_id <= ? AND (patient, center) IN (SELECT (patient, center) FROM model_uses WHERE model = ? AND version = ? AND split = 'train')
    QUALIFY row_number() OVER (PARTITION BY patient, center ORDER BY commit_id DESC) = 1)
"""


@dataclass(frozen=True)
class Answers:
    """What versions predicted for patients, with the latest outcome.

    Parameters
    ----------
    by_version
        Version -> patient -> row of `predictions`.
    survival
        Version -> patient -> days -> probability, NaN where there is none.
    trained
        (version, patient) of those whose outcome a version was fitted on.
    misnamed
        Version -> its days, where stored columns and metrics are called 1y, 2y, ... but mean other days.
    """

    by_version: Mapping[int, Mapping[str, Mapping[str, Any]]]
    survival: Mapping[int, Mapping[str, Mapping[float, float]]]
    trained: set[tuple[int, str]]
    misnamed: Mapping[int, tuple[float, ...]]

    def days(self, version: int) -> tuple[float, ...]:
        """The days that a version answered for, rising."""
        return tuple(sorted({day for by_day in self.survival.get(version, {}).values() for day in by_day}))


def read_answers(lake: store.Store, home: Path, model: str) -> Answers:
    """Every prediction of a model's versions for the patients in the store: a name at another center is another person."""
    rows = lake.sql("SELECT p.*, o.time, o.event FROM predictions AS p JOIN patients AS o USING (patient, center) WHERE p.model = ?", [model]).to_pylist()
    uses = lake.sql(
        "SELECT version, patient FROM model_uses SEMI JOIN patients USING (patient, center) WHERE model = ? AND split = 'train'", [model]
    ).to_pylist()
    query = "SELECT version, patient, days, survival FROM prediction_horizons SEMI JOIN patients USING (patient, center) WHERE model = ?"
    horizon_rows = lake.sql(query, [model]).to_pylist()
    by_version: dict[int, dict[str, dict[str, Any]]] = {}
    survival: dict[int, dict[str, dict[float, float]]] = {}
    for row in rows:
        if row["time"] is not None:
            by_version.setdefault(int(row["version"]), {})[row["patient"]] = row
    for row in horizon_rows:
        by_day = survival.setdefault(int(row["version"]), {}).setdefault(row["patient"], {})
        by_day[row["days"]] = math.nan if row["survival"] is None else row["survival"]
    for version, loaded in by_position(lake, home, model).items():
        for patient, row in by_version.get(version, {}).items():
            survival.setdefault(version, {}).setdefault(patient, _from_columns(row, loaded))
    return Answers(by_version, survival, {(int(row["version"]), row["patient"]) for row in uses}, misnamed(lake, home, model))


def by_position(lake: store.Store, home: Path, model: str) -> dict[int, LoadedModel]:
    """Versions some of whose predictions were stored before each day had a row of its own: survival_1y there is the first of their days."""
    lacking = {int(version) for version in lake.sql(LACKING, [model]).column("version").to_pylist()}
    return {entry.version: registry.load(home, entry.version, model=model) for entry in registry.versions(home, model) if entry.version in lacking}


def misnamed(lake: store.Store, home: Path, model: str) -> dict[int, tuple[float, ...]]:
    """Of these, the versions whose days are not one, two, three, ... years: version -> its days."""
    days = {version: loaded.horizons_days for version, loaded in by_position(lake, home, model).items()}
    return {version: horizons for version, horizons in days.items() if [horizon_name(day) for day in horizons] != positions(horizons)}


def positions(horizons_days: Sequence[float]) -> list[str]:
    """What times were called before they were named by their days: 1y, 2y, ... in their order."""
    return [f"{place}y" for place in range(1, len(horizons_days) + 1)]


def unfounded(lake: store.Store, home: Path, model: str) -> dict[int, tuple[float, tuple[float, ...]]]:
    """Versions that stored a survival at days to which no training patient was followed: version -> last day of follow-up, and these days."""
    versions = {}
    for version, loaded in by_position(lake, home, model).items():
        followed = followed_by(lake, loaded)
        days = tuple(day for day, _ in zip(loaded.horizons_days, LISTED_YEARS, strict=False) if beyond(day, followed))
        if days:
            versions[version] = (followed, days)
    return versions


def followed_by(lake: store.Store, loaded: LoadedModel) -> float:
    """How long the training patients of a version were followed, in days: as it says itself, or the times that the store held when it was fitted."""
    if loaded.model.training.followed is not None:
        return loaded.model.training.followed
    entry = loaded.entry
    last = lake.sql(TRAINING_TIMES, [entry.store_commit, entry.model, str(entry.version)]).column("last")[0].as_py()
    return loaded.model.baseline.last_day if last is None else float(last)


def _from_columns(row: Mapping[str, Any], loaded: LoadedModel) -> dict[float, float]:
    """Days -> survival of one row of `predictions` in which columns are positions; nothing beyond the follow-up of the version."""
    by_day = {}
    for day, year in zip(loaded.horizons_days, LISTED_YEARS, strict=False):
        value = row[f"survival_{year}y"]
        by_day[float(day)] = math.nan if value is None or loaded.model.baseline.why_not(day) else float(value)
    return by_day
