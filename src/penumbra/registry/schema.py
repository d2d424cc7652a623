"""The schema of MLflow's database in a home: whether it is the installed MLflow's, and how an earlier one is brought there."""

import contextlib
import sqlite3
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_file

if TYPE_CHECKING:
    from sqlalchemy import Engine

ATTEMPTS = 5  # another program may write while a copy is being migrated


@cache
def newest() -> str:
    """The revision that the installed MLflow asks for."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())


def revision(database: Path) -> str:
    """The revision of a database, "" where it has none."""
    with contextlib.closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return ""
    return str(row[0]) if row else ""


def has_revision(name: str) -> bool:
    """Whether the installed MLflow knows a revision: one that it does not know was written by a newer MLflow."""
    steps = files("mlflow.store.db_migrations").joinpath("versions")
    return any(file.name.partition("_")[0] == name for file in steps.iterdir() if file.name.endswith(".py"))


def current(database: Path) -> bool:
    """Whether a database has the newest schema.

    Raises
    ------
    Refusal
        "registry_newer": its schema is not one that the installed MLflow knows.
    """
    stated = revision(database)
    if stated and not has_revision(stated):
        raise Refusal("registry_newer", f"MLflow's database has the schema {stated}, which the installed MLflow does not know", "update penumbra")
    return stated == newest()


def require(database: Path) -> None:
    """Refuse a database of another MLflow, before MLflow says so in its own words.

    Raises
    ------
    Refusal
        "registry_older", "registry_newer".
    """
    if revision(database) != newest() and not current(database):
        raise older()


def older() -> Refusal:
    """The sentence for a database of an earlier MLflow."""
    return Refusal("registry_older", "MLflow's database has a schema of an earlier MLflow", "back up, and run penumbra upgrade --apply")


def migrate(database: Path) -> None:
    """Bring a database to the newest schema. Killed at any moment it has the earlier one or the newest.

    MLflow's own migrations are not one transaction, so a copy is migrated, and written back in one. Inside `writing`.

    Raises
    ------
    Refusal
        "registry_newer"; "registry_busy" where another program went on writing.
    """
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

    with contextlib.closing(sqlite3.connect(database, timeout=60)) as original:
        for _ in range(ATTEMPTS):
            if current(database):
                return
            counted = data_version(original)
            with whole_file(database.with_name(f"{database.name}.migrated")) as draft:
                with contextlib.closing(sqlite3.connect(draft)) as copy:
                    original.backup(copy)
                engine: Engine = create_sqlalchemy_engine(f"sqlite:///{draft.resolve()}")
                _upgrade_db(engine)
                engine.dispose()
                with contextlib.closing(sqlite3.connect(draft)) as copy:
                    if data_version(original) == counted:
                        copy.backup(original)
            database.with_name(f"{database.name}.migrated").unlink(missing_ok=True)
    if not current(database):
        raise Refusal("registry_busy", f"another program wrote to MLflow's database {ATTEMPTS} times meanwhile", "stop penumbra mlflow and other servers")


def data_version(connection: sqlite3.Connection) -> int:
    """A number that another one's commit changes."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
