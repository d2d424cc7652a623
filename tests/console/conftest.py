"""A console over a small home: two patients, one version."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import example_home

from . import serving
from .serving import Served


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of `tests/example_home.py`, for tests that only read."""
    home = tmp_path_factory.mktemp("console") / "home"
    example_home.make(home)
    return home


@pytest.fixture(scope="session")
def served(small_home: Path) -> Iterator[Served]:
    """A console over it, which only reads."""
    with serving.served(small_home) as running:
        yield running
