"""Text on a terminal: paragraphs and lists of names with what they mean, as wide as there is room, and no word broken inside."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click
from click.formatting import iter_rows, measure_table

MOST_COLUMNS = 120  # a longer line is hard to read
NO_TERMINAL = 100  # columns where there is none


def columns() -> int:
    """How wide text may be here."""
    return max(40, min(shutil.get_terminal_size((NO_TERMINAL, 24)).columns, MOST_COLUMNS))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words alone: --dry-run and nsclc-os/1 are words."""
    return textwrap.wrap(" ".join(text.split()), max(width, 10), break_long_words=False, break_on_hyphens=False)


class Formatter(click.HelpFormatter):
    """click's formatter, which would break words at hyphens and inside."""

    def write_text(self, text: str) -> None:
        """Paragraphs, indented; one that begins with a backspace character keeps its lines."""
        indent, paragraphs = " " * self.current_indent, text.expandtabs().split("\n\n")
        written = []
        for paragraph in paragraphs:
            lines = paragraph.strip("\n").split("\n")
            if lines[0].strip() == "\b":
                written.append("\n".join(f"{indent}{line}" for line in lines[1:]))
            else:
                written.append("\n".join(f"{indent}{line}" for line in wrapped(paragraph, self.width - self.current_indent)))
        self.write("\n\n".join(written) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Names to the left, what they mean to the right; a name that is too long has a line of its own."""
        rows = list(rows)
        first = min(measure_table(rows)[0], col_max) + col_spacing
        indent, hanging = " " * self.current_indent, " " * (self.current_indent + first)
        for name, text in iter_rows(rows, 2):
            lines = wrapped(text, self.width - len(hanging))
            if len(name) + col_spacing > first:
                self.write(f"{indent}{name}\n")
                self.write("".join(f"{hanging}{line}\n" for line in lines))
                continue
            self.write(f"{indent}{name:<{first}}{lines[0] if lines else ''}".rstrip() + "\n")
            self.write("".join(f"{hanging}{line}\n" for line in lines[1:]))


class Context(click.Context):
    formatter_class = Formatter


def definitions(rows: Sequence[tuple[str, str]], width: int, **sizes: Any) -> str:
    """A list of names and what they mean as text."""
    formatter = Formatter(width=width)
    formatter.indent()
    formatter.write_dl(rows, **sizes)
    return formatter.getvalue()


def paragraph(text: str, width: int) -> str:
    """One paragraph, without a line break at its end."""
    return "\n".join(wrapped(text, width))
