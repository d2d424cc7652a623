"""The report: one HTML page that needs nothing but itself, and next to it every figure as SVG and PNG and every table as CSV."""

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from penumbra.base.blocks import GTV
from penumbra.base.companion import Companion
from penumbra.base.whole_files import write_whole
from penumbra.report import curves, distribution, evidence, figures, forest, instability, learning, served, slices, stability, subgroups, tables
from penumbra.report.audit import write_placeholder
from penumbra.report.checks import by_guideline, checklist_table
from penumbra.report.groups import PanelNumbers, panel_numbers
from penumbra.report.ink import Rendered
from penumbra.report.inputs import ReportInputs, RiskPanel
from penumbra.report.sample_size import sample_size_table, sample_statement
from penumbra.report.tables import Table, find_row
from penumbra.report.templates import rendered
from penumbra.report.words import interval, number
from penumbra.survival.horizons import horizon_name

PAGE = "index.html"
SHARED = "report.html"  # the page without single patients
BEYOND_LIMITS = "beyond_limits"  # share of probabilities that were beyond the limits of what is shown, as a metric
Jobs = dict[str, list[Callable[[], Any]]]  # field of the contents -> what draws each of its figures
MAX_BEYOND = 0.01  # of these: more would be reached by clipping alone


@dataclass(frozen=True)
class Contents:
    """Everything drawn for one report; the page shows it, `write_report` also writes it out."""

    flow: tuple[Rendered, ...]
    concordance: tuple[Rendered, ...]
    survival: tuple[Rendered, ...]
    coefficients: tuple[Rendered, ...]
    tables: dict[str, Table]
    slices: tuple[Rendered, ...] = ()
    roc: tuple[Rendered, ...] = ()
    roc_deep: tuple[Rendered, ...] = ()
    calibration: tuple[Rendered, ...] = ()
    decision: tuple[Rendered, ...] = ()
    forest: tuple[Rendered, ...] = ()
    subgroups: tuple[Rendered, ...] = ()
    heat_map: tuple[Rendered, ...] = ()
    learning: tuple[Rendered, ...] = ()
    maps: tuple[Rendered, ...] = ()
    distribution: tuple[Rendered, ...] = ()
    subgroup_measures: tuple[Rendered, ...] = ()
    instability: tuple[Rendered, ...] = ()
    stability: tuple[Rendered, ...] = ()

    @property
    def figures(self) -> tuple[Rendered, ...]:
        """Every figure, in the order of the fields."""
        return tuple(figure for each in fields(self) if each.name != "tables" for figure in getattr(self, each.name))


def write_report(
    inputs: ReportInputs,
    folder: Path,
    shared: Path | None = None,
    *,
    others: Companion | None = None,
    completed: Callable[[ReportInputs], ReportInputs] | None = None,
) -> Path:
    """Write the report into `folder` (made when absent) and return the page's path; the same inputs give the same bytes.

    The page is written last and atomically: a reader who opens it during a rerun sees the old or the new one.

    Parameters
    ----------
    shared
        A folder for the page and the figures without single patients, for readers who may not know who they are; None: it is not written.
    others
        A process that draws next to this one; None: none.
    completed
        Gives the inputs with the pictures of patients and networks, which may be made while the other figures are drawn; None: they have them.
    """
    if others is None:
        with Companion() as others:
            return write_report(inputs, folder, shared, others=others, completed=completed)
    contents = draw(inputs, others, pictures=completed is None)
    if completed is not None:
        inputs = completed(inputs)
        pictures: dict[str, Any] = dict(_drawn(_pictures(inputs), others))
        contents = replace(contents, **pictures)
    folder.mkdir(parents=True, exist_ok=True)
    for figure in contents.figures:
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
        (folder / f"{figure.name}.png").write_bytes(figure.png)
    for table in contents.tables.values():
        (folder / f"{table.name}.csv").write_text(table.csv, encoding="utf-8")
    write_placeholder(folder, inputs.card.label)
    if shared is not None:
        aggregates = replace(contents, slices=(), maps=())
        for figure in aggregates.figures:
            (shared / f"{figure.name}.png").write_bytes(figure.png)
        (shared / SHARED).write_text(html(replace(inputs, slices=(), maps=()), aggregates), encoding="utf-8")
    return write_whole(folder / PAGE, html(inputs, contents))


def draw(inputs: ReportInputs, others: Companion, *, pictures: bool = True) -> Contents:
    """All figures and tables of a report; `pictures`: those of patients and networks as well."""
    panels = [panel_numbers(panel) for panel in inputs.survival]
    main = [panel for panel in inputs.panels if panel.model == inputs.combined]
    groups = [(panel, forest.subgroup_numbers(panel)) for panel in main]
    measured = [(panel, subgroups.subgroup_measures(panel, inputs.measures)) for panel in main]
    with_rows: Jobs = {
        name: [partial(_of_panel, one, panel, inputs.measures, _label(inputs, panel), f"{name}_{place}") for place, panel in enumerate(main, 1)]
        for name, one in (("calibration", curves.calibration), ("decision", curves.decision), ("risk_by_outcome", distribution.distribution))
    }
    drawn = _drawn({**_figures(inputs, panels, main, groups, measured), **(_pictures(inputs) if pictures else {}), **with_rows}, others)
    rows = {name: [row for _, entries in drawn[name] for row in entries] for name in with_rows}
    calibration, decision, risk_by_outcome = (tuple(figure for figure, _ in drawn.pop(name)) for name in with_rows)
    all_tables = (
        curves.calibration_table(rows["calibration"]),
        curves.decision_table(rows["decision"]),
        distribution.distribution_table(rows["risk_by_outcome"]),
        forest.subgroups_table(groups),
        subgroups.measures_table(measured, inputs.measures),
        *(table for table in (served.candidates_table(inputs), served.falsifiers_table(inputs)) if table),
        *((sample_size_table(inputs.demands, {model.name: model.label for model in inputs.models}),) if inputs.demands else ()),
        *((instability.instability_table(inputs.instability),) if inputs.instability else ()),
        *((stability.stability_table(inputs.stability),) if inputs.stability else ()),
        *((forest.loadings_table(inputs.loadings),) if inputs.loadings else ()),
        evidence.calibration_summary(inputs),
        evidence.increments_table(inputs),
        evidence.across_table(inputs),
        checklist_table(inputs.checklist),
        tables.flow_table(inputs.flow),
        *((tables.baseline_table(inputs.baseline),) if inputs.baseline else ()),
        tables.concordance_table(inputs),
        tables.discrimination_table(inputs),
        tables.groups_table(panels),
        tables.auc_table(inputs),
        tables.features_table(inputs.features, inputs.models),
    )
    of_panels: dict[str, Any] = {"calibration": calibration, "decision": decision, "distribution": risk_by_outcome}
    return Contents(tables={table.name: table for table in all_tables}, **of_panels, **drawn)


def _drawn(jobs: Jobs, others: Companion) -> dict[str, tuple[Any, ...]]:
    """What the jobs return, drawn by this process and the one next to it."""
    figures = iter(others.each([job for of_field in jobs.values() for job in of_field]))
    return {field: tuple(next(figures) for _ in of_field) for field, of_field in jobs.items()}


def _figures(
    inputs: ReportInputs,
    panels: Sequence[PanelNumbers],
    main: Sequence[RiskPanel],
    groups: Sequence[tuple[RiskPanel, Sequence[PanelNumbers]]],
    measured: Sequence[tuple[RiskPanel, Sequence[subgroups.SubgroupMeasures]]],
) -> Jobs:
    """The figures of numbers."""
    combined = next(model for model in inputs.models if model.name == inputs.combined)
    combined_features = [feature for feature in inputs.features if feature.model == inputs.combined]
    return {
        "flow": [partial(figures.cohort_flow, flow, f"flow_{place}") for place, flow in enumerate(inputs.flow, 1)],
        "concordance": [
            partial(figures.concordance, column, inputs.models, inputs.metrics, inputs.paper, inputs.combined, f"c_index_{place}")
            for place, column in enumerate(inputs.columns, 1)
        ],
        "survival": [partial(_grayed, panel.apparent, figures.kaplan_meier, panel, f"kaplan_meier_{place}") for place, panel in enumerate(panels, 1)],
        "coefficients": [partial(figures.coefficients, combined_features, combined.label, "coefficients")] if combined_features else [],
        "roc": [_roc(inputs, panel, f"roc_{place}") for place, panel in enumerate(main, 1)],
        "roc_deep": [_roc(inputs, panel, f"roc_deep_{place}") for place, panel in enumerate((p for p in inputs.panels if p.model != inputs.combined), 1)],
        "forest": [
            partial(_grayed, panel.column.apparent, forest.forest, panel, numbers, _paper(inputs, panel, "hazard_ratio"), f"hazard_ratios_{place}")
            for place, (panel, numbers) in enumerate(groups, 1)
        ],
        "subgroups": [
            partial(_grayed, panel.column.apparent, figures.kaplan_meier, replace(entry, title=f"{panel.title}: {entry.title}"), f"subgroup_{place}_{level}")
            for place, (panel, numbers) in enumerate(groups, 1)
            if panel.center in inputs.shown_in_subgroups
            for level, entry in enumerate(numbers[1:], 1)
        ],
        "heat_map": [partial(forest.heat_map, inputs.loadings, combined.label, "loadings")] if inputs.loadings else [],
        "subgroup_measures": [
            partial(_grayed, panel.column.apparent, subgroups.measures_forest, panel, entries, f"subgroup_measures_{place}")
            for place, (panel, entries) in enumerate(measured, 1)
        ],
        "instability": [partial(instability.instability, inputs.instability, combined.label, "instability")] if inputs.instability else [],
        "stability": [partial(stability.heat_map, each, f"stability_{place}") for place, each in enumerate(inputs.stability, 1)],
    }


def _pictures(inputs: ReportInputs) -> Jobs:
    """The figures of patients and networks."""
    return {
        "slices": [partial(slices.axial_slice, picture, inputs.window_hu, f"slice_{place}") for place, picture in enumerate(inputs.slices, 1)],
        "learning": [partial(learning.curves, inputs.learning, "learning")] if inputs.learning else [],
        "maps": [partial(learning.risk_map, each, inputs.window_hu, f"map_{place}") for place, each in enumerate(inputs.maps, 1)],
    }


def _of_panel(draw_one: Callable[..., Any], panel: RiskPanel, *arguments: Any) -> tuple[Rendered, list[tuple[object, ...]]]:
    figure, rows = draw_one(panel, *arguments)
    return replace(figure, apparent=panel.column.apparent), rows


def _grayed(apparent: bool, draw_one: Callable[..., Rendered], *arguments: Any) -> Rendered:
    """A figure, gray on the page where the fit saw its patients."""
    return replace(draw_one(*arguments), apparent=apparent)


def _roc(inputs: ReportInputs, panel: RiskPanel, name: str) -> Callable[[], Rendered]:
    theirs = [_paper(inputs, panel, f"auc_{horizon_name(day)}") for day in inputs.measures.horizons_days]
    return partial(_grayed, panel.column.apparent, curves.roc, panel, inputs.measures, _label(inputs, panel), theirs, name)


def _label(inputs: ReportInputs, panel: RiskPanel) -> str:
    return next(model.label for model in inputs.models if model.name == panel.model)


def _paper(inputs: ReportInputs, panel: RiskPanel, metric: str) -> float | None:
    """The paper's value of a panel's model, where the panel's set compares with one of the paper's."""
    return next((value.value for value in inputs.paper if (value.model, value.metric, value.split) == (panel.model, metric, panel.column.paper)), None)


def html(inputs: ReportInputs, contents: Contents) -> str:
    """The page itself."""
    return rendered(
        "page.html",
        {"embedded": _embedded},
        inputs=inputs,
        contents=contents,
        headline=_headline(inputs),
        first_sentence=served.first_sentence(inputs),
        sample=_sample(inputs),
        beyond_limits=_beyond_limits(inputs),
        max_beyond=MAX_BEYOND,
        pictures=list(zip(inputs.slices, contents.slices, strict=True)),
        maps=list(zip(inputs.maps, contents.maps, strict=True)),
        contour_colors={
            "GTV" if roi == GTV else slices.roi_words(roi): color
            for roi, (color, _) in slices.contour_styles({roi for picture in inputs.slices for roi in picture.rings}).items()
        },
        max_bars=figures.MAX_BARS,
        max_rows=forest.MAX_ROWS,
        guidelines=by_guideline(inputs.checklist),
        ablation=inputs.ablation,
    )


def _headline(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Harrell's C of the served model on each column, as the numbers one reads first."""
    values = [(column, find_row(inputs.metrics, inputs.combined, column, "harrell_c")) for column in inputs.columns]
    return [
        {"label": column.label, "value": interval(row), "n": row.n, "events": row.events, "apparent": column.apparent}
        for column, row in values
        if row is not None
    ]


def _sample(inputs: ReportInputs) -> str:
    """What the training patients carry, and what the served model asks of them; "" where it was not counted."""
    return "" if inputs.sample is None else sample_statement(inputs.sample, inputs.demands, inputs.combined, inputs.measures.sample_size_c)


def _beyond_limits(inputs: ReportInputs) -> list[str]:
    """On each set, how many of the probabilities lay beyond the limits that are shown, before the limits were applied."""
    rows = [(column, find_row(inputs.metrics, inputs.combined, column, BEYOND_LIMITS)) for column in inputs.columns]
    shares = [(column.label, row.value) for column, row in rows if row is not None and math.isfinite(row.value)]
    return [f"{label} {number(100 * share, 1)} %{' (too many)' if share > MAX_BEYOND else ''}" for label, share in shares]


def _embedded(figure: Rendered) -> str:
    return f"data:image/png;base64,{base64.b64encode(figure.png).decode('ascii')}"
