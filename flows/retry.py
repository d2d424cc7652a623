"""Which failures are worth another try, and how long to wait before it: for a task of Prefect, and for a call without one."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from penumbra.base.progress import say
from penumbra.base.refusal import reportable
from penumbra.base.resources import exhausted
from penumbra.flows.discreet import plain
from penumbra.retraining.attempts import passing

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

Result = TypeVar("Result")
DELAYS_S: list[float] = [5, 30, 120, 300]  # a database or a server that was started again answers within these


def worth_retrying(_task: "Task[..., Any]", _run: "TaskRun", state: "State[Any]") -> bool:
    """Whether a task's failure may pass."""
    result = state.result(raise_on_failure=False)
    return isinstance(result, BaseException) and may_pass(result)


def may_pass(error: BaseException) -> bool:
    """True for a failure that may pass (attempts.passing), unless it is a broken pipe: then the worker that started this is gone.

    A full disk or a folder that cannot be written is reported at once: minutes of waiting would free nothing.
    """
    failure = plain(error)
    return not isinstance(failure, BrokenPipeError) and passing(failure) and not exhausted(failure)


def patiently(what: str, call: Callable[[], Result]) -> Result:
    """`call()`, and once more after each delay while it fails by what may pass."""
    for delay_s in DELAYS_S:
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
            say(f"{what}: {reportable(error)}; tried again in {delay_s:.0f} s")
        time.sleep(delay_s)
    return call()
