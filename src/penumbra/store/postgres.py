"""The catalog in PostgreSQL: its address, the lock of the one writer, and its errors in one sentence."""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penumbra.base.refusal import Refusal
from penumbra.store.statements import literal

if TYPE_CHECKING:
    import duckdb

WRITER = 7236112  # names the advisory lock; locks of other databases on the server do not meet it
FAULTS = (
    *("Unable to connect to Postgres", "server closed the connection", "connection to server", "terminating connection", "no connection to the server"),
    *('Failed to execute query "ROLLBACK"', "SSL SYSCALL error", "could not receive data from server", "could not send data to server"),
)

BROKEN = "Current transaction is aborted"  # all that the engine says after it met one of these in a statement of its own


def connection_string(uri: str) -> str:
    """What libpq takes: postgresql://user@host:port/database as it is, or dbname=... host=... after `postgres:`.

    Raises
    ------
    Refusal
        "catalog": it is neither.
    """
    if uri.startswith(("postgresql://", "postgres://")):
        return uri
    if uri.startswith("postgres:") and "=" in uri:
        return uri.removeprefix("postgres:")
    raise Refusal("catalog", f"{without_password(uri)!r} is not the address of a PostgreSQL catalog", "write postgresql://user@host:port/database")


def without_password(text: str) -> str:
    """An address or an error as it may be shown and stored."""
    text = re.sub(r"(postgres(?:ql)?://[^:@/\s]*):[^@/\s]*@", r"\1@", text)
    return re.sub(r"password\s*=\s*('[^']*'|\S+)", "password=...", text)


@contextlib.contextmanager
def writer_alone(connection: "duckdb.DuckDBPyConnection", uri: str, wait_s: float) -> Iterator[None]:
    """Hold an advisory lock in a transaction of a session of its own; a killed process or a lost machine leaves it at once.

    Raises
    ------
    Refusal
        "store_busy" after wait_s.
    """
    import duckdb

    with connection.cursor() as session:
        session.execute(f"ATTACH IF NOT EXISTS {literal(connection_string(uri))} AS turns (TYPE postgres)")
        session.execute("BEGIN")
        try:
            # This session waits while its writer works: a server that ends idle ones would let a second writer in.
            settings = {"lock_timeout": int(wait_s * 1000), "idle_in_transaction_session_timeout": 0}
            configured = (f"SELECT set_config('{name}', '{value}', true)" for name, value in settings.items())
            for query in (*configured, f"SELECT pg_advisory_xact_lock({WRITER}) IS NULL"):
                session.execute(f"FROM postgres_query('turns', {literal(query)})").fetchall()
        except duckdb.Error as error:
            if "lock timeout" not in str(error):
                raise
            advice = "look for a stopped penumbra process, or wait and run the command again"
            raise Refusal("store_busy", f"another process has been writing to the store for {wait_s:.0f} s", advice) from None
        try:
            yield
        finally:
            with contextlib.suppress(duckdb.Error):  # a lost server has let go already
                session.execute("ROLLBACK")


def reached(error: BaseException, uri: str | None = None) -> Refusal | None:
    """The sentence for a server that cannot be reached, or that went away in the middle of a statement; None for any other fault."""
    text = str(error)
    if not any(sign in text for sign in FAULTS) and not (uri and BROKEN in text):
        return None
    refused = re.search(r'.*(?:port \d+ failed: |to Postgres at "[^"]*": )(.*)', " ".join(text.split()))
    # What a lost connection leaves of a statement is the engine's words about the statement, in many forms.
    message = refused[1] if refused and "server closed the connection" not in text else "the server closed the connection"
    advice = "start the server (infra/postgres.sh), give the password in PGPASSWORD or ~/.pgpass, and run the same command again"
    return Refusal("catalog_reached", f"{without_password(uri or 'the PostgreSQL of the catalog')}: {without_password(message)[:200].strip()}", advice)
