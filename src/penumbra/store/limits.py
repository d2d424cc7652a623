"""What holds for an engine that answers people: it is locked, and interrupted when its time is over."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from penumbra.base.refusal import Refusal
from penumbra.store.session import Store
from penumbra.store.statements import literal

if TYPE_CHECKING:
    import duckdb


def lock(store: Store, memory: str) -> None:
    """Lock the engine: no access but to the folder of the store's files, here or on object storage, and no way to unlock it."""
    # These must stay readable to the engine; that no statement names them is the guard's part.
    folder = literal(store.lake.data_path)
    for setting in (
        f"memory_limit = {literal(memory)}",
        "temp_directory = ''",
        f"allowed_directories = [{folder}]",
        "enable_external_access = false",
        "allow_community_extensions = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "lock_configuration = true",
    ):
        store.connection.execute(f"SET {setting}")


@contextlib.contextmanager
def in_time(connection: "duckdb.DuckDBPyConnection", timeout_s: float) -> Iterator[Callable[[], None]]:
    """Interrupt the engine after the time limit; yields the check to call between two parts of an answer.

    Raises
    ------
    Refusal
        "sql_timeout".
    """
    deadline = time.monotonic() + timeout_s
    alarm = threading.Timer(timeout_s, connection.interrupt)
    alarm.daemon = True
    alarm.start()

    def check() -> None:
        if time.monotonic() > deadline:
            raise Refusal("sql_timeout", f"no whole answer within {timeout_s:g} s", "narrow the query or raise --timeout")

    try:
        yield check
    finally:
        alarm.cancel()
