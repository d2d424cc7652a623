"""An open store, as the packages above use it."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from penumbra.base import resources
from penumbra.base.params import project_root
from penumbra.base.project import part_of
from penumbra.base.refusal import Refusal
from penumbra.store.lake import Lake, momentary, open_engine, open_for_writing, patiently, pauses
from penumbra.store.migrating import migrated_to, migrations
from penumbra.store.postgres import without_password
from penumbra.store.relations import Rows
from penumbra.store.statements import statement as named
from penumbra.store.views import STORED, Views
from penumbra.store.writer import write

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

T = TypeVar("T")

MIGRATING_S = 3.0  # a reader waits this long for a store that is being made or migrated
MERGED_FILES = 4  # new files of a table in one transaction of a compaction
SMALL_BYTES = 64 * 1024**2  # a file that has reached this is not written again
MANY_COMMITS = 20  # small ones cost a reader more than compacting costs the writer
MANY_FILES = 100  # small ones of a table by any writer: each costs 0.2 to 0.3 ms of every append that meets its key, and of every reader


class Store:
    """A connection to the store of one home; made by `connect`, closed by `with` or `close`.

    Parameters
    ----------
    lake
        The store's place and its lock.
    connection
        To the engine, with the store attached.
    views
        The relations that users see.
    read_only
        Whether writing is refused.
    """

    def __init__(self, lake: Lake, connection: "duckdb.DuckDBPyConnection", views: Views, *, read_only: bool) -> None:
        self.lake = lake
        self.connection = connection
        self.views = views
        self.read_only = read_only
        self._columns: dict[str, dict[str, str]] = {}
        self.commits = 0  # made by this connection and not compacted yet
        self.turn = threading.RLock()  # a DuckDB connection serves one thread at a time

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.connection.interrupt()  # a statement that was given up computes on, and `close` would wait for its end, deaf to every signal
            self.commits = 0  # nothing is compacted with a server or a disk that may be gone
        self.close()

    def close(self) -> None:
        """Give the connection back; what was committed stays. Many small commits are compacted first, by any writer."""
        try:
            if self.commits >= MANY_COMMITS or (self.commits and self._small_files() >= MANY_FILES):
                self.compact()
        finally:
            self.commits = 0
            self.connection.close()

    def compact(self) -> None:
        """Put the rows of small commits together into larger files, a part at a time: other writers have their turn in between.

        Values, commits and as-of stay as they are.
        """
        merge, more = named("compact_files", outputs=str(MERGED_FILES), max_bytes=str(SMALL_BYTES)), True
        while more:
            with self.exclusively() as connection:
                tables = [row[1] for row in connection.execute(merge).fetchall()]  # a row for each new file
            more = any(tables.count(table) >= MERGED_FILES for table in set(tables))
        with self.exclusively() as connection:
            for step in ("expire_snapshots", "remove_files", "remove_left_files"):
                connection.execute(named(step))
            self.commits = 0

    def tidy(self) -> None:
        """Compact between many small commits: the cost of each would grow with their number."""
        if self.commits >= MANY_FILES:
            self.compact()

    def _small_files(self) -> int:
        return int(self.sql(named("small_files", max_bytes=str(SMALL_BYTES))).column(0)[0].as_py())

    @contextlib.contextmanager
    def exclusively(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Hold the connection as the one writer, outside a transaction.

        Yields
        ------
        duckdb.DuckDBPyConnection
            The connection.

        Raises
        ------
        Refusal
            "read_only_store": `this connection only reads. ...`.
        """
        if self.read_only:
            raise Refusal("read_only_store", "this connection only reads", "connect without read_only to write")
        with self.turn, self.lake.alone(self.connection), self.lake.errors_as_refusals():
            yield self.connection

    @property
    def as_of(self) -> int | None:
        """The commit that the relations are shown as of; None: the newest."""
        return self.views.as_of

    def write(self, relations: "Mapping[str, Rows | pa.Table]", *, run: str, what: str) -> int | None:
        """Append rows to one or several relations in one transaction.

        Parameters
        ----------
        relations
            Name -> dicts (a column left out is NULL) or an Arrow table. Which rows are new is declared in penumbra.store.relations.
        run, what
            Who wrote it and why, for `commits`.

        Returns
        -------
        int | None
            The commit's number; None when every row was there already.

        Raises
        ------
        Refusal
            "immutable_row", "fixed_column", "relation_columns", "relation_value", "relation_key", "read_only_store", "store_busy".
        """
        return write(self, relations, run=run, what=what)

    def require(self, statement: str | None) -> None:
        """Make the relations that a statement names.

        Parameters
        ----------
        statement
            In SQL; None: all relations.
        """
        with self.turn, self.lake.errors_as_refusals():
            patiently(lambda: self.views.require(self.connection, statement))

    def sql(self, statement: str, parameters: Sequence[Any] = ()) -> "pa.Table":
        """Answer a statement of this program (trusted; `query` is for people) from the relations.

        Parameters
        ----------
        statement
            In SQL, with ? for parameters.
        parameters
            Values of the ?, in order.

        Returns
        -------
        pyarrow.Table
            The whole answer.
        """
        self.require(statement)
        with self.turn, self.lake.errors_as_refusals():
            return patiently(lambda: self.connection.execute(statement, list(parameters)).to_arrow_table())

    def rows(self, relation: str) -> list[dict[str, Any]]:
        """Read all rows of one relation.

        Parameters
        ----------
        relation
            Its name.

        Returns
        -------
        list
            A dict per row, in the order of the columns.

        Raises
        ------
        Refusal
            "relation": `no relation 'patien'. ...`.
        """
        if relation not in self.views.names():
            raise Refusal("relation", f"no relation {relation!r}", f"use one of {', '.join(self.views.names())}")
        answer: list[dict[str, Any]] = self.sql(f"FROM {relation} ORDER BY ALL").to_pylist()
        return answer

    def columns(self, table: str) -> dict[str, str]:
        """Read the columns of a stored table.

        Parameters
        ----------
        table
            Its name.

        Returns
        -------
        dict
            Name -> DuckDB type.
        """
        with self.turn, self.lake.errors_as_refusals():
            if table not in self._columns:
                self._columns[table] = dict(patiently(lambda: self.connection.execute(named("stored_columns", relation=table)).fetchall()))
            return self._columns[table]

    def transact(self, work: "Callable[[duckdb.DuckDBPyConnection], T]") -> T:
        """Run something in one transaction of the one writer; see Lake.transact.

        Parameters
        ----------
        work
            Called with the connection; again where another writer came first.

        Returns
        -------
        object
            What `work` returned.

        Raises
        ------
        Refusal
            As `exclusively`.
        """
        if self.read_only:
            raise Refusal("read_only_store", "this connection only reads", "connect without read_only to write")
        with self.turn:
            return self.lake.transact(self.connection, work)

    def newest_commit(self) -> int:
        """Read the number of the newest commit, or of the one the store is shown as of.

        Returns
        -------
        int
            0 when nothing was written.
        """
        return int(self.sql("SELECT coalesce(max(id), 0) FROM stored.commits").column(0)[0].as_py())


def connect(
    home: Path | str,
    *,
    read_only: bool = False,
    as_of: int | None = None,
    catalog: str | None = None,
    schema_root: Path | None = None,
    stored: Collection[str] = STORED,
) -> Store:
    """Open the store of `home`, and create it or bring it to the newest schema when it is opened for writing.

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME); the store is its subfolder `store`.
    read_only
        Refuse to write; nothing is created.
    as_of
        A commit's number: every relation as it was when that commit had just been made; implies read_only.
    catalog
        `postgresql://user@host:port/database`; None: what PENUMBRA_CATALOG says, or an SQLite file in the store.
    schema_root
        The folder with rois.yaml, schema/ and views/; None: `features/` of the project.
    stored
        Tables that are in the schema `stored` at once; of the others those that a statement's relations are made of follow with it.

    Returns
    -------
    Store
        Open; to be closed, as `with` does.

    Raises
    ------
    Refusal
        "store_exists" when there is nothing to read: `no feature store in ... Run `penumbra run` or `penumbra ingest` first.`; "commit" for an as_of that
        never was: `no commit 9; the newest is 3. ...`; "schema_older", "schema_newer", "catalog", "catalog_reached", "files", "files_reached".

    Examples
    --------
    >>> from penumbra.store import connect
    >>> with connect("home") as lake:
    ...     lake.write({"centers": [{"center": "south"}]}, run="example", what="a new center")
    5
    >>> with connect("home", as_of=1) as lake:
    ...     [row["center"] for row in lake.rows("centers")]
    ['north']
    """
    features = schema_root or project_root(home) / "features"
    lake, read_only = Lake(Path(home), catalog), read_only or as_of is not None
    if read_only and not lake.exists():
        raise _nothing(lake)
    connection = open_engine()
    try:
        with lake.errors_as_refusals():
            (_attach_to_read if read_only else open_for_writing)(lake, connection, part_of(features, "schema"))
        views = Views(features, as_of)
        patiently(lambda: views.prepare(connection, stored))
        store = Store(lake, connection, views, read_only=read_only)
        if as_of is not None:
            newest = patiently(lambda: _newest(connection))
            if not 0 <= as_of <= newest:
                raise Refusal("commit", f"no commit {as_of}; the newest is {newest}", 'see penumbra sql "SELECT * FROM commits"')
    except BaseException:
        connection.close()
        raise
    return store


def require(home: Path | str) -> None:
    """Refuse a home without a store, which `connect` would make.

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).

    Raises
    ------
    Refusal
        "store_exists": `no feature store in ... Run `penumbra run` or `penumbra ingest` first.`

    Examples
    --------
    >>> from penumbra.store import require
    >>> require("home")
    """
    lake = Lake(Path(home), None)
    if not lake.exists():
        raise _nothing(lake)


def _nothing(lake: Lake) -> Refusal:
    return Refusal("store_exists", f"no feature store in {without_password(lake.catalog or str(lake.folder))}", "run `penumbra run` or `penumbra ingest` first")


def _newest(connection: "duckdb.DuckDBPyConnection") -> int:
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM lake.commits").fetchall()[0][0])


def _attach_to_read(lake: Lake, connection: "duckdb.DuckDBPyConnection", schema: Path) -> None:
    """Attach for reading; wait for a migration that another process is running."""
    import duckdb

    newest, started, file = len(migrations(schema)), time.monotonic(), None
    for pause in pauses("the store has been migrated"):
        late = time.monotonic() - started > MIGRATING_S
        try:
            lake.attach(connection, read_only=True, file=file)
            reached = migrated_to(connection)
        except duckdb.Error as error:
            if resources.exhausted(error) and (copied := lake.read_aside()) is not None:
                file = copied
                continue
            if late and "creating a new DuckLake is explicitly disabled" in str(error):
                raise _nothing(lake) from None
            if late and not momentary(error):
                raise
            reached = 0
        if reached == newest:
            return
        if reached > newest:
            raise Refusal("schema_newer", f"the store has schema {reached}, this program knows {newest}", "update penumbra")
        if late and not reached:
            raise _nothing(lake)
        connection.execute("DETACH DATABASE IF EXISTS lake")
        if reached:
            _bring_up_to_date(lake, schema, reached, newest)
        else:
            time.sleep(pause)


def _bring_up_to_date(lake: Lake, schema: Path, reached: int, newest: int) -> None:
    """Migrate a store of an earlier schema before it is read: a home that was written before opens as it did.

    Raises
    ------
    Refusal
        "schema_older" where this process may not write to it.
    """
    import duckdb

    with contextlib.closing(open_engine()) as engine:
        try:
            open_for_writing(lake, engine, schema)
        except (OSError, duckdb.Error) as error:
            if momentary(error):
                return
            advice = "run one penumbra command as a user who may write to the store"
            raise Refusal("schema_older", f"the store has schema {reached} of {newest} and cannot be migrated here", advice) from error
