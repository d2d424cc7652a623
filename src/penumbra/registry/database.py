"""MLflow's database: SQLite under `<home>/mlflow`, or the server that PENUMBRA_MLFLOW names; who writes, and where artifacts are.

Reading goes straight to the SQLite file or to the server's REST API: importing MLflow takes seconds, and `penumbra predict` should not wait for
them. Writing goes through MLflow's client, one process at a time. Artifacts are in the home in both cases.
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.whole_files import whole_file
from penumbra.registry import remote, schema

if TYPE_CHECKING:
    from mlflow import MlflowClient

OWN_WARNINGS = (  # of MLflow 3.17 about its own source
    "The ``noload`` loader strategy",
    r".*Any type hint is inferred as AnyType",
    "Operation with range is deprecated",
)
ARTIFACTS = "/mlflow/artifacts"  # how the address of a home's artifacts ends


def tracking_uri(home: Path) -> str:
    """Tell MLflow's tracking and registry URI of a home, as `mlflow ui --backend-store-uri` wants it, or the server's address.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.

    Returns
    -------
    str
        Of the database in the home, or of the server.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import tracking_uri
    >>> tracking_uri(Path("home")).startswith("sqlite:///")
    True
    """
    address = remote.server()
    if address:
        return address
    relocate(home)
    return f"sqlite:///{_database(home).resolve()}"


def query(home: Path, name: str, values: dict[str, Any]) -> list[sqlite3.Row]:
    """Rows of one of this package's named queries on MLflow's database; none when there is no database yet."""
    path = _database(home)
    if not path.is_file():
        return []
    relocate(home)
    statement = files("penumbra.registry").joinpath(name).read_text(encoding="utf-8")
    with _reading(home) as connection:
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if str(error).startswith(("no such column", "no such table")):
                raise schema.older() from None
            raise


@contextlib.contextmanager
def writing(home: Path) -> Iterator[None]:
    """Hold the registry alone, with MLflow quiet; released by the system when the process dies, however it dies."""
    folder = root(home)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream, quiet_mlflow():
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def noting(home: Path) -> Iterator[None]:
    """Hold the record of changes alone.

    Not `writing`: a back-up holds the store's writer and then the registry, so nobody may hold the registry and wait for the store.
    """
    root(home).mkdir(parents=True, exist_ok=True)
    with (root(home) / "noted.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def quiet_mlflow() -> Iterator[None]:
    """MLflow without telemetry, progress on the log, and the warnings it raises about itself."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_WEBHOOK_REQUEST_TIMEOUT", "5")  # a command ends when its webhooks are delivered
    os.environ.setdefault("MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_WEBHOOK_CACHE_TTL", "0")  # a webhook that was added since the last alias moved hears of this one
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # it asks for pip, which .venv does without
    with warnings.catch_warnings():
        for message in OWN_WARNINGS:
            warnings.filterwarnings("ignore", message)
        yield


def client(home: Path) -> "MlflowClient":
    """MLflow's client on the server, or on the home's database, which is created when absent (inside `writing`)."""
    from mlflow import MlflowClient

    address, file = remote.server(), _database(home)
    if address:
        return MlflowClient(tracking_uri=address, registry_uri=address)
    if not file.is_file():
        # MLflow's migrations are not one transaction: a database half made by a killed process must not be found later
        with whole_file(file) as draft:
            _create_database(f"sqlite:///{draft.resolve()}")
    schema.require(file)
    return MlflowClient(tracking_uri=tracking_uri(home), registry_uri=tracking_uri(home))


def relocate(home: Path) -> None:
    """Make the artifact addresses in MLflow's database those of this home; does nothing in a home that stayed where it was.

    Every way to the database passes here, so that MLflow never reads a copy's models from the home that it was copied from. A home on a read-only
    file system keeps its addresses: penumbra itself finds its files from the home.
    """
    if not _database(home).is_file():
        return
    current_root = experiment_root(home).resolve().as_uri()
    with _reading(home) as connection:
        stored = {str(row[0]) for row in connection.execute("SELECT DISTINCT artifact_location FROM experiments")}
    # not MLflow's own default experiment, which holds nothing of ours
    stale = sorted(old_root for old_root in stored - {current_root} if old_root.endswith(ARTIFACTS))
    if not stale or not os.access(root(home), os.W_OK) or not os.access(_database(home), os.W_OK):
        return
    script = files("penumbra.registry").joinpath("relocate.sql").read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(_database(home), timeout=60)) as connection:
        for old_root in stale:
            with connection:
                for statement in script.split(";\n"):
                    connection.execute(statement, {"before": old_root, "now": current_root})


def experiment_root(home: Path) -> Path:
    """Folder below which MLflow keeps the artifacts of this registry."""
    return root(home) / "artifacts"


def _create_database(uri: str) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)
    _initialize_tables(engine)
    engine.dispose()


@contextlib.contextmanager
def _reading(home: Path) -> Iterator[sqlite3.Connection]:
    """MLflow's database, to be read."""
    with contextlib.closing(sqlite3.connect(f"{_database(home).resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        yield connection


def root(home: Path) -> Path:
    """The registry's folder in a home."""
    return Path(home) / "mlflow"


def path(home: Path) -> Path | None:
    """MLflow's database in a home; None where there is none yet, and for a server."""
    return _database(home) if not remote.server() and _database(home).is_file() else None


def stamp(home: Path) -> str:
    """Time and size of MLflow's database in a home, which every write changes; "" without one, and for a server. cli/ask.py compares it."""
    if remote.server() or not _database(home).is_file():
        return ""
    status = _database(home).stat()
    return f"{status.st_mtime_ns} {status.st_size}"


def _database(home: Path) -> Path:
    return root(home) / "mlflow.db"
