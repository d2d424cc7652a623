"""How versions side by side are shown: as text for a terminal, as JSON, and two of them as a page with overlaid figures."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penumbra import registry
from penumbra.base import tables
from penumbra.base.cells import p_value
from penumbra.base.refusal import Refusal
from penumbra.evaluate import Evaluating
from penumbra.evaluate.paired import PairedRow
from penumbra.pipeline import experiments
from penumbra.pipeline.comparison import Comparison, Standing, as_json, compare_many, compare_two, sets
from penumbra.pipeline.workspace import Work
from penumbra.registry import RegisteredVersion
from penumbra.report import overlay
from penumbra.report.inputs import Measures
from penumbra.report.sections import Section, write_sections
from penumbra.report.words import number
from penumbra.report.words import p_value as p_in_words
from penumbra.survival.horizons import horizon_name, horizon_words

WORDS = {"harrell_c": "C", "auc": "AUC", "brier": "Brier score", "calibration": "calibration"}
MOST_DIFFERENCES = 12  # of one kind in the terminal; the page and JSON have all
FOOTER = "penumbra compare; research software, not a medical device."
SHOWN_CELL = 48  # letters of a value in a table of differences


def compare(work: Work, versions: Sequence[str], form: str = "table") -> str | tables.Answer:
    """Registered versions side by side: two in depth with a page, one or more than two (none named: all) by their C at every center.

    Parameters
    ----------
    form
        Table or json: text; of the others the paired measures, or the standings, for `tables.write`.
    versions
        Numbers, aliases, experiments of DVC or git revisions; of the model that params.yaml names, or of another one with its name: nsclc-pfs/3.
    """
    numbers, model = work.settings.evaluate, work.settings.register.model
    if len(versions) == 2:
        found = compare_two(work.home, versions[0], versions[1], numbers, model)
        page = write_page(work, found)
        if form not in ("table", "json"):
            return tables.Answer.of([asdict(row) for row in found.paired])
        return as_json({**found.document(), "page": str(page)}) if form == "json" else f"{text(found, numbers)}\n\npage  {page}"
    entries = [experiments.find(work.home, version, model) for version in versions] or registry.versions(work.home, model)
    if len(versions) == 1:
        others = [str(each.version) for each in registry.versions(work.home, entries[0].model) if each.version != entries[0].version]
        known = f"name a second one ({', '.join(others)}), or none to see all" if others else "it is the only one that is registered: penumbra compare shows it"
        raise Refusal("versions_differ", f"one version, {named(entries[0])}, and nothing to compare it with", known)
    if not entries:
        raise Refusal("model_registered", f"no version of {model} is registered", "run penumbra run first")
    standings = compare_many(work.home, entries, numbers)
    if form == "json":
        rows = [asdict(row) for row in standings]
        return as_json([{name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()} for row in rows])
    return standing_table(entries, standings) if form == "table" else tables.Answer.of([asdict(row) for row in standings])


def named(entry: RegisteredVersion) -> str:
    """ "nsclc-os/2 (champion)"."""
    return f"{entry.model}/{entry.version}" + (f" ({', '.join(entry.aliases)})" if entry.aliases else "")


def standing_table(entries: Sequence[RegisteredVersion], standings: Sequence[Standing]) -> str:
    """One line per version, one column per center: C, and the difference from the first version with its p."""
    centers = list(dict.fromkeys(row.center for row in standings))
    found = {(row.version, row.center): row for row in standings}
    sizes = {row.center: row.n for row in standings}

    def cell(entry: RegisteredVersion, center: str) -> str:
        row = found.get((entry.version, center))
        if row is None or not math.isfinite(row.c):
            return "-"
        own = f"{row.c:.3f}{' *' if row.fitted else ''}"
        return own if entry is entries[0] else f"{own}\n{row.difference:+.3f} p {p_value(row.p)}"

    body = [[named(entry), ", ".join(entry.train_centers), *(cell(entry, center) for center in centers)] for entry in entries]
    first = f"+/-: against {named(entries[0])} on the same patients, paired bootstrap. " if len(entries) > 1 else ""
    return tables.render(["version", "trained on", *(f"C {center}\nn {sizes[center]}" for center in centers)], body) + f"\n\n* fitted on this center. {first}"


def text(found: Comparison, numbers: Evaluating) -> str:
    """Two versions for a terminal."""
    shown = ["harrell_c", *(f"{metric}_{horizon_name(day)}" for day in middle(found.scored.days) for metric in ("auc", "brier", "calibration"))]
    one, other = found.first.version, found.second.version
    parts = [f"{named(found.first)} and {named(found.second)}, on the patients both scored"]
    body = [
        [word(row.metric, found.scored.days), row.center + _mark(found, row.center), row.n, row.events, *_pair(row), _limits(row), p_value(row.p)]
        for metric in shown
        for row in found.paired
        if row.metric == metric
    ]
    parts.append(tables.render(["", "center", "n", "died", str(one), str(other), f"{other} minus {one} (95 %)", "p"], body))
    parts.append(
        "* fitted on some of these patients: optimistic value. Brier score and calibration, |log(observed / predicted deaths)|, are better when lower."
    )
    parts += found.remarks
    if found.unscored:
        parts.append(f"Not compared, since one of the two has not scored them: {', '.join(found.unscored)}.")
    moved = [[row.center, "died" if row.died else "alive", row.stayed_low, row.raised, row.lowered, row.stayed_high] for row in found.reclassified]
    parts.append(tables.render(["risk group", "outcome", "low in both", f"raised by {other}", f"lowered by {other}", "high in both"], moved))
    if found.calibration:
        parts.append(tables.render(["registered", *(metric.replace("_", " ") for metric in found.metrics)], _side_by_side(found)))
    people = [[row["center"], row["first"], row["second"], row["added"], row["removed"]] for row in found.patients]
    parts.append(tables.render(["trained on", f"patients {one}", f"patients {other}", "added", "removed"], people))
    parts.append(_differences(found))
    return "\n\n".join(parts)


def _side_by_side(found: Comparison) -> list[list[str]]:
    """One line per center: "first, second" of each registered measure of calibration."""

    def cell(center: str, metric: str) -> str:
        row = next((row for row in found.calibration if (row["center"], row["metric"]) == (center, metric)), None)
        return "-" if row is None else ", ".join("-" if row[name] is None else f"{row[name]:.2f}" for name in ("first", "second"))

    return [[center, *(cell(center, metric) for metric in found.metrics)] for center in dict.fromkeys(row["center"] for row in found.calibration)]


def _differences(found: Comparison) -> str:
    kinds: dict[str, list[list[str]]] = {}
    for row in found.differences:
        kinds.setdefault(row.aspect, []).append([row.aspect, row.name, _short(row.first), _short(row.second)])
    body = [line for lines in kinds.values() for line in lines[:MOST_DIFFERENCES]]
    left_out = {kind: len(lines) - MOST_DIFFERENCES for kind, lines in kinds.items() if len(lines) > MOST_DIFFERENCES}
    table = tables.render(["differs", "", str(found.first.version), str(found.second.version)], body) if body else "Nothing else differs."
    return table + "".join(f"\n... {more} more of {kind}; --format json has all" for kind, more in left_out.items())


def _short(value: str) -> str:
    return value if len(value) <= SHOWN_CELL else f"{value[: SHOWN_CELL - 3]}..."


def middle(horizons_days: Sequence[float]) -> Sequence[float]:
    """The horizon that is shown where there is room for one: the middle one, the earlier of two; none of none."""
    return horizons_days[(len(horizons_days) - 1) // 2 :][:1]


def word(metric: str, horizons_days: Sequence[float]) -> str:
    """A measure in words: "AUC, 2 years"; horizons_days: those that it may be named by."""
    name, _, suffix = metric.rpartition("_")
    return WORDS[metric] if metric in WORDS else f"{WORDS[name]}, {next(horizon_words(day) for day in horizons_days if horizon_name(day) == suffix)}"


def _mark(found: Comparison, center: str) -> str:
    return " *" if any(found.fitted.get(center, (False, False))) else ""


def _pair(row: PairedRow) -> list[float]:
    return [row.first, row.second]


def _limits(row: PairedRow) -> str:
    return f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})" if math.isfinite(row.difference) else row.reason


def measures_of(numbers: Evaluating, horizons_days: tuple[float, ...]) -> Measures:
    """The group `evaluate` as the figures take it, at some horizons."""
    return Measures(horizons_days, numbers.bootstraps, numbers.confidence, numbers.seed, numbers.calibration_groups, numbers.thresholds)


def paired_section(
    rows: Sequence[PairedRow], labels: tuple[str, str], fitted: dict[str, tuple[bool, bool]], words: str, horizons_days: Sequence[float]
) -> Section:
    """All paired measures as one table, with the figure of the differences of C."""
    body = tuple(
        (
            row.center + (" *" if any(fitted.get(row.center, (False, False))) else ""),
            word(row.metric, horizons_days),
            row.n,
            row.events,
            number(row.first, 3),
            number(row.second, 3),
            _limits(row),
            p_in_words(row.p),
        )
        for row in rows
    )
    header = ("center", "measure", "patients", "died", *labels, "difference (95 %)", "p")
    return Section("Who predicts better", words, header, body, 2, (overlay.differences(rows, fitted, labels, "difference"),))


def write_page(work: Work, found: Comparison) -> Path:
    """The page of two versions in reports/compare-<first>-<second>/."""
    numbers, days = work.settings.evaluate, found.scored.days
    measures = measures_of(numbers, days)
    labels = (named(found.first), named(found.second))
    panels = []
    for center, rows in sets(found.scored):
        here = found.scored.rows(rows)
        panels.append(overlay.Overlay(center, labels, here.event, here.time, here.log_risk, here.death, here.high))
    figures = {
        "roc": tuple(overlay.roc(panel, measures, day, f"roc_{i}") for i, panel in enumerate(panels, 1) for day in middle(days)),
        "calibration": tuple(overlay.calibration(panel, measures, day, f"calibration_{i}") for i, panel in enumerate(panels, 1) for day in middle(days)),
        "survival": tuple(overlay.survival(panel, f"survival_{i}") for i, panel in enumerate(panels, 1)),
    }
    moved = tuple((row.center, "died" if row.died else "alive", row.stayed_low, row.raised, row.lowered, row.stayed_high) for row in found.reclassified)
    people: tuple[tuple[Any, ...], ...] = tuple((row["center"], row["first"], row["second"], row["added"], row["removed"]) for row in found.patients)
    registered = tuple(
        (row["center"], row["metric"].replace("_", " "), *(number(math.nan if row[name] is None else row[name], 3) for name in ("first", "second")))
        for row in found.calibration
    )
    sections = [
        paired_section(
            found.paired,
            labels,
            found.fitted,
            f"The same patients, the same {numbers.bootstraps} resamples. Hollow dots and *: one of the two was fitted on some of these patients, so its value"
            " is optimistic. Brier score and calibration, |log(observed / predicted deaths)|, are better when lower.",
            days,
        ),
        Section("ROC", "First version: solid blue; second: dashed vermilion.", figures=figures["roc"]),
        Section(
            "Calibration",
            "Points on the dotted line are right. The table shows registered values.",
            ("center", "metric", *labels),
            registered,
            2,
            figures["calibration"],
        ),
        Section("Survival by risk group", "Each version's own cut-off; thick lines are its high risk.", figures=figures["survival"]),
        Section(
            "Patients whose risk group changed",
            f"Raised: low in {labels[0]}, high in {labels[1]}. For patients who died, moving up is correct; for the others, moving down.",
            ("center", "outcome", "low in both", "raised", "lowered", "high in both"),
            moved,
            2,
        ),
        Section("Training patients", "The patients that each version was fitted on.", ("center", *labels, "added", "removed"), people),
        Section(
            "What differs",
            "Parameters, data, settings, kept features and environment.",
            ("kind", "name", *labels),
            tuple((row.aspect, row.name, row.first, row.second) for row in found.differences),
            4,
        ),
    ]
    title = f"{labels[0]} and {labels[1]}"
    of = "" if found.first.model == work.settings.register.model else f"{found.first.model}-"
    folder = work.home / "reports" / f"compare-{of}{found.first.version}-{found.second.version}"
    unscored = [f"Not compared, since one of the two has not scored them: {', '.join(found.unscored)}."] if found.unscored else []
    return write_sections(folder / "index.html", title, "Two registered versions", [*found.remarks, *unscored], sections, FOOTER)
