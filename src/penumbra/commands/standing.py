"""Registered versions with what they are worth: C inside and at every center, next to tumor volume's, from the rows that `penumbra models` prints."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, TRAINING
from penumbra.pipeline import in_use
from penumbra.pipeline.prospective import LIVE
from penumbra.registry import CHALLENGER, CHAMPION

VOLUME = "Volume"  # the control whose C stands next to every other
_MEASURED = (
    "SELECT model, version, center, split, metric, value, lower, upper, n, events FROM model_metrics"
    " WHERE metric IN ('harrell_c', 'delta_c_volume') AND model IN (?, ?) AND value IS NOT NULL"
)
_WITHDRAWN = """
WITH gone AS (SELECT withdrawal, min(commit_id) AS commit_id FROM stored.withdrawals WHERE json_exists(removed, '$.predictions') GROUP BY withdrawal),
     measured AS (SELECT version, max(commit_id) AS commit_id FROM model_metrics WHERE model = ? GROUP BY version)
SELECT version, count(*) AS patients FROM measured JOIN gone ON gone.commit_id > measured.commit_id GROUP BY version
"""
ORDER = (CROSS_FITTED, "test", LIVE, "train")  # evidence inside first; what the fit saw last


@dataclass(frozen=True)
class Limited:
    """A value with its limits, NaN where there are none."""

    value: float
    lower: float
    upper: float


UNKNOWN = Limited(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Evidence:
    """Harrell's C of a version on one set of patients.

    Parameters
    ----------
    split
        As in `model_metrics`: cross_fitted is inside, test and live are outside, train is what the fit saw.
    volume
        C of tumor volume alone there.
    gain
        C minus volume's, paired.
    """

    center: str
    split: str
    c: Limited
    volume: Limited
    gain: Limited
    patients: int
    deaths: int

    @property
    def is_inside(self) -> bool:
        """Cross-fitted at the training centers."""
        return self.split == CROSS_FITTED

    @property
    def words(self) -> str:
        """The set in words."""
        if self.split == CROSS_FITTED:
            return "inside, cross-fitted" if self.center == TRAINING else f"{self.center}, cross-fitted"
        if self.center == EXTERNAL:
            return "all external centers"
        return {LIVE: f"{self.center}, live", "train": f"{self.center}, apparent"}.get(self.split, self.center)


@dataclass(frozen=True)
class VersionStanding:
    """A registered version and its evidence, inside first.

    Parameters
    ----------
    version
        In the registry.
    foreign
        Made in MLflow, not by penumbra: nothing else is known of it.
    withdrawn
        Patients who were withdrawn after the version was measured, and whom its evidence still counts.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    registered_at: datetime
    train_centers: tuple[str, ...]
    digest: str
    evidence: tuple[Evidence, ...] = ()
    foreign: bool = False
    withdrawn: int = 0

    @property
    def label(self) -> str:
        return f"{self.model}/{self.version}"

    @property
    def inside(self) -> Evidence | None:
        """Over all training centers, cross-fitted."""
        return next((row for row in self.evidence if row.is_inside and row.center == TRAINING), None)

    @property
    def shown(self) -> tuple[Evidence, ...]:
        """What says how good it is: inside, then each center outside; pools of one center are left out, and so is what the fit saw."""
        outside = [row for row in self.evidence if row.split in ("test", LIVE)]
        several = len({row.center for row in outside if row.split == "test"} - {EXTERNAL}) > 1
        return (*([self.inside] if self.inside else []), *(row for row in outside if row.center != EXTERNAL or several))


def standings(home: Path, lake: "store.Store", name: str | None = None) -> tuple[VersionStanding, ...]:
    """Every version of a model, the champion first, then the challenger, then the newest.

    Parameters
    ----------
    lake
        The store, of now or as of a commit: only what was registered then is listed, with the aliases of then.
    name
        Of the model; None: the one that params.yaml names.
    """
    shelf = registry.shelf(home, name)
    measured = _evidence(lake, shelf.model)
    withdrawn = {row["version"]: row["patients"] for row in lake.sql(_WITHDRAWN, [shelf.model]).to_pylist()}
    entries = [
        VersionStanding(
            entry.model,
            entry.version,
            entry.aliases,
            entry.created_at,
            entry.train_centers,
            entry.digest,
            tuple(sorted(measured.get(str(entry.version), ()), key=_place)),
            withdrawn=withdrawn.get(str(entry.version), 0),
        )
        for entry in shelf.versions
    ]
    entries += [VersionStanding(entry.model, entry.version, entry.aliases, entry.created_at, (), "", foreign=True) for entry in shelf.foreign]
    if lake.as_of is not None:
        then = in_use.registered_then(lake, shelf.model)
        entries = [replace(entry, aliases=then[entry.version]) for entry in entries if entry.version in then]
    return tuple(sorted(entries, key=lambda entry: (CHAMPION not in entry.aliases, CHALLENGER not in entry.aliases, -entry.version)))


def c_of(home: Path, model: str, versions: Sequence[int]) -> list[dict[str, Any]]:
    """Harrell's C of some versions at each center with its limits, a row for each center and split, as the store has it."""
    statement = (
        "SELECT model || '/' || version AS model, center, split, value, lower, upper, n, events FROM model_metrics"
        " WHERE metric = 'harrell_c' AND model = ? AND list_contains(?, version) AND split IN ('train', 'test', 'cross_fitted') ORDER BY ALL"
    )
    with store.connect(home, read_only=True) as lake:
        rows: list[dict[str, Any]] = lake.sql(statement, [model, [str(version) for version in versions]]).to_pylist()
    return rows


def _place(row: Evidence) -> tuple[int, bool, str]:
    return ORDER.index(row.split), row.center in (TRAINING, EXTERNAL), row.center


def _evidence(lake: "store.Store", model: str) -> dict[str, list[Evidence]]:
    """Version -> its evidence."""
    rows: Sequence[Mapping[str, Any]] = lake.sql(_MEASURED, [model, VOLUME]).to_pylist()
    values = {(row["version"], row["split"], row["center"], row["model"], row["metric"]): row for row in rows}
    by_version: dict[str, list[Evidence]] = {}
    for (version, split, center, of, metric), row in values.items():
        if (of, metric) == (model, "harrell_c") and split in ORDER:
            volume, gain = (_limited(values.get((version, split, center, *key))) for key in ((VOLUME, "harrell_c"), (model, "delta_c_volume")))
            by_version.setdefault(version, []).append(Evidence(center, split, _limited(row), volume, gain, row["n"], row["events"]))
    return by_version


def _limited(row: Mapping[str, Any] | None) -> Limited:
    if row is None:
        return UNKNOWN
    return Limited(*(math.nan if row[name] is None else float(row[name]) for name in ("value", "lower", "upper")))


def centers_of(entries: Sequence[VersionStanding]) -> Iterator[str]:
    """Every center that a version was measured at outside, each once, in the order of the alphabet."""
    yield from sorted({row.center for entry in entries for row in entry.shown if not row.is_inside})
