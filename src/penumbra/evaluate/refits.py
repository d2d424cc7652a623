"""What refitting shows about a model: on resamples of its training patients, and with each center left out in turn."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from penumbra import fusion, survival
from penumbra.base.refusal import Refusal
from penumbra.base.workers import over
from penumbra.evaluate.across import by_center, pooled
from penumbra.evaluate.instability import Instability
from penumbra.evaluate.metrics import OneModel
from penumbra.evaluate.rows import MetricRow
from penumbra.evaluate.sets import LEFT_OUT, ModelRisk, Value, limits, value_or_reason
from penumbra.fusion import Block, Declaration, Fitting, SurvivalModel
from penumbra.fusion.parts import limited
from penumbra.fusion.resampled import Resampled
from penumbra.survival import Undefined
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.outcome import Outcomes


@dataclass(frozen=True)
class Refits:
    """What bootstrap refits of one model found.

    Parameters
    ----------
    kept
        Share of the refits that keep a feature, for every feature that any of them kept.
    optimism
        Mean over the refits of the C on their own resample minus the C on the training patients; nan where none has both.
    refits
        How many there were; a refit that keeps nothing counts, with a C of 0.5.
    instability
        How far the predictions for each training patient move; None where no refit, or not the model itself, answers for the day.
    functions
        The refits that retained a feature, as functions of a patient's columns; None where there are none, or they harmonize between centers.
    """

    selection_frequency: Mapping[str, float]
    optimism: float
    refits: int
    instability: Instability | None = None
    functions: Resampled | None = field(default=None, compare=False)  # arrays have no truth


@dataclass(frozen=True)
class Resampling:
    """How a model is refitted on resamples.

    Parameters
    ----------
    refits
        How many; each has its own seed, so that the number of workers changes nothing.
    day
        Death by it is predicted under every refit.
    confidence
        Share of the refits between the limits of a prediction.
    workers
        Processes.
    grid : days
        At which the baseline hazard of every refit is kept.
    """

    refits: int
    seed: int
    day: float
    confidence: float
    workers: int
    grid: tuple[float, ...] = ()


def resampled_fits(
    declaration: Declaration,
    model: SurvivalModel,
    blocks: Mapping[str, Block],
    outcomes: Outcomes,
    numbers: Fitting,
    resampling: Resampling,
) -> Refits:
    """Refit a model on bootstrap resamples of its training patients, from z-score to Cox.

    The penalty of each block's Lasso and of a ridge stays the one that cross-validation chose on the training patients, as stability selection asks, and so
    does what standardizes and weighs the members of a mean or stacked model, and the calibration slope of the model; every other step is repeated, the
    univariate one and the baseline hazard included.

    Parameters
    ----------
    model
        As fitted on all of them.
    blocks, outcomes
        Of the training patients.

    References
    ----------
    Meinshausen and Buehlmann 2010, JRSS B 72:417 (stability); Harrell et al. 1996, Stat Med 15:361 (optimism); Riley and Collins 2023, Biometrical Journal
    65:2200302 (instability).
    """
    inputs = {name: blocks[name] for name in declaration.sources}
    refits, workers = resampling.refits, resampling.workers
    work = partial(_refit, declaration=declaration, fitted=model, blocks=inputs, outcomes=outcomes, numbers=numbers, resampling=resampling)
    chunks = [tuple(part.tolist()) for part in np.array_split(np.arange(refits), max(1, min(workers, refits)))]
    outcomes_of_chunks = [work(chunks[0])] if workers == 1 else [outcome for _, outcome in over(work, chunks, workers)]
    counts: Counter[str] = Counter()
    optimism: dict[int, float] = {}
    predictions: dict[int, np.ndarray] = {}
    functions: dict[int, tuple[SurvivalModel, BaselineHazard]] = {}
    for outcome in outcomes_of_chunks:
        if isinstance(outcome, Refusal):
            raise outcome
        counts.update(outcome[0])
        optimism |= outcome[1]
        predictions |= outcome[2]
        functions |= outcome[3]
    values = [optimism[i] for i in sorted(optimism)]
    shares = {column: counts[column] / refits for column in sorted(counts, key=lambda column: (-counts[column], column))}
    instability = _instability(model, _table(inputs), outcomes, [predictions[i] for i in sorted(predictions)], resampling)
    gathered = Resampled.of(model, [functions[i] for i in sorted(functions)], resampling.grid, resampling.confidence) if model.retained else None
    return Refits(shares, float(np.mean(values)) if values else math.nan, refits, instability, gathered)


def _instability(
    model: SurvivalModel, table: Mapping[str, np.ndarray], outcomes: Outcomes, predictions: Sequence[np.ndarray], resampling: Resampling
) -> Instability | None:
    """The predictions of the refits, each (2, n), next to those of the model."""
    if not (model.retained and predictions):
        return None
    log_risk = model.log_risk(table, centers=outcomes.centers)
    original = 1.0 - limited(model.survival(log_risk, [resampling.day])[:, 0])
    answered = np.stack([each for each in predictions if np.isfinite(each[0]).all()] or [np.empty((2, 0))])
    if not answered.shape[2] or not np.isfinite(original).all():
        return None
    death, high = answered[:, 0], answered[:, 1].astype(bool)
    return Instability.of(resampling.day, original, log_risk > model.cutoff, death, high, confidence=resampling.confidence)


def _predicted(model: SurvivalModel, slope: float, log_risk: np.ndarray, baseline: BaselineHazard, day: float) -> np.ndarray:
    """Probability of death by a day under one refit, with the slope of the served model and the baseline of its resample, and the group; (2, n)."""
    return np.stack([1.0 - limited(baseline.survival(log_risk * (slope / model.slope), [day])[:, 0]), log_risk > model.cutoff])


def _table(blocks: Mapping[str, Block]) -> dict[str, np.ndarray]:
    return {column: block.values[:, j] for block in blocks.values() for j, column in enumerate(block.columns)}


def _refit(
    which: Sequence[int],
    *,
    declaration: Declaration,
    fitted: SurvivalModel,
    blocks: Mapping[str, Block],
    outcomes: Outcomes,
    numbers: Fitting,
    resampling: Resampling,
) -> tuple[Counter[str], dict[int, float], dict[int, np.ndarray], dict[int, tuple[SurvivalModel, BaselineHazard]]]:
    """How often each column is kept in some of the refits, the optimism of each, and of those that keep any the predictions, (2, n), and themselves."""
    counts: Counter[str] = Counter()
    optimism, predictions, functions = {}, {}, {}
    everybody = _table(blocks)
    for i in which:
        rows = np.random.default_rng([resampling.seed, i]).integers(outcomes.event.size, size=outcomes.event.size)
        resampled = {name: Block(name, block.features, block.values[rows]) for name, block in blocks.items()}
        resampled_outcomes = outcomes.rows(rows)
        try:
            # no penalty known (no candidate in training): cross-validated as there
            model = fusion.fit(declaration, resampled, resampled_outcomes, numbers, template=fitted)
            counts.update(column for column in model.columns if column not in declaration.named)
            if model.retained:
                log_risk = model.log_risk(everybody, centers=outcomes.centers)
                resampled_c = survival.concordance_index(resampled_outcomes.event, resampled_outcomes.time, log_risk[rows])
                optimism[i] = resampled_c - survival.concordance_index(outcomes.event, outcomes.time, log_risk)
                predictor = log_risk[rows] * (fitted.slope / model.slope)
                baseline = survival.breslow_baseline(resampled_outcomes.event, resampled_outcomes.time, predictor)
                predictions[i] = _predicted(model, fitted.slope, log_risk, baseline, resampling.day)
                functions[i] = (model, baseline)
            else:
                optimism[i] = 0.0
        except (Undefined, Refusal):
            # a resample without a death, a comparable pair, or one of the centers to harmonize has no C to be optimistic about
            continue
    return counts, optimism, predictions, functions


def internal_external(
    declared: Sequence[Declaration],
    blocks: Mapping[str, Block],
    outcomes: Outcomes,
    numbers: Fitting,
    *,
    confidence: float,
) -> list[MetricRow]:
    """Leave each center out in turn, refit everything from z-score to Cox on the others, and measure on the one left out.

    Rows of split "left_out": internal_external_c, _slope and _intercept of each center; over all of them, center "left_out", the random-effects
    mean (`_pooled`) and prediction interval (`_prediction`) of C and slope. The features themselves, the deep ones too, stay as they are:
    only what is learned after them is refitted.

    References
    ----------
    Royston et al. 2004, Stat Med 23:907; Debray et al. 2013, Stat Med 32:3158.
    """
    names = sorted(set(outcomes.centers.tolist()))
    log_risk = {declaration.name: np.full(outcomes.event.size, math.nan) for declaration in declared}
    rows = []
    for name in names:
        out = outcomes.centers == name
        here = outcomes.rows(out)
        fitted, obstacle = _fitted_without(out, declared, blocks, outcomes, numbers)
        table = {column: block.values[out, j] for block in blocks.values() for j, column in enumerate(block.columns)}
        for declaration in declared:
            model = fitted.get(declaration.name)
            if model is not None and model.retained:
                log_risk[declaration.name][out] = model.log_risk(table, centers=here.centers, missing="nan" if model.harmonizes else "refuse")
            risk = ModelRisk(log_risk[declaration.name][out], math.nan, model.baseline if model is not None and model.retained else None)
            for metric, compute in _measured(OneModel(here.event, here.time, risk, confidence)):
                value, lower, upper, reason = value_or_reason(compute, risk.log_risk)
                reason = obstacle or (model.reason if model is not None and not model.retained else reason)
                rows.append(MetricRow(declaration.name, name, LEFT_OUT, metric, value, lower, upper, *here.size, reason))
    for declaration in declared:
        per_center = by_center(outcomes, log_risk[declaration.name])
        for metric, value, lower, upper, reason in pooled(per_center, "internal_external_c", "internal_external_slope", confidence):
            rows.append(MetricRow(declaration.name, LEFT_OUT, LEFT_OUT, metric, value, lower, upper, *outcomes.size, reason))
    return rows


def _fitted_without(
    out: np.ndarray, declared: Sequence[Declaration], blocks: Mapping[str, Block], outcomes: Outcomes, numbers: Fitting
) -> tuple[dict[str, SurvivalModel], str]:
    """The models fitted on everybody else, or why there is none."""
    if out.all():
        return {}, "one center only: nobody is left to fit on"
    others = {name: Block(block.name, block.features, block.values[~out]) for name, block in blocks.items()}
    try:
        return fusion.fit_all(declared, others, outcomes.rows(~out), numbers), ""
    except Undefined as undefined:
        return {}, f"without this center: {undefined}"


def _measured(one: OneModel) -> Iterator[tuple[str, Callable[[], Value]]]:
    yield "internal_external_c", one.harrell
    yield "internal_external_slope", lambda: limits(survival.calibration_slope(one.event, one.time, one.model.log_risk), "value")
    yield "internal_external_intercept", one.intercept
