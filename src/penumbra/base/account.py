"""Who gives a command: the account that the console carries it out for, else the user of the machine."""

import getpass
import os

ACCOUNT = "PENUMBRA_ACCOUNT"


def account() -> str:
    """For what is recorded with a name."""
    return os.environ.get(ACCOUNT) or getpass.getuser()
