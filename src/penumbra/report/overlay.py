"""Two versions in one figure: C with intervals, ROC, calibration and survival by risk group, the first in blue and the second in vermilion."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra.evaluate.paired import Pair
from penumbra.evaluate.rows import PairedRow
from penumbra.report import ink
from penumbra.report.curves import calibration_trace, roc_trace, zoom
from penumbra.report.figures import group_trace, numbers_at_risk, year_ticks
from penumbra.report.groups import group_curve, last_year
from penumbra.report.ink import BLUE, INK, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.inputs import Measures
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import count, number, p_value
from penumbra.survival import Undefined
from penumbra.survival.horizons import horizon_words, middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# told apart by dash and marker as well as by color
STYLES: tuple[tuple[str, Any, str], ...] = ((BLUE, "-", "o"), (VERMILION, (0, (5, 1.5)), "s"))


@dataclass(frozen=True)
class Overlaid:
    """The figures of two models on several sets of patients."""

    roc: tuple[Rendered, ...]
    calibration: tuple[Rendered, ...]
    survival: tuple[Rendered, ...]


def overlaid(pairs: Sequence[Pair], measures: Measures) -> Overlaid:
    """ROC and calibration at the middle one of the days in `measures`, and survival by risk group, once for each set of patients."""
    days = middle(measures.horizons_days)
    return Overlaid(
        roc=tuple(roc(pair, measures, day, f"roc_{i}") for i, pair in enumerate(pairs, 1) for day in days),
        calibration=tuple(calibration(pair, measures, day, f"calibration_{i}") for i, pair in enumerate(pairs, 1) for day in days),
        survival=tuple(survival(pair, f"survival_{i}") for i, pair in enumerate(pairs, 1)),
    )


def differences(rows: Sequence[PairedRow], fitted: Mapping[str, tuple[bool, bool]], labels: tuple[str, str], name: str) -> Rendered:
    """The difference of C, second minus first, with its paired interval at every center; hollow where a version was fitted."""
    c_rows = [row for row in rows if row.metric == "harrell_c"]
    with ink.style():
        figure = _figure(0.34 * len(c_rows) + 0.9)
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, linewidth=0.9, linestyle=":")
        words, traces = [], []
        for place, row in enumerate(c_rows):
            if not np.isfinite(row.difference):
                axes.text(0, place, row.reason, va="center", color=MUTED, size=7)
                continue
            axes.plot([row.lower, row.upper], [place, place], color=INK, linewidth=1.4, solid_capstyle="butt")
            hollow = any(fitted.get(row.center, (False, False)))
            axes.plot(row.difference, place, "o", color=INK, markerfacecolor="white" if hollow else INK, markersize=5)
            words.append(f"{row.center} {number(row.difference, 3)} ({number(row.lower, 3)} to {number(row.upper, 3)}), p {p_value(row.p)}")
            traces.append(Trace("", INK, [row.difference], [place], [words[-1]]))
        axes.set_yticks(range(len(c_rows)), [row.center for row in c_rows])
        axes.set_ylim(len(c_rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"C of {labels[1]} minus C of {labels[0]}")
        return render(figure, name, alt=f"Difference of Harrell's C: {'; '.join(words)}.", caption="", read=[Reading(axes, traces, along="y")])


def roc(pair: Pair, measures: Measures, horizon: float, name: str) -> Rendered:
    """Both ROC curves for the status at one horizon."""
    from penumbra.survival import auc_binary, roc_curve

    def draw(axes: "Axes", version: int, label: str) -> tuple[str, Trace]:
        color, dashes, _ = STYLES[version]
        estimate = auc_binary(pair.outcomes.event, pair.outcomes.time, pair.log_risk[version], horizon, level=measures.confidence)
        curve = roc_curve(pair.outcomes.event, pair.outcomes.time, pair.log_risk[version], horizon)
        words = f"{label}: {number(estimate.auc)} ({number(estimate.lower)}–{number(estimate.upper)})"
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=color, linestyle=dashes, linewidth=1.6, label=words)
        return words, roc_trace(curve, label, color)

    return _square(pair, draw, ("1 − specificity", "sensitivity"), f"ROC, {horizon_words(horizon)}, {pair.center}", name)


def calibration(pair: Pair, measures: Measures, horizon: float, name: str) -> Rendered:
    """Observed against predicted survival of both versions at one horizon."""
    from penumbra.survival import calibration as calibrated

    shares: list[float] = []

    def draw(axes: "Axes", version: int, label: str) -> tuple[str, Trace]:
        color, dashes, marker = STYLES[version]
        death = pair.death[version, :, measures.horizons_days.index(horizon)]
        if not np.isfinite(death).all():
            raise Undefined(f"no survival at day {horizon:g}")
        groups = calibrated(
            pair.outcomes.event,
            pair.outcomes.time,
            1.0 - death,
            horizon,
            groups=measures.calibration_groups,
            resamples=measures.bootstraps,
            level=measures.confidence,
            seed=measures.seed,
        )
        words = "\n".join([f"{label}: observed / expected {number(groups.observed_expected)}", *dict.fromkeys(filter(None, groups.reasons))])
        spread = np.array([np.maximum(groups.observed - groups.lower, 0), np.maximum(groups.upper - groups.observed, 0)])
        axes.errorbar(groups.predicted, groups.observed, spread, color=color, linestyle=dashes, marker=marker, markersize=4, linewidth=1.1, label=words)
        shares.extend(float(value) for values in (groups.predicted, groups.observed, groups.lower, groups.upper) for value in values)
        zoom(axes, shares)
        return words, calibration_trace(groups, label, color)

    axes_names = ("predicted survival", "observed survival (Kaplan-Meier)")
    return _square(pair, draw, axes_names, f"Calibration, {horizon_words(horizon)}, {pair.center}", name)


def survival(pair: Pair, name: str) -> Rendered:
    """Kaplan-Meier of the high and the low risk group of both versions, with the numbers at risk."""
    drawn = [
        (version, group_curve(pair.outcomes.event[mine], pair.outcomes.time[mine], high))
        for version in range(len(pair.labels))
        for high in (True, False)
        if (mine := pair.high[version] == high).any()
    ]
    end = max((last_year(curve) for _, curve in drawn), default=1.0)
    ticks = year_ticks(end)
    with ink.style():
        figure = _figure(4.3)
        axes, below = figure.subplots(2, 1, height_ratios=(5, 0.4 + 0.42 * len(drawn)))
        words, traces, rows = [], [], []
        for version, curve in drawn:
            color, dashes, _ = STYLES[version]
            which = "high" if curve.high else "low"
            group = f"{pair.labels[version]}, {which} risk, {count(curve.n, 'patient')}"
            axes.step(curve.years, curve.alive, where="post", color=color, linestyle=dashes, linewidth=1.8 if curve.high else 0.9, label=group)
            words.append(f"{group}, {count(curve.events, 'death')}")
            traces.append(group_trace(curve, f"{pair.labels[version]}, {which}", color))
            rows.append((f"{'first' if version == 0 else 'second'}, {which}", color, curve))
        axes.set(ylim=(0, 1.02), xlim=(0, end))
        axes.set_xticks(ticks)
        axes.set_yticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100 %"])
        axes.set_xlabel("years since start of radiotherapy", labelpad=2)
        axes.set_ylabel("alive")
        axes.set_title(pair.center)
        numbers_at_risk(below, rows, ticks)
        below.sharex(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", fontsize=7.5, frameon=False)
        alt = f"Survival by risk group, {pair.center}: {'; '.join(words)}."
        return render(figure, name, alt=alt, caption="", read=[Reading(axes, traces, "year")])


def _square(pair: Pair, draw: Any, axes_names: tuple[str, str], title: str, name: str) -> Rendered:
    """One square figure with a diagonal; what these patients do not define is stated below it."""
    with ink.style():
        figure = _figure(4.2)
        axes = figure.subplots()
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        words, traces, missing = [], [], []
        for version, label in enumerate(pair.labels):
            try:
                line, trace = draw(axes, version, label)
                words.append(line)
                traces.append(trace)
            except Undefined as undefined:
                words.append(f"{label}: {undefined}")
                missing += textwrap.wrap(words[-1], 62)
        axes.set_xlabel("\n".join([axes_names[0], *missing]))
        axes.set_ylabel(axes_names[1])
        axes.set_title(title)
        handles, labels = axes.get_legend_handles_labels()
        if labels:
            figure.legend(handles, labels, loc="outside lower center", fontsize=7.5, frameon=False)
        return render(figure, name, alt=f"{title}: {'; '.join(words)}.", caption="", read=[Reading(axes, traces)])


def _figure(height: float) -> "Figure":
    return ink.sheet(WIDTH_IN, height)
