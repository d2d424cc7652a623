"""What a model is, as models/*.yaml declares it; and the blocks of features it is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from penumbra.refusal import Refusal

CLINICAL: Final = "clinical"
DEEP: Final = "deep"
KINDS = ("signature", "components", "cox")
RULE, ADVICE = "model_declared", "Correct the declaration and rerun the same command"


class Unusable(Refusal, ValueError):
    """A declaration that no model can be made from, or a value that a model cannot use."""


@dataclass(frozen=True)
class Block:
    """A table of features: values of shape (n, p), one column per feature; elsewhere its columns are called `<name>.<feature>`."""

    name: str
    features: tuple[str, ...]
    values: np.ndarray

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{feature}" for feature in self.features)


@dataclass(frozen=True)
class Declaration:
    """What a model is, as models/*.yaml says it: blocks for signature and components, columns (with log and impute) for cox;
    columns of components enter the Cox model beside the components."""

    name: str
    label: str
    family: str
    kind: str
    blocks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    impute: tuple[str, ...] = ()


def declarations(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Declaration]:
    """Return the declared models by name, from the contents of the files in models/ by file name.

    Raises
      Unusable  "models/signatures.yaml: Rad has no key 'block'; known: ..."
    """
    found: dict[str, Declaration] = {}
    known = [field.name for field in fields(Declaration) if field.name != "name"]
    for file, content in models.items():
        for name, entry in content.items():
            unknown = [key for key in entry if key not in known]
            missing = [key for key in ("label", "family", "kind") if key not in entry]
            if unknown or missing:
                problem = f"has no key {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
                raise Unusable(RULE, f"models/{file}.yaml: {name} {problem}; known: {', '.join(known)}", ADVICE)
            if entry["kind"] not in KINDS:
                raise Unusable(RULE, f"models/{file}.yaml: {name} is of kind {entry['kind']!r}; known: {', '.join(KINDS)}", ADVICE)
            if name in found:
                raise Unusable(RULE, f"models/{file}.yaml: {name} is declared twice", "Rename one")
            values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
            found[name] = Declaration(name, **values)
    return found


def by_name(blocks: Mapping[str, Block] | Iterable[Block]) -> dict[str, Block]:
    """Return the blocks by their name."""
    return dict(blocks) if isinstance(blocks, Mapping) else {block.name: block for block in blocks}
