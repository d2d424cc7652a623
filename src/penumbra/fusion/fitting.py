"""From a declaration and the training patients to a fitted model. Nothing here has access to a patient who is not passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from penumbra.fusion.declaration import ADVICE, CLINICAL, RULE, Block, Declaration, Unusable, by_name
from penumbra.fusion.harmonize import METHODS, POLICIES, Harmonizer, center_markers, joined
from penumbra.fusion.harmonize import fitted as harmonizer_of
from penumbra.fusion.harmonize import harmonized as harmonized_block
from penumbra.fusion.model import SurvivalModel, Training, linear_risk, transformed
from penumbra.fusion.selection import BlockSelection, lasso, select
from penumbra.survival.baseline import breslow_baseline
from penumbra.survival.components import principal_components
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, require_events
from penumbra.survival.regression import CoxFit, cox_fit


def fit_all(
    declared: Iterable[Declaration],
    blocks: Mapping[str, Block] | Iterable[Block],
    event: ArrayLike,
    time: ArrayLike,
    *,
    alpha: float,
    folds: int,
    seed: int,
    ties: str,
    pca_variance: float,
    penalty: str = "min",
    patience: int | None = None,
    ridge: float,
    centers: ArrayLike | None = None,
    harmonise: str = "none",
    unseen_center: str = "refuse",
) -> dict[str, SurvivalModel]:
    """Fit every declared model, harmonizing and selecting each block once; arguments as fit."""
    named, harmonizers = harmonized_blocks(blocks, centers, harmonise, unseen_center)
    selections: dict[str, BlockSelection] = {}
    models = {}
    for declaration in declared:
        for name in declaration.blocks:
            if name not in selections and name in named:
                selections[name] = select(named[name], event, time, alpha=alpha, folds=folds, seed=seed, ties=ties, penalty=penalty, patience=patience)
        models[declaration.name] = fit(
            declaration,
            blocks,
            event,
            time,
            alpha=alpha,
            folds=folds,
            seed=seed,
            ties=ties,
            pca_variance=pca_variance,
            penalty=penalty,
            patience=patience,
            ridge=ridge,
            centers=centers,
            harmonise=harmonise,
            unseen_center=unseen_center,
            selections=selections,
            harmonized=(named, harmonizers),
        )
    return models


def harmonized_blocks(
    blocks: Mapping[str, Block] | Iterable[Block], centers: ArrayLike | None, harmonise: str, unseen_center: str
) -> tuple[dict[str, Block], dict[str, Harmonizer]]:
    """The blocks of the training patients as selection sees them, and what was learned on the way; clinical columns stay as they are, and a column
    that only tells the centers apart becomes a constant, which selection drops (see harmonize.center_markers).

    Raises
      ValueError  "harmonise must be one of ..." / "harmonizing needs the center of each patient"
    """
    named = by_name(blocks)
    for value, known, name in ((harmonise, METHODS, "harmonise"), (unseen_center, POLICIES, "unseen_center")):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; found {value!r}")
    if harmonise == "none":
        return named, {}
    if centers is None:
        raise ValueError("harmonizing needs the center of each patient, shape (n,)")
    names = np.asarray(centers, dtype=str).tolist()
    learned = {name: harmonizer_of(block, names, unseen_center) for name, block in named.items() if name != CLINICAL}
    return {name: harmonized_block(block, learned[name], names) if name in learned else block for name, block in named.items()}, learned


def fit(
    declaration: Declaration,
    blocks: Mapping[str, Block] | Iterable[Block],
    event: ArrayLike,
    time: ArrayLike,
    *,
    alpha: float,
    folds: int,
    seed: int,
    ties: str,
    pca_variance: float,
    penalty: str = "min",
    patience: int | None = None,
    ridge: float,
    centers: ArrayLike | None = None,
    harmonise: str = "none",
    unseen_center: str = "refuse",
    selections: Mapping[str, BlockSelection] | None = None,
    harmonized: tuple[dict[str, Block], dict[str, Harmonizer]] | None = None,
) -> SurvivalModel:
    """Fit one model on training patients.

    blocks        of the training patients, rows in the order of event and time.
    event, time   shape (n,), of the training patients; days.
    alpha         univariate Cox: columns with a Wald p below it are kept.
    folds         of the Lasso's cross-validation; fewer where there are fewer events.
    seed          of the folds.
    ties          "efron" or "breslow", of the Cox models (the Lasso uses Breslow's).
    pca_variance  share of variance that the kept components hold at least.
    penalty       "min" or "1se": which lambda of the path.
    patience      the path ends when the deviance has not improved for this many penalties; None: never.
    ridge         penalty of a Cox fit that has no finite maximum without one (separation, more columns than deaths); reported in a remark.
    centers       shape (n,), of the training patients; needed for harmonizing alone.
    harmonise     "none" or "combat": the blocks, before selection; a Cox model of named columns takes them as they are.
    unseen_center what a center gets that did not train: "refuse", "leave" or "estimate".
    selections    of blocks already selected (harmonized, with the same numbers); the others are selected here.
    harmonized    of `harmonized_blocks` with the same arguments, where they are at hand.

    A model that keeps no feature is returned with `retained` false and its reason, not raised.

    Raises
      ValueError  "Combined needs the block deep; found ..."
      Undefined   "no event among n patients ..."
    """
    events, times = checked_outcome(event, time)
    require_events(events)
    named = by_name(blocks)
    for block in named.values():
        if np.shape(block.values) != (events.size, len(block.features)):
            raise ValueError(f"block {block.name} has values of shape {np.shape(block.values)}; expected {(events.size, len(block.features))}")
    selecting = {"alpha": alpha, "folds": folds, "seed": seed, "ties": ties, "penalty": penalty, "patience": patience}
    numbers = {**selecting, "pca_variance": pca_variance, "ridge": ridge}
    if declaration.kind == "cox":
        return _Fitter(declaration, named, events, times, numbers, []).cox()
    given = named
    named, harmonizers = harmonized or harmonized_blocks(given, centers, harmonise, unseen_center)
    remarks = [_marked(given[name], centers) for name in declaration.blocks if name in harmonizers and name in given and centers is not None]
    fitter = _Fitter(declaration, named, events, times, numbers, [remark for remark in remarks if remark], harmonizers)
    for name in declaration.blocks:
        _require_block(declaration, named, name)
    done = dict(selections or {})
    chosen = []
    for name in declaration.blocks:
        if name not in done:
            done[name] = select(named[name], events, times, alpha=alpha, folds=folds, seed=seed, ties=ties, penalty=penalty, patience=patience)
        chosen.append(done[name])
    return fitter.selected(tuple(chosen))


@dataclass(frozen=True)
class _Covariates:
    """Named columns of the training patients: z (n, k) with what z-scores another patient's."""

    columns: tuple[str, ...]
    logs: tuple[bool, ...]
    fills: tuple[float | None, ...]
    means: Floats
    sds: Floats
    z: Floats


@dataclass
class _Fitter:
    """The training patients of one model, on the way from columns to numbers."""

    declaration: Declaration
    blocks: dict[str, Block]
    event: Bools
    time: Floats
    numbers: dict[str, Any]
    remarks: list[str]
    harmonizers: Mapping[str, Harmonizer] = field(default_factory=dict)

    def column(self, name: str) -> Floats:
        block = self.blocks[name.split(".", 1)[0]]
        return np.asarray(block.values[:, block.columns.index(name)], dtype=float)

    def selected(self, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
        self.remarks += [selection.reason for selection in selections if selection.reason]
        columns = tuple(name for selection in selections for name in selection.kept)
        if not columns:
            return self.model(selections=selections)
        raw = np.stack([self.column(name) for name in columns], axis=1)
        means, sds = raw.mean(axis=0), raw.std(axis=0)
        z = (raw - means) / sds
        if self.declaration.kind == "components":
            return self.through_components(columns, means, sds, z, selections)
        coefficients = np.array([value for selection in selections for value in selection.coefficients])
        if len(selections) > 1:
            numbers = self.numbers
            rules = (numbers["folds"], numbers["seed"], numbers["penalty"], numbers["patience"])
            coefficients, _, reason = lasso(self.event, self.time, z, *rules, self.declaration.name)
            if reason:
                self.remarks.append(reason)
                return self.model(selections=selections)
            kept = coefficients != 0
            columns = tuple(name for name, keep in zip(columns, kept, strict=True) if keep)
            means, sds, z, coefficients = means[kept], sds[kept], z[:, kept], coefficients[kept]
        return self.model(columns, means, sds, coefficients, z, selections=selections)

    def through_components(self, columns: tuple[str, ...], means: Floats, sds: Floats, z: Floats, selections: tuple[BlockSelection, ...]) -> SurvivalModel:
        found = principal_components(z, variance=self.numbers["pca_variance"])
        beside = self.covariates()
        # a covariate is a component of its own: it enters the Cox model as it is, after the principal components
        loadings = block_diag(found.components, np.eye(len(beside.columns)))
        cox = self.cox_of(np.hstack([found.transform(z), beside.z]))
        return self.model(
            (*columns, *beside.columns),
            np.concatenate([means, beside.means]),
            np.concatenate([sds, beside.sds]),
            loadings.T @ cox.coef,
            np.hstack([z, beside.z]),
            logs=(*(False,) * len(columns), *beside.logs),
            fills=(*(None,) * len(columns), *beside.fills),
            selections=selections,
            components=tuple(tuple(row) for row in loadings.tolist()),
            component_means=(*found.mean.tolist(), *(0.0,) * len(beside.columns)),
            explained=tuple(found.explained.tolist()),
            cox=cox,
        )

    def cox(self) -> SurvivalModel:
        found = self.covariates()
        if not found.columns:
            return self.model()
        cox = self.cox_of(found.z)
        return self.model(found.columns, found.means, found.sds, cox.coef, found.z, logs=found.logs, fills=found.fills, cox=cox)

    def covariates(self) -> _Covariates:
        """The columns that the declaration names one by one, z-scored; what cannot be used is left out, with a remark."""
        declaration = self.declaration
        columns, logs, fills, raw = [], [], [], []
        for name in declaration.columns:
            block = _require_block(declaration, self.blocks, name.split(".", 1)[0])
            if name not in block.columns:
                raise Unusable(RULE, f"{declaration.name} needs the column {name}; block {block.name} has {', '.join(block.features[:5])}, ...", ADVICE)
            values = transformed(name, self.column(name), name in declaration.log)
            known = np.isfinite(values)
            if not known.any():
                self.remarks.append(f"{name} is missing for every training patient: left out")
                continue
            if not known.all() and name not in declaration.impute:
                found = f"{name} is missing for {int((~known).sum())} of {known.size} training patients (model {declaration.name})"
                raise Unusable("value_missing", found, f"Send the values, or add the column to `impute` of {declaration.name} in models/")
            fill = float(np.median(values[known])) if name in declaration.impute else None
            if not known.all():
                self.remarks.append(f"{name} is missing for {int((~known).sum())} of {known.size} training patients: taken as {fill:g}, their median")
            values = np.where(known, values, 0.0 if fill is None else fill)
            if values.std() <= 1e-12 * max(abs(float(values.mean())), 1e-300):
                self.remarks.append(f"{name} is the same for every training patient: left out")
                continue
            columns.append(name)
            logs.append(name in declaration.log)
            fills.append(fill)
            raw.append(values)
        table = np.stack(raw, axis=1) if raw else np.zeros((self.event.size, 0))
        means, sds = table.mean(axis=0), table.std(axis=0)
        return _Covariates(tuple(columns), tuple(logs), tuple(fills), means, sds, (table - means) / sds)

    def cox_of(self, z: Floats) -> CoxFit:
        try:
            return cox_fit(self.event, self.time, z, ties=self.numbers["ties"])
        except Undefined as undefined:
            self.remarks.append(f"Cox with a ridge penalty of {self.numbers['ridge']:g}: {undefined}")
            return cox_fit(self.event, self.time, z, ties=self.numbers["ties"], ridge=self.numbers["ridge"])

    def harmonizer(self, columns: tuple[str, ...]) -> Harmonizer | None:
        """What was learned of the columns that the model uses, as one."""
        parts = []
        for block in dict.fromkeys(column.split(".", 1)[0] for column in columns):
            if block in self.harmonizers:
                known = self.harmonizers[block]
                parts.append(known.of([column for column in columns if column.startswith(f"{block}.") and column in known.columns]))
        return joined(parts)

    def model(
        self,
        columns: tuple[str, ...] = (),
        means: ArrayLike = (),
        sds: ArrayLike = (),
        coefficients: ArrayLike = (),
        z: Floats | None = None,
        *,
        logs: tuple[bool, ...] | None = None,
        fills: tuple[float | None, ...] | None = None,
        selections: tuple[BlockSelection, ...] = (),
        components: tuple[tuple[float, ...], ...] = (),
        component_means: tuple[float, ...] = (),
        explained: tuple[float, ...] = (),
        cox: CoxFit | None = None,
    ) -> SurvivalModel:
        weights = np.asarray(coefficients, dtype=float)
        risk = np.zeros(self.event.size) if z is None else linear_risk(z, weights)
        baseline = breslow_baseline(self.event, self.time, risk)
        return SurvivalModel(
            name=self.declaration.name,
            label=self.declaration.label,
            family=self.declaration.family,
            kind=self.declaration.kind,
            columns=columns,
            logs=logs or (False,) * len(columns),
            fills=fills or (None,) * len(columns),
            means=_floats(means),
            sds=_floats(sds),
            coefficients=_floats(weights),
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
            harmonizer=self.harmonizer(columns),
            training=Training(self.event.size, int(self.event.sum()), remarks=tuple(self.remarks), followed=baseline.followed, **self.numbers),
        )


def _marked(block: Block, centers: ArrayLike) -> str:
    """The remark on the columns of a block that only tell the centers apart; "" where there is none."""
    found = center_markers(block, centers)
    if not found:
        return ""
    shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
    return f"{len(found)} columns of {block.name} are constant within every training center and differ between centers: left out ({shown})"


def _require_block(declaration: Declaration, blocks: Mapping[str, Block], name: str) -> Block:
    if name not in blocks:
        raise Unusable(RULE, f"{declaration.name} needs the block {name}; found {', '.join(blocks) or 'none'}", ADVICE)
    return blocks[name]


def _floats(values: ArrayLike) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values, dtype=float))
