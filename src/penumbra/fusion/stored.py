"""A fitted model as a JSON document and back. A key that a model does not have is left out: a version from before there was one keeps its text and digest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from penumbra.fusion.applicability import Domain
from penumbra.fusion.harmonize import Harmonizer
from penumbra.fusion.parts import STORED_COLUMNS, Column, Training, nested, tupled
from penumbra.fusion.selection import BlockSelection
from penumbra.fusion.settings import STORED_NAMES

FORMAT = 2  # of the JSON
STORED_HARMONIZER = "harmoniser"  # its key there: a registered model keeps its digest
# keys of the JSON of the models that have them: the others keep their text and their digest
OPTIONAL = ("members", "slope", "domain", "linear_baseline", "risk_quantiles")


def document_of(model: Any) -> dict[str, Any]:
    """Return a `SurvivalModel` as its JSON document."""
    document = {"format": FORMAT, **asdict(model)}
    del document["inputs"]
    document |= {stored: tuple(getattr(column, name) for column in model.inputs) for stored, name in STORED_COLUMNS.items()}
    document["training"] = {STORED_NAMES.get(name, name): value for name, value in document["training"].items()}
    harmonizer = document.pop("harmonizer")
    if harmonizer is not None:
        document[STORED_HARMONIZER] = harmonizer  # a model without one reads as it did before there were any
    if model.training.followed is None:
        del document["training"]["followed"]  # likewise: an earlier model keeps its digest
    del document["members"]
    if model.members:
        document["members"] = tuple({**vars(member), "model": document_of(member.model)} for member in model.members)
    if model.slope == 1:
        del document["slope"]
    for name in ("domain", "linear_baseline", "risk_quantiles"):
        if not document[name]:
            del document[name]
    return document


def fields_of(kind: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `kind`, `SurvivalModel`, from a document, the members still as documents.

    Raises
    ------
    ValueError
        "not a survival model of format 2: ...".
    """
    entries = _of_first_format(document) if document.get("format") == 1 and {"selections", "training"} <= set(document) else dict(document)
    entries["harmonizer"] = entries.pop(STORED_HARMONIZER, None)
    required = {field.name for field in fields(kind)} - {"inputs", *OPTIONAL} | set(STORED_COLUMNS)
    if entries.pop("format", None) != FORMAT or set(entries) - set(OPTIONAL) != required:
        raise ValueError(f"not a survival model of format {FORMAT}: keys {', '.join(sorted(entries)[:5])}, ...")
    entries["selections"] = tuple(BlockSelection(**tupled(entry)) for entry in entries["selections"])
    older = {stored: name for name, stored in STORED_NAMES.items()}
    entries["training"] = Training(**{older.get(name, name): value for name, value in tupled(entries["training"]).items()})
    each = zip(*(entries.pop(stored) for stored in STORED_COLUMNS), strict=True)
    entries["inputs"] = tuple(Column(**dict(zip(STORED_COLUMNS.values(), values, strict=True))) for values in each)
    if entries["harmonizer"] is not None:
        entries["harmonizer"] = Harmonizer(**{name: nested(value) for name, value in tupled(entries["harmonizer"]).items()})
    entries["components"] = tuple(tuple(row) for row in entries["components"])
    if "domain" in entries:
        entries["domain"] = Domain.from_dict(entries["domain"])
    return tupled(entries)


def _of_first_format(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of format 1, of November 24, 2026, as one of format 2: what it lacks describes the fit, and no answer depends on it."""
    selections = tuple({**entry, "univariate_q": [math.nan] * len(entry["kept"])} for entry in document["selections"])
    return {**document, "format": FORMAT, "selections": selections, "training": {**document["training"], "patience": None}}
