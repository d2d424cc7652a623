"""The deaths of live patients as they come: observed and expected, and the two CUSUM charts with their limits."""

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, INK, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import number
from penumbra.survival.monitoring import Chart, Stream

HEIGHT_IN = 3.9


def charts(stream: Stream, more: Chart, fewer: Chart, name: str) -> Rendered:
    """Deaths observed and expected by day, and both charts over the deaths expected; a signal is a mark where its chart crossed the limit."""
    with ink.style():
        figure = ink.sheet(WIDTH_IN, HEIGHT_IN)
        counts, cusums = figure.subplots(2, 1)
        counts.step(stream.day, stream.observed, where="post", color=VERMILION, linewidth=1.4, label="died")
        counts.step(stream.day, stream.expected, where="post", color=INK, linewidth=1.0, linestyle=(0, (4, 1.5)), label="expected")
        counts.set(xlabel="day since the first of them was scored", ylabel="deaths", title="Deaths")
        counts.legend(frameon=False, fontsize=8, loc="upper left")
        for chart, color, label in ((more, VERMILION, "more deaths"), (fewer, BLUE, "fewer deaths")):
            cusums.plot(stream.expected, chart.value, color=color, linewidth=1.2, label=label)
            cusums.axhline(chart.limit, color=color, linewidth=0.8, linestyle=":")
            if chart.signal is not None:
                cusums.plot(stream.expected[chart.signal], chart.value[chart.signal], "o", color=color, markersize=5)
        cusums.set(xlabel="deaths expected", ylabel="CUSUM", title="Charts and their limits")
        cusums.set_ylim(0, 1.1 * max([more.limit, fewer.limit, *more.value, *fewer.value]))
        cusums.legend(frameon=False, fontsize=8, loc="upper left")
        for axes in (counts, cusums):
            axes.tick_params(length=2, color=MUTED)
        crossed = [label for chart, label in ((more, "more"), (fewer, "fewer")) if chart.signal is not None]
        observed, expected = int(np.sum(stream.died)), float(stream.expected[-1]) if stream.expected.size else 0.0
        alt = f"{observed} deaths, {expected:.1f} expected; the chart for {' and '.join(crossed) or 'neither more nor fewer'} deaths crossed its limit."
        deaths = [
            Trace("died", VERMILION, stream.day, stream.observed, [f"{value:g}" for value in stream.observed], step=True),
            Trace("expected", INK, stream.day, stream.expected, [number(value, 1) for value in stream.expected], step=True),
        ]
        both = [
            Trace(words, color, stream.expected, chart.value, [number(value) for value in chart.value])
            for chart, color, words in ((more, VERMILION, "more deaths"), (fewer, BLUE, "fewer deaths"))
        ]
        read = [Reading(counts, deaths, "day"), Reading(cusums, both, "expected")]
        return render(figure, name, alt=alt, read=read, caption="Dotted: limits of the charts. A chart rises while deaths come otherwise than expected.")
