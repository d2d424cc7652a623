"""From a declaration and the training patients to a fitted model. Nothing here has access to a patient who is not passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from penumbra.base.blocks import block_and_feature
from penumbra.fusion.declaration import ADVICE, RULE, Block, Declaration, Unusable, by_name
from penumbra.fusion.harmonize import Harmonizer, center_markers, harmonized_blocks, joined
from penumbra.fusion.model import Column, SurvivalModel, Training, linear_risk, transformed
from penumbra.fusion.selection import BlockSelection, lasso, select
from penumbra.fusion.settings import Fitting
from penumbra.survival.baseline import breslow_baseline
from penumbra.survival.components import principal_components
from penumbra.survival.outcome import Bools, Floats, Outcomes, Undefined, checked_outcome, require_events
from penumbra.survival.regression import CoxFit, cox_fit


def fit_all(declared: Iterable[Declaration], blocks: Mapping[str, Block] | Iterable[Block], outcomes: Outcomes, numbers: Fitting) -> dict[str, SurvivalModel]:
    """Fit every declared model, harmonizing and selecting each block once.

    Parameters
    ----------
    declared
        What each model is.
    blocks : each (n, p)
        Of the training patients, rows in the order of the outcomes.
    outcomes : n patients
        Event, time in days, and center of the training patients.
    numbers
        The group `fuse` of params.yaml.

    Returns
    -------
    dict
        Name -> fitted model.

    Raises
    ------
    ValueError, Undefined
        As `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Declaration, Fitting, fit_all
    >>> from penumbra.survival.outcome import Outcomes
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> outcomes = Outcomes.of_one_center(np.arange(40) % 3 > 0, rng.exponential(500 * np.exp(-volume[:, 0])))
    >>> numbers = Fitting(alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> column = "gtv.original_shape_MeshVolume"
    >>> declared = Declaration("Volume", "Volume only", "control", "cox", columns=(column,), log=(column,))
    >>> models = fit_all([declared], [block], outcomes, numbers)
    >>> models["Volume"].columns
    ('gtv.original_shape_MeshVolume',)
    """
    blocks_by_name, harmonizers = harmonized_blocks(blocks, outcomes.centers, numbers)
    selections: dict[str, BlockSelection] = {}
    models = {}
    for declaration in declared:
        for name in declaration.blocks:
            if name not in selections and name in blocks_by_name:
                selections[name] = select(blocks_by_name[name], outcomes, numbers)
        models[declaration.name] = fit(declaration, blocks, outcomes, numbers, selections=selections, harmonized=(blocks_by_name, harmonizers))
    return models


def fit(
    declaration: Declaration,
    blocks: Mapping[str, Block] | Iterable[Block],
    outcomes: Outcomes,
    numbers: Fitting,
    *,
    selections: Mapping[str, BlockSelection] | None = None,
    harmonized: tuple[dict[str, Block], dict[str, Harmonizer]] | None = None,
) -> SurvivalModel:
    """Fit one model on training patients.

    Parameters
    ----------
    declaration
        What the model is.
    blocks : each (n, p)
        Of the training patients, rows in the order of the outcomes.
    outcomes : n patients
        Event, time in days, and center of the training patients.
    numbers
        The group `fuse` of params.yaml.
    selections
        Of blocks already selected (harmonized, with the same numbers); the others are selected here.
    harmonized
        Of `harmonized_blocks` with the same arguments, where they are at hand.

    Returns
    -------
    SurvivalModel
        With `retained` false and its reason where no feature is kept; that is not raised.

    Raises
    ------
    ValueError
        "block gtv has values of shape ...; expected ...".
    Unusable
        "model_declared": `Combined needs the block deep; found ...`; "value_missing": `gtv.... is missing for 2 of 30 training patients (model Volume). ...`
    Undefined
        "no event among n patients ...".

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Declaration, Fitting, fit
    >>> from penumbra.survival.outcome import Outcomes
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> outcomes = Outcomes.of_one_center(np.arange(40) % 3 > 0, rng.exponential(500 * np.exp(-volume[:, 0])))
    >>> numbers = Fitting(alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> column = "gtv.original_shape_MeshVolume"
    >>> declared = Declaration("Volume", "Volume only", "control", "cox", columns=(column,), log=(column,))
    >>> model = fit(declared, [block], outcomes, numbers)
    >>> model.retained, model.training.events
    (True, 26)
    >>> risk = model.log_risk({column: [0.5, 1.0, 2.0]})
    >>> bool(risk[0] < risk[1] < risk[2])
    True
    >>> model.risk_group(risk).tolist()
    ['low', 'high', 'high']
    """
    events, times = checked_outcome(outcomes.event, outcomes.time)
    require_events(events)
    blocks_by_name = by_name(blocks)
    for block in blocks_by_name.values():
        if np.shape(block.values) != (events.size, len(block.features)):
            raise ValueError(f"block {block.name} has values of shape {np.shape(block.values)}; expected {(events.size, len(block.features))}")
    if declaration.kind == "cox":
        return _Fitter(declaration, blocks_by_name, events, times, numbers, []).cox()
    unharmonized = blocks_by_name
    blocks_by_name, harmonizers = harmonized or harmonized_blocks(unharmonized, outcomes.centers, numbers)
    remarks = [_marked(unharmonized[name], outcomes.centers) for name in declaration.blocks if name in harmonizers and name in unharmonized]
    fitter = _Fitter(declaration, blocks_by_name, events, times, numbers, [remark for remark in remarks if remark], harmonizers)
    for name in declaration.blocks:
        _require_block(declaration, blocks_by_name, name)
    available = dict(selections or {})
    used_selections = []
    for name in declaration.blocks:
        if name not in available:
            available[name] = select(blocks_by_name[name], outcomes, numbers)
        used_selections.append(available[name])
    return fitter.selected(tuple(used_selections))


@dataclass(frozen=True)
class _Scaled:
    """Columns of the training patients, z-scored: z (n, k). Their coefficients are not known yet."""

    columns: tuple[Column, ...]
    z: Floats

    @classmethod
    def of(cls, names: Sequence[str], raw: Floats, logs: Sequence[bool], fills: Sequence[float | None]) -> _Scaled:
        means, sds = raw.mean(axis=0), raw.std(axis=0)
        numbers = zip(names, logs, fills, means.tolist(), sds.tolist(), strict=True)
        return cls(tuple(Column(name, log, fill, mean, sd) for name, log, fill, mean, sd in numbers), (raw - means) / sds)

    def subset(self, which: Bools) -> _Scaled:
        return _Scaled(tuple(column for column, keep in zip(self.columns, which, strict=True) if keep), self.z[:, which])

    def and_then(self, others: _Scaled) -> _Scaled:
        return _Scaled((*self.columns, *others.columns), np.hstack([self.z, others.z]))


@dataclass
class _Fitter:
    """The training patients of one model, on the way from columns to numbers."""

    declaration: Declaration
    blocks: dict[str, Block]
    event: Bools
    time: Floats
    numbers: Fitting
    remarks: list[str]
    harmonizers: Mapping[str, Harmonizer] = field(default_factory=dict)

    def column(self, name: str) -> Floats:
        block = self.blocks[block_and_feature(name)[0]]
        return np.asarray(block.values[:, block.columns.index(name)], dtype=float)

    def selected(self, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
        self.remarks += [selection.reason for selection in selections if selection.reason]
        names = [name for selection in selections for name in selection.kept]
        if not names:
            return self.nothing(selections)
        scaled = _Scaled.of(names, np.stack([self.column(name) for name in names], axis=1), [False] * len(names), [None] * len(names))
        if self.declaration.kind == "components":
            return self.through_components(scaled, selections)
        coefficients = np.array([value for selection in selections for value in selection.coefficients])
        if len(selections) > 1:
            coefficients, _, reason = lasso(self.event, self.time, scaled.z, self.numbers, self.declaration.name)
            if reason:
                self.remarks.append(reason)
                return self.nothing(selections)
            nonzero = coefficients != 0
            scaled, coefficients = scaled.subset(nonzero), coefficients[nonzero]
        return self.model(scaled, coefficients, selections=selections)

    def through_components(self, scaled: _Scaled, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
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

    def covariates(self) -> _Scaled:
        """The columns that the declaration names one by one, z-scored; what cannot be used is left out, with a remark."""
        declaration = self.declaration
        names, logs, fills, raw = list[str](), list[bool](), list[float | None](), list[Floats]()
        for name in declaration.columns:
            block = _require_block(declaration, self.blocks, block_and_feature(name)[0])
            if name not in block.columns:
                raise Unusable(RULE, f"{declaration.name} needs the column {name}; block {block.name} has {', '.join(block.features[:5])}, ...", ADVICE)
            values = transformed(name, self.column(name), name in declaration.log)
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
            logs.append(name in declaration.log)
            fills.append(fill)
            raw.append(values)
        table = np.stack(raw, axis=1) if raw else np.zeros((self.event.size, 0))
        return _Scaled.of(names, table, logs, fills)

    def cox_of(self, z: Floats) -> CoxFit:
        try:
            return cox_fit(self.event, self.time, z, ties=self.numbers.ties)
        except Undefined as undefined:
            self.remarks.append(f"Cox with a ridge penalty of {self.numbers.ridge:g}: {undefined}")
            return cox_fit(self.event, self.time, z, ties=self.numbers.ties, ridge=self.numbers.ridge)

    def harmonizer(self, columns: tuple[str, ...]) -> Harmonizer | None:
        """What was learned of the columns that the model uses, as one."""
        parts = []
        for block in dict.fromkeys(block_and_feature(column)[0] for column in columns):
            if block in self.harmonizers:
                harmonizer = self.harmonizers[block]
                parts.append(harmonizer.of([column for column in columns if column.startswith(f"{block}.") and column in harmonizer.columns]))
        return joined(parts)

    def nothing(self, selections: tuple[BlockSelection, ...] = ()) -> SurvivalModel:
        """The model that keeps no feature."""
        return self.model(_Scaled((), np.zeros((self.event.size, 0))), np.zeros(0), selections=selections)

    def model(
        self,
        scaled: _Scaled,
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
        columns = tuple(replace(column, coefficient=float(value)) for column, value in zip(scaled.columns, coefficients, strict=True))
        numbers = self.numbers
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
            harmonizer=self.harmonizer(tuple(column.name for column in columns)),
            training=Training(
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
                remarks=tuple(self.remarks),
                followed=baseline.followed,
            ),
        )


def _marked(block: Block, centers: ArrayLike) -> str:
    """The remark on the columns of a block that only tell the centers apart; "" where there is none."""
    markers = center_markers(block, centers)
    if not markers:
        return ""
    listed = ", ".join(markers[:3]) + (", ..." if len(markers) > 3 else "")
    return f"{len(markers)} columns of {block.name} are constant within every training center and differ between centers: left out ({listed})"


def _require_block(declaration: Declaration, blocks: Mapping[str, Block], name: str) -> Block:
    if name not in blocks:
        raise Unusable(RULE, f"{declaration.name} needs the block {name}; found {', '.join(blocks) or 'none'}", ADVICE)
    return blocks[name]


def _floats(values: ArrayLike) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values, dtype=float))
