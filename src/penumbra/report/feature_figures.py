"""One feature as figures: its values by center and by outcome, and against the volume of the tumor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, GREEN, INK, MUTED, PURPLE, SKY, VERMILION, WIDTH_IN, YELLOW, Rendered, render
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import count

SEED = 0  # of the places of the dots across their row, which mean nothing
COLORS = (BLUE, VERMILION, GREEN, PURPLE, SKY, INK, YELLOW)
MARKERS = "os^Dv<>"


@dataclass(frozen=True)
class Group:
    """Values of one group of patients, and its color."""

    name: str
    values: np.ndarray
    color: str = BLUE


def ready() -> None:
    """Draw a small figure that nobody sees: the process that draws imports matplotlib and reads its fonts, seconds that the first page should not wait for."""
    distribution([Group("", np.arange(3.0))], "", "ready")


def distribution(groups: Sequence[Group], label: str, name: str) -> Rendered:
    """Every value as a dot, one row per group; the bar spans the quartiles and the line is the median."""
    random = np.random.default_rng(SEED)
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 0.75 + 0.5 * len(groups))
        axes = figure.subplots()
        medians, words, places = [], [], []
        for place, group in enumerate(groups):
            values = group.values[np.isfinite(group.values)]
            if not values.size:
                words.append(f"{group.name}: no value")
                medians.append(np.nan)
                places.append(place)
                continue
            lower, median, upper = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
            axes.plot(values, place + random.uniform(-0.28, 0.28, values.size), ".", color=group.color, markersize=3, alpha=0.45)
            axes.plot([lower, upper], [place, place], color=group.color, linewidth=5, alpha=0.55, solid_capstyle="butt")
            axes.plot([median, median], [place - 0.3, place + 0.3], color=INK, linewidth=1.6)
            medians.append(median)
            places.append(place)
            words.append(f"{group.name}: median {median:.4g} (quartiles {lower:.4g} to {upper:.4g}), {count(values.size, 'patient')}")
        axes.set_yticks(range(len(groups)), [group.name for group in groups])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(label)
        read = [Reading(axes, [Trace("", INK, medians, places, words)], along="y")]
        return render(figure, name, alt=f"{label}: {'; '.join(words)}.", caption="", read=read)


def against_volume(centers: Sequence[str], patients: Sequence[str], volume_cm3: np.ndarray, values: np.ndarray, label: str, name: str) -> Rendered:
    """Every patient as a dot: the volume of the GTV on a log axis, and the feature."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    of_center, traces = np.array(centers), []
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 3.2)
        axes = figure.subplots()
        axes.set_xscale("log")
        for place, center in enumerate(dict.fromkeys(centers)):
            here = (of_center == center) & np.isfinite(volume_cm3) & np.isfinite(values) & (volume_cm3 > 0)
            color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
            axes.plot(volume_cm3[here], values[here], marker, color=color, markersize=3.5, alpha=0.7, linewidth=0, label=center)
            words = [f"{patients[i]} {values[i]:.4g}, {volume_cm3[i]:.3g} cm³" for i in np.flatnonzero(here).tolist()]
            order = np.argsort(volume_cm3[here], kind="stable")
            traces.append(Trace(center, color, volume_cm3[here][order], values[here][order], [words[i] for i in order]))
        axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(color=MUTED)
        axes.set_xlabel("volume of the GTV, cm³")
        axes.set_ylabel(label)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7.5, frameon=False)
        alt = f"{label} against the volume of the GTV, {count(int(np.isfinite(values).sum()), 'patient')} of {count(len(traces), 'center')}."
        return render(figure, name, alt=alt, caption="", read=[Reading(axes, traces)])
