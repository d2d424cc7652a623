"""How far the predictions for a person move over refits of the same recipe on resamples of the same patients."""

import numpy as np

from penumbra.evaluate.instability import Instability
from penumbra.report import ink
from penumbra.report.ink import BLUE, MUTED, VERMILION, Rendered, render
from penumbra.report.tables import Table, plain_table
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import number, percent
from penumbra.survival.horizons import horizon_words


def instability(over: Instability, label: str, name: str) -> Rendered:
    """Original prediction of each training patient against the limits under the refits; and below, the mean difference and how often the group changes."""
    original, lower, upper, mape, cii = (np.array(values) for values in (over.original, over.lower, over.upper, over.mape, over.cii))
    with ink.style():
        figure = ink.sheet(4.1, 5.6)
        above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
        above.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        above.vlines(original, lower, upper, color=BLUE, linewidth=0.7, alpha=0.6)
        above.plot(original, lower, ".", color=BLUE, markersize=2)
        above.plot(original, upper, ".", color=BLUE, markersize=2)
        above.set(xlim=(0, 1), ylim=(0, 1), ylabel="under the refits, limits")
        middle.plot(original, mape, ".", color=BLUE, markersize=3)
        middle.set(ylabel="MAPE", ylim=(0, max(0.05, 1.1 * over.worst)))
        below.plot(original, cii, ".", color=VERMILION, markersize=3)
        below.set(
            ylabel="group changes", ylim=(-0.03, max(0.5, float(cii.max())) + 0.03), xlabel=f"predicted probability of death within {horizon_words(over.day)}"
        )
        above.set_title(label)
        figure.align_ylabels()
        alt = (
            f"Prediction instability of {label} over {over.refits} refits, {len(original)} training patients, death within {horizon_words(over.day)}: "
            f"mean absolute difference {number(float(mape.mean()), 3)}, of the worst patient {number(over.worst, 3)}; "
            f"the risk group changes in {number(100 * float(cii.mean()), 0)} % of the refits, at most {number(100 * float(cii.max()), 0)} %."
        )
        limits = [f"{percent(low)} to {percent(high)} under the refits" for low, high in zip(lower, upper, strict=True)]
        moved = [f"{number(value, 3)}" for value in mape]
        changed = [percent(value) for value in cii]
        read = [
            Reading(axes, [Trace(words, color, original, values, sentences)], "predicted")
            for axes, words, color, values, sentences in (
                (above, "limits", BLUE, original, limits),
                (middle, "mean absolute difference", BLUE, mape, moved),
                (below, "group changes", VERMILION, cii, changed),
            )
        ]
        return render(figure, name, alt=alt, caption="", read=read)


def instability_table(over: Instability) -> Table:
    """Every training patient without a name, by rising original prediction."""
    order = np.argsort(over.original, kind="stable")
    rows = [(float(over.original[i]), float(over.lower[i]), float(over.upper[i]), float(over.mape[i]), float(over.cii[i])) for i in order]
    names = ("original", "lower", "upper", "mape", "group_changes")
    return plain_table("instability", f"Predicted probability of death within {horizon_words(over.day)} over {over.refits} refits.", names, rows, words=0)
