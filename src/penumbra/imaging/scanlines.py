"""Where closed rings cross horizontal lines: what areas, overlaps and shares of pixels are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crossings:
    """Crossings of rings with lines, in order of line, ring and x; on each line a ring crosses an even number of times.

    Parameters
    ----------
    line, ring
        Index of each, (n,).
    x
        In the unit of the rings, (n,).
    """

    line: np.ndarray
    ring: np.ndarray
    x: np.ndarray

    def spans(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The stretches of every line inside every ring by the even-odd rule: line, ring, first x, last x."""
        return self.line[::2], self.ring[::2], self.x[::2], self.x[1::2]


def crossings(rings: Sequence[np.ndarray], first: float, step: float, count: int) -> Crossings:
    """Crossings of closed `rings`, each (n, 2) as x and y, with `count` lines y = first, first + step, ...

    A ring crosses a line where an edge runs from below it to the line or above, so that a point on a line counts once.
    """
    start, end, owner = edges(rings)
    upward = (start[:, 1] <= end[:, 1])[:, None]
    low, high = np.where(upward, start, end), np.where(upward, end, start)
    begin = np.clip(np.ceil((low[:, 1] - first) / step), 0, count).astype(np.int64)
    stop = np.clip(np.ceil((high[:, 1] - first) / step), 0, count).astype(np.int64)
    number = np.maximum(stop - begin, 0)
    edge = np.repeat(np.arange(len(number)), number)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number) + begin[edge]
    along = (first + line * step - low[edge, 1]) / (high[edge, 1] - low[edge, 1])
    x = low[edge, 0] + along * (high[edge, 0] - low[edge, 0])
    order = np.lexsort((x, owner[edge], line))
    return Crossings(line[order], owner[edge][order], x[order])


def edges(rings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last point of every edge of closed rings, (n, 2) each, and the index of the ring that it belongs to."""
    start = np.concatenate(rings)
    size = np.array([len(ring) for ring in rings])
    stop = np.cumsum(size)
    following = np.arange(1, len(start) + 1)
    following[stop - 1] = stop - size
    return start, start[following], np.repeat(np.arange(len(rings)), size)


def united(crossing: Crossings, shape: np.ndarray) -> Crossings:
    """The crossings of shapes, each the union of its rings.

    Parameters
    ----------
    shape
        Of each ring, (rings,).
    """
    label = shape[crossing.ring]
    turn = np.where(np.arange(len(crossing.x)) % 2 == 0, 1, -1)
    order = np.lexsort((-turn, crossing.x, label, crossing.line))
    line, label, x, turn = crossing.line[order], label[order], crossing.x[order], turn[order]
    depth = np.cumsum(turn)  # back at 0 behind every shape of every line
    outer = ((turn > 0) & (depth == 1)) | ((turn < 0) & (depth == 0))
    return Crossings(line[outer], label[outer], x[outer])
