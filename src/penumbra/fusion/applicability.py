"""Whom a model is for, by its features: how far a patient is from those that it was fitted on, without any outcome.

Two measures. The share of the model's columns that are outside the 1st to 99th percentile of training; one column alone never counts. And the Mahalanobis
distance in the space that the model uses: its columns, scaled and weighted by their coefficients (of a mean or stacked model: those of its members, times
the member's weight). A column is scaled from its median to each of the two percentiles, as radiomic features are skewed: at both it is as far as a normal
column is there. The covariance is that of the training patients, shrunk after Ledoit and Wolf, in its leading components; what lies across them is one
further coordinate, in units of what it is for training patients that were not part of it.

The limits are learned as well: each training patient is measured by a domain of the folds without it. All that is stored is percentiles, a center,
components and variances: no row of a patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from penumbra.fusion.parts import nested
from penumbra.survival.outcome import Bools, Floats

INSIDE, EDGE, OUTSIDE, UNKNOWN = WORDS = ("inside", "edge", "outside", "unknown")
BEFORE = "registered before versions knew whom they are for: fit and register it again to learn it"
NAMED = 3  # columns that a sentence names


@dataclass(frozen=True)
class Measured:
    """A table as a model reads it: n patients.

    Parameters
    ----------
    columns
        Names, m of them, each once.
    values : shape (n, m)
        As the model takes them: harmonized, a logarithm, or filled; nan where one is missing, infinite where it is.
    filled : shape (n, m), bool
        Which were missing and are filled.
    weights : shape (m,)
        Coefficients per standard deviation.
    """

    columns: tuple[str, ...]
    values: Floats
    filled: Bools
    weights: Floats

    def rows(self, which: Bools) -> Measured:
        """The same of some patients, (n,) bool."""
        return Measured(self.columns, self.values[which], self.filled[which], self.weights)


@dataclass(frozen=True)
class Limits:
    """Beyond which share of the columns, or which distance, a patient is no longer inside; or is outside."""

    share: float
    distance: float


@dataclass(frozen=True)
class Applicability:
    """Whether a patient is within what a model has learned.

    Parameters
    ----------
    word
        "inside", "edge", "outside", or "unknown" of a version that was registered before this was learned.
    share
        Of the model's columns that are outside the percentiles of training, or missing.
    distance
        To the training patients, in their standard deviations; infinite where a value is infinite or missing.
    columns
        Those columns, the farthest first.
    reason
        One sentence.
    cause
        What decided the word where it is outside: "features", or what of the intended use is contrary.
    """

    word: str
    share: float = math.nan
    distance: float = math.nan
    columns: tuple[str, ...] = ()
    reason: str = ""
    cause: str = "features"

    def limited(self, contrary: Sequence[str], sentence: str) -> Applicability:
        """Return the same of a patient whose intended use is looked at as well, which wins over the features.

        Parameters
        ----------
        contrary
            What is known of the patient and not intended; empty: nothing.
        sentence
            Of that, and of what is not known.

        Returns
        -------
        Applicability
            Outside where anything is contrary.
        """
        if contrary:
            return replace(self, word=OUTSIDE, reason=f"{sentence}; {self.reason}", cause=", ".join(contrary))
        return replace(self, reason="; ".join(filter(None, (self.reason, sentence))))

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON, null where there is no number.

        Returns
        -------
        dict
            Word, share, distance, columns and reason.
        """
        numbers = {name: value if math.isfinite(value) else None for name, value in (("share", self.share), ("distance", self.distance))}
        return {"word": self.word, **numbers, "columns": list(self.columns), "reason": self.reason}


@dataclass(frozen=True)
class Arrays:
    """The numbers of a domain as arrays; made once, since a served model asks for each patient."""

    low: Floats
    middle: Floats
    high: Floats
    below: Floats
    above: Floats
    center: Floats
    components: Floats
    variances: Floats


@dataclass(frozen=True)
class Domain:
    """What is known of the training patients of one model, as aggregates.

    Parameters
    ----------
    columns
        Of the model, m of them, each once.
    low, middle, high : shape (m,)
        Percentiles between which a column is in range, and the median; of its logarithm where the model takes that.
    below, above : shape (m,)
        Coordinate per unit of a column, on either side of its median.
    center : shape (m,)
        Mean of the coordinates.
    components : shape (k, m)
        Orthonormal rows.
    variances : shape (k,)
        Along them, shrunk.
    residual
        Root mean square of what lies across the components, of training patients that were not part of them; 0: nothing does.
    edge, outside
        The limits.
    patients
        How many it was learned from.
    """

    columns: tuple[str, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]
    center: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    residual: float
    edge: Limits
    outside: Limits
    patients: int

    @cached_property
    def arrays(self) -> Arrays:
        """The numbers as arrays, the components (k, m) also where there is none."""
        numbers = {field.name: np.array(getattr(self, field.name), dtype=float) for field in fields(Arrays)}
        return Arrays(**{**numbers, "components": numbers["components"].reshape(-1, len(self.columns))})

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads.

        Returns
        -------
        dict
            Of lists and numbers.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Domain:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        document
            As JSON gives it back.

        Returns
        -------
        Domain
            Equal to the last bit.
        """
        values = {name: nested(value) for name, value in document.items() if name not in (EDGE, OUTSIDE)}
        return cls(**values, edge=Limits(**document[EDGE]), outside=Limits(**document[OUTSIDE]))

    def of(self, measured: Measured) -> tuple[Applicability, ...]:
        """Tell for each patient whether it is within the domain.

        Parameters
        ----------
        measured : n patients
            By the same model.

        Returns
        -------
        tuple of Applicability
            One per patient.
        """
        beyond, distances = self.beyond(measured), self.distances(measured)
        return tuple(self._one(measured, beyond[i], float(distances[i]), i) for i in range(len(distances)))

    def beyond(self, measured: Measured) -> Bools:
        """Return which values are outside the percentiles.

        Parameters
        ----------
        measured : n patients
            By the same model.

        Returns
        -------
        array of shape (n, m), bool
            True also for what is missing or infinite, not for what is filled.
        """
        inside = (measured.values >= self.arrays.low) & (measured.values <= self.arrays.high)
        return np.asarray(~inside & ~measured.filled)

    def coordinates(self, measured: Measured) -> Floats:
        """Return the place of each patient in the space that the model uses.

        Parameters
        ----------
        measured : n patients
            By the same model.

        Returns
        -------
        array of shape (n, m)
            0 where a column is at its median.
        """
        steps = measured.values - self.arrays.middle
        return np.asarray(steps * np.where(steps > 0, self.arrays.above, self.arrays.below))

    def distances(self, measured: Measured) -> Floats:
        """Return the Mahalanobis distance to the training patients.

        Parameters
        ----------
        measured : n patients
            By the same model.

        Returns
        -------
        array of shape (n,)
            Infinite where a value is missing or infinite.
        """
        center, components, variances = self.arrays.center, self.arrays.components, self.arrays.variances
        distances = np.full(len(measured.values), np.inf)
        with np.errstate(over="ignore", invalid="ignore"):
            points = self.coordinates(measured) - center
            for i, point in enumerate(points):  # one by one: the same bits for a patient alone or among others
                if not np.isfinite(measured.values[i]).all():
                    continue
                scores = components @ point
                across = float(np.linalg.norm(point - scores @ components))
                squared = float(np.sum(scores**2 / variances)) + (0.0 if self.residual == 0 else (across / self.residual) ** 2)
                distances[i] = math.sqrt(squared) if math.isfinite(squared) else math.inf
        return distances

    def _one(self, measured: Measured, beyond: Bools, distance: float, row: int) -> Applicability:
        values, filled = measured.values[row], measured.filled[row]
        low, high = self.arrays.low, self.arrays.high
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            far = np.maximum(low - values, values - high) / (high - low)
        order = np.argsort(-np.where(np.isnan(far), np.inf, far), kind="stable")
        names = tuple(self.columns[j] for j in order if beyond[j])
        share = float(beyond.mean())
        broken = [self.columns[j] for j in np.flatnonzero(~np.isfinite(values))]
        word = OUTSIDE if broken or not math.isfinite(distance) else self.word(int(beyond.sum()), distance)
        return Applicability(word, share, distance, names, self._reason(word, names, distance, broken, [self.columns[j] for j in np.flatnonzero(filled)]))

    def word(self, beyond: int, distance: float) -> str:
        """Return the word for what was measured of a patient.

        Parameters
        ----------
        beyond
            How many columns are outside the percentiles.
        distance
            To the training patients.

        Returns
        -------
        str
            "inside", "edge" or "outside".
        """
        share = beyond / len(self.columns)
        for word, limits in ((OUTSIDE, self.outside), (EDGE, self.edge)):
            if (beyond > 1 and share > limits.share) or distance > limits.distance:
                return word
        return INSIDE

    def _reason(self, word: str, names: Sequence[str], distance: float, broken: Sequence[str], filled: Sequence[str]) -> str:
        supplied = f"; {_listed(filled)} missing, replaced by the training median" if filled else ""
        if broken:
            return f"{_listed(broken)} missing or infinite{supplied}"
        far = f"distance {distance:.1f} from the training patients (limits {self.edge.distance:.1f} and {self.outside.distance:.1f})"
        if not names:
            return f"every column within the training range, {far}{supplied}"
        count = f"{len(names)} of {len(self.columns)} columns outside the training range"
        return f"{count} ({_listed(names)}), {far}{supplied}" if word != INSIDE else f"{count}, {far}{supplied}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
