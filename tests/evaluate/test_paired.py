"""Two models on the same patients: each measure is the one of penumbra.survival, the difference is paired and always the same."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from penumbra import survival
from penumbra.evaluate import Evaluating
from penumbra.evaluate.paired import Pair, PairedRow, paired_rows
from penumbra.survival.outcome import Outcomes

pytestmark = pytest.mark.numeric

N, HORIZONS = 60, (365.0, 730.0)
NUMBERS = Evaluating(
    HORIZONS,
    bootstraps=400,
    refits=0,
    calibration_groups=5,
    thresholds=(),
    age_split=65.0,
    confidence=0.95,
    seed=1,
    shrinkage=0.9,
    sample_size_c=(),
    external_events=100,
    subgroup_events=10,
)
random = np.random.default_rng(3)
TRUTH = random.normal(size=N)
TIME = np.ceil(random.exponential(600 * np.exp(-TRUTH))) + 1
EVENT = random.random(N) < 0.7


@dataclass(frozen=True)
class Scores:
    """What one model says of the patients."""

    log_risk: np.ndarray
    death: np.ndarray


def scores(noise: float) -> Scores:
    risk = TRUTH + noise * np.random.default_rng(4).normal(size=N)
    rate = np.exp(risk)[:, None] / 700
    return Scores(risk, 1.0 - np.exp(-rate * np.array(HORIZONS)))


def pair_of(first: Scores, second: Scores, event: np.ndarray = EVENT, time: np.ndarray = TIME) -> Pair:
    none = np.zeros((2, N), dtype=bool)
    log_risk, death = np.stack([first.log_risk, second.log_risk]), np.stack([first.death, second.death])
    return Pair("east", ("one", "other"), Outcomes.of_one_center(event, time), log_risk, death, none, none, HORIZONS)


def rows(first: Scores, second: Scores, seed: int = 1) -> dict[str, PairedRow]:
    return {row.metric: row for row in paired_rows(pair_of(first, second), replace(NUMBERS, seed=seed))}


def test_each_value_is_that_of_the_survival_room() -> None:
    good, bad = scores(0.1), scores(3.0)
    found = rows(bad, good)
    assert found["harrell_c"].first == survival.concordance_index(EVENT, TIME, bad.log_risk)
    assert found["auc_2y"].second == survival.auc_binary(EVENT, TIME, good.log_risk, 730.0).auc
    assert found["brier_1y"].second == pytest.approx(survival.brier(EVENT, TIME, 1 - good.death[:, 0], 365.0), rel=1e-12)
    observed_expected = survival.calibration(EVENT, TIME, 1 - bad.death[:, 1], 730.0, groups=1, resamples=0).observed_expected
    assert found["calibration_2y"].first == pytest.approx(abs(np.log(observed_expected)), rel=1e-12)


def test_a_clearly_better_model_is_better_with_an_interval_that_leaves_out_0() -> None:
    found = rows(scores(3.0), scores(0.1))
    for metric, higher_is_better in (("harrell_c", True), ("auc_1y", True), ("brier_1y", False)):
        row = found[metric]
        assert (row.difference > 0) is higher_is_better
        assert row.lower * row.upper > 0, metric
        assert row.p < 0.05
    reverse = rows(scores(0.1), scores(3.0))["harrell_c"]
    assert (reverse.difference, reverse.p) == (-found["harrell_c"].difference, found["harrell_c"].p)


def test_c_of_the_pair_agrees_with_the_paired_bootstrap_of_the_survival_room() -> None:
    first, second = scores(1.0), scores(0.5)
    theirs = survival.paired_difference(EVENT, TIME, second.log_risk, first.log_risk, resamples=400, seed=1)
    ours = rows(first, second)["harrell_c"]
    assert (ours.difference, ours.lower, ours.upper, ours.p) == (theirs.value, theirs.lower, theirs.upper, theirs.p)


def test_auc_of_a_resample_is_the_auc_of_the_patients_drawn() -> None:
    """All limits come from resamples: one whose counts are all 1 must give the value itself."""
    from penumbra.evaluate.paired import auc, brier, calibration

    both, once = pair_of(scores(1.0), scores(0.5)), np.ones((1, N), dtype=int)
    for measure in (auc, brier, calibration):
        own, drawn = measure(both, once, 0)
        np.testing.assert_allclose(drawn[:, 0], own, rtol=1e-12)
    twice = np.random.default_rng(0).multinomial(N, np.full(N, 1 / N))[None, :]
    drawn = np.repeat(np.arange(N), twice[0])
    expected = survival.auc_binary(EVENT[drawn], TIME[drawn], both.log_risk[0][drawn], 365.0).auc
    assert auc(both, twice, 0)[1][0, 0] == pytest.approx(expected, rel=1e-12)


def test_who_is_censored_at_the_horizon_is_a_control_in_every_resample() -> None:
    """As in survival.auc_binary; a horizon that is clipped to the follow-up is always a day of censoring."""
    from penumbra.evaluate.paired import auc

    time = np.where(EVENT, TIME, np.maximum(TIME, 365.0))
    time[~EVENT & (time < 700)] = 365.0
    own, drawn = auc(pair_of(scores(1.0), scores(0.5), time=time), np.ones((1, N), dtype=int), 0)
    assert (~EVENT & (time == 365.0)).sum() >= 5
    np.testing.assert_allclose(drawn[:, 0], own, rtol=1e-12)


def test_the_same_model_twice_differs_by_nothing() -> None:
    for row in rows(scores(1.0), scores(1.0)).values():
        assert (row.difference, row.lower, row.upper, row.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_same_call_gives_the_same_rows_and_another_seed_other_limits() -> None:
    assert rows(scores(1.0), scores(0.5)) == rows(scores(1.0), scores(0.5))
    assert rows(scores(1.0), scores(0.5), seed=2)["harrell_c"].lower != rows(scores(1.0), scores(0.5))["harrell_c"].lower


def test_what_the_patients_do_not_define_is_a_row_with_its_reason() -> None:
    first = Scores(TRUTH, np.full((N, 2), np.nan))
    found = rows(first, scores(0.5))
    assert found["brier_1y"].reason == "one of the two models gives no survival at day 365"
    assert np.isnan(found["brier_1y"].difference)
    assert np.isfinite(found["harrell_c"].difference)
    few = replace(NUMBERS, bootstraps=20)
    nobody = [*paired_rows(pair_of(scores(1), scores(2), event=np.zeros(N, bool)), few)]
    assert all(row.reason for row in nobody if not row.metric.startswith("brier"))
    short = [*paired_rows(pair_of(scores(1), scores(2), time=np.minimum(TIME, 300)), few)]
    assert "followed to day 365" in next(row.reason for row in short if row.metric == "calibration_1y")
