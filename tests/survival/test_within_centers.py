"""C over pairs of patients of one center: all pairs by hand, another program's counts, resamples drawn by hand."""

import numpy as np
import pytest
from sksurv.metrics import concordance_index_censored

from penumbra.survival import Undefined, concordance_index, harrell_resampled, pairs_within, together
from penumbra.survival.bootstrap import PAIRWISE_LIMIT, resample_counts

pytestmark = pytest.mark.numeric

# comparable within a: 1-2, 1-3, 2-3; within b: 4-5 (6 is censored at the time of 4's death: 4-6 as well)
EVENT, TIME = [1, 1, 0, 1, 0, 0], [1, 2, 3, 1, 2, 1]
CENTER = ["a", "a", "a", "b", "b", "b"]
RISK = [3.0, 1.0, 1.0, 10.0, 10.0, 20.0]


def test_by_hand() -> None:
    """a: 1-2 and 1-3 in order, 2-3 tied: 2.5 of 3. b: 4-5 tied, 4-6 wrong: 0.5 of 2. No pair between a and b counts."""
    found = pairs_within(EVENT, TIME, CENTER, RISK, resamples=0, seed=1)
    assert {name: (pairs.right[0, 0], pairs.comparable[0]) for name, pairs in found.items()} == {"a": (2.5, 3.0), "b": (0.5, 2.0)}
    assert together(found.values()).c(0) == 3.0 / 5.0
    assert concordance_index(EVENT, TIME, RISK) != pytest.approx(0.6)


def test_counts_are_those_of_scikit_survival_summed_over_centers(cohort) -> None:
    rounded = np.round(cohort.log_risk, 1)
    right = comparable = 0.0
    for name in np.unique(cohort.center):
        here = cohort.center == name
        _, concordant, discordant, tied_risk, _ = concordance_index_censored(cohort.event[here], cohort.time[here], rounded[here])
        right, comparable = right + concordant + 0.5 * tied_risk, comparable + concordant + discordant + tied_risk
    ours = together(pairs_within(cohort.event, cohort.time, cohort.center, rounded, resamples=0, seed=1).values())
    assert (ours.right[0, 0], ours.comparable[0]) == (right, comparable)


def test_a_risk_that_only_tells_the_centers_apart_has_one_half(cohort) -> None:
    effect = {name: value for value, name in enumerate(np.unique(cohort.center).tolist())}
    risk = np.array([float(effect[name]) for name in cohort.center])
    ours = pairs_within(cohort.event, cohort.time, cohort.center, risk + 1e-14 * np.random.default_rng(0).normal(size=risk.size), resamples=50, seed=1)
    drawn = together(ours.values())
    np.testing.assert_array_equal(drawn.right[0], 0.5 * drawn.comparable)
    assert drawn.constant.all()


def test_patients_are_resampled_within_their_center(cohort) -> None:
    """Each column is what the patients drawn would count, center by center, in the order of their names."""
    found = pairs_within(cohort.event, cohort.time, cohort.center, [cohort.log_risk, cohort.log_risk_other], resamples=5, seed=7)
    rng = np.random.default_rng(7)
    for name in sorted(found):
        here = np.flatnonzero(cohort.center == name)
        for b, count in enumerate(resample_counts(here.size, 5, rng), 1):
            assert count.sum() == here.size
            rows = np.repeat(here, count)
            expected = [concordance_index(cohort.event[rows], cohort.time[rows], risk[rows]) for risk in (cohort.log_risk, cohort.log_risk_other)]
            np.testing.assert_allclose(found[name].right[:, b] / found[name].comparable[b], expected, rtol=1e-12)
            difference = found[name].difference(1, 0)
            assert difference.resampled[b - 1] == pytest.approx(expected[1] - expected[0], rel=1e-9)


def test_many_patients_are_counted_as_few_are(cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    risks = np.stack([cohort.log_risk, np.round(cohort.log_risk)])
    few = pairs_within(cohort.event, cohort.time, cohort.center, risks, resamples=3, seed=1)
    assert cohort.event.size < PAIRWISE_LIMIT
    monkeypatch.setattr("penumbra.survival.bootstrap.PAIRWISE_LIMIT", 1)
    for name, many in pairs_within(cohort.event, cohort.time, cohort.center, risks, resamples=3, seed=1).items():
        np.testing.assert_array_equal(many.right, few[name].right)
        np.testing.assert_array_equal(many.comparable, few[name].comparable)


def test_limits_are_quantiles_and_basic_limits_their_mirror() -> None:
    drawn = pairs_within(EVENT, TIME, CENTER, [RISK, [0.0] * 6], resamples=400, seed=3)["a"].difference(0, 1)
    assert drawn.value == pytest.approx(2.5 / 3 - 0.5)
    assert drawn.limit(0.1) == pytest.approx(np.quantile(drawn.resampled, 0.1))
    assert drawn.limit(0.1, "basic") == pytest.approx(2 * drawn.value - np.quantile(drawn.resampled, 0.9))


def test_a_resample_without_a_pair_is_no_difference() -> None:
    """One early death and a better order of it: a third of the resamples lack it, so the lower limit cannot leave 0."""
    event, time = [1, *[1] * 10], [1, *[5] * 10]
    better, worse = [1.0, *[0.0] * 10], [0.0, *[1.0] * 10]
    pairs = pairs_within(event, time, ["a"] * 11, [better, worse], resamples=300, seed=1)["a"]
    difference = pairs.difference(0, 1)
    assert difference.value == 1.0
    np.testing.assert_array_equal(np.unique(difference.resampled), [0.0, 1.0])
    assert difference.limit(0.1) == 0.0
    assert np.isnan(harrell_resampled(event, time, [better], np.array([[0, *[1] * 10]]))[0, 0])


def test_without_a_pair_it_is_said() -> None:
    pairs = pairs_within([1, 1], [5, 5], ["a", "a"], [[1.0, 2.0], [2.0, 1.0]], resamples=10, seed=1)["a"]
    assert np.isnan(pairs.c(0))
    with pytest.raises(Undefined, match="no comparable pair"):
        pairs.difference(0, 1)
    with pytest.raises(ValueError, match=r"center must have shape \(2,\)"):
        pairs_within([1, 0], [1, 2], ["a"], [1.0, 2.0], resamples=0, seed=1)
