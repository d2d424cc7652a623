"""Who gives a command: the account that the console carries it out for, else the user of the machine."""

import getpass
import os

ACCOUNT = "PENUMBRA_ACCOUNT"


def account() -> str:
    """For what is recorded with a name; "uid 61002" of a user whom the machine has no name for, as in a container."""
    named = os.environ.get(ACCOUNT)
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        return f"uid {os.getuid()}"
