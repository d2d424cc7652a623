"""Intraclass correlations against the published table, a case by hand, and what has a reason instead of a number."""

import numpy as np
import pytest
from scipy.stats import f

from penumbra.survival import icc_agreement, icc_consistency
from penumbra.survival.reliability import CONSTANT, NOT_FINITE

JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]  # Shrout and Fleiss 1979, table 2


def test_the_published_table() -> None:
    """Shrout and Fleiss give 0.29 and 0.71; the limits, to two digits, are those of R's psych::ICC on the same table."""
    agreement, consistency = icc_agreement(JUDGES), icc_consistency(JUDGES)
    assert [round(float(each[0]), 2) for each in (agreement.icc, agreement.lower, agreement.upper)] == [0.29, 0.02, 0.76]
    assert [round(float(each[0]), 2) for each in (consistency.icc, consistency.lower, consistency.upper)] == [0.71, 0.34, 0.95]


def test_by_hand() -> None:
    """Three patients, 1 2 3, and 1 more the second time but for the last, 1 too much.

    Means of patients 1.5, 2.5, 4, grand mean 8/3; mean squares: patients 2 (49/36 + 1/36 + 64/36) / 2 = 19/6, conditions 3 (2/3)^2 2 = 8/3,
    rest (1/36 + 1/36 + 4/36) 2 / 2 = 1/6. ICC(2,1) = (19/6 - 1/6) / (19/6 + 1/6 + 2 (8/3 - 1/6) / 3) = 3 / 5; ICC(3,1) = 3 / (20/6) = 0.9.
    """
    twice = [[1, 2], [2, 3], [3, 5]]
    assert icc_agreement(twice).icc[0] == pytest.approx(0.6, abs=1e-12)
    consistency = icc_consistency(twice)
    assert consistency.icc[0] == pytest.approx(0.9, abs=1e-12)
    least = 19 / f.ppf(0.975, 2, 2)
    assert consistency.lower[0] == pytest.approx((least - 1) / (least + 1), abs=1e-12)


def test_columns_at_once_are_columns_one_by_one() -> None:
    values = np.random.default_rng(0).normal(size=(30, 1, 7)) + np.random.default_rng(1).normal(size=(30, 3, 7))
    for measure in (icc_agreement, icc_consistency):
        together = measure(values)
        for column in range(7):
            alone = measure(values[:, :, column])
            expected = (together.icc[column], together.lower[column], together.upper[column])
            np.testing.assert_allclose((alone.icc[0], alone.lower[0], alone.upper[0]), expected, rtol=1e-12)
        assert (together.lower < together.icc).all()
        assert (together.icc < together.upper).all()


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Variance 2 between patients, 1 within, and none between conditions: the ICC is 2/3."""
    random = np.random.default_rng(2)
    values = random.normal(scale=np.sqrt(2), size=(40, 1, 2000)) + random.normal(size=(40, 2, 2000))
    for measure in (icc_agreement, icc_consistency):
        measured = measure(values)
        assert ((measured.lower < 2 / 3) & (measured.upper > 2 / 3)).mean() == pytest.approx(0.95, abs=0.015)


def test_a_systematic_difference_counts_against_agreement_alone() -> None:
    once = np.random.default_rng(0).normal(size=(50, 1))
    values = np.concatenate([once, once + 1.0], axis=1)
    assert icc_consistency(values).icc[0] == 1.0
    assert icc_agreement(values).icc[0] < 0.75


def test_the_same_in_every_condition_is_one_with_limits_one() -> None:
    once = np.random.default_rng(0).normal(loc=1e6, scale=1e-3, size=(20, 1))
    for measured in (icc_agreement(np.repeat(once, 3, axis=1)), icc_consistency(np.repeat(once, 3, axis=1))):
        assert (measured.icc[0], measured.lower[0], measured.upper[0], measured.reason[0]) == (1.0, 1.0, 1.0, "")


def test_constant_and_missing_have_a_reason_and_no_number() -> None:
    values = np.random.default_rng(0).normal(size=(10, 2, 4))
    values[:, :, 0], values[3, 1, 1], values[2, 0, 2] = 7.0, np.nan, np.inf
    values[:, :, 3] *= 1e-200
    for measured in (icc_agreement(values), icc_consistency(values)):
        assert measured.reason.tolist() == [CONSTANT, NOT_FINITE, NOT_FINITE, ""]
        assert np.isnan([measured.icc[:3], measured.lower[:3], measured.upper[:3]]).all()
        assert np.isfinite(measured.icc[3])


def test_patients_and_conditions_may_come_in_any_order() -> None:
    values = np.random.default_rng(0).normal(size=(12, 1, 2)) + 0.5 * np.random.default_rng(1).normal(size=(12, 3, 2))
    for measure in (icc_agreement, icc_consistency):
        np.testing.assert_allclose(measure(values[::-1, ::-1]).lower, measure(values).lower, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 2), (5, 1), (5,), (5, 2, 3, 1)])
def test_too_few_or_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 2; found"):
        icc_agreement(np.zeros(shape))
