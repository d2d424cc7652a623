"""`penumbra compare`: versions side by side as text for a terminal, as JSON, and two of them as a page with overlaid figures."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base import layout, tables
from penumbra.base.cells import p_value
from penumbra.base.json_values import without_nan
from penumbra.commands.models import APPARENT
from penumbra.evaluate import EXTERNAL
from penumbra.pipeline import in_use
from penumbra.pipeline.comparison import Comparison, Standings, compare
from penumbra.pipeline.workspace import Work
from penumbra.registry import RegisteredVersion
from penumbra.report import overlay, site
from penumbra.report.inputs import Measures
from penumbra.report.sections import Section, write_sections
from penumbra.report.side_by_side import difference_words, mark, measure_words, who_predicts_better
from penumbra.report.words import metric_words, number
from penumbra.survival.horizons import horizon_name, middle

MAX_DIFFERENCES = 12  # of one kind in the terminal; the page and JSON have all
FOOTER = "penumbra compare; research software, not a medical device."
RIGHT = "Observed over expected deaths and the slope are right at 1; the Brier score is better when lower."
OTHER_SET = "†"  # marks values of two versions that are of different patients
SHOWN_CELL = 48  # letters of a value in a table of differences


def shown(work: Work, versions: Sequence[str], form: str = "table", *, as_of: str | None = None) -> str | tables.Answer:
    """What `penumbra compare` prints of registered versions; of two it writes a page as well.

    Parameters
    ----------
    form
        Table or json: text; of the others the paired measures, or the standings, for `tables.write`.
    versions
        Numbers, aliases, experiments of DVC or git revisions; of the model that params.yaml names, or of another one with its name: nsclc-pfs/3.
    as_of
        A registered version or a commit whose predictions and outcomes are compared, without a page; None: now.

    Raises
    ------
    Refusal
        Of `pipeline.comparison.compare`; "version_then" for a version that was not registered by that commit.
    """
    commit = None if as_of is None else store.commit_of(work.home, as_of)
    model = work.settings.register.model
    comparison = compare(work.home, versions if commit is None else _registered(work, versions, model, commit), work.settings.evaluate, model, as_of=commit)
    if isinstance(comparison, Standings):
        rows = [asdict(row) for row in comparison.rows]
        if form == "json":
            return _json(without_nan(rows))
        return standing_table(comparison) if form == "table" else rows_of(comparison)
    page = None if commit is not None else write_page(work, comparison)
    if form == "json":
        return _json(comparison.document() | ({"page": str(page)} if page else {}))
    return text(comparison) + (f"\n\npage  {page}" if page else "") if form == "table" else rows_of(comparison)


def rows_of(comparison: Comparison | Standings) -> tables.Answer:
    """What other programs get: the paired measures of two versions, the standings of others."""
    return tables.Answer.of([asdict(row) for row in (comparison.rows if isinstance(comparison, Standings) else comparison.paired)])


def _registered(work: Work, versions: Sequence[str], model: str, commit: int) -> list[str]:
    """What some names meant at a commit; of none, every version that was registered by then."""
    with store.connect(work.home, read_only=True, as_of=commit) as lake:
        if not versions:
            then, now = in_use.registered_then(lake, model), registry.versions(work.home, model)
            return [] if all(entry.version in then for entry in now) else [f"{model}/{version}" for version in sorted(then)]
        entries = [in_use.find_then(work.home, lake, version, model) for version in versions]
    return [f"{entry.model}/{entry.version}" for entry in entries]


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, allow_nan=False)


def standing_table(standings: Standings) -> str:
    """One line per version, one column per center: C, and the difference from the first version with its p."""
    entries = standings.entries
    apparent = {row.center: True for row in standings.rows} | {row.center: False for row in standings.rows if not row.fitted}
    centers = sorted(dict.fromkeys(row.center for row in standings.rows), key=lambda center: apparent[center])  # those that trained every version come last
    inside = {row.version: f"{number(row.c, 3)}" for row in standings.inside}
    standing_of = {(row.version, row.center): row for row in standings.rows}
    sizes = {row.center: row.n for row in standings.rows}

    def cell(entry: RegisteredVersion, center: str) -> str:
        row = standing_of.get((entry.version, center))
        if row is None or not math.isfinite(row.c):
            return "-"
        concordance = f"{row.c:.3f}{' *' if row.fitted else ''}"
        return concordance if entry is entries[0] else f"{concordance}\n{row.difference:+.3f} p {p_value(row.p)}"

    body = [[entry.label, ", ".join(entry.train_centers), inside.get(entry.version, "-"), *(cell(entry, center) for center in centers)] for entry in entries]
    first = f" +/-: against {entries[0].label} on the same patients, paired bootstrap." if len(entries) > 1 else ""
    header = ["version", "trained on", "C inside", *(f"C {center}\nn {sizes[center]}" for center in centers)]
    footnote = [_wrapped(f"inside: cross-fitted on the training centers. {APPARENT}.{first}")]
    return "\n".join([tables.render(header, body, rows_named=True), "", *footnote])


def text(comparison: Comparison) -> str:
    """Two versions for a terminal."""
    shown = ["harrell_c", *(f"{metric}_{horizon_name(day)}" for day in middle(comparison.days) for metric in ("auc", "brier", "calibration"))]
    one, other = comparison.first.version, comparison.second.version
    parts = [_inside(comparison)] if comparison.inside else []
    parts.append(f"{comparison.first.label} and {comparison.second.label}, on the patients both scored")
    for metric in shown:
        rows = [row for row in comparison.paired if row.metric == metric]
        body = [
            [
                row.center + mark(comparison.fitted, row.center),
                row.n,
                row.events,
                number(row.first, 3),
                number(row.second, 3),
                difference_words(row),
                p_value(row.p),
            ]
            for row in rows
        ]
        if rows:
            header = ["center", "n", "died", str(one), str(other), f"{other} minus {one} (95 %)", "p"]
            parts.append(tables.render(header, body, measure_words(metric, comparison.days)))
    parts.append(
        _wrapped(
            "* fitted on some of these patients: optimistic value. Brier score and calibration, |log(observed / predicted deaths)|, are better when lower."
        )
    )
    parts += map(_wrapped, remarks(comparison))
    moved = [[row.center, "died" if row.died else "alive", row.stayed_low, row.raised, row.lowered, row.stayed_high] for row in comparison.reclassified]
    parts.append(tables.render(["risk group", "outcome", "low in both", f"raised by {other}", f"lowered by {other}", "high in both"], moved))
    if comparison.calibration:
        header = ["patients of", "calibration as registered", str(one), str(other)]
        parts.append(f"{tables.render(header, list(_registered_calibration(comparison)))}\n\n{_wrapped(RIGHT)}")
    people = [[row["center"], row["first"], row["second"], row["added"], row["removed"]] for row in comparison.patients]
    parts.append(tables.render(["trained on", f"patients {one}", f"patients {other}", "added", "removed"], people))
    parts.append(_differences(comparison))
    return "\n\n".join(parts)


def _inside(comparison: Comparison) -> str:
    """Each version on its own training patients, cross-fitted."""
    body = [[row.version, *cells] for row, cells in zip(comparison.inside, _inside_cells(comparison), strict=True)]
    return "Inside the training centers of each, cross-fitted\n\n" + tables.render(["version", "C (95 %)", "C minus volume's (95 %)"], body)


def _inside_cells(comparison: Comparison) -> list[tuple[str, str]]:
    """C and its difference from volume of each version that has them."""
    return [
        (
            f"{number(row.c, 3)} ({number(row.lower, 3)} to {number(row.upper, 3)})",
            f"{row.versus_volume:+.3f} ({row.versus_lower:+.3f} to {row.versus_upper:+.3f})" if math.isfinite(row.versus_volume) else "-",
        )
        for row in comparison.inside
    ]


def _registered_calibration(comparison: Comparison) -> Iterator[list[str]]:
    """One line per center and measure, the center named once: both registered values."""
    before = None
    for row in _distinct(comparison):
        values = ("-" if row[name] is None else f"{row[name]:.2f}" for name in ("first", "second"))
        yield ["" if row["center"] == before else row["center"], metric_words(row["metric"]), *values]
        before = row["center"]


def _wrapped(sentence: str) -> str:
    return "\n".join(layout.wrap(sentence, tables.terminal_width())[0])


def _distinct(comparison: Comparison) -> list[dict[str, Any]]:
    """The registered calibration, without the pool of the centers outside where that is one center: every value would be there twice."""
    outside = {row["center"] for row in comparison.calibration if not any(comparison.fitted.get(row["center"], (False, False)))} - {EXTERNAL}
    return [row for row in comparison.calibration if row["center"] != EXTERNAL or len(outside) != 1]


def _set(row: Mapping[str, Any]) -> str:
    """The patients that a registered value is of, with how many, and a mark where the two versions have other ones."""
    first, second = row["first_n"], row["second_n"]
    if first == second:
        return f"{row['center']}, {first} patients"
    return f"{row['center']}, {' and '.join('none' if n is None else str(n) for n in (first, second))} patients {OTHER_SET}"


def _differences(comparison: Comparison) -> str:
    kinds: dict[str, list[list[str]]] = {}
    for row in comparison.differences:
        kinds.setdefault(row.aspect, []).append([row.aspect, row.name, _short(row.first), _short(row.second)])
    body = [line for lines in kinds.values() for line in lines[:MAX_DIFFERENCES]]
    left_out = {kind: len(lines) - MAX_DIFFERENCES for kind, lines in kinds.items() if len(lines) > MAX_DIFFERENCES}
    table = tables.render(["differs", "", str(comparison.first.version), str(comparison.second.version)], body) if body else "Nothing else differs."
    return table + "".join(f"\n... {more} more of {kind}; --format json has all" for kind, more in left_out.items())


def _short(value: str) -> str:
    return value if len(value) <= SHOWN_CELL else f"{value[: SHOWN_CELL - 3]}..."


def write_page(work: Work, comparison: Comparison) -> Path:
    """The page of two versions in reports/compare-<first>-<second>/."""
    title = f"{comparison.first.label} and {comparison.second.label}"
    of = "" if comparison.first.model == work.settings.register.model else f"{comparison.first.model}-"
    folder = work.home / "reports" / f"compare-{of}{comparison.first.version}-{comparison.second.version}"
    path = write_sections(folder / "index.html", title, "Two registered versions", remarks(comparison), sections(work, comparison), FOOTER)
    site.link(work.home)
    return path


def remarks(comparison: Comparison) -> list[str]:
    """What has to be known before the numbers are read."""
    unscored = [f"Not compared, since one of the two has not scored them: {', '.join(comparison.unscored)}."] if comparison.unscored else []
    return [*comparison.remarks, *unscored]


def sections(work: Work, comparison: Comparison) -> list[Section]:
    """The sections of the page of two versions, with their figures drawn."""
    numbers, labels = work.settings.evaluate, (comparison.first.label, comparison.second.label)
    figures = overlay.overlaid(comparison.pairs, Measures.of(numbers, comparison.days))
    moved = tuple((row.center, "died" if row.died else "alive", row.stayed_low, row.raised, row.lowered, row.stayed_high) for row in comparison.reclassified)
    people: tuple[tuple[Any, ...], ...] = tuple((row["center"], row["first"], row["second"], row["added"], row["removed"]) for row in comparison.patients)
    registered = tuple(
        (_set(row), metric_words(row["metric"]), *(number(math.nan if row[name] is None else row[name], 3) for name in ("first", "second")))
        for row in sorted(_distinct(comparison), key=lambda row: not any(comparison.fitted.get(row["center"], (False, False))))  # inside first
    )
    differ = any(row["first_n"] != row["second_n"] for row in comparison.calibration)
    inside = Section(
        "Inside the training centers",
        "Each version on its own training patients, cross-fitted: refitted without each fold in turn.",
        ("version", "C (95 %)", "C minus volume's (95 %)"),
        tuple((row.version, *cells) for row, cells in zip(comparison.inside, _inside_cells(comparison), strict=True)),
    )
    return [
        *([inside] if comparison.inside else []),
        who_predicts_better(
            comparison.paired,
            labels,
            comparison.fitted,
            f"The same patients, the same {numbers.bootstraps} resamples. Hollow dots and *: one of the two was fitted on some of these patients, so its value"
            " is optimistic. Brier score and calibration, |log(observed / predicted deaths)|, are better when lower.",
            comparison.days,
        ),
        Section("ROC", "First version: solid blue; second: dashed vermilion.", figures=figures.roc),
        Section(
            "Calibration",
            "Points on the dotted line are right. The table shows registered values. Observed over expected near 1 at a slope near 0: right on average alone."
            + (f" {OTHER_SET}: the two versions were not measured on the same patients, so their values differ for that alone." if differ else ""),
            ("patients of", "measure", *labels),
            registered,
            2,
            figures.calibration,
        ),
        Section("Survival by risk group", "Each version's own cut-off; thick lines are its high risk.", figures=figures.survival),
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
            tuple((row.aspect, row.name, row.first, row.second) for row in comparison.differences),
            4,
        ),
    ]
