"""A model that is made from other models: the mean of their risks, or a Cox model of them.

What standardizes and weighs a member is counted on risks that it gives patients whom it has not seen: the training patients are divided into five folds
within center and outcome, and the member is fitted again without each. In these fits everything is learned again (center effects, z-scores, screening, which
columns a Lasso keeps, components, coefficients) but the penalty of each block's Lasso and of a ridge, which stays what the member chose on all training
patients. Folds and penalties have seen the outcome of the patient whose risk it is; nothing else that is fitted here has. The features stay as they are:
deep ones come from networks that did not see the patient where `ensemble.folds` is set, and the scale of their member is an apparent one where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from penumbra.fusion.declaration import Declaration
from penumbra.fusion.model import Member, SurvivalModel
from penumbra.fusion.parts import Column, sum_of
from penumbra.fusion.patients import Patients
from penumbra.fusion.single import fit_single
from penumbra.survival.baseline import BaselineHazard, breslow_baseline
from penumbra.survival.outcome import Floats, Undefined
from penumbra.survival.ridge import ridge_cox_positive
from penumbra.survival.selection import MIN_FOLDS, assign_folds

SPREAD = 1e-12  # a standard deviation below this share of the largest risk is rounding


def fit_members(declaration: Declaration, patients: Patients, template: SurvivalModel | None = None) -> SurvivalModel:
    """Fit a mean or stacked model.

    Parameters
    ----------
    template
        A model of this declaration, of which penalties, means, standard deviations and weights are taken: the members alone are fitted.
    """
    remarks: list[str] = []
    members = _standardized(declaration, patients, template, remarks)
    if declaration.kind == "stacked" and template is None and members:
        members = _weighed(members, patients, remarks)
    if not members:
        return _model(declaration, patients, (), np.zeros(patients.event.size), [*remarks, "no feature retained"])
    if declaration.kind == "mean":
        members = [replace(member, weight=1.0 / len(members)) for member in members]
    risk = sum_of([member.term(member.model.log_risk(patients.table, centers=patients.outcomes.centers)) for member in members])
    return _model(declaration, patients, tuple(members), risk, remarks)


def _standardized(declaration: Declaration, patients: Patients, template: SurvivalModel | None, remarks: list[str]) -> list[Member]:
    """The members that give a risk, each with weight 1, or the weight that is known."""
    before = {} if template is None else {member.model.name: member for member in template.members}
    members = []
    for each in declaration.members:
        if template is not None and each.name not in before:
            continue
        fitted = patients.once(each, partial(fit_single, each, patients, before[each.name].model if template is not None else None))
        if not fitted.retained:
            remarks.append(f"{each.name} is left out: {fitted.reason}")
            continue
        if template is not None:
            members.append(replace(before[each.name], model=fitted))
            continue
        risk = cross_fitted(each, patients, fitted)
        values = risk[np.isfinite(risk)]
        if not values.size or values.std() <= SPREAD * max(float(np.abs(values).max()), 1e-300):
            remarks.append(f"{each.name} is left out: its cross-fitted risk {'has no spread' if values.size else 'is not defined'}")
            continue
        members.append(Member(fitted, float(values.mean()), float(values.std()), 1.0))
    return members


def cross_fitted(declaration: Declaration, patients: Patients, fitted: SurvivalModel) -> Floats:
    """Return each patient's risk (n,) from a fit without the patient's fold; nan where that fit keeps nothing.

    Parameters
    ----------
    fitted
        The same model on all patients, whose penalties are taken.
    """
    if declaration.name not in patients.crossed:
        risk = np.full(patients.event.size, np.nan)
        for out, others in patients.folds:
            if others is None:
                continue
            try:
                model = others.once(declaration, partial(fit_single, declaration, others, fitted))
            except Undefined:
                continue  # such as a center that is too small to harmonize without the fold
            if model.retained:
                risk[out] = model.log_risk(patients.rows_of_table(out), centers=patients.outcomes.centers[out], missing="nan")
        patients.crossed[declaration.name] = risk
    return patients.crossed[declaration.name]


def _weighed(members: Sequence[Member], patients: Patients, remarks: list[str]) -> list[Member]:
    """The members with the coefficients, none below 0, of a ridge Cox model of their standardized cross-fitted risks; 0 where a fold has none."""
    z = np.stack([member.term(patients.crossed[member.model.name]) for member in members], axis=1)
    numbers = patients.numbers
    folds = min(numbers.folds, int(patients.event.sum()))
    if folds < MIN_FOLDS:
        remarks.append(f"{int(patients.event.sum())} events in training are too few to cross-validate the weights of members")
        return []
    fold = assign_folds(patients.event, folds, np.random.default_rng(numbers.seed))
    weights = ridge_cox_positive(patients.event, patients.time, np.nan_to_num(z), folds=fold, ties=numbers.ties)
    remarks += [f"{member.model.name} is left out: its weight is 0" for member, weight in zip(members, weights, strict=True) if weight == 0]
    return [replace(member, weight=float(weight)) for member, weight in zip(members, weights, strict=True) if weight > 0]


def joined_columns(members: Sequence[Member]) -> tuple[Column, ...]:
    """The columns of all members, each with and without its logarithm at most once, with the coefficients that they have together."""
    columns: dict[tuple[str, bool], Column] = {}
    for member in members:
        for column in member.model.inputs:
            first = columns.get((column.name, column.log))
            coefficient = member.weight / member.sd * column.coefficient
            if first is None:
                columns[column.name, column.log] = replace(column, coefficient=coefficient)
            else:
                # a value that one member has no fill for cannot be missing
                fill = first.fill if column.fill is not None else None
                columns[column.name, column.log] = replace(first, fill=fill, coefficient=first.coefficient + coefficient * first.sd / column.sd)
    return tuple(columns.values())


def _model(declaration: Declaration, patients: Patients, members: tuple[Member, ...], risk: Floats, remarks: Sequence[str]) -> SurvivalModel:
    baseline: BaselineHazard = breslow_baseline(patients.event, patients.time, risk)
    return SurvivalModel(
        name=declaration.name,
        label=declaration.label,
        family=declaration.family,
        kind=declaration.kind,
        inputs=joined_columns(members),
        selections=tuple(selection for member in members for selection in member.model.selections),
        components=(),
        component_means=(),
        explained=(),
        cox_coef=(),
        cox_se=(),
        cox_p=(),
        baseline_times=tuple(baseline.times.tolist()) if members else (),
        baseline_hazard=tuple(baseline.cumulative_hazard.tolist()) if members else (),
        cutoff=float(np.median(risk)),
        training=patients.training(remarks, baseline.followed),
        members=members,
    )
