"""3D-SE-ResNet, from its input to its log_risk, in the order of its diagram (docs/method.md#network)."""

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from penumbra.network.convolution import MANY_CHANNELS, convolve, is_filtered, max_pool
from penumbra.network.settings import Network

if TYPE_CHECKING:
    from jax.typing import DTypeLike


class SEResNet3D(nn.Module):
    """The network; `apply(variables, volumes, train=...)` returns (log_risk, {"embedding": ...}).

    Parameters
    ----------
    settings
        The architecture.
    dtype
        Of the convolutions.
    parent, name
        As of every flax module.

    Notes
    -----
    volumes: shape (n, z, y, x), z-scored. train: dropout on, batch statistics instead of the running ones. log_risk: shape (n,), within -1..1;
    higher = earlier death. embedding: shape (n, filters[-1]), the globally averaged last block, the deep features.

    References
    ----------
    He 2016 (arXiv 1603.05027, units of BN, ReLU, convolution), Hu 2018 (arXiv 1709.01507, squeeze and excitation).
    """

    settings: Network
    dtype: "DTypeLike" = jnp.float32

    @nn.compact
    def __call__(self, volumes: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        net = self.settings

        x = volumes[..., None].astype(self.dtype)
        x = Convolution(net.stem_filters, net.kernel, stride=net.stem_stride, dtype=self.dtype, name="stem")(x)
        x = max_pool(x, size=net.kernel, stride=net.stem_stride)

        for i, (filters, stride) in enumerate(zip(net.filters, net.strides, strict=True)):
            x = ResidualBlock(net, filters, stride, bare=i == 0, dtype=self.dtype, name=f"block_{i + 1}")(x, train=train)
            if net.se:
                x = SqueezeExcitation(net.se_reduction, dtype=self.dtype, name=f"se_{i + 1}")(x)

        embedding = x.astype(jnp.float32).mean(axis=(1, 2, 3))

        x = embedding
        for i, units in enumerate(net.head):
            x = nn.relu(nn.Dense(units, name=f"head_{i + 1}")(x))
            x = nn.Dropout(net.dropout, deterministic=not train)(x)
        log_risk = jnp.tanh(nn.Dense(1, name="output")(x))[:, 0]
        return log_risk, {"embedding": embedding}


class ResidualBlock(nn.Module):
    """Convolutional units (norm, ReLU, convolution) and the skip around them.

    Parameters
    ----------
    stride
        Of the first unit and of the skip; the other units keep the grid.
    bare
        The first unit is the convolution alone: the very first one of the network.
    """

    network: Network
    filters: int
    stride: int
    bare: bool
    dtype: "DTypeLike"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        skip = x
        if self.stride != 1 or x.shape[-1] != self.filters:
            skip = Convolution(self.filters, size=1, stride=self.stride, dtype=self.dtype, name="projection")(x)

        for unit in range(1, self.network.units + 1):
            if unit > 1 or not self.bare:
                x = nn.relu(Norm(self.network.norm, self.network.norm_momentum, dtype=self.dtype, name=f"norm_{unit}")(x, train=train))
            stride = self.stride if unit == 1 else 1
            x = Convolution(self.filters, self.network.kernel, stride=stride, dtype=self.dtype, name=f"conv_{unit}")(x)
        return x + skip


class SqueezeExcitation(nn.Module):
    """Each channel is scaled by a weight in 0..1 that depends on the means of all channels."""

    reduction: int
    dtype: "DTypeLike"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        weight = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        weight = nn.relu(nn.Dense(max(1, channels // self.reduction), name="squeeze")(weight))
        weight = nn.sigmoid(nn.Dense(channels, name="excite")(weight))
        return x * weight[:, None, None, None, :].astype(self.dtype)


class Convolution(nn.Module):
    """A cubic convolution without bias, borders padded with zeros so that stride 1 keeps the grid."""

    filters: int
    size: int
    stride: int
    dtype: "DTypeLike"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, self.size, x.shape[-1], self.filters)
        kernel = self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        return convolve(x, kernel.astype(self.dtype), stride=self.stride)


class Norm(nn.Module):
    """BatchNorm, or GroupNorm in groups of at most 16 channels, which needs no statistics of the batch."""

    kind: str
    momentum: float
    dtype: "DTypeLike"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if self.kind == "group":
            grouped: jax.Array = nn.GroupNorm(num_groups=None, group_size=min(16, x.shape[-1]), dtype=self.dtype, name="group")(x)
            return grouped
        answer: jax.Array = nn.BatchNorm(use_running_average=not train, momentum=self.momentum, dtype=self.dtype, name="batch")(x)
        return answer


def is_wide(network: Network) -> bool:
    """Tell whether a layer is convolved on a CPU as wide ones are since 2026-11-27: the weights of such a network differ by rounding from those of before.

    Parameters
    ----------
    network
        The architecture.

    Returns
    -------
    bool
        True: Winograd's filtering, or an image's patches made once.
    """
    edge = network.input_size
    for _ in ("stem", "pooling"):
        edge = -(-edge // network.stem_stride)
    wide = network.stem_filters >= MANY_CHANNELS
    for filters, stride in zip(network.filters, network.strides, strict=True):
        edge = -(-edge // stride)
        wide = wide or (network.kernel == 3 and is_filtered(edge, filters))
    return wide


def initial_variables(network: Network, *, seed: int) -> dict[str, Any]:
    """Return the variables before training: kernels normal with variance 2 / fan-in (He 2015), scales and variances 1, all else 0.

    The output's kernel is drawn smaller, 1 / fan-in: a tanh that starts saturated has no gradient, and some trainings never left it.
    Drawn by numpy, leaf after leaf, so that they are the same on every device and need no compilation.
    """
    generator = np.random.default_rng(seed)
    volumes = jax.ShapeDtypeStruct((1, *(network.input_size,) * 3), jnp.float32)
    shapes = jax.eval_shape(lambda v: SEResNet3D(network).init(jax.random.key(0), v, train=False), volumes)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            fan_in = np.prod(leaf.shape[:-1])
            deviation = 1 / fan_in if path[-2].key == "output" else np.sqrt(2 / fan_in)
            return np.asarray((deviation * generator.standard_normal(leaf.shape)).astype(np.float32))
        return np.full(leaf.shape, 1.0 if name in ("scale", "var") else 0.0, np.float32)

    variables: dict[str, Any] = jax.tree_util.tree_map_with_path(draw, shapes)
    return variables
