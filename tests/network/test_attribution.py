"""The map shows where the signal is, on patients whose signal has a known place."""

from dataclasses import replace

import numpy as np
import pytest

from penumbra.network import Learning, Trained, fit, occlusion

from .conftest import NO_AUGMENT, SHORT, SMALL

pytestmark = [pytest.mark.slow, pytest.mark.numeric]

PLACE = (slice(0, 8), slice(8, 16), slice(0, 8))  # the octant whose brightness decides the hazard


@pytest.fixture(scope="module")
def trained() -> Trained:
    generator = np.random.default_rng(0)
    volumes, signal = generator.normal(size=(120, 16, 16, 16)).astype(np.float32), generator.normal(size=120)
    volumes[(slice(None), *PLACE)] += signal[:, None, None, None].astype(np.float32)
    death, left = generator.exponential(800 * np.exp(-1.5 * signal)), generator.uniform(300, 2500, 120)
    train = replace(SHORT, batch_size=16, epochs=15, patience=15, learning_rate=1e-2)
    return fit(volumes, death <= left, np.minimum(death, left), Learning(replace(SMALL, dropout=0.0), NO_AUGMENT, train))


def test_the_map_is_strongest_where_the_signal_is(trained: Trained) -> None:
    volume = np.random.default_rng(1).normal(size=(16, 16, 16)).astype(np.float32)
    volume[PLACE] += 1.5
    found = occlusion(trained, volume, edge=8, stride=4)
    inside = found[PLACE].mean()
    elsewhere = np.ones(volume.shape, bool)
    elsewhere[PLACE] = False
    assert inside > 0, "bright is high risk, and hiding it lowers the risk"
    assert inside > 3 * np.abs(found[elsewhere]).mean()


def test_a_hidden_part_that_was_zero_changes_nothing(trained: Trained) -> None:
    np.testing.assert_array_equal(occlusion(trained, np.zeros((16, 16, 16), np.float32), edge=8, stride=8), 0)


def test_impossible_cubes_are_refused(trained: Trained) -> None:
    with pytest.raises(ValueError, match="within 1 and s = 16; found 17 and 4"):
        occlusion(trained, np.zeros((16, 16, 16), np.float32), edge=17, stride=4)
