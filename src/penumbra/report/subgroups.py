"""Whether the served model holds in each subgroup: C, observed over expected deaths, and slope, or that there are too few deaths to say."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from penumbra.report import ink
from penumbra.report.forest import mark_row
from penumbra.report.ink import BLUE, INK, MUTED, WIDTH_IN, Rendered, render
from penumbra.report.inputs import Measures, RiskPanel
from penumbra.report.tables import Cell, Table, csv_text, header_cells
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import ABSENT, number
from penumbra.survival import Undefined
from penumbra.survival.horizons import horizon_words, middle

TOO_FEW = "too few to say"
EVERYBODY = "all"
Estimate = tuple[float, float, float]
UNKNOWN: Estimate = (math.nan, math.nan, math.nan)
AXES = (("c", "C", 0.5, (0.2, 1.0)), ("ratio", "observed / expected", 1.0, (0.0, 3.0)), ("slope", "slope", 1.0, (-1.0, 3.0)))


@dataclass(frozen=True)
class SubgroupMeasures:
    """One subgroup of one set; each measure with its limits, NaN where it is undefined.

    Parameters
    ----------
    too_few
        Whether it has fewer deaths than a measure needs.
    c, slope
        Harrell's C, and the Cox coefficient of log_risk.
    ratio
        Deaths observed over expected by `day`.
    reasons
        Why a measure is undefined.
    """

    level: str
    n: int
    deaths: int
    too_few: bool
    day: float
    c: Estimate = UNKNOWN
    ratio: Estimate = UNKNOWN
    slope: Estimate = UNKNOWN
    reasons: tuple[str, ...] = ()


def subgroup_measures(panel: RiskPanel, measures: Measures) -> list[SubgroupMeasures]:
    """Everybody of a set, then each subgroup."""
    everybody = ("", EVERYBODY, np.ones(panel.event.size, dtype=bool))
    return [_measured(panel, measures, level, rows) for _, level, rows in (everybody, *panel.subgroups)]


def _measured(panel: RiskPanel, measures: Measures, level: str, rows: np.ndarray) -> SubgroupMeasures:
    from penumbra import survival

    event, time, log_risk = panel.event[rows], panel.time[rows], panel.log_risk[rows]
    column = list(measures.horizons_days).index(middle(measures.horizons_days)[0])
    day, size = panel.days[column], (int(rows.sum()), int(event.sum()))
    if size[1] < measures.subgroup_events:
        return SubgroupMeasures(level, *size, True, day)

    def c() -> Estimate:
        concordance = survival.harrell(event, time, log_risk)
        return _within(concordance.c, concordance.se, measures.confidence)

    def ratio() -> Estimate:
        resamples, level = measures.bootstraps, measures.confidence
        all_in_one = survival.calibration(event, time, panel.alive(column)[rows], day, groups=1, resamples=resamples, level=level, seed=measures.seed)
        limits = sorted((1.0 - float(all_in_one.upper[0]), 1.0 - float(all_in_one.lower[0])))
        value = all_in_one.observed_expected
        return value, limits[0] / all_in_one.expected, limits[1] / all_in_one.expected

    def slope() -> Estimate:
        estimate = survival.calibration_slope(event, time, log_risk)
        return estimate.value, estimate.lower, estimate.upper

    reasons: list[str] = []
    values = [_or_reason(compute, reasons) for compute in (c, ratio, slope)]
    return SubgroupMeasures(level, *size, False, day, values[0], values[1], values[2], tuple(reasons))


def _within(value: float, se: float, confidence: float) -> Estimate:
    from scipy.special import ndtri

    reach = float(ndtri(0.5 + 0.5 * confidence)) * se
    return value, max(0.0, value - reach), min(1.0, value + reach)


def _or_reason(compute: Callable[[], Estimate], reasons: list[str]) -> Estimate:
    try:
        return compute()
    except Undefined as undefined:
        reasons.append(str(undefined))
        return UNKNOWN


def measures_table(sets: Sequence[tuple[RiskPanel, Sequence[SubgroupMeasures]]], measures: Measures) -> Table:
    """C, observed over expected and slope of every subgroup of every set."""
    rows, lines = [], []
    for panel, entries in sets:
        for entry in entries:
            gray = panel.column.apparent
            if entry.too_few:
                cells = [Cell(TOO_FEW, gray=True), Cell(""), Cell("")]
            else:
                cells = [Cell(_words(value), gray=gray) for value in (entry.c, entry.ratio, entry.slope)]
                cells[0] = Cell(cells[0].text, "; ".join(entry.reasons), gray=gray)
            rows.append((*(Cell(text, gray=gray) for text in (panel.title, entry.level, str(entry.n), str(entry.deaths))), *cells))
            lines.append((panel.center, panel.column.split, entry.level, entry.n, entry.deaths, entry.too_few, entry.day, *entry.c, *entry.ratio, *entry.slope))
    names = ("set", "split", "subgroup", "patients", "deaths", "too_few", "day")
    values = [f"{name}{limit}" for name in ("c", "observed_expected", "slope") for limit in ("", "_lower", "_upper")]
    when = horizon_words(middle(measures.horizons_days)[0]) if measures.horizons_days else ""
    caption = (
        f"In each subgroup with at least {measures.subgroup_events} deaths: Harrell's C, deaths observed over expected within {when}, and slope, with"
        f" {100 * measures.confidence:g} % intervals; with fewer deaths: {TOO_FEW}."
    )
    header = header_cells("set", "subgroup", "patients", "deaths", "C", "observed / expected", "slope")
    return Table("subgroup_measures", caption, header, tuple(rows), csv_text((*names, *values), lines), words=2)


def measures_forest(panel: RiskPanel, entries: Sequence[SubgroupMeasures], name: str) -> Rendered:
    """The three measures of every subgroup of one set, next to each other; dotted: chance for C, right for the others."""
    words, read = [], []
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 0.27 * len(entries) + 0.95)
        columns = figure.subplots(1, len(AXES), sharey=True, width_ratios=(3, 4, 3))
        for axes, (measure, title, reference, reach) in zip(columns, AXES, strict=True):
            axes.axvline(reference, color=MUTED, linewidth=0.9, linestyle=":")
            for place, entry in enumerate(entries):
                value, lower, upper = getattr(entry, measure)
                if not math.isfinite(value):
                    if measure == "c" or not entry.too_few:
                        axes.text(reach[0] + 0.03 * (reach[1] - reach[0]), place, "too few" if entry.too_few else ABSENT, va="center", size=7, color=MUTED)
                    continue
                color = BLUE if place == 0 else INK
                mark_row(axes, place, (value, lower, upper), reach, color)
            values = [float(np.clip(getattr(entry, measure)[0], *reach)) for entry in entries]
            sentences = [f"{entry.level}, {entry.deaths} deaths: {title} {_words(getattr(entry, measure))}" for entry in entries]
            read.append(Reading(axes, [Trace("", BLUE, values, range(len(entries)), sentences)], along="y"))
            axes.set_xlim(*reach)
            axes.set_xlabel(title, size=7.5)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="both", length=0, labelsize=7.5)
        columns[0].set_yticks(range(len(entries)), [f"{entry.level} ({entry.deaths})" for entry in entries])
        columns[0].set_ylim(len(entries) - 0.5, -0.6)
        figure.suptitle(panel.title, x=0.02, ha="left", size=10, weight="bold")
        for entry in entries:
            listed = TOO_FEW if entry.too_few else f"C {_words(entry.c)}, observed / expected {_words(entry.ratio)}, slope {_words(entry.slope)}"
            words.append(f"{entry.level}, {entry.deaths} deaths: {listed}")
        return render(figure, name, alt=f"Subgroups, {panel.title}: {'; '.join(words)}.", caption="", read=read)


def _words(value: Estimate) -> str:
    return f"{number(value[0])} ({number(value[1])}–{number(value[2])})" if math.isfinite(value[1]) else number(value[0])
