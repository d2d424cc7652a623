from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.ndimage import rotate as scipy_rotate

from penumbra.network.augment import augment, blur, brightness, contrast, gamma, mirror, noise, rotate
from penumbra.network.settings import Augment

from .conftest import NO_AUGMENT, PAPER_AUGMENT

pytestmark = pytest.mark.numeric

KEY = jax.random.key(0)


@pytest.fixture
def volumes() -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(0.3, 1.2, size=(4, 10, 10, 10)), jnp.float32)


def test_contrast_keeps_the_mean_and_scales_the_deviation(volumes: jax.Array) -> None:
    factor = np.array([1.0, 1.25, 1.5, 1.75], np.float32)
    changed = np.asarray(contrast(volumes, factor))
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), volumes.mean(axis=(1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(changed.std(axis=(1, 2, 3)), factor * volumes.std(axis=(1, 2, 3)), rtol=1e-5)


def test_brightness_multiplies(volumes: jax.Array) -> None:
    np.testing.assert_allclose(brightness(volumes, jnp.array([0.7, 1.0, 1.2, 1.5]))[3], volumes[3] * 1.5, rtol=1e-6)


def test_gamma_by_hand() -> None:
    values = np.full((1, 3, 3, 3), 2.0, np.float32)
    values[0, 0, 0] = [-2, 0, 2]  # scaled to 0, 0.5, 1; squared 0, 0.25, 1; back to -2, -1, 2
    np.testing.assert_allclose(gamma(values, jnp.array([2.0]))[0, 0, 0], [-2, -1, 2], atol=1e-6)


def test_gamma_keeps_range_and_order_and_takes_a_constant(volumes: jax.Array) -> None:
    changed = np.asarray(gamma(volumes, jnp.array([0.5, 1.0, 1.5, 2.0])))
    np.testing.assert_allclose(changed.min(axis=(1, 2, 3)), volumes.min(axis=(1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(changed.max(axis=(1, 2, 3)), volumes.max(axis=(1, 2, 3)), atol=1e-5)
    assert (np.diff(changed[3].ravel()[np.argsort(np.asarray(volumes[3]).ravel())]) >= 0).all()
    np.testing.assert_array_equal(gamma(np.ones((1, 4, 4, 4), np.float32), jnp.array([0.5])), 1)


def test_noise_has_its_variance_and_no_mean() -> None:
    flat = np.zeros((3, 32, 32, 32), np.float32)
    changed = np.asarray(noise(flat, jnp.array([0.0, 0.02, 0.05]), key=KEY))
    assert (changed[0] == 0).all()
    np.testing.assert_allclose(changed.var(axis=(1, 2, 3)), [0, 0.02, 0.05], rtol=0.05, atol=1e-9)
    assert np.abs(changed.mean(axis=(1, 2, 3))).max() < 5e-3
    assert not np.allclose(changed[1] / changed[1].std(), changed[2] / changed[2].std(), atol=0.1)


def test_blur_keeps_the_mean_and_equals_scipy(volumes: jax.Array) -> None:
    sigma = np.array([0.5, 0.8, 1.2, 1.5], np.float32)
    changed = np.asarray(blur(volumes, sigma))
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), volumes.mean(axis=(1, 2, 3)), atol=1e-5)
    for i, width in enumerate(sigma):
        expected = gaussian_filter(np.asarray(volumes[i], float), width, mode="reflect", radius=int(np.ceil(4 * width)))
        np.testing.assert_allclose(changed[i], expected, atol=1e-5)


def test_mirror_reverses_the_axes_it_names(volumes: jax.Array) -> None:
    axes = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], bool)
    changed = np.asarray(mirror(volumes, axes))
    np.testing.assert_array_equal(changed[0], volumes[0])
    np.testing.assert_array_equal(changed[1], volumes[1, ::-1])
    np.testing.assert_array_equal(changed[2], volumes[2, :, ::-1, ::-1])
    np.testing.assert_array_equal(changed[3], volumes[3, ::-1, ::-1, ::-1])


def test_quarter_turns_equal_rot90(volumes: jax.Array) -> None:
    changed = np.asarray(rotate(volumes, jnp.array([0.0, 90.0, 180.0, 270.0])))
    for turns in range(4):
        np.testing.assert_allclose(changed[turns], np.rot90(volumes[turns], turns, axes=(1, 2)), atol=1e-4)


def test_any_turn_equals_scipy_inside(volumes: jax.Array) -> None:
    angle = 33.0
    expected = scipy_rotate(np.asarray(volumes[0], float), angle, axes=(1, 2), reshape=False, order=1)
    inner = (slice(None), slice(3, 7), slice(3, 7))
    np.testing.assert_allclose(np.asarray(rotate(volumes[:1], jnp.array([angle])))[0][inner], expected[inner], atol=1e-4)


def test_probability_zero_is_the_identity(volumes: jax.Array) -> None:
    np.testing.assert_array_equal(augment(volumes, KEY, settings=NO_AUGMENT), volumes)


def test_the_same_key_gives_the_same_batch_and_another_key_another(volumes: jax.Array) -> None:
    once = np.asarray(augment(volumes, KEY, settings=PAPER_AUGMENT))
    np.testing.assert_array_equal(once, augment(volumes, KEY, settings=PAPER_AUGMENT))
    assert not np.array_equal(once, augment(volumes, jax.random.key(1), settings=PAPER_AUGMENT))


def _certain(name: str) -> Augment:
    certain: dict[str, Any] = {name: 1.0}
    return replace(NO_AUGMENT, **certain)


@pytest.mark.parametrize("name", [name for name in vars(PAPER_AUGMENT) if name.endswith("_probability")])
def test_each_transform_alone_changes_its_samples_independently(name: str) -> None:
    # the same volume eight times: what is drawn per sample makes them differ
    volumes = jnp.repeat(jnp.asarray(np.random.default_rng(4).normal(size=(1, 8, 8, 8)), jnp.float32), 8, axis=0)
    changed = np.asarray(augment(volumes, KEY, settings=_certain(name)))
    assert np.isfinite(changed).all()
    assert (np.abs(changed - volumes).max(axis=(1, 2, 3)) > 1e-3).all()
    if not name.startswith("mirror"):
        assert len({sample.tobytes() for sample in changed}) == 8


def test_a_sample_is_chosen_as_often_as_its_probability_says() -> None:
    volumes = jnp.asarray(np.random.default_rng(5).normal(size=(4000, 4, 4, 4)), jnp.float32)
    changed = np.asarray(augment(volumes, KEY, settings=replace(NO_AUGMENT, brightness_probability=0.15)))
    share = (changed != np.asarray(volumes)).any(axis=(1, 2, 3)).mean()
    assert abs(share - 0.15) < 4 * np.sqrt(0.15 * 0.85 / 4000)


def test_what_is_never_drawn_is_not_compiled_and_leaves_the_other_draws_as_they_are(volumes: jax.Array) -> None:
    never, hardly = (replace(PAPER_AUGMENT, blur_probability=share, gamma_probability=share) for share in (0.0, 1e-12))
    np.testing.assert_array_equal(augment(volumes, KEY, settings=never), augment(volumes, KEY, settings=hardly))
    assert "pow" in str(jax.make_jaxpr(lambda v: augment(v, KEY, settings=hardly))(volumes))
    assert "pow" not in str(jax.make_jaxpr(lambda v: augment(v, KEY, settings=never))(volumes))
