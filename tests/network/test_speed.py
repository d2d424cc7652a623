"""What `make bench-network` does on a GPU, as far as a CPU can."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from penumbra.bench.network import agreement, invented, ours, recipe_without_augmentation, step_flops
from penumbra.network.se_resnet import initial_variables
from penumbra.network.step import initial_state, train_step

from .conftest import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.numeric]

TINY = replace(SMALL, input_size=8, filters=(4,), strides=(1,), units=2, se=False, head=(4,), dropout=0.0)


def test_bfloat16_is_near_float32_and_not_equal() -> None:
    found = agreement(8, TINY)
    assert found["risk_error_float32"] < 1e-6
    assert found["gradient_error_float32"] < 1e-4
    assert 1e-5 < found["risk_error_bfloat16"] < 0.05
    assert 1e-4 < found["gradient_error_bfloat16"] < 0.5


def test_a_wrong_bfloat16_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.network import se_resnet

    right = se_resnet.convolve

    def wrong(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
        return right(x, kernel[::-1] if x.dtype == jnp.bfloat16 else kernel, stride=stride)

    monkeypatch.setattr(se_resnet, "convolve", wrong)
    assert agreement(8, TINY)["gradient_error_bfloat16"] > 0.5


def test_repeated_steps_are_steps_one_after_the_other() -> None:
    recipe, cohort, where = recipe_without_augmentation(TINY, narrow=False), invented(6, TINY), jnp.ones(6, bool)
    state = initial_state(jax.tree.map(jnp.asarray, initial_variables(TINY, seed=0)), recipe)
    for key in jax.random.split(jax.random.key(0, impl="rbg"), 2):
        state, _ = jax.jit(train_step, static_argnames="recipe")(state, cohort, where, key=key, recipe=recipe)
    runs = ours(6, TINY, narrow=False, repeat=2)
    for mine, theirs in zip(jax.tree.leaves(runs["train_step"]()), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    assert len(runs["forward"]()) == 2


def test_the_operations_of_the_papers_network_grow_with_the_batch() -> None:
    assert step_flops(16, SMALL) == 2 * step_flops(8, SMALL)
    # stem 8^3 x 27 x 4; block 1 at 4^3: 2 x 27 x 4 x 4; block 2 at 2^3: 27 x (4 + 8) x 8 and its projection 4 x 8
    assert step_flops(1, SMALL) == 6 * (8**3 * 27 * 4 + 4**3 * 27 * 2 * 16 + 2**3 * (27 * 12 * 8 + 32))
