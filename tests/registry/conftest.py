"""The small bundle, and a registry in a temporary home."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from penumbra.registry import Bundle, MetricRow

from .small_bundle import METRICS, small_bundle


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """What stands for the weights of a network."""
    file = tmp_path / "trained.safetensors"
    file.write_bytes(b"weights")
    return file


@pytest.fixture
def make_bundle(network: Path) -> Callable[..., Bundle]:
    return partial(small_bundle, network)


@pytest.fixture
def metrics() -> list[MetricRow]:
    return METRICS
