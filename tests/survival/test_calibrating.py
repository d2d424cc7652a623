"""Slope and baseline from risks of patients that a fit did not see."""

import numpy as np
import pytest

from penumbra import survival
from penumbra.survival.calibrating import mean_baseline, slope_within


def patients(n: int = 400, *, slope: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Event, time and a log risk of which `slope` times the log hazard is right."""
    random = np.random.default_rng(seed)
    log_hazard = random.normal(size=n)
    death, left = random.exponential(700 * np.exp(-log_hazard)), random.exponential(1500, n)
    return death <= left, np.ceil(np.minimum(death, left)), log_hazard / slope


def test_one_center_and_one_risk_is_the_usual_slope() -> None:
    event, time, log_risk = patients()
    ours, usual = slope_within(event, time, ["a"] * len(event), log_risk), survival.calibration_slope(event, time, log_risk)
    assert ours.value == pytest.approx(usual.value, rel=0.01)  # they differ by the rule for ties
    assert (ours.lower, ours.upper) == pytest.approx((usual.lower, usual.upper), rel=0.02)


def test_risks_too_far_apart_have_a_slope_below_one() -> None:
    event, time, log_risk = patients(slope=0.5)
    estimate = slope_within(event, time, ["a"] * len(event), log_risk)
    assert estimate.lower < 0.5 < estimate.upper < 0.75


def test_a_center_whose_patients_live_longer_changes_no_slope() -> None:
    event, time, log_risk = patients()
    center = np.where(np.arange(len(event)) % 2 == 0, "a", "b")
    longer = np.where(center == "b", 10.0 * time, time)
    marker = log_risk + np.where(center == "b", 3.0, 0.0)  # a risk that also tells the centers apart
    before, after = (slope_within(event, days, center, risk).value for days, risk in ((time, log_risk), (longer, marker)))
    assert after == pytest.approx(before, abs=1e-9)


def test_draws_of_the_folds_weigh_the_same_and_are_not_more_patients() -> None:
    event, time, log_risk = patients()
    center = ["a"] * len(event)
    once, thrice = slope_within(event, time, center, log_risk), slope_within(event, time, center, np.stack([log_risk] * 3))
    assert (thrice.value, thrice.se) == pytest.approx((once.value, once.se), rel=1e-9)


@pytest.mark.parametrize(
    ("log_risk", "sentence"),
    [(np.zeros(6), "no spread"), (-np.arange(6.0), "separates the deaths")],
)
def test_where_there_is_no_slope_it_says_why(log_risk: np.ndarray, sentence: str) -> None:
    with pytest.raises(survival.Undefined, match=sentence):
        slope_within(np.ones(6, bool), np.arange(1.0, 7.0), ["a"] * 6, log_risk)


def test_the_baseline_of_several_draws_is_the_mean_of_theirs() -> None:
    event, time, log_risk = patients(60)
    other = np.roll(log_risk, 1)
    both = mean_baseline(event, time, np.stack([log_risk, other]))
    each = [survival.breslow_baseline(event, time, risk) for risk in (log_risk, other)]
    np.testing.assert_allclose(both.cumulative_hazard, np.mean([one.cumulative_hazard for one in each], axis=0), rtol=1e-12)
    assert both.followed == time.max()


def test_probabilities_from_cross_fitted_risks_are_right_on_average() -> None:
    event, time, log_risk = patients(2000, slope=0.4)
    slope = slope_within(event, time, ["a"] * len(event), log_risk).value
    baseline = mean_baseline(event, time, slope * log_risk)
    new_event, new_time, new_risk = patients(4000, slope=0.4, seed=1)
    for day in (365.0, 730.0):
        alive = baseline.survival(slope * new_risk, [day])[:, 0]
        ratio = survival.calibration(new_event, new_time, alive, day, groups=1, resamples=0).observed_expected
        assert float(ratio) == pytest.approx(1.0, abs=0.08)
