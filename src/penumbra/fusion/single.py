"""One model that is made from features: from its declaration and the training patients to every learned number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.base.blocks import block_and_feature
from penumbra.fusion.declaration import Block, Declaration, Unusable
from penumbra.fusion.harmonize import Harmonizer, center_markers, joined
from penumbra.fusion.model import SurvivalModel
from penumbra.fusion.parts import Column, linear_risk, transformed
from penumbra.fusion.patients import Patients, require_block
from penumbra.fusion.selection import BlockSelection, Usable, lasso, ridge
from penumbra.survival.baseline import breslow_baseline
from penumbra.survival.components import principal_components
from penumbra.survival.outcome import Bools, Floats, Undefined
from penumbra.survival.regression import CoxFit, cox_fit


def fit_single(declaration: Declaration, patients: Patients, template: SurvivalModel | None = None) -> SurvivalModel:
    """Fit a model of any kind but mean and stacked.

    Parameters
    ----------
    template
        A model of this declaration whose penalties are taken, each block's Lasso or the ridge; what is 0 there is cross-validated, as without it.
    """
    penalties = {} if template is None else {selection.block: selection.penalty or None for selection in template.selections}
    if declaration.kind == "cox":
        return Fitter(declaration, patients, []).cox()
    blocks, harmonizers = patients.harmonized
    marked = [_marked(patients.blocks[name], patients.outcomes.centers) for name in declaration.blocks if name in harmonizers and name in patients.blocks]
    fitter = Fitter(declaration, patients, [remark for remark in (*marked, *patients.left_out(declaration)) if remark])
    for name in declaration.blocks:
        require_block(declaration, blocks, name)
    if declaration.kind == "ridge":
        return fitter.ridge(next(iter(penalties.values()), None))
    return fitter.selected(tuple(patients.selection(declaration, name, penalties.get(name)) for name in declaration.blocks))


@dataclass(frozen=True)
class Scaled:
    """Columns of the training patients, z-scored: z (n, k). Their coefficients are not known yet."""

    columns: tuple[Column, ...]
    z: Floats

    @classmethod
    def of(cls, names: Sequence[str], raw: Floats, logs: Sequence[bool], fills: Sequence[float | None]) -> Scaled:
        means, sds = raw.mean(axis=0), raw.std(axis=0)
        numbers = zip(names, logs, fills, means.tolist(), sds.tolist(), strict=True)
        return cls(tuple(Column(name, log, fill, mean, sd) for name, log, fill, mean, sd in numbers), (raw - means) / sds)

    def subset(self, which: Bools) -> Scaled:
        return Scaled(tuple(column for column, keep in zip(self.columns, which, strict=True) if keep), self.z[:, which])

    def and_then(self, others: Scaled) -> Scaled:
        return Scaled((*self.columns, *others.columns), np.hstack([self.z, others.z]))


@dataclass
class Fitter:
    """The training patients of one model, on the way from columns to numbers."""

    declaration: Declaration
    patients: Patients
    remarks: list[str]

    def __post_init__(self) -> None:
        self.event, self.time, self.numbers = self.patients.event, self.patients.time, self.patients.numbers

    def scaled(self, names: Sequence[str]) -> tuple[Scaled, Floats]:
        """Columns of the blocks as the model sees them, and the slope of each on the line that was taken out."""
        seen = [self.patients.seen(self.declaration, block) for block in self.declaration.blocks]
        slopes = {column: slope for block, of_block in seen for column, slope in zip(block.columns, of_block.tolist(), strict=True)}
        return _plain(names, [block for block, _ in seen]), np.array([slopes[name] for name in names])

    def selected(self, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
        self.remarks += [selection.reason for selection in selections if selection.reason]
        names = [name for selection in selections for name in selection.kept]
        if not names:
            return self.nothing(selections)
        scaled, slopes = self.scaled(names)
        if self.declaration.kind == "components":
            return self.through_components(scaled, selections)
        coefficients = np.array([value for selection in selections for value in selection.coefficients])
        if len(selections) > 1:
            coefficients, _, reason = lasso(self.event, self.time, scaled.z, self.numbers, self.declaration.name)
            if reason:
                self.remarks.append(reason)
                return self.nothing(selections)
            nonzero = coefficients != 0
            scaled, coefficients, slopes = scaled.subset(nonzero), coefficients[nonzero], slopes[nonzero]
        return self.through_line(scaled, coefficients, slopes, selections)

    def ridge(self, penalty: float | None) -> SurvivalModel:
        """All columns of the blocks in one Cox model; `penalty` None: cross-validation chooses it."""
        seen = [self.patients.seen(self.declaration, name)[0] for name in self.declaration.blocks]
        usable = [Usable.of(block) for block in seen]
        names = [name for each in usable for name in each.names]
        if not names:
            self.remarks.append(f"{self.declaration.name} sees no column that is finite and varies")
            return self.nothing(tuple(each.selection(0.0) for each in usable))
        scaled, slopes = self.scaled(names)
        factors = dict(self.declaration.penalties)
        weights = np.sqrt([factors.get(block_and_feature(name)[0], 1.0) for name in names])
        coefficients, penalty, reason = ridge(self.event, self.time, scaled.z / weights, self.numbers, self.declaration.name, penalty)
        selections = tuple(each.selection(penalty) for each in usable)
        if reason:
            self.remarks.append(reason)
            return self.nothing(selections)
        return self.through_line(scaled, np.asarray(coefficients / weights), slopes, selections)

    def through_line(self, scaled: Scaled, coefficients: Floats, slopes: Floats, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
        """A linear model of residuals as one of the columns themselves: the column of the line gets the coefficient that makes up for it."""
        if self.declaration.residual is None:
            return self.model(scaled, coefficients, selections=selections)
        line, mean, sd = self.patients.line(self.declaration)
        names = [column.name for column in scaled.columns]
        residual_sds = np.array([column.sd for column in scaled.columns])
        further = Scaled((Column(self.declaration.residual, True, None, mean, sd),), line[:, None])
        columns = _plain(names, [self.patients.harmonized[0][name] for name in self.declaration.blocks])
        raw = coefficients * np.array([column.sd for column in columns.columns]) / residual_sds
        return self.model(columns.and_then(further), np.append(raw, -float(coefficients @ (slopes / residual_sds))), selections=selections)

    def through_components(self, scaled: Scaled, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
        from scipy.linalg import block_diag

        components = principal_components(scaled.z, variance=self.numbers.pca_variance)
        further = self.covariates()
        # a covariate is a component of its own: it enters the Cox model as it is, after the principal components
        loadings = block_diag(components.components, np.eye(len(further.columns)))
        cox = self.cox_of(np.hstack([components.transform(scaled.z), further.z]))
        return self.model(
            scaled.and_then(further),
            loadings.T @ cox.coef,
            selections=selections,
            components=tuple(tuple(row) for row in loadings.tolist()),
            component_means=(*components.mean.tolist(), *(0.0,) * len(further.columns)),
            explained=tuple(components.explained.tolist()),
            cox=cox,
        )

    def cox(self) -> SurvivalModel:
        scaled = self.covariates()
        if not scaled.columns:
            return self.nothing()
        cox = self.cox_of(scaled.z)
        return self.model(scaled, cox.coef, cox=cox)

    def covariates(self) -> Scaled:
        """The columns that the declaration names one by one, z-scored; what cannot be used is left out, with a remark."""
        declaration = self.declaration
        names, logs, fills, raw = list[str](), list[bool](), list[float | None](), list[Floats]()
        for name in declaration.columns:
            log = name in declaration.log
            # a Cox model takes named columns as they are, and so does every model where their logarithm is taken
            values = transformed(name, self.patients.column(declaration, name, harmonized=declaration.kind != "cox" and not log), log)
            present = np.isfinite(values)
            if not present.any():
                self.remarks.append(f"{name} is missing for every training patient: left out")
                continue
            if not present.all() and name not in declaration.impute:
                fault = f"{name} is missing for {int((~present).sum())} of {present.size} training patients (model {declaration.name})"
                raise Unusable("value_missing", fault, f"Send the values, or add the column to `impute` of {declaration.name} in models/")
            fill = float(np.median(values[present])) if name in declaration.impute else None
            if not present.all():
                self.remarks.append(f"{name} is missing for {int((~present).sum())} of {present.size} training patients: taken as {fill:g}, their median")
            values = np.where(present, values, 0.0 if fill is None else fill)
            if values.std() <= 1e-12 * max(abs(float(values.mean())), 1e-300):
                self.remarks.append(f"{name} is the same for every training patient: left out")
                continue
            names.append(name)
            logs.append(log)
            fills.append(fill)
            raw.append(values)
        table = np.stack(raw, axis=1) if raw else np.zeros((self.event.size, 0))
        return Scaled.of(names, table, logs, fills)

    def cox_of(self, z: Floats) -> CoxFit:
        try:
            return cox_fit(self.event, self.time, z, ties=self.numbers.ties)
        except Undefined as undefined:
            self.remarks.append(f"Cox with a ridge penalty of {self.numbers.ridge:g}: {undefined}")
            return cox_fit(self.event, self.time, z, ties=self.numbers.ties, ridge=self.numbers.ridge)

    def harmonizer(self, columns: tuple[str, ...]) -> Harmonizer | None:
        """What was learned of the columns that the model uses, as one."""
        if self.declaration.kind == "cox":
            return None
        harmonizers, parts = self.patients.harmonized[1], []
        for block in dict.fromkeys(block_and_feature(column)[0] for column in columns):
            if block in harmonizers:
                harmonizer = harmonizers[block]
                parts.append(harmonizer.of([column for column in columns if column.startswith(f"{block}.") and column in harmonizer.columns]))
        return joined(parts)

    def nothing(self, selections: tuple[BlockSelection, ...] = ()) -> SurvivalModel:
        """The model that keeps no feature."""
        return self.model(Scaled((), np.zeros((self.event.size, 0))), np.zeros(0), selections=selections)

    def model(
        self,
        scaled: Scaled,
        coefficients: Floats,
        *,
        selections: tuple[BlockSelection, ...] = (),
        components: tuple[tuple[float, ...], ...] = (),
        component_means: tuple[float, ...] = (),
        explained: tuple[float, ...] = (),
        cox: CoxFit | None = None,
    ) -> SurvivalModel:
        risk = linear_risk(scaled.z, coefficients)
        baseline = breslow_baseline(self.event, self.time, risk)
        values = np.asarray(coefficients, dtype=float).tolist()
        columns = tuple(
            Column(column.name, column.log, column.fill, column.mean, column.sd, value) for column, value in zip(scaled.columns, values, strict=True)
        )
        return SurvivalModel(
            name=self.declaration.name,
            label=self.declaration.label,
            family=self.declaration.family,
            kind=self.declaration.kind,
            inputs=columns,
            selections=selections,
            components=components,
            component_means=component_means,
            explained=explained,
            cox_coef=() if cox is None else _floats(cox.coef),
            cox_se=() if cox is None else _floats(cox.se),
            cox_p=() if cox is None else _floats(cox.p),
            baseline_times=_floats(baseline.times) if columns else (),
            baseline_hazard=_floats(baseline.cumulative_hazard) if columns else (),
            cutoff=float(np.median(risk)),
            harmonizer=self.harmonizer(tuple(column.name for column in columns if not column.log)),
            training=self.patients.training(self.remarks, baseline.followed),
        )


def _plain(names: Sequence[str], blocks: Iterable[Block]) -> Scaled:
    """Columns of some blocks, z-scored, without logarithm or fill."""
    chosen = [(np.asarray(block.values), {column: j for j, column in enumerate(block.columns)}) for block in blocks]
    raw = np.empty((len(chosen[0][0]), len(names)))
    for values, place in chosen:
        at = [i for i, name in enumerate(names) if name in place]
        raw[:, at] = values[:, [place[names[i]] for i in at]]
    return Scaled.of(names, raw, [False] * len(names), [None] * len(names))


def _marked(block: Block, centers: ArrayLike) -> str:
    """The remark on the columns of a block that only tell the centers apart; "" where there is none."""
    markers = center_markers(block, centers)
    if not markers:
        return ""
    listed = ", ".join(markers[:3]) + (", ..." if len(markers) > 3 else "")
    return f"{len(markers)} columns of {block.name} are constant within every training center and differ between centers: left out ({listed})"


def _floats(values: ArrayLike) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values, dtype=float))
