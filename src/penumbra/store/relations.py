"""What the relations promise: keys, which rows are new, and how plain rows become Arrow."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from penumbra.base.json_values import without_nan
from penumbra.base.refusal import Refusal
from penumbra.store.version import canonical_json, version_key

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Sequence[Mapping[str, Any]]
Growth = Literal["immutable", "versioned", "rejections"]


@dataclass(frozen=True)
class Relation:
    """How one relation grows.

    Parameters
    ----------
    key
        Columns that name a row.
    growth
        Immutable: another value under a key is an error. versioned: it is a new row, the newest is shown, the earlier ones stay. rejections: all rules
        that a patient broke at a stage together are one value, which grows as versioned.
    ancillary
        Columns that are stored but do not make a row new (times, file paths).
    stamped
        Column of time that is filled with now, UTC, where a row does not give it.
    one_home
        A patient is at one center at a time: rows from another are refused until the first no longer sends the patient (`departures`).
    """

    key: tuple[str, ...]
    growth: Growth = "versioned"
    ancillary: tuple[str, ...] = ()
    stamped: str | None = None
    one_home: bool = False


RELATIONS: Mapping[str, Relation] = {
    "centers": Relation(("center",), "immutable", ancillary=("arrived_at",), stamped="arrived_at"),
    "patients": Relation(("patient", "center"), ancillary=("clinical_version",), one_home=True),
    "clinical_long": Relation(("patient", "center", "name")),
    "images": Relation(("patient", "center"), ancillary=("source",), one_home=True),
    "rois": Relation(("patient", "roi", "center")),
    "departures": Relation(("patient", "center", "at"), "immutable", stamped="at"),
    "rejections": Relation(("patient", "center", "stage"), "rejections", ancillary=("advice", "at"), stamped="at"),
    "feature_versions": Relation(("version",), "immutable", ancillary=("label", "engine", "created_at"), stamped="created_at"),
    "feature_slots": Relation(("kind", "feature"), "immutable"),
    "current_versions": Relation(("kind",)),
    "radiomics": Relation(("patient", "roi", "version", "image_version", "center"), "immutable"),
    "deep": Relation(("patient", "roi", "version", "image_version", "center"), "immutable"),
    "signatures": Relation(("patient", "signature", "model", "model_version")),
    "model_versions": Relation(("model", "version"), ancillary=("created_at",), stamped="created_at"),
    "model_patients": Relation(("model", "version", "patient")),
    "model_metrics": Relation(("model", "version", "center", "split", "metric")),
    "retrainings": Relation(("retraining", "step"), ancillary=("at",), stamped="at"),
    "alias_changes": Relation(("model", "alias", "at"), "immutable"),
    "withdrawals": Relation(("withdrawal",), ancillary=("at",), stamped="at"),
    "predictions": Relation(("patient", "model", "version", "center"), ancillary=("at",), stamped="at"),
    "prediction_horizons": Relation(("patient", "model", "version", "days", "center")),
    "recalibrations": Relation(("patient", "model", "version", "center", "at"), "immutable", stamped="at"),
    "feature_stability": Relation(("version", "roi", "feature", "perturbation")),
    "live_monitoring": Relation(("model", "version", "center"), ancillary=("at",), stamped="at"),
    "pseudonym_keys": Relation(("scope",), ancillary=("at",), stamped="at"),
    "center_declarations": Relation(("center",)),
    "looks": Relation(("center", "split", "stage", "evaluation", "at"), "immutable", stamped="at"),
}


def relation_named(name: str) -> Relation:
    """The declaration of one relation.

    Raises
    ------
    Refusal
        "relation": a name that the store does not have.
    """
    if name not in RELATIONS:
        raise Refusal("relation", f"no relation {name!r} to write to", f"use one of {', '.join(RELATIONS)}")
    return RELATIONS[name]


def arrow_rows(name: str, rows: "Rows | pa.Table", columns: Mapping[str, str], now: dt.datetime) -> "pa.Table":
    """Rows as an Arrow table with every column of the relation but commit_id, in its types.

    Parameters
    ----------
    rows
        Dicts (a column left out is NULL) or an Arrow table. NaN is absence and becomes NULL. A mapping or list in a text column becomes canonical JSON.
    columns
        Name -> DuckDB type.

    Raises
    ------
    Refusal
        "relation_columns" for a column the relation does not have, "relation_value" for a value that does not fit its column, "relation_key" for a row
        without its key.
    """
    import pyarrow as pa

    relation = relation_named(name)
    records = rows.to_pylist() if isinstance(rows, pa.Table) else [dict(row) for row in rows]
    kinds = {column: kind for column, kind in columns.items() if column != "commit_id"}
    unknown = sorted({column for record in records for column in record} - set(kinds))
    if unknown:
        raise Refusal("relation_columns", f"{name} has no column {unknown[0]!r}", f"its columns are {', '.join(kinds)}")
    if relation.stamped is not None:
        for record in records:
            record[relation.stamped] = record.get(relation.stamped) or now
    if "clinical_version" in kinds:
        for record in records:
            record["clinical_version"] = record.get("clinical_version") or _clinical_version(record)
    table = pa.table(
        {column: pa.array([_value(name, column, kind, record.get(column)) for record in records], type=_arrow_type(kind)) for column, kind in kinds.items()}
    )
    if relation.growth != "rejections":  # what could not be read may have no patient
        for column in relation.key:
            if table.column(column).null_count:
                raise Refusal("relation_key", f"a row of {name} has no {column}", f"give {', '.join(relation.key)} in every row")
    return table


def _clinical_version(record: Mapping[str, Any]) -> str:
    values = {column: value for column, value in record.items() if not (value is None or (isinstance(value, float) and math.isnan(value)))}
    return version_key({column: value for column, value in values.items() if column != "clinical_version"})


def _arrow_type(kind: str) -> "pa.DataType":
    import pyarrow as pa

    if kind.endswith("[]"):
        return pa.list_(_arrow_type(kind[:-2]))
    return {"VARCHAR": pa.string(), "DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us")}[kind]


def _value(name: str, column: str, kind: str, value: Any) -> Any:
    """`value` as its column wants it; what would lose or invent something is refused."""
    if hasattr(value, "tolist") and not isinstance(value, str):
        value = value.tolist()  # numpy scalars and arrays
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind.endswith("[]"):
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [_value(name, column, kind[:-2], entry) for entry in value]
    elif kind == "VARCHAR":
        if isinstance(value, Mapping | list | tuple):
            return canonical_json(without_nan(value))
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    elif kind == "BOOLEAN":
        if isinstance(value, bool):
            return value
    elif kind == "BIGINT":
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value):
            return int(value)
    elif kind == "DOUBLE":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif kind == "TIMESTAMP":
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    raise Refusal("relation_value", f"{name}.{column} is {value!r}", f"give a value of type {kind}, or none")
