"""What the script of a page reads of a figure: where its axes are, and what its points say."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from penumbra.report import ink
from penumbra.report.ink import BLUE, Rendered, render
from penumbra.report.traces import MAX_POINTS, Reading, Trace

# https://www.w3.org/TR/SVG2/styling.html#PresentationAttributes, those that matplotlib writes
PRESENTATION = {
    "fill",
    "fill-opacity",
    "fill-rule",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "image-rendering",
    "opacity",
    "stroke",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "stroke-opacity",
    "stroke-width",
    "text-anchor",
}


def drawn(*, log: bool = False, points: int = 3) -> Rendered:
    with ink.style():
        figure = Figure(figsize=(4, 3), layout="constrained")
        axes = figure.subplots()
        x = np.linspace(1, 10, points)
        axes.plot(x, x, "o", color=BLUE)
        axes.fill_between(x, x, x + 1, alpha=0.2)
        axes.set(xlim=(1, 10), ylim=(0, 12), xlabel="years", title="A title")
        if log:
            axes.set_xscale("log")
        y = np.where(np.arange(points) == 1, np.nan, x)
        trace = Trace("risk", BLUE, x, y, [f"{value:g} alive" for value in x], step=True)
        return render(figure, "one", alt="A figure.", caption="", read=[Reading(axes, [trace, Trace("gone", "#123456", [1.0], [np.nan], ["never"])], "year")])


def test_a_figure_on_a_page_has_no_style_that_a_policy_forbids() -> None:
    figure = drawn()
    assert 'style="' in figure.svg
    assert "<style" in figure.svg
    page = figure.inline_svg
    assert "style=" not in page
    assert "<style" not in page
    properties = {name.strip() for style in re.findall(r'style="([^"]*)"', figure.svg) for name in re.findall(r"([\w-]+):", style)}
    assert properties <= PRESENTATION
    assert 'fill="var(--blue)"' in page
    assert "text-anchor=" in page


def test_the_numbers_of_a_figure_say_where_its_points_are() -> None:
    figure = drawn()
    assert figure.numbers is not None
    (axes,) = figure.numbers["axes"]
    assert (axes["x"], axes["y"], axes["log"], axes["along"], axes["words"]) == ([1, 10], [0, 12], [False, False], "x", "year")
    (risk,) = axes["series"]
    assert risk == {"name": "risk", "color": "var(--blue)", "step": True, "x": [1, 10], "y": [1, 10], "words": ["1 alive", "10 alive"]}
    left, top, width, height = axes["box"]
    # the markers in the SVG are where the box and the ranges put them
    dots = [(float(x), float(y)) for x, y in re.findall(r'<use xlink:href="#m\w+" x="([\d.]+)" y="([\d.]+)" style="fill: #0072b2', figure.svg)]
    expected = [(left + (x - 1) / 9 * width, top + (1 - x / 12) * height) for x in (1, 5.5, 10)]
    np.testing.assert_allclose(dots, expected, atol=0.02)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    figure = drawn(points=2000, log=True)
    assert figure.numbers is not None
    (axes,) = figure.numbers["axes"]
    assert axes["log"] == [True, False]
    assert len(axes["series"][0]["x"]) == MAX_POINTS
    assert (axes["series"][0]["x"][0], axes["series"][0]["x"][-1]) == (1, 10)


def test_every_point_has_words() -> None:
    figure = Figure()
    reading = Reading(figure.subplots(), [Trace("", BLUE, [1, 2], [1, 2], ["one"])])
    with pytest.raises(ValueError, match="shorter"):
        render(figure, "short", alt="", caption="", read=[reading])


def test_a_figure_is_laid_out_once_for_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layout measures the letters of every tick: as much work as drawing."""
    layouts, execute = list[Figure](), ConstrainedLayoutEngine.execute

    def counted(engine: ConstrainedLayoutEngine, figure: Figure) -> object:
        layouts.append(figure)
        return execute(engine, figure)

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", counted)
    with ink.style():
        figure = ink.sheet(4, 3)
        figure.subplots().plot([1, 2], [3, 4])
        drawn = render(figure, "one", alt="", caption="")
    assert layouts == [figure]
    assert (len(drawn.svg) > 1000, drawn.png[:4]) == (True, b"\x89PNG")
