"""A department's own columns in a clinical table: which cells they are, and what each holds."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from penumbra.base.clinical_columns import LEVELED, NUMBERS, ClinicalColumn, Columns, read_columns
from penumbra.base.refusal import Refusal
from penumbra.cohort import spellings

Value = float | str | None  # number, or level; None: not known
RULE = "clinical_value"
BOOLEANS = {**dict.fromkeys(("1", "true", "yes", "y"), 1.0), **dict.fromkeys(("0", "false", "no", "n"), 0.0)}
HEADERS = frozenset(header for headers in spellings.COLUMNS.values() for header in headers)  # that are those of other columns
PLAIN = re.compile(r"[+-]?[\d.,]{1,8}")  # what a remark may repeat: a number, and never a text, which could be a name


def own_columns(features: Path) -> dict[str, ClinicalColumn]:
    """The columns that features/clinical.yaml declares, none under a header that is read as something else.

    Raises
    ------
    ParamsError
        "clinical_column", "clinical_column_private", "yaml_readable".
    """
    return read_columns(features, HEADERS)


def places(header: Sequence[str], columns: Columns) -> dict[str, int]:
    """Declared column -> its place in the row, for those that a table has.

    Raises
    ------
    Refusal
        "clinical_columns", where a table has one twice.
    """
    keys = [spellings.column_key(name) for name in header]
    by_name: dict[str, int] = {}
    for name, column in columns.items():
        here = [i for i, key in enumerate(keys) if key in column.headers]
        if len(here) > 1:
            listed = ", ".join(header[i] for i in here)
            raise Refusal("clinical_columns", f"{len(here)} columns for {name}: {listed}", "Keep the one that counts")
        if here:
            by_name[name] = here[0]
    return by_name


def number_texts(rows: Iterable[tuple[int, Sequence[str]]], columns_at: Mapping[str, int], columns: Columns) -> list[str]:
    """The cells of numbers, which show the table's decimal sign."""
    numbers = [place for name, place in columns_at.items() if columns[name].type == NUMBERS[0]]
    return [row[place] for _, row in rows for place in numbers if place < len(row)]


def read_row(row: Sequence[str], columns_at: Mapping[str, int], columns: Columns, decimal: frozenset[str]) -> tuple[dict[str, Value], tuple[Refusal, ...]]:
    """Every declared column of one row, None where it is not known, and a remark on each cell that holds what it cannot."""
    values: dict[str, Value] = {}
    remarks = []
    for name, column in columns.items():
        text = row[columns_at[name]].strip() if name in columns_at and columns_at[name] < len(row) else ""
        values[name] = understood(column, text, decimal)
        if values[name] is None and not _is_missing(column, text):
            remarks.append(
                Refusal(RULE, f"{name} is {_repeatable(text)}, not {column.possible}", "Correct the cell, or features/clinical.yaml; it counts as missing")
            )
    return values, tuple(remarks)


def typed_values(columns: Columns, texts: Mapping[str, str]) -> dict[str, Value]:
    """Values that a person types for one patient, such as {"ecog": "1"}; every column, None where it is not given.

    Raises
    ------
    Refusal
        "clinical_value": a column that there is not, or a value that it cannot have.
    """
    unknown = next((name for name in texts if name not in columns), None)
    if unknown is not None:
        alternatives = f"it reads {', '.join(columns)}" if columns else "it reads none of a department's own"
        raise Refusal(RULE, f"the version reads no clinical column {unknown[:64]!r}", f"Leave it out; {alternatives}")
    values = {name: understood(column, texts.get(name, ""), frozenset(".")) for name, column in columns.items()}
    for name, text in texts.items():
        if values[name] is None and not _is_missing(columns[name], text):
            raise Refusal(RULE, f"{name} is {_repeatable(text)}, not {columns[name].possible}", f"Give {name}={_example(columns[name])}, or leave it out")
    return values


def understood(column: ClinicalColumn, text: str, decimal: frozenset[str]) -> Value:
    """What a cell holds; None where that is not known or cannot be."""
    if column.type in LEVELED:
        plain = spellings.plain_number(text)
        matches = (level for level in column.levels if level.casefold() == text.strip().casefold() or (plain is not None and _number_of(level) == plain))
        return next(matches, None)
    if spellings.is_missing(text):
        return None
    if column.type not in NUMBERS:
        plain = spellings.plain_number(text)
        return BOOLEANS.get(text.strip().lower() if plain is None else f"{plain:g}")
    number = spellings.number(text, decimal=decimal)
    if number is None or column.limits is None or not column.limits[0] <= number <= column.limits[1]:
        return None
    return None if column.type == "integer" and not number.is_integer() else number


def rows_of(patient: str, center: str, values: Mapping[str, Value]) -> list[dict[str, str | float | None]]:
    """Rows of the relation `clinical_long`."""
    return [
        {
            "patient": patient,
            "center": center,
            "name": name,
            "number": value if isinstance(value, float) else None,
            "level": value if isinstance(value, str) else None,
        }
        for name, value in values.items()
    ]


def _number_of(level: str) -> float | None:
    return spellings.plain_number(level)


def _is_missing(column: ClinicalColumn, text: str) -> bool:
    """A level may be spelled as what elsewhere means missing, such as none."""
    return spellings.is_missing(text) and text.strip().casefold() not in {level.casefold() for level in column.levels}


def _repeatable(text: str) -> str:
    return text.strip() if PLAIN.fullmatch(text.strip()) else "a text"


def _example(column: ClinicalColumn) -> str:
    return column.levels[0] if column.levels else f"{column.limits[0]:g}" if column.limits else "yes"
