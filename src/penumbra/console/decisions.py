"""Decisions: each retraining as its protocol's steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from penumbra.base.faults import fault
from penumbra.base.refusal import Refusal
from penumbra.console.pages import Page
from penumbra.console.patients import typed
from penumbra.console.visit import Visit
from penumbra.evaluate import Evidence
from penumbra.evaluate.gate import Contrast
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.updating import p_words
from penumbra.report import strips
from penumbra.report.side_by_side import measure_words
from penumbra.report.words import metric_words, number
from penumbra.retraining import record
from penumbra.retraining.decision_page import BASELINES
from penumbra.retraining.record import Retraining, Step
from penumbra.store.statements import literal

MAX_DRIFT = 8  # features of the checks that differ most


def decisions(visit: Visit) -> Response:
    """Every retraining, the newest first."""
    every = visit.console.kept.get(("retrainings", visit.as_of), lambda: _retrainings(visit))
    centers = sorted({each.center for each in every})
    center, outcome = visit.value("center"), visit.value("outcome")
    matching = [each for each in every if center in ("", each.center) and outcome in ("", each.badge[0])]
    size = visit.console.settings.console.rows
    page = visit.number("page", 1, least=1, most=1_000_000)
    return visit.page(
        "decisions.html",
        title="Decisions",
        command=typed(_statement(center, outcome)),
        every=len(every),
        shown=matching[(page - 1) * size : page * size],
        total=len(matching),
        size=size,
        number=page,
        centers=centers,
        center=center,
        outcomes=sorted({each.badge[0] for each in every}),
        outcome=outcome,
    )


def _statement(center: str, outcome: str) -> str:
    """What gives the rows of the list: a retraining with its steps, its decision and the words of its last step."""
    decided = "max(facts ->> 'decision') FILTER (step = 'decision')"
    known = [decision for decision, (word, _) in record.KINDS.items() if word == outcome]
    of_center = f" WHERE center = {literal(center)}" if center else ""
    if outcome == record.UNFINISHED:
        of_outcome = f" HAVING {decided} IS NULL"
    else:
        of_outcome = f" HAVING {decided} IN ({', '.join(map(literal, known or [outcome]))})" if outcome else ""
    columns = f"retraining, center, {decided} AS decision, list(step ORDER BY commit_id) AS steps, arg_max(outcome, commit_id) AS why"
    return f"SELECT {columns} FROM retrainings{of_center} GROUP BY retraining, center{of_outcome} ORDER BY max(commit_id) DESC"  # noqa: S608 literals of this function


def decision(visit: Visit) -> Response:
    """One retraining: the newest of a center, or the one whose key the query names."""
    center, key = visit.path("center"), visit.value("retraining")
    every = [each for each in visit.console.kept.get(("retrainings", visit.as_of), lambda: _retrainings(visit)) if each.center == center]
    shown = next((each for each in every if key in ("", each.key)), None)
    if shown is None:
        found = f"no retraining {key[:40]!r} of {center[:40]!r}" if every else f"no center {center[:40]!r} was decided on"
        raise Refusal("center", found, "the page Decisions lists every retraining")
    model = visit.console.settings.register.model
    manifest = record.manifest(visit.home, shown)
    sentence, command = record.following(visit.home, shown, (manifest.model if manifest else None) or model)
    return visit.page(
        "decision.html",
        title=f"{center} arrived",
        command=typed(f"FROM retrainings WHERE retraining = {literal(shown.key)} AND center = {literal(shown.center)} ORDER BY commit_id"),
        shown=shown,
        steps=[(step, _facts(step)) for step in shown.steps],
        gate=_gate(shown.evidence) if shown.evidence else None,
        old=_old(manifest) if manifest and not shown.evidence else [],
        update=_update(shown),
        model=model,
        following=sentence,
        following_command=command,
        page=record.page(visit.home, shown),
        others=[each for each in every if each.key != shown.key],
    )


def _retrainings(visit: Visit) -> tuple[Retraining, ...]:
    if not visit.commit:  # there is no store yet
        return ()
    with visit.store() as lake:
        return record.retrainings(lake)


def _facts(step: Step) -> list[tuple[str, str]]:
    """The numbers behind a step that have words; those of the gate and the closed test have tables of their own."""
    facts = step.facts
    found: list[tuple[str, str]] = []
    for name, words in (("rejected", "rejected"), ("flagged", "remarks"), ("applicability", "of what the champion is for")):
        if isinstance(facts.get(name), dict) and facts[name]:
            found.append((words, ", ".join(f"{fault(rule)} {count}" for rule, count in sorted(facts[name].items(), key=lambda item: -item[1]))))
    if isinstance(facts.get("drift"), dict) and facts["drift"]:
        largest = sorted(facts["drift"].items(), key=lambda item: -abs(item[1] or 0.0))[:MAX_DRIFT]
        found.append(("differ most, in standard deviations", "; ".join(f"{name} {value:+.2f}" for name, value in largest if value is not None)))
    if isinstance(facts.get("left_out"), dict) and facts["left_out"]:
        found.append(("C with a center left out", ", ".join(f"{place} {number(c, 3)}" for place, c in facts["left_out"].items())))
    if isinstance(facts.get("digest"), str):
        found.append(("digest", facts["digest"][:12]))
    return found


@dataclass(frozen=True)
class GateRow:
    """One contrast that the gate decided on. says: how it reads; tone: of its badge."""

    center: str
    against: str
    about: str
    patients: int
    deaths: int
    other: str
    challenger: str
    difference: str
    least: str
    says: str
    tone: str
    strip: str


@dataclass(frozen=True)
class Gate:
    """The gate's tables (words, scale, rows): each with an axis of its own, since differences from the champion are small and those from baselines are not."""

    tables: tuple[tuple[str, str, tuple[GateRow, ...]], ...]
    sure: str
    both: str
    limits: Any


def _gate(evidence: Evidence) -> Gate:
    sure, both = f"{100 * (1 - evidence.limits.noise):g} %", f"{100 * evidence.limits.confidence:g} %"
    tables = []
    for words, rows in (("Against the champion", (evidence.overall, *evidence.centers)), ("Against what else must be beaten", evidence.baselines)):
        if rows:
            axis = strips.around([value for row in rows for value in (row.lower, row.upper, row.lower_one_sided)])
            tables.append((words, strips.scale(axis), tuple(_gate_rows(rows, evidence, axis))))
    return Gate(tuple(tables), sure, both, evidence.limits)


def _gate_rows(rows: Sequence[Contrast], evidence: Evidence, axis: strips.Axis) -> Iterator[GateRow]:
    for row in rows:
        judged_whole = row is evidence.overall or row in evidence.baselines
        says, tone = _says(row, judged_whole, evidence.limits.min_events)
        kind = {"good": "good", "bad": "bad"}.get(tone, "ink" if row.events >= evidence.limits.min_events else "hollow")
        dot = strips.Dot(row.difference, row.lower, row.upper, kind, row.lower_one_sided if judged_whole else None)
        words = f"{row.center} against {row.against}: difference {number(row.difference, 3)}, {number(row.lower, 3)} to {number(row.upper, 3)}; {says}"
        difference = f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})" if row.defined else "not defined"
        yield GateRow(
            row.center,
            row.against,
            BASELINES.get(row.against, ""),
            row.n,
            row.events,
            number(row.other, 3),
            number(row.challenger, 3),
            difference,
            f"{row.lower_one_sided:+.3f}" if judged_whole and row.defined else "",
            says,
            tone,
            strips.strip(axis, (dot,), words),
        )


def _says(row: Contrast, judged_whole: bool, min_events: int) -> tuple[str, str]:
    """What the gate reads in a contrast, with its tone."""
    if not row.defined:
        return row.reason or "not defined", "warn"
    if not judged_whole and row.events < min_events:
        return f"fewer than {min_events} deaths: not judged alone", "quiet"
    if row.upper < 0:
        return "worse", "bad"
    if judged_whole:
        return ("better", "good") if row.lower_one_sided > 0 else ("not shown to be better", "warn")
    return "not shown to be worse", "quiet"


def _old(manifest: DecisionManifest) -> list[tuple[str, str, str, str, int, int]]:
    """The comparison of a gate that did not write its limits down, or of an update's probabilities."""
    days = tuple(365.25 * year for year in range(1, 11))
    rows = []
    for row in manifest.comparison:
        try:
            words = measure_words(row.metric, days)
        except (KeyError, StopIteration):
            words = metric_words(row.metric)
        rows.append((row.center, row.model, words, number(row.value, 3), row.n, row.events))
    return rows


def _update(shown: Retraining) -> tuple[Any, Sequence[tuple[str, str, int, str]]] | None:
    evidence = shown.update
    if evidence is None:
        return None
    return evidence, [(test.against, number(test.statistic), test.df, p_words(test.p)) for test in evidence.tests]


ROUTES = (Page("/decisions", decisions, "decisions"), Page("/decisions/{center}", decision, "decision"))
