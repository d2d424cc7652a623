"""No value beyond what was followed. R: summary(survfit(...), times = t) selects no point after the last time; only extend = TRUE carries one on."""

import math

import numpy as np
import pytest

from penumbra import survival
from penumbra.survival.agreement import resampled_survival
from penumbra.survival.baseline import BaselineHazard

pytestmark = pytest.mark.numeric


def closed_at(last: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Exponential survival, 1000 days in the mean, nobody followed beyond `last`."""
    death = np.random.default_rng(0).exponential(1000, n)
    return death <= last, np.minimum(death, last)


@pytest.mark.parametrize("last", [365.0, 450.0, 730.0, 1095.0])
def test_a_baseline_answers_to_the_last_follow_up_and_not_beyond(last: float) -> None:
    """The last step of the baseline was carried forward forever: 0.637 at day 730 and at day 1095, where the truth was 0.48 and 0.34."""
    event, time = closed_at(last)
    baseline = survival.breslow_baseline(event, time, np.zeros(event.size))
    assert baseline.followed == last == baseline.last_day
    for day in (90, 365, 730, 1095, 3650):
        alive = baseline.survival([0.0], [day])[0, 0]
        assert math.isfinite(alive) == (day <= last) == (baseline.why_not(day) == "")
        if day <= last:
            assert alive == pytest.approx(math.exp(-day / 1000), abs=0.06)
        else:
            assert baseline.why_not(day) == f"no survival at day {day}: the training patients were followed to day {last:g}"


def test_a_cohort_in_which_everybody_died_says_nothing_of_later_days() -> None:
    baseline = survival.breslow_baseline([1, 1, 1], [100, 200, 300], [0.0, 0.0, 0.0])
    assert baseline.followed == 300
    assert np.isnan(baseline.survival([-3.0], [301])[0, 0]), "a patient of low risk would have 0.91 there"
    assert baseline.survival([0.0], [300])[0, 0] == pytest.approx(math.exp(-1 / 3 - 1 / 2 - 1))


def test_follow_up_without_a_death_at_its_end_counts() -> None:
    """The last death is on day 2, one is followed to day 9: on days 2 to 9 the hazard is known to be unchanged."""
    baseline = survival.breslow_baseline([0, 1, 0], [1, 2, 9], [0.0, 0.0, 0.0])
    assert baseline.survival([0.0], [5, 9, 9.1])[0].tolist()[:2] == [pytest.approx(math.exp(-1 / 2))] * 2
    assert np.isnan(baseline.at(9.1))


def test_an_earlier_baseline_answers_to_its_last_death() -> None:
    baseline = BaselineHazard(np.array([10.0, 20.0]), np.array([0.1, 0.3]))
    assert baseline.last_day == 20
    assert np.isnan(baseline.at(21))
    assert baseline.why_not(21) == "no survival at day 21: the last death of the training patients was on day 20, and their follow-up is not recorded"
    assert BaselineHazard(np.zeros(0), np.zeros(0)).last_day == 0


def test_a_curve_ends_with_its_follow_up_unless_all_have_died() -> None:
    curve = survival.kaplan_meier([1, 0, 0], [10, 20, 30])
    assert curve.at([5, 10, 30])[0].tolist() == pytest.approx([1, 2 / 3, 2 / 3])
    assert all(np.isnan(part).all() for part in curve.at([31, 1000]))
    gone = survival.kaplan_meier([1, 1], [10, 20])
    assert gone.at([25])[0].tolist() == [0.0], "who has died stays dead"


def test_a_group_that_was_lost_early_has_no_observed_survival() -> None:
    """The six with the best prognosis are lost within 60 days: observed 1.00 was given at day 1095."""
    rng = np.random.default_rng(1)
    predicted, time = np.linspace(0.1, 0.9, 30), rng.uniform(400, 2000, 30)
    event = rng.random(30) < 0.6
    time[24:], event[24:] = rng.uniform(5, 60, 6), False
    found = survival.calibration(event, time, predicted, 1095, groups=5, resamples=200)
    assert np.isnan([found.observed[-1], found.lower[-1], found.upper[-1]]).all()
    assert found.reasons[-1] == f"nobody of the group is followed to day 1095 (last at day {time[24:].max():g})"
    assert np.isfinite(found.observed[:-1]).all()
    assert found.reasons[:-1] == ("",) * 4
    event[24:] = True  # the same patients, dead by day 60: that is known
    found = survival.calibration(event, time, predicted, 1095, groups=5, resamples=200)
    assert (found.observed[-1], found.lower[-1], found.upper[-1], found.reasons[-1]) == (0, 0, 0, "")


def test_a_resample_without_anybody_followed_so_long_has_no_survival() -> None:
    event, time = np.array([True, False, False]), np.array([100.0, 200.0, 900.0])
    counts = np.array([[1, 1, 1], [1, 2, 0], [3, 0, 0], [0, 0, 3], [0, 3, 0]])
    np.testing.assert_allclose(resampled_survival(event, time, 800.0, counts), [2 / 3, np.nan, 0, 1, np.nan])
    np.testing.assert_allclose(resampled_survival(event, time, 900.0, counts), [2 / 3, np.nan, 0, 1, np.nan])


def test_nobody_above_a_threshold_followed_so_long_is_no_benefit() -> None:
    """Those at or above 0.5 are lost by day 90; their curve was carried on to day 730."""
    event = np.array([True, False, False, True, False, False])
    time = np.array([50.0, 80.0, 90.0, 400.0, 800.0, 900.0])
    death = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    found = survival.net_benefit(event, time, death, 730, [0.2, 0.5, 0.95])
    assert np.isfinite(found.model[[0, 2]]).all()
    assert found.model[2] == 0, "nobody is treated"
    assert np.isnan(found.model[1])
    assert found.reasons == ("", "nobody at or above 0.5 is followed to day 730 (last at day 90)", "")
    assert np.isfinite(found.treat_all).all()
