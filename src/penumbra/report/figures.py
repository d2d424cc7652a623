"""The report's figures, drawn by matplotlib without a screen; each fits a phone's width and is complete by itself as SVG or PNG."""

import math
import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from penumbra.base.blocks import block_and_feature
from penumbra.evaluate import MetricRow
from penumbra.report import ink
from penumbra.report.groups import GroupCurve, PanelNumbers
from penumbra.report.ink import BLUE, INK, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.inputs import CenterColumn, CenterFlow, KeptFeature, ModelRow, PaperValue
from penumbra.report.tables import belongs
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import count, interval, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUP_STYLE = {True: (VERMILION, "-", "high risk"), False: (BLUE, (0, (4, 1.5)), "low risk")}
CHANCE = 0.5
MAX_BARS = 20
LABEL_LETTERS = 55  # of a feature's name that fit a figure's width; a longer one is set smaller
VERDICT_LETTERS = 58  # of a line that fits the width of a Kaplan-Meier figure
REASON_LETTERS = 34  # what fits next to the boxes of the cohort flow


def cohort_flow(flow: CenterFlow, name: str) -> Rendered:
    """Found, excluded by reason, accepted: one center from top to bottom."""
    excluded = [f"{reason} (n = {count_excluded})" for reason, count_excluded in flow.excluded if count_excluded]
    lines = _wrapped(excluded)
    role = "training" if flow.training else "external test"
    gap = max(0.62, 0.18 * (len(lines) + 1) + 0.2)
    height = 1.55 + gap
    top, bottom, center, right = height - 0.6, 0.35, 0.75, 1.62
    box = {"boxstyle": "round,pad=0.5,rounding_size=0.2", "facecolor": "none", "edgecolor": MUTED, "linewidth": 0.8}
    with ink.style():
        figure = _figure(height, layout=None)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, WIDTH_IN), ylim=(0, height))
        axes.text(0.05, height - 0.05, f"{flow.center} ({role})", weight="bold", size=9.5, va="top")
        axes.text(center, top, f"{flow.total} found", ha="center", va="center", bbox=box)
        accepted = f"{flow.accepted} accepted\n{count(flow.events, 'death')}"
        axes.text(center, bottom, accepted, ha="center", va="center", weight="bold", linespacing=1.5, bbox={**box, "edgecolor": BLUE, "linewidth": 1.4})
        arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (center, bottom + 0.3), (center, top - 0.17), arrowprops=arrow)
        middle = (top - 0.17 + bottom + 0.3) / 2
        if excluded:
            axes.annotate("", (right - 0.06, middle), (center, middle), arrowprops=arrow)
            axes.text(right, middle, "\n".join(["excluded", *lines]), va="center", linespacing=1.45)
        else:
            axes.text(center + 0.15, middle, "none excluded", va="center", color=MUTED)
        if flow.flagged:
            remarks = "\n".join(_wrapped([f"{remark} (n = {flagged})" for remark, flagged in flow.flagged]))
            axes.text(right, bottom, remarks, va="center", color=MUTED, linespacing=1.45)
        left_out = "; ".join(excluded) or "none"
        alt = f"{flow.center}, {role}: {flow.total} found, excluded: {left_out}; {flow.accepted} accepted, {count(flow.events, 'death')}."
        return render(figure, name, alt=alt, caption="")


def concordance(column: CenterColumn, models: Sequence[ModelRow], rows: Sequence[MetricRow], paper: Sequence[PaperValue], combined: str, name: str) -> Rendered:
    """Harrell's C of every model on one center with its 95 % interval, next to chance and the paper's value; in gray where the fit saw the patients."""
    by_model = {row.model: row for row in rows if row.metric == "harrell_c" and belongs(row, column)}
    theirs = {value.model: value.value for value in paper if value.metric == "harrell_c" and value.split == column.paper}
    with ink.style():
        figure = _figure(0.26 * len(models) + 0.85)
        axes = figure.subplots()
        axes.axvline(CHANCE, color=MUTED, linewidth=0.9, linestyle=":")
        for place, model in enumerate(models):
            color = MUTED if column.apparent else BLUE if model.name == combined else INK
            row = by_model.get(model.name)
            if row is None or not math.isfinite(row.value):
                axes.text(CHANCE + 0.01, place, "no feature retained" if model.features == 0 else "not defined", va="center", color=MUTED, size=7.5)
                continue
            if math.isfinite(row.lower) and math.isfinite(row.upper):
                axes.plot([row.lower, row.upper], [place, place], color=color, linewidth=1.4, solid_capstyle="butt")
            fill = "white" if model.kind == "control" else color
            axes.plot(row.value, place, "o", color=color, markerfacecolor=fill, markersize=5)
            if model.name in theirs:
                axes.plot(theirs[model.name], place + 0.3, "D", color=MUTED, markerfacecolor="none", markersize=3.2, markeredgewidth=0.8)
        axes.set_yticks(range(len(models)), [model.label for model in models])
        axes.set_ylim(len(models) - 0.4, -0.6)
        lows = [row.lower for row in by_model.values() if math.isfinite(row.lower)]
        axes.set_xlim(min([0.3, *(low - 0.02 for low in lows)]), 1.0)
        axes.set_title(column.label, color=MUTED if column.apparent else INK)
        axes.set_xlabel("Harrell's C")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        measured = [(place, model, by_model[model.name]) for place, model in enumerate(models) if model.name in by_model]
        labels = [f"{model.label} {interval(row)}" for _, model, row in measured]
        values, places = [row.value for _, _, row in measured], [float(place) for place, _, _ in measured]
        read = [Reading(axes, [Trace("", BLUE, values, places, labels)], along="y")]
        return render(figure, name, alt=f"Harrell's C on {column.label}: {'; '.join(labels) or 'no value'}.", caption="", read=read)


def kaplan_meier(numbers: PanelNumbers, name: str) -> Rendered:
    """Survival of the two risk groups with bands, censoring ticks and numbers at risk."""
    with ink.style():
        verdict = textwrap.wrap("; ".join(numbers.verdict), VERDICT_LETTERS)
        figure = _figure(3.75 + 0.15 * len(verdict))
        axes, below = figure.subplots(2, 1, height_ratios=(5, 1))
        years = numbers.last_year
        for curve in numbers.curves:
            _draw_curve(axes, curve, years)
        axes.set_xlim(0, years)
        axes.set_ylim(0, 1.02)
        axes.set_yticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100 %"])
        ticks = year_ticks(years)
        axes.set_xticks(ticks)
        axes.set_xlabel("years since start of radiotherapy", labelpad=2)
        axes.set_ylabel("alive")
        # from bottom to top, above the axes, where nothing is covered: legend, verdict, title
        axes.set_title(numbers.title, pad=22 + 11 * len(verdict))
        if numbers.curves:
            axes.legend(loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=2, frameon=False, borderaxespad=0, columnspacing=1.2, handlelength=1.8)
        place = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 18), "textcoords": "offset points"}
        axes.annotate("\n".join(verdict), **place, ha="left", va="bottom", size=8, linespacing=1.3)
        numbers_at_risk(below, [(_label(curve).split()[0], GROUP_STYLE[curve.high][0], curve) for curve in numbers.curves], ticks)
        below.sharex(axes)
        groups = [f"{_label(curve)} {curve.in_words}" for curve in numbers.curves]
        alt = f"Kaplan-Meier curves, {numbers.title}: {'; '.join([*groups, *numbers.verdict])}."
        return render(figure, name, alt=alt, caption="", read=[Reading(axes, [group_trace(curve) for curve in numbers.curves], "year")])


def coefficients(features: Sequence[KeptFeature], label: str, name: str) -> Rendered:
    """The largest coefficients of one model, each bar under its feature's name."""
    order = sorted(features, key=lambda feature: (-abs(feature.coefficient), feature.feature))[:MAX_BARS]
    with ink.style():
        figure = _figure(0.33 * len(order) + 0.75)
        axes = figure.subplots()
        largest = max((abs(feature.coefficient) for feature in order), default=1.0) or 1.0
        for place, feature in enumerate(order):
            color = VERMILION if feature.coefficient > 0 else BLUE
            axes.barh(place + 0.22, feature.coefficient, height=0.34, color=color)
            axes.plot([0, 0], [place, place + 0.44], color=MUTED, linewidth=0.9)
            words = feature_words(feature.feature)
            size = min(7.5, 7.5 * LABEL_LETTERS / len(words))
            axes.text(0.01, place - 0.12, words, transform=axes.get_yaxis_transform(), va="center", size=size).set_in_layout(False)
        axes.grid(visible=False)
        axes.set_xlim(-largest * 1.05, largest * 1.05)
        axes.set_ylim(len(order) - 0.4, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_title(label)
        axes.set_xlabel("log hazard per standard deviation")
        listed = [f"{feature.feature} {number(feature.coefficient)}" for feature in order]
        bars = Trace("", INK, [feature.coefficient for feature in order], [place + 0.22 for place in range(len(order))], listed)
        alt = f"Coefficients of {label}: {'; '.join(listed)}."
        return render(figure, name, alt=alt, caption="", read=[Reading(axes, [bars], along="y")])


def group_trace(curve: GroupCurve, name: str = "", color: str = "") -> Trace:
    """What the curve of a group says at each of its steps."""
    words = [f"{percent(alive)} alive, {curve.at_risk(years)} at risk" for years, alive in zip(curve.years, curve.alive, strict=True)]
    return Trace(name or _label(curve), color or GROUP_STYLE[curve.high][0], curve.years, curve.alive, words, step=True)


def _wrapped(reasons: Sequence[str]) -> list[str]:
    together = (reason.replace(" (n = ", "\u00a0(n\u00a0=\u00a0") for reason in reasons)
    return [line for reason in together for line in textwrap.wrap(reason, REASON_LETTERS)]


def _draw_curve(axes: "Axes", curve: GroupCurve, last_year: float) -> None:
    color, dashes, _ = GROUP_STYLE[curve.high]
    axes.step(curve.years, curve.alive, where="post", color=color, linestyle=dashes, linewidth=1.6, label=_label(curve))
    axes.fill_between(curve.years, curve.lower, curve.upper, step="post", color=color, alpha=0.14, linewidth=0)
    axes.plot(curve.censored, curve.step(curve.censored), "|", color=color, markersize=4, markeredgewidth=0.7)


def numbers_at_risk(axes: "Axes", rows: Sequence[tuple[str, str, GroupCurve]], ticks: Sequence[float]) -> None:
    """How many of each group are still followed at each tick, below its curves; rows: label, color, curve."""
    axes.set_axis_off()
    axes.set_ylim(-0.2 - len(rows), 0.6)
    axes.text(0, 0.35, "at risk", size=8, color=MUTED, ha="left", va="center")
    for line, (label, color, curve) in enumerate(rows):
        place = -0.75 - line
        axes.text(-0.06, place, label, transform=axes.get_yaxis_transform(), ha="right", va="center", size=8, color=color)
        for tick in ticks:
            axes.text(tick, place, str(curve.at_risk(tick)), ha="center", va="center", size=8.5, color=color)


def _label(curve: GroupCurve) -> str:
    return GROUP_STYLE[curve.high][2]


def year_ticks(last_year: float) -> list[float]:
    """Up to seven years that divide the axis evenly."""
    step = next(step for step in (0.25, 0.5, 1.0, 2.0, 5.0, math.inf) if last_year / step <= 6)
    return [round(step * place, 2) for place in range(int(last_year / step) + 1)] if math.isfinite(step) else [0.0]


def feature_words(feature: str) -> str:
    """A column as a reader calls it: "gtv: LoG 3 mm glcm Contrast"."""
    block, filtered = block_and_feature(feature)
    filtered = re.sub(r"log-sigma-(\d+)-0-mm-3D", r"LoG \1 mm", filtered)
    return f"{block}: {filtered.replace('_', ' ')}" if block else feature


def _figure(height: float, layout: Literal["constrained"] | None = "constrained") -> "Figure":
    return ink.sheet(WIDTH_IN, height, layout)
