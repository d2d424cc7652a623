"""Registered versions side by side, from what the store and the registry hold: what differs, and on the same patients who predicts better."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.base.json_values import without_nan
from penumbra.base.refusal import Refusal
from penumbra.evaluate import EXTERNAL, TRAINING, Evaluating
from penumbra.evaluate.paired import Pair, paired_rows
from penumbra.evaluate.rows import PairedRow
from penumbra.pipeline import experiments, looks
from penumbra.pipeline.stored_predictions import Answers, read_answers
from penumbra.registry import Difference, RegisteredVersion
from penumbra.survival.horizons import horizon_name, horizon_words
from penumbra.survival.outcome import Outcomes


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
class InsideRow:
    """The cross-fitted risks of a version's training patients: Harrell's C, and C minus volume's, with limits; NaN where there is none."""

    version: int
    c: float
    lower: float
    upper: float
    versus_volume: float
    versus_lower: float
    versus_upper: float


@dataclass(frozen=True)
class Comparison:
    """Two registered versions.

    Parameters
    ----------
    differences
        Of params, data, settings, feature versions and kept features.
    patients
        Per center: how many trained each version, and how many of the second's the first did not know.
    fitted
        Center -> whether the first and the second were fitted on it: a value there is optimistic.
    paired
        Per center and for all that neither was fitted on (EXTERNAL): both values, difference, interval, p.
    metrics
        Of the registered calibration, at the days that both answer for.
    calibration
        Per center and one of these metrics, both registered values; None where a version's numbers are not named by their days.
    unscored
        Centers that one of the two has not scored.
    remarks
        Sentences on days that only one of the two answers for.
    pairs
        Both on the patients of each center, and of all that neither was fitted on.
    days
        Those that both answer for.
    inside
        Each version on its own training patients, cross-fitted; none where neither was.
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
    pairs: tuple[Pair, ...]
    days: tuple[float, ...]
    inside: tuple[InsideRow, ...] = ()

    def document(self) -> dict[str, Any]:
        """Everything but the single patients, as JSON has it."""

        def version(entry: RegisteredVersion) -> dict[str, Any]:
            fields = {name: getattr(entry, name) for name in ("model", "version", "digest", "store_commit", "code_commit")}
            return {**fields, "aliases": list(entry.aliases), "train_centers": list(entry.train_centers), "created_at": entry.created_at.isoformat()}

        rows: dict[str, Sequence[Any]] = {"inside": self.inside, "differences": self.differences, "paired": self.paired, "reclassified": self.reclassified}
        return {
            "first": version(self.first),
            "second": version(self.second),
            **{name: without_nan([asdict(row) for row in table]) for name, table in rows.items()},
            "fitted": {center: list(which) for center, which in self.fitted.items()},
            "patients": list(self.patients),
            "calibration": without_nan(self.calibration),
            "unscored": list(self.unscored),
            "horizons_days": list(self.days),
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class VersionRow:
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


@dataclass(frozen=True)
class Standings:
    """Several versions by their C at every center, each against the first on the patients that both scored."""

    entries: tuple[RegisteredVersion, ...]
    rows: tuple[VersionRow, ...]
    inside: tuple[InsideRow, ...] = ()


def compare(home: Path, versions: Sequence[str], numbers: Evaluating, model: str | None = None, *, as_of: int | None = None) -> Comparison | Standings:
    """Compare registered versions on the patients that they scored: two in depth, more than two (none named: all) by their C.

    The same call gives the same numbers (`numbers.seed`).

    Parameters
    ----------
    versions
        Aliases, numbers, experiments of DVC or git revisions.
    model
        Of names without one, as in registry.find.
    as_of
        A commit whose predictions and outcomes are compared; None: the newest.

    Raises
    ------
    Refusal
        "model_registered", "version_registered", "one_model" for versions of two models, "versions_differ" for one version, or for one named twice,
        "scored_by_both" where two have no patient in common.
    """
    if len(versions) == 2:
        return _two(home, (versions[0], versions[1]), numbers, model, as_of)
    entries = [experiments.find(home, version, model) for version in versions] or registry.versions(home, model)
    if len(versions) == 1:
        others = [str(each.version) for each in registry.versions(home, entries[0].model) if each.version != entries[0].version]
        advice = (
            f"name a second one ({', '.join(others)}), or none to see all" if others else "it is the only one that is registered: penumbra compare shows it"
        )
        raise Refusal("versions_differ", f"one version, {entries[0].label}, and nothing to compare it with", advice)
    if not entries:
        raise Refusal("model_registered", f"no version of {model} is registered", "run penumbra run first")
    _require_one_model(entries)
    with store.connect(home, read_only=True, as_of=as_of) as lake:
        answers, inside = read_answers(lake, home, entries[0].model), inside_of(lake, entries)
    rows = tuple(_standings(answers, entries, numbers))
    _counted(home, answers, entries, numbers)
    return Standings(tuple(entries), rows, inside)


def _counted(home: Path, answers: Answers, entries: Sequence[RegisteredVersion], numbers: Evaluating) -> None:
    """Count the look at patients that some of the compared versions scored and were not fitted on."""
    seen = {
        patient: row
        for entry in entries
        for patient, row in answers.by_version.get(entry.version, {}).items()
        if (entry.version, patient) not in answers.trained
    }
    outcomes = [[patient, row["time"], row["event"]] for patient, row in sorted(seen.items())]
    evaluation = {"versions": [entry.digest for entry in entries], "outcomes": outcomes, "numbers": asdict(numbers)}
    look = looks.Look("compare", evaluation, entries[0].model, ", ".join(str(entry.version) for entry in entries))
    looks.count(home, "compare", look, (row["center"] for row in seen.values()), (row["event"] for row in seen.values()))


def _two(home: Path, named: tuple[str, str], numbers: Evaluating, model: str | None, as_of: int | None) -> Comparison:
    first, second = named
    one, other = experiments.find(home, first, model), experiments.find(home, second, model)
    _require_one_model((one, other))
    if one.version == other.version:
        raise Refusal("versions_differ", f"{first} and {second} are both {one.model}/{one.version}", "name two versions; penumbra models lists them")
    with store.connect(home, read_only=True, as_of=as_of) as lake:
        answers = read_answers(lake, home, one.model)
        pair, unscored = _pair(answers, (one, other))
        uses = lake.sql("SELECT version, patient, center FROM model_uses WHERE model = ? AND split = 'train'", [one.model]).to_pylist()
        stored = lake.sql("SELECT version, center, metric, value, n FROM model_metrics WHERE model = ? AND split IN ('train', 'test')", [one.model]).to_pylist()
        inside = inside_of(lake, (one, other))
    pairs = _by_center(pair)
    integrated = ("brier_integrated",) if answers.days(one.version) == answers.days(other.version) else ()  # its mean is over the days of a version
    metrics = ("calibration_slope", *(f"observed_expected_{horizon_name(day)}" for day in pair.days), *integrated)
    trained = [{(row["patient"], row["center"]): row["center"] for row in uses if int(row["version"]) == entry.version} for entry in (one, other)]
    comparison = Comparison(
        first=one,
        second=other,
        differences=tuple(registry.differences(*(registry.load(home, entry.version, model=entry.model) for entry in (one, other)))),
        patients=tuple(_patients(*trained)),
        fitted={here.center: here.fitted_here for here in pairs},
        paired=tuple(row for here in pairs for row in paired_rows(here, numbers)),
        reclassified=tuple(_reclassified(here, died) for here in pairs for died in (True, False)),
        metrics=metrics,
        calibration=tuple(_calibration([row for row in stored if int(row["version"]) not in answers.misnamed], (one, other), metrics)),
        unscored=unscored,
        remarks=tuple(_remarks(answers, (one, other), pair.days)),
        pairs=pairs,
        days=pair.days,
        inside=inside,
    )
    _counted(home, answers, (one, other), numbers)
    return comparison


def inside_of(lake: store.Store, entries: Sequence[RegisteredVersion]) -> tuple[InsideRow, ...]:
    """The cross-fitted C of some versions of one model over their training centers; those without one are left out."""
    rows = lake.sql(
        "SELECT version, metric, value, lower, upper FROM model_metrics WHERE model = ? AND split = 'cross_fitted' AND center = ?"
        " AND metric IN ('harrell_c', 'delta_c_volume')",
        [entries[0].model, TRAINING],
    ).to_pylist()
    measured = {
        (int(row["version"]), row["metric"]): tuple(math.nan if row[name] is None else row[name] for name in ("value", "lower", "upper")) for row in rows
    }
    unknown = (math.nan,) * 3
    return tuple(
        InsideRow(entry.version, *measured[entry.version, "harrell_c"], *measured.get((entry.version, "delta_c_volume"), unknown))
        for entry in entries
        if (entry.version, "harrell_c") in measured
    )


def _require_one_model(entries: Sequence[RegisteredVersion]) -> None:
    """Refuse versions of several models.

    Raises
    ------
    Refusal
        "one_model".
    """
    models = sorted({entry.model for entry in entries})
    if len(models) > 1:
        raise Refusal("one_model", f"these are versions of {' and '.join(models)}", "compare versions of one model; penumbra models --model NAME lists them")


def _standings(answers: Answers, entries: Sequence[RegisteredVersion], numbers: Evaluating) -> Iterator[VersionRow]:
    for entry in entries:
        try:
            pair, _ = _pair(answers, (entries[0], entry))
        except Refusal:  # no patient in common with the first: its line stays empty
            continue
        for here in _by_center(pair):
            row = next(paired_rows(here, numbers))  # C is the first
            yield VersionRow(entry.version, here.center, row.second, row.difference, row.lower, row.upper, row.p, row.n, here.fitted_here[1])


def _by_center(pair: Pair) -> tuple[Pair, ...]:
    """Each center, and where there are several that neither was fitted on, these together; then pairs of patients of two centers count as well."""
    centers = pair.outcomes.centers
    names = sorted(set(centers.tolist()))
    outside = ~np.isin(centers, [name for name in names if pair.fitted[:, centers == name].any()])
    each = tuple(pair.of(name, centers == name) for name in names)
    return (*each, pair.of(EXTERNAL, outside, as_one=True)) if len(set(centers[outside].tolist())) > 1 else each


def _pair(answers: Answers, entries: Sequence[RegisteredVersion]) -> tuple[Pair, tuple[str, ...]]:
    """Both versions on the patients that both scored, at the days that both answered for, and the centers at which some are not.

    Raises
    ------
    Refusal
        "scored_by_both" when there is none.
    """
    versions = [entry.version for entry in entries]
    days = tuple(sorted(set(answers.days(versions[0])).intersection(*(answers.days(version) for version in versions))))
    by_version, trained = {version: answers.by_version.get(version, {}) for version in versions}, answers.trained
    everyone = set().union(*by_version.values())
    patients = sorted(set(by_version[versions[0]]).intersection(*by_version.values()))
    if not patients:
        raise Refusal("scored_by_both", f"no patient was scored by versions {versions[0]} and {versions[-1]}", "penumbra retrain --center NAME scores a center")
    newest = [by_version[versions[-1]][patient] for patient in patients]
    each = [[by_version[version][patient] for patient in patients] for version in versions]
    center = {patient: answered[patient]["center"] for answered in by_version.values() for patient in answered}
    pair = Pair(
        center="",
        labels=(entries[0].label, entries[1].label),
        outcomes=Outcomes(
            np.array([bool(row["event"]) for row in newest]), np.array([float(row["time"]) for row in newest]), np.array([row["center"] for row in newest])
        ),
        log_risk=np.array([[row["log_risk"] for row in rows] for rows in each], dtype=float),
        death=np.array([[_death(answers.survival.get(version, {}).get(patient, {}), days) for patient in patients] for version in versions]),
        high=np.array([[row["risk_group"] == "high" for row in rows] for rows in each]),
        fitted=np.array([[(version, patient) in trained for patient in patients] for version in versions]),
        days=days,
    )
    return pair, tuple(sorted({center[patient] for patient in everyone - set(patients)}))


def _death(survival: Mapping[float, float], days: Sequence[float]) -> list[float]:
    """Probability to have died by each day, NaN where none was answered."""
    return [1.0 - survival.get(day, math.nan) for day in days]


def _remarks(answers: Answers, entries: Sequence[RegisteredVersion], days: Sequence[float]) -> Iterator[str]:
    """The remark where two versions do not answer for the same days, or where registered numbers are not named by their days."""
    days_of_each = [answers.days(entry.version) for entry in entries]
    if days_of_each[0] != days_of_each[1]:
        each = "; ".join(
            f"{entry.model}/{entry.version} answers for {', '.join(map(horizon_words, horizons)) or 'no day'}"
            for entry, horizons in zip(entries, days_of_each, strict=True)
        )
        yield f"{each}. They are compared at {', '.join(map(horizon_words, days))}." if days else f"{each}. They have no day in common: only C is compared."
    for entry in entries:
        if entry.version in answers.misnamed:
            yield f"The registered numbers of {entry.model}/{entry.version} are not named by their days and are left out; penumbra doctor says more."


def _reclassified(pair: Pair, died: bool) -> Reclassified:
    first, second = pair.high[:, pair.outcomes.event == died]
    counts = [int(np.count_nonzero(moved)) for moved in (~first & ~second, ~first & second, first & ~second, first & second)]
    return Reclassified(pair.center, died, *counts)


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
    """Registered calibration of both versions at every center that either was measured at, and how many patients each was measured on there."""
    values = {(int(row["version"]), row["center"], row["metric"]): row["value"] for row in stored if row["metric"] in metrics}
    patients = {(int(row["version"]), row["center"]): row["n"] for row in stored if row["metric"] in metrics}
    numbers = [entry.version for entry in entries]
    places = sorted({(center, metric) for version, center, metric in values if version in numbers}, key=lambda place: (place[0], metrics.index(place[1])))
    return [
        {
            "center": center,
            "metric": metric,
            **{name: values.get((number, center, metric)) for name, number in zip(("first", "second"), numbers, strict=True)},
            **{f"{name}_n": patients.get((number, center)) for name, number in zip(("first", "second"), numbers, strict=True)},
        }
        for center, metric in places
    ]
