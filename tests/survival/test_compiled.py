"""Kernels are kept on disk where a user may write, and compiled for the process where not: a service account without a home, another user's files."""

from pathlib import Path

import pytest


def test_a_folder_that_cannot_be_written_to_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was RuntimeError: cannot cache function, no locator available."""
    from numba.core import caching

    from penumbra.survival.compiled import kernel

    with monkeypatch.context() as patch:
        patch.setattr(caching.CacheImpl, "__init__", refuse)
        compiled = kernel(double)
    assert compiled(21) == 42
    assert kernel(double).stats.cache_path


def refuse(*_: object) -> None:
    raise RuntimeError("cannot cache function 'double': no locator available for file 'kernels.py'")


def double(number: int) -> int:
    return 2 * number


def test_what_another_user_keeps_to_itself_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was PermissionError, with umask 077 in an environment of several users."""
    from penumbra.survival import compiled

    kept = compiled.kernel(double)
    assert kept(4) == 8
    files = list(Path(kept.stats.cache_path).glob("*.double-*.nb?"))
    assert files
    monkeypatch.setattr(compiled.os, "access", lambda file, mode: Path(file) not in files)
    again = compiled.kernel(double)
    assert again(4) == 8
    assert not again.stats.cache_path
    for file in files:
        file.unlink()
