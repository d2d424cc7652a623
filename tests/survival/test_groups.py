"""Kaplan-Meier, log-rank and hazard ratio against R."""

import numpy as np
import pytest

from penumbra.survival import Undefined, hazard_ratio, kaplan_meier, log_rank

pytestmark = pytest.mark.numeric

DAYS = (365, 730, 1095)


def test_log_rank_and_hazard_ratio_equal_r(cohort, r) -> None:
    theirs = r["groups"]
    high = cohort.log_risk > theirs["cutoff"]
    test = log_rank(cohort.event, cohort.time, high)
    assert test.chi2 == pytest.approx(theirs["logrank_chisq"], rel=1e-10)
    assert test.p == pytest.approx(theirs["logrank_p"], rel=1e-9)
    for group in (high, high.astype(int), np.where(high, "high", "low")):
        ratio = hazard_ratio(cohort.event, cohort.time, group)
        assert ratio.value == pytest.approx(theirs["hr"], rel=1e-7)
        assert (ratio.lower, ratio.upper) == pytest.approx((theirs["hr_lower"], theirs["hr_upper"]), rel=1e-7)


def test_kaplan_meier_equals_r(cohort, r) -> None:
    theirs = r["groups"]
    high = cohort.log_risk > theirs["cutoff"]
    for place, group in enumerate((~high, high)):
        curve = kaplan_meier(cohort.event[group], cohort.time[group])
        here = slice(3 * place, 3 * place + 3)
        for ours, name in zip(curve.at(DAYS), ("km_surv_low_then_high", "km_lower", "km_upper"), strict=True):
            np.testing.assert_allclose(ours, theirs[name][here], rtol=1e-10)
        assert curve.number_at_risk(DAYS).tolist() == theirs["at_risk"][here]
        medians = (curve.median, curve.median_lower, curve.median_upper)
        assert medians == (theirs["median"][place], theirs["median_lower"][place], theirs["median_upper"][place])


def test_by_hand() -> None:
    curve = kaplan_meier([1, 0, 1, 1], [1, 2, 3, 4])
    np.testing.assert_allclose(curve.survival, [0.75, 0.75, 0.375, 0.0])
    assert curve.at_risk.tolist() == [4, 3, 2, 1]
    assert curve.se_log[0] == pytest.approx(np.sqrt(1 / (4 * 3)))
    assert curve.median == 3
    assert np.isnan(curve.lower[-1])


def test_median_on_a_step_at_one_half_is_its_middle() -> None:
    assert kaplan_meier([1, 1, 1, 1], [1, 2, 5, 9]).median == 3.5


def test_log_log_limits_by_hand() -> None:
    curve = kaplan_meier([1, 0, 1, 1], [1, 2, 3, 4], limits="log-log")
    s, reach = 0.75, 1.959963984540054 * np.sqrt(1 / 12) / np.log(0.75)
    assert curve.lower[0] == pytest.approx(s ** np.exp(-reach))
    assert curve.upper[0] == pytest.approx(s ** np.exp(reach))
    assert curve.lower[0] < s < curve.upper[0]


def test_nobody_dies() -> None:
    curve = kaplan_meier([0, 0], [5, 6])
    assert curve.survival.tolist() == [1, 1]
    assert np.isnan([curve.median, curve.median_lower, curve.median_upper]).all()


def test_three_groups(cohort) -> None:
    group = np.digitize(cohort.log_risk, [-0.5, 0.5])
    test = log_rank(cohort.event, cohort.time, group)
    assert test.df == 2
    assert test.observed.sum() == cohort.event.sum()
    assert test.expected.sum() == pytest.approx(cohort.event.sum())


def test_what_has_no_value_is_said(cohort) -> None:
    n = cohort.event.size
    for statistic in (log_rank, hazard_ratio):
        with pytest.raises(Undefined, match="needs two groups; found one"):
            statistic(cohort.event, cohort.time, np.ones(n, bool))
        with pytest.raises(Undefined):
            statistic(np.zeros(n, bool), cohort.time, cohort.log_risk > 0)
    with pytest.raises(Undefined, match=r"hazard ratio is not finite: .* 0 of 2 low"):
        hazard_ratio([1, 1, 0, 0], [1, 2, 3, 4], [1, 1, 0, 0])
    with pytest.raises(ValueError, match="group must be True/False, 0/1 or 'high'/'low'; found 'a', 'b'"):
        hazard_ratio([1, 1], [1, 2], ["a", "b"])
    with pytest.raises(ValueError, match="limits must be one of"):
        kaplan_meier([1], [1], limits="exact")
