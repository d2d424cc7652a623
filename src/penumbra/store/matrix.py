"""The features of one ROI as one matrix, filled while the rows are read: its own size is nearly all the memory that it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.store.features import Kind
from penumbra.store.lake import patiently
from penumbra.store.statements import statement
from penumbra.store.views import BLOCK, block_column, feature_slots

if TYPE_CHECKING:
    import pyarrow as pa

    from penumbra.store.session import Store

FEW = 50  # patients or centers that are named one by one in a statement
ROWS = 2048  # patients on the way into the matrix at a time: what the engine computes at once
PERSON = ("patient", "center", "log_risk")


@dataclass(frozen=True)
class Matrix:
    """Features of one ROI, a row per patient in the order of their names.

    Parameters
    ----------
    patients, centers : shape (n,)
        Text.
    features
        Names, p of them.
    values : shape (n, p)
        As float64, NaN where a feature is missing.
    log_risk : shape (n,)
        For deep, else None.
    version
        The definition they were computed by.
    """

    patients: np.ndarray
    centers: np.ndarray
    features: tuple[str, ...]
    values: np.ndarray
    log_risk: np.ndarray | None
    version: str


def read_matrix(
    store: "Store",
    kind: Kind,
    roi: str,
    *,
    version: str | None = None,
    patients: Sequence[str] | None = None,
    centers: Sequence[str] | None = None,
    as_of: int | None = None,
) -> Matrix:
    """Read the features of one ROI of all patients, or of those that are named and stored, from their newest images.

    Parameters
    ----------
    store
        Open, from `connect`.
    kind
        "radiomics" or "deep".
    roi
        Such as "gtv" or "ring_3mm".
    version
        None: the newest definition that has rows of this ROI.
    patients, centers
        Only these.
    as_of
        As it was after this commit; None: as the store was opened.

    Returns
    -------
    Matrix
        A row per patient, a column per feature.

    Raises
    ------
    Refusal
        "features_stored": `no radiomics features of gtv in the store. ...`.

    Examples
    --------
    >>> from penumbra.store import connect, read_matrix
    >>> with connect("home", read_only=True) as lake:
    ...     matrix = read_matrix(lake, "radiomics", "gtv")
    >>> matrix.patients.tolist(), matrix.features[0]
    (['N001', 'N002'], 'original_firstorder_Mean')
    >>> matrix.values
    array([[  40. ,    2.5, 1000. ],
           [  41. ,    2.5, 1000. ]])
    """
    if as_of is not None and as_of != store.as_of:
        from penumbra.store.session import connect

        with connect(store.lake.folder.parent, as_of=as_of, catalog=store.lake.catalog, schema_root=store.views.features) as earlier:
            return read_matrix(earlier, kind, roi, version=version, patients=patients, centers=centers)
    portion = _portion(store, kind, roi, version, patients, centers)
    keys = statement("matrix_keys", relation=kind, columns=", log_risk" if kind == "deep" else "", conditions=portion.conditions)

    def read() -> "tuple[pa.Table, np.ndarray]":
        connection = store.connection
        with store.turn, store.views.held(connection):  # one transaction: keys and rows are of the same commit
            people = connection.execute(keys, portion.parameters).to_arrow_table()
            whole = np.empty((people.num_rows, len(portion.features)))
            rank = {key: place for place, key in enumerate(zip(*_named(people), strict=True))}
            for batch in connection.execute(portion.rows, portion.parameters).to_arrow_reader(ROWS):
                places = np.fromiter((rank[key] for key in zip(*_named(batch), strict=True)), np.int64, batch.num_rows)
                _place(whole, places, batch, portion.slots)
        return people, whole

    return _matrix(portion, *patiently(read))


def matrix_parts(
    store: "Store",
    kind: Kind,
    roi: str,
    *,
    version: str | None = None,
    patients: Sequence[str] | None = None,
    centers: Sequence[str] | None = None,
    rows: int = ROWS,
) -> Iterator[Matrix]:
    """Read what `read_matrix` reads a part at a time, for matrices that do not fit in memory.

    Parameters
    ----------
    store
        Open, from `connect`, until the last part has been read; of one commit from the first part to the last.
    kind, roi, version, patients, centers
        As of `read_matrix`.
    rows
        Patients in a part; the last has the rest.

    Returns
    -------
    Iterator
        Of Matrix: each patient in one of them, in the order in which the store holds them, which is that of nothing else.

    Raises
    ------
    Refusal
        As `read_matrix`, before the first part.
    ValueError
        For parts of fewer than one patient.

    Examples
    --------
    >>> from penumbra.store import connect, matrix_parts
    >>> with connect("home", read_only=True) as lake:
    ...     sum(part.values.sum(axis=0) for part in matrix_parts(lake, "radiomics", "gtv", rows=1))
    array([  81.,    5., 2000.])
    """
    if rows < 1:
        raise ValueError(f"parts of {rows} patients")
    return _parts(store, _portion(store, kind, roi, version, patients, centers), rows)


def _parts(store: "Store", portion: "_Portion", rows: int) -> Iterator[Matrix]:
    with store.connection.cursor() as connection:  # its own: the store answers others between two parts
        batches = patiently(lambda: connection.execute(portion.rows, portion.parameters).to_arrow_reader(min(rows, ROWS)))
        people, whole, filled = list["pa.RecordBatch"](), np.empty((rows, len(portion.features))), 0
        for batch in batches:
            for piece in _pieces(batch, rows, filled):
                _place(whole, np.arange(filled, filled + piece.num_rows), piece, portion.slots)
                people.append(piece.select([name for name in piece.schema.names if name in PERSON]))
                filled += piece.num_rows
                if filled == rows:
                    yield _matrix(portion, _together(people), whole)
                    people, whole, filled = [], np.empty_like(whole), 0
        if filled:
            yield _matrix(portion, _together(people), whole[:filled])


def _pieces(batch: "pa.RecordBatch", rows: int, filled: int) -> "Iterator[pa.RecordBatch]":
    """A batch, cut where a part of so many rows is full that has `filled` already."""
    start = 0
    for end in (*range(rows - filled, batch.num_rows, rows), batch.num_rows):
        if end > start:
            yield batch.slice(start, end - start)
        start = end


def _together(people: "list[pa.RecordBatch]") -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_batches(people)


@dataclass(frozen=True)
class _Portion:
    """What is read of which definition: features and their slots, and the statement for their rows."""

    kind: Kind
    version: str
    features: tuple[str, ...]
    slots: tuple[int, ...]
    conditions: str
    rows: str
    parameters: list[str | list[str]]


def _portion(store: "Store", kind: Kind, roi: str, version: str | None, patients: Sequence[str] | None, centers: Sequence[str] | None) -> _Portion:
    selected = version or _newest_version(store, kind, roi)
    conditions = ""
    parameters: list[str | list[str]] = [roi, selected]
    for column, values in (("patient", patients), ("center", centers)):
        if values is not None and 0 < len(values) <= FEW:  # as constants, so that the files of other patients are not read
            conditions += f" AND {column} IN ({', '.join('?' for _ in values)})"
            parameters.extend(str(entry) for entry in values)
        elif values is not None:
            conditions += f" AND {column} IN (SELECT unnest(?::VARCHAR[]))"
            parameters.append([str(entry) for entry in values])
    # In this order: a concurrent writer adds features and rows, and rows read last have a column for every feature read before.
    slots = patiently(lambda: feature_slots(store.connection, kind))
    features = [feature for feature in _declared(store, selected) or slots if feature in slots]
    rows = statement("matrix_rows", relation=kind, columns=", log_risk" if kind == "deep" else "", conditions=conditions)
    store.require(rows)
    return _Portion(kind, selected, tuple(features), tuple(slots[feature] for feature in features), conditions, rows, parameters)


def _matrix(portion: _Portion, people: "pa.Table", whole: np.ndarray) -> Matrix:
    return Matrix(
        patients=np.array(people.column("patient").to_pylist(), dtype=str),
        centers=np.array(people.column("center").to_pylist(), dtype=str),
        features=portion.features,
        values=whole,
        log_risk=np.array(people.column("log_risk").to_pylist(), dtype=float) if portion.kind == "deep" else None,
        version=portion.version,
    )


def _named(rows: "pa.Table | pa.RecordBatch") -> tuple[list[str], list[str]]:
    return rows.column("patient").to_pylist(), rows.column("center").to_pylist()


def _place(whole: np.ndarray, places: np.ndarray, batch: "pa.RecordBatch", slots: Sequence[int]) -> None:
    """Put the list columns of some rows where they belong in the matrix: rows by `places`, columns by their slots."""
    block_of, within = np.divmod(np.asarray(slots, dtype=np.int64), BLOCK)
    for block in np.unique(block_of):
        columns = np.flatnonzero(block_of == block)
        values = _block(batch.column(block_column(int(block))))
        chosen = within[columns]
        if not np.array_equal(chosen, np.arange(BLOCK)):
            values = values[:, chosen]
        if columns[-1] - columns[0] == columns.size - 1:  # side by side, as a version declares them
            whole[places, columns[0] : columns[-1] + 1] = values
        else:
            whole[np.ix_(places, columns)] = values


def _newest_version(store: "Store", kind: str, roi: str) -> str:
    table = store.sql(statement("newest_version", relation=kind), [roi])
    if not table.num_rows:
        raise Refusal("features_stored", f"no {kind} features of {roi} in the store", "run `penumbra populate`, and for deep `penumbra train`")
    return str(table.column("version")[0])


def _declared(store: "Store", version: str) -> list[str]:
    """The names of a version's features in their order; where it was never declared, every feature of the kind."""
    features = store.sql("SELECT features FROM stored.feature_versions WHERE version = ?", [version]).column("features").to_pylist()
    return list(features[0]) if features and features[0] else []


def _block(column: "pa.ListArray") -> np.ndarray:
    """One list column as (n, 64); NULL becomes NaN."""
    flat = column.flatten()
    if column.null_count == 0 and len(flat) == len(column) * BLOCK:
        return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=float).reshape(-1, BLOCK)
    rows = [[np.nan] * BLOCK if row is None else [np.nan if entry is None else entry for entry in row] for row in column.to_pylist()]
    return np.array(rows, dtype=float).reshape(-1, BLOCK)
