"""Which voxels count as neighbors of one another, where a parameter file says it otherwise than most do: in planes, farther away, weighted by distance.

The usual neighborhood, all voxels one step away in any direction, has faster kernels in `texture`.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penumbra.base.params import ParamsError
from penumbra.base.refusal import choose
from penumbra.base.yaml_files import shown, wrong
from penumbra.radiomics.compiled import kernel

# The thirteen directions, z, y, x; the other thirteen neighbors are their opposites.
DIRECTIONS = np.array([(1, dy, dx) for dy in (1, 0, -1) for dx in (1, 0, -1)] + [(0, 1, dx) for dx in (1, 0, -1)] + [(0, 0, 1)], dtype=np.int64)
NORMS = ("manhattan", "euclidean", "infinity", "no_weighting")
AXES = 3


@dataclass(frozen=True)
class Neighborhood:
    """What PyRadiomics' settings force2D, force2Ddimension, distances, weightingNorm, symmetricalGLCM and gldm_a say.

    Parameters
    ----------
    across
        The axis (0 to 2: z, y, x) along which voxels are no neighbors; None: they are along all.
    distances
        Of neighbors in the matrices of pairs, dependence and tone differences: the longest of their steps along the axes, in voxels.
    norm
        One of NORMS: the matrices of all directions are added, weighted by this norm of the direction in mm, before features are taken; None: features
        are averaged over directions.
    symmetric
        Whether a pair is counted in both senses.
    max_difference
        By how many gray levels dependent neighbors differ at most.
    """

    across: int | None = None
    distances: tuple[int, ...] = (1,)
    norm: str | None = None
    symmetric: bool = True
    max_difference: int = 0

    @property
    def usual(self) -> bool:
        """Whether pairs, dependence and tone differences are those of the 26 neighbors that are equal or not."""
        return self.across is None and self.distances == (1,) and self.max_difference == 0

    def directions(self, extents: tuple[int, ...]) -> np.ndarray:
        """One step to a neighbor for every two that are opposite, (n, 3), in PyRadiomics' order; none beyond the extents (z, y, x) of an ROI's box."""
        if self.distances == (1,):
            steps = DIRECTIONS
        else:
            reach = max(self.distances)
            offsets = range(reach, -reach - 1, -1)
            every = np.array(list(itertools.product(offsets, repeat=AXES)), dtype=np.int64)
            half = every[: len(every) // 2]  # the other half are the opposites
            steps = half[np.isin(np.abs(half).max(axis=1), self.distances)]
        return self.within(steps, extents)

    def within(self, steps: np.ndarray, extents: tuple[int, ...]) -> np.ndarray:
        """Those of the steps (n, 3) that stay in the plane and are shorter than the extents (z, y, x)."""
        inside = np.all(np.abs(steps) < np.array(extents), axis=1)
        if self.across is not None:
            inside &= steps[:, self.across] == 0
        return np.asarray(steps[inside])

    def lengths(self, steps: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray | None:
        """The norm of each step in mm; None without a norm, or one that weighs nothing."""
        if self.norm in (None, "no_weighting"):
            return None
        along = np.abs(steps) * np.array(spacing)
        if self.norm == "infinity":
            return np.asarray(along.max(axis=1))
        return np.asarray(along.sum(axis=1) if self.norm == "manhattan" else np.sqrt((along**2).sum(axis=1)))

    def pair_weights(self, steps: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray | None:
        """What the pairs of each direction count; None: they are not added."""
        lengths = self.lengths(steps, spacing)
        return None if self.norm is None else np.ones(len(steps)) if lengths is None else np.exp(-(lengths**2))

    def run_weights(self, steps: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray | None:
        """What the runs along each direction count; None: they are not added."""
        lengths = self.lengths(steps, spacing)
        return None if self.norm is None else np.ones(len(steps)) if lengths is None else lengths


USUAL = Neighborhood()


def neighborhood(options: Mapping[str, Any], rule: str) -> Neighborhood:
    """The neighborhood that PyRadiomics' settings declare.

    Raises
    ------
    ParamsError
        `rule`: a value that PyRadiomics has no meaning for.
    """

    def must(name: str, kind: str) -> ParamsError:
        return wrong(f"setting.{name}", f"{name} must be {kind}; found {shown(options[name])}", f"Correct {name}", rule)

    for name in ("force2D", "symmetricalGLCM"):
        if not isinstance(options.get(name, False), bool):
            raise must(name, "true or false")
    across, distances, norm, max_difference = (
        options.get("force2Ddimension", 0),
        options.get("distances", [1]),
        options.get("weightingNorm"),
        options.get("gldm_a", 0),
    )
    if not _whole(across) or across not in range(AXES):
        raise must("force2Ddimension", "0, 1 or 2")
    if not isinstance(distances, list | tuple) or not distances or not all(_whole(each) and each > 0 for each in distances):
        raise must("distances", "a list of whole numbers above 0")
    if norm is not None and norm not in NORMS:
        raise wrong("setting.weightingNorm", f"unknown weightingNorm {shown(norm)}", choose(str(norm), NORMS), rule)
    if not _whole(max_difference) or max_difference < 0:
        raise must("gldm_a", "a whole number, 0 or more")
    plane = across if options.get("force2D", False) else None
    return Neighborhood(plane, tuple(sorted(set(distances))), norm, options.get("symmetricalGLCM", True), max_difference)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@kernel
def count_far_pairs(box: np.ndarray, places: np.ndarray, steps: np.ndarray, cooccurrence: np.ndarray) -> None:
    """How often a voxel of row i has a neighbor of row j, for each step; row and column 0 are outside the ROI."""
    for a in range(steps.size):
        for n in range(places.size):
            cooccurrence[a, box[places[n]], box[places[n] + steps[a]]] += 1


@kernel
def compare_with_neighbors(
    box: np.ndarray, tones: np.ndarray, places: np.ndarray, steps: np.ndarray, max_difference: int, dependence: np.ndarray, differences: np.ndarray
) -> None:
    """For each row of gray levels: how many voxels have so many dependent neighbors, and the sum of |gray - mean of the neighbors|."""
    for n in range(places.size):
        place = places[n]
        tone = tones[place]
        alike, count, total = 0, 0, 0
        for a in range(steps.size):
            for neighbor in (place + steps[a], place - steps[a]):
                if box[neighbor] != 0:
                    count += 1
                    total += tones[neighbor]
                    alike += abs(tones[neighbor] - tone) <= max_difference
        row = box[place] - 1
        dependence[row, alike] += 1
        if count > 0:
            differences[row] += abs(tone - total / count)
