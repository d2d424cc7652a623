"""What adds up to a patient's log_risk: one term per column, measured from the mean training patient, exact since every model is linear in its columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from penumbra.base.blocks import block_and_feature
from penumbra.fusion.model import SurvivalModel
from penumbra.fusion.parts import Table, columns_of, transformed
from penumbra.survival.outcome import Bools, Floats

TOP = 10  # features of a block that are shown one by one, unless somebody says how many


@dataclass(frozen=True)
class Contributions:
    """The log_risk of n patients in terms: log_risk = constant + sum over the columns = constant + sum over the members.

    Parameters
    ----------
    constant
        Of the mean training patient, whose columns all have their training mean, of logarithms where these are taken: that patient's log_risk.
    columns
        Names, p of them; a column that enters with and without its logarithm has one term for both.
    terms : shape (n, p)
        Coefficient x (value - training mean), summed over the members that read the column.
    filled : shape (n, p), bool
        Whether the value was missing, and the model's fill was taken.
    members : each (n,)
        Of a mean or stacked model: member -> what it adds to the constant. Empty for the others.
    """

    constant: float
    columns: tuple[str, ...]
    terms: Floats
    filled: Bools
    members: Mapping[str, Floats]

    @property
    def blocks(self) -> dict[str, Floats]:
        """Block -> the sum of its terms, (n,), in the order in which the model reads the blocks."""
        of = [block_and_feature(column)[0] for column in self.columns]
        return {block: self.terms[:, [name == block for name in of]].sum(axis=1) for block in dict.fromkeys(of)}

    @property
    def log_risk(self) -> Floats:
        """The sum, (n,), correctly rounded: that of the model up to rounding."""
        return np.array([math.fsum((self.constant, *row)) for row in self.terms.tolist()])


def contributions_of(model: SurvivalModel, table: Table, *, centers: ArrayLike | None = None) -> Contributions:
    """Break a model's log_risk down into its contributions.

    Harmonization is part of a column: its term is that of the harmonized value. Of a model through principal components the term is that of the column
    behind them, with the product of loadings and Cox coefficients.

    Parameters
    ----------
    model
        Of any kind.
    table : each (n,), or (n, p)
        As for `log_risk`.
    centers : shape (n,)
        Likewise.

    Returns
    -------
    Contributions
        They add up to `model.log_risk` within rounding (1e-12 of the largest term).

    Raises
    ------
    NothingRetained, Unusable
        As `SurvivalModel.log_risk`.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Declaration, Fitting, contributions_of, fit
    >>> from penumbra.survival.outcome import Outcomes
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> outcomes = Outcomes.of_one_center(np.arange(40) % 3 > 0, rng.exponential(500 * np.exp(-volume[:, 0])))
    >>> numbers = Fitting(alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> column = "gtv.original_shape_MeshVolume"
    >>> model = fit(Declaration("Volume", "Volume only", "control", "cox", columns=(column,), log=(column,)), [block], outcomes, numbers)
    >>> parts = contributions_of(model, {column: [0.5, 2.0]})
    >>> parts.columns, parts.constant
    (('gtv.original_shape_MeshVolume',), 0.0)
    >>> bool(np.allclose(parts.log_risk, model.log_risk({column: [0.5, 2.0]})))
    True
    """
    columns = columns_of(table)
    if model.members:
        each = [(member, contributions_of(member.model, table, centers=centers)) for member in model.members]
        names = tuple(dict.fromkeys(name for _, parts in each for name in parts.columns))
        place = {name: j for j, name in enumerate(names)}
        size = each[0][1].terms.shape[0]
        terms, filled, members = np.zeros((size, len(names))), np.zeros((size, len(names)), dtype=bool), {}
        for member, parts in each:
            scale = model.slope * member.weight / member.sd
            at = [place[name] for name in parts.columns]
            terms[:, at] += scale * parts.terms
            filled[:, at] |= parts.filled
            members[member.model.name] = scale * parts.terms.sum(axis=1)
        constant = math.fsum(model.slope * member.weight * (parts.constant - member.mean) / member.sd for member, parts in each)
        return Contributions(constant, names, terms, filled, members)
    z = model.standardized(table, centers=centers)
    names = model.columns
    place = {name: j for j, name in enumerate(names)}
    terms, filled = np.zeros((z.shape[0], len(names))), np.zeros((z.shape[0], len(names)), dtype=bool)
    for j, column in enumerate(model.inputs):
        terms[:, place[column.name]] += model.slope * column.coefficient * z[:, j]
        filled[:, place[column.name]] |= np.isnan(transformed(column.name, columns[column.name], column.log))
    return Contributions(0.0, names, terms, filled, {})


def rounded_sum(total: float, terms: Iterable[float], digits: int) -> tuple[float, ...]:
    """Round terms so that what is shown adds up to the rounded total.

    Each is rounded down, and the units that the total lacks go to the terms that lost most: none moves by more than one unit of the last digit, as long as
    the terms add up to the total (the largest-remainder method).

    Parameters
    ----------
    total
        What the terms add up to; already rounded, or not.
    terms
        The summands.
    digits
        Decimals.

    Returns
    -------
    tuple of float
        In the order of the terms.

    Examples
    --------
    >>> from penumbra.fusion import rounded_sum
    >>> rounded_sum(1.0, [1 / 3, 1 / 3, 1 / 3], 2)
    (0.34, 0.33, 0.33)
    """
    unit = 10.0**digits
    scaled = [term * unit for term in terms]
    floors = [math.floor(value) for value in scaled]
    lacking = round(total * unit) - sum(floors)
    order = sorted(range(len(scaled)), key=lambda i: (floors[i] - scaled[i], i))
    if order:
        for turn in range(abs(lacking)):
            floors[order[turn % len(order)] if lacking > 0 else order[-1 - turn % len(order)]] += 1 if lacking > 0 else -1
    return tuple(round(value / unit, digits) for value in floors)


@dataclass(frozen=True)
class Shown:
    """One line of a patient's contributions; value is None for a sum over several columns, NaN where it is missing."""

    name: str
    contribution: float
    value: float | None = None
    filled: bool = False
    columns: int = 1


@dataclass(frozen=True)
class Explained:
    """The contributions of one patient as they are shown: every level adds up to the last digit.

    Parameters
    ----------
    log_risk
        Rounded; the sum of `constant` and `blocks`, and of `constant` and `members` where there are some.
    features
        Block -> its largest terms, and the others as one line; they add up to the block.
    classes
        Block -> its terms summed by the class of the feature (shape, firstorder, glcm ...), the largest first; they add up to the block too.
    """

    log_risk: float
    constant: float
    blocks: tuple[Shown, ...]
    features: Mapping[str, tuple[Shown, ...]]
    members: tuple[Shown, ...]
    digits: int
    classes: Mapping[str, tuple[Shown, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON: blocks and members by name, and the features of each block, null for a value that is missing.

        Returns
        -------
        dict
            Every level adds up to the one above, as `digits` decimals.
        """
        features = {
            block: [
                {"name": line.name, "contribution": line.contribution, "value": _or_null(line.value), "filled": line.filled, "columns": line.columns}
                for line in lines
            ]
            for block, lines in self.features.items()
        }
        return {
            "log_risk": self.log_risk,
            "constant": self.constant,
            "blocks": {line.name: line.contribution for line in self.blocks},
            "members": {line.name: line.contribution for line in self.members},
            "classes": {block: {line.name: line.contribution for line in lines} for block, lines in self.classes.items()},
            "features": features,
            "digits": self.digits,
        }


def _or_null(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def explained(parts: Contributions, table: Table, *, row: int = 0, top: int = TOP, digits: int = 3) -> Explained:
    """Round the contributions of one patient from the top down, so that each level adds up to the one above.

    Parameters
    ----------
    parts
        From `contributions_of`.
    table
        What they were made of.
    row
        Which patient.
    top
        Terms shown in each block; the others become one line.
    digits
        Decimals.

    Returns
    -------
    Explained
        What is shown.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Contributions, explained
    >>> parts = Contributions(0.0, ("gtv.a", "gtv.b"), np.array([[0.1234, 0.4567]]), np.array([[False, False]]), {})
    >>> lines = explained(parts, {"gtv.a": [1.0], "gtv.b": [2.0]}, digits=2)
    >>> lines.log_risk, [line.contribution for line in lines.features["gtv"]]
    (0.58, [0.46, 0.12])
    """
    values = columns_of(table)
    log_risk = round(float(parts.log_risk[row]), digits)
    blocks = {name: float(value[row]) for name, value in parts.blocks.items()}
    constant, *of_blocks = rounded_sum(log_risk, [parts.constant, *blocks.values()], digits)
    of_members = rounded_sum(log_risk - constant, [float(value[row]) for value in parts.members.values()], digits)
    members = tuple(Shown(name, value, columns=0) for name, value in zip(parts.members, of_members, strict=True))
    lines, features, classes = [], {}, {}
    for name, value in zip(blocks, of_blocks, strict=True):
        at = [j for j, column in enumerate(parts.columns) if block_and_feature(column)[0] == name]
        lines.append(Shown(name, value, columns=len(at)))
        features[name] = _of_block(parts, values, row, sorted(at, key=lambda j: (-abs(parts.terms[row, j]), j)), value, top, digits)
        classes[name] = _by_class(parts, row, at, value, digits)
    return Explained(log_risk, constant, tuple(lines), features, members, digits, classes)


def feature_class(feature: str) -> str:
    """Return the class of a feature by its name.

    Parameters
    ----------
    feature
        Without its block, such as "wavelet-LLL_glcm_Imc1", "deep_012" or "age".

    Returns
    -------
    str
        "glcm", "deep"; of a feature of no class its own name.
    """
    parts = feature.split("_")
    return parts[-2] if len(parts) == 3 else parts[0] if parts[-1].isdecimal() else feature


def _by_class(parts: Contributions, row: int, at: Sequence[int], total: float, digits: int) -> tuple[Shown, ...]:
    """The terms of a block summed by the class of the feature, rounded to the block's sum."""
    of: dict[str, list[int]] = {}
    for j in at:
        of.setdefault(feature_class(block_and_feature(parts.columns[j])[1]), []).append(j)
    sums = {name: float(parts.terms[row, columns].sum()) for name, columns in of.items()}
    ranked = sorted(sums, key=lambda name: (-abs(sums[name]), name))
    shown = rounded_sum(total, [sums[name] for name in ranked], digits)
    return tuple(Shown(name, value, columns=len(of[name])) for name, value in zip(ranked, shown, strict=True))


def _of_block(parts: Contributions, values: Mapping[str, ArrayLike], row: int, ranked: Sequence[int], total: float, top: int, digits: int) -> tuple[Shown, ...]:
    """The largest terms of a block and the sum of the others, rounded to the block's sum."""
    first, others = (ranked, []) if len(ranked) <= top + 1 else (ranked[:top], ranked[top:])
    terms = [float(parts.terms[row, j]) for j in first] + ([float(parts.terms[row, others].sum())] if len(others) else [])
    shown = rounded_sum(total, terms, digits)
    lines = [
        Shown(parts.columns[j], shown[i], float(np.atleast_1d(np.asarray(values[parts.columns[j]], dtype=float))[row]), bool(parts.filled[row, j]))
        for i, j in enumerate(first)
    ]
    return (*lines, *((Shown("others", shown[-1], columns=len(others)),) if len(others) else ()))
