"""What the store holds, at a glance: read within a fraction of a second, without a migration and without an Arrow table."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.params import project_root
from penumbra.base.project import part_of
from penumbra.base.refusal import Refusal
from penumbra.store.lake import Lake, damaged, fault, open_engine
from penumbra.store.migrating import migrated_to, migrations
from penumbra.store.statements import statement
from penumbra.store.views import Views

if TYPE_CHECKING:
    import duckdb

TABLES = ("centers", "patients", "departures", "model_versions", "model_metrics")  # that the questions below read
MAX_COPIED = 64 * 1024**2  # bytes of a catalog


@dataclass(frozen=True)
class StoredCenter:
    """patients: with a clinical record; events: of these, died. arrived_at: UTC."""

    center: str
    patients: int
    events: int
    arrived_at: datetime | None


@dataclass(frozen=True)
class StoredVersion:
    """A registered version that is champion, as the store has it. registered_at: UTC. versions: how many its model has."""

    model: str
    version: str
    train_centers: tuple[str, ...]
    registered_at: datetime | None
    versions: int


@dataclass(frozen=True)
class StoredMetric:
    """One row of `model_metrics` of a champion's version."""

    model: str
    version: str
    center: str
    split: str
    metric: str
    value: float
    lower: float | None
    upper: float | None
    n: int
    events: int


@dataclass(frozen=True)
class Overview:
    """trouble: why some of it is missing, one sentence; "" where nothing is."""

    centers: tuple[StoredCenter, ...] = ()
    champions: tuple[StoredVersion, ...] = ()
    metrics: tuple[StoredMetric, ...] = ()
    trouble: str = ""


def overview(home: Path) -> Overview:
    """Centers, champions and their C-indices, as far as they can be read. Nothing is written, and an older store is not migrated."""
    import duckdb

    try:
        lake = Lake(home)
        if not lake.exists():
            return Overview()
        features = project_root(home) / "features"
        with contextlib.closing(open_engine()) as connection:
            _attach(lake, connection)
            return _read(connection, features)
    except (Refusal, ValueError) as error:
        return Overview(trouble=str(error))
    except (duckdb.Error, OSError) as error:
        return Overview(trouble=str(fault(error) or f"The store cannot be read ({type(error).__name__}); run penumbra doctor for details."))


def _attach(lake: Lake, connection: "duckdb.DuckDBPyConnection") -> None:
    """As a reader, who leaves no file behind: SQLite would put the two of its write-ahead log next to a catalog that nobody holds, so a copy is read then."""
    import duckdb

    idle = lake.catalog is None and not lake.file.with_name(f"{lake.file.name}-wal").exists() and lake.file.stat().st_size <= MAX_COPIED
    try:
        lake.attach(connection, read_only=True, file=lake.read_aside() if idle else None)
        migrated_to(connection)
    except duckdb.Error as error:
        copied = None if damaged(error) else lake.read_aside()
        if copied is None:
            raise
        connection.execute("DETACH DATABASE IF EXISTS lake")
        lake.attach(connection, read_only=True, file=copied)


def _read(connection: "duckdb.DuckDBPyConnection", features: Path) -> Overview:
    import duckdb

    reached, newest, trouble = migrated_to(connection), len(migrations(part_of(features, "schema"))), ""
    if reached < newest:
        trouble = f"The store has schema {reached} of {newest}; the next command that opens it brings it up to date."
    elif reached > newest:
        trouble = f"The store has schema {reached}, and this version of penumbra knows {newest}: update penumbra."
    views = Views(features)
    answers: dict[str, list[tuple[Any, ...]]] = {}
    for table in TABLES:
        with _older(trouble):
            views.prepare(connection, (table,))
    with _older(trouble):
        connection.execute("CREATE OR REPLACE VIEW memory.stored.commits AS FROM lake.commits")
    for question in ("centers", "champions", "champion_metrics"):
        text = statement(f"overview_{question}")
        try:
            with _older(trouble):
                views.require(connection, text)
                answers[question] = connection.execute(text).fetchall()
        except duckdb.Error as error:
            refusal = fault(error)
            if refusal is None:
                raise
            trouble = trouble or str(refusal)
    return Overview(
        tuple(StoredCenter(center, patients, events, _utc(at)) for center, patients, events, at in answers.get("centers", [])),
        tuple(StoredVersion(model, version, tuple(trained or ()), _utc(at), count) for model, version, trained, at, count in answers.get("champions", [])),
        tuple(StoredMetric(*row) for row in answers.get("champion_metrics", [])),
        trouble,
    )


@contextlib.contextmanager
def _older(trouble: str) -> Iterator[None]:
    """In a store of another schema, a table or column that is missing leaves its question unanswered."""
    import duckdb

    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException):
        if not trouble:
            raise


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)
