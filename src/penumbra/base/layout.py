"""Columns of text side by side in a terminal's width; words are never broken.

`rich` measures the width of letters; its tables are not used, since they break a word in a narrow column and cannot leave columns out or turn the table on
its side, and since importing them costs 0.03 s of an answer's 0.7.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from penumbra.base.cells import NO_BREAK

RULE, CUT = "─", "…"
FEW_ROWS = 5  # of a table that is too wide: shown one column per line
MAX_COLUMNS = 40  # that are shown one per line
COMFORTABLE = 24  # letters: no narrower does a column of text get, unless all of it is
LONGEST_WORD = 60  # of a table with many rows that is too wide: the names of all features stay whole
MAX_LINES = 12  # of a cell in a row
NARROWEST = 20  # what is laid out for, however narrow the terminal
GAPS = (3, 2)  # blanks between columns; the second where the first does not fit
EDGE = " "
WHOLE = "--format csv"  # says what is cut here whole


@dataclass(frozen=True)
class Column:
    """A column's header and cells; numbers go to the right."""

    header: str
    cells: Sequence[str]
    numeric: bool


@dataclass(frozen=True)
class Laid:
    """Lines as wide as the terminal at most, how many columns they show, and whether a cell was cut."""

    lines: list[str]
    shown: int
    cut: bool


def lay(columns: Sequence[Column], width: int, rows: int, *, named: bool = False) -> Laid:
    """Side by side where that fits, wrapped at blanks if need be; else few rows on their side, and of many rows the columns that fit."""
    width = max(width, NARROWEST)
    for gap in GAPS:
        if (widths := _widths(columns, width - len(EDGE), gap)) is not None:
            return _table(columns, widths, gap)
    if 0 < rows <= FEW_ROWS:
        return _on_its_side(columns, width, rows, named)
    gap, room, count = GAPS[-1], width - len(EDGE), 0
    for column in columns:
        room -= _narrow(column, LONGEST_WORD) + (gap if count else 0)
        if room < 0:
            break
        count += 1
    chosen = columns[: max(count, 1)]
    return _table(chosen, _widths(chosen, width - len(EDGE), gap, LONGEST_WORD) or [width - len(EDGE)], gap)


def wrap(text: str, width: int, most: int | None = None) -> tuple[list[str], bool]:
    """Lines of at most `width`, ended at blanks, and whether something was cut: a word that is wider, or what comes after `most` lines."""
    lines, cut = [], False
    for paragraph in text.split("\n"):
        if letters(paragraph) <= width:
            lines.append(paragraph)
            continue
        indent = paragraph[: len(paragraph) - len(paragraph.lstrip(" "))]
        line, used = "", 0
        for word in paragraph.split(" "):
            if not word:
                continue
            wide = letters(word)
            if line and used + 1 + wide <= width:
                line, used = f"{line} {word}", used + 1 + wide
                continue
            if line:
                lines.append(line)
            line = indent + word if len(indent) + wide <= width else word
            if wide > width:
                line, cut = shorten(word, width), True
            used = letters(line)
        lines.append(line)
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        if letters(last) + 2 > width:
            last = last.rpartition(" ")[0]
        lines, cut = [*lines[: most - 1], f"{last} {CUT}" if last else CUT], True
    return lines, cut


def shorten(word: str, width: int) -> str:
    """The beginning of a word, marked as such where it is wider."""
    if letters(word) <= width:
        return word
    beginning = word[: max(width - 1, 0)]
    while beginning and letters(beginning) > width - 1:
        beginning = beginning[:-1]
    return beginning + CUT


def letters(text: str) -> int:
    """Columns of the terminal that a line of text takes."""
    if text.replace(NO_BREAK, " ").isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def named(names: Sequence[str], width: int, whole: str = WHOLE) -> list[str]:
    """The columns that a table has and does not show, in two lines."""
    begin, end = f"and {len(names)} more column{'s' if len(names) > 1 else ''}: ", ", ..."
    text = begin
    for place, name in enumerate(names):
        more = (", " if place else "") + name
        last = place == len(names) - 1
        if letters(text) + letters(more) + (0 if last else len(end)) > width:
            text = f"{text}{end}" if place else begin.rstrip(": ")
            break
        text += more
    advice = "; or name the columns you want" if whole == WHOLE else ""
    return [text, *wrap(f"{whole} has all{advice}", width)[0]]


def _table(columns: Sequence[Column], widths: Sequence[int], gap: int) -> Laid:
    cut = False

    def line(texts: Sequence[Sequence[str]], place: int) -> str:
        parts = []
        for column, text, width in zip(columns, texts, widths, strict=True):
            part = text[place] if place < len(text) else ""
            blanks = " " * (width - letters(part))
            parts.append(blanks + part if column.numeric else part + blanks)
        return (EDGE + (" " * gap).join(parts)).rstrip(" ").replace(NO_BREAK, " ")

    def row(texts: Sequence[str], most: int | None) -> list[str]:
        nonlocal cut
        wrapped = []
        for text, width in zip(texts, widths, strict=True):
            lines, lost = wrap(text, width, most)
            cut |= lost
            wrapped.append(lines)
        return [line(wrapped, place) for place in range(max(map(len, wrapped)))]

    lines = row([column.header for column in columns], None)
    lines.append(EDGE + RULE * (sum(widths) + gap * (len(widths) - 1)))
    for place in range(len(columns[0].cells)):
        lines += row([column.cells[place] for column in columns], MAX_LINES)
    return Laid(lines, len(columns), cut)


def _on_its_side(columns: Sequence[Column], width: int, rows: int, named: bool) -> Laid:
    """One column per line: the rows side by side where they fit, else one after the other. named: each by its first cell, rather than by a number."""
    numbered = rows > 1 and not named
    titles = [f"row{NO_BREAK}{place + 1}" for place in range(rows)] if numbered else list(columns[0].cells)
    chosen = columns[:MAX_COLUMNS] if numbered or rows == 1 else columns[1:MAX_COLUMNS]
    shown = min(len(columns), MAX_COLUMNS)
    names = Column("", [column.header.replace("\n", " ") for column in chosen], False)
    if rows > 1:
        side_by_side = [names, *(Column(titles[place], [column.cells[place] for column in chosen], False) for place in range(rows))]
        for gap in GAPS:
            if sum(map(_natural, side_by_side)) + gap * rows + len(EDGE) <= width:
                return Laid(_table(side_by_side, list(map(_natural, side_by_side)), gap).lines, shown, False)
    lines, cut = [], False
    for place in range(rows):
        if rows > 1:
            lines += [*([""] if place else ()), EDGE + titles[place].replace(NO_BREAK, " "), EDGE + RULE * (width - len(EDGE))]
        text, lost = _pairs([(name, column.cells[place]) for name, column in zip(names.cells, chosen, strict=True)], width)
        lines, cut = lines + text, cut or lost
    return Laid(lines, shown, cut)


def pairs(entries: Sequence[tuple[str, str]], width: int) -> str:
    """Names and values, one per line; values are wrapped at blanks."""
    return "\n".join(_pairs(entries, max(width, NARROWEST), None, "")[0])


def _pairs(entries: Sequence[tuple[str, str]], width: int, most: int | None = MAX_LINES, edge: str = EDGE) -> tuple[list[str], bool]:
    """Each name with its value next to it, or below where there is no room for a word; and whether something was cut."""
    room, gap, cut = width - len(edge), GAPS[1], False
    wide = min(max((letters(name) for name, _ in entries), default=0), room)
    longest = max((letters(word) for _, value in entries for word in value.replace("\n", " ").split(" ")), default=0)
    below = wide + gap + min(longest, LONGEST_WORD) > room
    lines: list[str] = []
    for name, value in entries:
        text, lost = wrap(value, room - gap if below else room - wide - gap, most)
        cut |= lost or letters(name) > wide
        begin = shorten(name, wide)
        if below:
            lines += [edge + begin, *(edge + " " * gap + part for part in text)]
        else:
            lines.append(edge + begin + " " * (wide - letters(begin) + gap) + text[0])
            lines += [edge + " " * (wide + gap) + part for part in text[1:]]
    return [line.rstrip(" ").replace(NO_BREAK, " ") for line in lines], cut


def _natural(column: Column) -> int:
    return max(letters(line) for text in (column.header, *column.cells) for line in text.split("\n"))


def _narrow(column: Column, longest: int | None) -> int:
    """No narrower than its longest word, and where it has text than is comfortable to read. longest: a word that is longer is cut; None: none is."""
    word = max((letters(word) for text in (column.header, *column.cells) for word in text.replace("\n", " ").split(" ")), default=0)
    return min(_natural(column), max(word if longest is None else min(word, longest), COMFORTABLE))


def _widths(columns: Sequence[Column], width: int, gap: int, longest: int | None = None) -> list[int] | None:
    """Of each column, so that all fit: those that may be narrower share what is left. None where they do not."""
    room = width - gap * (len(columns) - 1)
    natural = [_natural(column) for column in columns]
    if sum(natural) <= room:
        return natural
    narrow = [_narrow(column, longest) for column in columns]
    if sum(narrow) > room:
        return None
    cap = 0
    while sum(max(least, min(preferred, cap + 1)) for least, preferred in zip(narrow, natural, strict=True)) <= room:
        cap += 1
    return [max(least, min(preferred, cap)) for least, preferred in zip(narrow, natural, strict=True)]
