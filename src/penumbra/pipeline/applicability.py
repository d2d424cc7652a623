"""Whom a version is for, asked of patients in the store: their features against its training patients, and the patient against the intended use."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import store
from penumbra.base.params import project_root
from penumbra.cohort.intended_use import NOT_KNOWN, Declaration, IntendedUse, intended_use, read_intended_use
from penumbra.cohort.intended_use import WORDS as WORDS_OF_USE
from penumbra.fusion import Applicability, SurvivalModel
from penumbra.fusion.applicability import OUTSIDE, WORDS
from penumbra.pipeline.dataset import Dataset, columns_of, declarations
from penumbra.registry import LoadedModel

STORED = tuple(f"applicability{suffix}" for suffix in ("", "_share", "_distance", "_columns", "_reason"))  # columns of `predictions`
STORED_COLUMNS = 10  # beyond the percentiles, that `predictions` names of a patient


@dataclass(frozen=True)
class Person:
    """What is known of one patient besides the features; None: not known.

    Parameters
    ----------
    age : years
        At diagnosis.
    stage
        Overall stage.
    treatment, intent
        None: what the center declares.
    """

    age: float | None = None
    stage: str | None = None
    treatment: str | None = None
    intent: str | None = None


def intended_for(settings: Mapping[str, Any], home: Path | None = None) -> IntendedUse:
    """The intended use that a registered version keeps in its settings; today's for one that was registered before it had any."""
    return intended_use(settings["intended_use"]) if "intended_use" in settings else read_intended_use(project_root(home) / "models")


def assessed(model: SurvivalModel, intended: IntendedUse, data: Dataset, rows: np.ndarray | None = None) -> tuple[Applicability, ...]:
    """Whether a model is for some patients of a data set, (n,) bool or indices; None: all. No outcome is read."""
    chosen = np.arange(len(data.patients)) if rows is None else np.arange(len(data.patients))[rows]
    applicabilities = model.applicability(columns_of(data.rows(chosen)), centers=data.centers[chosen])
    records = [data.clinical[i] if data.clinical else {} for i in chosen]
    declared = [data.declared.get(str(center), Declaration()) for center in data.centers[chosen]]
    uses = [intended.of(of_center, age=record.get("age"), stage=record.get("overall_stage")) for of_center, record in zip(declared, records, strict=True)]
    return tuple(each.limited(use.contrary, use.sentence) for each, use in zip(applicabilities, uses, strict=True))


def of_person(
    home: Path, loaded: LoadedModel, table: Mapping[str, np.ndarray], center: str, person: Person, *, lake: store.Store | None = None
) -> Applicability:
    """Whether a version is for one patient, given as a table of features: the center, and then the patient, say what is known against the intended use.

    Parameters
    ----------
    lake
        The store, open; None: it is opened.
    """
    with store.connect(home, read_only=True) if lake is None else contextlib.nullcontext(lake) as lake:
        declared = declarations(lake).get(center, Declaration())
    declared = replace(declared, treatment=person.treatment or declared.treatment, intent=person.intent or declared.intent)
    use = intended_for(loaded.settings, home).of(declared, age=person.age, stage=person.stage)
    return loaded.model.applicability(table, centers=[center])[0].limited(use.contrary, use.sentence)


def use_of(data: Dataset, center: str) -> str:
    """What a center says of its patients, and what it does not, as the end of a sentence."""
    declared = data.declared.get(center, Declaration()).facts
    unknown = [name for name in WORDS_OF_USE if name not in declared]
    phrases = [*(f"{name} {value}" for name, value in declared.items()), *([f"{', '.join(unknown)} {NOT_KNOWN}"] if unknown else [])]
    return "".join(f"; {phrase}" for phrase in phrases)


def columns(applicability: Applicability) -> dict[str, Any]:
    """One patient's applicability under the names that `predictions` and a prediction have."""
    document = applicability.to_dict()
    return {
        "applicability": document["word"],
        "applicability_share": document["share"],
        "applicability_distance": document["distance"],
        "applicability_columns": tuple(document["columns"][:STORED_COLUMNS]),
        "applicability_reason": document["reason"],
    }


def records(applicabilities: Iterable[Applicability]) -> list[dict[str, Any]]:
    """Those of several patients, for `predictions`."""
    return [columns(each) for each in applicabilities]


def counts(applicabilities: Iterable[Applicability]) -> dict[str, int]:
    """How many patients each word holds for, in the order of the words; a word that holds for nobody is left out."""
    number = Counter(each.word for each in applicabilities)
    return {word: number[word] for word in WORDS if number[word]}


def too_many_outside(applicabilities: Sequence[Applicability], limit: float) -> str:
    """Why a center is not for a model, as a phrase; "" where at most `limit` of its patients are outside."""
    outside = [each for each in applicabilities if each.word == OUTSIDE]
    if not applicabilities or len(outside) <= limit * len(applicabilities):
        return ""
    reasons = Counter(each.cause for each in outside)
    return f"{len(outside)} of {len(applicabilities)} patients are outside ({', '.join(f'{reason} ({n})' for reason, n in reasons.most_common(2))})"
