"""Memory that is used again from one image to the next."""

import math

import numpy as np


class Scratch:
    """Memory that is used again: fresh pages of large arrays cost more than what is computed in them."""

    def __init__(self) -> None:
        self._blocks: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], kind: type[np.generic] = np.float32) -> np.ndarray:
        """An array of `shape` and `kind` with arbitrary content; the one taken before under this name is gone."""
        size = math.prod(shape)
        if name not in self._blocks or self._blocks[name].size < size:
            self._blocks[name] = np.empty(size, dtype=kind)
        return self._blocks[name][:size].reshape(shape)
