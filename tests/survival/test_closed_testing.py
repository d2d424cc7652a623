"""How much of a frozen model has to change: against scikit-learn's Poisson regression, by hand, and by what it chooses in simulated centers."""

from collections import Counter

import numpy as np
import pytest

from penumbra.survival import Undefined, closed_test
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.update_steps import AS_IT_IS, INTERCEPT, REFIT, SLOPE

DAYS = np.ceil(-1000 * np.log1p(-np.linspace(0.01, 0.86, 120)))  # as deaths of a constant hazard come: half of them by day 571
BASELINE = BaselineHazard(DAYS, DAYS / 1000, 2000.0)
Center = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def center(
    random: np.random.Generator, count: int, *, level: float = 0.0, slope: float = 1.0, terms: int = 1, spread: float = 0.6, factors: tuple[float, ...] = ()
) -> Center:
    """Event, time, log risk (n,) and its terms (n, k) of patients whose hazard follows the baseline, but for what the arguments change."""
    each = random.normal(size=(count, terms)) * spread / np.sqrt(terms)
    log_risk = each.sum(axis=1)
    truth = each @ np.array(factors) if factors else level + slope * log_risk
    death, left = 1000 * random.exponential(size=count) * np.exp(-truth), random.uniform(500, 2500, size=count)
    return death <= left, np.ceil(np.minimum(death, left)), log_risk, each


def chosen(seed: int, centers: int, count: int, **change: object) -> Counter[str]:
    random, steps = np.random.default_rng(seed), Counter[str]()
    for _ in range(centers):
        event, time, log_risk, terms = center(random, count, **change)  # type: ignore[arg-type]
        steps[closed_test(event, time, log_risk, BASELINE, terms=terms).step] += 1
    return steps


def test_by_hand() -> None:
    """Two patients of hazard 1 and 2, four deaths of four are not possible: three patients, H0 = 1, one step: log L = d eta - exp(eta)."""
    baseline = BaselineHazard(np.array([10.0]), np.array([1.0]), 100.0)
    event, time, log_risk = np.array([True, True, True, False]), np.array([20.0, 30.0, 40.0, 50.0]), np.log([0.25, 0.25, 0.25, 0.25])
    found = closed_test(event, time, log_risk, baseline, alpha=0.9999)
    # expected 4 x 0.25 = 1, observed 3; with the level free log L is 3 (log 0.25 + log 3) - 3, as it is 3 log 0.25 - 1; nothing else can be told
    assert found.expected == pytest.approx(1.0)
    assert found.tests[0].statistic >= 2 * (3 * np.log(3) - 2)


def test_the_statistics_are_those_of_poisson_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    event, time, log_risk, terms = center(np.random.default_rng(3), 150, terms=3, factors=(2.0, -1.0, 1.5), spread=1.0)
    time = np.maximum(time, 11.0)  # a death on a day without hazard has no place in a regression with an offset
    days = np.minimum(time, 2000.0)
    found = closed_test(event, time, log_risk, BASELINE, terms=terms, alpha=1e-9)
    exposure = BASELINE.at(days) * np.exp(log_risk)
    died = event & (time <= 2000.0)
    assert (exposure > 0).all()
    inside = exposure > 0

    def likelihood(design: np.ndarray | None) -> float:
        if design is None:
            eta = np.zeros(int(inside.sum()))
        else:
            fit = linear_model.PoissonRegressor(alpha=0.0, tol=1e-12, max_iter=10000)
            fit.fit(design[inside], died[inside] / exposure[inside], sample_weight=exposure[inside])
            eta = fit.intercept_ + design[inside] @ fit.coef_
        return float((died[inside] * (eta + log_risk[inside]) - exposure[inside] * np.exp(eta)).sum())

    best = likelihood(terms)
    expected = [2 * (best - likelihood(design)) for design in (None, np.zeros((event.size, 1)), log_risk[:, None])]
    assert [test.against for test in found.tests] == [AS_IT_IS, INTERCEPT, SLOPE]
    assert [test.statistic for test in found.tests] == pytest.approx(expected, rel=1e-5)
    assert [test.df for test in found.tests] == [4, 3, 2]


def test_p_is_that_of_the_chi_square_distribution() -> None:
    from scipy.stats import chi2

    event, time, log_risk, _ = center(np.random.default_rng(4), 100, level=0.5)
    for test in closed_test(event, time, log_risk, BASELINE).tests:
        assert test.p == pytest.approx(chi2.sf(test.statistic, test.df))


@pytest.mark.parametrize(("count", "terms"), [(20, 1), (36, 1), (79, 4), (150, 4)])
def test_a_model_that_is_right_is_left_as_it_is(count: int, terms: int) -> None:
    """Alpha is 5 %: of 600 centers 30 (SD 5) would be changed; the chi-square is a little generous with few deaths (measured: 5.8 to 6.2 %)."""
    steps = chosen(5, 600, count, terms=terms)
    assert 0.025 <= 1 - steps[AS_IT_IS] / 600 <= 0.095, steps


@pytest.mark.parametrize(
    ("change", "step", "share"),
    [
        ({"level": float(np.log(1.8))}, INTERCEPT, 0.85),
        ({"level": float(np.log(1.8)), "terms": 4}, INTERCEPT, 0.85),
        ({"slope": 0.2, "spread": 1.0}, SLOPE, 0.85),
        ({"slope": 0.2, "spread": 1.0, "terms": 4}, SLOPE, 0.85),
        ({"terms": 4, "spread": 1.0, "factors": (2.0, -1.0, 2.0, -1.0)}, REFIT, 0.99),
    ],
)
def test_what_changed_is_what_is_chosen(change: dict[str, object], step: str, share: float) -> None:
    steps = chosen(6, 200, 100, **change)
    assert steps[step] / 200 >= share, steps


def test_a_baseline_of_another_shape_refits_a_model_of_one_term() -> None:
    random, steps = np.random.default_rng(7), Counter[str]()
    for _ in range(100):
        event, time, log_risk, _ = center(random, 150)
        time = np.where(time > 500, np.ceil(500 + (time - 500) / 4), time)  # everybody dies, or leaves, four times as fast from then on
        steps[closed_test(event, time, log_risk, BASELINE).step] += 1
    assert steps[REFIT] >= 60, steps


def test_terms_that_are_given_twice_cost_nothing_and_order_does_not_matter() -> None:
    event, time, log_risk, terms = center(np.random.default_rng(8), 120, terms=3, level=0.4)
    first = closed_test(event, time, log_risk, BASELINE, terms=terms)
    doubled = np.column_stack([terms[:, :2] / 2, terms[:, :2] / 2, terms[:, 2:]])
    again = closed_test(event, time, log_risk, BASELINE, terms=doubled)
    mixed = np.random.default_rng(1).permutation(event.size)
    permuted = closed_test(event[mixed], time[mixed], log_risk[mixed], BASELINE, terms=terms[mixed])
    for other in (again, permuted):
        assert (other.step, [test.df for test in other.tests]) == (first.step, [test.df for test in first.tests])
        assert [test.statistic for test in other.tests] == pytest.approx([test.statistic for test in first.tests], abs=1e-6)


def test_what_lies_beyond_the_baseline_does_not_count() -> None:
    event, time, log_risk, _ = center(np.random.default_rng(9), 120)
    time = np.where(event, time, 2400.0)
    later = np.where(time > 2000, 9999.0, time)
    assert closed_test(event, time, log_risk, BASELINE) == closed_test(event, later, log_risk, BASELINE)


def test_undefined() -> None:
    event, time, log_risk, _ = center(np.random.default_rng(10), 30)
    with pytest.raises(Undefined, match="no event among 30 patients"):
        closed_test(np.zeros(30, dtype=bool), time, log_risk, BASELINE)
    with pytest.raises(Undefined, match="no death is expected of 30 patients"):
        closed_test(event, np.full(30, 10.0), log_risk, BASELINE)
    first, alive = int(np.flatnonzero(event)[0]), np.flatnonzero(~event)
    time[first], term = 1.0, np.zeros(30)  # a death on a day without hazard, and a term that tells this patient from those who are alive
    term[first], term[alive] = 1.0, -1.0
    apart = np.column_stack([term, log_risk - term])
    with pytest.raises(Undefined, match="the log likelihood of the step refit has no maximum"):
        closed_test(event, time, log_risk, BASELINE, terms=apart)
