"""The step update of a retraining: how much of the champion a center asks to change, and the version that changes so much."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from penumbra.evaluate import Verdict
from penumbra.evaluate.updating import UpdateEvidence
from penumbra.pipeline import updating
from penumbra.pipeline.challenge import NEW, OLD
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.retraining.outcome import Outcome
from penumbra.survival.update_steps import AS_IT_IS, SLOPE


class Record(Protocol):
    """Writes a step of the retraining down."""

    def write(self, step: str, outcome: str, facts: Mapping[str, Any]) -> None: ...


def evidence_at(work: Work, champion: LoadedModel, data: Dataset, center: str, steps: Record) -> UpdateEvidence | None:
    """What the closed test chooses; None where there is none, and everything is fitted again."""
    evidence = updating.evidence_at(work, champion, data, center)
    if isinstance(evidence, str):
        steps.write("update", f"refit without a closed test: {evidence}", {})
        return None
    steps.write("update", updating.sentence(evidence), evidence.to_json())
    return evidence


def updated(work: Work, champion: LoadedModel, data: Dataset, center: str, evidence: UpdateEvidence) -> Outcome:
    """The champion stays, or a version that differs from it by the update of the center alone takes its place: the test is the evidence."""
    words = updating.sentence(evidence)
    if evidence.step == AS_IT_IS:
        return Outcome(Verdict("keep", f"Kept as it is: {words}."), update=evidence)
    before, after = updating.calibrations(work, champion, data, center, evidence)
    entry = updating.register(work, champion, data, center, evidence, after)
    rows = tuple(replace(row, model=name) for name, several in ((OLD, before), (NEW, after)) for row in several)
    level = " and ".join(filter(None, (f"intercept {evidence.intercept:+.2f}", f"slope {evidence.slope:.2f}" if evidence.step == SLOPE else "")))
    change = (
        f"{entry.model}/{entry.version} is {entry.model}/{champion.entry.version} with {level} for the patients of {center}; ranks, and everybody else, stay"
    )
    return Outcome(Verdict("promote", f"Promoted: {words}. {change}."), entry.version, update=evidence, calibration=rows)
