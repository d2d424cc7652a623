"""`penumbra explain`: one patient's answer as text."""

import math

from penumbra.base import tables
from penumbra.fusion.contributions import Explained
from penumbra.pipeline.explain import Explanation
from penumbra.pipeline.patient_page import percentile_words, signed, survival_words, value_words, words_of
from penumbra.survival.horizons import horizon_words

NAMED = 8  # columns outside the training range that are listed


def shown(explanation: Explanation) -> str:
    """The explanation as text; whether the version is for the patient at all comes first, and the risk never without it."""
    within = explanation.applicability
    named = within.columns if within.word != "inside" else ()
    others = (f"and {len(named) - NAMED} more: --format json",) if len(named) > NAMED else ()
    applicability = {within.word: within.reason, **({"columns": ", ".join((*named[:NAMED], *others))} if named else {})}
    parts = [tables.facts({**applicability, **_answer(explanation)}), _contributions(explanation.contributions)]
    parts += [text for text in (_classes(explanation.contributions), _features(explanation.contributions)) if text]
    parts.append(_similar(explanation))
    remarks = [f"- {remark}" for remark in explanation.remarks]
    return "\n\n".join([*parts, *(["\n".join(remarks)] if remarks else [])])


def _answer(explanation: Explanation) -> dict[str, object]:
    person, digits = explanation.person, explanation.contributions.digits
    between = f" ({explanation.lower:+.{digits}f} to {explanation.upper:+.{digits}f})" if math.isfinite(explanation.lower) else ""
    answers = {
        f"alive after {horizon_words(days)}": explanation.unanswered.get(name) or survival_words(*explanation.horizons[name])
        for name, days in explanation.horizons_days.items()
    }
    return {
        "patient": f"{person.patient}, {person.center}",
        "version": f"{explanation.model}/{explanation.version} ({explanation.served})",
        "log risk": f"{explanation.contributions.log_risk:+.{digits}f}{between}",
        "group": f"{explanation.risk_group} (cut-off {explanation.cutoff:+.{digits}f})",
        "among training": percentile_words(explanation.percentiles),
        **answers,
        "limits": explanation.limits,
    }


def _contributions(parts: Explained) -> str:
    """Blocks, and members where there are some: each adds up to the log risk."""
    total = signed(parts.log_risk, parts.digits)
    rows = [["mean training patient", "", signed(parts.constant, parts.digits)]]
    rows += [[line.name, f"{line.columns}", signed(line.contribution, parts.digits)] for line in parts.blocks]
    text = tables.render(["adds up to log risk", "columns", "contribution"], [*rows, ["log risk", "", total]])
    if not parts.members:
        return text
    members = [
        ["mean training patient", signed(parts.constant, parts.digits)],
        *([line.name, signed(line.contribution, parts.digits)] for line in parts.members),
    ]
    return f"{text}\n\n{tables.render(['the same by member', 'contribution'], [*members, ['log risk', total]])}"


def _classes(parts: Explained) -> str:
    """Each block by class of feature, where it has more than one; "" where none has."""
    rows = [
        [block, line.name, f"{line.columns}", signed(line.contribution, parts.digits)]
        for block, lines in parts.classes.items()
        if len(lines) > 1
        for line in lines
    ]
    return tables.render(["block", "class", "columns", "contribution"], rows) if rows else ""


def _features(parts: Explained) -> str:
    rows = [[block, words_of(line), value_words(line), signed(line.contribution, parts.digits)] for block, lines in parts.features.items() for line in lines]
    return tables.render(["block", "feature", "value", "contribution"], rows)


def _similar(explanation: Explanation) -> str:
    if not explanation.similar:
        return f"similar patients: {explanation.similar_reason}"
    rows = [
        [each.patient, each.center, f"{each.distance:.2f}", f"{each.log_risk:+.2f}", f"{each.time:.0f}", "died" if each.event else "alive then"]
        for each in explanation.similar
    ]
    table = tables.render(["similar", "center", "distance", "log risk", "days", "outcome"], rows)
    return f"{table}\n{explanation.similar_reason}"
