"""What a model without members reads of a table: its inputs as they enter the z-score, and the z-scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.declaration import Unusable
from penumbra.fusion.harmonize import Harmonizer
from penumbra.fusion.parts import Column, Table, columns_of, linear_risk, transformed
from penumbra.survival.outcome import Floats, Undefined


class NothingRetained(Undefined):
    """The model kept no feature, so it has no risk; the message says why."""


class Reading(Protocol):
    """What is needed of a model to read a table for it; each as of `SurvivalModel`."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[Column, ...]: ...
    @property
    def harmonizer(self) -> Harmonizer | None: ...
    @property
    def retained(self) -> bool: ...
    @property
    def reason(self) -> str: ...


def read(model: Reading, table: Table, centers: ArrayLike | None, missing: str = "refuse") -> tuple[Floats, Floats]:
    """The inputs of each patient, (n, p), before and after missing values are filled: with their logarithms, harmonized; nan where one is missing or infinite.

    Raises
    ------
    NothingRetained, Unusable
        As `SurvivalModel.log_risk`.
    """
    raw = _raw(model, table, centers, missing)
    filled = np.where(np.isnan(raw), [math.nan if column.fill is None else column.fill for column in model.inputs], raw)
    absent = np.isnan(filled).sum(axis=0)
    if absent.any() and missing != "nan":
        column = int(np.flatnonzero(absent)[0])
        fault = f"{model.inputs[column].name} is missing for {absent[column]} of {raw.shape[0]} patients (model {model.name})"
        raise Unusable("value_missing", fault, "Populate it first")
    return raw, filled


def values_of(columns: Mapping[str, ArrayLike], inputs: Sequence[Column]) -> Floats:
    """Some columns of a table as they came, (n, p)."""
    return np.stack([np.atleast_1d(np.asarray(columns[column.name], dtype=float)) for column in inputs], axis=1)


def scaled(inputs: Sequence[Column], values: Floats) -> Floats:
    """The z-scores of inputs (n, p), in standard deviations of the training patients."""
    return np.asarray((values - np.array([column.mean for column in inputs])) / np.array([column.sd for column in inputs]))


def risk_of(model: Reading, z: Floats, missing: str) -> Floats:
    """The risks (n,) of z-scores (n, p).

    Raises
    ------
    Unusable
        "gtv.... makes the risk infinite for ...".
    """
    with np.errstate(over="ignore", invalid="ignore"):
        risk = linear_risk(z, [column.coefficient for column in model.inputs])
    beyond = np.isinf(risk) | (np.isnan(risk) & ~np.isnan(z).any(axis=1))
    if beyond.any() and missing != "nan":
        far = model.inputs[int(np.abs(z[np.flatnonzero(beyond)[0]]).argmax())].name
        fault = f"{far} makes the risk infinite for {int(beyond.sum())} of {z.shape[0]} patients (model {model.name})"
        raise Unusable("risk_finite", fault, "Check its value")
    risk[beyond] = np.nan
    return risk


def _raw(model: Reading, table: Table, centers: ArrayLike | None, missing: str = "refuse") -> Floats:
    if not model.retained:
        raise NothingRetained(f"{model.name} retained no feature: {model.reason}. It has no risk to give")
    columns = columns_of(table)
    for column in model.inputs:
        if column.name not in columns:
            fault = f"{model.name} needs the column {column.name}; found {len(columns)} columns ({', '.join(list(columns)[:3])}, ...)"
            raise Unusable("column_given", fault, "Populate it first")
    values = values_of(columns, model.inputs)
    infinite = np.isinf(values)
    if infinite.any() and missing != "nan":
        j = int(np.flatnonzero(infinite.any(axis=0))[0])
        fault = f"{model.inputs[j].name} is infinite for {int(infinite[:, j].sum())} of {len(values)} patients (model {model.name})"
        raise Unusable("value_finite", fault, "Give a finite number")
    values[infinite] = np.nan
    for j, column in enumerate(model.inputs):
        if column.log:
            values[:, j] = transformed(column.name, values[:, j], column.log)
    if model.harmonizer is not None:
        # a column that is there with and without its logarithm is harmonized without; versions before there were both have it once
        place = {column.name: j for j, column in sorted(enumerate(model.inputs), key=lambda item: not item[1].log)}
        at = [place[column] for column in model.harmonizer.columns]
        values[:, at] = model.harmonizer.apply(values[:, at], centers, missing=missing)
    return values
