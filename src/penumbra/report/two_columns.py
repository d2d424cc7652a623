"""Two columns of an answer against each other: numbers against numbers as points, groups against numbers as one strip each, or as bars."""

from collections.abc import Sequence

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, INK, WIDTH_IN, Rendered, render

MAX_GROUPS = 24
MAX_LETTERS = 24  # of a group's name
CAPTION = "{x} and {y} of {n} rows{missing}."


def scatter(x_name: str, y_name: str, x: Sequence[float], y: Sequence[float], missing: int) -> Rendered:
    """A point for each row. missing: rows without one of the two."""
    with ink.style():
        figure = ink.sheet(WIDTH_IN * 1.5, WIDTH_IN)
        axes = figure.subplots()
        axes.plot(x, y, linestyle="", marker="o", markersize=3.2 if len(x) < 500 else 1.8, color=BLUE, alpha=0.6, markeredgewidth=0)
        axes.set(xlabel=x_name, ylabel=y_name)
        r = _correlation(x, y)
        words = f"{y_name} against {x_name}, {len(x)} points" + (f", r {r}" if r else "")
        caption = _caption(x_name, y_name, len(x), missing) + (f" Pearson's r {r}." if r else "")
        return render(figure, "two-columns", alt=words, caption=caption)


def strips(group_name: str, y_name: str, groups: Sequence[str], y: Sequence[float], missing: int) -> Rendered:
    """A row of points for each group with its median, or a bar where every group has one number; the groups in their first order."""
    names = list(dict.fromkeys(groups))
    shown = names[:MAX_GROUPS]
    values = {name: np.array([value for group, value in zip(groups, y, strict=True) if group == name]) for name in shown}
    with ink.style():
        figure = ink.sheet(WIDTH_IN * 1.5, 0.8 + 0.24 * len(shown))
        axes = figure.subplots()
        for place, name in enumerate(shown):
            if all(len(each) == 1 for each in values.values()):
                axes.barh(place, values[name][0], height=0.65, color=BLUE, alpha=0.75)
                continue
            spread = np.linspace(-0.25, 0.25, 7)[np.arange(len(values[name])) % 7]
            axes.plot(values[name], place + spread, linestyle="", marker="o", markersize=2.4, color=BLUE, alpha=0.5, markeredgewidth=0)
            axes.plot([np.median(values[name])] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=1.4)
        axes.set_yticks(range(len(shown)), [name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…" for name in shown])
        axes.set(xlabel=y_name, ylabel=group_name)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        more = f" The first {MAX_GROUPS} of {len(names)} groups." if len(names) > len(shown) else ""
        lines = " Lines: medians." if any(len(each) > 1 for each in values.values()) else ""
        return render(
            figure, "two-columns", alt=f"{y_name} by {group_name}, {len(shown)} groups", caption=_caption(group_name, y_name, len(y), missing) + lines + more
        )


def _caption(x: str, y: str, n: int, missing: int) -> str:
    return CAPTION.format(x=x, y=y, n=n, missing=f"; {missing} without one of them are left out" if missing else "")


def _correlation(x: Sequence[float], y: Sequence[float]) -> str:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return ""
    return f"{np.corrcoef(x, y)[0, 1]:.2f}"
