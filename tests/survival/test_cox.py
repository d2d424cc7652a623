"""The Cox loss: by hand, against R, masked, permuted, differentiated, without events."""

import subprocess
import sys
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from penumbra.survival.cox import negative_log_partial_likelihood as loss
from penumbra.survival.cox import ranks

pytestmark = pytest.mark.numeric

TIES = ("efron", "breslow")


@pytest.fixture
def x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def simulated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=n), np.ceil(random.exponential(20, size=n)), random.random(n) < 0.6


def test_by_hand_under_jit() -> None:
    # times 1 (two deaths, risks 1 and 2), 1 (censored, risk 3), 2 (death, risk 4): at t = 1 all 10 are at risk, at t = 2 only the last
    log_risk, time, event = jnp.log(jnp.array([1.0, 2.0, 3.0, 4.0])), jnp.array([1.0, 1.0, 1.0, 2.0]), jnp.array([1, 1, 0, 1])
    breslow = -(np.log(1 / 10) + np.log(2 / 10) + np.log(4 / 4))
    efron = -(np.log(1 * 2) - np.log(10) - np.log(10 - 3 / 2))
    compiled = jax.jit(loss, static_argnames="ties")
    assert compiled(log_risk, time, event, ties="breslow") == pytest.approx(breslow, rel=1e-6)
    assert compiled(log_risk, time, event, ties="efron") == pytest.approx(efron, rel=1e-6)


@pytest.mark.parametrize("ties", TIES)
def test_r_survival(cohort, r, ties: str, x64: None) -> None:
    value = loss(jnp.asarray(cohort.log_risk), jnp.asarray(cohort.time), jnp.asarray(cohort.event), ties=ties)
    assert float(value) == pytest.approx(-r["partial_loglik"][ties], rel=1e-12)


@pytest.mark.parametrize("ties", TIES)
def test_r_survival_in_single_precision(cohort, r, ties: str) -> None:
    value = loss(jnp.asarray(cohort.log_risk), jnp.asarray(cohort.time), jnp.asarray(cohort.event), ties=ties)
    assert float(value) == pytest.approx(-r["partial_loglik"][ties], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
def test_masked_equals_removed(ties: str, x64: None) -> None:
    log_risk, time, event = simulated(50, 1)
    where = np.random.default_rng(2).random(50) < 0.7
    spoiled_risk, spoiled_time = np.where(where, log_risk, np.nan), np.where(where, time, np.nan)
    value, gradient = jax.value_and_grad(loss)(jnp.asarray(spoiled_risk), spoiled_time, event, ties=ties, where=where)
    removed, gradient_removed = jax.value_and_grad(loss)(jnp.asarray(log_risk[where]), time[where], event[where], ties=ties)
    assert float(value) == pytest.approx(float(removed), rel=1e-13)
    np.testing.assert_allclose(gradient[where], gradient_removed, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(gradient[~where], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
def test_order_of_patients_changes_nothing(ties: str, x64: None) -> None:
    log_risk, time, event = simulated(80, 3)
    value, gradient = jax.value_and_grad(loss)(jnp.asarray(log_risk), time, event, ties=ties)
    for seed in range(5):
        p = np.random.default_rng(seed).permutation(80)
        permuted, gradient_permuted = jax.value_and_grad(loss)(jnp.asarray(log_risk[p]), time[p], event[p], ties=ties)
        assert float(permuted) == pytest.approx(float(value), rel=1e-13)
        np.testing.assert_allclose(gradient_permuted, gradient[p], rtol=1e-10, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
def test_gradient(ties: str, x64: None) -> None:
    log_risk, time, event = simulated(30, 4)
    check_grads(lambda x: loss(x, time, event, ties=ties), (jnp.asarray(log_risk),), order=1)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("where", [None, np.zeros(6, bool)])
def test_without_an_event_loss_and_gradient_are_zero(ties: str, where: np.ndarray | None) -> None:
    event = np.zeros(6, bool) if where is None else np.ones(6, bool)
    value, gradient = jax.value_and_grad(loss)(jnp.arange(6.0) * 100, np.arange(6.0), event, ties=ties, where=where)
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_extreme_risks_stay_finite(ties: str, scale: float) -> None:
    log_risk, time, event = simulated(64, 5)
    value, gradient = jax.value_and_grad(loss)(jnp.asarray(scale * log_risk), time, event, ties=ties)
    assert np.isfinite(float(value))
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("ties", TIES)
def test_adding_a_constant_to_every_risk_changes_nothing(ties: str, x64: None) -> None:
    log_risk, time, event = simulated(40, 6)
    here, there = (float(loss(jnp.asarray(log_risk + shift), time, event, ties=ties)) for shift in (0.0, 500.0))
    assert here == pytest.approx(there, rel=1e-11)


def test_all_deaths_at_one_time_by_hand(x64: None) -> None:
    value = loss(jnp.zeros(4), jnp.full(4, 7.0), jnp.ones(4), ties="efron")
    assert float(value) == pytest.approx(np.log(4 * 3 * 2 * 1), rel=1e-14)


def test_maps_over_a_batch_of_risks(x64: None) -> None:
    log_risk, time, event = simulated(20, 7)
    many = jnp.stack([jnp.asarray(log_risk), 2 * jnp.asarray(log_risk)])
    mapped = jax.vmap(lambda x: loss(x, time, event))(many)
    np.testing.assert_allclose(mapped, [loss(x, time, event) for x in many], rtol=1e-13)


CLOSE = {
    "seconds over three years": 94_608_000 + np.arange(4),
    "nanoseconds": 10**17 + np.arange(4),
    "microseconds as unsigned": (2**40 + np.arange(4)).astype(np.uint64),
    "days with fractions of a second": 1000 + 1e-5 * np.arange(4),
    "seconds as floats": 94_608_000.0 + np.arange(4),
}


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("unit", CLOSE)
def test_times_that_differ_are_never_tied(unit: str, ties: str) -> None:
    log_risk, event = np.array([0.1, 0.5, -0.3, 0.8], np.float32), np.ones(4, int)
    value, gradient = jax.value_and_grad(loss)(log_risk, CLOSE[unit], event, ties=ties)
    right, right_gradient = jax.value_and_grad(loss)(log_risk, np.arange(4), event, ties=ties)
    assert float(value) == float(right)
    np.testing.assert_array_equal(gradient, right_gradient)
    # a constant of a compiled function, and its ranks as an argument, are as good
    assert float(jax.jit(lambda risk: loss(risk, CLOSE[unit], event, ties=ties))(log_risk)) == pytest.approx(float(right), rel=1e-6)
    assert float(jax.jit(lambda risk, time: loss(risk, time, event, ties=ties))(log_risk, ranks(CLOSE[unit]))) == pytest.approx(float(right), rel=1e-6)


def test_a_traced_whole_number_is_compared_as_one() -> None:
    log_risk, event = np.array([0.1, 0.5, -0.3, 0.8], np.float32), np.ones(4, int)
    compiled = jax.jit(loss)
    assert float(compiled(log_risk, 2**24 + np.arange(4), event)) == pytest.approx(float(loss(log_risk, np.arange(4), event)), rel=1e-6)


def test_times_that_differ_by_rounding_alone_are_one() -> None:
    times = np.array([0.1 + 0.2, 0.3, 365.25 * 1.1, 401.775, 12.0])
    assert ranks(times).tolist() == [0, 0, 2, 2, 1]
    assert ranks([3.0, np.nan, np.inf, 1.0]).tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize("ties", TIES)
def test_a_gpu_finds_the_same_risk_sets(ties: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log_risk, time, event = simulated(43, 5)
    where = np.random.default_rng(6).random(43) < 0.8

    def both() -> tuple[jax.Array, jax.Array]:
        jax.clear_caches()
        return jax.value_and_grad(loss)(jnp.asarray(log_risk), time, event, ties=ties, where=where)

    expected = both()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    searches = jax.make_jaxpr(lambda risk: loss(risk, ranks(time), event, ties=ties))(jnp.asarray(log_risk))
    assert "while" not in str(searches)
    assert "scan" not in str(searches)
    value, gradient = both()
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-6)
    monkeypatch.undo()
    jax.clear_caches()


def test_empty_batch() -> None:
    assert float(loss(jnp.zeros(0), jnp.zeros(0), jnp.zeros(0, bool))) == 0.0


def test_wrong_shape_and_ties_are_named() -> None:
    with pytest.raises(ValueError, match=r"must have the same shape \(n,\); found \(3, 1\), \(3,\), \(3,\)"):
        loss(jnp.zeros((3, 1)), jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match="ties must be one of efron, breslow; found 'exact'"):
        loss(jnp.zeros(3), jnp.zeros(3), jnp.zeros(3), ties="exact")


def test_imports_with_numpy_and_jax_alone() -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'sklearn', 'sksurv', 'pandas', 'flax', 'optax', 'duckdb', 'yaml', 'numba'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from penumbra.survival.cox import negative_log_partial_likelihood\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
