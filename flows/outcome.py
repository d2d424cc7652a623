"""What the flow of this process came to, although Prefect's API may be gone when it is told so."""

from typing import Any, TypeVar

Result = TypeVar("Result")
_results: list[Any] = []


def begin() -> None:
    """Forget what an earlier flow of this process came to."""
    _results.clear()


def keep(result: Result) -> Result:
    """Keep what a flow came to, before its server is told."""
    _results.append(result)
    return result


def results() -> list[Any]:
    """What it came to, in a list; an empty one where it did not end."""
    return list(_results)
