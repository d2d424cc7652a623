"""ComBat: features of several centers brought to one location and scale, learned on the training patients, without outcomes.

A center shifts and stretches a feature (scanner, protocol). ComBat estimates both for every training center, drawn toward the center's mean over all
features of a block (empirical Bayes), and takes them out. A center that did not train is treated by an explicit policy:
    refuse    it gets no risk
    leave     its values stay as they are
    estimate  its location and scale come from its own images, without outcomes; needs several patients at once
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.base.blocks import CLINICAL
from penumbra.base.refusal import Refusal
from penumbra.fusion.declaration import Block, by_name
from penumbra.fusion.settings import Fitting
from penumbra.survival.outcome import Floats, Undefined

METHODS = ("none", "combat")
POLICIES = ("refuse", "leave", "estimate")
MIN_PATIENTS = 5  # of a center, to estimate a location and a scale of its own
CONVERGED = 1e-6  # largest relative change of the posterior means
MAX_ROUNDS = 1000
ROUNDING = 1e-9  # of a column's spread over all centers: what varies less within a center is constant there


@dataclass(frozen=True)
class Harmonizer:
    """What ComBat learned of some columns.

    Parameters
    ----------
    columns
        Names, `<block>.<feature>`, p of them.
    centers
        Training centers, c of them.
    means, sds : shape (p,)
        Over the training patients: mean, and standard deviation within centers.
    shifts, scales : shape (c, p)
        Of each center, in units of sds.
    unseen
        Policy for a center that did not train.
    """

    columns: tuple[str, ...]
    centers: tuple[str, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    shifts: tuple[tuple[float, ...], ...]
    scales: tuple[tuple[float, ...], ...]
    unseen: str

    def of(self, columns: Sequence[str]) -> Harmonizer:
        """Return the same for some of its columns.

        Parameters
        ----------
        columns
            Names of these.

        Returns
        -------
        Harmonizer
            Of these columns, in their order.
        """
        at = [self.columns.index(column) for column in columns]

        def picked(row: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(row[j] for j in at)

        return Harmonizer(
            tuple(columns),
            self.centers,
            picked(self.means),
            picked(self.sds),
            tuple(picked(row) for row in self.shifts),
            tuple(picked(row) for row in self.scales),
            self.unseen,
        )

    def apply(self, values: Floats, centers: ArrayLike | None, *, missing: str = "refuse") -> Floats:
        """Harmonize values of the columns.

        Parameters
        ----------
        values : shape (n, p)
            In the order of `columns`.
        centers : shape (n,)
            Of each patient; None: all of one center that did not train.
        missing
            What the patients of a center get that the policy refuses: "refuse" raises, "nan" answers nan.

        Returns
        -------
        array of shape (n, p)
            In the units of the values.

        Raises
        ------
        Refusal
            "center_trained": `center west; the model harmonizes between east, north. ...`; "center_large_enough": `3 patients of center west; 5 are needed to
            estimate its location and scale. ...`
        """
        names = np.full(len(values), "") if centers is None else np.asarray(centers, dtype=str)
        means, sds = np.array(self.means), np.array(self.sds)
        z = (values - means) / sds
        for name in np.unique(names):
            here = names == name
            if name in self.centers:
                place = self.centers.index(name)
                z[here] = (z[here] - np.array(self.shifts[place])) / np.array(self.scales[place])
                continue
            refusal = self._refusal(str(name) or "of unknown name", int(here.sum()))
            if refusal is not None and missing == "nan":
                z[here] = np.nan
            elif refusal is not None:
                raise refusal
            elif self.unseen == "estimate":
                spread = z[here].std(axis=0, ddof=1)
                varies = spread > ROUNDING * (1.0 + np.abs(z[here]).max(axis=0))
                z[here] = (z[here] - z[here].mean(axis=0)) / np.where(varies, spread, 1.0)
        return np.asarray(z * sds + means)

    def _refusal(self, name: str, patients: int) -> Refusal | None:
        if self.unseen == "refuse":
            centers = ", ".join(self.centers)
            return Refusal("center_trained", f"center {name}; the model harmonizes between {centers}", "train with it, or set fuse.unseen_center")
        if self.unseen == "estimate" and patients < MIN_PATIENTS:
            fault = f"{patients} patients of center {name}; {MIN_PATIENTS} are needed to estimate its location and scale"
            return Refusal("center_large_enough", fault, "score more of its patients at once, or set fuse.unseen_center")
        return None


def fitted(block: Block, centers: ArrayLike, unseen: str) -> Harmonizer:
    """Fit ComBat on the training patients of one block, without covariates.

    Columns that are constant in every center (see center_markers) and those with missing values stay out. A column that is constant in one center but not
    in all has no scale there and a location that is known exactly: it is moved by that location, and takes no part in the center's distribution over the
    features.

    Parameters
    ----------
    centers
        Of each patient, (n,).
    unseen
        Policy for other centers, kept with what is learned.

    Raises
    ------
    Undefined
        "center east has 2 training patients ...".

    References
    ----------
    Johnson, Li and Rabinovic 2007, Biostatistics 8:118 (parametric); equals neuroCombat without covariates.
    """
    names = np.asarray(centers, dtype=str)
    every = np.unique(names)
    for name in every:
        if (names == name).sum() < MIN_PATIENTS:
            raise Undefined(f"center {name} has {int((names == name).sum())} training patients; ComBat needs {MIN_PATIENTS}: train without it")
    values = np.asarray(block.values, dtype=float)
    finite, varies = _varying(values, names, every)
    usable = np.flatnonzero(finite & varies.any(axis=0))
    values, varies = values[:, usable], varies[:, usable]
    inside = values - sum((names == name)[:, None] * values[names == name].mean(axis=0) for name in every)
    sds = np.sqrt(np.mean(inside**2, axis=0))
    means = values.mean(axis=0)
    z = (values - means) / sds
    posteriors = [_posterior(z[names == name], varies[c]) for c, name in enumerate(every)]
    if every.size == 1:
        posteriors = [(np.zeros(usable.size), np.ones(usable.size))]
    return Harmonizer(
        columns=tuple(block.columns[j] for j in usable),
        centers=tuple(every.tolist()),
        means=tuple(means.tolist()),
        sds=tuple(sds.tolist()),
        shifts=tuple(tuple(shift.tolist()) for shift, _ in posteriors),
        scales=tuple(tuple(scale.tolist()) for _, scale in posteriors),
        unseen=unseen,
    )


def center_markers(block: Block, centers: ArrayLike) -> tuple[str, ...]:
    """Return the columns that are constant within every training center and differ between centers: they tell the center and nothing else.

    Constant means up to ROUNDING of the spread over all centers.
    """
    names = np.asarray(centers, dtype=str)
    values = np.asarray(block.values, dtype=float)
    finite, varies = _varying(values, names, np.unique(names))
    return tuple(block.columns[j] for j in np.flatnonzero(finite & ~varies.any(axis=0) & _spread(values)[1]))


def harmonized(block: Block, harmonizer: Harmonizer, centers: ArrayLike) -> Block:
    """The block of the training patients with the harmonizer's columns harmonized.

    Center markers become their mean, a constant that no selection keeps; the other columns are as they were.
    """
    values = np.array(block.values, dtype=float)
    at = [block.columns.index(column) for column in harmonizer.columns]
    values[:, at] = harmonizer.apply(values[:, at], centers)
    for column in center_markers(block, centers):
        j = block.columns.index(column)
        values[:, j] = values[:, j].mean()
    return Block(block.name, block.features, values)


def harmonized_blocks(blocks: Mapping[str, Block] | Iterable[Block], centers: ArrayLike, numbers: Fitting) -> tuple[dict[str, Block], dict[str, Harmonizer]]:
    """Harmonize the blocks of the training patients, as selection sees them.

    Clinical columns stay as they are, and a column that only tells the centers apart becomes a constant, which selection drops (see
    harmonize.center_markers).

    Parameters
    ----------
    blocks : each (n, p)
        Of the training patients, rows in the order of the outcomes.
    centers : shape (n,)
        Of each patient.
    numbers
        The group `fuse` of params.yaml.

    Returns
    -------
    blocks : dict
        Name -> Block.
    harmonizers : dict
        Name of the block -> what was learned; empty without harmonization.

    Raises
    ------
    ValueError
        "harmonise must be one of none, combat; found ..." / "unseen_center must be one of refuse, leave, estimate; found ...".

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Fitting, harmonized_blocks
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> centers = ["east", "west"] * 20
    >>> numbers = Fitting(harmonise="combat", alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> blocks, harmonizers = harmonized_blocks([block], centers, numbers)
    >>> blocks["gtv"].values.shape, harmonizers["gtv"].centers
    ((40, 1), ('east', 'west'))
    """
    blocks_by_name = by_name(blocks)
    for value, accepted, name in ((numbers.harmonise, METHODS, "harmonise"), (numbers.unseen_center, POLICIES, "unseen_center")):
        if value not in accepted:
            raise ValueError(f"{name} must be one of {', '.join(accepted)}; found {value!r}")
    if numbers.harmonise == "none":
        return blocks_by_name, {}
    names = np.asarray(centers, dtype=str).tolist()
    learned = {name: fitted(block, names, numbers.unseen_center) for name, block in blocks_by_name.items() if name != CLINICAL}
    return {name: harmonized(block, learned[name], names) if name in learned else block for name, block in blocks_by_name.items()}, learned


def _spread(values: Floats) -> tuple[Floats, np.ndarray]:
    """Of each column (p,): standard deviation over everybody, and whether it is more than rounding; not finite values count as none."""
    with np.errstate(invalid="ignore", over="ignore"):
        spread = np.asarray(values.std(axis=0))
        return spread, spread > 1e-12 * np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)


def _varying(values: Floats, names: np.ndarray, every: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each column (p,) is finite, and whether it varies within each center (c, p)."""
    spread, somewhere = _spread(values)
    with np.errstate(invalid="ignore", over="ignore"):
        within = np.array([values[names == name].std(axis=0) for name in every])
        return np.isfinite(spread), (within > ROUNDING * spread) & somewhere


def joined(parts: Sequence[Harmonizer]) -> Harmonizer | None:
    """Harmonizers of different columns, learned on the same patients, as one; None where there is no column."""
    parts = [part for part in parts if part.columns]
    if not parts:
        return None
    first = parts[0]

    def concatenated(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
        return tuple(value for row in rows for value in row)

    return Harmonizer(
        tuple(column for part in parts for column in part.columns),
        first.centers,
        concatenated([part.means for part in parts]),
        concatenated([part.sds for part in parts]),
        tuple(concatenated([part.shifts[c] for part in parts]) for c in range(len(first.centers))),
        tuple(concatenated([part.scales[c] for part in parts]) for c in range(len(first.centers))),
        first.unseen,
    )


def _posterior(z: Floats, varies: np.ndarray) -> tuple[Floats, Floats]:
    """Location and scale of one center's standardized features (n, p).

    Each is drawn toward their distribution over the features that vary (p,) in the center; those that do not keep their own location, and the scale 1.
    """
    location, scale = z.mean(axis=0), np.ones(z.shape[1])
    location[varies], scale[varies] = _drawn_together(z[:, varies])
    return location, scale


def _drawn_together(z: Floats) -> tuple[Floats, Floats]:
    n, p = z.shape
    location, variance = z.mean(axis=0), z.var(axis=0, ddof=1)
    if p < 2 or not (variance.var(ddof=1) > 0 and location.var(ddof=1) > 0):
        return location, np.sqrt(variance)
    prior, spread = float(location.mean()), float(location.var(ddof=1))
    m, s2 = float(variance.mean()), float(variance.var(ddof=1))
    a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    shift, scale = location.copy(), variance.copy()
    for _ in range(MAX_ROUNDS):
        new_shift = (n * spread * location + scale * prior) / (n * spread + scale)
        new_scale = (0.5 * np.sum((z - new_shift) ** 2, axis=0) + b) / (n / 2.0 + a - 1.0)
        change = max(float(np.abs(new_shift - shift).max()), float(np.abs(new_scale / scale - 1.0).max()))
        shift, scale = new_shift, new_scale
        if change < CONVERGED:
            break
    return shift, np.sqrt(scale)
