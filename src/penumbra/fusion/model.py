"""One fitted object that holds every learned number of a model, from z-score to cut-off."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from penumbra.fusion.applicability import BEFORE, UNKNOWN, Applicability, Domain
from penumbra.fusion.domain import learn, measured
from penumbra.fusion.harmonize import Harmonizer
from penumbra.fusion.parts import HIGHEST as HIGHEST
from penumbra.fusion.parts import LOWEST as LOWEST
from penumbra.fusion.parts import Column, Table, Training, columns_of, limited, sum_of
from penumbra.fusion.reading import NothingRetained as NothingRetained
from penumbra.fusion.reading import read, risk_of, scaled
from penumbra.fusion.selection import BlockSelection
from penumbra.fusion.settings import Applying
from penumbra.fusion.stored import document_of, fields_of
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.outcome import Floats


@dataclass(frozen=True)
class SurvivalModel:
    """Every learned number of one model, from z-score to cut-off.

    Parameters
    ----------
    name, label, family, kind
        As declared, see `Declaration`.
    inputs
        The columns it needs, with the coefficients that the members have together; a column may be there with and without its logarithm.
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
    members
        Of a mean or stacked model: log_risk is the sum of their standardized, weighted risks.
    slope
        What the linear predictor is multiplied with: 1 unless calibrated.
    domain
        What is known of the training patients' columns, by which `applicability` tells whom the model is for; None: it was fitted before this was learned.
    linear_baseline, risk_quantiles
        Of `release`: whether the baseline hazard is linear between days of a grid; 5th, 10th, ... 95th percentile of the cross-fitted risks of training.
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
    members: tuple[Member, ...] = ()
    slope: float = 1.0
    domain: Domain | None = None
    linear_baseline: bool = False
    risk_quantiles: tuple[float, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the inputs, each once; versions registered with penumbra 0.1.0 ask for them."""
        return tuple(dict.fromkeys(column.name for column in self.inputs))

    @property
    def harmonizes(self) -> bool:
        """Whether the risk depends on the center: some columns are harmonized, of the model or of a member."""
        return self.harmonizer is not None or any(member.model.harmonizes for member in self.members)

    @property
    def parts(self) -> tuple[SurvivalModel, ...]:
        """The fitted models whose columns are read: the members, or the model itself."""
        return tuple(member.model for member in self.members) or (self,)

    @property
    def weighted(self) -> list[tuple[SurvivalModel, float]]:
        """The parts, and what one unit of each one's risk adds to that of the model."""
        return [(member.model, member.weight / member.sd) for member in self.members] or [(self, 1.0)]

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
        if self.members:
            return self.slope * sum_of([member.term(member.model.log_risk(table, centers=centers, missing=missing)) for member in self.members])
        return self.slope * risk_of(self, self.standardized(table, centers=centers, missing=missing), missing)

    def standardized(self, table: Table, *, centers: ArrayLike | None = None, missing: str = "refuse") -> Floats:
        """Return the inputs as the coefficients see them: logarithms taken, harmonized, filled and z-scored; of a model without members.

        Parameters
        ----------
        table : each (n,), or (n, p)
            As of `log_risk`.
        centers : shape (n,)
            As of `log_risk`.
        missing
            As of `log_risk`.

        Returns
        -------
        array of shape (n, p)
            In the order of `inputs`.

        Raises
        ------
        NothingRetained, Unusable
            As `log_risk`.
        """
        _, filled = read(self, table, centers, missing)
        with np.errstate(over="ignore", invalid="ignore"):
            return scaled(self.inputs, filled)

    def applicability(self, table: Table, *, centers: ArrayLike | None = None) -> tuple[Applicability, ...]:
        """Tell for each patient whether the model has learned from patients like it; no outcome is needed.

        Parameters
        ----------
        table : each (n,), or (n, p)
            As of `log_risk`.
        centers : shape (n,)
            As of `log_risk`.

        Returns
        -------
        tuple of Applicability
            One per patient; "outside", with the columns, where a value is missing that has no fill, or infinite.

        Raises
        ------
        Unusable
            As `log_risk`, where a column is not there at all.
        """
        if self.domain is None:
            columns = columns_of(table)
            patients = np.size(next(iter(columns.values()))) if columns else 0
            return (Applicability(UNKNOWN, reason=BEFORE if self.retained else f"{self.name} retained no feature"),) * patients
        return self.domain.of(measured(self.weighted, table, centers))

    def with_domain(self, table: Table, centers: ArrayLike, numbers: Applying) -> SurvivalModel:
        """Return the model with what is known of the columns of its training patients.

        Parameters
        ----------
        table : each (n,), or (n, p)
            Of the training patients, who are all that is read.
        centers : shape (n,)
            Of each.
        numbers
            The group `applicability` of params.yaml.

        Returns
        -------
        SurvivalModel
            The same risks; itself where it retained nothing.
        """
        return replace(self, domain=learn(measured(self.weighted, table, centers), centers, numbers)) if self.retained else self

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
        raw, _ = read(self, table, centers)
        return np.asarray((scaled(self.inputs, raw) - np.array(self.component_means)) @ np.array(self.components).T)

    def survival(self, log_risk: ArrayLike, times_days: ArrayLike) -> Floats:
        """Return the probability to be alive at each time, within 0.005 and 0.995.

        Parameters
        ----------
        log_risk : shape (n,)
            Higher = earlier death.
        times_days : shape (k,), days
            Any, in any order.

        Returns
        -------
        array of shape (n, k)
            It is nan beyond the follow-up of the training patients; `baseline.why_not` says why. `baseline.survival` has it without limits.

        Raises
        ------
        NothingRetained
            "Rad retained no feature: ... It has no survival to give".
        """
        if not self.retained:
            raise NothingRetained(f"{self.name} retained no feature: {self.reason}. It has no survival to give")
        return limited(self.baseline.survival(log_risk, times_days))

    def calibrated(self, slope: float, baseline: BaselineHazard) -> SurvivalModel:
        """Return the model with probabilities that do not come from the fit that saw the outcomes.

        Parameters
        ----------
        slope
            What the linear predictor is multiplied with, such as the calibration slope of cross-fitted risks; positive. The cut-off follows, so that nobody
            changes the group; coefficients and the numbers of Cox stay as they were fitted.
        baseline
            At log_risk 0, of the risks after multiplication.

        Returns
        -------
        SurvivalModel
            With log_risk = slope x linear predictor, whatever the slope was before.

        Raises
        ------
        ValueError
            "slope must be positive and finite; found ...".
        NothingRetained
            "Rad retained no feature: ... It has nothing to calibrate".
        """
        if not 0 < slope < math.inf:
            raise ValueError(f"slope must be positive and finite; found {slope}")
        if not self.retained:
            raise NothingRetained(f"{self.name} retained no feature: {self.reason}. It has nothing to calibrate")
        return replace(
            self,
            slope=float(slope),
            cutoff=self.cutoff if slope == self.slope else self.cutoff / self.slope * float(slope),
            baseline_times=tuple(map(float, baseline.times)),
            baseline_hazard=tuple(map(float, baseline.cumulative_hazard)),
            linear_baseline=baseline.linear,
            training=replace(self.training, followed=baseline.followed),
        )

    @property
    def baseline(self) -> BaselineHazard:
        """Breslow's cumulative hazard at log_risk 0."""
        return BaselineHazard(np.array(self.baseline_times), np.array(self.baseline_hazard), self.training.followed, self.linear_baseline)

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
        return document_of(self)

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
        entries = fields_of(cls, json.loads(text) if isinstance(text, str) else text)
        entries["members"] = tuple(Member(**{**entry, "model": cls.from_json(entry["model"])}) for entry in entries.get("members", ()))
        return cls(**entries)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON.

        Returns
        -------
        str
            64 hex digits.
        """
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True)
class Member:
    """A model within another one, which adds weight x (its log_risk - mean) / sd to the risk.

    Parameters
    ----------
    model
        As fitted on all training patients.
    mean, sd
        Of the risks of the training patients from fits that had not seen them.
    weight
        The same for all members of a mean model; fitted in a stacked one.
    """

    model: SurvivalModel
    mean: float
    sd: float
    weight: float

    def term(self, log_risk: Floats) -> Floats:
        """Return what the member adds to the risk, (n,)."""
        return np.asarray(self.weight * ((log_risk - self.mean) / self.sd))
