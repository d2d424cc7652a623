"""What a figure says where a reader points at it: the places of its axes and the points of its curves, as plain numbers for the page's script."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_POINTS = 400  # of one curve; a longer one is thinned evenly
POINTS_PER_INCH = 72  # of an SVG by matplotlib


@dataclass(frozen=True)
class Trace:
    """One curve, or one column of rows.

    Parameters
    ----------
    name
        As in the legend.
    color
        As drawn.
    x, y : shape (n,)
        In the units of the axes; a point that is not finite is left out.
    words
        Of each point, such as "23 % alive, 13 at risk".
    step
        Whether a value holds until the next point.
    """

    name: str
    color: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    words: Sequence[str]
    step: bool = False


@dataclass(frozen=True)
class Reading:
    """The traces of one pair of axes.

    Parameters
    ----------
    words
        Before the place that is pointed at, such as "year"; "" shows no place.
    along
        "x": a reader moves along the horizontal axis; "y": from row to row.
    """

    axes: "Axes"
    traces: Sequence[Trace]
    words: str = ""
    along: str = "x"


def numbers_of(readings: Sequence[Reading], variables: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The readings of a figure that was just drawn as SVG; None where there is nothing to read.

    Parameters
    ----------
    variables
        Color -> name of the page's variable for it.
    """
    axes = [_numbers(reading, variables) for reading in readings]
    shown = [each for each in axes if each["series"]]
    return {"axes": shown} if shown else None


def _numbers(reading: Reading, variables: Mapping[str, str]) -> dict[str, Any]:
    axes = reading.axes
    width, height = (inches * POINTS_PER_INCH for inches in axes.get_figure(root=True).get_size_inches())  # type: ignore[union-attr]
    place = axes.get_position()
    return {
        "box": [_short(value) for value in (place.x0 * width, (1 - place.y1) * height, place.width * width, place.height * height)],
        "x": [float(end) for end in axes.get_xlim()],
        "y": [float(end) for end in axes.get_ylim()],
        "log": [axes.get_xscale() == "log", axes.get_yscale() == "log"],
        "along": reading.along,
        "words": reading.words,
        "series": [series for trace in reading.traces if (series := _series(trace, variables))["x"]],
    }


def _series(trace: Trace, variables: Mapping[str, str]) -> dict[str, Any]:
    points = [(float(x), float(y), words) for x, y, words in zip(trace.x, trace.y, trace.words, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(points) > MAX_POINTS:
        points = [points[round(place)] for place in np.linspace(0, len(points) - 1, MAX_POINTS)]
    return {
        "name": trace.name,
        "color": f"var(--{variables[trace.color]})" if trace.color in variables else trace.color,
        "step": trace.step,
        "x": [_short(x) for x, _, _ in points],
        "y": [_short(y) for _, y, _ in points],
        "words": [words for _, _, words in points],
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")
