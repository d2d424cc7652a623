"""Markdown of the reference: tables, cells and anchors."""

from collections.abc import Iterable, Iterator, Sequence


def cell(text: str) -> str:
    """A text within a table: on one line, with nothing that would be markup of the table or of HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def slug(name: str) -> str:
    """The anchor of a name."""
    return name.lower().replace(".", "-").replace("_", "-")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
