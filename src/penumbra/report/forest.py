"""Hazard ratios of the risk groups, overall and in subgroups, as a forest plot; and the loadings of the components as a heat map."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penumbra.report import ink
from penumbra.report.figures import feature_words
from penumbra.report.groups import PanelNumbers, panel_numbers
from penumbra.report.ink import BLUE, INK, MUTED, WIDTH_IN, Rendered, render
from penumbra.report.inputs import Loadings, RiskPanel, SurvivalPanel
from penumbra.report.tables import Cell, Table, csv_text, header_cells, plain_table
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import count, number, p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = (0.1, 30.0)  # hazard ratios beyond are cut, with an arrow
MAX_ROWS = 45


def subgroup_numbers(panel: RiskPanel) -> list[PanelNumbers]:
    """Everybody, then every subgroup, each with curves, hazard ratio and log-rank test; titles name the level."""
    everybody = ("", "all", np.ones(panel.event.size, dtype=bool))
    apparent = panel.column.apparent
    levels = (everybody, *panel.subgroups)
    return [panel_numbers(SurvivalPanel(level, panel.event[rows], panel.time[rows], panel.high_risk[rows], apparent)) for _, level, rows in levels]


def forest(panel: RiskPanel, numbers: Sequence[PanelNumbers], paper: float | None, name: str) -> Rendered:
    """Hazard ratio, high against low risk, with limits on a log scale; hollow: the paper's overall."""
    with ink.style():
        figure = _figure(0.27 * len(numbers) + 0.95)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.axvline(1, color=MUTED, linewidth=0.9, linestyle=":")
        lines, values = [], []
        for place, entry in enumerate(numbers):
            patients, deaths = sum(curve.n for curve in entry.curves), sum(curve.events for curve in entry.curves)
            if entry.hazard_ratio is None:
                words = f"{patients} patients, not defined"
                axes.text(1.06, place, "not defined" if patients else "no patient", transform=axes.get_yaxis_transform(), va="center", size=7.5, color=MUTED)
            else:
                value, lower, upper = entry.hazard_ratio
                words = f"{number(value)} ({number(lower)}–{number(upper)})"
                mark_row(axes, place, (value, lower, upper), WIDEST, BLUE if place == 0 else INK)
                axes.text(1.06, place, words, transform=axes.get_yaxis_transform(), va="center", size=7.5)
            lines.append(f"{entry.title} {words}, {count(deaths, 'death')}")
            values.append(math.nan if entry.hazard_ratio is None else float(np.clip(entry.hazard_ratio[0], *WIDEST)))
        if paper is not None:
            axes.plot(paper, 0.33, "D", color=MUTED, markerfacecolor="none", markersize=3.5, markeredgewidth=0.8)
        axes.set_yticks(range(len(numbers)), [f"{entry.title} ({sum(curve.n for curve in entry.curves)})" for entry in numbers])
        axes.set_ylim(len(numbers) - 0.5, -0.6)
        axes.set_xlim(WIDEST[0] * 0.9, WIDEST[1] * 1.1)
        axes.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
        axes.minorticks_off()
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("hazard ratio, high against low risk")
        axes.set_title(panel.title)
        read = [Reading(axes, [Trace("", BLUE, values, range(len(numbers)), lines)], along="y")]
        return render(figure, name, alt=f"Hazard ratios, {panel.title}: {'; '.join(lines)}.", caption="", read=read)


def mark_row(axes: "Axes", place: int, estimate: tuple[float, float, float], reach: tuple[float, float], color: str) -> None:
    """One row of a forest plot: limits as a bar, the estimate as a mark; an arrow at the edge for a limit beyond the axis, a larger one for the estimate."""
    value, lower, upper = estimate
    axes.plot(np.clip([lower, upper], *reach), [place, place], color=color, linewidth=1.4)
    if reach[0] <= value <= reach[1]:
        axes.plot(value, place, "s" if place else "D", color=color, markersize=4.2)
    for end, limit, arrow, beyond in ((reach[0], lower, "<", value < reach[0]), (reach[1], upper, ">", value > reach[1])):
        if beyond:
            axes.plot(end, place, arrow, color=color, markersize=8, clip_on=False)
        elif (limit < end) if arrow == "<" else (limit > end):
            axes.plot(end, place, arrow, color=color, markersize=4, clip_on=False)


def subgroups_table(panels: Sequence[tuple[RiskPanel, Sequence[PanelNumbers]]]) -> Table:
    """Every subgroup of every set: patients, deaths, medians of both groups, hazard ratio and log-rank p."""
    names = ("set", "subgroup", "patients", "deaths", "median high, years", "median low, years", "hazard ratio", "lower", "upper", "log-rank p")
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for panel, numbers in panels:
        for entry in numbers:
            medians = {curve.high: curve.median for curve in entry.curves}
            sizes = (sum(curve.n for curve in entry.curves), sum(curve.events for curve in entry.curves))
            ratio = entry.hazard_ratio or (math.nan, math.nan, math.nan)
            p = math.nan if entry.p is None else entry.p
            numbers_of = (medians.get(True, math.nan), medians.get(False, math.nan), *ratio)
            texts = (panel.title, entry.title, *map(str, sizes), *map(number, numbers_of), p_value(p))
            rows.append(tuple(Cell(text, gray=panel.column.apparent) for text in texts))
            lines.append((panel.title, entry.title, *sizes, *numbers_of, p))
    caption = "High against low risk in every subgroup; a dash where the median was not reached or a group is empty."
    return Table("subgroups", caption, header_cells(*names), tuple(rows), csv_text(names, lines), words=2)


def heat_map(loadings: Loadings, label: str, name: str) -> Rendered:
    """Loadings of each feature (row) on each component (column)."""
    rows = min(len(loadings.features), MAX_ROWS)
    values = np.asarray(loadings.loadings)[:, :rows].T
    with ink.style():
        figure = _figure(max(1.6, 0.14 * rows + 1.1))
        axes = figure.subplots()
        reach = float(np.abs(values).max()) or 1.0
        # a mesh, not an image: every cell stays a shape in the SVG
        mesh = axes.pcolormesh(values, cmap="PuOr_r", vmin=-reach, vmax=reach, edgecolors="white", linewidth=0.3)
        axes.set_ylim(rows, 0)
        axes.set_yticks(np.arange(rows) + 0.5, [feature_words(feature) for feature in loadings.features[:rows]], size=5.5)
        step = max(1, math.ceil(values.shape[1] / 15))
        axes.set_xticks(np.arange(0, values.shape[1], step) + 0.5, [str(i + 1) for i in range(0, values.shape[1], step)], size=7)
        axes.grid(visible=False)
        axes.set_xlabel("principal component")
        axes.set_title(label)
        bar = figure.colorbar(mesh, ax=axes, shrink=0.7, aspect=25)
        bar.set_label("loading", size=8)
        if bar.solids is not None:  # always, of a mesh
            bar.solids.set(rasterized=False, edgecolor="face")  # shapes here too
        more = f", the first {rows} of {len(loadings.features)} features" if rows < len(loadings.features) else ""
        alt = f"Loadings of {rows} features on {values.shape[1]} principal components of {label}{more}."
        return render(figure, name, alt=alt, caption="")


def loadings_table(loadings: Loadings) -> Table:
    """Features in the order of the heat map with their loadings; the first two rows are variance explained and coefficient."""
    components = [f"PC{i + 1}" for i in range(len(loadings.loadings))]
    rows: list[tuple[object, ...]] = [
        ("", "share of variance", *loadings.explained[: len(components)]),
        ("", "log hazard per unit", *loadings.coefficients[: len(components)]),
        ("", "p (Wald)", *loadings.p[: len(components)]),
    ]
    rows += [(i + 1, feature, *(float(value) for value in np.asarray(loadings.loadings)[:, i])) for i, feature in enumerate(loadings.features)]
    return plain_table("loadings", "Loadings of every feature on every component.", ("number", "feature", *components), rows, words=2)


def _figure(height: float) -> "Figure":
    return ink.sheet(WIDTH_IN, height)
