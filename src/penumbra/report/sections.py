"""A page of sections, each with one sentence, a table and figures: what a comparison of versions and a retraining are shown as."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from penumbra.report.ink import Rendered


@dataclass(frozen=True)
class Section:
    """header and rows make a table, of which the first `leading` columns are words; figures follow it."""

    title: str
    words: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    leading: int = 1
    figures: tuple[Rendered, ...] = ()


def write_sections(path: Path, title: str, kicker: str, verdict: Sequence[str], sections: Sequence[Section], footer: str) -> Path:
    """Write one HTML page that needs nothing but itself, whole or not at all; the same content gives the same bytes."""
    import jinja2

    room = files("penumbra.report")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(room.joinpath("sections.html").read_text(encoding="utf-8"))
    css = room.joinpath("page.css").read_text(encoding="utf-8")
    text = template.render(title=title, kicker=kicker, verdict=list(verdict), sections=list(sections), footer=footer, css=css)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    return fresh.replace(path)
