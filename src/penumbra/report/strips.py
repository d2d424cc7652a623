"""Small drawings for the rows of a table: dots with intervals on one common axis, and spans of time. Plain SVG without styles of its own.

The page's style sheet colors the classes, so that they follow dark screens and a policy without inline styles. No letters but those of the axis: what a strip
shows is in the cells next to it, and in words in its label.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

WIDTH, HEIGHT, EDGE = 220, 22, 8  # SVG units, shown one to one
LANES = {1: (11.0,), 2: (7.0, 16.0)}  # of so many dots the heights


@dataclass(frozen=True)
class Axis:
    """What a column of strips has in common.

    Parameters
    ----------
    low, high
        Its ends; what is beyond is an arrow.
    ticks
        Values that the heading names.
    line
        Where nothing is gained: 0.5 of a C, 0 of a difference. None: no line.
    sign
        Whether the heading writes a plus.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    line: float | None = None
    sign: bool = False

    def place(self, value: float) -> float:
        """Of a value, in SVG units; a value beyond the ends is at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)


@dataclass(frozen=True)
class Dot:
    """A value with its limits (NaN or None: none). kind: class of the style sheet: model, other, hollow."""

    value: float | None
    lower: float | None = None
    upper: float | None = None
    kind: str = "model"
    one_sided: float | None = None  # a lower limit of its own, drawn as a bracket


C_AXIS = Axis(0.3, 1.0, (0.4, 0.5, 0.6, 0.7, 0.8, 0.9), 0.5)


def around(values: Sequence[float | None], line: float = 0.0, least: float = 0.05) -> Axis:
    """An axis for differences: symmetric around `line`, as wide as the values ask for, and no narrower than `least`."""
    reach = max([abs(value - line) for value in values if value is not None and math.isfinite(value)] + [least])
    step = next((size for size in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if reach / size <= 2.5), reach)
    return Axis(line - 1.08 * reach, line + 1.08 * reach, tuple(line + step * place for place in (-2, -1, 0, 1, 2) if abs(step * place) <= reach), line, True)


def strip(axis: Axis, dots: Sequence[Dot], words: str) -> str:
    """Dots with their intervals, one above the other. words: what it shows, for those who do not see it."""
    parts = [_line(axis.place(axis.line), 0, HEIGHT, "zero")] if axis.line is not None else []
    shown = [dot for dot in dots if _is(dot.value)]
    for dot, y in zip(shown, LANES[max(1, min(2, len(shown)))], strict=False):
        parts += _dot(axis, dot, y)
    if not shown:
        parts.append(f'<text class="none" x="{WIDTH / 2}" y="{HEIGHT / 2 + 3.5}" text-anchor="middle">not measured</text>')
    return _svg("strip", HEIGHT, parts, words)


def scale(axis: Axis) -> str:
    """The axis' numbers, for the heading of the column."""
    parts = [
        f'<text x="{axis.place(tick)}" y="10" text-anchor="middle">{_number(tick, axis.sign)}</text>{_line(axis.place(tick), 13, 17, "tick")}'
        for tick in axis.ticks
    ]
    return _svg("strip scale", 18, parts, "")


@dataclass(frozen=True)
class Span:
    """Time in which something held; until: None where it still does. kind: class of the style sheet."""

    since: datetime
    until: datetime | None
    label: str
    kind: str = "model"


def spans(rows: Sequence[Span], now: datetime, words: str) -> str:
    """Spans of time on one line, at equal widths where they are too short to be seen at their length."""
    if not rows:
        return ""
    total = max(1.0, (now - rows[0].since).total_seconds())
    lengths = [max(0.04 * total, ((row.until or now) - row.since).total_seconds()) for row in rows]
    x, parts, whole = 0.0, [], sum(lengths)
    for row, length in zip(rows, lengths, strict=True):
        width = 600 * length / whole
        parts.append(f'<rect class="{escape(row.kind)}" x="{x:.1f}" y="2" width="{max(1.0, width - 2):.1f}" height="22" rx="3"></rect>')
        if width > 7 * len(row.label):
            parts.append(f'<text x="{x + width / 2 - 1:.1f}" y="17" text-anchor="middle">{escape(row.label)}</text>')
        x += width
    return _svg("spans", 26, parts, words, 600)


def _dot(axis: Axis, dot: Dot, y: float) -> list[str]:
    assert dot.value is not None
    parts, kind = [], escape(dot.kind)
    if _is(dot.lower) and _is(dot.upper):
        assert dot.lower is not None
        assert dot.upper is not None
        start, end = axis.place(dot.lower), axis.place(dot.upper)
        parts.append(f'<line class="interval {kind}" x1="{start}" y1="{y}" x2="{end}" y2="{y}"></line>')
        parts += [_arrow(start, y, -1, kind)] if dot.lower < axis.low else []
        parts += [_arrow(end, y, 1, kind)] if dot.upper > axis.high else []
    if _is(dot.one_sided):
        assert dot.one_sided is not None
        at = axis.place(dot.one_sided)
        parts.append(f'<path class="bracket {kind}" d="M{at + 3} {y - 5}H{at}V{y + 5}H{at + 3}"></path>')
    x = axis.place(dot.value)
    if not axis.low <= dot.value <= axis.high:
        parts.append(_arrow(x, y, 1 if dot.value > axis.high else -1, kind))
    elif dot.kind == "other":
        parts.append(f'<rect class="dot {kind}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"></rect>')
    else:
        parts.append(f'<circle class="dot {kind}" cx="{x}" cy="{y}" r="3.6"></circle>')
    return parts


def _arrow(x: float, y: float, way: int, kind: str) -> str:
    return f'<path class="arrow {kind}" d="M{x} {y - 3.5}L{x + 5 * way} {y}L{x} {y + 3.5}Z"></path>'


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"></line>'


def _svg(kind: str, height: int, parts: Sequence[str], words: str, width: int = WIDTH) -> str:
    label = f'role="img" aria-label="{escape(words)}"' if words else 'aria-hidden="true"'
    return f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {label}>{"".join(parts)}</svg>'


def _number(value: float, sign: bool) -> str:
    text = f"{value:+.2g}" if sign and abs(value) > 1e-9 else f"{value + 0.0:.2g}"
    return text.replace("-", "−")


def _is(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
