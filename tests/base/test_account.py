"""Who gives a command, also where the machine has no name for the user."""

import getpass

import pytest

from penumbra.base.account import ACCOUNT, account


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was KeyError: getpwuid(): uid not found, in the middle of a registration."""
    monkeypatch.delenv(ACCOUNT, raising=False)
    assert account() == getpass.getuser()

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 61002")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert account().startswith("uid ")
    monkeypatch.setenv(ACCOUNT, "anna")
    assert account() == "anna"
