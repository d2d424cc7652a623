"""The cells of a center's clinical table: a CSV in any common dialect, or the first sheet of a workbook."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.base.refusal import Refusal

CLINICAL_FILE, WORKBOOK = "clinical.csv", "clinical.xlsx"


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Parameters
    ----------
    header
        Names of the columns, without the empty ones at its end.
    rows
        (line as a person counts it: the header is 1, cells). Missing cells at the end of a row are empty; empty ones beyond the header are left out, so
        that only a row with a value too many is longer than the header.
    separator
        Of the cells, which tells how numbers can be written.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]
    separator: str


def clinical_table(folder: Path) -> Path | None:
    """Find the clinical table of a center's folder: clinical.csv, or clinical.xlsx where there is none.

    Parameters
    ----------
    folder
        Of the center.

    Returns
    -------
    Path | None
        None where there is neither.

    Raises
    ------
    Refusal
        `clinical_found: clinical.csv and clinical.xlsx. ...`.
    """
    tables = [folder / name for name in (CLINICAL_FILE, WORKBOOK) if (folder / name).is_file()]
    if len(tables) > 1:
        raise Refusal("clinical_found", f"{CLINICAL_FILE} and {WORKBOOK}", "Keep the one that counts")
    return tables[0] if tables else None


def read_sheet(path: Path) -> Sheet:
    """The cells of `clinical.csv`, or of the first sheet of `clinical.xlsx` where there is no CSV.

    Raises
    ------
    Refusal
        `clinical_found`, `clinical_readable`.
    """
    source = path if path.is_file() else clinical_table(path.parent)
    if source is None:
        raise Refusal("clinical_found", f"no {path.name} in the center's folder", "Send the clinical table under this name")
    if source == path and path.name == CLINICAL_FILE:
        clinical_table(path.parent)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise Refusal("clinical_readable", f"{source.name} cannot be read ({error.strerror})", "Check the permissions and the medium") from None
    if content.startswith(b"PK\x03\x04"):
        separator, table = ",", list(_of_workbook(content))
    else:
        separator, table = _of_text(_decoded(content))
    table = [(line, [cell.strip() for cell in row]) for line, row in table]
    table = [(line, row) for line, row in table if any(row)]
    if len(table) < 2:
        raise Refusal("clinical_readable", "no rows below a header", "Send one row for each patient below a header")
    header = _without_end(table[0][1], 0)
    return Sheet(header, [(line, _without_end(row, len(header))) for line, row in table[1:]], separator)


def _without_end(row: list[str], length: int) -> list[str]:
    """The row without empty cells at its end, but at least `length` cells long."""
    filled = max((place + 1 for place, cell in enumerate(row) if cell), default=0)
    return row[: max(filled, min(length, len(row)))] + [""] * (length - len(row))


def _of_text(text: str) -> tuple[str, list[tuple[int, list[str]]]]:
    text = re.sub(r"\A\s*sep=.\s*?(\r\n|\r|\n)", r"\1", text)  # a line that Excel writes for itself
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    try:
        return separator, list(enumerate(csv.reader(io.StringIO(text, newline=None), delimiter=separator, strict=True), start=1))
    except csv.Error as error:
        raise Refusal("clinical_readable", f"not a table: {error}", "Save it as CSV with matching quotes") from error


def _of_workbook(content: bytes) -> Iterable[tuple[int, list[str]]]:
    """The first sheet, a formula as the value that was last computed for it."""
    import warnings
    from zipfile import BadZipFile

    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features of the workbook that hold no cell
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            rows = list(book.worksheets[0].iter_rows(values_only=True))
    except (BadZipFile, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, SyntaxError, OSError) as error:
        raise Refusal("clinical_readable", "a spreadsheet that cannot be opened", "Save its first sheet as CSV, or as .xlsx without a password") from error
    for line, row in enumerate(rows, start=1):
        yield line, [_text(cell) for cell in row]


def _text(cell: Any) -> str:
    """A cell of a workbook as a CSV would hold it: 124 for the number 124.0."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _decoded(content: bytes) -> str:
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise Refusal("clinical_readable", "a spreadsheet of Excel 97, or one with a password", "Save the sheet as CSV, or as .xlsx without a password")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Refusal("clinical_readable", "its characters are neither UTF-8 nor UTF-16 nor Windows-1252", "Save it as CSV in UTF-8")
