"""`penumbra.read` and `penumbra.sql`: relations and answers as frames of pandas or polars, or as Arrow tables."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from penumbra import store
from penumbra.base import extras
from penumbra.base.refusal import Refusal, choose
from penumbra.commands.python.homes import home_of
from penumbra.commands.sql import note_changes
from penumbra.store.answer import TIMEOUT_S
from penumbra.store.moments import commit_at
from penumbra.store.reading import read_relation

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

AsOf = int | str | dt.date | None  # a datetime is a date
FORMATS = ("pandas", "polars", "arrow")


@overload
def read(
    relation: str = ...,
    *,
    roi: str | None = ...,
    outcome: bool = ...,
    as_of: AsOf = ...,
    columns: str | Sequence[str] | None = ...,
    center: str | None = ...,
    home: Path | str | None = ...,
    format: Literal["pandas"] = ...,
) -> "pd.DataFrame": ...
@overload
def read(
    relation: str = ...,
    *,
    roi: str | None = ...,
    outcome: bool = ...,
    as_of: AsOf = ...,
    columns: str | Sequence[str] | None = ...,
    center: str | None = ...,
    home: Path | str | None = ...,
    format: Literal["polars"],
) -> "pl.DataFrame": ...
@overload
def read(
    relation: str = ...,
    *,
    roi: str | None = ...,
    outcome: bool = ...,
    as_of: AsOf = ...,
    columns: str | Sequence[str] | None = ...,
    center: str | None = ...,
    home: Path | str | None = ...,
    format: Literal["arrow"],
) -> "pa.Table": ...
def read(
    relation: str = "radiomics",
    *,
    roi: str | None = None,
    outcome: bool = False,
    as_of: AsOf = None,
    columns: str | Sequence[str] | None = None,
    center: str | None = None,
    home: Path | str | None = None,
    format: Literal["pandas", "polars", "arrow"] = "pandas",
) -> "pd.DataFrame | pl.DataFrame | pa.Table":
    """Read a relation of the feature store as a frame.

    Works during a run, in any thread and from any folder; nothing is written but what was changed in MLflow since penumbra last looked, as by `penumbra sql`.

    Parameters
    ----------
    relation
        Any that `SHOW TABLES` lists, such as "radiomics", "patients" or "model_metrics".
    roi
        Only one, such as "gtv" or "ring_3mm", of a relation that has some.
    outcome
        Add each patient's `time` (days) and `event` (True: died), missing where the store has no record of the patient.
    as_of
        The store as it was: after a commit (7), when a version was trained ("champion", "nsclc-os/3"), or at the end of a day or at a moment in UTC
        ("2026-11-27", or a date or datetime).
    columns
        Names or patterns, one or a list: "original_shape_*". Of a patient's row, patient, center and roi always come with them.
    center
        Only the rows of one.
    home
        The state folder; None: PENUMBRA_HOME, or data/ of the project.
    format
        "pandas", "polars" or "arrow".

    Returns
    -------
    DataFrame or pyarrow.Table
        Sorted by model, version, center, patient and roi, where the relation has them.

    Raises
    ------
    Refusal
        "relation": `no relation 'radiomic'. Did you mean radiomics? ...`; "column", "filter", "commit", "version_registered", "store_exists"; "format_known"
        and "extra_installed" of a format.

    Examples
    --------
    >>> import penumbra
    >>> shape = penumbra.read("radiomics", roi="gtv", columns="original_shape_*", outcome=True, home="home")
    >>> list(shape.columns[:6])
    ['patient', 'center', 'roi', 'time', 'event', 'original_shape_Elongation']
    >>> penumbra.read("patients", center="north", columns=["age"], home="home").columns.tolist()
    ['patient', 'center', 'age']
    """
    _require_format(format)
    state = home_of(home)
    note_changes(state)
    patterns = [columns] if isinstance(columns, str) else columns
    commit = _commit(state, as_of)
    return _framed(read_relation(state, str(relation), roi=roi, center=center, outcome=outcome, columns=patterns, as_of=commit), format)


@overload
def sql(
    statement: str,
    values: Sequence[Any] = ...,
    *,
    as_of: AsOf = ...,
    timeout_s: float = ...,
    home: Path | str | None = ...,
    format: Literal["pandas"] = ...,
) -> "pd.DataFrame": ...
@overload
def sql(
    statement: str,
    values: Sequence[Any] = ...,
    *,
    as_of: AsOf = ...,
    timeout_s: float = ...,
    home: Path | str | None = ...,
    format: Literal["polars"],
) -> "pl.DataFrame": ...
@overload
def sql(
    statement: str,
    values: Sequence[Any] = ...,
    *,
    as_of: AsOf = ...,
    timeout_s: float = ...,
    home: Path | str | None = ...,
    format: Literal["arrow"],
) -> "pa.Table": ...
def sql(
    statement: str,
    values: Sequence[Any] = (),
    *,
    as_of: AsOf = None,
    timeout_s: float = TIMEOUT_S,
    home: Path | str | None = None,
    format: Literal["pandas", "polars", "arrow"] = "pandas",
) -> "pd.DataFrame | pl.DataFrame | pa.Table":
    """Answer one read-only statement, judged and limited as by `penumbra sql`.

    Parameters
    ----------
    statement
        In SQL, with ? for values.
    values
        Of the ?, in their order.
    as_of
        As of `read`.
    timeout_s : seconds
        Until it is refused.
    home
        The state folder; None: PENUMBRA_HOME, or data/ of the project.
    format
        "pandas", "polars" or "arrow".

    Returns
    -------
    DataFrame or pyarrow.Table
        The whole answer.

    Raises
    ------
    Refusal
        "read_only_sql", "sql_syntax", "sql_failed", "sql_timeout", "sql_memory", "relation": the sentence that `penumbra sql` prints.

    Examples
    --------
    >>> import penumbra
    >>> penumbra.sql("SELECT center FROM centers WHERE patients > ? ORDER BY center", [0], home="home")["center"].tolist()
    ['east', 'north', 'south']
    """
    _require_format(format)
    state = home_of(home)
    note_changes(state)
    return _framed(store.query(state, statement, values, as_of=_commit(state, as_of), timeout_s=timeout_s), format)


def _commit(home: Path, as_of: AsOf) -> int | None:
    """The number of the commit that is meant; None: the newest."""
    if as_of is None:
        return None
    if isinstance(as_of, dt.date):
        moment = as_of if isinstance(as_of, dt.datetime) else dt.datetime.combine(as_of, dt.time.max)
        with store.connect(home, read_only=True) as lake:
            return commit_at(lake, moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None))
    return store.commit_of(home, str(as_of))


def _require_format(format: str) -> None:
    if format not in FORMATS:
        raise Refusal("format_known", f"no format {str(format)[:40]!r}", choose(str(format)[:40], FORMATS, what="there are"))
    if format == "polars":
        extras.require("polars")


def _framed(table: "pa.Table", format: str) -> "pd.DataFrame | pl.DataFrame | pa.Table":
    if format == "arrow":
        return table
    if format == "polars":
        import polars as pl

        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame
    answer: pd.DataFrame = table.to_pandas()
    return answer
