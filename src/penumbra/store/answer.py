"""SQL for users: one read-only query, answered from the relations alone, within limits."""

import contextlib
import importlib
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from penumbra.base import resources
from penumbra.base.refusal import Refusal
from penumbra.base.tables import MAX_ROWS, Answer
from penumbra.store import hints, postgres
from penumbra.store.guard import Verdict
from penumbra.store.judging import JUDGE
from penumbra.store.kept_keys import KeptKeys
from penumbra.store.lake import patiently
from penumbra.store.limits import in_time, lock
from penumbra.store.session import Store, connect
from penumbra.store.statements import literal
from penumbra.store.statements import statement as named
from penumbra.store.views import relation_names

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TIMEOUT_S = 120.0
MEMORY = "2GB"
TOTAL = b"penumbra.rows"  # in the schema of an answer: how many rows there are
MAX_BYTES = 2 * 1024**3  # of the answer
BATCH_ROWS = 65_536
MAX_COUNTED_VALUES = 5_000_000  # values of rows that are counted and not shown: about half a second
COUNTED_ROWS = 2048  # at a time, as the engine hands them out

Result = TypeVar("Result")


def query(
    home: Path | str,
    sql: str,
    values: Sequence[Any] = (),
    *,
    as_of: int | None = None,
    timeout_s: float = TIMEOUT_S,
    memory: str = MEMORY,
    max_rows: int | None = None,
    first: int | None = None,
    verdict: Verdict | None = None,
) -> "pa.Table":
    """Answer one statement; never wait for a writer, never make one wait.

    The statement is judged before the store's engine sees it, in a process that holds nothing (penumbra.store.judging).

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).
    sql
        One read-only statement.
    values
        Of its ?, in order.
    as_of
        A commit's number: every relation as it was then.
    timeout_s : seconds
        For the statement.
    memory
        Of the engine, such as "2GB".
    max_rows
        An answer with more is refused; None: no limit but two gigabytes.
    first
        Only so many rows; the others are counted, see `penumbra.store.answer.counted`.
    verdict
        On this statement, where it has been judged already.

    Returns
    -------
    pyarrow.Table
        The whole answer.

    Raises
    ------
    Refusal
        "read_only_sql", "sql_syntax", "relation" (`no relation 'patien'. Did you mean patients?`), "sql_failed", "sql_timeout" (`no answer within 120 s. ...`),
        "sql_memory" (`the statement needs more than 2GB. ...`), "sql_rows" (`the answer has more than 60 rows. ...`), "store_exists", "commit".

    Examples
    --------
    >>> from penumbra.store import query
    >>> query("home", "SELECT patient, age FROM patients WHERE event").to_pylist()
    [{'patient': 'N001', 'age': 61.0}]
    """
    question = Question(Path(home), sql, as_of, timeout_s, memory, verdict, tuple(values), first, max_rows)
    return _ask(question, lambda connection, statement: _answer(connection, statement, question))


def first_rows(home: Path | str, sql: str, max_rows: int, *, as_of: int | None = None, timeout_s: float = TIMEOUT_S, memory: str = MEMORY) -> Answer:
    """Answer one statement with its first rows and how many it has, for a person to look at; otherwise as `query`.

    Neither Arrow nor numpy is imported for it, which is 0.06 to 0.1 s of one question. Rows after the first are counted and dropped, up to some millions
    of values.

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).
    sql
        The statement.
    max_rows
        Maximum rows returned.
    as_of
        A commit's number: every relation as it was then.
    timeout_s : seconds
        For the statement.
    memory
        Of the engine, such as "2GB".

    Returns
    -------
    Answer
        Columns, the first rows, and the number of all.

    Examples
    --------
    >>> from penumbra.store import first_rows
    >>> answer = first_rows("home", "SELECT patient, age FROM patients ORDER BY age", 1)
    >>> answer.columns, answer.rows, answer.total
    (('patient', 'age'), [('N001', 61.0)], 2)
    """
    return _ask(Question(Path(home), sql, as_of, timeout_s, memory), lambda connection, statement: _first(connection, statement, timeout_s, max_rows))


def for_format(home: Path | str, sql: str, form: str, *, as_of: int | None = None, timeout_s: float = TIMEOUT_S, memory: str = MEMORY) -> "Answer | pa.Table":
    """Answer one statement with what `tables.write` needs to write it in a format.

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).
    sql
        The statement.
    form
        "table", or another format of `tables.write`.
    as_of
        A commit's number: every relation as it was then.
    timeout_s : seconds
        For the statement.
    memory
        Of the engine, such as "2GB".

    Returns
    -------
    Answer or pyarrow.Table
        The first rows for "table"; the whole answer for others.

    Examples
    --------
    >>> from penumbra.store import for_format
    >>> type(for_format("home", "SELECT patient FROM patients", "csv")).__name__
    'Table'
    """
    if form == "table":
        return first_rows(home, sql, MAX_ROWS, as_of=as_of, timeout_s=timeout_s, memory=memory)
    return query(home, sql, as_of=as_of, timeout_s=timeout_s, memory=memory)


@dataclass(frozen=True)
class Question:
    """A statement and the store it is run on."""

    home: Path
    sql: str
    as_of: int | None
    timeout_s: float
    memory: str
    verdict: Verdict | None = None
    values: tuple[Any, ...] = ()
    first: int | None = None
    max_rows: int | None = None


def prepare(store: Store, memory: str, *, every: bool = True) -> None:
    """Make what a statement may use besides the relations, and lock the engine. every: also the tables as some clients list them."""
    for macros in ("catalog", "catalog_tables") if every else ("catalog",):
        store.connection.execute(named(macros))
    lock(store, memory)


def from_open_store(store: Store, keys: KeptKeys, connection: "duckdb.DuckDBPyConnection", question: Question, verdict: Verdict) -> "pa.Table":
    """The whole answer from a store that is open and prepared; otherwise as `query`.

    Parameters
    ----------
    keys
        Of this store.
    connection
        To the same engine; with it goes whatever the statement leaves behind.
    """
    try:
        return patiently(lambda: _over_its_views(store, connection, question.sql, verdict, lambda statement: _answer(connection, statement, question), keys))
    except Exception as error:
        raise _sentence(error, store, question.sql, relation_names(question.home), question.timeout_s, question.memory) from None


def _ask(question: Question, take: "Callable[[duckdb.DuckDBPyConnection, str], Result]") -> "Result":
    """Return the result of `take` for the statement, once it is allowed to run, on a locked connection."""
    sql, verdict = question.sql, question.verdict
    if verdict is None and JUDGE.begin():  # otherwise the judge starts while the store opens
        verdict = JUDGE.ask(sql, relation_names(question.home))
    with connect(question.home, read_only=True, as_of=question.as_of, stored=()) as store:
        if verdict is None:
            verdict = JUDGE.ask(sql, relation_names(question.home))
        try:
            prepare(store, question.memory, every="duckdb_tables" in sql.lower())
            judged = verdict
            return patiently(lambda: _over_its_views(store, store.connection, sql, judged, lambda statement: take(store.connection, statement)))
        except Exception as error:
            raise _sentence(error, store, sql, relation_names(question.home), question.timeout_s, question.memory) from None


def _over_its_views(
    store: Store,
    connection: "duckdb.DuckDBPyConnection",
    sql: str,
    verdict: Verdict,
    take: Callable[[str], Result],
    keys: KeptKeys | None = None,
) -> Result:
    """Return the result of `take` over views with what the statement needs of them; over whole ones where the engine finds something missing."""
    import duckdb

    narrowed = store.views.narrowable(sql, verdict.columns, verdict.features)
    if narrowed:
        store.views.require_others(store.connection, sql, narrowed)
        try:
            with _one_moment(connection, keys):
                store.views.narrow(connection, narrowed)
                return take(_spoken(verdict))
        except (duckdb.BinderException, duckdb.CatalogException):
            pass  # the engine's words about a whole view name what there is; the temporary ones went with the transaction
    whole = verdict.every or verdict.described is not None or keys is not None
    store.views.require(store.connection, None if verdict.every else sql, comments=whole)
    with _one_moment(connection, keys):
        return take(_spoken(verdict))


@contextlib.contextmanager
def _one_moment(connection: "duckdb.DuckDBPyConnection", keys: KeptKeys | None) -> Iterator[None]:
    """In one transaction, of which nothing stays: the engine reads the store's catalog once for all statements in it."""
    import duckdb

    if keys is None:
        connection.execute("BEGIN TRANSACTION")
    else:
        keys.begin(connection)
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")


def import_meanwhile(*modules: str) -> threading.Thread:
    """Import what is needed later in a thread of its own, while the engine opens the store without holding Python's lock: 0.08 s less.

    The engine is imported first, and the thread is to be joined before the modules are used: two threads that import the same packages may wait for each
    other.
    """
    import duckdb  # noqa: F401

    def load() -> None:
        with contextlib.suppress(ImportError, MemoryError, OSError):  # the import where it is needed says what is wrong, in one sentence
            for module in modules:
                importlib.import_module(module)

    thread = threading.Thread(target=load, name="imports")
    thread.start()
    return thread


def counted(table: "pa.Table") -> int:
    """How many rows an answer has of which only the first were asked for."""
    return int((table.schema.metadata or {}).get(TOTAL, table.num_rows))


def _answer(connection: "duckdb.DuckDBPyConnection", statement: str, question: Question) -> "pa.Table":
    import pyarrow as pa

    first, max_rows = question.first, question.max_rows
    with in_time(connection, question.timeout_s) as check:
        # The first parameter makes DuckDB import what converts it, so none is passed where there is none.
        cursor = connection.execute(statement, list(question.values)) if question.values else connection.execute(statement)
        reader = cursor.to_arrow_reader(BATCH_ROWS)
        batches, rows, size = [], 0, 0
        for every in reader:
            batch = every if first is None else every.slice(0, max(0, first - rows))
            rows, size = rows + every.num_rows, size + batch.nbytes
            if size > MAX_BYTES or (max_rows is not None and rows > max_rows):
                limit = f"more than {max_rows} rows" if size <= MAX_BYTES else "more than two gigabytes"
                raise Refusal("sql_rows", f"the answer has {limit}", "add LIMIT, a filter or an aggregate")
            check()
            batches.append(batch)
        table = pa.Table.from_batches(batches, schema=reader.schema)
        return table if first is None else table.replace_schema_metadata({TOTAL: str(rows)})


def _first(connection: "duckdb.DuckDBPyConnection", statement: str, timeout_s: float, max_rows: int) -> Answer:
    with in_time(connection, timeout_s) as check:
        cursor = connection.execute(statement)
        description = cursor.description or []
        rows = cursor.fetchmany(max_rows)
        total = len(rows)
        while rows and total * len(description) < MAX_COUNTED_VALUES:
            more = len(cursor.fetchmany(COUNTED_ROWS))
            total += more
            if not more:
                break
            check()
        else:
            more = len(cursor.fetchmany(1)) if rows else 0
        names, types = (tuple(str(entry[place]) for entry in description) for place in (0, 1))
        return Answer(names, rows, types, total, not more)


def _spoken(verdict: Verdict) -> str:
    """The statement to run: the user's own, or, where it lists or describes relations, one of ours that shows their comments."""
    if verdict.listed:
        return named("relations")
    if verdict.described:
        return named("described_columns", relation=verdict.described.lower())
    return verdict.statement


def _sentence(error: Exception, store: Store, sql: str, relations: Collection[str], timeout_s: float, memory: str) -> Exception:
    """The engine's error about the statement as a refusal of one sentence with advice; any other error unchanged."""
    import duckdb

    text = str(error).split("\n")[0]
    if "Interrupted" in text or isinstance(error, duckdb.InterruptException):
        return Refusal("sql_timeout", f"no answer within {timeout_s:g} s", "narrow the query or raise --timeout")
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return Refusal("sql_memory", f"the statement needs more than {memory}", "ask for fewer columns or rows, or aggregate")
    if isinstance(error, Refusal):
        return error
    if isinstance(error, duckdb.IOException | OSError | MemoryError) and (exhaustion := resources.refusal_of(error, store.lake.folder.parent)) is not None:
        return exhaustion
    if store.lake.catalog is not None and (lost := postgres.reached(error, store.lake.catalog)) is not None:
        return lost
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return Refusal("sql_failed", "the engine fails on this statement", "rephrase the query and report this: it is an engine bug")
    if isinstance(error, duckdb.Error | OSError):
        whole = str(error)
        for folder in (store.lake.data_path.rstrip("/"), str(store.lake.folder.resolve())):
            whole = whole.replace(folder, "the store")
        return Refusal("sql_failed", *hints.of_engine(whole, sql, _columns_of(store, sql, relations))).at(hints.place(whole, sql))
    return error


def _columns_of(store: Store, sql: str, relations: Collection[str]) -> dict[str, list[str]]:
    """The columns of every relation that the statement names."""
    import duckdb

    mentioned = {word.lower() for word in re.findall(r"\w+", sql)}
    names = sorted(mentioned.intersection(relations))
    by_relation: dict[str, list[str]] = {name: [] for name in names}
    if not names:
        return by_relation
    listed = ", ".join(map(literal, names))
    asking = f"SELECT table_name, column_name FROM duckdb_columns() WHERE table_name IN ({listed}) ORDER BY column_index"  # noqa: S608 known names
    try:
        rows = store.connection.execute(asking).fetchall()
    except duckdb.Error:  # the connection itself may have failed
        return by_relation
    for name, column in rows:
        if column not in by_relation[name]:
            by_relation[name].append(column)
    return by_relation
