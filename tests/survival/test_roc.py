"""AUC at a horizon and DeLong's test against pROC and riskRegression."""

import numpy as np
import pytest

from penumbra.survival import Undefined, auc_binary, auc_ipcw, delong_test, roc_curve

pytestmark = pytest.mark.numeric

HORIZONS = (365, 730, 1095)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_binary_and_delong_equal_proc(cohort, r, horizon: int) -> None:
    theirs = r[f"delong_{horizon}"]
    ours = auc_binary(cohort.event, cohort.time, cohort.log_risk, horizon)
    assert ours.cases + ours.controls == theirs["n"]
    assert ours.auc == pytest.approx(theirs["auc"], rel=1e-12)
    assert [ours.lower, ours.upper] == pytest.approx(theirs["ci95"], rel=1e-10)
    test = delong_test(cohort.event, cohort.time, cohort.log_risk, cohort.log_risk_other, horizon)
    assert (test.auc_a, test.auc_b) == pytest.approx((theirs["auc"], theirs["auc_other"]), rel=1e-12)
    assert test.z == pytest.approx(theirs["z"], rel=1e-9)
    assert test.p == pytest.approx(theirs["p"], rel=1e-9)


@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("place", range(3))
def test_ipcw_equals_riskregression(cohort, r, which: str, place: int) -> None:
    risk, theirs = {"a": cohort.log_risk, "b": cohort.log_risk_other}[which], r["ipcw_auc"][which]
    ours = auc_ipcw(cohort.event, cohort.time, risk, HORIZONS[place])
    assert ours.auc == pytest.approx(theirs["auc"][place], rel=1e-12)
    assert ours.se == pytest.approx(theirs["se"][place], rel=1e-4)
    assert (ours.lower, ours.upper) == pytest.approx((theirs["lower"][place], theirs["upper"][place]), rel=1e-4)


def test_by_hand() -> None:
    # dead by day 10: 3 and 1; alive: 2 and 0; censored on day 5 left out; 3 > 2, 3 > 0, 1 > 0 of four pairs
    ours = auc_binary([1, 1, 0, 1, 0], [4, 10, 20, 30, 5], [3.0, 1.0, 2.0, 0.0, 9.0], 10)
    assert (ours.auc, ours.cases, ours.controls) == (0.75, 2, 2)


def test_without_censoring_both_definitions_agree(cohort) -> None:
    everybody = np.ones_like(cohort.event)
    binary, weighted = (auc(everybody, cohort.time, cohort.log_risk, 365) for auc in (auc_binary, auc_ipcw))
    assert weighted.auc == pytest.approx(binary.auc, rel=1e-12)
    assert weighted.se == pytest.approx(binary.se, rel=0.02)


def test_same_risk_has_no_difference(cohort) -> None:
    test = delong_test(cohort.event, cohort.time, cohort.log_risk, 2 * cohort.log_risk + 1, 365)
    assert (test.z, test.p, test.difference) == (0.0, 1.0, 0.0)


def test_curve_has_the_area(cohort) -> None:
    rounded = np.round(cohort.log_risk, 1)
    curve = roc_curve(cohort.event, cohort.time, rounded, 365)
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(auc_binary(cohort.event, cohort.time, rounded, 365).auc, rel=1e-12)
    assert (curve.false_positive_rate[[0, -1]].tolist(), curve.true_positive_rate[[0, -1]].tolist()) == ([0, 1], [0, 1])


@pytest.mark.parametrize("auc", [auc_binary, auc_ipcw, roc_curve])
def test_horizon_without_cases_or_controls_is_said(cohort, auc) -> None:
    outcome = (cohort.event, cohort.time, cohort.log_risk)
    with pytest.raises(Undefined, match="nobody died by day 1"):
        auc(*outcome, 1)
    with pytest.raises(Undefined, match="nobody is followed to day 99999"):
        auc(*outcome, 99_999)
    with pytest.raises(ValueError, match="horizon must be a positive number of days"):
        auc(*outcome, float("nan"))
