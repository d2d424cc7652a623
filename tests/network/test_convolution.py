from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from penumbra.network import Network, SEResNet3D, is_wide, winograd
from penumbra.network.convolution import by_patches, by_planes, by_slices, convolve, in_parts, max_pool, of_image
from penumbra.network.winograd import by_winograd
from penumbra.pipeline.settings import load_settings

pytestmark = pytest.mark.numeric


def by_xla(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """The convolution as XLA's own operation."""
    padding = [(kernel.shape[0] // 2,) * 2] * 3
    return jax.lax.conv_general_dilated(x, kernel, (stride,) * 3, padding, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "stride", "edge"), [(2, 1, 3), (2, 2, 3), (5, 1, 3), (5, 2, 3), (8, 1, 3), (8, 2, 3), (8, 1, 5), (8, 2, 5)])
def test_every_lowering_gives_the_same_numbers_and_gradients(size: int, stride: int, edge: int) -> None:
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.normal(size=(2, size, size, size, 3)), jnp.float32)
    kernel = jnp.asarray(generator.normal(size=(edge, edge, edge, 3, 4)), jnp.float32)
    expected = by_xla(x, kernel, stride=stride)
    weight = jnp.asarray(generator.normal(size=expected.shape), jnp.float32)
    gradients = [
        jax.grad(lambda x, k, f=lowering: jnp.sum(f(x, k, stride=stride) * weight), (0, 1))(x, kernel)
        for lowering in (by_xla, by_patches, by_planes, by_slices, convolve)
    ]
    for lowering, gradient in zip((by_patches, by_planes, by_slices, convolve), gradients[1:], strict=True):
        np.testing.assert_allclose(lowering(x, kernel, stride=stride), expected, atol=5e-5)
        np.testing.assert_allclose(gradient[0], gradients[0][0], atol=1e-4)
        np.testing.assert_allclose(gradient[1], gradients[0][1], rtol=1e-4, atol=5e-4)


@pytest.mark.parametrize("at_once", [1, 3, 8], ids=["a patient at a time", "with a rest", "all"])
def test_winograds_filtering_gives_the_numbers_and_gradients_of_the_convolution(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(at_once)
    x = jnp.asarray(generator.normal(size=(4, 4, 6, 5, 3)), jnp.float32)
    kernel = jnp.asarray(generator.normal(size=(3, 3, 3, 3, 2)), jnp.float32)
    monkeypatch.setattr(winograd, "AT_ONCE", at_once * 4 * x[0].size)
    weight = jnp.asarray(generator.normal(size=(4, 4, 6, 5, 2)), jnp.float32)

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return by_xla(x, kernel, stride=1)

    np.testing.assert_allclose(by_winograd(x, kernel), plain(x, kernel), atol=5e-5)
    expected = jax.grad(lambda *of: jnp.sum(jnp.sin(plain(*of)) * weight), (0, 1))(x, kernel)
    for gradient, theirs in zip(jax.grad(lambda *of: jnp.sum(jnp.sin(by_winograd(*of)) * weight), (0, 1))(x, kernel), expected, strict=True):
        np.testing.assert_allclose(gradient, theirs, rtol=1e-4, atol=5e-4)


@pytest.mark.parametrize(
    ("channels", "edge", "filtered"), [(32, 4, True), (8, 4, False), (32, 5, False), (32, 2, False)], ids=["wide", "narrow", "odd", "small"]
)
def test_wide_layers_on_even_grids_are_filtered_on_a_cpu(channels: int, edge: int, filtered: bool) -> None:
    x, kernel = jnp.ones((1, edge, edge, edge, channels)), jnp.ones((3, 3, 3, channels, 32))
    program = str(jax.make_jaxpr(lambda *of: convolve(*of, stride=1))(x, kernel))
    assert ("custom_vjp_call" in program) is filtered


@pytest.mark.parametrize(("profile", "wide"), [("paper", True), ("quick", False), ("best", False)])
def test_profiles_whose_bits_changed_are_known_by_it(profile: str, wide: bool) -> None:
    architecture = load_settings(profile).network
    assert is_wide(architecture) is wide
    program = str(jax.make_jaxpr(lambda variables, x: SEResNet3D(architecture).apply(variables, x, train=False)[0])(*_shapes(architecture)))
    assert ("custom_vjp_call" in program) is wide
    assert ("optimization_barrier" in program) is wide


def _shapes(architecture: Network) -> tuple[Any, jax.ShapeDtypeStruct]:
    x = jax.ShapeDtypeStruct((1, *(architecture.input_size,) * 3), jnp.float32)
    return jax.eval_shape(lambda x: SEResNet3D(architecture).init(jax.random.key(0), x, train=False), x), x


def test_an_image_of_one_channel_has_the_numbers_and_gradients_of_its_patches() -> None:
    generator = np.random.default_rng(3)
    x = jnp.asarray(generator.normal(size=(2, 6, 6, 6, 1)), jnp.float32)
    kernel = jnp.asarray(generator.normal(size=(3, 3, 3, 1, 32)), jnp.float32)
    np.testing.assert_allclose(of_image(x, kernel, stride=2), by_xla(x, kernel, stride=2), atol=5e-5)
    np.testing.assert_array_equal(convolve(x, kernel, stride=2), of_image(x, kernel, stride=2))
    gradient, expected = (jax.grad(lambda k, f=lowering: jnp.sum(jnp.sin(f(x, k, stride=2))))(kernel) for lowering in (of_image, by_xla))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=5e-4)


def test_a_kernel_of_one_voxel_is_a_product() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 5, 5, 3)), jnp.float32)
    kernel = jnp.asarray(np.random.default_rng(1).normal(size=(1, 1, 1, 3, 4)), jnp.float32)
    np.testing.assert_allclose(convolve(x, kernel, stride=2), np.asarray(x)[:, ::2, ::2, ::2] @ np.asarray(kernel)[0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("size", [4, 7])
def test_max_pool_equals_the_maximum_over_each_window(size: int) -> None:
    x = np.random.default_rng(0).normal(size=(1, size, size, size, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))[:, ::2, ::2, ::2]
    np.testing.assert_array_equal(max_pool(jnp.asarray(x), size=3, stride=2), windows.max(axis=(-3, -2, -1)))


@pytest.mark.slow
def test_a_few_patients_at_a_time_give_the_numbers_and_gradients_of_all_at_once() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 4, 4, 3)), jnp.float32)
    kernel = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 3, 3, 4)), jnp.float32)

    def whole(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return by_planes(x, kernel, stride=1)

    def parted(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return in_parts(lambda part: whole(part, kernel), x)

    np.testing.assert_allclose(parted(x, kernel), whole(x, kernel), atol=1e-5)
    expected = jax.grad(lambda *given: jnp.sum(jnp.sin(whole(*given))), (0, 1))(x, kernel)
    for found, gradient in zip(jax.grad(lambda *given: jnp.sum(jnp.sin(parted(*given))), (0, 1))(x, kernel), expected, strict=True):
        np.testing.assert_allclose(found, gradient, atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "edge", "windows"),
    [(1, 6, []), (8, 6, [2]), (8, 4, [])],
    ids=["the image as patches", "large grids slice by slice", "small ones as patches"],
)
def test_a_gpu_convolves_in_two_dimensions(channels: int, edge: int, windows: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.normal(size=(2, edge, edge, edge, channels)), jnp.float32)
    kernel = jnp.asarray(generator.normal(size=(3, 3, 3, channels, 4)), jnp.float32)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_allclose(convolve(x, kernel, stride=2), by_xla(x, kernel, stride=2), atol=5e-5)
    operations = jax.make_jaxpr(lambda x, kernel: convolve(x, kernel, stride=2))(x, kernel).jaxpr.eqns
    assert [len(operation.params["window_strides"]) for operation in operations if operation.primitive.name == "conv_general_dilated"] == windows
