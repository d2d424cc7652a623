"""A network small enough to train in a second, and patients it can learn from."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penumbra.network.settings import Augment, Network, Train

SMALL = Network(
    input_size=16,
    kernel=3,
    stem_filters=4,
    stem_stride=2,
    filters=(4, 8),
    strides=(1, 2),
    units=2,
    se=True,
    se_reduction=4,
    head=(8,),
    dropout=0.2,
    l2=1e-4,
    masked_input=False,
    norm="batch",
    norm_momentum=0.9,
)
PAPER_AUGMENT = Augment(
    contrast_probability=0.15,
    contrast_range=(1.0, 1.75),
    brightness_probability=0.15,
    brightness_range=(0.7, 1.5),
    gamma_probability=0.15,
    gamma_range=(0.5, 2.0),
    noise_probability=0.15,
    noise_variance_range=(0.0, 0.05),
    blur_probability=0.15,
    blur_sigma_range=(0.5, 1.5),
    mirror_probability=0.3,
    rotation_probability=0.3,
    rotation_range=(0.0, 360.0),
)
_NEVER: dict[str, Any] = {name: 0.0 for name in vars(PAPER_AUGMENT) if name.endswith("_probability")}
NO_AUGMENT = replace(PAPER_AUGMENT, **_NEVER)
SHORT = Train(
    learning_rate=3e-3,
    decay_rate=0.96,
    decay_steps=1000,
    batch_size=8,
    epochs=4,
    patience=4,
    validation_fraction=0.25,
    ties="efron",
    weight_decay=0.0,
    average_from=0,
    seed=3,
    precision="float32",
    data_parallel=False,
    checkpoint_seconds=0.0,
)


def patients(n: int, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Noise whose coarseness decides the hazard: (volumes, event, time, coarseness)."""
    generator = np.random.default_rng(seed)
    fine = generator.normal(size=(n, size, size, size))
    smooth = fine.copy()
    for axis in (1, 2, 3):
        smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
    coarseness = generator.uniform(0, 1, n)
    volumes = coarseness[:, None, None, None] * smooth * 4 + (1 - coarseness)[:, None, None, None] * fine
    volumes = (volumes - volumes.mean(axis=(1, 2, 3), keepdims=True)) / volumes.std(axis=(1, 2, 3), keepdims=True)
    death = generator.exponential(800 * np.exp(-4 * (coarseness - 0.5)))
    follow_up = generator.uniform(300, 2500, n)
    return volumes.astype(np.float32), death <= follow_up, np.minimum(death, follow_up), coarseness


@pytest.fixture(scope="package", autouse=True)
def _compile_quickly() -> Iterator[None]:
    """These networks are so small that compiling them is all the time there is. In test-numeric they are compiled as real ones are."""
    if os.environ.get("PENUMBRA_TEST_NUMERIC"):
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def optimized(_compile_quickly: None) -> Iterator[None]:
    """For a test that trains for so long that quick compilation would not be worth it."""
    import jax

    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return patients(30, size=16, seed=5)
