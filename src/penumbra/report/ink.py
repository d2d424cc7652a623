"""How figures look and how they become SVG and PNG, the same bytes for the same figure."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from penumbra.report.traces import Reading, numbers_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), told apart by the color-blind; the page swaps these through CSS variables for dark screens.
INK, MUTED, GRID = "#1c1c1c", "#6e6e6e", "#dcdcdc"
BLUE, VERMILION, SKY, GREEN, YELLOW, PURPLE = "#0072b2", "#d55e00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7"
VARIABLES = {"#ffffff": "paper", INK: "ink", MUTED: "muted", GRID: "grid", BLUE: "blue", VERMILION: "vermilion"}

EVERYWHERE = 'stroke-linejoin="round" stroke-linecap="butt"'  # what matplotlib's style element says of every shape
WIDTH_IN = 4.1  # a figure that fills a phone's width keeps its letters readable
PNG_DPI = 200
PNG_EFFORT = 2  # of zlib's 9: a figure is mostly paper, and 6 takes longer than drawing it
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: they can be searched, read aloud and take the page's font
    "svg.hashsalt": "penumbra",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Rendered:
    """A figure as files and as part of a page.

    Parameters
    ----------
    name
        File name without ending, unique on the page.
    alt
        What it shows, for those who do not see it.
    caption
        What to see in it.
    svg
        A file of its own; png on white.
    apparent
        Whether it shows patients that the fit saw: gray on the page.
    numbers
        Places and points for who points at a curve (report/traces.py); None: nothing to read.
    """

    name: str
    alt: str
    caption: str
    svg: str
    png: bytes
    apparent: bool = False
    numbers: Mapping[str, Any] | None = None

    @property
    def inline_svg(self) -> str:
        """The SVG for a page: scalable, named for screen readers, colored by the page's variables, its ids its own.

        It has no style attribute and no style element, so it shows under a policy that allows neither.
        """
        body = self.svg[self.svg.index("<svg") :]
        body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r"\s*<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
        body = re.sub(r'\sstyle="([^"]*)"', _as_attributes, body)
        body = re.sub(r'\bid="([^"]+)"', rf'id="{self.name}-\1"', body)
        body = re.sub(r'\b(xlink:href|href)="#([^"]+)"', rf'\1="#{self.name}-\2"', body)
        body = re.sub(r"url\(#([^)]+)\)", rf"url(#{self.name}-\1)", body)
        for color, variable in VARIABLES.items():
            body = body.replace(color, f"var(--{variable})")
        head, content = body.split(">", 1)
        head = re.sub(r' (width|height)="[^"]*"', "", head)
        return f'{head} {EVERYWHERE} role="img" aria-label="{_attribute(self.alt)}">{content}'


@contextmanager
def style() -> Iterator[None]:
    """Draw with this page's style, leaving matplotlib's own settings as they were."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def sheet(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> "Figure":
    """An empty figure, in inches."""
    sheet: Figure = _sheets()(figsize=(width, height), layout=layout)
    return sheet


@cache
def _sheets() -> Any:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    class Sheet(Figure):
        """A figure that is laid out without being drawn, and once for all its files.

        Before it writes a file, matplotlib draws a figure that has a layout once for nothing but that; the letters of every tick are measured again.
        The file itself is written with a place holder for the layout.
        """

        laid_out = False

        def draw(self, renderer: Any) -> None:
            layout = self.get_layout_engine()
            if layout is None or isinstance(layout, PlaceHolderLayoutEngine):
                super().draw(renderer)
            elif self.axes and not self.laid_out:
                layout.execute(self)
                self.laid_out = True

    return Sheet


def render(figure: "Figure", name: str, *, alt: str, caption: str, read: Sequence[Reading] = ()) -> Rendered:
    """Write a figure as SVG and as PNG on white; without dates, so that equal figures are equal bytes.

    Parameters
    ----------
    read
        What a reader can point at.
    """
    svg, png = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    numbers = numbers_of(read, VARIABLES)
    figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None}, facecolor="white", pil_kwargs={"compress_level": PNG_EFFORT})
    return Rendered(name, alt, caption, svg.getvalue(), png.getvalue(), numbers=numbers)


def _as_attributes(style: re.Match[str]) -> str:
    """A style attribute as presentation attributes, which mean the same; matplotlib writes no property that has none."""
    properties = (each.partition(":") for each in style[1].split(";") if each.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, _, value in properties)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
