"""What a model is, as models/*.yaml declares it; and the blocks of features it is made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.base.blocks import block_and_feature, column
from penumbra.base.refusal import Refusal, choose, nearest
from penumbra.base.yaml_files import in_file, shown, wrong

KINDS = ("signature", "components", "cox")
FAMILIES = ("radiomics", "deep", "combined", "control")
LISTS = ("blocks", "columns", "log", "impute")
RULE, ADVICE = "model_declared", "Correct the declaration and rerun the same command"


class Unusable(Refusal, ValueError):
    """A declaration that no model can be made from, or a value that a model cannot use."""


@dataclass(frozen=True)
class Block:
    """A table of features; elsewhere its columns are called `<name>.<feature>`.

    Parameters
    ----------
    name
        Such as "gtv", "deep" or "clinical".
    features
        Names, p of them.
    values : shape (n, p)
        A row per patient, a column per feature; NaN where a value is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block
    >>> Block("gtv", ("original_firstorder_Mean",), np.zeros((4, 1))).columns
    ('gtv.original_firstorder_Mean',)
    """

    name: str
    features: tuple[str, ...]
    values: np.ndarray

    @property
    def columns(self) -> tuple[str, ...]:
        """The names `<name>.<feature>`."""
        return tuple(column(self.name, feature) for feature in self.features)


@dataclass(frozen=True)
class Declaration:
    """What a model is, as models/*.yaml says it.

    Parameters
    ----------
    name, label
        By which programs and people know it.
    family
        "radiomics", "deep", "combined" or "control".
    kind
        "signature", "components" or "cox".
    blocks
        For signature and components.
    columns
        For cox; columns of components enter the Cox model together with the components.
    log
        Columns whose natural logarithm is taken first.
    impute
        Columns whose missing values become the median of the training patients.
    """

    name: str
    label: str
    family: str
    kind: str
    blocks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    impute: tuple[str, ...] = ()


def declarations(models: Mapping[str, Mapping[str, Any]], folder: Path = Path("models")) -> dict[str, Declaration]:
    """Read the declared models by name, from the contents of the files in models/.

    Parameters
    ----------
    models
        File name without its ending -> its content: name of the model -> what it declares.
    folder
        Of these files, where the line of what is wrong is looked up.

    Returns
    -------
    dict
        Name -> Declaration.

    Raises
    ------
    ParamsError
        "model_declared": `models/signatures.yaml, line 12: Rad has no key 'block'. Did you mean blocks?`

    Examples
    --------
    >>> from penumbra.fusion import declarations
    >>> content = {"controls": {"Age": {"label": "Age", "family": "control", "kind": "cox", "columns": ["clinical.age"]}}}
    >>> declarations(content)["Age"].columns
    ('clinical.age',)
    """
    declared: dict[str, Declaration] = {}
    for file, content in models.items():
        with in_file(folder / f"{file}.yaml"):
            for name, entry in content.items():
                if name in declared:
                    raise wrong(str(name), f"{name} is declared twice", "Rename one", RULE)
                declared[str(name)] = _declaration(str(name), entry)
    return declared


def _declaration(name: str, entry: Any) -> Declaration:
    if not isinstance(entry, Mapping):
        raise wrong(name, f"{name} is {shown(entry)}, not a model", "Write {label: ..., family: ..., kind: ..., blocks: [...]}", RULE)
    keys = [field.name for field in fields(Declaration) if field.name != "name"]
    unknown = [str(key) for key in entry if key not in keys]
    missing = [key for key in ("label", "family", "kind") if key not in entry]
    if unknown:
        raise wrong(f"{name}.{unknown[0]}", f"{name} has no key {unknown[0]!r}", choose(unknown[0], keys), RULE)
    if missing:
        raise wrong(name, f"{name} lacks {missing[0]!r}", f"Known: {', '.join(keys)}", RULE)
    for key, value in entry.items():
        if key in LISTS and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise wrong(f"{name}.{key}", f"{key} of {name} is {shown(value)}, not a list of names", f"Write {key}: [...]", RULE)
        if key not in LISTS and not isinstance(value, str):
            raise wrong(f"{name}.{key}", f"{key} of {name} is {shown(value)}, not a text", f"Write {key}: a text", RULE)
    for key, allowed in (("kind", KINDS), ("family", FAMILIES)):
        if entry[key] not in allowed:
            raise wrong(f"{name}.{key}", f"{name} is of {key} {entry[key]!r}", choose(entry[key], allowed), RULE)
    required = "columns" if entry["kind"] == "cox" else "blocks"
    if not entry.get(required):
        raise wrong(name, f"{name} is of kind {entry['kind']} and names no {required}", f"Add {required}: [...]", RULE)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Declaration(name, **values)


def check_columns(models: Mapping[str, Declaration], blocks: Mapping[str, Collection[str]]) -> None:
    """Refuse a model that names a block or a column which there is not.

    Parameters
    ----------
    models
        From `declarations`.
    blocks
        Name -> the features of the block.

    Raises
    ------
    ParamsError
        "model_declared", without its file: `Rad names the block 'ring_5mm', which there is not. Did you mean ring_3mm?`

    Examples
    --------
    >>> from penumbra.fusion import check_columns, declarations
    >>> content = {"controls": {"Age": {"label": "Age", "family": "control", "kind": "cox", "columns": ["clinical.age"]}}}
    >>> check_columns(declarations(content), {"clinical": ["age", "sex"]})
    """
    for name, declared in models.items():
        for i, block in enumerate(declared.blocks):
            if block not in blocks:
                raise wrong(f"{name}.blocks[{i}]", f"{name} names the block {block!r}, which there is not", choose(block, blocks), RULE)
        for i, listed in enumerate(declared.columns):
            block, feature = block_and_feature(listed)
            if block not in blocks:
                alternatives = choose(block, blocks, what="blocks")
                raise wrong(f"{name}.columns[{i}]", f"{name} names the column {listed!r}, of no known block", alternatives, RULE)
            if feature not in blocks[block]:
                near = nearest(feature, blocks[block])
                advice = f"Did you mean {block}.{near}?" if near else f"Write {block}. and one of its {len(blocks[block])} features (features/catalogue.csv)"
                raise wrong(f"{name}.columns[{i}]", f"{name} names the column {listed!r}, which {block} does not have", advice, RULE)
        for key, some in (("log", declared.log), ("impute", declared.impute)):
            strange = [each for each in some if each not in declared.columns]
            if strange:
                fault = f"{key} of {name} holds {strange[0]!r}, which is none of its columns"
                raise wrong(f"{name}.{key}", fault, choose(strange[0], declared.columns), RULE)


def by_name(blocks: Mapping[str, Block] | Iterable[Block]) -> dict[str, Block]:
    """Return the blocks by their name."""
    return dict(blocks) if isinstance(blocks, Mapping) else {block.name: block for block in blocks}
