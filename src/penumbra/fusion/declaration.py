"""What a model is, as models/*.yaml declares it; and the blocks of features it is made from."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.base.blocks import CLINICAL, block_and_feature, column
from penumbra.base.refusal import Refusal, choose, nearest
from penumbra.base.yaml_files import in_file, shown, wrong

KINDS = ("signature", "components", "cox", "ridge", "mean", "stacked")
OF_MEMBERS = ("mean", "stacked")  # kinds that are made from other models
FAMILIES = ("radiomics", "deep", "combined", "control")
LISTS = ("blocks", "columns", "log", "impute", "members", "leave_out")
OPTIONS = {  # which kinds have what only some kinds have
    "members": OF_MEMBERS,
    "leave_out": ("signature", "components", "ridge"),
    "redundancy": ("signature", "components", "ridge"),
    "residual": ("signature", "ridge"),
    "penalties": ("ridge",),
}
IMAGES = ("wavelet-", "log-sigma-")  # of features that features/radiomics.yaml may switch off: a pattern of them leaves out what there is
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
        return _columns(self.name, self.features)


@lru_cache(maxsize=64)  # the blocks of each fold have the same names
def _columns(name: str, features: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(column(name, feature) for feature in features)


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
        "signature", "components", "cox", "ridge", "mean" or "stacked".
    blocks
        For signature, components and ridge.
    columns
        For cox; columns of components enter the Cox model together with the components.
    log
        Columns whose natural logarithm is taken first.
    impute
        Columns whose missing values become the median of the training patients.
    members
        For mean and stacked: the models whose risks they join.
    leave_out
        Patterns, as of file names, of features that the model does not see.
    redundancy
        Of two columns of a block with a larger absolute correlation one is left out; None: none is.
    residual
        A column, such as the volume: the others enter as what a straight line on its logarithm leaves of them; None: as they are.
    penalties
        Block -> factor on the ridge penalty of its columns; 1 for the others.
    """

    name: str
    label: str
    family: str
    kind: str
    blocks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    impute: tuple[str, ...] = ()
    members: tuple[Declaration, ...] = ()
    leave_out: tuple[str, ...] = ()
    redundancy: float | None = None
    residual: str | None = None
    penalties: tuple[tuple[str, float], ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that are named one by one, those of members too: they are in the model whatever a selection keeps."""
        columns = (*self.columns, *((self.residual,) if self.residual else ()))
        return tuple(dict.fromkeys((*columns, *(column for member in self.members for column in member.named))))

    @property
    def sources(self) -> tuple[str, ...]:
        """Every block that the model or a member is made from."""
        blocks = (*self.blocks, *(block_and_feature(column)[0] for column in self.named))
        return tuple(dict.fromkeys((*blocks, *(block for member in self.members for block in member.sources))))


def declarations(models: Mapping[str, Mapping[str, Any]], folder: Path = Path("models"), *, filled: bool = True) -> dict[str, Declaration]:
    """Read the declared models by name, from the contents of the files in models/.

    Parameters
    ----------
    models
        File name without its ending -> its content: name of the model -> what it declares.
    folder
        Of these files, where the line of what is wrong is looked up.
    filled
        Whether the names hold the margins of the rings (see `all_for_margins`). As they are written, members are not looked up.

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
    if not filled:
        return declared
    alone = {name: each for name, each in declared.items() if each.kind not in OF_MEMBERS}
    for file, content in models.items():
        with in_file(folder / f"{file}.yaml"):
            for name, entry in content.items():
                if "members" in entry:
                    declared[str(name)] = replace(declared[str(name)], members=tuple(_members(str(name), entry["members"], alone, declared)))
    return declared


def _members(name: str, members: list[str], alone: Mapping[str, Declaration], declared: Mapping[str, Declaration]) -> Iterator[Declaration]:
    for i, member in enumerate(members):
        key = f"{name}.members[{i}]"
        if member not in declared:
            raise wrong(key, f"{name} names the member {member!r}, which no file of models/ declares", choose(member, alone), RULE)
        if member not in alone:
            fault = f"{name} names the member {member!r}, which is of kind {declared[member].kind}"
            raise wrong(key, fault, f"A member is of kind {', '.join(kind for kind in KINDS if kind not in OF_MEMBERS)}", RULE)
        if member in members[:i]:
            raise wrong(key, f"{name} names the member {member!r} twice", "Name every member once", RULE)
        yield alone[member]


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
    _check_options(name, entry)
    for key, value in entry.items():
        if key in LISTS and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise wrong(f"{name}.{key}", f"{key} of {name} is {shown(value)}, not a list of names", f"Write {key}: [...]", RULE)
        if key not in (*LISTS, "redundancy", "penalties") and not isinstance(value, str):
            raise wrong(f"{name}.{key}", f"{key} of {name} is {shown(value)}, not a text", f"Write {key}: a text", RULE)
    for key, allowed in (("kind", KINDS), ("family", FAMILIES)):
        if entry[key] not in allowed:
            raise wrong(f"{name}.{key}", f"{name} is of {key} {entry[key]!r}", choose(entry[key], allowed), RULE)
    for key, kinds in OPTIONS.items():
        if key in entry and entry["kind"] not in kinds:
            raise wrong(f"{name}.{key}", f"{name} is of kind {entry['kind']}, which has no {key}", f"Kinds with {key}: {', '.join(kinds)}", RULE)
    required = "columns" if entry["kind"] == "cox" else "members" if entry["kind"] in OF_MEMBERS else "blocks"
    if not entry.get(required):
        raise wrong(name, f"{name} is of kind {entry['kind']} and names no {required}", f"Add {required}: [...]", RULE)
    surplus = [key for key in ("blocks", "columns", "log", "impute") if key in entry and key != required and entry["kind"] in ("ridge", *OF_MEMBERS)]
    if surplus:
        raise wrong(f"{name}.{surplus[0]}", f"{name} is of kind {entry['kind']}, which has no {surplus[0]}", f"Delete {surplus[0]}", RULE)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items() if key != "members"}
    if "penalties" in values:
        values["penalties"] = tuple((str(block), float(factor)) for block, factor in values["penalties"].items())
    return Declaration(name, **values)


def _check_options(name: str, entry: Mapping[str, Any]) -> None:
    redundancy, penalties = entry.get("redundancy", 0.5), entry.get("penalties", {})
    if not (_is_number(redundancy) and 0 < redundancy < 1):
        fault = f"redundancy of {name} is {shown(redundancy)}, not a correlation between 0 and 1"
        raise wrong(f"{name}.redundancy", fault, "Write redundancy: 0.9, or delete it", RULE)
    if not isinstance(penalties, Mapping) or not all(_is_number(factor) and 0 < factor < math.inf for factor in penalties.values()):
        fault = f"penalties of {name} is {shown(penalties)}, not a mapping of blocks to positive factors"
        raise wrong(f"{name}.penalties", fault, "Write penalties: {gtv: 1, ring_6mm: 2}", RULE)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_columns(models: Mapping[str, Declaration], blocks: Mapping[str, Collection[str]]) -> None:
    """Refuse a model that names a block or a column that does not exist.

    Parameters
    ----------
    models
        From `declarations`.
    blocks
        Name -> the features of the block.

    Raises
    ------
    ParamsError
        "model_declared", without its file: `Rad names the block 'ring_5mm', which does not exist. Did you mean ring_3mm?`

    Examples
    --------
    >>> from penumbra.fusion import check_columns, declarations
    >>> content = {"controls": {"Age": {"label": "Age", "family": "control", "kind": "cox", "columns": ["clinical.age"]}}}
    >>> check_columns(declarations(content), {"clinical": ["age", "sex"]})
    """
    for name, declared in models.items():
        for i, block in enumerate(declared.blocks):
            if block not in blocks:
                raise wrong(f"{name}.blocks[{i}]", f"{name} names the block {block!r}, which does not exist", choose(block, blocks), RULE)
        for i, listed in enumerate(declared.columns):
            block, feature = block_and_feature(listed)
            if block not in blocks:
                alternatives = choose(block, blocks, what="blocks")
                raise wrong(f"{name}.columns[{i}]", f"{name} names the column {listed!r}, of no known block", alternatives, RULE)
            if feature not in blocks[block]:
                near = nearest(feature, blocks[block])
                file = "clinical.yaml" if block == CLINICAL else "catalogue.csv"
                advice = f"Did you mean {block}.{near}?" if near else f"Write {block}. and one of its {len(blocks[block])} features (features/{file})"
                raise wrong(f"{name}.columns[{i}]", f"{name} names the column {listed!r}, which {block} does not have", advice, RULE)
        if declared.residual is not None:
            block, feature = block_and_feature(declared.residual)
            if feature not in blocks.get(block, ()):
                near = nearest(declared.residual, (column(name, each) for name, features in blocks.items() for each in features))
                fault = f"residual of {name} is {declared.residual!r}, which is no column"
                raise wrong(f"{name}.residual", fault, f"Did you mean {near}?" if near else "Write <block>.<feature>", RULE)
        for block, _ in declared.penalties:
            if block not in declared.blocks:
                fault = f"penalties of {name} names {block!r}, which is none of its blocks"
                raise wrong(f"{name}.penalties.{block}", fault, choose(block, declared.blocks), RULE)
        for i, pattern in enumerate(declared.leave_out):
            features = (feature for block in declared.blocks for feature in blocks[block])
            if not pattern.startswith(IMAGES) and not any(fnmatchcase(feature, pattern) for feature in features):
                fault = f"leave_out of {name} holds {pattern!r}, which no feature of its blocks matches"
                raise wrong(f"{name}.leave_out[{i}]", fault, "Write features with * in them, such as wavelet-*H*_*", RULE)
        for key, some in (("log", declared.log), ("impute", declared.impute)):
            strange = [each for each in some if each not in declared.columns]
            if strange:
                fault = f"{key} of {name} holds {strange[0]!r}, which is none of its columns"
                raise wrong(f"{name}.{key}", fault, choose(strange[0], declared.columns), RULE)


def by_name(blocks: Mapping[str, Block] | Iterable[Block]) -> dict[str, Block]:
    """Return the blocks by their name."""
    return dict(blocks) if isinstance(blocks, Mapping) else {block.name: block for block in blocks}
