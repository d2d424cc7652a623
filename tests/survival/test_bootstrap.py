"""Bootstrap: the matrix form equals resampling by hand; pairs stay pairs."""

import numpy as np
import pytest

from penumbra.survival import Undefined, bootstrap_ci, concordance_index, harrell, harrell_resampled, paired_difference
from penumbra.survival.bootstrap import resample_counts

pytestmark = pytest.mark.numeric


def test_all_at_once_equals_one_by_one(cohort) -> None:
    counts = resample_counts(cohort.event.size, 20, np.random.default_rng(1))
    rounded = np.round(cohort.log_risk, 1)
    ours = harrell_resampled(cohort.event, cohort.time, np.stack([cohort.log_risk, rounded]), counts)
    for b, count in enumerate(counts):
        rows = np.repeat(np.arange(count.size), count)
        for k, risk in enumerate((cohort.log_risk, rounded)):
            assert ours[k, b] == pytest.approx(concordance_index(cohort.event[rows], cohort.time[rows], risk[rows]), rel=1e-12)


def test_limits_agree_with_the_standard_error(cohort) -> None:
    ours, se = bootstrap_ci(cohort.event, cohort.time, cohort.log_risk, seed=2), harrell(cohort.event, cohort.time, cohort.log_risk).se
    assert ours.resamples == 1000
    assert (ours.upper - ours.lower) / (2 * 1.96 * se) == pytest.approx(1, abs=0.1)
    assert ours == bootstrap_ci(cohort.event, cohort.time, cohort.log_risk, seed=2)


def test_any_statistic(cohort) -> None:
    alike = bootstrap_ci(cohort.event, cohort.time, cohort.log_risk, statistic=concordance_index, resamples=50, seed=4)
    assert alike == bootstrap_ci(cohort.event, cohort.time, cohort.log_risk, resamples=50, seed=4)


def test_paired_difference(cohort) -> None:
    ours = paired_difference(cohort.event, cohort.time, cohort.log_risk, cohort.log_risk_other, seed=5)
    assert ours.lower < ours.value < ours.upper
    assert 0.001 <= ours.p < 0.05
    same = paired_difference(cohort.event, cohort.time, cohort.log_risk, cohort.log_risk, resamples=50)
    assert (same.value, same.lower, same.upper, same.p) == (0, 0, 0, 1)


def test_resamples_without_a_pair_are_left_out() -> None:
    ours = bootstrap_ci([1, 0, 0, 0, 0], [1, 2, 3, 4, 5], [5.0, 4, 3, 2, 1], resamples=400)
    assert ours.resamples < 400
    assert (ours.lower, ours.upper) == (1, 1)


def test_without_events_it_is_said(cohort) -> None:
    with pytest.raises(Undefined, match="no event among 3 patients"):
        bootstrap_ci([0, 0, 0], [1, 2, 3], [1, 2, 3])
