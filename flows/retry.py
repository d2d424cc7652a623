"""Which failures are worth another try, and how long to wait before it."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from penumbra.base.resources import exhausted
from penumbra.flows.discreet import plain
from penumbra.retraining.attempts import passing

DELAYS_S: list[float] = [5, 30, 120, 300]  # a database or a server that was started again answers within these


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """True for a failure that may pass (attempts.passing), unless it is a broken pipe: then the worker that started this is gone.

    A full disk or a folder that cannot be written is reported at once: minutes of waiting would free nothing.
    """
    result = state.result(raise_on_failure=False)
    if not isinstance(result, BaseException):
        return False
    failure = plain(result)
    return not isinstance(failure, BrokenPipeError) and passing(failure) and not exhausted(failure)
