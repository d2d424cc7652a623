from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from penumbra.network.compilation import OPTIONS, compiled

pytestmark = pytest.mark.numeric


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of every compilation."""
    options: list[Any] = []
    real: Callable[..., Any] = jax.jit

    def jit(*args: Any, **more: Any) -> Any:
        options.append(more["compiler_options"])
        return real(*args, **more)

    monkeypatch.setattr(jax, "jit", jit)
    return options


def test_the_backend_is_asked_at_the_first_call(asked: list[Any]) -> None:
    power = compiled(lambda x, *, n: x**n, static=("n",))
    assert asked == []
    assert [float(power(jnp.float32(3), n=n)) for n in (2, 3)] == [9.0, 27.0]
    assert asked == [None], "a CPU compiles as ever"


def test_a_gpu_has_options_that_this_xla_knows(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert float(compiled(lambda x: x + 1, static=())(jnp.float32(2))) == 3.0
    assert asked == [OPTIONS["gpu"]]
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_gpu_of_another_time"):
        jax.jit(lambda x: x, compiler_options={"xla_gpu_of_another_time": True})(jnp.float32(2))
