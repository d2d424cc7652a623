"""The report's tables: cells for the page, plain rows for CSV."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from penumbra.evaluate import MetricRow
from penumbra.report.groups import PanelNumbers
from penumbra.report.inputs import Baseline, CenterColumn, CenterFlow, KeptFeature, ModelRow, PaperValue, ReportInputs
from penumbra.report.words import ABSENT, count, interval, number, p_value, percent
from penumbra.survival.horizons import horizon_name, horizon_words

ALIVE_YEARS = (1, 2, 3)
MAX_FEATURES = 40  # of a model on the page: a ridge has thousands


@dataclass(frozen=True)
class Cell:
    """What a cell says, and what is shown below it in gray: the paper's value, or the size of a column's set. gray: the cell too, as of an apparent value."""

    text: str
    note: str = ""
    strong: bool = False
    gray: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Parameters
    ----------
    name
        File name without ending; csv holds the same numbers unrounded.
    words
        Number of leading columns that are words; the rest is aligned as numbers.
    """

    name: str
    caption: str
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    csv: str
    words: int = 1


def flow_table(flow: Sequence[CenterFlow]) -> Table:
    """Patients per center: found, excluded, accepted, deaths."""
    header = header_cells("center", "role", "found", "excluded", "accepted", "deaths")
    numbers = [(center.total, _excluded(center), center.accepted, center.events) for center in flow]
    roles = ["training" if center.training else "external test" for center in flow]
    rows = [(Cell(center.center), Cell(role), *(Cell(str(value)) for value in line)) for center, role, line in zip(flow, roles, numbers, strict=True)]
    if len(flow) > 1:
        rows.append((Cell("all", strong=True), Cell(""), *(Cell(str(sum(column)), strong=True) for column in zip(*numbers, strict=True))))
    text = csv_text(("center", "step", "patients"), [line for center in flow for line in _flow_lines(center)])
    return Table("cohort", "Patients per center, from the folder to the model.", header, tuple(rows), text, words=2)


def baseline_table(baseline: Baseline) -> Table:
    """What the patients of each group are like (the paper's Table 2)."""
    header = (Cell("", ""), *(Cell(name, count(n, "patient")) for name, n in zip(baseline.groups, baseline.sizes, strict=True)), Cell("p"), Cell("test"))
    rows, lines = [], []
    for row in baseline.rows:
        name = Cell(f"\u2003{row.level}" if row.level else row.variable, strong=row.level is None)
        rows.append((name, *(Cell(cell) for cell in row.cells), Cell("" if row.p is None else p_value(row.p)), Cell(row.test)))
        lines.append((row.variable, row.level or "", *row.cells, "" if row.p is None else row.p, row.test))
    cells_words = "Median (quartiles), median of a Kaplan-Meier curve (95 % CI), or patients (%)"
    caption = f"{cells_words}, with the difference between the groups; unknown values take no part in the tests."
    return Table("baseline", caption, header, tuple(rows), csv_text(("variable", "level", *baseline.groups, "p", "test"), lines))


def concordance_table(inputs: ReportInputs) -> Table:
    """Harrell's C with 95 % interval, every model on every center: cross-fitted first, apparent last; the paper's value in gray."""
    rows = []
    for model in inputs.models:
        strong = model.name == inputs.combined
        cells = [metric_cell(inputs.metrics, inputs.paper, model, column, "harrell_c", strong) for column in inputs.columns]
        rows.append((Cell(model.label, strong=strong), *cells))
    caption = (
        "Harrell's C with 95 % interval; 0.5 is chance. Cross-fitted: every model refitted without each fold of the training patients in turn, pairs of one"
        " center. In gray the apparent values, of fits that saw these patients, and the paper's on its own patients."
    )
    return Table("c_index", caption, (Cell("model"), *_sized_columns(inputs)), tuple(rows), metrics_csv(inputs, ("harrell_c", "harrell_c_se", "uno_c")))


def discrimination_table(inputs: ReportInputs) -> Table:
    """AUC at every horizon, hazard ratio and log-rank p of the served model per center."""
    model = next(model for model in inputs.models if model.name == inputs.combined)
    areas = _areas(inputs, "auc")
    header = header_cells("center", *areas.values(), "hazard ratio", "log-rank p")
    rows = []
    for column in measured_in(inputs, (*areas, "hazard_ratio")):
        measured = [metric_cell(inputs.metrics, inputs.paper, model, column, metric, False) for metric in (*areas, "hazard_ratio")]
        test = find_row(inputs.metrics, model.name, column, "log_rank_p")
        rows.append(of_set(column, (Cell(column.label), *measured, Cell(p_value(test.value) if test else ABSENT))))
    caption = f"{model.label}: AUC for death within {_listed(inputs)}, and high against low risk, with 95 % intervals. In gray the paper's values."
    return Table("combined", caption, header, tuple(rows), metrics_csv(inputs, (*areas, "hazard_ratio", "log_rank_p"), model.name))


def auc_table(inputs: ReportInputs) -> Table:
    """AUC at every horizon of every model on every center, in both definitions."""
    both = _areas(inputs, "auc") | {metric: f"{words}, weighted" for metric, words in _areas(inputs, "auc_ipcw").items()}
    rows = [
        of_set(column, (Cell(model.label), Cell(column.label), *(metric_cell(inputs.metrics, inputs.paper, model, column, metric, False) for metric in both)))
        for model in inputs.models
        for column in measured_in(inputs, tuple(both))
    ]
    caption = (
        f"AUC for death within {_listed(inputs)} with 95 % interval, every model: by the status at the horizon, who was censored earlier left out; "
        "and weighted by the inverse probability of not being censored."
    )
    return Table("auc", caption, header_cells("model", "center", *both.values()), tuple(rows), metrics_csv(inputs, tuple(both)), words=2)


def _areas(inputs: ReportInputs, metric: str) -> dict[str, str]:
    """Metric at each horizon -> what its column is called: "AUC 2 years"."""
    return {f"{metric}_{horizon_name(day)}": f"AUC {horizon_words(day)}" for day in inputs.measures.horizons_days}


def _listed(inputs: ReportInputs) -> str:
    """The horizons in words: "1 year, 2 years, 3 years"."""
    return ", ".join(map(horizon_words, inputs.measures.horizons_days))


def groups_table(panels: Sequence[PanelNumbers]) -> Table:
    """Risk groups per panel: patients, deaths, median survival and share alive at 1, 2, 3 years."""
    header = header_cells("set", "group", "patients", "deaths", "median (95 %), years", *(f"alive at {count(year, 'year')}" for year in ALIVE_YEARS))
    rows, lines = [], []
    for panel in panels:
        for curve in panel.curves:
            group = "high" if curve.high else "low"
            alive = [curve.alive_at(year) for year in ALIVE_YEARS]
            texts = [panel.title, group, str(curve.n), str(curve.events), curve.median_in_words, *(percent(share) for share in alive)]
            rows.append(tuple(Cell(text, gray=panel.apparent) for text in texts))
            tested = (*(panel.hazard_ratio or ("", "", "")), "" if panel.p is None else panel.p)
            lines.append((panel.title, group, curve.n, curve.events, curve.median, *curve.median_limits, *alive, *tested))
    alive_names = [f"alive_{year}y" for year in ALIVE_YEARS]
    names = ("set", "group", "patients", "deaths", "median_years", "median_lower", "median_upper", *alive_names, "hazard_ratio", "lower", "upper", "log_rank_p")
    caption = "Risk groups, split at the median risk of the training patients; a dash where follow-up ended earlier or the median or its limit was not reached."
    return Table("risk_groups", caption, header, tuple(rows), csv_text(names, lines), words=2)


def features_table(features: Sequence[KeptFeature], models: Sequence[ModelRow]) -> Table:
    """Every kept feature with its coefficient, by model; on the page the largest of a model that keeps hundreds."""
    labels = {model.name: model.label for model in models}
    place = {model.name: position for position, model in enumerate(models)}
    order = sorted(features, key=lambda feature: (place.get(feature.model, len(place)), -abs(feature.coefficient), feature.feature))
    largest = [entry for _, entries in groupby(order, key=lambda feature: feature.model) for entry in islice(entries, MAX_FEATURES)]
    rows = tuple(
        (
            Cell(labels.get(entry.model, entry.model)),
            Cell(entry.feature),
            Cell(number(entry.coefficient, 3)),
            *(Cell(p_value(p)) for p in (entry.p, entry.q)),
            Cell(percent(entry.selection_frequency)),
        )
        for entry in largest
    )
    names = ("model", "feature", "coefficient", "univariate_p", "adjusted_p", "kept_in_refits")
    text = csv_text(names, [(entry.model, entry.feature, entry.coefficient, entry.p, entry.q, entry.selection_frequency) for entry in order])
    caption = (
        f"{count(len(order), 'coefficient')}, in log hazard per standard deviation of the training patients; p of the univariate step, raw and adjusted "
        "after Benjamini and Hochberg; and how often bootstrap refits of the served model keep the feature."
    )
    if len(largest) < len(order):
        caption += f" The {MAX_FEATURES} largest of each model; the others are in the CSV."
    return Table("features", caption, header_cells("model", "feature", "coefficient", "p", "adjusted p", "kept in refits"), rows, text, words=2)


def plain_table(name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[object]], words: int = 1) -> Table:
    """A table of words and numbers: three digits on the page, all of them in the CSV."""
    cells = tuple(tuple(Cell(number(value, 3) if isinstance(value, float) else str(value)) for value in row) for row in rows)
    return Table(name, caption, header_cells(*header), cells, csv_text(tuple(header), rows), words=words)


def metric_cell(rows: Sequence[MetricRow], paper: Sequence[PaperValue], model: ModelRow, column: CenterColumn, metric: str, strong: bool) -> Cell:
    row = find_row(rows, model.name, column, metric)
    theirs = next((value for value in paper if (value.model, value.metric, value.split) == (model.name, metric, column.paper)), None)
    if row is not None and math.isfinite(row.value):
        text = interval(row)
    else:
        text = "no feature retained" if model.features == 0 else ABSENT
    notes = [row.reason if row is not None else "", _paper_words(theirs) if theirs else ""]
    return Cell(text, "; ".join(note for note in notes if note), strong, column.apparent)


def _paper_words(theirs: PaperValue) -> str:
    limits = f" ({number(theirs.lower)}–{number(theirs.upper)})" if theirs.lower is not None and theirs.upper is not None else ""
    return f"paper {number(theirs.value)}{limits}"


def find_row(rows: Sequence[MetricRow], model: str, column: CenterColumn, metric: str) -> MetricRow | None:
    return next((row for row in rows if (row.model, row.metric) == (model, metric) and belongs(row, column)), None)


def belongs(row: MetricRow, column: CenterColumn) -> bool:
    """Whether a row was measured on the set of a column, and in its way."""
    return row.center == column.center and column.split in ("", row.split)


def measured_in(inputs: ReportInputs, metrics: Sequence[str]) -> list[CenterColumn]:
    """The sets in which any of the metrics was measured: cross-fitted risks have some only."""
    return [column for column in inputs.columns if any(row.metric in metrics and belongs(row, column) for row in inputs.metrics)]


def of_set(column: CenterColumn, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells of a row of one set: gray where the fit saw its patients."""
    return tuple(replace(cell, gray=column.apparent) for cell in cells)


def header_cells(*names: str) -> tuple[Cell, ...]:
    return tuple(Cell(name) for name in names)


def _sized_columns(inputs: ReportInputs) -> list[Cell]:
    cells = []
    for column in inputs.columns:
        row = next((row for row in inputs.metrics if belongs(row, column)), None)
        size = f"{count(row.n, 'patient')}, {count(row.events, 'death')}" if row is not None else ""
        cells.append(Cell(column.label, size, gray=column.apparent))
    return cells


def _excluded(flow: CenterFlow) -> int:
    return sum(excluded for _, excluded in flow.excluded)


def _flow_lines(flow: CenterFlow) -> list[tuple[str, str, int]]:
    reasons = [(flow.center, f"excluded: {reason}", excluded) for reason, excluded in flow.excluded]
    flagged = [(flow.center, f"flagged: {remark}", remarked) for remark, remarked in flow.flagged]
    return [(flow.center, "found", flow.total), *reasons, (flow.center, "accepted", flow.accepted), *flagged, (flow.center, "deaths", flow.events)]


def metrics_csv(inputs: ReportInputs, metrics: Sequence[str], model: str | None = None) -> str:
    theirs = {(value.model, value.metric, value.split): value.value for value in inputs.paper}
    lines = []
    for row in inputs.metrics:
        if row.metric in metrics and model in (None, row.model):
            paper = next((column.paper for column in inputs.columns if belongs(row, column)), None)
            paper_value = theirs.get((row.model, row.metric, paper or ""), "")
            lines.append((row.model, row.center, row.split, row.metric, row.value, row.lower, row.upper, row.n, row.events, paper_value))
    return csv_text(("model", "center", "split", "metric", "value", "lower", "upper", "n", "events", "paper"), lines)


def csv_text(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if isinstance(value, float) and math.isnan(value) else value for value in line] for line in lines)
    return stream.getvalue()
