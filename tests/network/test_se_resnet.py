from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from penumbra.network import Network, SEResNet3D
from penumbra.network.se_resnet import initial_variables
from penumbra.network.trained import flatten

from .conftest import SMALL

pytestmark = pytest.mark.numeric

PAPER = Network(
    input_size=64,
    kernel=3,
    stem_filters=64,
    stem_stride=2,
    filters=(64, 128, 256, 512),
    strides=(1, 2, 2, 2),
    units=2,
    se=True,
    se_reduction=64,
    head=(512, 512, 256, 128),
    dropout=0.4,
    l2=1e-4,
    masked_input=False,
    norm="batch",
    norm_momentum=0.9,
)


def _shapes(network: Network) -> dict[str, tuple[int, ...]]:
    volumes = jax.ShapeDtypeStruct((1, *(network.input_size,) * 3), jnp.float32)
    variables: Any = jax.eval_shape(lambda v: SEResNet3D(network).init(jax.random.key(0), v, train=False), volumes)
    return {name: value.shape for name, value in _flat(variables["params"]).items()}


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if hasattr(tree, "items"):
        return {key: value for name, branch in tree.items() for key, value in _flat(branch, f"{prefix}{name}/").items()}
    return {prefix[:-1]: tree}


def _count(network: Network) -> int:
    return sum(int(np.prod(shape)) for shape in _shapes(network).values())


def test_parameter_count_of_the_paper_by_hand() -> None:
    # Convolutions have no bias, a BatchNorm has 2 C parameters, a dense layer in x out + out.
    # stem      27 x 1 x 64                                                                                        =      1 728
    # block 1   27 x 64 x 64 + BN 128 + 27 x 64 x 64; no norm before the first unit, no projection                 =    221 312
    # block 2   BN 128 + 27 x 64 x 128 + BN 256 + 27 x 128 x 128 + projection 64 x 128       (1, 2, 2, 2, 1 terms) =    672 128
    # block 3   BN 256 + 27 x 128 x 256 + BN 512 + 27 x 256 x 256 + projection 128 x 256                           =  2 687 744
    # block 4   BN 512 + 27 x 256 x 512 + BN 1024 + 27 x 512 x 512 + projection 256 x 512                          = 10 749 440
    # SE        C = 64: 64 x 1 + 1 + 1 x 64 + 64 = 193; 128: 256 + 2 + 256 + 128 = 642; 256: 1024 + 4 + 1024 + 256 = 2308;
    #           512: 4096 + 8 + 4096 + 512 = 8712                                                                  =     11 855
    # head      512 x 512 + 512 = 262 656, twice; 512 x 256 + 256 = 131 328; 256 x 128 + 128 = 32 896; 128 + 1 = 129  =    689 665
    se = 193 + 642 + 2308 + 8712
    total = 1_728 + 221_312 + 672_128 + 2_687_744 + 10_749_440 + se + 689_665
    assert se == 11_855
    assert _count(PAPER) == total == 15_033_872
    assert _count(replace(PAPER, se=False)) == total - se


def test_the_first_unit_is_the_convolution_alone_and_all_others_have_norms() -> None:
    names = _shapes(PAPER)
    assert "block_1/norm_1/batch/scale" not in names
    assert {f"block_{i}/norm_1/batch/scale" for i in (2, 3, 4)} <= set(names)
    assert {f"block_{i}/norm_2/batch/scale" for i in (1, 2, 3, 4)} <= set(names)
    assert "block_1/projection/kernel" not in names
    assert names["se_4/squeeze/kernel"] == (512, 8)
    assert names["se_1/squeeze/kernel"] == (64, 1)


def test_grids_of_the_paper() -> None:
    # 64 -> stem 32 -> pool 16 -> blocks 16, 8, 4, 2
    volumes = jax.ShapeDtypeStruct((2, 64, 64, 64), jnp.float32)

    def grids(v: jax.Array) -> Any:
        _, state = SEResNet3D(PAPER).init_with_output(jax.random.key(0), v, train=False, capture_intermediates=True)
        return state["intermediates"]

    seen = jax.eval_shape(grids, volumes)
    assert [seen[f"se_{i}"]["__call__"][0].shape for i in (1, 2, 3, 4)] == [
        (2, 16, 16, 16, 64),
        (2, 8, 8, 8, 128),
        (2, 4, 4, 4, 256),
        (2, 2, 2, 2, 512),
    ]
    assert seen["stem"]["__call__"][0].shape == (2, 32, 32, 32, 64)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_output_and_embedding(norm: str) -> None:
    network = replace(SMALL, norm=norm)
    volumes = np.random.default_rng(0).normal(size=(3, 16, 16, 16)).astype(np.float32)
    variables = initial_variables(network, seed=1)
    log_risk, more = SEResNet3D(network).apply(variables, volumes, train=False)
    assert log_risk.shape == (3,)
    assert (np.abs(log_risk) <= 1).all()
    assert more["embedding"].shape == (3, 8)


@pytest.mark.slow
def test_squeeze_and_excitation_scales_each_channel_by_a_weight_between_0_and_1() -> None:
    volumes = np.random.default_rng(0).normal(size=(2, 16, 16, 16)).astype(np.float32)
    variables = initial_variables(SMALL, seed=1)
    _, seen = SEResNet3D(SMALL).apply(variables, volumes, train=False, capture_intermediates=True, mutable=["intermediates"])
    before = np.asarray(seen["intermediates"]["block_1"]["__call__"][0])
    after = np.asarray(seen["intermediates"]["se_1"]["__call__"][0])
    params = {name: np.asarray(value) for name, value in flatten(variables["params"]["se_1"]).items()}
    mean = before.mean(axis=(1, 2, 3))
    hidden = np.maximum(mean @ params["squeeze/kernel"] + params["squeeze/bias"], 0)
    weight = 1 / (1 + np.exp(-(hidden @ params["excite/kernel"] + params["excite/bias"])))
    np.testing.assert_allclose(after, before * weight[:, None, None, None, :], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_narrow_compute_keeps_float32_parameters_and_nearly_the_same_risk() -> None:
    volumes = np.random.default_rng(0).normal(size=(4, 16, 16, 16)).astype(np.float32)
    narrow = SEResNet3D(SMALL, dtype=jnp.bfloat16)
    variables = initial_variables(SMALL, seed=1)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(variables)} == {"float32"}
    risk, _ = narrow.apply(variables, volumes, train=False)
    exact, _ = SEResNet3D(SMALL).apply(variables, volumes, train=False)
    assert risk.dtype == jnp.float32
    np.testing.assert_allclose(risk, exact, atol=0.03)
