"""Withdrawal of a patient: deletes every row of every commit, then every file that held them; an anonymous tombstone remains."""

import contextlib
import json
import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal, choose
from penumbra.store.lake import utc_now
from penumbra.store.relations import RELATIONS
from penumbra.store.statements import statement
from penumbra.store.version import canonical_json

if TYPE_CHECKING:
    import duckdb

    from penumbra.store.session import Store

REMOVED, PURGED = "removed", "purged"
LEARNED = ("train", "update")  # splits of model_uses of those whose outcome is behind a number of the version


@dataclass(frozen=True)
class Traces:
    """What the store holds of one patient.

    Parameters
    ----------
    patient
        Its name in the store.
    center
        The one whose patient it is: another center may have, or have had, somebody of the same name.
    rows
        Relation -> stored rows, of all commits.
    uses
        (model/version, split) of every registered version that used the patient.
    predictions
        Model/version of every version that scored the patient.
    """

    patient: str
    center: str | None
    rows: dict[str, int]
    uses: tuple[tuple[str, str], ...]
    predictions: tuple[str, ...]

    @property
    def trained(self) -> tuple[str, ...]:
        """The versions among `uses` that learned from the patient: their models, or what they change for the patients of one center."""
        return tuple(sorted({label for label, split in self.uses if split in LEARNED}))


def traces(store: "Store", patient: str, center: str | None = None) -> Traces:
    """Find everything the store holds about a patient, in all commits.

    Parameters
    ----------
    store
        Open, from `connect`.
    patient
        Its name in the store.
    center
        Whose patient; None: the only center that the name is known from.

    Returns
    -------
    Traces
        Rows of each relation, and the versions that used or scored the patient.

    Raises
    ------
    Refusal
        "patient_stored", nothing at all: `no patient 'N009' in the store. ...`; "patient_of_one_center", the name is known from several centers:
        `north and south have, or had, a patient N001. ...`.

    Examples
    --------
    >>> from penumbra.store import connect, traces
    >>> with connect("home", read_only=True) as lake:
    ...     trace = traces(lake, "N001")
    >>> trace.center, trace.rows
    ('north', {'patients': 1, 'images': 1, 'radiomics': 1})
    """
    centers = sorted({row[0] for relation in _personal(store) for row in _tuples(store, "centers_of_patient", relation, [patient])})
    if center is None and len(centers) > 1:
        fault = f"{', '.join(centers[:-1])} and {centers[-1]} have, or had, a patient {patient}"
        raise Refusal("patient_of_one_center", fault, f"name the center: penumbra forget {patient} --center {centers[0]}")
    center = center or (centers[0] if centers else None)
    rows = {}
    for relation in _personal(store):
        count = int(_tuples(store, "count_patient", relation, [patient, center])[0][0])
        if count:
            rows[relation] = count
    if not rows:
        of = f" of {center}" if center else ""
        if centers and center not in centers:
            raise Refusal("patient_stored", f"no patient {patient!r}{of} in the store", f"the patient of this name is of {' and '.join(centers)}")
        patients = [str(row["patient"]) for row in store.sql("SELECT DISTINCT patient FROM patients").to_pylist()]
        raise Refusal(
            "patient_stored", f"no patient {patient!r}{of} in the store", choose(patient, patients, more='penumbra sql "SELECT patient, center FROM patients"')
        )
    label = "SELECT DISTINCT model || '/' || version AS label"
    uses = store.sql(f"{label}, split FROM model_uses WHERE patient = ? AND (center = ? OR center IS NULL) ORDER BY ALL", [patient, center]).to_pylist()
    scored = store.sql(f"{label} FROM stored.predictions WHERE patient = ? AND (center = ? OR center IS NULL) ORDER BY ALL", [patient, center]).to_pylist()
    return Traces(patient, center, rows, tuple((row["label"], row["split"]) for row in uses), tuple(row["label"] for row in scored))


def forget(store: "Store", patient: str, center: str | None = None, *, run: str, reason: str | None = None) -> Traces:
    """Remove a patient from every commit, then from every file and snapshot. Killed in between, `purge` finishes it.

    Parameters
    ----------
    store
        Open, from `connect`.
    patient
        Its name in the store.
    center
        Whose patient; None: the only center that the name is known from.
    run
        Who writes it, for `commits`.
    reason
        For the tombstone; nothing identifying.

    Returns
    -------
    Traces
        What was removed.

    Raises
    ------
    Refusal
        "patient_stored", "patient_of_one_center".

    Examples
    --------
    >>> from penumbra.store import connect, forget, unfinished
    >>> with connect("home") as lake:
    ...     forget(lake, "N001", run="example").rows["patients"]
    ...     unfinished(lake), [row["patient"] for row in lake.rows("patients")]
    1
    (False, ['N002'])
    """
    trace = traces(store, patient, center)
    name = uuid.uuid4().hex[:12]  # random: it cannot be computed from the patient

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        removed: dict[str, dict[int, int]] = {}
        for relation in _personal(store):
            counts = connection.execute(statement("count_patient_by_commit", relation=relation), [patient, trace.center]).fetchall()
            if counts:
                removed[relation] = {int(commit): int(rows) for commit, rows in counts}
                connection.execute(statement("delete_patient", relation=relation), [patient, trace.center])
        mention = f" of patient {patient} of {trace.center}"  # in what another patient with the same scan was refused for
        for commit, rows in connection.execute(statement("count_mentions_by_commit"), [mention]).fetchall():
            counts_of = removed.setdefault("rejections", {})
            counts_of[int(commit)] = counts_of.get(int(commit), 0) + int(rows)
        connection.execute(statement("delete_mentions"), [mention])
        _correct_commits(connection, removed)
        total = canonical_json({relation: sum(counts.values()) for relation, counts in removed.items()})
        _append(connection, [name, REMOVED, total, list(trace.trained), reason], run, "a patient was forgotten")

    store.transact(work)
    purge(store, run=run)
    return trace


def unfinished(store: "Store") -> bool:
    """Tell whether the values of a removed patient may still be in files.

    Parameters
    ----------
    store
        Open, from `connect`.

    Returns
    -------
    bool
        True: `purge` has to finish it.

    Examples
    --------
    >>> from penumbra.store import connect, unfinished
    >>> with connect("home", read_only=True) as lake:
    ...     unfinished(lake)
    False
    """
    return bool(store.sql("SELECT count(*) AS n FROM withdrawals WHERE state = ?", [REMOVED]).column("n")[0].as_py())


def purge(store: "Store", *, run: str) -> None:
    """Rewrite every file that has removed rows, and let go of all older snapshots and files at once; a concurrent reader has to ask again.

    Parameters
    ----------
    store
        Open, from `connect`.
    run
        Who writes it, for `commits`.

    Raises
    ------
    Refusal
        "files_removed": `3 files of the store could not be removed, such as ... ...`.

    Examples
    --------
    >>> from penumbra.store import connect, purge, unfinished
    >>> with connect("home") as lake:
    ...     purge(lake, run="example")
    ...     unfinished(lake)
    False
    """
    with store.exclusively() as connection:
        for step in ("rewrite_files", "expire_all_snapshots", "remove_all_files", "remove_orphaned_files"):
            connection.execute(statement(step)).fetchall()
        remaining = connection.execute(statement("left_files")).fetchall()
    if remaining:  # object storage answers politely when the key may not remove
        fault = f"{len(remaining)} files of the store could not be removed, such as {Path(str(remaining[0][0])).name}"
        raise Refusal("files_removed", fault, "allow penumbra to remove them (s3:DeleteObject), then run penumbra forget again")
    _vacuum(store)

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        for row in connection.execute(statement("unpurged")).fetchall():
            _append(connection, [row[0], PURGED, *row[1:]], run, "the files of a forgotten patient are gone")

    store.transact(work)


def _tuples(store: "Store", name: str, relation: str, parameters: list[str | None]) -> list[tuple[Any, ...]]:
    rows = store.sql(statement(name, relation=relation), parameters).to_pylist()
    return [tuple(row.values()) for row in rows]


def _personal(store: "Store") -> list[str]:
    """The stored tables with rows about patients."""
    return [relation for relation in RELATIONS if "patient" in store.columns(relation)]


def _append(connection: "duckdb.DuckDBPyConnection", values: list[object], run: str, what: str) -> None:
    """Append one row of withdrawals and its commit."""
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM lake.commits").fetchone()
    number, at = (int(newest[0]) if newest else 0) + 1, utc_now()
    connection.execute("INSERT INTO lake.withdrawals VALUES (?, ?, ?, ?, ?, ?, ?)", [*values, at, number])
    connection.execute(statement("append_commit"), [number, at, run, what, 1, canonical_json({"withdrawals": 1})])


def _correct_commits(connection: "duckdb.DuckDBPyConnection", removed: dict[str, dict[int, int]]) -> None:
    """Correct the row counts of each commit: a commit that lists more rows than it has would look like damage."""
    for commit in sorted({commit for counts in removed.values() for commit in counts}):
        row = connection.execute("SELECT relations FROM lake.commits WHERE id = ?", [commit]).fetchone()
        listed = json.loads(row[0]) if row else {}
        for relation, counts in removed.items():
            if commit in counts:
                listed[relation] = listed.get(relation, 0) - counts[commit]
        remaining = {relation: rows for relation, rows in listed.items() if rows}
        connection.execute('UPDATE lake.commits SET relations = ?, "rows" = ? WHERE id = ?', [canonical_json(remaining), sum(remaining.values()), commit])


def _vacuum(store: "Store") -> None:
    """Deleted rows of the catalog (it keeps the smallest and largest value of every column) stay in its pages until these are rewritten."""
    if store.lake.catalog is not None:
        for step in ("ANALYZE", "VACUUM (FULL)"):  # first, since the server's own statistics hold samples of every column
            store.connection.execute(f"CALL postgres_execute('__ducklake_metadata_lake', '{step}', use_transaction => false)")
        return
    with contextlib.closing(sqlite3.connect(store.lake.file, timeout=60, isolation_level=None)) as catalog:
        catalog.execute("VACUUM")
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
