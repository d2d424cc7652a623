"""Refits of a model on resamples of its training patients, as linear functions of its columns: between which limits they put a patient's answer.

The limits cover which patients happened to be in the training centers (the refits) and, where a patient's scan is at hand, which networks happened to be
trained (each refit draws its own). They do not cover another center, another scanner or contour, the choice of the recipe, or what a
person's outcome varies by around the risk. No row and no day of a patient is in the file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from penumbra.base.blocks import DEEP, block_and_feature
from penumbra.fusion.model import SurvivalModel
from penumbra.fusion.parts import Column, Table, columns_of, limited, transformed
from penumbra.fusion.reading import scaled, values_of
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.outcome import Floats

Raw = dict[tuple[str, bool], tuple[float, Column]]  # (name, log) -> coefficient per unit, and the column
COVERS = "refits on resamples of the training patients"
COVERS_NETWORKS = f"{COVERS}, each with networks drawn from the ensemble"
MAX_GRIDS = 8  # sets of days whose hazards stay in memory
NO_REFITS = "none: the version holds no refits (it was registered before there were limits, was not refitted, or harmonizes between centers)"


@dataclass(frozen=True)
class Band:
    """Limits of the answers for n patients, at k days; NaN where there are none. They hold the answer itself.

    Parameters
    ----------
    lower, upper : shape (n,)
        Of log_risk.
    survival_lower, survival_upper : shape (n, k)
        Of the probability to be alive.
    covers
        What varies between the refits.
    """

    lower: Floats
    upper: Floats
    survival_lower: Floats
    survival_upper: Floats
    covers: str

    @classmethod
    def none(cls, log_risk: ArrayLike, days: Sequence[float], reason: str) -> Band:
        """Return the band without limits; `reason` begins with "none: "."""
        n, k = np.size(log_risk), len(days)
        return cls(np.full(n, np.nan), np.full(n, np.nan), np.full((n, k), np.nan), np.full((n, k), np.nan), reason)


def band_of(
    refits: Resampled | None,
    model: SurvivalModel,
    table: Table,
    log_risk: ArrayLike,
    days: Sequence[float],
    *,
    networks: Mapping[str, ArrayLike] | None = None,
    recalibration: tuple[ArrayLike, ArrayLike] = (0.0, 1.0),
) -> Band:
    """Return the limits of some answers; without any, and with the reason, where a version has no refits or the table lacks what they read.

    Parameters
    ----------
    refits
        Of the model; the other arguments are those of `Resampled.band`.
    """
    if refits is None:
        return Band.none(log_risk, days, NO_REFITS)
    lacking = [name for name in refits.names if name not in columns_of(table)]
    if lacking:
        columns = "a column" if len(lacking) == 1 else f"{len(lacking)} columns"
        return Band.none(log_risk, days, f"none: refits read {columns} more than the model, such as {lacking[0]}")
    return refits.band(model, table, log_risk, days, networks=networks, recalibration=recalibration)


@dataclass(frozen=True)
class Resampled:
    """b refits of one model.

    Parameters
    ----------
    columns
        That any refit reads, p of them, standardized as in the model; the coefficients are not used.
    intercepts : shape (b,)
        log_risk of a refit where every column has its mean.
    coefficients : shape (b, p)
        Per standard deviation, float32.
    days : shape (k,)
        Grid of the baseline hazards.
    hazards : shape (b, k)
        Cumulative, at log_risk 0; NaN beyond the follow-up of the resample.
    confidence
        Share of the refits between the limits.
    """

    columns: tuple[Column, ...]
    intercepts: Floats
    coefficients: Floats
    days: Floats
    hazards: Floats
    confidence: float

    @classmethod
    def of(cls, model: SurvivalModel, refits: Sequence[tuple[SurvivalModel, BaselineHazard]], days: ArrayLike, confidence: float) -> Resampled | None:
        """Gather refits; None where there are none, or where they harmonize between centers: the risk is then no linear function of the columns.

        Parameters
        ----------
        model
            That was refitted.
        refits
            Each with the baseline hazard of its resample, for the risks of `model`'s slope.
        days : shape (k,), days
            At which the hazards are kept.
        """
        if not refits or model.harmonizes or any(refit.harmonizes for refit, _ in refits):
            return None
        grid = np.asarray(days, dtype=float)
        functions = [raw_function(replace(refit, slope=model.slope)) for refit, _ in refits]
        by_key = {(column.name, column.log): column for column in model.inputs}
        for _, raw in functions:
            by_key |= {key: column for key, (_, column) in raw.items() if key not in by_key}
        columns = tuple(replace(column, coefficient=0.0) for column in by_key.values())
        place = {key: j for j, key in enumerate(by_key)}
        coefficients, intercepts = np.zeros((len(refits), len(columns))), np.zeros(len(refits))
        for i, (intercept, raw) in enumerate(functions):
            intercepts[i] = intercept
            for key, (value, _) in raw.items():
                column = columns[place[key]]
                coefficients[i, place[key]] = value * column.sd
                intercepts[i] += value * column.mean
        hazards = np.stack([baseline.at(grid) for _, baseline in refits])
        return cls(columns, intercepts, coefficients.astype(np.float32), grid, hazards, confidence)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, each once."""
        return tuple(dict.fromkeys(column.name for column in self.columns))

    def log_risks(self, table: Table, networks: Mapping[str, ArrayLike] | None = None) -> Floats:
        """Return the log_risk of n patients under each refit, (b, n); NaN for a patient who lacks a value that has no fill.

        Parameters
        ----------
        table : each (n,), or (n, p)
            As `SurvivalModel.log_risk`, with every column of `names`.
        networks : each (m,)
            Of the one patient of the table: deep column -> its value by each of m networks. Each refit then has the mean of m networks drawn with
            replacement instead of the mean of all.
        """
        values = columns_of(table)
        z = _standardized(self.columns, values)
        risks = self.intercepts[:, None] + self.coefficients.astype(float) @ z.T
        if networks:
            deep = [j for j, column in enumerate(self.columns) if block_and_feature(column.name)[0] == DEEP]
            each = _standardized([self.columns[j] for j in deep], networks)
            drawn = np.random.default_rng(0).integers(len(each), size=(len(self.intercepts), len(each)))
            moved = each[drawn].mean(axis=1) - each.mean(axis=0)
            risks += (self.coefficients[:, deep].astype(float) * moved).sum(axis=1)[:, None]
        return risks

    def band(
        self,
        model: SurvivalModel,
        table: Table,
        log_risk: ArrayLike,
        days: Sequence[float],
        *,
        networks: Mapping[str, ArrayLike] | None = None,
        recalibration: tuple[ArrayLike, ArrayLike] = (0.0, 1.0),
    ) -> Band:
        """Return the limits of the answers for some patients.

        The middle share of the refits, widened to the answer itself where that lies outside. Survival is NaN where the model gives none; at a day that a
        resample was not followed to, its refit has no say.

        Parameters
        ----------
        model
            That was refitted, as it answers.
        table : each (n,), or (n, p)
            Of the patients.
        log_risk : shape (n,)
            Its answer for them.
        days : shape (k,), days
            At which survival is wanted.
        networks
            As `log_risks`.
        recalibration
            Intercept and slope of a recalibration of the probabilities to a center, one for all or (n,); log_risk stays as it is.
        """
        risk = np.asarray(log_risk, dtype=float)
        risks = self.log_risks(table, networks)
        intercept, slope = (np.asarray(value, dtype=float) for value in recalibration)
        with np.errstate(divide="ignore", over="ignore"):
            alive = np.exp(-np.exp(np.log(self.hazards_at(days))[:, None, :] + (intercept + slope * risks)[:, :, None]))
        answer = model.survival(intercept + slope * risk, days)
        tail = 0.5 * (1.0 - self.confidence)
        lower, upper = _limits(risks, tail, risk)
        survival_lower, survival_upper = _limits(limited(alive), tail, answer)
        return Band(lower, upper, survival_lower, survival_upper, COVERS_NETWORKS if networks else COVERS)

    def hazards_at(self, days: Sequence[float]) -> Floats:
        """Return the cumulative baseline hazard of each refit at some days, (b, k); NaN beyond the follow-up of its resample."""
        at = tuple(days)
        if at not in self._hazards_at:
            if len(self._hazards_at) >= MAX_GRIDS:
                self._hazards_at.clear()
            self._hazards_at[at] = np.stack([baseline.at(days) for baseline in self._baselines])
        return self._hazards_at[at]

    @cached_property
    def _hazards_at(self) -> dict[tuple[float, ...], Floats]:
        """What was asked before: a version that stays in memory is always asked at the same days."""
        return {}

    @cached_property
    def _baselines(self) -> tuple[BaselineHazard, ...]:
        followed = np.isfinite(self.hazards)
        last = [float(self.days[finite][-1]) if finite.any() else 0.0 for finite in followed]
        rows = zip(self.hazards, followed, last, strict=True)
        return tuple(BaselineHazard(self.days[finite], hazard[finite], day, linear=True) for hazard, finite, day in rows)

    def to_bytes(self) -> bytes:
        """Return what `from_file` reads: arrays of numbers and names, no pickles; the same refits give the same bytes."""
        columns = {name: np.array([getattr(column, name) for column in self.columns]) for name in ("name", "log", "mean", "sd")}
        columns["fill"] = np.array([np.nan if column.fill is None else column.fill for column in self.columns])
        numbers = {name: getattr(self, name) for name in ("intercepts", "coefficients", "days", "hazards", "confidence")}
        stream = io.BytesIO()
        arrays: dict[str, Any] = {**columns, **numbers}
        np.savez(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    @classmethod
    def from_file(cls, path: Path) -> Resampled:
        """Read what `to_bytes` wrote, equal to the last bit."""
        with np.load(path, allow_pickle=False) as arrays:
            each = zip(*(arrays[name].tolist() for name in ("name", "log", "fill", "mean", "sd")), strict=True)
            columns = tuple(Column(name, log, None if np.isnan(fill) else fill, mean, sd) for name, log, fill, mean, sd in each)
            numbers = {name: arrays[name] for name in ("intercepts", "coefficients", "days", "hazards")}
            return cls(columns=columns, **numbers, confidence=float(arrays["confidence"]))


def raw_function(model: SurvivalModel) -> tuple[float, Raw]:
    """Return a model that does not harmonize as a linear function of its columns, or of their logarithms: intercept, and coefficients per unit."""
    raw: Raw = {}
    if not model.members:
        intercept = 0.0
        for column in model.inputs:
            value = model.slope * column.coefficient / column.sd
            intercept -= value * column.mean
            raw[column.name, column.log] = (value, column)
        return intercept, raw
    intercept = 0.0
    for member in model.members:
        scale = model.slope * member.weight / member.sd
        level, terms = raw_function(member.model)
        intercept += scale * (level - member.mean)
        for key, (value, column) in terms.items():
            before = raw[key][0] if key in raw else 0.0
            raw[key] = (before + scale * value, column)
    return intercept, raw


def _standardized(columns: Sequence[Column], values: Mapping[str, ArrayLike]) -> Floats:
    """Some columns of a table, missing values filled, in standard deviations of the training patients: (n, p), all at once."""
    raw = values_of(values, columns)
    for j, column in enumerate(columns):
        if column.log:
            raw[:, j] = transformed(column.name, raw[:, j], column.log)
    return scaled(columns, np.where(np.isnan(raw), [np.nan if column.fill is None else column.fill for column in columns], raw))


def _limits(values: Floats, tail: float, answer: Floats) -> tuple[Floats, Floats]:
    """Quantiles over the first axis, (b, ...), widened to the answer; NaN where there is no answer, or no refit has one."""
    finite = np.isfinite(values).any(axis=0) & np.isfinite(answer)
    filled = np.where(finite, values, 0.0)
    lower, upper = np.quantile(filled, (tail, 1.0 - tail), axis=0)
    partly = np.isnan(filled).any(axis=0)
    if partly.any():  # numpy takes these one by one, a hundred times as long
        lower[partly], upper[partly] = np.nanquantile(filled[:, partly], (tail, 1.0 - tail), axis=0)
    return np.where(finite, np.minimum(lower, answer), np.nan), np.where(finite, np.maximum(upper, answer), np.nan)
