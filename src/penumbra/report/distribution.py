"""Predicted risk by outcome: how the probabilities of those who died by a horizon and of those known to be alive then are spread."""

from collections.abc import Sequence

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, GRID, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.inputs import Measures, RiskPanel
from penumbra.report.tables import Table, plain_table
from penumbra.report.words import number
from penumbra.survival import Undefined
from penumbra.survival.horizons import horizon_words

BINS = 20
QUARTILES = (0.25, 0.5, 0.75)


def distribution(panel: RiskPanel, measures: Measures, label: str, name: str) -> tuple[Rendered, list[tuple[object, ...]]]:
    """Mirrored histograms of the predicted probability of death, those who died above and those alive below, at each horizon; and the same as rows."""
    rows: list[tuple[object, ...]] = []
    lines = []
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 0.55 + 1.25 * len(panel.days))
        column_of_axes = np.atleast_1d(figure.subplots(len(panel.days), 1, sharex=True))
        for column, (day, axes) in enumerate(zip(panel.days, column_of_axes, strict=True)):
            axes.set(xlim=(0, 1), ylim=(-1, 1), yticks=[])
            axes.axhline(0, color=MUTED, linewidth=0.7)
            axes.grid(axis="y", visible=False)
            when = horizon_words(day)
            try:
                died, alive, censored = outcomes_at(panel, column)
            except Undefined as undefined:
                lines.append(f"{when}: {undefined}")
                axes.set_title(when, size=8.5)
                axes.text(0.5, 0.5, str(undefined), ha="center", va="center", color=MUTED, size=7, transform=axes.transAxes, wrap=True)
                continue
            _mirrored(axes, died, alive)
            words = f"died {died.size}{_median(died)}; alive {alive.size}{_median(alive)}"
            lines.append(f"{when}, {words}; {censored} censored before")
            axes.set_title(f"{when}: {words}", size=8)
            axes.text(1.0, -0.97, f"{censored} censored before", ha="right", va="bottom", color=MUTED, size=7)
            quartiles = [(*np.quantile(group, QUARTILES),) if group.size else (np.nan,) * 3 for group in (died, alive)]
            rows.append((panel.center, panel.column.split, day, died.size, alive.size, censored, *map(float, (*quartiles[0], *quartiles[1]))))
        column_of_axes[-1].set_xlabel("predicted probability of death")
        figure.suptitle(f"{label}, {panel.title}", x=0.02, ha="left", size=10, weight="bold")
        return render(figure, name, alt=f"Predicted risk by outcome, {label}, {panel.title}: {'; '.join(lines)}.", caption=""), rows


def outcomes_at(panel: RiskPanel, column: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Predicted probabilities of those who died by a horizon and of those known to be alive then, and how many were censored before.

    Raises
    ------
    Undefined
        Where the model gives no probability then.
    """
    from penumbra.survival.case_status import status

    death = 1.0 - panel.alive(column)
    died, alive = status(panel.event, panel.time, panel.days[column])
    return death[died], death[alive], int((~died & ~alive).sum())


def distribution_table(rows: Sequence[tuple[object, ...]]) -> Table:
    """Quartiles of the predicted probability of death by outcome, for each set and horizon."""
    groups = [f"{quartile}, {group}" for group in ("died", "alive") for quartile in ("lower quartile", "median", "upper quartile")]
    names = ("set", "split", "day", "died", "alive", "censored before", *groups)
    caption = "Predicted probability of death of those who died by the day and of those known to be alive then; who was censored before it is in neither."
    return plain_table("risk_by_outcome", caption, names, rows, words=2)


def _mirrored(axes: "object", died: np.ndarray, alive: np.ndarray) -> None:
    edges = np.linspace(0, 1, BINS + 1)
    shares = [np.histogram(np.clip(group, 0, 1), edges)[0] / max(group.size, 1) for group in (died, alive)]
    tallest = max(float(share.max()) for share in shares) or 1.0
    for share, sign, color, group in zip(shares, (1, -1), (VERMILION, BLUE), (died, alive), strict=True):
        axes.bar(edges[:-1], 0.9 * sign * share / tallest, width=1 / BINS, align="edge", color=color, edgecolor=GRID, linewidth=0.3)  # type: ignore[attr-defined]
        if group.size:
            axes.plot([np.median(group)] * 2, [0, 0.95 * sign], color=color, linewidth=1.1, linestyle=(0, (2, 1)))  # type: ignore[attr-defined]


def _median(group: np.ndarray) -> str:
    return f", median {number(float(np.median(group)))}" if group.size else ""
