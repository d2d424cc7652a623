"""One fitted object that holds every learned number of a model, from z-score to cut-off."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.declaration import Unusable
from penumbra.fusion.harmonize import Harmonizer
from penumbra.fusion.selection import BlockSelection
from penumbra.fusion.settings import STORED_NAMES
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.outcome import Floats, Undefined

FORMAT = 2  # of the JSON
STORED_HARMONIZER = "harmoniser"  # its key there: a registered model keeps its digest
Table = Mapping[str, ArrayLike] | tuple[ArrayLike, Iterable[str]]


class NothingRetained(Undefined):
    """The model kept no feature, so it has no risk; the message says why."""


@dataclass(frozen=True)
class Training:
    """How a model was fitted: patients, events, the numbers of fitting, and the remarks made on the way.

    Parameters
    ----------
    followed
        Day of the last follow-up, death or censoring, of the training patients: the model gives no survival beyond. None in a model that was fitted
        before this was recorded; its last death is used instead.
    """

    patients: int
    events: int
    alpha: float
    folds: int
    seed: int
    ties: str
    lasso_lambda: str
    lasso_patience: int | None
    pca_variance: float
    ridge: float
    remarks: tuple[str, ...]
    followed: float | None = None


@dataclass(frozen=True)
class Column:
    """One input column of a model.

    Parameters
    ----------
    name
        `<block>.<feature>`.
    log
        Whether the natural logarithm is taken first.
    fill
        What a missing value becomes; None: a missing value is refused.
    mean, sd
        Of the training patients.
    coefficient
        Per standard deviation: log_risk = sum of coefficients x (column - mean) / sd. For components, the product of the loadings with the
        component coefficients.
    """

    name: str
    log: bool
    fill: float | None
    mean: float
    sd: float
    coefficient: float = 0.0


# In the JSON each of them is a list over the columns: a registered model keeps its text and its digest.
STORED_COLUMNS = {"columns": "name", "logs": "log", "fills": "fill", "means": "mean", "sds": "sd", "coefficients": "coefficient"}


@dataclass(frozen=True)
class SurvivalModel:
    """Every learned number of one model, from z-score to cut-off.

    Parameters
    ----------
    name, label, family, kind
        As declared, see `Declaration`.
    inputs
        The columns it needs.
    selections
        What was kept of each block, with coefficients and p's.
    components
        Loadings, one row per component over the columns, then one per column that enters the Cox model as it is.
    component_means
        Of the z-scored columns (0 up to rounding).
    explained
        Share of variance of every principal component.
    cox_coef, cox_se, cox_p
        Of the Cox model on the components or columns; empty for a signature.
    baseline_times, baseline_hazard : days, and no unit
        Breslow's cumulative hazard at log_risk 0.
    cutoff
        Median of the training risk: higher is "high".
    training
        How it was fitted.
    harmonizer
        ComBat of the columns, before the z-score; None: the columns enter as they are.
    """

    name: str
    label: str
    family: str
    kind: str
    inputs: tuple[Column, ...]
    selections: tuple[BlockSelection, ...]
    components: tuple[tuple[float, ...], ...]
    component_means: tuple[float, ...]
    explained: tuple[float, ...]
    cox_coef: tuple[float, ...]
    cox_se: tuple[float, ...]
    cox_p: tuple[float, ...]
    baseline_times: tuple[float, ...]
    baseline_hazard: tuple[float, ...]
    cutoff: float
    training: Training
    harmonizer: Harmonizer | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the inputs; versions registered with penumbra 0.1.0 ask for them."""
        return tuple(column.name for column in self.inputs)

    @property
    def retained(self) -> bool:
        """Whether any feature is kept; without one there is no risk to give."""
        return bool(self.inputs)

    @property
    def reason(self) -> str:
        """Why nothing is retained; "" where something is."""
        return "" if self.retained else "; ".join(self.training.remarks) or "no feature retained"

    def log_risk(self, table: Table, *, centers: ArrayLike | None = None, missing: str = "refuse") -> Floats:
        """Return the risk of each patient.

        Parameters
        ----------
        table : each (n,), or (n, p)
            Columns by name, each of shape (n,), or (values (n, p), names (p,)); more columns than needed do no harm.
        centers : shape (n,)
            Of each patient, where the model harmonizes between centers; None: all of one center that did not train.
        missing
            What a patient gets who lacks a value that has no fill, or whose center is refused: "refuse" raises, "nan" answers nan.

        Returns
        -------
        array of shape (n,)
            Higher = earlier death.

        Raises
        ------
        NothingRetained
            "Rad retained no feature: ... It has no risk to give".
        Unusable
            "Rad needs the column ...; found ... columns" / "gtv.... is missing for 2 of 30 patients (model Rad)" / "gtv.... is infinite for ..." /
            "gtv.... makes the risk infinite for ...".
        """
        raw = self._raw(table, centers, missing)
        for j, column in enumerate(self.inputs):
            absent = np.isnan(raw[:, j])
            if column.fill is not None:
                raw[absent, j] = column.fill
            elif absent.any() and missing != "nan":
                raise Unusable(
                    "value_missing", f"{column.name} is missing for {int(absent.sum())} of {raw.shape[0]} patients (model {self.name})", "Populate it first"
                )
        with np.errstate(over="ignore", invalid="ignore"):
            z = self._scaled(raw)
            risk = linear_risk(z, [column.coefficient for column in self.inputs])
        beyond = np.isinf(risk) | (np.isnan(risk) & ~np.isnan(raw).any(axis=1))
        if beyond.any() and missing != "nan":
            far = self.columns[int(np.abs(z[np.flatnonzero(beyond)[0]]).argmax())]
            fault = f"{far} makes the risk infinite for {int(beyond.sum())} of {raw.shape[0]} patients (model {self.name})"
            raise Unusable("risk_finite", fault, "Check its value")
        risk[beyond] = np.nan
        return risk

    def _raw(self, table: Table, centers: ArrayLike | None, missing: str = "refuse") -> Floats:
        if not self.retained:
            raise NothingRetained(f"{self.name} retained no feature: {self.reason}. It has no risk to give")
        columns = _columns(table)
        raw = []
        for column in self.inputs:
            name = column.name
            if name not in columns:
                fault = f"{self.name} needs the column {name}; found {len(columns)} columns ({', '.join(list(columns)[:3])}, ...)"
                raise Unusable("column_given", fault, "Populate it first")
            values = np.atleast_1d(np.asarray(columns[name], dtype=float))
            infinite = np.isinf(values)
            if infinite.any() and missing != "nan":
                fault = f"{name} is infinite for {int(infinite.sum())} of {values.size} patients (model {self.name})"
                raise Unusable("value_finite", fault, "Give a finite number")
            raw.append(transformed(name, np.where(infinite, np.nan, values), column.log))
        values = np.stack(raw, axis=1)
        if self.harmonizer is not None:
            names = self.columns
            at = [names.index(column) for column in self.harmonizer.columns]
            values[:, at] = self.harmonizer.apply(values[:, at], centers, missing=missing)
        return values

    def scores(self, table: Table, *, centers: ArrayLike | None = None) -> Floats:
        """Return the principal component scores of a model of kind components.

        Parameters
        ----------
        table : each (n,), or (n, p)
            Columns by name, each of shape (n,), or (values (n, p), names (p,)); more columns than needed do no harm.
        centers : shape (n,)
            Of each patient, where the model harmonizes between centers; None: all of one center that did not train.

        Returns
        -------
        array of shape (n, k)
            A column per component.

        Raises
        ------
        NothingRetained, Unusable
            As `log_risk`.
        """
        raw = self._raw(table, centers)
        return np.asarray((self._scaled(raw) - np.array(self.component_means)) @ np.array(self.components).T)

    def _scaled(self, raw: Floats) -> Floats:
        return np.asarray((raw - np.array([column.mean for column in self.inputs])) / np.array([column.sd for column in self.inputs]))

    def survival(self, log_risk: ArrayLike, times_days: ArrayLike) -> Floats:
        """Return the probability to be alive at each time.

        Parameters
        ----------
        log_risk : shape (n,)
            Higher = earlier death.
        times_days : shape (k,), days
            Any, in any order.

        Returns
        -------
        array of shape (n, k)
            It is nan beyond the follow-up of the training patients; `baseline.why_not` says why.

        Raises
        ------
        NothingRetained
            "Rad retained no feature: ... It has no survival to give".
        """
        if not self.retained:
            raise NothingRetained(f"{self.name} retained no feature: {self.reason}. It has no survival to give")
        return self.baseline.survival(log_risk, times_days)

    @property
    def baseline(self) -> BaselineHazard:
        """Breslow's cumulative hazard at log_risk 0."""
        return BaselineHazard(np.array(self.baseline_times), np.array(self.baseline_hazard), self.training.followed)

    def risk_group(self, log_risk: ArrayLike) -> np.ndarray:
        """Tell which patients are above the cut-off.

        Parameters
        ----------
        log_risk : shape (n,)
            Higher = earlier death.

        Returns
        -------
        array of shape (n,)
            "high" above the cut-off and "low" at or below it.
        """
        return np.where(np.asarray(log_risk, dtype=float) > self.cutoff, "high", "low")

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `to_json` writes.

        Returns
        -------
        dict
            A registered model keeps its digest: what it did not have is left out.
        """
        document = {"format": FORMAT, **asdict(self)}
        del document["inputs"]
        document |= {stored: tuple(getattr(column, name) for column in self.inputs) for stored, name in STORED_COLUMNS.items()}
        document["training"] = {STORED_NAMES.get(name, name): value for name, value in document["training"].items()}
        harmonizer = document.pop("harmonizer")
        if harmonizer is not None:
            document[STORED_HARMONIZER] = harmonizer  # a model without one reads as it did before there were any
        if self.training.followed is None:
            del document["training"]["followed"]  # likewise: an earlier model keeps its digest
        return document

    def to_json(self) -> str:
        """Write canonical JSON (sorted keys, shortest exact floats): the same numbers give the same text.

        Returns
        -------
        str
            What `from_json` reads.
        """
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> SurvivalModel:
        """Read the model that `to_json` or `to_dict` wrote, equal to the last bit.

        Parameters
        ----------
        text
            JSON, or the mapping that it holds.

        Returns
        -------
        SurvivalModel
            Ready to score.

        Raises
        ------
        ValueError
            "not a survival model of format 2: ...".
        """
        document = dict(json.loads(text) if isinstance(text, str) else text)
        document["harmonizer"] = document.pop(STORED_HARMONIZER, None)
        if document.pop("format", None) != FORMAT or set(document) != ({field.name for field in fields(cls)} - {"inputs"}) | set(STORED_COLUMNS):
            raise ValueError(f"not a survival model of format {FORMAT}: keys {', '.join(sorted(document)[:5])}, ...")
        document["selections"] = tuple(BlockSelection(**_tupled(entry)) for entry in document["selections"])
        older = {stored: name for name, stored in STORED_NAMES.items()}
        document["training"] = Training(**{older.get(name, name): value for name, value in _tupled(document["training"]).items()})
        each = zip(*(document.pop(stored) for stored in STORED_COLUMNS), strict=True)
        document["inputs"] = tuple(Column(**dict(zip(STORED_COLUMNS.values(), values, strict=True))) for values in each)
        if document["harmonizer"] is not None:
            harmonizer = _tupled(document["harmonizer"])
            document["harmonizer"] = Harmonizer(**{name: _nested(value) for name, value in harmonizer.items()})
        document["components"] = tuple(tuple(row) for row in document["components"])
        return cls(**_tupled(document))

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON.

        Returns
        -------
        str
            64 hex digits.
        """
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def linear_risk(z: Floats, coefficients: Iterable[float]) -> Floats:
    """Return the sum of coefficients times z-scored columns, (n,), column by column: the same bits for a patient alone or among others."""
    risk = np.zeros(z.shape[0])
    for j, coefficient in enumerate(coefficients):
        risk += coefficient * z[:, j]
    return risk


def _columns(table: Table) -> Mapping[str, ArrayLike]:
    if isinstance(table, tuple):
        values, names = table
        return dict(zip(names, np.asarray(values).T, strict=True))
    return table


def transformed(name: str, values: ArrayLike, log: bool) -> Floats:
    """Return one column as floats, or its natural logarithm; missing values stay nan."""
    numbers = np.atleast_1d(np.asarray(values, dtype=float))
    if not log:
        return numbers
    finite = np.isfinite(numbers)
    if (numbers[finite] <= 0).any():
        raise Unusable("value_positive", f"{name} must be positive, its logarithm is taken; found {numbers[finite].min():g}", "Check its value")
    return np.asarray(np.log(numbers, where=finite, out=np.full(numbers.shape, np.nan)))


def _nested(value: Any) -> Any:
    return tuple(_nested(entry) for entry in value) if isinstance(value, list | tuple) else value


def _tupled(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
