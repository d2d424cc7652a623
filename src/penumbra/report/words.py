"""How numbers are written in tables."""

import math

from penumbra.evaluate import MetricRow

NOT_KNOWN = "not known"  # begins the answer to a question that the data do not answer
NOT_MEASURED = "not measured"  # begins the answer to one that a command would answer, which it names
ABSENT = "–"
SMALLEST_P = 0.001


def number(value: float, digits: int = 2) -> str:
    """Fixed digits with a true minus sign; a dash where undefined."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else ABSENT


def interval(row: MetricRow, digits: int = 2) -> str:
    """ "0.66 (0.58–0.74)", without the brackets where limits are undefined."""
    if not (math.isfinite(row.lower) and math.isfinite(row.upper)):
        return number(row.value, digits)
    return f"{number(row.value, digits)} ({number(row.lower, digits)}–{number(row.upper, digits)})"


def percent(share: float) -> str:
    """ "63 %"; a dash where undefined."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else ABSENT


def p_value(value: float) -> str:
    """Three digits, or "< 0.001"."""
    if not math.isfinite(value):
        return ABSENT
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.3f}"


def count(quantity: int, noun: str) -> str:
    """ "1 death", "2 deaths"."""
    return f"{quantity} {noun}" if quantity == 1 else f"{quantity} {noun}s"
