"""A registered version as rows of the store, and that MLflow and the store have the same versions: both keep one, or neither does.

Before MLflow makes a version, all that the store will record of it is in a manifest; after the store has it, the manifest goes. Where the store
refuses, MLflow's version goes too; where the store was away or the process was killed in between, the next registration writes the rows first, so that
the version keeps its number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.evaluate import MetricRow
from penumbra.fusion.resampled import NO_REFITS, Band
from penumbra.pipeline import manifests
from penumbra.pipeline.aliases import pending, version_record
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.manifests import PendingRegistration
from penumbra.pipeline.workspace import Work
from penumbra.registry import RegisteredVersion
from penumbra.survival.horizons import LISTED_YEARS, whole_years

AWAY = frozenset({"catalog_reached", "files_reached", "store_busy"})  # refusals that end by themselves: the same command, run again, writes the rows
PENDING = manifests.NAMES[PendingRegistration]
Records = list[dict[str, Any]]


def registered(work: Work, make: Callable[[], RegisteredVersion], rows: Mapping[str, Records]) -> RegisteredVersion:
    """Let `make` register a version in MLflow and write its rows; a version that the store cannot take is taken back from MLflow.

    Parameters
    ----------
    rows
        Relation -> rows that lack their version, see `written`.
    """
    model = work.settings.register.model
    earlier = [entry.version for entry in registry.versions(work.home, model)]
    manifests.write(work.home, PendingRegistration(model, tuple(earlier), rows))
    entry = make()
    try:
        written(work, entry, rows)
    except Exception as error:
        if isinstance(error, Refusal) and error.rule in AWAY:
            raise
        if entry.version not in earlier:
            registry.unregister(work.home, entry.version, model=model)
        _forget(work)
        raise
    _forget(work)
    return entry


def finish(work: Work) -> RegisteredVersion | None:
    """Write the rows of a version whose registration was killed after MLflow had it; returns the version where there was one."""
    if not is_begun(work.home):
        return None
    begun = manifests.read(work.home, PendingRegistration)
    made = [entry for entry in registry.versions(work.home, begun.model) if entry.version not in begun.known]
    for entry in made:
        written(work, entry, begun.rows)
        say(f"{entry.model}/{entry.version}: its registration was interrupted, and is complete now")
    _forget(work)
    return made[-1] if made else None


def is_begun(home: Path) -> bool:
    """Whether a registration was begun and not ended."""
    return manifests.file_of(home, PENDING).is_file()


def unrecorded(home: Path, model: str) -> list[int]:
    """Versions that MLflow has and the store does not."""
    with store.connect(home, read_only=True) as lake:
        stored = lake.sql("SELECT version FROM model_versions WHERE model = ?", [model]).column("version").to_pylist()
    return [entry.version for entry in registry.versions(home, model) if str(entry.version) not in stored]


def _forget(work: Work) -> None:
    manifests.file_of(work.home, PENDING).unlink(missing_ok=True)


def written(work: Work, entry: RegisteredVersion, rows: Mapping[str, Records]) -> None:
    """What the store says of a version, in one transaction.

    Parameters
    ----------
    rows
        Relation -> rows without their version. The model of a metric of the served model, of a prediction and of a used patient is the registry's name.
    """
    version = str(entry.version)
    column = {"signatures": "model_version"}
    with store.connect(work.home) as lake:
        complete = {name: [{**row, column.get(name, "version"): version} for row in records] for name, records in rows.items()}
        complete["model_metrics"] = [*complete["model_metrics"], *_withdrawn(lake, entry, complete["model_metrics"])]
        records = {"model_versions": [version_record(entry)], "alias_changes": pending(work.home, entry.model), **complete}
        lake.write(records, run=work.run, what=f"{entry.model}/{entry.version} registered")


def _withdrawn(lake: "store.Store", entry: RegisteredVersion, records: Records) -> Records:
    """Metrics that an earlier registration of the same version wrote under names that it does not have any more: without a value from now on.

    Such as auc_3y of the third of three horizons that was day 730.
    """
    stored = lake.sql(
        "SELECT model, center, split, metric, n, events FROM model_metrics WHERE version = ? AND value IS NOT NULL AND split IN ('train', 'test')",
        [str(entry.version)],
    ).to_pylist()
    named = {(row["model"], row["center"], row["split"], row["metric"]) for row in records}
    models = {row["model"] for row in records}
    return [
        {**row, "version": str(entry.version)}
        for row in stored
        if row["model"] in models and (row["model"], row["center"], row["split"], row["metric"]) not in named and _at_a_time(row["metric"])
    ]


def _at_a_time(metric: str) -> bool:
    """Whether a metric's name ends with a time, auc_2y, brier_180d, and a registration measures it."""
    if metric.startswith("recalibrated_"):  # a retraining does
        return False
    suffix = metric.rpartition("_")[2]
    return suffix[-1:] in ("y", "d") and suffix[:-1].replace(".", "", 1).isdecimal()


def metric_records(model: str, served: str, rows: Iterable[MetricRow]) -> Records:
    """Rows of `model_metrics` without their version; those of the served model carry the registry's name, the others their own."""
    columns = ("center", "split", "metric", "value", "lower", "upper", "n", "events")
    return [{"model": model if row.model == served else row.model, **{name: getattr(row, name) for name in columns}} for row in rows]


def prediction_records(
    model: str,
    people: Sequence[Mapping[str, str | None]],
    log_risk: np.ndarray,
    groups: np.ndarray,
    horizons_days: Sequence[float],
    survival: np.ndarray,
    band: Band | None = None,
    applicability: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Records]:
    """Rows of `predictions` and of `prediction_horizons` without their version: what a version says of some patients.

    Parameters
    ----------
    people
        Patient, center and image version of each, n.
    log_risk : shape (n,)
        Groups (n,) "high" or "low".
    horizons_days : shape (k,)
        Survival (n, k), NaN where there is none: NULL.
    band
        Limits of both; None: there are none.
    applicability
        Of each patient, n, under the names of `predictions`; empty: not asked.

    Notes
    -----
    `predictions` has the horizons of one, two and three years, NULL where there is none of them; `prediction_horizons` has every one.
    """
    band = Band.none(log_risk, horizons_days, NO_REFITS) if band is None else band
    listed = {f"survival_{whole_years(day)}y": column for column, day in enumerate(horizons_days) if whole_years(day) in LISTED_YEARS}
    one = [
        {
            **person,
            "model": model,
            "log_risk": float(log_risk[i]),
            "risk_group": str(groups[i]),
            "log_risk_lower": float(band.lower[i]),
            "log_risk_upper": float(band.upper[i]),
            "limits": band.covers,
            **{name: float(survival[i, column]) for name, column in listed.items()},
            **{f"{name}_lower": float(band.survival_lower[i, column]) for name, column in listed.items()},
            **{f"{name}_upper": float(band.survival_upper[i, column]) for name, column in listed.items()},
            **(applicability[i] if applicability else {}),
        }
        for i, person in enumerate(people)
    ]
    each = [
        {
            **person,
            "model": model,
            "days": float(day),
            "survival": float(survival[i, column]),
            "lower": float(band.survival_lower[i, column]),
            "upper": float(band.survival_upper[i, column]),
        }
        for i, person in enumerate(people)
        for column, day in enumerate(horizons_days)
    ]
    return {"predictions": one, "prediction_horizons": each}


def of_version(version: int, rows: Mapping[str, Records]) -> dict[str, Records]:
    """Rows of one version that is registered already."""
    return {name: [{**row, "version": str(version)} for row in records] for name, records in rows.items()}


def people(data: Dataset) -> list[dict[str, str | None]]:
    """Patient, center and image version of everybody in a data set: who it is, and by which scan."""
    each = zip(data.patients, data.centers, data.scans, strict=True)
    return [{"patient": str(patient), "center": str(center), "image_version": scan} for patient, center, scan in each]
