"""The checklist of reporting guidelines: what is answered, with its evidence, and what is not."""

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penumbra.report.inputs import ChecklistItem
from penumbra.report.tables import Table, plain_table
from penumbra.report.words import NOT_KNOWN as NOT_KNOWN
from penumbra.report.words import NOT_MEASURED as NOT_MEASURED

UNANSWERED = "unanswered"
VERDICTS = ("yes", "no", NOT_KNOWN)


@dataclass(frozen=True)
class Guideline:
    """One guideline with its items, and how many of them have an answer."""

    name: str
    items: tuple[ChecklistItem, ...]

    @property
    def answered(self) -> int:
        """How many are answered by something else than that it is not known, or not measured."""
        return sum(bool(item.answer) and not item.answer.startswith((NOT_KNOWN, NOT_MEASURED)) for item in self.items)

    @property
    def verdicts(self) -> str:
        """How many answers are yes, no, and not known; "" where the items are no such questions."""
        words = Counter(item.answer.partition(":")[0] for item in self.items)
        return ", ".join(f"{words[word]} {word}" for word in VERDICTS) if set(words) <= set(VERDICTS) else ""


def by_guideline(items: Sequence[ChecklistItem]) -> list[Guideline]:
    """The items by guideline, in the order in which they come."""
    names = dict.fromkeys(item.guideline for item in items)
    return [Guideline(name, tuple(item for item in items if item.guideline == name)) for name in names]


def checklist_table(items: Sequence[ChecklistItem]) -> Table:
    """All items as a table; who answers none says so."""
    rows = [(item.guideline, item.item, item.question, item.answer or UNANSWERED, item.evidence) for item in items]
    return plain_table("checklist", "Reporting guidelines.", ("guideline", "item", "question", "answer", "evidence"), rows, words=5)


def checklist(declared: Mapping[str, Sequence[Mapping[str, Any]]], facts: Mapping[str, object]) -> tuple[ChecklistItem, ...]:
    """The declared items with their answers filled in.

    Parameters
    ----------
    declared
        Guideline -> items {item, question, answer, evidence}; an answer may name facts in braces, null is unanswered.
    facts
        What lineage and evaluation say; an answer that names a fact which is unknown or empty is unanswered.
    """
    items = []
    for guideline, entries in declared.items():
        for entry in entries:
            answer = _filled(entry.get("answer"), facts)
            evidence = entry.get("evidence", "") if answer and not answer.startswith(NOT_MEASURED) else ""
            items.append(ChecklistItem(guideline, str(entry["item"]), entry["question"], answer, evidence))
    return tuple(items)


def _filled(answer: str | None, facts: Mapping[str, object]) -> str:
    if not answer:
        return ""
    names = {name for _, name, _, _ in string.Formatter().parse(answer) if name}
    if any(facts.get(name) in (None, "", ()) for name in names):
        return ""
    return answer.format(**facts)
