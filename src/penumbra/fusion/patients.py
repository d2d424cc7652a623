"""The training patients of one fit, and what was learned of their blocks so far: models that share a block learn it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache

import numpy as np

from penumbra.base.blocks import block_and_feature
from penumbra.fusion.declaration import ADVICE, RULE, Block, Declaration, Unusable
from penumbra.fusion.harmonize import Harmonizer, harmonized_blocks
from penumbra.fusion.model import SurvivalModel
from penumbra.fusion.parts import Training, transformed
from penumbra.fusion.selection import BlockSelection, select
from penumbra.fusion.settings import Fitting
from penumbra.survival.outcome import Bools, Floats, Outcomes, Undefined, checked_outcome, require_events
from penumbra.survival.selection import folds_within

FOLDS = 5  # of the risks that standardize and weigh the members of a model
ROUNDING = 1e-9  # of a column's spread: what a line leaves below this is rounding
DECIMALS = 9  # of a mean correlation: columns that differ in the last bit alone are the same
Options = tuple[tuple[str, ...], float | None, str | None]


class Patients:
    """Blocks and outcomes of the training patients, the blocks as each model sees them, their selections and fitted models.

    Parameters
    ----------
    blocks : each (n, p)
        By name, rows in the order of the outcomes.
    outcomes : n patients
        Event, time in days, and center.
    numbers
        The group `fuse` of params.yaml.

    Raises
    ------
    ValueError
        "block gtv has values of shape ...; expected ...".
    Undefined
        "no event among n patients ...".
    """

    def __init__(self, blocks: Mapping[str, Block], outcomes: Outcomes, numbers: Fitting) -> None:
        self.event, self.time = checked_outcome(outcomes.event, outcomes.time)
        require_events(self.event)
        for block in blocks.values():
            if np.shape(block.values) != (self.event.size, len(block.features)):
                raise ValueError(f"block {block.name} has values of shape {np.shape(block.values)}; expected {(self.event.size, len(block.features))}")
        self.blocks, self.outcomes, self.numbers = dict(blocks), outcomes, numbers
        self.unstable = frozenset(numbers.stability.unstable if numbers.stability else ())
        self.models: dict[str, SurvivalModel] = {}
        self.crossed: dict[str, Floats] = {}
        self._seen: dict[tuple[str, Options], tuple[Block, Floats]] = {}
        self._selections: dict[tuple[str, Options], BlockSelection] = {}

    @cached_property
    def harmonized(self) -> tuple[dict[str, Block], dict[str, Harmonizer]]:
        """The blocks as selection sees them, and what was learned for that."""
        return harmonized_blocks(self.blocks, self.outcomes.centers, self.numbers)

    @cached_property
    def table(self) -> dict[str, Floats]:
        """Column -> its values (n,), as they came."""
        return {column: block.values[:, j] for block in self.blocks.values() for j, column in enumerate(block.columns)}

    @cached_property
    def folds(self) -> list[tuple[Bools, Patients | None]]:
        """Who is left out, (n,) bool, and the others; None where none of them died."""
        fold = folds_within(self.outcomes.centers, self.event, folds=FOLDS, seed=self.numbers.seed)
        return [(fold == number, self.without(fold == number)) for number in np.unique(fold)]

    def without(self, out: Bools) -> Patients | None:
        """The others than some, (n,) bool; None where none of them died."""
        if not self.event[~out].any():
            return None
        others = {name: Block(name, block.features, np.asarray(block.values)[~out]) for name, block in self.blocks.items()}
        return Patients(others, self.outcomes.rows(~out), self.numbers)

    def rows_of_table(self, rows: Bools) -> Mapping[str, Floats]:
        """The table of some patients."""
        return RowsOf(self.table, rows)

    def once(self, declaration: Declaration, fit: Callable[[], SurvivalModel]) -> SurvivalModel:
        """A model that is fitted once, however many others are made from it."""
        if declaration.name not in self.models:
            self.models[declaration.name] = fit()
        return self.models[declaration.name]

    def training(self, remarks: Sequence[str], followed: float | None) -> Training:
        """How a model of these patients was fitted."""
        numbers = self.numbers
        return Training(
            patients=self.event.size,
            events=int(self.event.sum()),
            alpha=numbers.alpha,
            folds=numbers.folds,
            seed=numbers.seed,
            ties=numbers.ties,
            lasso_lambda=numbers.lasso_lambda,
            lasso_patience=numbers.lasso_patience,
            pca_variance=numbers.pca_variance,
            ridge=numbers.ridge,
            remarks=tuple(remarks),
            followed=followed,
        )

    def column(self, declaration: Declaration, name: str, *, harmonized: bool) -> Floats:
        """One column that a declaration names, (n,)."""
        block = require_block(declaration, self.harmonized[0] if harmonized else self.blocks, block_and_feature(name)[0])
        if name not in block.columns:
            raise Unusable(RULE, f"{declaration.name} needs the column {name}; block {block.name} has {', '.join(block.features[:5])}, ...", ADVICE)
        return np.asarray(block.values[:, block.columns.index(name)], dtype=float)

    def seen(self, declaration: Declaration, name: str) -> tuple[Block, Floats]:
        """A block as a model sees it, and the slope of each column (p,) on the standardized logarithm that was taken out; 0 where none was."""
        key = (name, _options(declaration))
        if key not in self._seen:
            block = require_block(declaration, self.harmonized[0], name)
            named = _left_out(block.features, declaration.leave_out)
            block = _only(block, [not out and column not in self.unstable for column, out in zip(block.columns, named, strict=True)])
            slopes: Floats = np.zeros(len(block.features))
            if declaration.residual is not None:
                block, slopes = _residuals(block, self.line(declaration)[0])
            if declaration.redundancy is not None:
                keep = not_redundant(np.asarray(block.values, dtype=float), declaration.redundancy)
                block, slopes = _only(block, keep.tolist()), slopes[keep]
            self._seen[key] = block, slopes
        return self._seen[key]

    def left_out(self, declaration: Declaration) -> list[str]:
        """A remark for each block of a model of which unstable columns were left out."""
        remarks = []
        for name in declaration.blocks:
            columns = self.blocks[name].columns if name in self.blocks else ()
            count, rule = len(self.unstable.intersection(columns)), self.numbers.stability
            if count and rule is not None:
                limit = f"the lower limit of their ICC is below {rule.min_icc:g} under {' or '.join(rule.under)}"
                remarks.append(f"{count} of {len(columns)} columns of {name} are not stable and left out: {limit}")
        return remarks

    def line(self, declaration: Declaration) -> tuple[Floats, float, float]:
        """The logarithm of the column whose part is taken out, z-scored (n,), with its mean and standard deviation.

        Raises
        ------
        Unusable
            "value_missing": `gtv.... is missing for 2 of 30 training patients (model Ridge). ...`.
        Undefined
            "... is the same for every training patient ...".
        """
        name = str(declaration.residual)
        values = transformed(name, self.column(declaration, name, harmonized=False), True)
        absent = int((~np.isfinite(values)).sum())
        if absent:
            fault = f"{name} is missing for {absent} of {values.size} training patients (model {declaration.name})"
            raise Unusable("value_missing", fault, f"Send the values, or delete `residual` of {declaration.name} in models/")
        mean, sd = float(values.mean()), float(values.std())
        if sd <= 1e-12 * max(abs(mean), 1e-300):
            raise Undefined(f"{name} is the same for every training patient: nothing is its residual (model {declaration.name})")
        return (values - mean) / sd, mean, sd

    def selection(self, declaration: Declaration, name: str, penalty: float | None) -> BlockSelection:
        """What the three steps keep of a block; `penalty` is the Lasso's, None: cross-validation chooses it."""
        key = (name, _options(declaration))
        if key not in self._selections:
            self._selections[key] = select(self.seen(declaration, name)[0], self.outcomes, self.numbers, lambda_known=penalty)
        return self._selections[key]


class RowsOf(Mapping[str, Floats]):
    """The columns of a table for some patients, each taken when it is asked for: a model reads a few of thousands."""

    def __init__(self, table: Mapping[str, Floats], rows: Bools) -> None:
        self._table, self._rows = table, rows

    def __getitem__(self, column: str) -> Floats:
        return self._table[column][self._rows]

    def __contains__(self, column: object) -> bool:
        return column in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@lru_cache(maxsize=64)  # the blocks of each fold have the same features
def _left_out(features: tuple[str, ...], patterns: tuple[str, ...]) -> tuple[bool, ...]:
    """Which features a declaration leaves out by their names."""
    return tuple(any(fnmatchcase(feature, pattern) for pattern in patterns) for feature in features)


def require_block(declaration: Declaration, blocks: Mapping[str, Block], name: str) -> Block:
    """Return a block that a declaration names."""
    if name not in blocks:
        raise Unusable(RULE, f"{declaration.name} needs the block {name}; found {', '.join(blocks) or 'none'}", ADVICE)
    return blocks[name]


def not_redundant(values: Floats, limit: float) -> Bools:
    """Return which columns (p,) stay when no two may correlate above a limit; outcomes are not looked at.

    From the column with the largest mean absolute correlation to the one with the smallest, of equal ones from the last to the first, a column goes where
    one that is still there correlates with it above the limit. Constant columns, and those that are not finite, stay: selection drops them.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        centered = values - values.mean(axis=0)
        spread = values.std(axis=0)
        usable = np.flatnonzero(np.isfinite(spread) & (spread > 1e-12 * np.abs(values).max(axis=0, initial=0.0)))
    z = centered[:, usable] / spread[usable]
    correlation = np.abs(z.T @ z) / values.shape[0]
    np.fill_diagonal(correlation, 0.0)
    mean = correlation.mean(axis=1).round(DECIMALS) if usable.size else np.zeros(0)
    stays = np.ones(usable.size, dtype=bool)
    for j in np.lexsort((-np.arange(usable.size), -mean)):
        stays[j] = not (correlation[j][stays] > limit).any()
    keep = np.ones(values.shape[1], dtype=bool)
    keep[usable] = stays
    return keep


def _residuals(block: Block, line: Floats) -> tuple[Block, Floats]:
    values = np.asarray(block.values, dtype=float)
    with np.errstate(invalid="ignore", over="ignore"):
        mean, spread = values.mean(axis=0), values.std(axis=0)
        slopes = line @ (values - mean) / line.size
        residuals = values - mean - line[:, None] * slopes
        varying = residuals.std(axis=0) > np.maximum(ROUNDING * spread, 1e-12 * np.abs(mean))
    finite = np.isfinite(spread)
    # what varies with the line alone is constant next to it; a column with missing values stays one, and selection drops it
    residuals = np.where(finite, np.where(varying, residuals, 0.0), values)
    return Block(block.name, block.features, residuals), np.where(finite & varying, slopes, 0.0)


def _only(block: Block, keep: Sequence[bool]) -> Block:
    if all(keep):
        return block
    return Block(block.name, tuple(feature for feature, stays in zip(block.features, keep, strict=True) if stays), np.asarray(block.values)[:, np.array(keep)])


def _options(declaration: Declaration) -> Options:
    return declaration.leave_out, declaration.redundancy, declaration.residual
