"""Convolution with a kernel of 3 x 3 x 3 voxels by Winograd's minimal filtering, for wide layers on a CPU.

Two neighboring outputs along an axis need six multiplications with the kernel as it is, and four of sums and differences of their four inputs:
F(2, 3) of Winograd 1980 and Lavin 2016 (arXiv 1509.09308). Here along z and y, so that of 27 multiplications an output 12 remain; along x a convolution
of one dimension stays, which reads each row once. The gradients have the same form: that of the input is a convolution with the kernel turned around,
that of the kernel a product of the transformed input and the transformed gradient.

Arrays are (n, z, y, x, channel), kernels (3, 3, 3, channel in, channel out); z and y are even.
"""

import jax
import jax.numpy as jnp
from jax import lax

AT_ONCE = 2_097_152  # transformed values of the patients that are convolved at once: 8 MB, which a processor's cache holds


@jax.custom_vjp
def by_winograd(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return the convolution with stride 1, borders padded with zeros."""
    flat = _in_plane(kernel)

    def of(part: jax.Array) -> jax.Array:
        rows = lax.map(lambda one: _along_x(*one), (_inputs(part), flat))
        return _outputs(rows, part.shape[:4])

    size = _patients(x)
    if size >= len(x):
        return of(x)
    answer: jax.Array = lax.map(lambda patient: of(patient[None])[0], x, batch_size=size)
    return answer


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return by_winograd(x, kernel), (x, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return by_winograd(gradient, jnp.flip(kernel, (0, 1, 2)).swapaxes(3, 4)), _kernel_gradient(x, gradient)


by_winograd.defvjp(_forward, _backward)


def _kernel_gradient(x: jax.Array, gradient: jax.Array) -> jax.Array:
    channels, filters = x.shape[-1], gradient.shape[-1]

    def of_one(one: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Return (filter, 3 x channel) of one of the 16 sums: rows (m, x, channel) beside their neighbors, times rows (m, x, filter)."""
        rows, weights = one
        padded = lax.optimization_barrier(jnp.pad(rows, ((0, 0), (1, 1), (0, 0))))
        windows = lax.optimization_barrier(jnp.concatenate([padded[:, i : i + rows.shape[1]] for i in range(3)], axis=-1))
        return lax.dot_general(weights.reshape(-1, filters), windows.reshape(-1, 3 * channels), (((0,), (0,)), ((), ())))

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + lax.map(of_one, (_inputs(part[0]), _gradients(part[1]))), None

    size = min(_patients(x), len(x))
    start = jnp.zeros((16, filters, 3 * channels), x.dtype)
    total, _ = lax.scan(add, start, (_in_parts(x, size), _in_parts(gradient, size)))
    return jnp.transpose(_weights(total.reshape(4, 4, filters, 3, channels)), (0, 1, 3, 4, 2))


def _patients(x: jax.Array) -> int:
    return max(1, AT_ONCE // (4 * x[0].size))


def _in_parts(x: jax.Array, size: int) -> jax.Array:
    """Return (parts, size, ...), the last part filled up with zeros, which add nothing."""
    padded = jnp.pad(x, ((0, -len(x) % size), *((0, 0),) * (x.ndim - 1)))
    return padded.reshape(-1, size, *x.shape[1:])


def _in_plane(kernel: jax.Array) -> jax.Array:
    """Return the kernel as 16 of one dimension, shape (16, 3, channel in, channel out): three weights of z, then of y, to four."""
    for axis in (0, 1):  # the four come in front
        first, middle, last = jnp.moveaxis(kernel, axis, 0)
        both, half = (first + last) / 2, middle / 2
        kernel = jnp.stack([first, both + half, both - half, last])
    return kernel.reshape(16, *kernel.shape[2:])


def _weights(sums: jax.Array) -> jax.Array:
    """Return (z, y, ...) of gradients (four of y, four of z, ...): the transpose of `_in_plane`."""
    for axis in (0, 1):
        a, b, c, d = jnp.moveaxis(sums, axis, 0)
        both, half = (b + c) / 2, (b - c) / 2
        sums = jnp.stack([a + both, half, both + d], axis)
    return jnp.swapaxes(sums, 0, 1)


def _along_x(rows: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(rows, kernel, (1,), [(1, 1)], dimension_numbers=("NWC", "WIO", "NWC"))


def _inputs(x: jax.Array) -> jax.Array:
    """Return four inputs of every two outputs, along z and then y, as 16 arrays of rows (16, n z/2 y/2, x, channel)."""
    for axis in (1, 3):  # the four come in front
        padding = [(0, 0)] * x.ndim
        padding[axis] = (1, 1)
        padded, last = jnp.pad(x, padding), x.shape[axis] - 1
        a, b, c, d = (lax.slice_in_dim(padded, shift, shift + last, 2, axis) for shift in range(4))
        x = jnp.stack([a - c, b + c, c - b, b - d])
    return x.reshape(16, -1, *x.shape[-2:])


def _gradients(y: jax.Array) -> jax.Array:
    """Return what the gradient of every two outputs is of their four products, in the order of `_inputs`."""
    for axis in (1, 3):
        a, b = (lax.slice_in_dim(y, shift, y.shape[axis], 2, axis) for shift in range(2))
        y = jnp.stack([a, a + b, a - b, -b])
    return y.reshape(16, -1, *y.shape[-2:])


def _outputs(rows: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return (n, z, y, x, filter) of the products in the order of `_inputs`."""
    n, z, y, x = shape
    products = rows.reshape(4, 4, n, z // 2, y // 2, x, -1)
    for axis in (3, 1):  # y of (four of z, n, z / 2, y / 2, x, filter), then z of (n, z / 2, y, x, filter)
        a, b, c, d = products
        products = jnp.stack([a + b + c, b - c - d], axis=axis + 1).reshape(*a.shape[:axis], -1, *a.shape[axis + 1 :])
    return products
