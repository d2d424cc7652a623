"""Two or more registered versions side by side, as `penumbra compare` has them; measured in the drawing process, one comparison at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from starlette.responses import Response

from penumbra import registry
from penumbra.base.refusal import Refusal
from penumbra.commands import compare
from penumbra.console.model import chosen_model, registered
from penumbra.console.visit import Visit
from penumbra.pipeline import in_use
from penumbra.pipeline.comparison import Comparison, Standings
from penumbra.pipeline.comparison import compare as measure
from penumbra.pipeline.workspace import Work
from penumbra.registry import Difference, RegisteredVersion
from penumbra.report import strips
from penumbra.report.card import limits
from penumbra.report.sections import Section
from penumbra.report.side_by_side import cells, mark
from penumbra.report.words import number, p_value
from penumbra.survival.horizons import horizon_name, middle

MAX_VERSIONS = 20
MAX_SHOWN = 25  # differences of one kind; the others are a click away
LEFT_OUT = ("Who predicts better", "What differs", "Inside the training centers")  # of the static page: this page draws them in its own way
ASPECTS = {
    "train_center": "training centers",
    "data": "data of a training center",
    "param": "parameters",
    "setting": "settings that compute features",
    "feature_version": "definitions of features",
    "model": "fitted models",
    "feature": "kept features",
    "environment": "packages",
}


@dataclass(frozen=True)
class Two:
    """Two versions as they are shown: no single patient is in it."""

    comparison: Comparison
    sections: tuple[Section, ...]
    remarks: tuple[str, ...]


def comparison(visit: Visit) -> Response:
    """The page of the versions that the query names."""
    named = [part for value in visit.values("versions") for part in value.replace(" ", ",").split(",") if part]
    model = chosen_model(visit)
    if len(named) > MAX_VERSIONS:
        raise Refusal("question", f"{len(named)} versions are named", f"compare at most {MAX_VERSIONS}")
    entries = [registered(visit, name, model) for name in named]
    entries = list({entry.version: entry for entry in entries}.values())
    versions = tuple(entry.version for entry in entries)
    of_model = entries[0].model if entries else model
    listed = visit.console.kept.get(("numbers", visit.as_of, of_model), lambda: _listed(visit, of_model))
    if len(versions) < 2:
        return visit.page(
            "compare_none.html",
            title="Compare versions",
            command="penumbra models" + (f" --model {model}" if model else ""),
            named=entries[0].model if entries else model or visit.console.settings.register.model,
            versions=listed,
            chosen=versions,
            model=model,
        )
    found = visit.console.measured.get(("compare", visit.as_of, entries[0].model, versions), lambda: _measured(visit, entries[0].model, versions))
    words = " ".join(f"{entries[0].model}/{version}" if model else str(version) for version in versions)
    shown: dict[str, Any] = {"command": f"penumbra compare {words}", "chosen": versions, "versions": listed, "model": model}
    if isinstance(found, Two):
        first, second = found.comparison.first, found.comparison.second
        return visit.page(
            "compare.html",
            title=f"{first.model}/{first.version} and {second.model}/{second.version}",
            two=found,
            entries=entries,
            rows=_paired(found.comparison),
            differences=_differences(found.comparison.differences),
            max_shown=MAX_SHOWN,
            inside=[
                (row.version, limits(row.c, row.lower, row.upper), _signed(row.versus_volume, row.versus_lower, row.versus_upper))
                for row in found.comparison.inside
            ],
            **shown,
        )
    return visit.page("compare_many.html", title=f"{len(versions)} versions of {entries[0].model}", entries=entries, columns=_many(found), **shown)


def _listed(visit: Visit, model: str | None) -> list[int]:
    """The numbers of what is registered, or was as of the commit of the page, the earliest first."""
    listed = [entry.version for entry in registry.versions(visit.home, model)]
    if visit.as_of is None or not listed:
        return listed
    with visit.store() as lake:
        then = in_use.registered_then(lake, model or visit.console.settings.register.model)
    return [version for version in listed if version in then]


def _measured(visit: Visit, model: str, versions: Sequence[int]) -> Two | Standings:
    work = Work(visit.home, visit.console.settings, "console")
    return visit.console.drawing.run(measured, work, [f"{model}/{version}" for version in versions], visit.as_of)


def measured(work: Work, versions: Sequence[str], as_of: int | None) -> Two | Standings:
    """What the page shows, without the patients behind it; counted as a look, as the command counts it."""
    found = measure(work.home, versions, work.settings.evaluate, as_of=as_of)
    if isinstance(found, Standings):
        return found
    sections = tuple(section for section in compare.sections(work, found) if section.title not in LEFT_OUT)
    return Two(replace(found, pairs=()), sections, tuple(compare.remarks(found)))


@dataclass(frozen=True)
class Row:
    """One measure of both versions on one set of patients."""

    center: str
    measure: str
    patients: int
    deaths: int
    first: str
    second: str
    difference: str
    p: str
    strip: str


def _paired(found: Comparison) -> list[Row]:
    """C, and the measures at the middle horizon; a value where one of the two was fitted is marked and hollow."""
    metrics = ["harrell_c", *(f"{name}_{horizon_name(day)}" for day in middle(found.days) for name in ("auc", "brier", "calibration"))]
    rows = [row for metric in metrics for row in found.paired if row.metric == metric]
    axes = {metric: strips.around([value for row in rows if row.metric == metric for value in (row.lower, row.upper)]) for metric in metrics}
    return [
        Row(
            *cells(row, found.fitted, found.days),
            strips.strip(axes[row.metric], (strips.Dot(row.difference, row.lower, row.upper, "hollow" if mark(found.fitted, row.center) else "ink"),), ""),
        )
        for row in rows
    ]


def _differences(rows: Sequence[Difference]) -> list[tuple[str, list[Difference]]]:
    return [(ASPECTS.get(aspect, aspect), list(group)) for aspect, group in groupby(rows, key=lambda row: row.aspect)]


def _many(found: Standings) -> list[tuple[str, list[tuple[RegisteredVersion, str, str]]]]:
    """Each center with every version's C, and the strip of its difference from the first."""
    axis = strips.around([value for row in found.rows for value in (row.lower, row.upper)])
    columns: list[tuple[str, list[tuple[RegisteredVersion, str, str]]]] = []
    if found.inside:
        inside = {row.version: limits(row.c, row.lower, row.upper) for row in found.inside}
        columns.append(("inside, cross-fitted", [(entry, inside.get(entry.version, "not known"), "") for entry in found.entries]))
    for center in dict.fromkeys(row.center for row in found.rows):
        rows = {row.version: row for row in found.rows if row.center == center}
        cells = []
        for entry in found.entries:
            row = rows.get(entry.version)
            first = entry is found.entries[0]
            words = "not scored" if row is None else f"{number(row.c, 3)}{' *' if row.fitted else ''}"
            if row is not None and not first:
                words += f"; {row.difference:+.3f}, p {p_value(row.p)}"
            drawn = (
                "" if row is None or first else strips.strip(axis, (strips.Dot(row.difference, row.lower, row.upper, "hollow" if row.fitted else "ink"),), "")
            )
            cells.append((entry, words, drawn))
        columns.append((center, cells))
    return columns


def _signed(value: float, lower: float, upper: float) -> str:
    return f"{value:+.3f} ({lower:+.3f} to {upper:+.3f})" if value == value else "not known"
