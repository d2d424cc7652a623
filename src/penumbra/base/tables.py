"""Tables for a terminal and for other programs: the one place where answers become text."""

import io
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from penumbra.base import cells, layout
from penumbra.base.json_values import without_nan

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 60  # a terminal table shows this many and says how many there are
EXPLAINED = ("explain_key", "explain_value")  # EXPLAIN answers with a drawing
OFF_TERMINAL = 120  # columns, where there is no terminal and COLUMNS does not say


@dataclass(frozen=True)
class Answer:
    """What was asked for, as rows.

    Parameters
    ----------
    types
        DuckDB's names of the columns' types; () where they were not asked.
    total
        How many rows there are, of which `rows` may be the first alone.
    counted
        Whether these are all; otherwise there are more.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    types: tuple[str, ...] = ()
    total: int = 0
    counted: bool = True

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> "Answer":
        """Records, one per row. columns: where there may be no record."""
        names = tuple(columns) or tuple(dict.fromkeys(name for record in records for name in record))
        return cls(names, [tuple(record.get(name) for name in names) for record in records], (), len(records))

    @classmethod
    def of_arrow(cls, table: "pa.Table", max_rows: int | None = None) -> "Answer":
        """An Arrow table, or its first rows."""
        shown = table if max_rows is None else table.slice(0, max_rows)
        return cls(tuple(table.column_names), list(zip(*map(values, shown.columns), strict=True)), (), table.num_rows)


def render(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: str | None = None,
    *,
    width: int | None = None,
    whole: str = layout.WHOLE,
    rows_named: bool = False,
) -> str:
    """A table as text that is no wider than the terminal and breaks no word.

    What does not fit side by side is shown one column per line, where there are few rows, or without its last columns, which are named then.

    Parameters
    ----------
    width
        Of the terminal; None: of this one, or where there is none COLUMNS, or 120.
    whole
        What prints all of it.
    rows_named
        Whether the first column says whose row it is, where one column is shown per line.
    """
    width = width or terminal_width()
    names = [str(name) for name in columns]
    some = slice(0, max(layout.MAX_COLUMNS, width))  # more never fit
    laid = layout.lay([layout.Column(*column) for column in cells.columns(names[some], [row[some] for row in rows])], width, len(rows), named=rows_named)
    lines = [*(layout.wrap(cells.clean(title), width)[0] if title else ()), *laid.lines]
    if not rows:
        lines.append(f"{layout.EDGE}(no rows)")
    if laid.shown < len(names):
        lines += layout.named([cells.clean(name).replace("\n", " ") for name in names[laid.shown :]], width, whole)
    elif laid.cut:
        lines += layout.wrap(f"{layout.CUT} marks what was cut; {whole} has it whole", width)[0]
    return "\n".join(lines)


def terminal_width() -> int:
    """Columns to fill."""
    return shutil.get_terminal_size((100 if sys.stdout.isatty() else OFF_TERMINAL, 24)).columns


def facts(values: Mapping[str, Any], *, width: int | None = None) -> str:
    """Names and values, one per line; nested ones are left to the files that hold them. Texts are whole: a digest here is what something is compared with."""
    flat = {name: value for name, value in values.items() if not isinstance(value, Mapping | list)}
    pairs = [
        (header, cells.clean(value) if isinstance(value, str) else shown[0])
        for name, value in flat.items()
        for header, shown, _ in cells.columns([name], [[value]])
    ]
    return layout.pairs(pairs, width or terminal_width())


def write(answer: "Answer | pa.Table", form: str, stream: TextIO, *, title: str | None = None, whole: str = layout.WHOLE) -> None:
    """An answer to `stream` as table, markdown, csv, json (a list of records), parquet or an Arrow stream (bytes; refused on a terminal)."""
    if form == "table":
        shown = answer if isinstance(answer, Answer) else Answer.of_arrow(answer, MAX_ROWS)
        if shown.columns == EXPLAINED:
            click.echo("\n".join(layout.shorten(cells.clean(line), terminal_width()) for row in shown.rows for line in str(row[1]).split("\n")), file=stream)
            return
        click.echo(render(shown.columns, shown.rows[:MAX_ROWS], title, whole=whole), file=stream)
        if shown.total > MAX_ROWS or not shown.counted:
            click.echo(f"... {MAX_ROWS} of {'' if shown.counted else 'more than '}{shown.total} rows; {whole} gives all", file=stream)
    elif form == "markdown":
        click.echo("\n".join(_markdown(answer if isinstance(answer, Answer) else Answer.of_arrow(answer))), file=stream)
    elif form == "json":
        click.echo(json.dumps(_records(_arrow(answer)), default=str), file=stream)
    elif form == "csv":
        from pyarrow import csv

        buffer = io.BytesIO()
        csv.write_csv(_flat(_arrow(answer)), buffer)
        stream.write(buffer.getvalue().decode())
    else:
        if stream.isatty():
            raise click.UsageError(f"{form} is binary: redirect it into a file, ... --format {form} > features.{form}")
        buffer, table = io.BytesIO(), _arrow(answer)
        if form == "parquet":
            from pyarrow import parquet

            parquet.write_table(table, buffer)
        else:
            from pyarrow import ipc

            with ipc.new_stream(buffer, table.schema) as sink:
                sink.write_table(table)
        stream.buffer.write(buffer.getvalue())


def values(column: "pa.ChunkedArray") -> list[Any]:
    """As Python's; a date that Python does not have (infinity, before year 1) as text."""
    import pyarrow as pa

    try:
        answer: list[Any] = column.to_pylist()
        return answer
    except (OverflowError, ValueError):
        return [None if value is None else str(value) for value in (column.cast(pa.string()).to_pylist() if not pa.types.is_nested(column.type) else column)]


def _arrow(answer: "Answer | pa.Table") -> "pa.Table":
    if not isinstance(answer, Answer):
        return answer
    import pyarrow as pa

    columns = list(zip(*answer.rows, strict=True)) or [()] * len(answer.columns)
    return pa.Table.from_arrays([pa.array(column) for column in columns], names=list(answer.columns))


def _markdown(answer: Answer) -> Iterator[str]:
    """A table for a document: every row, values as in a terminal, and nothing cut."""
    columns = cells.columns(answer.columns, answer.rows)

    def line(texts: Sequence[str]) -> str:
        return f"| {' | '.join(text.replace(cells.NO_BREAK, ' ').replace('|', chr(92) + '|').replace(chr(10), '<br>') for text in texts)} |"

    yield line([header for header, _, _ in columns])
    yield f"|{'|'.join('---:' if numeric else '---' for _, _, numeric in columns)}|"
    for place in range(len(answer.rows)):
        yield line([texts[place] for _, texts, _ in columns])


def _flat(table: "pa.Table") -> "pa.Table":
    """Lists, structs and maps as JSON text, since a cell of CSV holds one value."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [None if value is None else json.dumps(value, default=str) for value in values(table.column(place))]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def _records(table: "pa.Table") -> list[dict[str, Any]]:
    """Rows as mappings, with null where JSON has no number (NaN, infinity)."""
    columns = [without_nan(values(column)) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
