"""How a value is shown in a table for people: percent, p, times, digests and numbers.

Other programs take csv or json, which hold every value whole.

An answer in SQL has lost where its columns come from, so a column is known by its name; the names are declared here and nowhere else.
"""

import datetime as dt
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Integral
from typing import Any

ABSENT = "-"
NO_BREAK = "\u00a0"  # a blank at which no line ends: within "< 0.5 %" or a time
DIGITS = 4  # significant, of a number with a fraction
PLAIN = 1e9  # from here on, and below 0.0001, a power of ten is written
SMALLEST_P, LARGEST_P = 0.001, 0.99
LIMIT_OF_P = (0.045, 0.055)  # two digits would hide on which side of 0.05 it is
SMALLEST_SHARE, LARGEST_SHARE = 0.005, 0.995
ROUNDING = 1e-9  # of a share that was stored as one minus another
DIGEST_LETTERS = 12  # of a digest, as in a version's name
MAX_CHARACTERS = 2000  # of a cell

_OF_ROWS = r"(?:avg|mean|median|min|max|first|last|any_value|arbitrary)"  # what SQL calls a column that it computed: avg(survival_2y)
PROBABILITY = re.compile(rf"(?:{_OF_ROWS}\()?(?:\w+\.)?survival(?:_\d+[a-z])?(?:_(?:lower|upper))?\)?|(?:lower|upper)_\d+[a-z]")
LIMITS = re.compile(rf"(?:{_OF_ROWS}\()?(?:lower|upper)\)?")  # of a probability where the answer has a column `survival`
P_VALUE = re.compile(r"(?:\w+_)?[pq](?:_values?)?", re.IGNORECASE)
UNITS = {"time": "days", "age": "years", "spacing": "mm", "hu_min": "HU", "hu_median": "HU", "hu_max": "HU"}  # others have it in their name, or none
_DIGEST = re.compile(r"[0-9a-f]{32,}")

Show = Callable[[Any], str]


def columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[tuple[str, list[str], bool]]:
    """Of each column its header, its cells as text, and whether it holds numbers. Line ends are kept; no other control character is."""
    lowered = [name.lower() for name in names]
    parts = []
    for place, name in enumerate(lowered):
        values = [_plain(row[place]) for row in rows]
        present = [value for value in values if value is not None]
        numeric = bool(present) and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in present)
        unit = f" [{UNITS[name]}]" if name in UNITS and present and all(isinstance(value, int | float | list) for value in present) else ""
        show = _show(name, "survival" in lowered, present) if numeric else cell
        parts.append((clean(str(names[place])) + unit, [show(value) for value in values], numeric))
    return parts


def cell(value: Any) -> str:
    """A value of which no column tells more."""
    value = _plain(value)
    return _cut(_text(value) if isinstance(value, str) else _written(value))


def number(value: float) -> str:
    """At most four significant digits."""
    if not math.isfinite(value):
        return ABSENT if math.isnan(value) else "inf" if value > 0 else "-inf"
    rounded = float(f"{value:.{DIGITS}g}")
    return f"{rounded:.0f}" if 10**DIGITS <= abs(rounded) < PLAIN else f"{rounded:.{DIGITS}g}"


def percent(share: float) -> str:
    """ "63 %", "< 0.5 %", "> 99.5 %"; never a certainty."""
    if math.isnan(share):
        return ABSENT
    if share <= SMALLEST_SHARE + ROUNDING:  # probabilities end there, and 0.995 would round to certainty
        return f"<{NO_BREAK}{100 * SMALLEST_SHARE:g}{NO_BREAK}%"
    return f">{NO_BREAK}{100 * LARGEST_SHARE:g}{NO_BREAK}%" if share >= LARGEST_SHARE - ROUNDING else f"{100 * share:.0f}{NO_BREAK}%"


def p_value(value: float) -> str:
    """ "0.03", "0.004", "< 0.001", "> 0.99"."""
    if math.isnan(value):
        return ABSENT
    if value < SMALLEST_P:
        return f"<{NO_BREAK}{SMALLEST_P:g}"
    if value > LARGEST_P:
        return f">{NO_BREAK}{LARGEST_P:g}"
    return f"{value:.3f}" if value < 0.01 or LIMIT_OF_P[0] <= value < LIMIT_OF_P[1] else f"{value:.2f}"


def moment(at: dt.datetime) -> str:
    """ "2026-11-26 12:03 CET": in the user's time zone. Without a zone it is UTC, as the store keeps every time."""
    try:
        local = (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone()
    except (OverflowError, ValueError):  # the first and the last day that there is
        return at.isoformat(" ", "minutes").replace(" ", NO_BREAK)
    zone = local.tzname() or ""
    return f"{local:%Y-%m-%d %H:%M} {'UTC' if zone[:1] in ('+', '-') else ''}{zone}".replace(" ", NO_BREAK)


def clean(text: str) -> str:
    r"""Text without what a terminal obeys: escape codes and the like are shown as \x1b, tabs as blanks; ends of lines are kept."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(letter if letter.isprintable() or letter in _HARMLESS else _escaped(letter) for letter in text)


_HARMLESS = frozenset(("\n", NO_BREAK, "\u200c", "\u200d"))  # the last two join letters and signs


def _escaped(letter: str) -> str:
    return " " if unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape", "surrogatepass").decode()


def _show(name: str, of_survival: bool, values: Sequence[Any]) -> Show:
    """How the numbers of a column are shown."""
    if any(isinstance(value, float) for value in values) and all(math.isnan(value) or 0 <= value <= 1 for value in values):
        if PROBABILITY.fullmatch(name) or (of_survival and LIMITS.fullmatch(name)):
            return _or_absent(percent)
        if P_VALUE.fullmatch(name):
            return _or_absent(p_value)
    return _written


def _or_absent(show: Callable[[float], str]) -> Show:
    return lambda value: ABSENT if value is None else show(value)


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's."""
    if isinstance(value, bool | int | float | str | None):
        return value
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else int(value) if isinstance(value, Integral) else value


def _written(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Decimal):
        return str(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else number(float(value))
    if isinstance(value, dt.datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return clean(f"{{{', '.join(f'{name}: {_within(part)}' for name, part in value.items())}}}")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_within, value))}]"
    if isinstance(value, bytes):
        return f"0x{value.hex()[:DIGEST_LETTERS]}" + ("…" if 2 * len(value) > DIGEST_LETTERS else "")
    return clean(str(value))


def _within(value: Any) -> str:
    """A part of a list or a mapping."""
    value = _plain(value)
    return _text(value, nested=True) if isinstance(value, str) else "null" if value is None else _written(value)


def _text(text: str, nested: bool = False) -> str:
    """Text; a digest by its first letters, JSON with its numbers rounded as all others."""
    if _DIGEST.fullmatch(text):
        return text[:DIGEST_LETTERS]
    if text[:1] in ("{", "[") and not nested:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if value is not None:
            return _written(value)
    return clean(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}… ({len(text)}{NO_BREAK}characters)"
