"""ROC curves, calibration and decision curves: one model on one set of patients, at every horizon."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, GREEN, INK, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.inputs import Measures, RiskPanel
from penumbra.report.tables import Table, plain_table
from penumbra.report.words import count, number
from penumbra.survival import Undefined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# told apart by dash and marker as well as by colour
HORIZON_STYLE: tuple[tuple[str, Any, str], ...] = ((BLUE, "-", "o"), (VERMILION, (0, (5, 1.5)), "s"), (GREEN, (0, (1, 1)), "^"))
SQUARE_IN = 4.2
PAPER = "paper"  # begins the entries of a legend that stand in grey


def roc(panel: RiskPanel, measures: Measures, label: str, paper: Sequence[float | None], name: str) -> Rendered:
    """ROC for the status at each horizon, with its AUC and the paper's."""
    from penumbra.survival import auc_binary, roc_curve

    with ink.style():
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        lines, beside = [], []
        for year, (horizon, theirs) in enumerate(zip(panel.days, paper, strict=True), 1):
            colour, dashes, _ = HORIZON_STYLE[(year - 1) % len(HORIZON_STYLE)]
            try:
                found = auc_binary(panel.event, panel.time, panel.log_risk, horizon, level=measures.confidence)
                curve = roc_curve(panel.event, panel.time, panel.log_risk, horizon)
            except Undefined as undefined:
                lines.append(f"{_when(panel, measures, year)}: {undefined}")
                continue
            words = f"{_when(panel, measures, year)} {number(found.auc)} ({number(found.lower)}–{number(found.upper)})"
            lines.append(words)
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=colour, linestyle=dashes, linewidth=1.6, label=words)
            if theirs is not None:
                beside.append(f"{PAPER} {number(theirs)}")
        for words in beside:
            axes.plot([], [], " ", label=words)
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("sensitivity")
        axes.set_title(f"{label}, {panel.title}")
        _legend(figure, axes, lines)
        return render(figure, name, alt=f"ROC curves of {label}, {panel.title}: AUC at {'; '.join(lines)}.", caption="")


def calibration(panel: RiskPanel, measures: Measures, label: str, name: str) -> tuple[Rendered, list[tuple[object, ...]]]:
    """Observed against predicted survival in groups, with bootstrap limits, at each horizon; and the same as rows."""
    from penumbra.survival import calibration as compare

    rows: list[tuple[object, ...]] = []
    with ink.style():
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        lines = []
        for year, horizon in enumerate(panel.days, 1):
            colour, dashes, marker = HORIZON_STYLE[(year - 1) % len(HORIZON_STYLE)]
            try:
                found = compare(
                    panel.event,
                    panel.time,
                    1.0 - panel.death[:, year - 1],
                    horizon,
                    groups=measures.calibration_groups,
                    resamples=measures.bootstraps,
                    level=measures.confidence,
                    seed=measures.seed,
                )
            except Undefined as undefined:
                lines.append(f"{_when(panel, measures, year)}: {undefined}")
                continue
            shown = f"{_when(panel, measures, year)}, observed / expected {number(found.observed_expected)}"
            lines.append(shown)
            spread = np.array([np.maximum(found.observed - found.lower, 0), np.maximum(found.upper - found.observed, 0)])
            axes.errorbar(
                found.predicted, found.observed, spread, color=colour, linestyle=dashes, marker=marker, markersize=4, linewidth=1.1, elinewidth=0.8, label=shown
            )
            for g in range(found.n.size):
                line = (found.predicted[g], found.observed[g], found.lower[g], found.upper[g])
                rows.append((panel.center, year, g + 1, int(found.n[g]), int(found.deaths[g]), *(float(value) for value in line)))
        axes.set_xlabel("predicted survival")
        axes.set_ylabel("observed survival (Kaplan-Meier)")
        axes.set_title(f"{label}, {panel.title}")
        _legend(figure, axes, lines)
        return render(figure, name, alt=f"Calibration of {label}, {panel.title}: {'; '.join(lines)}.", caption=""), rows


def calibration_table(rows: Sequence[tuple[object, ...]]) -> Table:
    """Every group of every calibration figure."""
    names = ("set", "year", "group", "patients", "deaths", "predicted", "observed", "lower", "upper")
    return plain_table("calibration", "Predicted and observed survival by group of predicted survival, with bootstrap limits.", names, rows)


def decision(panel: RiskPanel, measures: Measures, label: str, name: str) -> tuple[Rendered, list[tuple[object, ...]]]:
    """Net benefit at the middle horizon against treating all and treating none; and the same at every horizon as rows."""
    from penumbra.survival import net_benefit

    rows: list[tuple[object, ...]] = []
    middle = (len(measures.horizons_days) + 1) // 2
    with ink.style():
        figure, axes = _square(height=3.2)
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=":", label="nobody treated")
        words = ""
        for year, horizon in enumerate(panel.days, 1):
            try:
                found = net_benefit(panel.event, panel.time, panel.death[:, year - 1], horizon, measures.thresholds)
            except Undefined as undefined:
                words = str(undefined) if year == middle else words
                continue
            rows += [
                (panel.center, year, float(at), float(model), float(everybody))
                for at, model, everybody in zip(found.thresholds, found.model, found.treat_all, strict=True)
            ]
            if year == middle:
                axes.plot(found.thresholds, found.model, color=BLUE, marker="o", markersize=3, linewidth=1.6, label=label)
                axes.plot(found.thresholds, found.treat_all, color=INK, linestyle=(0, (4, 1.5)), linewidth=1, label="everybody treated")
                lowest = float(min(found.model.min(), 0.0))
                axes.set_ylim(max(lowest, -0.3) - 0.05, float(max(found.model.max(), found.treat_all.max(), 0.05)) + 0.05)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"threshold: probability to die within {_when(panel, measures, middle)}")
        axes.set_ylabel("net benefit")
        axes.set_title(panel.title)
        _legend(figure, axes, [words] if words else [label])
        alt = f"Decision curve of {label}, {panel.title}, {count(middle, 'year')}: {words or 'net benefit against treating all and none'}."
        return render(figure, name, alt=alt, caption=""), rows


def decision_table(rows: Sequence[tuple[object, ...]]) -> Table:
    """Net benefit at every threshold and horizon."""
    names = ("set", "year", "threshold", "net benefit", "everybody treated")
    return plain_table("net_benefit", "Net benefit at each threshold and horizon; treating nobody is worth 0.", names, rows)


def _when(panel: RiskPanel, measures: Measures, year: int) -> str:
    """ "3 years", or where the follow-up of these patients ends earlier: "3 years (day 890)"."""
    asked, day = measures.horizons_days[year - 1], panel.days[year - 1]
    return count(year, "year") if day == asked else f"{count(year, 'year')} (day {day:g})"


def _square(height: float = SQUARE_IN) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _legend(figure: "Figure", axes: "Axes", lines: Sequence[str]) -> None:
    """The legend below the axes, where it hides nothing; what could not be drawn stands in their middle."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = 2 if any(label.startswith(PAPER) for label in labels) else 1
        legend = figure.legend(handles, labels, loc="outside lower center", fontsize=7.5, frameon=False, ncols=columns)
        for entry in legend.get_texts():
            if entry.get_text().startswith(PAPER):
                entry.set_color(MUTED)
    missing = [line for line in lines if ":" in line or "followed" in line]
    if missing:
        words = "\n".join(part for line in missing for part in textwrap.wrap(line, 52))
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", size=7.5, color=MUTED)
