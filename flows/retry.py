"""Which failures are worth another try, and how long to wait before it."""

from collections.abc import Iterator
from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from penumbra.refusal import Refusal

DELAYS_S: list[float] = [5, 30, 120, 300]  # a database or a server that was started again answers within these
REACHED = ("catalog_reached", "files_reached")  # rules of servers that did not answer
DATABASE = ("IOException", "OperationalError")  # of DuckDB (a catalog in PostgreSQL that went away), of SQLAlchemy and sqlite3


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """True for a failure of input or output (disk, network, a database that went away); a wrong input stays wrong and is never tried again."""
    failure = state.result(raise_on_failure=False)
    if isinstance(failure, Refusal):
        return failure.rule in REACHED
    if not isinstance(failure, BaseException):
        return False
    return any(isinstance(error, OSError) or type(error).__name__ in DATABASE for error in _chain(failure))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
