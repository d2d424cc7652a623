"""Recalibration: the level by deaths observed over expected, the spread by a Cox regression, each patient judged by the other folds."""

import numpy as np
import pandas as pd
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from penumbra.survival import Undefined, breslow_baseline, calibration_intercept, recalibrate
from penumbra.survival.updating import left_out_in_turn


def cohort(n: int, level: float, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Event, time and log_risk where the hazard is exp(level + spread x log_risk) / 1000 per day."""
    random = np.random.default_rng(seed)
    log_risk = random.normal(size=n)
    death, left = random.exponential(1000 * np.exp(-level - spread * log_risk)), random.uniform(300, 2000, size=n)
    return death <= left, np.minimum(death, left), log_risk


def straight(days: float = 2000.0) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(1.0, days + 1)
    return times, times / 1000


BASELINE = type(breslow_baseline([1, 0], [1, 2], [0, 0]))(*straight(), 2000.0)


def test_what_was_simulated_is_found() -> None:
    event, time, log_risk = cohort(20_000, 0.5, 0.6)
    level = recalibrate(event, time, log_risk, BASELINE)
    assert level.slope == 1.0
    both = recalibrate(event, time, log_risk, BASELINE, with_slope=True)
    assert (both.intercept, both.slope) == (pytest.approx(0.5, abs=0.03), pytest.approx(0.6, abs=0.03))
    assert (both.n, both.events, both.reason) == (20_000, int(event.sum()), "")


def test_level_and_spread_are_those_of_other_programs() -> None:
    """The slope is scikit-survival's Cox coefficient, the level solves the score equation of the Poisson model."""
    event, time, log_risk = cohort(60, -0.7, 0.5, seed=3)
    both = recalibrate(event, time, log_risk, BASELINE, with_slope=True)
    cox = CoxPHSurvivalAnalysis(ties="efron", tol=1e-12).fit(pd.DataFrame({"log_risk": log_risk}), Surv.from_arrays(event, time))
    assert both.slope == pytest.approx(cox.coef_[0], rel=1e-6)
    expected = BASELINE.at(time) * np.exp(both.apply(log_risk))
    assert expected.sum() == pytest.approx(event.sum(), rel=1e-12)
    assert calibration_intercept(event, expected).value == pytest.approx(0.0, abs=1e-12)


def test_nothing_beyond_the_last_day_counts() -> None:
    event, time, log_risk = cohort(200, 0.3, 1.0, seed=1)
    early = type(BASELINE)(BASELINE.times, BASELINE.cumulative_hazard, 400.0)
    fitted = recalibrate(event, time, log_risk, early, with_slope=True)
    assert fitted.events == int((event & (time <= 400)).sum())
    assert fitted == recalibrate(event & (time <= 400), np.minimum(time, 400.0), log_risk, early, with_slope=True)


def test_a_spread_that_turns_the_ranks_is_not_taken() -> None:
    event, time, log_risk = cohort(80, 0.0, -0.8, seed=2)
    fitted = recalibrate(event, time, log_risk, BASELINE, with_slope=True)
    assert fitted.slope == 1.0
    assert fitted.reason.startswith("the slope is not positive (-0.")
    ordered = recalibrate([1, 1, 0, 0], [100, 200, 300, 400], [3.0, 2.0, 1.0, 0.0], BASELINE, with_slope=True)
    assert ordered.slope == 1.0
    assert "orders all 2 deaths perfectly" in ordered.reason
    with pytest.raises(Undefined, match="no event"):
        recalibrate(np.zeros(4, bool), [100, 200, 300, 400], [3.0, 2.0, 1.0, 0.0], BASELINE)


def test_a_patient_is_judged_by_the_others() -> None:
    """Another outcome of one patient changes the recalibrated risk of the other folds, and not the patient's own fold."""
    event, time, log_risk = cohort(50, 0.5, 0.7, seed=4)
    before = left_out_in_turn(event, time, log_risk, BASELINE, with_slope=True, folds=5, seed=1)
    later = time.copy()
    one = int(np.flatnonzero(event)[0])
    later[one] += 100.0
    after = left_out_in_turn(event, later, log_risk, BASELINE, with_slope=True, folds=5, seed=1)
    same = before == after
    assert same[one]
    assert same.sum() == 10
    assert not np.isnan(before).any()


def test_by_cross_validation_the_level_is_near_and_not_exactly_right() -> None:
    event, time, log_risk = cohort(300, 0.8, 1.0, seed=5)
    after = left_out_in_turn(event, time, log_risk, BASELINE, folds=5, seed=1)
    level = calibration_intercept(event, BASELINE.at(time) * np.exp(after)).value
    assert 0 < abs(level) < 0.05
    assert calibration_intercept(event, BASELINE.at(time) * np.exp(log_risk)).value > 0.6
    alone = left_out_in_turn([1, 0, 0, 0], [100, 200, 300, 400], [3.0, 2.0, 1.0, 0.0], BASELINE, folds=2, seed=1)
    assert np.isnan(alone).sum() == 2, "the fold with the only death has no other to learn from"
