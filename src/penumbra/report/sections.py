"""A page of sections, each with one sentence, a table and figures: what a comparison of versions and a retraining are shown as."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.base.whole_files import write_whole
from penumbra.report.ink import Rendered
from penumbra.report.tables import Cell
from penumbra.report.templates import rendered


@dataclass(frozen=True)
class Section:
    """header and rows make a table, of which the first `leading` columns are words; figures follow it."""

    title: str
    words: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    leading: int = 1
    figures: tuple[Rendered, ...] = ()

    @property
    def cells(self) -> tuple[list[Cell], list[list[Cell]]]:
        """Header and rows as a table of the pages has them."""
        return [Cell(text) for text in self.header], [[Cell(str(value)) for value in row] for row in self.rows]


def write_sections(path: Path, title: str, kicker: str, verdict: Sequence[str], sections: Sequence[Section], footer: str) -> Path:
    """Write one HTML page that needs nothing but itself, whole or not at all; the same content gives the same bytes."""
    return write_whole(path, rendered("sections.html", title=title, kicker=kicker, verdict=list(verdict), sections=list(sections), footer=footer))
