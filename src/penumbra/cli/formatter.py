"""click's help, with words that are not broken inside and paragraphs as wide as there is room."""

from collections.abc import Iterable

import click
from click.formatting import iter_rows, measure_table

from penumbra.base import layout

MAX_COLUMNS = 120  # a longer line is hard to read


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words alone: --dry-run and nsclc-os/1 are words."""
    return layout.wrap(" ".join(text.split()), max(width, layout.NARROWEST))[0]


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
