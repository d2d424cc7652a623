"""Tables for a terminal and for other programs."""

import io
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 60  # a terminal table shows this many and says how many there are
MOST_CHARACTERS = 2000  # of a cell, the same


def render(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> str:
    """A table as text that fits the terminal (100 columns where there is none); numbers to the right, four significant digits."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 120
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1e5 else f"{value:.0f}"
    text = str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}... ({len(text)} characters)"


def write(table: "pa.Table", form: str, stream: TextIO) -> None:
    """An Arrow table to `stream` as table, csv, json (a list of records), parquet or an Arrow stream (bytes; refused on a terminal)."""
    if form == "table":
        rows = [list(row.values()) for row in table.slice(0, MOST_ROWS).to_pylist()]
        click.echo(render(table.column_names, rows), file=stream)
        if table.num_rows > MOST_ROWS:
            click.echo(f"... {MOST_ROWS} of {table.num_rows} rows; --format csv gives all", file=stream)
    elif form == "csv":
        from pyarrow import csv

        buffer = io.BytesIO()
        csv.write_csv(_flat(table), buffer)
        stream.write(buffer.getvalue().decode())
    elif form == "json":
        click.echo(json.dumps(_records(table), default=str), file=stream)
    else:
        if stream.isatty():
            raise click.UsageError(f"{form} is binary: redirect it into a file, ... --format {form} > features.{form}")
        buffer = io.BytesIO()
        if form == "parquet":
            from pyarrow import parquet

            parquet.write_table(table, buffer)
        else:
            from pyarrow import ipc

            with ipc.new_stream(buffer, table.schema) as sink:
                sink.write_table(table)
        stream.buffer.write(buffer.getvalue())


def _flat(table: "pa.Table") -> "pa.Table":
    """Lists, structs and maps as JSON text, since a cell of CSV holds one value."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            cells = [None if value is None else json.dumps(value, default=str) for value in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(cells, pa.string()))
    return table


def _records(table: "pa.Table") -> list[dict[str, Any]]:
    """Rows as mappings, with null where JSON has no number (NaN, infinity)."""
    return [{name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()} for record in table.to_pylist()]


def facts(values: Mapping[str, Any]) -> str:
    """Names and values, one a line; nested ones are left to the files that hold them."""
    flat = {name: value for name, value in values.items() if not isinstance(value, Mapping | list)}
    width = max((len(name) for name in flat), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in flat.items())
