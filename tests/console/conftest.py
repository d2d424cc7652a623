"""A console over a small home: two patients, one version."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import serving
from .serving import Served

if TYPE_CHECKING:
    from penumbra.pipeline.workspace import Work


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    """The home of `tests/example_home.py`, for tests that only read."""
    from tests import example_home

    home = tmp_path_factory.mktemp("console") / "home"
    example_home.copied(example, home)
    return home


@pytest.fixture(scope="session")
def served(small_home: Path) -> Iterator[Served]:
    """A console over it, which only reads."""
    with serving.served(small_home) as running:
        yield running


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> "Work":
    """A home with two versions and five retrainings; see `versions_home`."""
    from . import versions_home

    return versions_home.make(tmp_path_factory.mktemp("versions") / "home", empty_registry)


@pytest.fixture(scope="session")
def two(two_versions: "Work") -> Iterator[Served]:
    """A console over it."""
    with serving.served(two_versions.home) as running:
        yield running


@pytest.fixture(scope="session")
def everybodys_home(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    """A home with a patient of every kind, for tests that only read; see `people_home`."""
    from . import people_home

    home = tmp_path_factory.mktemp("people") / "home"
    people_home.make(home, example)
    return home


@pytest.fixture(scope="session")
def everybody(everybodys_home: Path) -> Iterator[Served]:
    """A console over it."""
    with serving.served(everybodys_home) as running:
        yield running
