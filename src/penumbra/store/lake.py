"""The table format: a DuckLake whose catalog is an SQLite file (or PostgreSQL) and whose rows are Parquet files (or objects). Nothing else knows it."""

import contextlib
import datetime as dt
import fcntl
import importlib.util
import os
import random
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from penumbra.base import resources
from penumbra.base.params import catalog_uri
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_file, write_whole
from penumbra.store import objects, postgres
from penumbra.store.migrating import migrate, migrated_to, migrations
from penumbra.store.statements import literal

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

EXTENSIONS = ("sqlite_scanner", "ducklake")
CATALOG_FILE = "catalog.sqlite"
ADDRESS_FILE = "catalog.uri"  # where the catalog is, when it is not the file next to this one
LOCK_FILE = "writer.lock"
# Small commits stay in the catalog until they are compacted: a Parquet file a commit would make reading slower than writing.
INLINED_ROWS = 0
NO_FOLDER = "/dev/null"  # of secrets: none is written to disk or taken from there (the engine's own switch for that breaks postgres_scanner 1.5.5)
BUSY_MS = 30_000
WAIT_S = 600.0  # a writer gives up after this long behind others
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.5
# How a busy catalog words it; "locking protocol" is SQLite after a hundred lost races for a place in the write-ahead log.
MOMENTARY = (
    *("database is locked", "database table is locked", "locking protocol", "conflict", "could not serialize", "deadlock"),
    *("too many clients", "remaining connection slots", "the database system is starting up"),
)
TAKEN_AWAY = ("Cannot open file", "(HTTP 404 ")  # what a reader gets that had begun when a patient was forgotten
ASK_AGAIN = 3
# How the engine words a Parquet file that is gone, cut or overwritten, and a catalog that is no longer SQLite.
SPOILED_FILE = (
    *(*TAKEN_AWAY, "No files found that match", "Invalid footer", "No magic bytes", "too small to be a Parquet file", "Failed to read file"),
    *("ecompression failure", "TProtocolException", "Out of buffer"),
)
SPOILED_CATALOG = ("file is not a database", "disk image is malformed")


def store_folder(home: Path) -> Path:
    """The folder of the store of `home`."""
    return home / "store"


def open_engine() -> "duckdb.DuckDBPyConnection":
    """An empty DuckDB in memory with DuckLake loaded from the installed extension packages; nothing is downloaded.

    The two extensions are loaded without their signature: checking it hashes 70 MB, 0.25 s of every command, and set-up has compared the packages with the
    hashes in requirements.lock. From then on this connection asks for signatures again.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "secret_directory": NO_FOLDER,
        "allow_unsigned_extensions": "true",
    }
    if os.environ.get("OMP_NUM_THREADS", "").isdecimal():  # a scheduler's word for this process's share, which DuckDB does not read; else every core
        config["threads"] = max(1, int(os.environ["OMP_NUM_THREADS"]))
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET python_enable_replacements = false")  # a table name never means a Python variable
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() != (False,):  # in a notebook without ipywidgets no SET of it passes
        connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")  # now() and today are those of the store's times, wherever the machine is
    for name in EXTENSIONS:
        load_extension(connection, name)
    connection.execute("SET allow_unsigned_extensions = false")
    return connection


def load_extension(connection: "duckdb.DuckDBPyConnection", name: str) -> None:
    """Load one extension by the file path inside its Python package.

    Raises
    ------
    Refusal
        "extension": the package is not installed.
    """
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    files = [file for folder in (package.submodule_search_locations or ()) for file in Path(folder).rglob("*.duckdb_extension")] if package else []
    if not files:
        raise Refusal("extension", f"the package duckdb_extension_{name} is not installed", "install requirements.lock")
    connection.execute(f"LOAD {literal(str(files[0]))}")


class Lake:
    """A catalog and how to attach it, lock it for one writer, and run a transaction on it."""

    def __init__(self, home: Path, catalog: str | None = None) -> None:
        """Take a PostgreSQL database, or without an address what PENUMBRA_CATALOG says, or the store's folder, or an SQLite file in it."""
        self.folder = store_folder(home)
        self.catalog = self._catalog_address(catalog or catalog_uri())
        if self.catalog is not None:
            postgres.connection_string(self.catalog)
        self.aside: Path | None = None  # of `read_aside`, which learns of no commit; gone with this object
        exists = self.file.is_file() if self.catalog is None else objects.remembered(self.folder) is not None
        self.files = objects.store_address(self.folder, exists=exists)

    def _catalog_address(self, requested: str | None) -> str | None:
        """Where the catalog is; a store keeps to the one that it began with, also for a process that was started without the setting."""
        address = self.folder / ADDRESS_FILE
        recorded = address.read_text(encoding="utf-8").strip() if address.is_file() else None
        if recorded and requested and postgres.without_password(requested) != recorded:
            fault = f"the store in {self.folder} has its catalog at {recorded}, not at {postgres.without_password(requested)}"
            raise Refusal("catalog", fault, "unset PENUMBRA_CATALOG, or move the store with penumbra export and import")
        if requested and not recorded and self.file.is_file():
            fault = f"the store in {self.folder} has its catalog in {CATALOG_FILE}, not at {postgres.without_password(requested)}"
            raise Refusal("catalog", fault, "unset PENUMBRA_CATALOG, or move the store with penumbra export and import")
        return requested or recorded

    @property
    def file(self) -> Path:
        return self.folder / CATALOG_FILE

    @property
    def data_path(self) -> str:
        """The folder of the Parquet files, here or on object storage, with a slash at its end."""
        return f"{self.files or self.folder.resolve() / 'files'}/"

    def exists(self) -> bool:
        """Whether somebody has begun to create the catalog here."""
        return self.catalog is not None or self.file.is_file()

    def attach(self, connection: "duckdb.DuckDBPyConnection", *, read_only: bool, file: Path | None = None) -> None:
        """Attach the catalog as `lake`; a writer creates it where there is none. file: another catalog file than the store's."""
        options = [
            f"DATA_PATH {literal(self.data_path)}",
            "OVERRIDE_DATA_PATH true",  # the folder may have moved since it was written
            f"DATA_INLINING_ROW_LIMIT {INLINED_ROWS}",
        ]
        if self.catalog is None:
            # With a write-ahead log readers and the writer never wait for each other.
            options += [f"META_BUSY_TIMEOUT {BUSY_MS}"] + ([] if read_only else ["META_JOURNAL_MODE 'WAL'"])
            source = f"ducklake:sqlite:{(file or self.file).resolve()}"
        else:
            load_extension(connection, "postgres_scanner")
            source = f"ducklake:postgres:{postgres.connection_string(self.catalog)}"
        if read_only:
            options.append("READ_ONLY")
        if self.files is not None:
            self.unlock(connection)
        with self.errors_as_refusals():
            connection.execute(f"ATTACH {literal(source)} AS lake ({', '.join(options)})")
            address = objects.catalog_address(connection)
            if address == self.files:
                return
            connection.execute("DETACH lake")
        # Begun by another process or machine, or without what this folder remembers: the catalog knows best.
        configured = objects.configured_address()
        if configured is not None and not objects.within(address, configured):
            raise objects.elsewhere(self.folder, address, configured)
        self.files = address
        self.attach(connection, read_only=read_only, file=file)

    def read_aside(self) -> Path | None:
        """A copy of the catalog in a temporary folder; None where it cannot be made, or is made already.

        It is read where SQLite can write nothing next to the file itself: its write-ahead log needs a file for shared memory. Nobody writes there now.
        """
        if self.catalog is not None or self.aside is not None:
            return None
        try:
            self.aside = Path(tempfile.mkdtemp(prefix="penumbra-catalog-"))
            weakref.finalize(self, shutil.rmtree, self.aside, ignore_errors=True)
            for file in self.folder.glob(f"{CATALOG_FILE}*"):
                if not file.name.endswith("-shm"):
                    shutil.copyfile(file, self.aside / file.name)
        except OSError:
            return None
        return self.aside / CATALOG_FILE

    def unlock(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Let the engine reach the store's objects."""
        if self.files is not None:
            load_extension(connection, "httpfs")
            objects.unlock(connection, self.files)

    def begin(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Before anything is written: the storage answers, and these objects belong to no other folder's catalog."""
        if self.files is None:
            return
        if self.catalog is None:
            objects.refuse_copy(self.folder)
        if objects.remembered(self.folder) is None:
            self.unlock(connection)
            with self.errors_as_refusals():
                objects.reach(connection, self.files)

    @contextlib.contextmanager
    def errors_as_refusals(self) -> Iterator[None]:
        """A server that cannot be reached is one sentence, not a trace with its address and password; so is a damaged store."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            refusal = fault(error, self.catalog)
            if refusal is None or momentary(error):
                raise
            raise refusal from None

    @contextlib.contextmanager
    def alone(self, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
        """Hold the one writer's place, across threads, processes and (with PostgreSQL) machines; a killed process leaves it at once."""
        if self.catalog is not None:
            load_extension(connection, "postgres_scanner")
            with self.errors_as_refusals(), postgres.writer_alone(connection, self.catalog, WAIT_S):
                yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            for pause in pauses("another process has been writing to the store"):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(min(pause, 0.05))
            try:
                yield
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)  # closing alone would not do where a forked child holds a copy
        finally:
            os.close(handle)

    def transact(self, connection: "duckdb.DuckDBPyConnection", work: Callable[["duckdb.DuckDBPyConnection"], T]) -> T:
        """Run `work` in one transaction as the only writer, again from its start when the catalog was busy; all of it is kept or nothing."""
        import duckdb

        for pause in pauses("the store's catalog has been busy"):
            with self.alone(connection):
                try:
                    connection.execute("BEGIN TRANSACTION")
                    outcome = work(connection)
                    connection.execute("COMMIT")
                    return outcome
                except BaseException as error:
                    with contextlib.suppress(duckdb.Error):  # a failed COMMIT has ended the transaction already
                        connection.execute("ROLLBACK")
                    if not (isinstance(error, duckdb.Error) and momentary(error)):
                        raise (fault(error, self.catalog) or error) from None
            time.sleep(pause)
        raise AssertionError("pauses() ends by raising")


def pauses(what: str) -> Iterator[float]:
    """Seconds to wait between attempts: doubled each time, with jitter so that waiting writers do not knock together.

    Raises
    ------
    Refusal
        "store_busy" after ten minutes.
    """
    started, pause, jitter = time.monotonic(), FIRST_PAUSE_S, random.Random()
    while time.monotonic() - started < WAIT_S:
        yield pause * (0.5 + jitter.random())
        pause = min(2 * pause, LONGEST_PAUSE_S)
    raise Refusal("store_busy", f"{what} for {WAIT_S:.0f} s", "look for a stopped penumbra process, or wait and run the command again")


def patiently(ask: Callable[[], T]) -> T:
    """The answer of `ask`, which only reads; asked again while the catalog is busy.

    Raises
    ------
    Refusal
        "store_busy" after ten minutes.
    """
    import duckdb

    for attempt, pause in enumerate(pauses("the store's catalog has been busy")):
        try:
            return ask()
        except (duckdb.Error, OSError) as error:  # Arrow tells a fault of the engine as one of input and output
            if resources.exhausted(error) or not (momentary(error) or (any(sign in str(error) for sign in TAKEN_AWAY) and attempt < ASK_AGAIN)):
                raise (fault(error) or error) from None
        time.sleep(pause)
    raise AssertionError("pauses() ends by raising")


def momentary(error: BaseException) -> bool:
    """Whether an error of the engine is of the moment: a lock or a conflict, not a fault of the statement."""
    text = str(error).lower()
    return any(sign in text for sign in MOMENTARY)


def fault(error: BaseException, catalog: str | None = None) -> Refusal | None:
    """The sentence for object storage or a PostgreSQL that does not answer as it should, or for a damaged store; None for any other error."""
    return objects.reached(error) or postgres.reached(error, catalog) or damaged(error)


def damaged(error: BaseException) -> Refusal | None:
    """The sentence for a store that lost a file or holds one that cannot be read; None for any other error."""
    if resources.exhausted(error):
        return None  # "Cannot open file", because too many are open
    text = str(error).split("\n")[0]
    if any(sign in text for sign in SPOILED_CATALOG):
        reason = "the store's catalog cannot be read"
    elif any(sign in text for sign in SPOILED_FILE):
        file = re.search(r"[\w.-]+\.parquet", text)
        reason = f"the store's file {file[0] if file else '(not named by the engine)'} is missing or cannot be read"
    else:
        return None
    advice = "bring back a back-up (infra/backup.sh restore, or penumbra import), or recompute: penumbra run with another PENUMBRA_HOME"
    return Refusal("store_damaged", reason, advice)


def open_for_writing(lake: Lake, connection: "duckdb.DuckDBPyConnection", schema: Path) -> None:
    """Attach the catalog to write, newly made or brought to the newest schema; several processes may do this at once.

    Raises
    ------
    Refusal
        "schema_newer": the store was written by a newer version of this program.
    """
    with lake.alone(connection):
        lake.begin(connection)
        if not lake.exists():
            _create(lake, connection, schema)
        lake.attach(connection, read_only=False)
        if lake.files is not None:
            objects.remember(lake.folder, lake.files)
        if lake.catalog is not None and not (lake.folder / ADDRESS_FILE).is_file():
            write_whole(lake.folder / ADDRESS_FILE, postgres.without_password(lake.catalog) + "\n")
    while migrated_to(connection) != len(migrations(schema)):
        lake.transact(connection, lambda inside: migrate(inside, schema, utc_now()))


def _create(lake: Lake, connection: "duckdb.DuckDBPyConnection", schema: Path) -> None:
    """Make the catalog aside and move it to its place when it is whole: a reader finds no store, or one with every table."""
    if lake.files is not None:
        objects.remember(lake.folder, lake.files)  # first: if this is killed, the next call continues in the same place
    with whole_file(lake.file) as draft:
        lake.attach(connection, read_only=False, file=draft)
        with lake.errors_as_refusals():
            while migrated_to(connection) != len(migrations(schema)):
                connection.execute("BEGIN TRANSACTION")
                migrate(connection, schema, utc_now())
                connection.execute("COMMIT")
        connection.execute("DETACH lake")


def utc_now() -> dt.datetime:
    """Now in UTC, without a time zone, as the store keeps every time."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
