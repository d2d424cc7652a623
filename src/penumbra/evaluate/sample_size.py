"""What the training patients can carry: candidate parameters tried by each model, allowed at the C seen inside, and patients missing (docs/method.md)."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from penumbra import survival
from penumbra.base.blocks import DEEP
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import CROSS_FITTED, TRAINING
from penumbra.fusion import Declaration
from penumbra.survival import Undefined


@dataclass(frozen=True)
class Sample:
    """Patients that models are fitted on, and how many of them died.

    Parameters
    ----------
    shrinkage
        Of the coefficients, that the criterion allows to be expected.
    """

    patients: int
    deaths: int
    shrinkage: float

    def allowed(self, c: float) -> float:
        """Candidate parameters that these patients carry at a C-index; NaN where the criterion has no answer."""
        try:
            explained = self._explained(c)
            return survival.parameters_allowed(explained, self.patients, shrinkage=self.shrinkage)
        except Undefined:
            return math.nan

    def missing(self, parameters: int, c: float) -> float:
        """Further patients, with as many deaths each, that a number of parameters needs: 0 where there are enough, inf where no number is."""
        try:
            enough = survival.patients_needed(parameters, self._explained(c), shrinkage=self.shrinkage) if parameters else 0.0
        except Undefined:
            return math.nan
        return float(max(0, math.ceil(enough) - self.patients)) if math.isfinite(enough) else enough

    def _explained(self, c: float) -> float:
        if not (self.patients and math.isfinite(c)):
            raise Undefined("no patients, or no C")
        return survival.explained_variation(c, self.deaths, self.patients)


@dataclass(frozen=True)
class Demand:
    """What one model asks of a sample.

    Parameters
    ----------
    tried
        Candidate parameters: every column that a selection saw, of a model of models the sum over its members.
    retained
        Columns that it keeps; None before it is fitted.
    c
        Harrell's C inside the training centers, cross-fitted; NaN before there is one.
    allowed
        Candidate parameters that the sample carries at this C.
    missing, missing_retained
        Patients that `tried`, and that `retained` alone would need in addition.
    """

    model: str
    tried: int
    retained: int | None
    c: float
    allowed: float
    missing: float
    missing_retained: float


def demands(
    declared: Mapping[str, Declaration],
    sizes: Mapping[str, int],
    retained: Mapping[str, int],
    inside: Mapping[str, float],
    sample: Sample,
    features: Collection[str] = (),
) -> tuple[Demand, ...]:
    """What every declared model asks of a sample, in the order of declaration.

    Parameters
    ----------
    sizes
        Block -> how many features it has.
    retained
        Model -> columns that it keeps, as far as models are fitted.
    inside
        Model -> C inside, of `seen_inside`.
    features
        Names of the features of an ROI, of which a declaration may leave some out.
    """
    rows = []
    for name in declared:
        tried, c = columns_tried(name, declared, sizes, features), inside.get(name, math.nan)
        used = _retained(name, declared, retained)
        rows.append(Demand(name, tried, used, c, sample.allowed(c), sample.missing(tried, c), math.nan if used is None else sample.missing(used, c)))
    return tuple(rows)


def columns_tried(name: str, declared: Mapping[str, Declaration], sizes: Mapping[str, int], features: Collection[str] = ()) -> int:
    """Columns that a declared model tries: all of its blocks but what it leaves out, and those it names; of a model of models the sum over its members."""
    model = declared[name]
    unseen = sum(any(fnmatchcase(feature, pattern) for pattern in model.leave_out) for feature in features)
    seen = sum(sizes[block] - (unseen if block != DEEP else 0) for block in model.blocks)
    return seen + len(model.columns) + sum(columns_tried(member, declared, sizes, features) for member in members(model))


def members(model: Declaration) -> tuple[str, ...]:
    """The models that a model is made of."""
    return tuple(member.name for member in model.members)


def _retained(name: str, declared: Mapping[str, Declaration], retained: Mapping[str, int]) -> int | None:
    """Columns that a model keeps; of a model of models the sum over its members."""
    parts = members(declared[name])
    counts = [_retained(part, declared, retained) for part in parts] if parts else [retained.get(name)]
    return None if None in counts else sum(count for count in counts if count is not None)


def seen_inside(rows: Iterable[MetricRow]) -> dict[str, float]:
    """Model -> Harrell's C of its cross-fitted risks over all training centers, where it has one."""
    chosen = (row for row in rows if (row.split, row.center, row.metric) == (CROSS_FITTED, TRAINING, "harrell_c"))
    return {row.model: row.value for row in chosen if math.isfinite(row.value)}
