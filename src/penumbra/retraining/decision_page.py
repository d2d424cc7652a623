"""The page that a retraining leaves for its users, one per center."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from penumbra import store
from penumbra.evaluate import LEFT_OUT, Evidence, MetricRow
from penumbra.evaluate.contrasts import ALL
from penumbra.pipeline import updating
from penumbra.pipeline.challenge import METRIC, NEW, OLD, Challenge
from penumbra.pipeline.decisions import page_of
from penumbra.pipeline.sample_size import demands_of, sample_of
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.report import overlay, site
from penumbra.report.inputs import Measures
from penumbra.report.sample_size import best_inside
from penumbra.report.sections import Section, write_sections
from penumbra.report.side_by_side import who_predicts_better
from penumbra.report.words import metric_words, number
from penumbra.retraining.outcome import Outcome

LEFT_OUT_METRIC = "internal_external_c"  # of evaluate.internal_external
BASELINES = {
    "Volume": "tumor volume alone",
    "Clinical": "age and stage",
    "Shuffled": "the challenger's own risks, permuted within each center",
    "ShuffledColumns": "the challenger's recipe on columns whose rows are permuted within each center",
    "RandomNetwork": "the deep signature of a network with random weights",
}


def write_page(work: Work, champion: LoadedModel, center: str, key: str, reason: str, outcome: Outcome) -> Path:
    """The page of one retraining: its steps, how much has to change, what the data can carry, each center left out, champion and challenger side by side."""
    left_out, compared = outcome.left_out, outcome.compared
    with store.connect(work.home, read_only=True) as lake:
        steps = lake.sql("SELECT step, outcome FROM retrainings WHERE retraining = ? ORDER BY commit_id", [key]).to_pylist()
    sections = [
        Section("Step by step", "As recorded in the relation retrainings.", ("step", "outcome"), tuple((row["step"], row["outcome"]) for row in steps), 2)
    ]
    sections += _update(outcome)
    carried = _sample_size(work, champion.lineage.train_centers, center)
    sections += [carried] if carried else []
    if left_out:
        rows = tuple((place, number(c, 3)) for place, c in left_out.items())
        words = "The challenger's recipe refitted without each center, scored on that center (the network is not refitted here)."
        sections.append(Section("Each center left out in turn", words, ("center", "C"), rows))
    if compared is not None:
        sections += _compared(work, compared)
    footer = "penumbra retrain; research software, not a medical device."
    path = write_sections(work.home / page_of(center), f"{center} arrived", work.settings.register.model, [reason], sections, footer)
    site.link(work.home)
    return path


def _update(outcome: Outcome) -> Iterator[Section]:
    """The tests of the step update, and where an update was registered how it answers at the center."""
    evidence = outcome.update
    if evidence is None:
        return
    words = (
        f"Likelihood ratio of refit ({evidence.terms}) against each narrower step, in this order until one is not rejected at {evidence.alpha:g}: that step is"
        f" taken, refit where all are rejected. {evidence.patients} patients, {evidence.deaths} deaths, {evidence.expected:.1f} expected."
        f" Chosen: {evidence.step}{f' ({evidence.reason})' if evidence.reason else ''}. Vergouwe 2017."
    )
    rows = tuple((test.against, number(test.statistic), test.df, updating.p_words(test.p)) for test in evidence.tests)
    yield Section("How much has to change", words, ("refit against", "chi-square", "df", "p"), rows)
    if outcome.calibration:
        words = "The center's patients: as the champion answers, and with an update fitted on the other folds of the center. Ranks are the same."
        values = {(row.model, row.metric): row.value for row in outcome.calibration}
        metrics = tuple(dict.fromkeys(row.metric for row in outcome.calibration))
        measures = tuple((metric_words(metric), *(number(values[model, metric], 3) for model in (OLD, NEW))) for metric in metrics)
        yield Section("Probabilities at the center", words, ("measure", "champion", "updated, cross-validated"), measures)


def _sample_size(work: Work, trained: Sequence[str], center: str) -> Section | None:
    """Candidate parameters that the training patients carry without and with the center, at the same C; None where it brings nobody."""
    settings = work.settings
    before, after = (sample_of(work.home, settings, centers) for centers in (trained, {*trained, center}))
    if center in trained or before.patients in (0, after.patients):
        return None
    best = best_inside(demands_of(work.home, settings, after))
    at = [(c, "") for c in settings.evaluate.sample_size_c] if best is None else [(best.c, f"the highest inside, of {best.model}")]
    change = " and ".join(
        f"{number(before.allowed(c), 1)} -> {number(after.allowed(c), 1)} at C {number(c)}{f' ({words})' if words else ''}" for c, words in at
    )
    words = f"Candidate parameters that the training patients carry with this center: {change}. Riley 2019, criterion 1, shrinkage {before.shrinkage:g}."
    rows = tuple(
        (", ".join(sorted(centers)), sample.patients, sample.deaths, *(number(sample.allowed(c), 1) for c, _ in at))
        for centers, sample in (
            (set(trained), before),
            ({*trained, center}, after),
        )
    )
    return Section("What the data can carry", words, ("training centers", "patients", "died", *(f"parameters at C {number(c)}" for c, _ in at)), rows)


def _compared(work: Work, compared: Challenge) -> Iterator[Section]:
    numbers = work.settings.evaluate
    days = numbers.horizons_days
    figures = overlay.overlaid(compared.pairs, Measures.of(numbers))
    words = (
        f"Patients that neither was fitted on: cross-fitted where one was. The same {numbers.bootstraps} resamples for both. Brier score and calibration,"
        " |log(observed / predicted deaths)|, are better when lower; they combine a cross-fitted risk with the baseline of the whole fit."
        f" {ALL.capitalize()}: C and AUC count pairs of patients of one center, resampled within each center."
    )
    yield _evidence(compared.evidence)
    yield who_predicts_better(compared.paired, (OLD, NEW), {}, words, days)
    yield baselines(compared)
    pooled = "Champion: solid blue. The curves of all centers also rank patients of different centers against each other; the gate does not."
    yield Section("ROC", pooled, figures=figures.roc)
    yield Section("Calibration", "Points on the dotted line are right.", figures=figures.calibration)
    yield Section("Survival by risk group", "Each model's own cut-off; thick lines are its high risk.", figures=figures.survival)


def baselines(compared: Challenge) -> Section:
    """C of champion and challenger, and of everything that the challenger must beat, with what each of these is."""
    names = [row.against for row in compared.evidence.baselines]
    models = list(dict.fromkeys([*(row.model for row in compared.rows), *names]))
    values = {(row.model, row.center): row.value for row in compared.rows if row.metric == METRIC}
    values |= {(row.against, row.center): row.other for row in compared.evidence.baselines}
    values |= {(OLD, ALL): compared.evidence.overall.other, (NEW, ALL): compared.evidence.overall.challenger}
    places = list(dict.fromkeys(center for _, center in values))
    rows = tuple((place, *(number(values.get((model, place), math.nan), 3) for model in models)) for place in places)
    beaten = "; ".join(f"{name}: {BASELINES.get(name, name)}" for name in names)
    words = f"C of both, and of what the challenger must beat. {beaten}." if names else "C of both. The challenger is a control: nothing else to beat."
    return Section("Baselines", words, ("center", *models), rows)


def _evidence(evidence: Evidence) -> Section:
    """What the gate decided on: with these limits, and only with these, its verdict can be computed again."""
    limits = evidence.limits
    sure, both = f"{100 * (1 - limits.noise):g} %", f"{100 * limits.confidence:g} %"
    words = (
        f"Differences in C, challenger minus the other, over pairs of patients of one center; {limits.resamples} resamples within each center,"
        f" {limits.interval} limits, seed {limits.seed}. Promoted: every one-sided {sure} lower limit over all centers is above 0, and no center with at"
        f" least {limits.min_events} deaths has an upper {both} limit below 0. Rejected: that upper limit over all centers is below 0."
    )
    header = ("center", "against", "patients", "died", "pairs", "C other", "C challenger", "difference", f"lower {sure}", f"lower {both}", f"upper {both}", "")
    rows = tuple(
        (
            row.center,
            row.against,
            row.n,
            row.events,
            row.pairs,
            *(number(value, 3) for value in (row.other, row.challenger, row.difference, row.lower_one_sided, row.lower, row.upper)),
            row.reason or ("too few deaths to be judged alone" if row.events < limits.min_events else ""),
        )
        for row in (evidence.overall, *evidence.centers, *evidence.baselines)
    )
    return Section("What the gate decided on", words, header, rows, 2)


def left_out_c(rows: Iterable[MetricRow], model: str) -> dict[str, float]:
    """Center -> C of the recipe of `model` refitted without that center, from the rows that the stage evaluate left."""
    return {row.center: row.value for row in rows if (row.model, row.split, row.metric) == (model, LEFT_OUT, LEFT_OUT_METRIC)}
