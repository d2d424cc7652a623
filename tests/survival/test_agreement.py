"""Calibration and Brier score."""

import numpy as np
import pytest

from penumbra.survival import (
    Undefined,
    breslow_baseline,
    brier,
    calibration,
    calibration_intercept,
    calibration_slope,
    cox_fit,
    integrated_brier,
    kaplan_meier,
)

pytestmark = pytest.mark.numeric

DAYS = (365, 730, 1095)


@pytest.fixture(scope="module")
def predicted(cohort) -> tuple[np.ndarray, np.ndarray]:
    fitted = cox_fit(cohort.event, cohort.time, cohort.X[:, :5], ties="breslow")
    log_risk = cohort.X[:, :5] @ fitted.coef
    return log_risk, breslow_baseline(cohort.event, cohort.time, log_risk).survival(log_risk, DAYS)


def test_brier_equals_riskregression(cohort, r, predicted) -> None:
    theirs = r["ipcw_brier"]["Brier"]
    null = kaplan_meier(cohort.event, cohort.time).at(DAYS)[0]
    for place, day in enumerate(DAYS):
        assert brier(cohort.event, cohort.time, np.full(cohort.event.size, null[place]), day) == pytest.approx(theirs[place], rel=1e-11)
        assert brier(cohort.event, cohort.time, predicted[1][:, place], day) == pytest.approx(theirs[3 + place], rel=1e-11)


def test_integrated_brier_is_the_mean_over_time(cohort, predicted) -> None:
    scores = [brier(cohort.event, cohort.time, predicted[1][:, k], day) for k, day in enumerate(DAYS)]
    assert integrated_brier(cohort.event, cohort.time, predicted[1], DAYS) == pytest.approx((scores[0] / 2 + scores[1] + scores[2] / 2) / 2)
    with pytest.raises(ValueError, match="rising days"):
        integrated_brier(cohort.event, cohort.time, predicted[1], DAYS[::-1])


def test_a_fitted_model_is_calibrated_on_its_own_patients(cohort, predicted) -> None:
    log_risk, survival = predicted
    slope = calibration_slope(cohort.event, cohort.time, log_risk, ties="breslow")
    assert slope.value == pytest.approx(1, rel=1e-8)
    hazard = breslow_baseline(cohort.event, cohort.time, log_risk).at(cohort.time) * np.exp(log_risk)
    intercept = calibration_intercept(cohort.event, hazard)
    assert intercept.value == pytest.approx(0, abs=1e-10)
    found = calibration(cohort.event, cohort.time, survival[:, 0], 365, groups=4, resamples=200)
    assert found.n.sum() == cohort.event.size
    assert np.all(np.diff(found.predicted) > 0)
    assert np.all((found.lower <= found.observed) & (found.observed <= found.upper))
    assert found.observed_expected == pytest.approx(1, abs=0.05)


def test_overconfident_predictions_have_a_slope_below_one(cohort, predicted) -> None:
    assert calibration_slope(cohort.event, cohort.time, 2 * predicted[0], ties="breslow").value == pytest.approx(0.5, rel=1e-8)


def test_few_or_tied_predictions_make_fewer_groups(cohort) -> None:
    flat = calibration(cohort.event, cohort.time, np.full(cohort.event.size, 0.5), 365, resamples=10)
    assert flat.n.tolist() == [cohort.event.size]
    few = calibration(cohort.event[:7], cohort.time[:7], np.linspace(0.2, 0.8, 7), 365, resamples=10)
    assert few.n.tolist() == [7]


def test_what_has_no_value_is_said(cohort, predicted) -> None:
    survival = predicted[1][:, 0]
    for statistic in (brier, calibration):
        with pytest.raises(Undefined, match="nobody is followed to day 99999"):
            statistic(cohort.event, cohort.time, survival, 99_999)
        with pytest.raises(ValueError, match=r"survival must lie between 0 and 1; found 1\.5"):
            statistic(cohort.event, cohort.time, survival * 0 + 1.5, 365)
    with pytest.raises(Undefined, match="log_risk is constant"):
        calibration_slope(cohort.event, cohort.time, np.ones(cohort.event.size))
    with pytest.raises(Undefined, match="no death is expected"):
        calibration_intercept([1, 0], [0.0, 0.0])
