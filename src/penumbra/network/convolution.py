"""Three-dimensional convolution and pooling, each lowered the way that is fastest for its shape and backend.

Arrays are (n, z, y, x, channel), kernels (k, k, k, channel in, channel out) with odd k; zeros are padded so that stride 1 keeps the grid.
"""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from penumbra.network.winograd import by_winograd

PATIENTS_AT_ONCE = 2  # on a CPU, where patches are large: 64 channels at 16^3 are 9 MB a patient
FEW_CHANNELS = 8  # on a GPU: cuDNN's fast convolutions take channels by the eight, so an image is faster as patches,
SMALL_GRID = 4  # and so are grids so small that their kernels outweigh them
MANY_CHANNELS = 32  # on a CPU, from which on products outweigh the sums and differences of Winograd's filtering


def convolve(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution."""
    if kernel.shape[0] == 1:
        return _product(x[:, ::stride, ::stride, ::stride], kernel[0, 0, 0])
    if jax.default_backend() != "cpu":
        return (by_patches if x.shape[-1] < FEW_CHANNELS or x.shape[1] <= SMALL_GRID else by_slices)(x, kernel, stride=stride)
    if stride == 1 and _suits_winograd(x, kernel):
        return by_winograd(x, kernel)
    if x.shape[-1] == 1 and kernel.shape[-1] >= MANY_CHANNELS:
        return of_image(x, kernel, stride=stride)
    lowering = partial(by_planes if stride == 1 and x.shape[1] >= 4 else by_patches, kernel=kernel, stride=stride)
    return in_parts(lowering, x) if x.shape[1] >= 16 else lowering(x)


def _suits_winograd(x: jax.Array, kernel: jax.Array) -> bool:
    _, z, y, _, _ = x.shape
    *edges, channels, filters = kernel.shape
    return edges == [3, 3, 3] and is_filtered(z, min(channels, filters)) and y % 2 == 0 and x.dtype == jnp.float32


def is_filtered(edge: int, channels: int) -> bool:
    """Whether a layer of so many channels, of 3^3 voxels and stride 1, takes Winograd's filtering on a CPU on a grid of edge^3 voxels."""
    return edge >= 4 and edge % 2 == 0 and channels >= MANY_CHANNELS


def in_parts(operation: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Return operation(x), a few patients at a time; intermediate values are recomputed for the gradient instead of being kept."""

    def of_one(patient: jax.Array) -> jax.Array:
        return operation(patient[None])[0]

    answer: jax.Array = lax.map(jax.checkpoint(of_one), x, batch_size=PATIENTS_AT_ONCE)
    return answer


def by_slices(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution as one of two dimensions: each (y, x) slice with its k neighbors along z side by side as channels.

    XLA gives cuDNN convolutions of two dimensions in its fast layout, channels last, but those of three dimensions with channels first.
    """
    size, filters = kernel.shape[0], kernel.shape[-1]
    x = _neighbors(x, 1, size, stride)
    flat = jnp.moveaxis(kernel, 0, 2).reshape(size, size, -1, filters)
    slices = x.reshape(-1, *x.shape[2:])
    slices = lax.conv_general_dilated(slices, flat, (stride,) * 2, [(size // 2,) * 2] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return slices.reshape(*x.shape[:2], *slices.shape[1:])


def by_patches(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution as one matrix product of all k^3 patches with the kernel."""
    for axis in (3, 2, 1):
        x = _neighbors(x, axis, kernel.shape[0], stride)
    return _product(x, kernel.reshape(-1, kernel.shape[-1]))


def of_image(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution of one channel as `by_patches`; the patches are made once, where XLA would make them again within the loops around."""
    for axis in (3, 2, 1):
        x = _neighbors(x, axis, kernel.shape[0], stride)
    rows = lax.optimization_barrier(x).reshape(-1, x.shape[-1])  # two dimensions: the gradient of the product of five takes half as long again
    products = _product(rows, kernel.reshape(-1, kernel.shape[-1]))
    answer: jax.Array = lax.optimization_barrier(products.reshape(*x.shape[:-1], -1))
    return answer


def by_planes(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution as one matrix product of all k^2 patches in the plane with the kernels of k planes, then added along z."""
    for axis in (3, 2):
        x = _neighbors(x, axis, kernel.shape[0], stride)
    size, filters = kernel.shape[0], kernel.shape[-1]
    planes = _product(x, jnp.moveaxis(kernel.reshape(size, -1, filters), 0, 1).reshape(-1, size * filters))
    planes = jnp.pad(planes, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0), (0, 0)))
    return sum(
        (lax.slice_in_dim(planes[..., i * filters : (i + 1) * filters], i, i + x.shape[1], stride, 1) for i in range(size)),
        jnp.zeros((), x.dtype),
    )


def max_pool(x: jax.Array, *, size: int, stride: int) -> jax.Array:
    """Return the maximum over size^3 voxels, size odd, one axis after the other: slices and maxima instead of a window scan."""
    for axis in (1, 2, 3):
        x = reduce(jnp.maximum, _shifted(x, axis, size, stride, -jnp.inf))
    return x


def _neighbors(x: jax.Array, axis: int, size: int, stride: int) -> jax.Array:
    """Return the `size` voxels around each along `axis`, side by side as channels."""
    return jnp.concatenate(_shifted(x, axis, size, stride, 0.0), axis=-1)


def _shifted(x: jax.Array, axis: int, size: int, stride: int, beyond: float) -> list[jax.Array]:
    last = (x.shape[axis] - 1) // stride * stride
    padding = [(0, 0)] * x.ndim
    padding[axis] = (size // 2, size // 2)
    padded = jnp.pad(x, padding, constant_values=beyond)
    return [lax.slice_in_dim(padded, shift, shift + last + 1, stride, axis) for shift in range(size)]


def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    return lax.dot_general(x, matrix, (((x.ndim - 1,), (0,)), ((), ())))
