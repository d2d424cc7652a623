"""Errors as Prefect may keep them: its states and logs hold an exception's message, and a message may hold a path that names a patient."""

from collections.abc import Iterator
from contextlib import contextmanager

from penumbra.base.refusal import Refusal, reportable


class Unsaid(Exception):
    """Stands for an exception that is no refusal; its message has type and place alone.

    Attributes
    ----------
    reason
        The exception itself.
    """

    def __init__(self, reason: Exception) -> None:
        super().__init__(reportable(reason))
        self.reason = reason


@contextmanager
def discreet() -> Iterator[None]:
    """Let no exception but a refusal out of a flow or task of Prefect with its own message."""
    try:
        yield
    except (Refusal, Unsaid):
        raise
    except Exception as error:
        raise Unsaid(error) from None


def plain(error: BaseException) -> BaseException:
    """The exception that one stands for, or itself."""
    return error.reason if isinstance(error, Unsaid) else error
