"""Two versions of a text that were made from the same one, line by line: what only one of them changed is taken, what both changed is a conflict."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Conflict(NamedTuple):
    """line: of the text of one's own, from 1. what: the first line there and the one of the other."""

    line: int
    what: str


@dataclass(frozen=True)
class Merged:
    """text: one's own with the other's changes. base: the common text as far as it is settled. conflicts: where both changed it, and one's own stays."""

    text: str
    base: str
    conflicts: tuple[Conflict, ...]


class _Hunk(NamedTuple):
    """Lines start:end of the common text become `lines`."""

    start: int
    end: int
    lines: list[str]


def merge(base: str, edited: str, other: str, *, keep_own: bool = False) -> Merged:
    """Merge what `edited` and `other` each made of `base`.

    Parameters
    ----------
    keep_own
        Take one's own where both changed the same lines, and count it as settled.
    """
    common = base.splitlines(True)
    text: list[str] = []
    settled: list[str] = []
    conflicts: list[Conflict] = []
    place = 0
    for start, end, ours, theirs in _regions(common, edited.splitlines(True), other.splitlines(True)):
        text += common[place:start]
        settled += common[place:start]
        place, original = end, common[start:end]
        if ours in (original, theirs):
            text += theirs
            settled += theirs
        elif theirs == original:
            text += ours
            settled += original
        else:
            if not keep_own:
                conflicts.append(Conflict(len(text) + 1, f"the project has {_short(ours)}, the defaults have {_short(theirs)}"))
            text += ours
            settled += theirs if keep_own else original
    return Merged("".join(text + common[place:]), "".join(settled + common[place:]), tuple(conflicts))


def _regions(common: list[str], edited: list[str], other: list[str]) -> Iterator[tuple[int, int, list[str], list[str]]]:
    """Lines of the common text that either changed, hunks that overlap or touch taken together, with what each made of them."""
    sides = [_hunks(common, edited), _hunks(common, other)]
    bounds = sorted((hunk.start, hunk.end) for hunks in sides for hunk in hunks)
    while bounds:
        start, end = bounds.pop(0)
        while bounds and (bounds[0][0] < end or bounds[0][0] == start):
            end = max(end, bounds.pop(0)[1])
        ours, theirs = (_made_of(common, start, end, [hunk for hunk in hunks if start <= hunk.start and hunk.end <= end]) for hunks in sides)
        yield start, end, ours, theirs


def _hunks(common: list[str], changed: list[str]) -> list[_Hunk]:
    codes = difflib.SequenceMatcher(None, common, changed, autojunk=False).get_opcodes()
    return [_Hunk(i, j, changed[k:m]) for tag, i, j, k, m in codes if tag != "equal"]


def _made_of(common: list[str], start: int, end: int, hunks: list[_Hunk]) -> list[str]:
    """What common[start:end] became."""
    lines: list[str] = []
    for hunk in hunks:
        lines += common[start : hunk.start] + hunk.lines
        start = hunk.end
    return lines + common[start:end]


def _short(lines: list[str]) -> str:
    """The first line of a change, as it stands."""
    return repr(lines[0].strip()) + (f" and {len(lines) - 1} more" if lines[1:] else "") if lines else "no line"
