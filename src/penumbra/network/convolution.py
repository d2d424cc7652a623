"""Three-dimensional convolution and pooling, each lowered the way that is fastest for its shape and backend.

Arrays are (n, z, y, x, channel), kernels (3, 3, 3, channel in, channel out) or (1, 1, 1, in, out); padding is one voxel of zeros on each side.
"""

import jax
import jax.numpy as jnp
from jax import lax


def convolve(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution."""
    if kernel.shape[0] == 1:
        return _product(x[:, ::stride, ::stride, ::stride], kernel[0, 0, 0])
    if jax.default_backend() != "cpu":
        return by_xla(x, kernel, stride=stride)
    if stride == 1 and x.shape[1] >= 8:
        return by_planes(x, kernel, stride=stride)
    return by_patches(x, kernel, stride=stride)


def by_xla(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution as XLA's own operation."""
    return lax.conv_general_dilated(x, kernel, (stride,) * 3, [(1, 1)] * 3, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def by_patches(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution as one matrix product of all 3^3 patches with the kernel."""
    for axis in (3, 2, 1):
        x = _neighbours(x, axis, stride)
    return _product(x, kernel.reshape(-1, kernel.shape[-1]))


def by_planes(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Return the convolution as one matrix product of all 3^2 patches in the plane with the kernels of three planes, then added along z."""
    for axis in (3, 2):
        x = _neighbours(x, axis, stride)
    filters = kernel.shape[-1]
    planes = _product(x, jnp.moveaxis(kernel.reshape(3, -1, filters), 0, 1).reshape(-1, 3 * filters))
    planes = jnp.pad(planes, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    return sum(
        (lax.slice_in_dim(planes[..., i * filters : (i + 1) * filters], i, i + x.shape[1], stride, 1) for i in range(3)),
        jnp.zeros((), x.dtype),
    )


def max_pool(x: jax.Array) -> jax.Array:
    """Return the maximum over 3^3 voxels at stride 2, one axis after the other: slices and maxima instead of a window scan."""
    for axis in (1, 2, 3):
        before, here, after = _shifted(x, axis, 2, -jnp.inf)
        x = jnp.maximum(jnp.maximum(before, here), after)
    return x


def _neighbours(x: jax.Array, axis: int, stride: int) -> jax.Array:
    """Return the voxels before, at and after each along `axis`, side by side as channels."""
    return jnp.concatenate(_shifted(x, axis, stride, 0.0), axis=-1)


def _shifted(x: jax.Array, axis: int, stride: int, beyond: float) -> list[jax.Array]:
    last = (x.shape[axis] - 1) // stride * stride
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 1)
    padded = jnp.pad(x, padding, constant_values=beyond)
    return [lax.slice_in_dim(padded, shift, shift + last + 1, stride, axis) for shift in range(3)]


def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    return lax.dot_general(x, matrix, (((x.ndim - 1,), (0,)), ((), ())))
