"""Registered versions side by side, from what the store and the registry hold: what differs, and on the same patients who predicts better."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.base.json_values import without_nan
from penumbra.base.refusal import Refusal
from penumbra.evaluate import EXTERNAL, Evaluating
from penumbra.evaluate.paired import PairedRow, Scores, paired_rows
from penumbra.pipeline import experiments
from penumbra.pipeline.stored_predictions import Answers, read_answers
from penumbra.registry import Difference, RegisteredVersion
from penumbra.survival.horizons import horizon_name, horizon_words
from penumbra.survival.outcome import Outcomes


@dataclass(frozen=True)
class Scored:
    """Patients scored by all compared versions, with their latest outcome.

    event (n,) bool; time (n,) days. log_risk (v, n), death (v, n, k), high (v, n) bool: of each version in order. days (k,): those that all of
    them answered for.
    fitted (v, n) bool: the version was fitted on the patient's outcome.
    """

    patients: np.ndarray
    centers: np.ndarray
    event: np.ndarray
    time: np.ndarray
    log_risk: np.ndarray
    death: np.ndarray
    high: np.ndarray
    fitted: np.ndarray
    days: tuple[float, ...]

    def rows(self, chosen: np.ndarray) -> "Scored":
        """Some patients, (n,) bool."""
        one = {name: getattr(self, name)[chosen] for name in ("patients", "centers", "event", "time")}
        each = {name: getattr(self, name)[:, chosen] for name in ("log_risk", "death", "high", "fitted")}
        return replace(self, **one, **each)

    @property
    def fitted_here(self) -> tuple[bool, bool]:
        """Whether the first version, and the second, was fitted on any of these patients."""
        return bool(self.fitted[0].any()), bool(self.fitted[1].any())

    @property
    def outcomes(self) -> Outcomes:
        """As of one center, so that pairs of two centers count."""
        return Outcomes.of_one_center(self.event, self.time)

    def scores(self, version: int) -> Scores:
        return Scores(self.log_risk[version], self.death[version])


@dataclass(frozen=True)
class Reclassified:
    """Patients of one set by the risk group of two versions: those who died, and those who were alive at the end of their follow-up."""

    center: str
    died: bool
    stayed_low: int
    raised: int
    lowered: int
    stayed_high: int


@dataclass(frozen=True)
class Comparison:
    """Two registered versions.

    differences   of params, data, settings, feature versions and kept features.
    patients      per center: how many trained each version, and how many of the second's the first did not know.
    fitted        center -> whether the first and the second were fitted on it: a value there is optimistic.
    paired        per center and for all that neither was fitted on (EXTERNAL): both values, difference, interval, p.
    metrics       of the registered calibration, at the days that both answer for.
    calibration   per center and one of these metrics, both registered values; None where a version's numbers are not named by their days.
    unscored      centers that one of the two has not scored.
    remarks       sentences on days that only one of the two answers for.
    """

    first: RegisteredVersion
    second: RegisteredVersion
    differences: tuple[Difference, ...]
    patients: tuple[dict[str, Any], ...]
    fitted: dict[str, tuple[bool, bool]]
    paired: tuple[PairedRow, ...]
    reclassified: tuple[Reclassified, ...]
    metrics: tuple[str, ...]
    calibration: tuple[dict[str, Any], ...]
    unscored: tuple[str, ...]
    remarks: tuple[str, ...]
    scored: Scored

    def document(self) -> dict[str, Any]:
        """Everything but the single patients, as JSON has it."""

        def version(entry: RegisteredVersion) -> dict[str, Any]:
            kept = {name: getattr(entry, name) for name in ("model", "version", "digest", "store_commit", "code_commit")}
            return {**kept, "aliases": list(entry.aliases), "train_centers": list(entry.train_centers), "created_at": entry.created_at.isoformat()}

        rows: dict[str, Sequence[Any]] = {"differences": self.differences, "paired": self.paired, "reclassified": self.reclassified}
        return {
            "first": version(self.first),
            "second": version(self.second),
            **{name: without_nan([asdict(row) for row in found]) for name, found in rows.items()},
            "fitted": {center: list(which) for center, which in self.fitted.items()},
            "patients": list(self.patients),
            "calibration": without_nan(self.calibration),
            "unscored": list(self.unscored),
            "horizons_days": list(self.scored.days),
            "remarks": list(self.remarks),
        }


def compare_two(home: Path, first: str, second: str, numbers: Evaluating, model: str | None = None) -> Comparison:
    """Compare two versions on the patients that both scored; the same call gives the same numbers (`numbers.seed`).

    first, second  aliases, numbers, experiments of DVC or git revisions.
    model          of names without one, as in registry.find.

    Raises  Refusal "model_registered", "version_registered", "one_model" for versions of two models, or "versions_differ" for one version named twice.
    """
    one, other = experiments.find(home, first, model), experiments.find(home, second, model)
    require_one_model((one, other))
    if one.version == other.version:
        raise Refusal("versions_differ", f"{first} and {second} are both {one.model}/{one.version}", "name two versions; penumbra models lists them")
    with store.connect(home, read_only=True) as lake:
        answers = read_answers(lake, home, one.model)
        scored, unscored = scored_by(answers, [one.version, other.version])
        uses = lake.sql("SELECT version, patient, center FROM model_uses WHERE model = ? AND split = 'train'", [one.model]).to_pylist()
        stored = lake.sql("SELECT version, center, metric, value FROM model_metrics WHERE model = ? AND split IN ('train', 'test')", [one.model]).to_pylist()
    rows_of_all: list[PairedRow] = []
    moved: list[Reclassified] = []
    for center, rows in sets(scored):
        here = scored.rows(rows)
        rows_of_all += paired(center, here.outcomes, here.scores(0), here.scores(1), numbers, scored.days)
        moved += [_reclassified(center, here, died) for died in (True, False)]
    integrated = ("brier_integrated",) if answers.days(one.version) == answers.days(other.version) else ()  # its mean is over the days of a version
    metrics = ("calibration_slope", *(f"observed_expected_{horizon_name(day)}" for day in scored.days), *integrated)
    trained = [{(row["patient"], row["center"]): row["center"] for row in uses if int(row["version"]) == entry.version} for entry in (one, other)]
    return Comparison(
        first=one,
        second=other,
        differences=tuple(registry.differences(*(registry.load(home, entry.version, model=entry.model) for entry in (one, other)))),
        patients=tuple(_patients(*trained)),
        fitted={center: scored.rows(rows).fitted_here for center, rows in sets(scored)},
        paired=tuple(rows_of_all),
        reclassified=tuple(moved),
        metrics=metrics,
        calibration=tuple(_calibration([row for row in stored if int(row["version"]) not in answers.misnamed], (one, other), metrics)),
        unscored=unscored,
        remarks=tuple(_remarks(answers, (one, other), scored.days)),
        scored=scored,
    )


def require_one_model(entries: Sequence[RegisteredVersion]) -> None:
    """Raises  Refusal "one_model" for versions of several models."""
    models = sorted({entry.model for entry in entries})
    if len(models) > 1:
        raise Refusal("one_model", f"these are versions of {' and '.join(models)}", "compare versions of one model; penumbra models --model NAME lists them")


def paired(
    center: str,
    outcomes: Outcomes,
    first: Scores,
    second: Scores,
    numbers: Evaluating,
    horizons_days: Sequence[float],
) -> Iterator[PairedRow]:
    """`paired_rows` with the resamples of the group evaluate; no horizon: C alone."""
    drawn: dict[str, Any] = {"bootstraps": numbers.bootstraps, "confidence": numbers.confidence, "seed": numbers.seed}
    return paired_rows(center, outcomes, first, second, horizons_days=horizons_days, **drawn)


@dataclass(frozen=True)
class Standing:
    """One of many versions on one set of patients: C, and against the first version the difference and its p."""

    version: int
    center: str
    c: float
    difference: float
    lower: float
    upper: float
    p: float
    n: int
    fitted: bool


def compare_many(home: Path, entries: Sequence[RegisteredVersion], numbers: Evaluating) -> list[Standing]:
    """Harrell's C of several versions at every center, each against the first on the patients both scored, all on seeded paired resamples."""
    require_one_model(entries)
    found: list[Standing] = []
    with store.connect(home, read_only=True) as lake:
        answers = read_answers(lake, home, entries[0].model)
    for entry in entries:
        try:
            scored, _ = scored_by(answers, [entries[0].version, entry.version])
        except Refusal:  # no patient in common with the first: its line stays empty
            continue
        for center, rows in sets(scored):
            here = scored.rows(rows)
            row = next(paired(center, here.outcomes, here.scores(0), here.scores(1), numbers, horizons_days=()))
            found.append(Standing(entry.version, center, row.second, row.difference, row.lower, row.upper, row.p, row.n, here.fitted_here[1]))
    return found


def sets(scored: Scored) -> list[tuple[str, np.ndarray]]:
    """Each center, and where there are several that nobody was fitted on, these together."""
    names = sorted(set(scored.centers.tolist()))
    outside = ~np.isin(scored.centers, [name for name in names if scored.fitted[:, scored.centers == name].any()])
    chosen = [(name, scored.centers == name) for name in names]
    return [*chosen, (EXTERNAL, outside)] if len(set(scored.centers[outside].tolist())) > 1 else chosen


def scored_by(answers: Answers, versions: Sequence[int]) -> tuple[Scored, tuple[str, ...]]:
    """The patients that all `versions` scored, with their survival at the days that all answered for, and the centers at which some are not.

    Raises  Refusal "scored_by_both" when there is none.
    """
    days = tuple(sorted(set(answers.days(versions[0])).intersection(*(answers.days(version) for version in versions))))
    by_version, trained = {version: answers.by_version.get(version, {}) for version in versions}, answers.trained
    everyone = set().union(*by_version.values())
    patients = sorted(set(by_version[versions[0]]).intersection(*by_version.values()))
    if not patients:
        raise Refusal("scored_by_both", f"no patient was scored by versions {versions[0]} and {versions[-1]}", "penumbra retrain --center NAME scores a center")
    newest = [by_version[versions[-1]][patient] for patient in patients]
    each = [[by_version[version][patient] for patient in patients] for version in versions]
    center = {patient: found[patient]["center"] for found in by_version.values() for patient in found}
    scored = Scored(
        patients=np.array(patients),
        centers=np.array([row["center"] for row in newest]),
        event=np.array([bool(row["event"]) for row in newest]),
        time=np.array([float(row["time"]) for row in newest]),
        log_risk=np.array([[row["log_risk"] for row in found] for found in each], dtype=float),
        death=np.array([[_death(answers.survival.get(version, {}).get(patient, {}), days) for patient in patients] for version in versions]),
        high=np.array([[row["risk_group"] == "high" for row in found] for found in each]),
        fitted=np.array([[(version, patient) in trained for patient in patients] for version in versions]),
        days=days,
    )
    return scored, tuple(sorted({center[patient] for patient in everyone - set(patients)}))


def _death(survival: Mapping[float, float], days: Sequence[float]) -> list[float]:
    """Probability to have died by each day, NaN where none was answered."""
    return [1.0 - survival.get(day, math.nan) for day in days]


def _remarks(answers: Answers, entries: Sequence[RegisteredVersion], days: Sequence[float]) -> Iterator[str]:
    """The remark where two versions do not answer for the same days, or where registered numbers are not named by their days."""
    known = [answers.days(entry.version) for entry in entries]
    if known[0] != known[1]:
        each = "; ".join(
            f"{entry.model}/{entry.version} answers for {', '.join(map(horizon_words, told)) or 'no day'}" for entry, told in zip(entries, known, strict=True)
        )
        yield f"{each}. They are compared at {', '.join(map(horizon_words, days))}." if days else f"{each}. They have no day in common: only C is compared."
    for entry in entries:
        if entry.version in answers.misnamed:
            yield f"The registered numbers of {entry.model}/{entry.version} are not named by their days and are left out; penumbra doctor says more."


def _reclassified(center: str, scored: Scored, died: bool) -> Reclassified:
    first, second = scored.high[:, scored.event == died]
    counts = [int(np.count_nonzero(moved)) for moved in (~first & ~second, ~first & second, first & ~second, first & second)]
    return Reclassified(center, died, *counts)


def _patients(first: dict[tuple[str, str], str], second: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Per center: training patients of both versions, and how many of them only one has."""
    return [
        {
            "center": center,
            "first": sum(of == center for of in first.values()),
            "second": sum(of == center for of in second.values()),
            "added": sum(of == center and patient not in first for patient, of in second.items()),
            "removed": sum(of == center and patient not in second for patient, of in first.items()),
        }
        for center in sorted({*first.values(), *second.values()})
    ]


def _calibration(stored: Sequence[dict[str, Any]], entries: Sequence[RegisteredVersion], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Registered calibration of both versions at every center that either was measured at."""
    values = {(int(row["version"]), row["center"], row["metric"]): row["value"] for row in stored if row["metric"] in metrics}
    numbers = [entry.version for entry in entries]
    places = sorted({(center, metric) for version, center, metric in values if version in numbers}, key=lambda place: (place[0], metrics.index(place[1])))
    return [
        {"center": center, "metric": metric, **{name: values.get((number, center, metric)) for name, number in zip(("first", "second"), numbers, strict=True)}}
        for center, metric in places
    ]


def as_json(document: Any) -> str:
    """One document for other programs."""
    return json.dumps(document, indent=1, allow_nan=False)
