"""A department's own columns as covariates: which a model may name, what they are in it, and their values."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from penumbra import store
from penumbra.base.blocks import CLINICAL, block_and_feature, column
from penumbra.base.clinical_columns import FILE, IN_TIME, LEVELED, ClinicalColumn, Columns, declared_columns
from penumbra.base.yaml_files import wrong
from penumbra.fusion import Block

NAMING = ("columns", "impute", "log")  # keys of a model that list columns
SETTING = "clinical_columns"  # among the settings of a version: the declarations of the columns that its models read
OwnValues = Mapping[str, tuple[float | None, str | None]]  # column -> number, level


def check_covariates(name: str, entry: Any, columns: Columns) -> None:
    """Refuse a model with a column that is known only after a prediction is made, and a logarithm or residual of what is no number.

    Raises
    ------
    ParamsError
        "known_at_prediction", "model_declared".
    """
    for key in ("columns", "log", "residual"):
        listed = entry.get(key) or []
        for i, each in enumerate([listed] if isinstance(listed, str) else listed):
            block, feature = block_and_feature(str(each))
            if block != CLINICAL or feature not in columns:
                continue
            place = f"{name}.{key}" if key == "residual" else f"{name}.{key}[{i}]"
            declared = columns[feature]
            if not declared.in_time:
                when = (
                    f"{declared.known_at} days after the planning CT"
                    if isinstance(declared.known_at, int)
                    else f"only at {declared.known_at.replace('_', '-')}"
                )
                fault = f"{name} names {each}, which is known {when}: a prediction is made at the planning CT"
                raise wrong(place, fault, f"Take it out, or correct `known` of {feature} in features/{FILE}", IN_TIME)
            if key != "columns" and (declared.type in LEVELED or declared.type == "boolean"):
                raise wrong(place, f"{key} of {name} holds {each}, which is of type {declared.type}", "Name a number or an integer", "model_declared")


def with_levels(models: Mapping[str, Mapping[str, Any]], columns: Columns) -> dict[str, dict[str, Any]]:
    """The declared models by file, each category in them as one column per level but the reference."""
    features = {column(CLINICAL, name): [column(CLINICAL, feature) for feature in each.features] for name, each in columns.items() if each.features != (name,)}

    def expanded(entry: Any) -> Any:
        if not any(each in features for key in NAMING for each in entry.get(key) or ()):
            return entry
        return {**entry, **{key: [new for each in entry[key] for new in features.get(each, [each])] for key in NAMING if key in entry}}

    return {file: {name: expanded(entry) for name, entry in content.items()} for file, content in models.items()}


def usable(columns: Columns) -> dict[str, ClinicalColumn]:
    """The columns that are known when a prediction is made."""
    return {name: each for name, each in columns.items() if each.in_time}


def used(models: Mapping[str, Mapping[str, Any]], columns: Columns) -> dict[str, ClinicalColumn]:
    """The columns that some model reads, from the models as `with_levels` leaves them: by name, or with the whole block."""
    entries = [entry for content in models.values() for entry in content.values()]
    named = {str(each) for entry in entries for each in (*(entry.get("columns") or ()), entry.get("residual"))}
    whole = any(CLINICAL in (entry.get("blocks") or ()) for entry in entries)
    return {name: each for name, each in usable(columns).items() if whole or any(column(CLINICAL, feature) in named for feature in each.features)}


def of_version(settings: Mapping[str, Any]) -> dict[str, ClinicalColumn]:
    """The columns that a registered version reads, as they were declared then."""
    return declared_columns(settings.get(SETTING) or {})


def own_values(lake: store.Store, patients: Collection[tuple[str, str]] | None = None) -> dict[tuple[str, str], dict[str, tuple[float | None, str | None]]]:
    """(patient, center) -> column -> (number, level), of all or some patients."""
    values: dict[tuple[str, str], dict[str, tuple[float | None, str | None]]] = {}
    for row in lake.sql("SELECT patient, center, name, number, level FROM clinical_long").to_pylist():
        key = row["patient"], row["center"]
        if patients is None or key in patients:
            values.setdefault(key, {})[row["name"]] = row["number"], row["level"]
    return values


def encoded(columns: Columns, values: OwnValues) -> dict[str, float]:
    """Feature -> its value for one patient; nan where it is not known."""
    numbers: dict[str, float] = {}
    for name, each in columns.items():
        numbers |= dict(zip(each.features, each.encoded(*values.get(name, (None, None))), strict=True))
    return numbers


def typed(columns: Columns, values: Mapping[str, float | str | None]) -> dict[str, float]:
    """Likewise, of values as `cohort.own_columns` reads them."""
    return encoded(columns, {name: (None, value) if isinstance(value, str) else (value, None) for name, value in values.items()})


def extended(block: Block, columns: Columns, values: Sequence[OwnValues]) -> Block:
    """The clinical block with the features of some columns behind its own."""
    features = [feature for each in columns.values() for feature in each.features]
    if not features:
        return block
    rows = [encoded(columns, each) for each in values]
    further = np.array([[row[feature] for feature in features] for row in rows], dtype=float).reshape(len(rows), len(features))
    return Block(block.name, (*block.features, *features), np.hstack([block.values, further]))


def seen(columns: Columns, values: Sequence[OwnValues]) -> tuple[dict[str, float | None], ...]:
    """What models see of some columns, one per patient; () where there is no column."""
    if not columns:
        return ()
    return tuple({feature: None if math.isnan(value) else value for feature, value in encoded(columns, each).items()} for each in values)


def with_covariates(records: Sequence[Mapping[str, Any]], covariates: Sequence[Mapping[str, float | None]]) -> list[Mapping[str, Any]]:
    """Clinical records as they enter a key; without covariates they are as they were before there were any."""
    if not covariates:
        return list(records)
    return [{**record, "own": dict(values)} for record, values in zip(records, covariates, strict=True)]
