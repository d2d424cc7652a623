"""Which model is served: made-up risks of known worth."""

from dataclasses import replace

import numpy as np
import pytest

from penumbra.evaluate import GateLimits
from penumbra.evaluate.choice import choose, examine
from penumbra.evaluate.chosen import Choice
from penumbra.evaluate.inside import Inside, inside_rows
from penumbra.pipeline.settings import load_settings
from penumbra.survival.outcome import Outcomes

LIMITS = GateLimits(noise=0.1, confidence=0.95, interval="percentile", min_events=10, resamples=400, seed=1)
NUMBERS = load_settings("quick").evaluate
NAMES = ("Volume", "Clinical", "Ridge", "Late", "Combined")


def cohort(n: int = 160, seed: int = 0) -> tuple[Outcomes, np.ndarray]:
    """Outcomes of two centers, and the log hazard behind them."""
    random = np.random.default_rng(seed)
    log_hazard = random.normal(size=n)
    death, left = random.exponential(700 * np.exp(-1.2 * log_hazard)), random.exponential(1800, n)
    return Outcomes(death <= left, np.ceil(np.minimum(death, left)), np.where(np.arange(n) % 3 == 0, "b", "a")), log_hazard


def risks(log_hazard: np.ndarray, worth: dict[str, float], seed: int = 5) -> dict[str, np.ndarray]:
    """Model -> (draws, n): the log hazard under noise, most of it common to all models; the larger the worth, the less it hides."""
    random = np.random.default_rng(seed)
    common = random.normal(size=log_hazard.size)
    return {name: np.stack([value * log_hazard + common + 0.4 * random.normal(size=log_hazard.size) for _ in range(2)]) for name, value in worth.items()}


def chosen(worth: dict[str, float], candidates: tuple[str, ...] = NAMES, beaten: dict[str, np.ndarray] | None = None) -> Choice:
    outcomes, log_hazard = cohort()
    ranks = risks(log_hazard, worth)
    others = {name: ranks[name] for name in ("Volume", "Clinical") if name in ranks}
    inside = Inside.of(ranks, outcomes, resamples=LIMITS.resamples, seed=LIMITS.seed)
    return choose(inside, ranks, candidates, lambda name: {**others, **(beaten or {})}, LIMITS)


def test_the_simplest_within_one_standard_error_is_served() -> None:
    choice = chosen({"Volume": 0.2, "Clinical": 0.0, "Ridge": 2.0, "Late": 2.02, "Combined": 2.04})
    assert choice.served == "Ridge"
    by_name = {row.model: row for row in choice.candidates}
    assert by_name["Ridge"].within
    assert not by_name["Volume"].within
    assert "Ridge is served" in choice.reason
    assert choice.challenger == ""
    assert all(row.lower_one_sided > 0 for row in choice.falsifiers)


def test_a_better_model_beyond_one_standard_error_is_served_though_it_is_less_simple() -> None:
    assert chosen({"Volume": 0.1, "Clinical": 0.0, "Ridge": 0.4, "Late": 3.0}).served == "Late"


def test_a_control_is_served_where_nothing_beats_it() -> None:
    choice = chosen({"Volume": 1.0, "Clinical": 0.3, "Ridge": 0.9, "Late": 1.0, "Combined": 0.5})
    assert choice.served == "Volume"
    assert "Volume only: nothing beat it" in choice.reason
    assert choice.falsifiers == ()


def test_what_does_not_beat_a_falsifier_is_not_served() -> None:
    _outcomes, log_hazard = cohort()
    strong = {"RandomNetwork": np.stack([log_hazard] * 2)}
    choice = chosen({"Volume": 0.2, "Clinical": 0.0, "Ridge": 2.0, "Late": 2.0}, beaten=strong)
    assert choice.served in ("Volume", "Clinical")
    assert all("RandomNetwork" in row.unbeaten for row in choice.candidates if row.model in ("Ridge", "Late"))


def test_candidates_without_a_control_that_beat_nothing_leave_nothing_to_serve() -> None:
    """A department that names its own model alone: evaluate ended in a KeyError."""
    outcomes, log_hazard = cohort()
    ranks = {"Own": np.stack([log_hazard] * 2)}
    inside = Inside.of(ranks, outcomes, resamples=LIMITS.resamples, seed=1)
    choice = choose(inside, ranks, ("Own",), lambda name: {"Volume": np.stack([log_hazard] * 2)}, LIMITS)
    assert choice.served == ""
    assert choice.reason == (
        "Nothing is served: Own is not shown to beat Volume, and no control is a candidate. Name Volume or Clinical among register.candidates."
    )


@pytest.mark.parametrize("seed", range(8))
def test_permuted_outcomes_serve_nothing_but_a_control(seed: int) -> None:
    outcomes, log_hazard = cohort(seed=seed)
    ranks = risks(np.random.default_rng(100 + seed).permutation(log_hazard), dict.fromkeys(NAMES, 1.0), seed)
    inside = Inside.of(ranks, outcomes, resamples=LIMITS.resamples, seed=1)
    choice = choose(inside, ranks, NAMES, lambda name: {other: ranks[other] for other in ("Volume", "Clinical")}, LIMITS)
    assert choice.served in ("Volume", "Clinical")


def test_a_candidate_that_gives_no_risk_is_listed_and_not_served() -> None:
    choice = chosen({"Volume": 0.5, "Clinical": 0.0, "Ridge": 0.5})
    absent = next(row for row in choice.candidates if row.model == "Late")
    assert np.isnan(absent.c)
    assert choice.served == "Volume"
    assert Choice.from_json(choice.to_json()).served == "Volume"


def test_nothing_is_served_where_nobody_gives_a_risk() -> None:
    outcomes, _ = cohort()
    choice = choose(Inside.of({}, outcomes, resamples=10, seed=1), {}, NAMES, lambda name: {}, LIMITS)
    assert choice.served == ""
    assert "Nothing is served" in choice.reason


def examined(named: str, worth: dict[str, float]) -> Choice:
    outcomes, log_hazard = cohort()
    ranks = risks(log_hazard, worth)
    inside = Inside.of(ranks, outcomes, resamples=LIMITS.resamples, seed=1)
    return examine(inside, ranks, named, NAMES, lambda name: {other: ranks[other] for other in ("Volume", "Clinical")}, LIMITS, noise=0.2)


def test_a_model_named_by_hand_is_served_when_it_beats_the_controls() -> None:
    choice = examined("Combined", {"Volume": 0.2, "Clinical": 0.0, "Combined": 2.0})
    assert (choice.served, choice.named, choice.challenger) == ("Combined", "Combined", "")


def test_a_model_named_by_hand_that_does_not_is_challenger_and_the_better_control_served() -> None:
    choice = examined("Combined", {"Volume": 1.0, "Clinical": 0.2, "Combined": 0.9})
    assert (choice.served, choice.named, choice.challenger) == ("Volume", "Combined", "Combined")
    assert "not shown to beat" in choice.reason
    assert "80 %" in choice.reason


def test_a_control_named_by_hand_has_nothing_to_beat() -> None:
    choice = examined("Clinical", {"Volume": 1.0, "Clinical": 0.1})
    assert (choice.served, choice.challenger) == ("Clinical", "")


def test_rows_are_those_of_pairs_of_one_center_and_their_mean_over_draws() -> None:
    outcomes, log_hazard = cohort()
    ranks = risks(log_hazard, {"Volume": 0.5, "Ridge": 1.5})
    inside = Inside.of(ranks, outcomes, resamples=200, seed=1)
    rows = {(row.model, row.center, row.metric): row for row in inside_rows(inside, ranks, NUMBERS, {"volume": "Volume"})}
    row = rows["Ridge", "training", "harrell_c"]
    by_hand = np.mean([c_within(outcomes, draw) for draw in ranks["Ridge"]])
    assert row.split == "cross_fitted"
    assert row.value == pytest.approx(by_hand, abs=1e-12)
    assert row.lower < row.value < row.upper
    assert 0 < rows["Ridge", "training", "harrell_c_se"].value < 0.06
    difference = rows["Ridge", "training", "delta_c_volume"]
    assert difference.value == pytest.approx(row.value - rows["Volume", "training", "harrell_c"].value, abs=1e-12)
    assert ("Volume", "training", "delta_c_volume") not in rows
    assert {center for _, center, _ in rows} == {"a", "b", "training"}


def c_within(outcomes: Outcomes, log_risk: np.ndarray) -> float:
    """Harrell's C over pairs of one center, pair by pair."""
    right = comparable = 0.0
    for i in range(len(log_risk)):
        for j in range(len(log_risk)):
            later = outcomes.time[j] > outcomes.time[i] or (outcomes.time[j] == outcomes.time[i] and not outcomes.event[j])
            if outcomes.event[i] and later and i != j and outcomes.centers[i] == outcomes.centers[j]:
                comparable += 1
                right += 1.0 if log_risk[i] > log_risk[j] else 0.5 if log_risk[i] == log_risk[j] else 0.0
    return right / comparable


def test_a_center_with_few_patients_does_not_hide_where_it_is_undefined() -> None:
    outcomes, log_hazard = cohort(12)
    alive = replace(outcomes, event=np.zeros(12, bool))
    ranks = risks(log_hazard, {"Volume": 0.5, "Ridge": 1.5})
    inside = Inside.of(ranks, alive, resamples=20, seed=1)
    rows = list(inside_rows(inside, ranks, NUMBERS, {"volume": "Volume"}))
    assert all(row.reason for row in rows if row.metric == "harrell_c")
