"""The report: one HTML page that needs nothing but itself, and beside it every figure as SVG and PNG and every table as CSV."""

import base64
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from penumbra.report import figures, slices, tables
from penumbra.report.groups import panel_numbers
from penumbra.report.ink import Rendered
from penumbra.report.inputs import ReportInputs
from penumbra.report.tables import Table
from penumbra.report.words import interval

PAGE = "index.html"


@dataclass(frozen=True)
class Contents:
    """Everything drawn for one report; the page shows it, `write_report` also writes it out."""

    flow: tuple[Rendered, ...]
    concordance: tuple[Rendered, ...]
    survival: tuple[Rendered, ...]
    coefficients: tuple[Rendered, ...]
    slices: tuple[Rendered, ...]
    tables: dict[str, Table]

    @property
    def figures(self) -> tuple[Rendered, ...]:
        return (*self.flow, *self.concordance, *self.survival, *self.coefficients, *self.slices)


def write_report(inputs: ReportInputs, folder: Path) -> Path:
    """Write the report into `folder` (made when absent) and return the page's path; the same inputs give the same bytes.

    The page comes last and in one piece: whoever opens it during a rerun sees the old or the new one.
    """
    contents = draw(inputs)
    folder.mkdir(parents=True, exist_ok=True)
    for figure in contents.figures:
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
        (folder / f"{figure.name}.png").write_bytes(figure.png)
    for table in contents.tables.values():
        (folder / f"{table.name}.csv").write_text(table.csv, encoding="utf-8")
    unfinished = folder / f".{PAGE}.new"
    unfinished.write_text(html(inputs, contents), encoding="utf-8")
    return unfinished.replace(folder / PAGE)


def draw(inputs: ReportInputs) -> Contents:
    """All figures and tables of a report."""
    panels = [panel_numbers(panel) for panel in inputs.survival]
    combined = next(model for model in inputs.models if model.name == inputs.combined)
    kept = [feature for feature in inputs.features if feature.model == inputs.combined]
    shown = (
        tables.flow_table(inputs.flow),
        tables.concordance_table(inputs),
        tables.discrimination_table(inputs),
        tables.groups_table(panels),
        tables.auc_table(inputs),
        tables.features_table(inputs.features, inputs.models),
    )
    return Contents(
        flow=tuple(figures.cohort_flow(flow, f"flow_{place}") for place, flow in enumerate(inputs.flow, 1)),
        concordance=tuple(
            figures.concordance(column, inputs.models, inputs.metrics, inputs.paper, inputs.combined, f"c_index_{place}")
            for place, column in enumerate(inputs.columns, 1)
        ),
        survival=tuple(figures.kaplan_meier(panel, f"kaplan_meier_{place}") for place, panel in enumerate(panels, 1)),
        coefficients=(figures.coefficients(kept, combined.label, "coefficients"),) if kept else (),
        slices=tuple(slices.axial_slice(picture, inputs.window_hu, f"slice_{place}") for place, picture in enumerate(inputs.slices, 1)),
        tables={table.name: table for table in shown},
    )


def html(inputs: ReportInputs, contents: Contents) -> str:
    """The page itself."""
    import jinja2

    room = files("penumbra.report")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["embedded"] = _embedded
    template = environment.from_string(room.joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        inputs=inputs,
        contents=contents,
        css=room.joinpath("page.css").read_text(encoding="utf-8"),
        headline=_headline(inputs),
        pictures=list(zip(inputs.slices, contents.slices, strict=True)),
        contour_colours={roi: colour for roi, (colour, _) in slices.CONTOUR_STYLE.items()},
        most_bars=figures.MOST_BARS,
    )


def _headline(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Harrell's C of the combined model on each column, as the numbers one reads first."""
    found = {row.center: row for row in inputs.metrics if row.model == inputs.combined and row.metric == "harrell_c"}
    return [
        {"label": column.label, "value": interval(found[column.center]), "n": found[column.center].n, "events": found[column.center].events}
        for column in inputs.columns
        if column.center in found
    ]


def _embedded(figure: Rendered) -> str:
    return f"data:image/png;base64,{base64.b64encode(figure.png).decode('ascii')}"
