"""One transaction of rows: what is new among those that arrive, and its entry in `commits`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from penumbra.base.refusal import Refusal
from penumbra.store.lake import utc_now
from penumbra.store.relations import RELATIONS, Relation, Rows, arrow_rows, relation_named
from penumbra.store.statements import quoted, statement
from penumbra.store.version import canonical_json

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FEATURE_RELATIONS = ("radiomics", "deep")
# Stages that refuse a patient whose image was accepted; a refusal of any other stage is lifted by accepting the image.
LATER_STAGES = ("populate", "train", "embed")
REMARK = "remark"  # stage of what was taken all the same: nothing has to be lifted
# But these remarks, which hold as long as the other patient's scan is in use, or the cell is as it was.
LIFTED = ("figures_alike", "clinical_value")

T = TypeVar("T")


class Written(Protocol):
    """What writing needs of a store.

    Parameters
    ----------
    commits
        How many were made since it was last compacted.

    Notes
    -----
    columns   name -> DuckDB type of a stored table's columns.
    require   make the relations that a statement names.
    transact  run something in one transaction of the one writer.
    tidy      compact after many small commits.
    """

    commits: int

    def require(self, statement: str | None) -> None: ...

    def columns(self, table: str) -> dict[str, str]: ...

    def transact(self, work: "Callable[[duckdb.DuckDBPyConnection], T]") -> T: ...

    def tidy(self) -> None: ...


New = Callable[["duckdb.DuckDBPyConnection", int], Mapping[str, "pa.Table"]]


def commit(store: Written, new: New, *, run: str, what: str) -> int | None:
    """Append what `new` finds to be new, in one transaction; returns the commit's number, None when there was nothing.

    Parameters
    ----------
    new
        Called inside the transaction with the connection and the number of this commit; gives relation -> rows without commit_id.
    """

    def work(connection: "duckdb.DuckDBPyConnection") -> int | None:
        newest = connection.execute("SELECT coalesce(max(id), 0) FROM lake.commits").fetchone()
        number = int(newest[0]) + 1 if newest else 1
        additions = {name: rows for name, rows in new(connection, number).items() if rows.num_rows}
        if not additions:
            return None
        for name, rows in additions.items():
            connection.register(f"incoming_{name}", rows)
            connection.execute(statement("append_rows", relation=name), [number])
            connection.unregister(f"incoming_{name}")
        counts = {name: rows.num_rows for name, rows in additions.items()}
        connection.execute(statement("append_commit"), [number, utc_now(), run, what, sum(counts.values()), canonical_json(counts)])
        return number

    number = store.transact(work)
    store.commits += number is not None
    store.tidy()
    return number


def write(store: Written, relations: "Mapping[str, Rows | pa.Table]", *, run: str, what: str) -> int | None:
    """Rows of several relations in one transaction; see Store.write."""
    now = utc_now()
    arriving: dict[str, pa.Table] = {}
    for name, rows in relations.items():
        relation_named(name)
        if name in FEATURE_RELATIONS:
            raise Refusal("relation", f"{name} takes whole vectors", "write them with write_features")
        arriving[name] = arrow_rows(name, rows, store.columns(name), now)

    store.require("rejections")  # before the transaction, which can write to one database only

    def new(connection: "duckdb.DuckDBPyConnection", number: int) -> dict[str, "pa.Table"]:
        return {name: _new_rows(connection, name, rows, arriving) for name, rows in arriving.items() if rows.num_rows}

    return commit(store, new, run=run, what=what)


def _new_rows(connection: "duckdb.DuckDBPyConnection", name: str, rows: "pa.Table", arriving: Mapping[str, "pa.Table"]) -> "pa.Table":
    relation = RELATIONS[name]
    if relation.growth == "rejections":
        return _new_rejections(connection, rows)
    connection.register(f"incoming_{name}", rows)
    keys = ", ".join(quoted(column) for column in relation.key)
    stored = connection.execute(statement("newest_rows", relation=name, key=keys)).to_arrow_table().to_pylist()
    homes = connection.execute(statement("elsewhere", relation=name)).fetchall() if relation.one_home else []
    connection.unregister(f"incoming_{name}")
    newest = {tuple(row[column] for column in relation.key): row for row in stored}
    at_home = {patient: center for patient, center, written, departed in homes if departed < written}
    reopened = {(patient, center): departed for patient, center, _, departed in homes}  # sent again: a new row even if nothing changed
    for person, commit in (_reopened(connection, arriving) if name == "images" else {}).items():
        reopened[person] = max(commit, reopened.get(person, 0))
    latest: dict[tuple[Any, ...], tuple[int, Mapping[str, Any]]] = {}
    for place, row in enumerate(rows.to_pylist()):
        key = tuple(row[column] for column in relation.key)
        if key in latest:
            _same_or_refuse(name, relation, key, latest[key][1], row, "twice in one write with different values")
            continue
        previous = newest.get(key)
        if relation.one_home and at_home.get(row["patient"], row["center"]) != row["center"]:
            fault = f"a patient of {name} has center {at_home[row['patient']]!r}, and now {row['center']!r}"
            advice = "a patient is at one center at a time; give the new one another name, or ingest the other center's table without the patient first"
            raise Refusal("fixed_column", fault, advice)
        if previous is not None and relation.growth == "immutable":
            _same_or_refuse(name, relation, key, previous, row, "stored already with another value")
        latest[key] = (place, row)
    additions = [
        place
        for key, (place, row) in latest.items()
        if key not in newest or _differing(relation, newest[key], row) or reopened.get(key[:2], 0) > newest[key]["commit_id"]
    ]
    return rows.take(places(additions))


def places(numbers: list[int]) -> "pa.Array":
    """Row numbers as an Arrow array, empty if there are none."""
    import pyarrow as pa

    return pa.array(numbers, pa.int64())


def _same_or_refuse(name: str, relation: Relation, key: tuple[Any, ...], stored: Mapping[str, Any], row: Mapping[str, Any], fault: str) -> None:
    differing = _differing(relation, stored, row)
    if differing:
        message = f"{_words(relation, key)} of {name} comes {fault}: {differing} was {stored[differing]!r}, now {row[differing]!r}"
        raise Refusal("immutable_row", message[:500], "what is stored never changes; give the changed definition a version of its own")


def _differing(relation: Relation, stored: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """The first column in which `row` differs from `stored`."""
    return next((column for column in row if column not in relation.ancillary and stored[column] != row[column]), None)


def _words(relation: Relation, key: tuple[Any, ...]) -> str:
    return ", ".join(f"{column} {value}" for column, value in zip(relation.key, key, strict=True))


def _reopened(connection: "duckdb.DuckDBPyConnection", arriving: Mapping[str, "pa.Table"]) -> dict[tuple[str, str], int]:
    """(patient, center) that a commit refused and none accepted since; accepting the same image again is new for them. Not those that this write refuses."""
    arrived = arriving["images"].column("patient").to_pylist()
    if not connection.execute("SELECT count(*) FROM lake.rejections WHERE list_contains(?, patient)", [arrived]).fetchall()[0][0]:
        return {}  # nearly always, and the view of current refusals takes a fifth of a second
    refusals = connection.execute("SELECT patient, center, stage, rule, commit_id FROM rejections WHERE patient IS NOT NULL").fetchall()
    refused = {(row["patient"], row["center"]) for row in arriving["rejections"].to_pylist()} if "rejections" in arriving else set()
    return {
        (patient, center): number + (rule in LIFTED)  # the remark is of the same commit as the image
        for patient, center, stage, rule, number in refusals
        if (stage not in (*LATER_STAGES, REMARK) or rule in LIFTED) and (patient, center) not in refused
    }


def _new_rejections(connection: "duckdb.DuckDBPyConnection", rows: "pa.Table") -> "pa.Table":
    """All rules that a patient broke at a stage, unless exactly these are recorded already."""
    current: dict[tuple[Any, ...], set[tuple[Any, Any]]] = {}
    for row in connection.execute("FROM rejections").to_arrow_table().to_pylist():
        current.setdefault(_refused(row), set()).add((row["rule"], row["found"]))
    arrived: dict[tuple[Any, ...], dict[tuple[Any, Any], int]] = {}
    for place, row in enumerate(rows.to_pylist()):
        arrived.setdefault(_refused(row), {}).setdefault((row["rule"], row["found"]), place)
    additions = [place for group, broken in arrived.items() if current.get(group) != set(broken) for place in broken.values()]
    return rows.take(places(sorted(additions)))


def _refused(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What was refused: a patient at a stage; where even the patient could not be read, the finding itself."""
    return (row["patient"], row["center"], row["stage"], None if row["patient"] is not None else (row["rule"], row["found"]))
