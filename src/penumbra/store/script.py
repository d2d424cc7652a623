"""The relations for DuckDB's own clients, as a script that each of them runs: DuckDB's shell, its Python package, its drivers."""

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.params import project_root
from penumbra.store import postgres
from penumbra.store.lake import EXTENSIONS, Lake, load_extension, open_engine
from penumbra.store.session import connect
from penumbra.store.views import Views

if TYPE_CHECKING:
    import duckdb

OF_SCRIPT = ("LOAD ", "ATTACH ", "CREATE SCHEMA ", "CREATE VIEW ", "CREATE OR REPLACE VIEW ", "COMMENT ")
HEAD = """-- The relations of a penumbra store, read-only, for DuckDB's own clients (DuckDB {duckdb}){moment}.
-- Users who run this read the files of the store with their own rights: every row, also earlier ones, and outside the limits of penumbra sql.
-- It is faster in one transaction: BEGIN before it, COMMIT after it, where the client has not begun one itself.
-- On another machine: INSTALL ducklake; INSTALL sqlite; in the place of LOAD and its paths, and the path of the store as that machine names it.
SET TimeZone = 'UTC'"""


class _Recorder:
    """Passes statements on to an engine and keeps those that a client needs."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection
        self.statements: list[str] = []

    def execute(self, statement: str, *parameters: Any) -> "duckdb.DuckDBPyConnection":
        if statement.lstrip().startswith(OF_SCRIPT):
            text = postgres.without_password(statement.strip().removesuffix(";")).replace(" memory.stored", " stored")  # the client's database has another name
            self.statements.append(re.sub(r"^CREATE VIEW ", "CREATE OR REPLACE VIEW ", text))
        return self._connection.execute(statement, *parameters)


def script(home: Path | str, as_of: int | None = None) -> str:
    """The statements that show every relation of the store in a DuckDB that is none of this program's.

    Features that are added later have no column in it. No password and no key is in it: they come from the environment of the user who runs it.

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).
    as_of
        A commit's number: every relation as it was then.

    Returns
    -------
    str
        SQL.

    Raises
    ------
    Refusal
        "store_exists", "commit", and what else `connect` says.

    Examples
    --------
    >>> from penumbra.store.script import script
    >>> print(script("home").splitlines()[-1])
    COMMENT ON COLUMN withdrawals.commit_id IS 'commit that wrote the row; see commits';
    """
    import duckdb

    connect(home, read_only=True, as_of=as_of, stored=()).close()  # whatever is wrong with the store or the moment is said here
    with closing(open_engine()) as engine:
        recorder: Any = _Recorder(engine)
        for name in EXTENSIONS:
            load_extension(recorder, name)
        Lake(Path(home)).attach(recorder, read_only=True)
        views = Views(project_root(home) / "features", as_of)
        views.prepare(recorder)
        views.require(recorder, None)
    moment = "" if as_of is None else f", as of commit {as_of}"
    return ";\n".join([HEAD.format(duckdb=duckdb.__version__, moment=moment), *recorder.statements]) + ";\n"
