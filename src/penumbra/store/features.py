"""Feature vectors of many patients, written in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.store.statements import quoted, statement
from penumbra.store.views import BLOCK, block_column, feature_slots
from penumbra.store.writer import commit, places

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from penumbra.store.session import Store

Kind = Literal["radiomics", "deep"]
Key = tuple[str, str, str]  # patient, roi, image_version
FEATURE_KINDS: tuple[Kind, ...] = ("radiomics", "deep")
KEY_COLUMNS = ("patient", "center", "roi", "image_version")


def declare_version(
    store: "Store",
    version: str,
    kind: Kind,
    definition: Mapping[str, Any],
    *,
    features: Sequence[str],
    run: str,
    label: str | None = None,
    engine: Mapping[str, Any] | None = None,
) -> int | None:
    """Record the definition of a version before its rows are written; repeating the same definition is a no-op.

    Parameters
    ----------
    store
        Open, from `connect`.
    version
        Its name, from `version_key`.
    kind
        "radiomics" or "deep".
    definition
        Everything that the version is the key of.
    features
        Names in the order of the values.
    run
        Who writes it, for `commits`.
    label
        A name for people.
    engine
        What computed the first values, with its versions; another one does not change the definition.

    Returns
    -------
    int | None
        The commit's number; None when the version was declared already.

    Raises
    ------
    Refusal
        "immutable_row": the version already belongs to another definition.

    Examples
    --------
    >>> from penumbra.store import connect, declare_version
    >>> definition = {"binWidth": 32}
    >>> with connect("home") as lake:
    ...     declare_version(lake, "ba9876543210", "radiomics", definition, features=["original_firstorder_Mean"], run="example")
    ...     declare_version(lake, "ba9876543210", "radiomics", definition, features=["original_firstorder_Mean"], run="example") is None
    5
    True
    """
    row = {"version": version, "kind": kind, "label": label, "params": definition, "engine": engine, "features": list(features)}
    return store.write({"feature_versions": [row]}, run=run, what=f"{kind} version {version}")


def write_features(
    store: "Store",
    kind: Kind,
    version: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    features: Sequence[str],
    run: str,
    computed_with: Mapping[str, str] | None = None,
) -> int | None:
    """Append the vectors of some patients and ROIs in one transaction.

    Parameters
    ----------
    store
        Open, from `connect`.
    kind
        "radiomics" or "deep".
    version
        That they were computed by, see `declare_version`.
    rows
        {"patient", "center", "roi", "image_version", "values", and for deep "log_risk"}; values in the order of `features`, or a mapping from each
        feature to its value. NaN is absence.
    features
        Names, distinct; a name keeps its column whatever the order.
    run
        Who writes it, for `commits`.
    computed_with
        Library -> its version, for `commits`.

    Returns
    -------
    int | None
        The commit's number; None when every row was there already with the same values.

    Raises
    ------
    Refusal
        "immutable_row": the key is stored with other values; "feature_rows": a row does not fit.

    Examples
    --------
    >>> from penumbra.store import connect, missing, write_features
    >>> rows = [{"patient": "N001", "center": "north", "roi": "ring_3mm", "image_version": "image1", "values": [-120.5]}]
    >>> with connect("home") as lake:
    ...     write_features(lake, "radiomics", "0123456789ab", rows, features=["original_firstorder_Mean"], run="example")
    5
    """
    if kind not in FEATURE_KINDS:
        raise Refusal("feature_rows", f"no kind {kind!r} of features", "use radiomics or deep")
    if len(set(features)) != len(features) or not all(isinstance(feature, str) and feature for feature in features):
        raise Refusal("feature_rows", f"{len(features)} features with {len(set(features))} names", "give each feature one name")
    if not rows:
        return None
    keys, values, log_risk = _checked(kind, rows, features)

    def new(connection: "duckdb.DuckDBPyConnection", number: int) -> dict[str, "pa.Table"]:
        slots = feature_slots(connection, kind)
        new_slots = {feature: len(slots) + place for place, feature in enumerate(f for f in features if f not in slots)}
        slots |= new_slots
        placed = np.full((len(rows), -(-len(slots) // BLOCK) * BLOCK), np.nan)
        placed[:, [slots[feature] for feature in features]] = values
        table = _vectors(keys, version, placed, log_risk)
        add_columns(connection, kind, table.column_names)
        new_rows: dict[str, pa.Table] = {str(kind): table.take(places(_unknown(connection, kind, table, version)))}
        if new_slots and new_rows[kind].num_rows:
            new_rows = {"feature_slots": _slot_rows(kind, new_slots), **new_rows}
        return new_rows

    by = ", ".join(f"{name} {installed}" for name, installed in (computed_with or {}).items())
    return commit(store, new, run=run, what=f"{kind} features, version {version}{f', by {by}' if by else ''}")


def _checked(kind: str, rows: Sequence[Mapping[str, Any]], features: Sequence[str]) -> tuple[dict[str, list[str]], np.ndarray, np.ndarray | None]:
    """Keys (column -> n texts), values (n, p), log_risk (n,) or None, of rows that are complete and distinct."""
    allowed = {*KEY_COLUMNS, "values"} | ({"log_risk"} if kind == "deep" else set())
    values = np.empty((len(rows), len(features)))
    for place, row in enumerate(rows):
        if set(row) != allowed:
            raise Refusal("feature_rows", f"a row of {kind} has {', '.join(sorted(row))}", f"give {', '.join(sorted(allowed))}")
        vector = row["values"]
        if isinstance(vector, Mapping):
            odd = sorted(set(vector) ^ set(features))
            if odd:
                raise Refusal("feature_rows", f"{len(odd)} features are unlike the names given, such as {odd[0]}", "give a value for every feature")
            vector = [vector[feature] for feature in features]
        if len(vector) != len(features):
            raise Refusal("feature_rows", f"{len(vector)} values for {len(features)} features", "give one value for every feature")
        values[place] = vector
    keys = {column: [str(row[column]) for row in rows] for column in KEY_COLUMNS}
    if any(row[column] is None or row[column] == "" for row in rows for column in KEY_COLUMNS):
        raise Refusal("feature_rows", "a row without patient, center, roi or image_version", "give all four")
    images = dict(zip(keys["patient"], keys["image_version"], strict=True))
    double = len(rows) - len(set(zip(keys["patient"], keys["roi"], strict=True)))
    if double or any(images[patient] != image for patient, image in zip(keys["patient"], keys["image_version"], strict=True)):
        raise Refusal("feature_rows", "one write holds a patient's ROI twice, or two images of a patient", "write each image on its own")
    log_risk = np.array([np.nan if row["log_risk"] is None else float(row["log_risk"]) for row in rows]) if kind == "deep" else None
    return keys, values, log_risk


def _vectors(keys: Mapping[str, list[str]], version: str, placed: np.ndarray, log_risk: np.ndarray | None) -> "pa.Table":
    import pyarrow as pa

    columns: dict[str, Any] = {column: pa.array(entries, pa.string()) for column, entries in keys.items()}
    columns["version"] = pa.array([version] * len(placed), pa.string())
    if log_risk is not None:
        columns["log_risk"] = pa.array(log_risk, pa.float64(), from_pandas=True)  # NaN becomes NULL
    offsets = np.arange(0, placed.shape[0] * BLOCK + 1, BLOCK, dtype=np.int32)
    for block in range(placed.shape[1] // BLOCK):
        flat = np.ascontiguousarray(placed[:, block * BLOCK : (block + 1) * BLOCK]).ravel()
        columns[block_column(block)] = pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float64(), from_pandas=True))
    return pa.table(columns)


def _slot_rows(kind: str, slots: Mapping[str, int]) -> "pa.Table":
    import pyarrow as pa

    return pa.table({"kind": [kind] * len(slots), "feature": list(slots), "slot": pa.array(list(slots.values()), pa.int64())})


def add_columns(connection: "duckdb.DuckDBPyConnection", kind: str, columns: Iterable[str]) -> None:
    """Add the list columns that the table of this kind lacks."""
    stored = {str(name) for name, _ in connection.execute(statement("stored_columns", relation=kind)).fetchall()}
    for column in columns:
        if column not in stored:
            connection.execute(f"ALTER TABLE lake.{kind} ADD COLUMN {quoted(column)} DOUBLE[]")


def _unknown(connection: "duckdb.DuckDBPyConnection", kind: str, table: "pa.Table", version: str) -> list[int]:
    """Places of the rows whose key is not stored; a stored key must have the same values."""
    names = ("patient", "roi", "version", "image_version", "center")
    connection.register(f"incoming_{kind}", table.select(names))
    stored_keys = connection.execute(statement("stored_keys", relation=kind, key=", ".join(quoted(name) for name in names))).fetchall()
    stored_rows = {}
    if stored_keys:
        rows = connection.execute(statement("stored_values", relation=kind)).to_arrow_table().to_pylist()
        stored_rows = {tuple(row[name] for name in names): row for row in rows}
    connection.unregister(f"incoming_{kind}")
    unknown = []
    for place, row in enumerate(table.to_pylist() if stored_keys else table.select(names).to_pylist()):
        stored = stored_rows.get(tuple(row[name] for name in names))
        if stored is None:
            unknown.append(place)
            continue
        for column, value in row.items():
            if _filled(stored[column]) != _filled(value):
                place_words = f"{kind} of patient {row['patient']}, {row['roi']}, version {version}, image {row['image_version']}"
                advice = "give a changed definition a version of its own; missing() tells what is not there yet"
                raise Refusal("immutable_row", f"{place_words} is stored with other values", advice)
    return unknown


def _filled(value: Any) -> Any:
    """A list of nothing but NULL is what an older row has in a block that came later."""
    return None if isinstance(value, list) and all(entry is None for entry in value) else value


def missing(store: "Store", kind: Kind, version: str, keys: Iterable[Key]) -> list[Key]:
    """List those of some keys that have no row of a version.

    Parameters
    ----------
    store
        Open, from `connect`.
    kind
        "radiomics" or "deep".
    version
        Of the features.
    keys
        (patient, roi, image_version) of each.

    Returns
    -------
    list
        Keys, in the order given.

    Examples
    --------
    >>> from penumbra.store import connect, missing
    >>> with connect("home", read_only=True) as lake:
    ...     missing(lake, "radiomics", "0123456789ab", [("N001", "gtv", "image1"), ("N001", "ring_3mm", "image1")])
    [('N001', 'ring_3mm', 'image1')]
    """
    table = store.sql(statement("present_keys", relation=kind), [version])
    present = set(zip(*(table.column(i).to_pylist() for i in range(3)), strict=True))
    return [key for key in keys if tuple(key) not in present]
