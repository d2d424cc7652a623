"""ROC curves, calibration and decision curves: one model on one set of patients, at every horizon."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, GREEN, INK, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.inputs import Measures, RiskPanel
from penumbra.report.tables import Table, plain_table
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import count, number, percent
from penumbra.survival import Undefined
from penumbra.survival.horizons import horizon_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from penumbra.survival.agreement import Calibration
    from penumbra.survival.roc import RocCurve

# told apart by dash and marker as well as by color
HORIZON_STYLE: tuple[tuple[str, Any, str], ...] = (
    (BLUE, "-", "o"),
    (VERMILION, (0, (5, 1.5)), "s"),
    (GREEN, (0, (1, 1)), "^"),
    (INK, (0, (4, 1, 1, 1)), "D"),
    (MUTED, (0, (8, 2)), "v"),
)
SQUARE_IN = 4.2
ZOOMED = 0.6  # width of the part of a calibration that is shown instead of the whole square
PAPER = "paper"  # begins the entries of a legend that are gray


def roc(panel: RiskPanel, measures: Measures, label: str, paper: Sequence[float | None], name: str) -> Rendered:
    """ROC for the status at each horizon, with its AUC and the paper's."""
    from penumbra.survival import auc_binary, roc_curve

    with ink.style():
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        lines, paper_entries, traces = [], [], []
        for column, (horizon, theirs) in enumerate(zip(panel.days, paper, strict=True)):
            color, dashes, _ = HORIZON_STYLE[column % len(HORIZON_STYLE)]
            try:
                estimate = auc_binary(panel.event, panel.time, panel.log_risk, horizon, level=measures.confidence)
                curve = roc_curve(panel.event, panel.time, panel.log_risk, horizon)
            except Undefined as undefined:
                lines.append(f"{_when(panel, measures, column)}: {undefined}")
                continue
            words = f"{_when(panel, measures, column)} {number(estimate.auc)} ({number(estimate.lower)}–{number(estimate.upper)})"
            lines.append(words)
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=color, linestyle=dashes, linewidth=1.6, label=words)
            traces.append(roc_trace(curve, _when(panel, measures, column), color))
            if theirs is not None:
                paper_entries.append(f"{PAPER} {number(theirs)}")
        for words in paper_entries:
            axes.plot([], [], " ", label=words)
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("sensitivity")
        axes.set_title(f"{label}, {panel.title}")
        _legend(figure, axes, lines)
        read = [Reading(axes, traces)]
        return render(figure, name, alt=f"ROC curves of {label}, {panel.title}: AUC at {'; '.join(lines)}.", caption="", read=read)


def roc_trace(curve: "RocCurve", name: str, color: str) -> Trace:
    """What an ROC curve says at each of its corners."""
    words = [f"finds {percent(true)}, false alarm in {percent(false)}" for false, true in zip(curve.false_positive_rate, curve.true_positive_rate, strict=True)]
    return Trace(name, color, curve.false_positive_rate, curve.true_positive_rate, words)


def calibration(panel: RiskPanel, measures: Measures, label: str, name: str) -> tuple[Rendered, list[tuple[object, ...]]]:
    """Observed against predicted survival in groups, with bootstrap limits, at each horizon; and the same as rows."""
    from penumbra.survival import calibration as calibrated

    rows: list[tuple[object, ...]] = []
    with ink.style():
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        lines, traces = [], []
        for column, horizon in enumerate(panel.days):
            color, dashes, marker = HORIZON_STYLE[column % len(HORIZON_STYLE)]
            try:
                groups = calibrated(
                    panel.event,
                    panel.time,
                    panel.alive(column),
                    horizon,
                    groups=measures.calibration_groups,
                    resamples=measures.bootstraps,
                    level=measures.confidence,
                    seed=measures.seed,
                )
                ratio = groups.observed_expected
            except Undefined as undefined:
                lines.append(f"{_when(panel, measures, column)}: {undefined}")
                continue
            label_words = f"{_when(panel, measures, column)}, observed / expected {number(ratio)}"
            undefined_groups = [f"group {g}: {reason}" for g, reason in enumerate(groups.reasons, 1) if reason]
            lines += [label_words, *(f"{_when(panel, measures, column)}, {words}" for words in undefined_groups)]
            spread = np.array([np.maximum(groups.observed - groups.lower, 0), np.maximum(groups.upper - groups.observed, 0)])
            axes.errorbar(
                groups.predicted,
                groups.observed,
                spread,
                color=color,
                linestyle=dashes,
                marker=marker,
                markersize=4,
                linewidth=1.1,
                elinewidth=0.8,
                label=label_words,
            )
            traces.append(calibration_trace(groups, _when(panel, measures, column), color))
            for g in range(groups.n.size):
                line = (groups.predicted[g], groups.observed[g], groups.lower[g], groups.upper[g])
                rows.append((panel.center, horizon, g + 1, int(groups.n[g]), int(groups.deaths[g]), *(float(value) for value in line)))
        axes.set_xlabel("predicted survival")
        axes.set_ylabel("observed survival (Kaplan-Meier)")
        axes.set_title(f"{label}, {panel.title}")
        zoom(axes, [value for row in rows for value in row[5:9]])
        _legend(figure, axes, lines)
        alt = f"Calibration of {label}, {panel.title}: {'; '.join(lines)}."
        return render(figure, name, alt=alt, caption="", read=[Reading(axes, traces, "predicted")]), rows


def calibration_trace(groups: "Calibration", name: str, color: str) -> Trace:
    """What a calibration says of each of its groups."""
    sizes = zip(groups.predicted, groups.observed, groups.n, groups.deaths, strict=True)
    words = [
        f"predicted {percent(predicted)}, observed {percent(observed)} of {count(int(n), 'patient')}, {int(died)} died"
        for predicted, observed, n, died in sizes
    ]
    return Trace(name, color, groups.predicted, groups.observed, words)


def zoom(axes: "Axes", shares: Iterable[object]) -> None:
    """Limit both axes to where the groups and their limits are, where that is a part of the square: groups at 0.9 to 1 would cover each other."""
    finite = [float(value) for value in shares if isinstance(value, float) and np.isfinite(value)]
    if not finite:
        return
    low, high = max(-0.02, min(finite) - 0.04), min(1.02, max(finite) + 0.04)
    if high - low < ZOOMED:
        axes.set(xlim=(low, high), ylim=(low, high))


def calibration_table(rows: Sequence[tuple[object, ...]]) -> Table:
    """Every group of every calibration figure."""
    names = ("set", "day", "group", "patients", "deaths", "predicted", "observed", "lower", "upper")
    caption = "Predicted and observed survival by group of predicted survival, with bootstrap limits; a dash where nobody of a group was followed to the day."
    return plain_table("calibration", caption, names, rows)


def decision(panel: RiskPanel, measures: Measures, label: str, name: str) -> tuple[Rendered, list[tuple[object, ...]]]:
    """Net benefit at the middle horizon against treating all and treating none; and the same at every horizon as rows."""
    from penumbra.survival import net_benefit

    rows: list[tuple[object, ...]] = []
    middle = (len(measures.horizons_days) - 1) // 2
    traces = []
    with ink.style():
        figure, axes = _square(height=3.2)
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=":", label="nobody treated")
        words = ""
        for column, horizon in enumerate(panel.days):
            try:
                benefit = net_benefit(panel.event, panel.time, 1.0 - panel.alive(column), horizon, measures.thresholds)
            except Undefined as undefined:
                words = str(undefined) if column == middle else words
                continue
            rows += [
                (panel.center, horizon, float(at), float(model), float(everybody))
                for at, model, everybody in zip(benefit.thresholds, benefit.model, benefit.treat_all, strict=True)
            ]
            if column == middle:
                axes.plot(benefit.thresholds, benefit.model, color=BLUE, marker="o", markersize=3, linewidth=1.6, label=label)
                axes.plot(benefit.thresholds, benefit.treat_all, color=INK, linestyle=(0, (4, 1.5)), linewidth=1, label="everybody treated")
                for values, color, title in ((benefit.model, BLUE, label), (benefit.treat_all, INK, "everybody treated")):
                    traces.append(Trace(title, color, benefit.thresholds, values, [f"net benefit {number(value, 3)}" for value in values]))
                finite = benefit.model[np.isfinite(benefit.model)]
                lowest = float(finite.min(initial=0.0))
                axes.set_ylim(max(lowest, -0.3) - 0.05, float(max(finite.max(initial=0.05), benefit.treat_all.max())) + 0.05)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"threshold: probability to die within {_when(panel, measures, middle)}")
        axes.set_ylabel("net benefit")
        axes.set_title(panel.title)
        _legend(figure, axes, [words] if words else [label])
        alt = f"Decision curve of {label}, {panel.title}, {_when(panel, measures, middle)}: {words or 'net benefit against treating all and none'}."
        return render(figure, name, alt=alt, caption="", read=[Reading(axes, traces, "threshold")]), rows


def decision_table(rows: Sequence[tuple[object, ...]]) -> Table:
    """Net benefit at every threshold and horizon."""
    names = ("set", "day", "threshold", "net benefit", "everybody treated")
    caption = "Net benefit at each threshold and horizon; treating nobody is worth 0. A dash where nobody at or above a threshold was followed to the day."
    return plain_table("net_benefit", caption, names, rows)


def _when(panel: RiskPanel, measures: Measures, column: int) -> str:
    """ "3 years", or where the follow-up of these patients ends earlier: "day 890, for 3 years"."""
    horizon, day = measures.horizons_days[column], panel.days[column]
    return horizon_words(day) if day == horizon else f"day {day:g}, for {horizon_words(horizon)}"


def _square(height: float = SQUARE_IN) -> tuple["Figure", "Axes"]:
    figure = ink.sheet(WIDTH_IN, height)
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _legend(figure: "Figure", axes: "Axes", lines: Sequence[str]) -> None:
    """The legend below the axes, and what could not be drawn, where neither hides anything."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = 2 if any(label.startswith(PAPER) for label in labels) else 1
        legend = figure.legend(handles, labels, loc="outside lower center", fontsize=7.5, frameon=False, ncols=columns)
        for entry in legend.get_texts():
            if entry.get_text().startswith(PAPER):
                entry.set_color(MUTED)
    missing = [line for line in lines if ":" in line or "followed" in line]
    if missing:
        words = "\n".join(part for line in missing for part in textwrap.wrap(line, 62))
        axes.set_xlabel(f"{axes.get_xlabel()}\n\n{words}", size=7.5)
