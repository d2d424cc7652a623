"""Registered versions and their aliases, in an MLflow registry on SQLite under `<home>/mlflow`, or on the server that PENUMBRA_MLFLOW names.

Reading goes straight to the SQLite file or to the server's REST API: importing MLflow takes seconds, and `penumbra predict` should not wait for
them. Writing goes through MLflow's client, one process at a time. Artifacts lie in the home in both cases.
"""

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.params import model_name
from penumbra.refusal import Refusal
from penumbra.registry import remote
from penumbra.registry.bundle import verify

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
OWN_WARNINGS = (  # of MLflow 3.17 about its own source
    "The ``noload`` loader strategy",
    r".*Any type hint is inferred as AnyType",
    "Operation with range is deprecated",
)
ARTIFACTS = "/mlflow/artifacts"  # how the address of a home's artifacts ends
BUNDLE_PATH = Path("artifacts") / "artifacts" / "bundle"  # MLflow's folder of a logged model, and in it the artifact named "bundle"


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of the registered model.

    aliases        e.g. ("champion",); empty when none points here.
    digest         SHA-256 of all that scores a patient, see `bundle.write_bundle`.
    run_id, model_id   MLflow's names of the run and of the logged model.
    created_at     UTC.
    store_commit, store_digest, code_commit, train_centers   lineage, see `bundle.Lineage`.
    folder         the bundle's files.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    digest: str
    run_id: str
    model_id: str
    created_at: datetime
    train_centers: tuple[str, ...]
    store_commit: int
    store_digest: str
    code_commit: str
    folder: Path


@dataclass(frozen=True)
class AliasChange:
    """An alias that moved: one row for the audit trail."""

    model: str
    alias: str
    version: int
    previous: int | None
    digest: str
    reason: str
    at: datetime


def tracking_uri(home: Path) -> str:
    """MLflow's tracking and registry URI of a home folder, as `mlflow ui --backend-store-uri` wants it, or the server's address."""
    address = remote.server()
    if address:
        return address
    relocate(home)
    return f"sqlite:///{_database(home).resolve()}"


def models(home: Path) -> list[str]:
    """Names of all registered models, in alphabetical order."""
    address = remote.server()
    return sorted(remote.models(address) if address else (row["name"] for row in query(home, "models.sql", {})))


def versions(home: Path, model: str | None = None) -> list[RegisteredVersion]:
    """All registered versions of a model, oldest first; empty when nothing is registered yet.

    home   the folder of `PENUMBRA_HOME`.
    model  None: the one that params.yaml names (register.model).
    """
    model, address = model or model_name(), remote.server()
    rows = remote.versions(address, model) if address else query(home, "versions.sql", {"model": model})
    return [_registered(home, model, row) for row in rows]


def find(home: Path, which: str | int = CHAMPION, model: str | None = None) -> RegisteredVersion:
    """The version an alias or a number names: "champion", 3, "3", "v3", "nsclc-os/3" or "nsclc-os@champion".

    model  of a name without one; None: the one that params.yaml names (register.model).

    Raises  Refusal "model_registered" when nothing is registered, "version_registered" with the versions and aliases there are.
    """
    model, wanted = _addressed(home, str(which), model)
    known = versions(home, model)
    if not known:
        others = [name for name in models(home) if name != model]
        elsewhere = f"; this registry has {', '.join(others)}" if others else ""
        advice = "run `penumbra run` or `penumbra register` first" + (f", or name one of those: {others[0]}/champion" if others else "")
        raise Refusal("model_registered", f"no version of {model} is registered{elsewhere}", advice)
    number = wanted.removeprefix("v")
    for entry in known:
        if wanted in entry.aliases or (number.isdecimal() and int(number) == entry.version):
            return entry
    offered = ", ".join(f"{entry.version}" + (f" ({', '.join(entry.aliases)})" if entry.aliases else "") for entry in known)
    raise Refusal("version_registered", f"no version or alias {which!r} of {model}", f"registered: {offered}")


def _addressed(home: Path, which: str, model: str | None) -> tuple[str, str]:
    """The model that a name means, and what it wants of it: "nsclc-pfs/3" and "nsclc-pfs@champion" name a registered model themselves."""
    for divider in ("/", "@"):
        name, found, wanted = which.partition(divider)
        if found and (name == model or name in models(home)):  # a git branch has a slash too
            return name, wanted
    return model or model_name(), which


def promote(home: Path, which: str | int, alias: str = CHAMPION, *, reason: str = "", model: str | None = None) -> AliasChange:
    """Point an alias to a version whose files still are what was registered; the former holder keeps its number.

    A challenger that becomes champion is no challenger any more.
    Raises  Refusal "version_registered", or "bundle_unchanged" when a file of the version was altered.
    """
    with writing(home):
        entry = find(home, which, model)
        verify(entry.folder, entry.digest)
        previous = next((other.version for other in versions(home, entry.model) if alias in other.aliases), None)
        mlflow_client = client(home)
        if previous != entry.version:
            mlflow_client.set_registered_model_alias(entry.model, alias, str(entry.version))
        if alias == CHAMPION and CHALLENGER in entry.aliases:
            mlflow_client.delete_registered_model_alias(entry.model, CHALLENGER)
    return AliasChange(entry.model, alias, entry.version, previous, entry.digest, reason, datetime.now(UTC))


def query(home: Path, name: str, values: dict[str, Any]) -> list[sqlite3.Row]:
    """Rows of one of this room's named queries on MLflow's database; none when there is no database yet."""
    path = _database(home)
    if not path.is_file():
        return []
    relocate(home)
    statement = files("penumbra.registry").joinpath(name).read_text(encoding="utf-8")
    with _reading(home) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(statement, values).fetchall()


@contextlib.contextmanager
def writing(home: Path) -> Iterator[None]:
    """Hold the registry alone, with MLflow quiet; released by the system when the process dies, however it dies."""
    folder = _root(home)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream, quiet_mlflow():
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def quiet_mlflow() -> Iterator[None]:
    """MLflow without telemetry, progress on the log, and the warnings it raises about itself."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # it asks for pip, which .venv does without
    with warnings.catch_warnings():
        for message in OWN_WARNINGS:
            warnings.filterwarnings("ignore", message)
        yield


def client(home: Path) -> "MlflowClient":
    """MLflow's client on the server, or on the home's database, which is created when absent (inside `writing`)."""
    from mlflow import MlflowClient

    address, path = remote.server(), _database(home)
    if address:
        return MlflowClient(tracking_uri=address, registry_uri=address)
    if not path.is_file():
        # MLflow's migrations are not one transaction: a database half made by a killed process must not be found later
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _create_database(f"sqlite:///{unfinished.resolve()}")
        unfinished.rename(path)
    return MlflowClient(tracking_uri=tracking_uri(home), registry_uri=tracking_uri(home))


def relocate(home: Path) -> None:
    """Make the artifact addresses in MLflow's database those of this home; does nothing in a home that stayed where it was.

    Every way to the database passes here, so that MLflow never reads a copy's models from the home that it was copied from. A home on a read-only
    file system keeps its addresses: penumbra itself finds its files from the home.
    """
    if not _database(home).is_file():
        return
    now = experiment_root(home).resolve().as_uri()
    with _reading(home) as connection:
        stored = {str(row[0]) for row in connection.execute("SELECT DISTINCT artifact_location FROM experiments")}
    # not MLflow's own default experiment, which holds nothing of ours
    stale = sorted(before for before in stored - {now} if before.endswith(ARTIFACTS))
    if not stale or not os.access(_root(home), os.W_OK) or not os.access(_database(home), os.W_OK):
        return
    script = files("penumbra.registry").joinpath("relocate.sql").read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(_database(home), timeout=60)) as connection:
        for before in stale:
            with connection:
                for statement in script.split(";\n"):
                    connection.execute(statement, {"before": before, "now": now})


def experiment_root(home: Path) -> Path:
    """Folder below which MLflow keeps the artifacts of this registry."""
    return _root(home) / "artifacts"


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


def _root(home: Path) -> Path:
    return Path(home) / "mlflow"


def _database(home: Path) -> Path:
    return _root(home) / "mlflow.db"


def _registered(home: Path, model: str, row: Mapping[str, Any] | sqlite3.Row) -> RegisteredVersion:
    tags = json.loads(row["tags"])
    return RegisteredVersion(
        model=model,
        version=int(row["version"]),
        aliases=tuple(sorted(json.loads(row["aliases"]))),
        digest=tags["digest"],
        run_id=row["run_id"],
        model_id=tags["model_id"],
        created_at=datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        train_centers=tuple(json.loads(tags["train_centers"])),
        store_commit=int(tags["store_commit"]),
        store_digest=tags["store_digest"],
        code_commit=tags["code_commit"],
        # from the home, not from the address MLflow stored: a home that was copied or restored elsewhere keeps working
        folder=experiment_root(home) / "models" / tags["model_id"] / BUNDLE_PATH,
    )
