"""Who is looking: the account of a request."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "editor"]


@dataclass(frozen=True)
class Account:
    """The user behind a request.

    Parameters
    ----------
    name
        As the log has it.
    role
        A viewer reads; an editor may also act, where the console allows actions.
    csrf
        What a form of this session has to send back.
    """

    name: str
    role: Role
    csrf: str = ""


LOCAL = Account("local", "viewer")
