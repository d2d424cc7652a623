"""Which failures are worth another try."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """True for a failure of input or output (disk, network, a locked database); a wrong input stays wrong and is never tried again."""
    return isinstance(state.result(raise_on_failure=False), OSError)
