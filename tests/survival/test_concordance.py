"""Concordance against R, against all pairs, and its n log n."""

import numpy as np
import pytest

from penumbra.survival import Undefined, compare_c, concordance_index, harrell, uno, uno_c

pytestmark = pytest.mark.numeric


def all_pairs(event: np.ndarray, time: np.ndarray, risk: np.ndarray) -> float:
    score = pairs = 0.0
    for i in np.flatnonzero(event):
        for j in range(event.size):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                pairs += 1
                score += 1.0 if risk[i] > risk[j] else 0.5 * (risk[i] == risk[j])
    return score / pairs


def test_by_hand() -> None:
    # comparable: 1-2, 1-3, 2-3 (2 and 3 at one time: the censored outlived the death); concordant 1-3 and 2-3, tied 1-2
    assert concordance_index([1, 1, 0], [1, 2, 2], [5.0, 5.0, 1.0]) == pytest.approx(2.5 / 3)


def test_harrell_equals_r(cohort, r) -> None:
    ours = harrell(cohort.event, cohort.time, cohort.log_risk)
    assert ours.c == pytest.approx(r["harrell"]["c"], rel=1e-12)
    assert ours.se == pytest.approx(r["harrell"]["se"], rel=1e-12)
    assert (ours.concordant, ours.discordant, ours.tied_risk) == (12504, 6509, 0)
    assert concordance_index(cohort.event, cohort.time, cohort.log_risk) == ours.c


def test_uno_equals_r(cohort, r) -> None:
    ours = uno(cohort.event, cohort.time, cohort.log_risk)
    assert ours.c == pytest.approx(r["uno"]["c"], rel=1e-12)
    assert ours.se == pytest.approx(r["uno"]["se"], rel=1e-12)
    assert uno_c(cohort.event, cohort.time, cohort.log_risk) == ours.c


def test_comparison_equals_r(cohort, r) -> None:
    ours = compare_c(cohort.event, cohort.time, cohort.log_risk, cohort.log_risk_other)
    assert [ours.a, ours.b] == pytest.approx(r["compare_c"]["c"], rel=1e-12)
    assert ours.se == pytest.approx(r["compare_c"]["se_difference"], rel=1e-12)
    same = compare_c(cohort.event, cohort.time, cohort.log_risk, cohort.log_risk)
    assert (same.value, same.z, same.p) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("seed", range(8))
def test_equals_counting_all_pairs_with_many_ties(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(5, 60))
    event, time, risk = random.random(n) < 0.6, random.integers(1, 12, n).astype(float), random.integers(0, 6, n).astype(float)
    event[np.argmin(time)] = True
    ours = harrell(event, time, risk)
    assert ours.c == pytest.approx(all_pairs(event, time, risk), rel=1e-12)
    without = np.arange(n) != 0
    # the influence of a patient predicts what leaving the patient out does, to first order
    if n > 30:
        assert all_pairs(event[without], time[without], risk[without]) - ours.c == pytest.approx(-ours.influence[0], abs=0.01)


def test_order_of_risk_alone_matters_and_reversal_mirrors(cohort) -> None:
    c = concordance_index(cohort.event, cohort.time, cohort.log_risk)
    assert concordance_index(cohort.event, cohort.time, np.exp(3 * cohort.log_risk)) == c
    assert concordance_index(cohort.event, cohort.time, -cohort.log_risk) == pytest.approx(1 - c, rel=1e-12)
    assert concordance_index(cohort.event, cohort.time, np.zeros(cohort.event.size)) == 0.5


def test_uno_without_censoring_is_harrell_and_tau_cuts(cohort) -> None:
    everybody = np.ones_like(cohort.event)
    assert uno_c(everybody, cohort.time, cohort.log_risk) == pytest.approx(concordance_index(everybody, cohort.time, cohort.log_risk))
    assert uno_c(cohort.event, cohort.time, cohort.log_risk, tau=365) != uno_c(cohort.event, cohort.time, cohort.log_risk)


def test_hundred_thousand_patients() -> None:
    random = np.random.default_rng(0)
    n = 100_000
    risk = random.normal(size=n)
    time, event = np.ceil(random.exponential(1000 * np.exp(-risk))), random.random(n) < 0.6
    assert 0.7 < concordance_index(event, time, risk) < 0.8


@pytest.mark.parametrize(
    ("event", "time", "reason"),
    [([0, 0, 0], [1, 2, 3], "no comparable pair among 3 patients"), ([1], [1], "no comparable pair"), ([1, 1], [4, 4], "no comparable pair")],
)
def test_no_pair_is_said(event, time, reason: str) -> None:
    for statistic in (concordance_index, uno_c, harrell):
        with pytest.raises(Undefined, match=reason):
            statistic(event, time, np.arange(len(event)))
