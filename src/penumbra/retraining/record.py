"""Retrainings as the store has them: every one that there was, its steps, what the gate decided on, and what follows from it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from penumbra import store
from penumbra.base.documents import Document, DocumentError
from penumbra.evaluate import Evidence
from penumbra.evaluate.updating import UpdateEvidence
from penumbra.pipeline import manifests
from penumbra.pipeline.decisions import manifest_of, page_of
from penumbra.pipeline.in_use import facts_of
from penumbra.pipeline.manifests import OVERTAKEN, PROPOSED, SET_ASIDE, DecisionManifest
from penumbra.pipeline.proposals import command

AnyDocument = TypeVar("AnyDocument", bound=Document)
_ROWS = 'SELECT retraining, center, step, outcome, facts, "at", commit_id FROM retrainings'
_ORDER = " ORDER BY commit_id"
STEP_WORDS = {
    "arrival": "The center's files are read and its features computed",
    "validation": "The frozen champion is scored there: the true external validation",
    "checks": "Deaths, drift of the champion's features, and for whom it is meant",
    "recalibration": "The champion's probabilities are fitted to the center",
    "update": "A closed test asks how much has to change",
    "refit": "The champion's recipe is fitted again with the center: the challenger",
    "gate": "Both are compared on patients that neither was fitted on",
    "decision": "What was decided, and carried out",
}
UNFINISHED = "not finished"
KINDS = {  # decision of a manifest or of facts -> (word, tone of the page's badge)
    "promote": ("promoted", "good"),
    "promoted by hand": ("promoted by hand", "good"),
    PROPOSED: ("proposed", "warn"),
    "keep": ("kept", "quiet"),
    "reject": ("rejected", "bad"),
    "stop": ("stopped", "warn"),
    SET_ASIDE: ("set aside", "bad"),
    OVERTAKEN: ("overtaken", "quiet"),
}


@dataclass(frozen=True)
class Step:
    """One finished step: when (UTC), what came of it, and the numbers behind it."""

    name: str
    outcome: str
    facts: Mapping[str, Any]
    at: datetime

    @property
    def words(self) -> str:
        """What the step does; "" for a step of another version of the protocol."""
        return STEP_WORDS.get(self.name, "")


@dataclass(frozen=True)
class Retraining:
    """One retraining.

    Parameters
    ----------
    key
        Of the center's files, the champion and all settings.
    steps
        In the order in which they were finished.
    """

    key: str
    center: str
    steps: tuple[Step, ...]

    @property
    def began(self) -> datetime:
        """UTC."""
        return self.steps[0].at

    @property
    def ended(self) -> datetime:
        """UTC, of its last finished step."""
        return self.steps[-1].at

    def facts(self, step: str) -> Mapping[str, Any]:
        """The numbers behind a step; {} where it was not finished, or not part of it."""
        return next((each.facts for each in self.steps if each.name == step), {})

    @property
    def decision(self) -> str:
        """As the protocol names it; "" where it is not decided."""
        return str(self.facts("decision").get("decision", ""))

    @property
    def badge(self) -> tuple[str, str]:
        """The decision in a word, and its tone."""
        return KINDS.get(self.decision, (self.decision or UNFINISHED, "quiet"))

    @property
    def reason(self) -> str:
        """Why it was decided so; "" where it is not."""
        return next((step.outcome for step in self.steps if step.name == "decision"), "")

    @property
    def champion(self) -> int | None:
        """The version that was champion."""
        version = self.facts("decision").get("champion", self.facts("validation").get("version"))
        return version if isinstance(version, int) else None

    @property
    def challenger(self) -> int | None:
        """The version that was made; None where none was."""
        version = self.facts("decision").get("challenger")
        return version if isinstance(version, int) else None

    @property
    def evidence(self) -> Evidence | None:
        """What the gate decided on; None where it did not come so far, and of gates that did not write it down."""
        return _document(Evidence, self.facts("gate").get("evidence"))

    @property
    def update(self) -> UpdateEvidence | None:
        """What the closed test chose; None where none was made."""
        return _document(UpdateEvidence, self.facts("update") or None)


def retrainings(lake: "store.Store", center: str | None = None) -> tuple[Retraining, ...]:
    """Every retraining, or those of one center, the newest first."""
    rows = lake.sql(f"{_ROWS}{'' if center is None else ' WHERE center = ?'}{_ORDER}", [] if center is None else [center]).to_pylist()
    return tuple(sorted(_grouped(rows), key=lambda each: each.ended, reverse=True))


def _grouped(rows: Iterable[Mapping[str, Any]]) -> Iterator[Retraining]:
    steps: dict[tuple[str, str], list[Step]] = {}
    for row in rows:
        steps.setdefault((row["retraining"], row["center"]), []).append(
            Step(row["step"], row["outcome"], facts_of(row["facts"]), row["at"].replace(tzinfo=UTC))
        )
    for (key, center), each in steps.items():
        yield Retraining(key, center, tuple(each))


def _document(kind: type[AnyDocument], content: object) -> AnyDocument | None:
    """A document out of a step's facts; None where another version of the program wrote something else."""
    try:
        return None if content is None else kind.from_json(content)
    except DocumentError:
        return None


def manifest(home: Path, retraining: Retraining) -> DecisionManifest | None:
    """What the newest retraining of the center left, where it is this one."""
    decided = manifests.earlier(home, DecisionManifest, manifest_of(retraining.center))
    return decided if decided is not None and decided.key == retraining.key else None


def page(home: Path, retraining: Retraining) -> str:
    """The path of its static page below reports/; "" where another retraining of the center has written over it, or nobody."""
    return page_of(retraining.center).removeprefix("reports/") if manifest(home, retraining) and (home / page_of(retraining.center)).is_file() else ""


def following(home: Path, retraining: Retraining, model: str) -> tuple[str, str]:
    """What would happen next, in a sentence, and the command for it, "" where there is nothing to type."""
    center, decision = retraining.center, retraining.decision
    newest = manifest(home, retraining) is not None
    if not decision:
        return "It was not finished: the same command resumes after its last step.", f"penumbra retrain --center {center}"
    if not newest:
        return "A later retraining of the center has been decided since; nothing follows from this one.", ""
    unchanged = "Nothing, until files of the center, the champion or a parameter changes; then the next retraining begins from the arrival."
    if decision == PROPOSED:
        return "A person decides: this makes the challenger champion.", command(model, retraining.challenger)
    if decision == SET_ASIDE:
        return "It is not tried again by itself; this tries it once more.", f"penumbra retrain --center {center}"
    if decision == OVERTAKEN:
        return "The proposal was answered by another champion; this compares the center with it.", f"penumbra retrain --center {center}"
    if decision in ("promote", "promoted by hand"):
        return f"The new champion is served. {unchanged} This restores the version before.", 'penumbra rollback --reason "..."'
    if decision == "keep" and retraining.challenger not in (None, retraining.champion):
        return f"The challenger is scored in the shadow of the champion. {unchanged}", f"penumbra compare champion {retraining.challenger}"
    return unchanged, ""
