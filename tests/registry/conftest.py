"""The small bundle, and a registry in a temporary home."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from penumbra.evaluate import MetricRow
    from penumbra.registry import Bundle


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A placeholder for the weights of a network."""
    file = tmp_path / "trained.safetensors"
    file.write_bytes(b"weights")
    return file


@pytest.fixture
def make_bundle(network: Path) -> Callable[..., "Bundle"]:
    from .small_bundle import small_bundle

    return partial(small_bundle, network)


@pytest.fixture
def metrics() -> list["MetricRow"]:
    from .small_bundle import METRICS

    return METRICS


@pytest.fixture
def home(tmp_path: Path, empty_registry: Path) -> Path:
    shutil.copytree(empty_registry, tmp_path / "home")
    return tmp_path / "home"
