"""The seven transforms of docs/method.md#network, on the device, over a whole batch; every sample has its own parameters.

Volumes are (n, z, y, x), z-scored cubes; parameters are (n,). A transform at its neutral parameter (factor 1, exponent 1, variance 0,
sigma 0, no axis, 0 degrees) changes nothing beyond rounding. `augment` draws the parameters and leaves a sample that is not chosen as it was.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from penumbra.network.settings import Augment

BLUR_RADIUS = 4.0  # standard deviations after which the Gaussian is cut


def augment(volumes: jax.Array, key: jax.Array, *, settings: Augment) -> jax.Array:
    """Return the batch with each transform applied to the samples it was drawn for, in the order of docs/method.md#network.

    Parameters
    ----------
    volumes : shape (n, z, y, x)
        A cube each.
    key
        Of jax.random; the same key gives the same batch.
    settings
        Probabilities and ranges (static under jit).
    """
    n = volumes.shape[0]
    of_parameters, of_noise = jax.random.split(key)
    uniform = iter(jax.random.uniform(of_parameters, (15, n)))  # one draw for all: cheaper to compile than fifteen

    def selection(probability: float) -> jax.Array:
        answer: jax.Array = next(uniform) < probability
        return answer

    def amount(limits: tuple[float, float]) -> jax.Array:
        answer: jax.Array = limits[0] + (limits[1] - limits[0]) * next(uniform)
        return answer

    def transformed(volumes: jax.Array, probability: float, limits: tuple[float, float], transform: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
        chosen, parameter = selection(probability), amount(limits)  # drawn in any case: the draws of the others stay
        return _where(chosen, transform(volumes, parameter), volumes) if probability > 0 else volumes  # nothing is compiled for what is never chosen

    s = settings
    volumes = transformed(volumes, s.contrast_probability, s.contrast_range, contrast)
    volumes = transformed(volumes, s.brightness_probability, s.brightness_range, brightness)
    volumes = transformed(volumes, s.gamma_probability, s.gamma_range, gamma)
    volumes = transformed(volumes, s.noise_probability, s.noise_variance_range, partial(noise, key=of_noise))
    volumes = transformed(volumes, s.blur_probability, s.blur_sigma_range, blur)
    volumes = mirror(volumes, jnp.stack([selection(s.mirror_probability) for _ in range(3)], axis=1))
    return transformed(volumes, s.rotation_probability, s.rotation_range, rotate)


@jax.jit
def contrast(volumes: jax.Array, factor: jax.Array) -> jax.Array:
    """Return each volume with the distances to its mean multiplied by `factor` (n,); the mean stays."""
    mean = volumes.mean(axis=(1, 2, 3), keepdims=True)
    return mean + (volumes - mean) * _per_volume(factor)


@jax.jit
def brightness(volumes: jax.Array, factor: jax.Array) -> jax.Array:
    """Return each volume multiplied by `factor` (n,)."""
    return volumes * _per_volume(factor)


@jax.jit
def gamma(volumes: jax.Array, exponent: jax.Array) -> jax.Array:
    """Return each volume, scaled to 0..1, raised to `exponent` (n,) and scaled back: minimum, maximum and order of the values stay."""
    low = volumes.min(axis=(1, 2, 3), keepdims=True)
    span = volumes.max(axis=(1, 2, 3), keepdims=True) - low
    scaled = (volumes - low) / jnp.where(span > 0, span, 1.0)
    return low + span * scaled ** _per_volume(exponent)


@jax.jit
def noise(volumes: jax.Array, variance: jax.Array, *, key: jax.Array) -> jax.Array:
    """Return each volume plus independent Gaussian noise of `variance` (n,)."""
    return volumes + _per_volume(jnp.sqrt(variance)) * jax.random.normal(key, volumes.shape, volumes.dtype)


@jax.jit
def blur(volumes: jax.Array, sigma: jax.Array) -> jax.Array:
    """Return each volume under a Gaussian of `sigma` (n,) voxels; what crosses a border is reflected there, so the mean stays."""
    smooth = jax.vmap(partial(_gaussian_matrix, size=volumes.shape[1]))(sigma)
    precise = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    volumes = precise("nab,nbyx->nayx", smooth, volumes)
    volumes = precise("nab,nzbx->nzax", smooth, volumes)
    return precise("nab,nzyb->nzya", smooth, volumes)


@jax.jit
def mirror(volumes: jax.Array, axes: jax.Array) -> jax.Array:
    """Return each volume reversed along those of its axes z, y, x that `axes` (n, 3) names."""
    for axis in range(3):
        volumes = _where(axes[:, axis], jnp.flip(volumes, axis + 1), volumes)
    return volumes


@jax.jit
def rotate(volumes: jax.Array, degrees: jax.Array) -> jax.Array:
    """Return each volume turned by `degrees` (n,) about z around its center, from y toward x as `numpy.rot90(axes=(y, x))`.

    Bilinear in the plane; what comes from outside is 0, the mean of a z-scored volume.
    """
    size = volumes.shape[2]
    center = (size - 1) / 2
    angle = jnp.deg2rad(degrees)[:, None, None]
    y, x = jnp.meshgrid(jnp.arange(size) - center, jnp.arange(size) - center, indexing="ij")
    from_y = jnp.cos(angle) * y + jnp.sin(angle) * x + center
    from_x = -jnp.sin(angle) * y + jnp.cos(angle) * x + center
    left_y, left_x = jnp.floor(from_y), jnp.floor(from_x)
    planes = jnp.moveaxis(volumes, 1, -1).reshape(volumes.shape[0], size * size, volumes.shape[1])  # z last: whole columns are gathered

    turned = jnp.zeros((volumes.shape[0], size * size, volumes.shape[1]), volumes.dtype)
    for step_y in (0, 1):
        for step_x in (0, 1):
            at_y, at_x = left_y + step_y, left_x + step_x
            weight = (1 - jnp.abs(from_y - at_y)) * (1 - jnp.abs(from_x - at_x))
            weight = jnp.where((at_y >= 0) & (at_y < size) & (at_x >= 0) & (at_x < size), weight, 0.0)
            place = (jnp.clip(at_y, 0, size - 1) * size + jnp.clip(at_x, 0, size - 1)).astype(int)
            columns = jax.vmap(lambda plane, index: plane[index])(planes, place.reshape(-1, size * size))
            turned = turned + weight.reshape(-1, size * size, 1) * columns
    return jnp.moveaxis(turned.reshape(volumes.shape[0], size, size, volumes.shape[1]), -1, 1)


def _gaussian_matrix(sigma: jax.Array, *, size: int) -> jax.Array:
    """Return the symmetric matrix (size, size) of a Gaussian whose mass beyond a border is folded back; rows and columns sum to 1."""
    offset = jnp.arange(-size, size + 1)
    sharp = jnp.where(offset == 0, 1.0, 0.0)
    bell = jnp.exp(-0.5 * (offset / jnp.maximum(sigma, 1e-6)) ** 2)
    bell = jnp.where(jnp.abs(offset) <= jnp.ceil(BLUR_RADIUS * sigma), bell, 0.0)
    weight = jnp.where(sigma > 0, bell / bell.sum(), sharp)
    row, column = jnp.arange(size)[:, None], jnp.arange(size)[None, :]

    def at(distance: jax.Array) -> jax.Array:
        return jnp.where(jnp.abs(distance) <= size, weight[jnp.clip(distance + size, 0, 2 * size)], 0.0)

    # voxel c is seen at c and at its images -1 - c and 2 size - 1 - c
    return at(column - row) + at(-1 - column - row) + at(2 * size - 1 - column - row)


def _where(selection: jax.Array, changed: jax.Array, volumes: jax.Array) -> jax.Array:
    return jnp.where(_per_volume(selection), changed, volumes)


def _per_volume(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]
