"""The gate on hand-made scores: each rule alone decides."""

import pytest

from penumbra.registry import CenterScore, Margins, gate

MARGINS = Margins(min_events=10, pooled_better=0.0, pooled_worse=0.02, center_worse=0.03, falsifier=0.0)
FALSIFIERS = {"volume_only": 0.60, "clinical_only": 0.58}


def decide(pooled: tuple[float, float], *centers: tuple[str, int, float, float], falsifiers: dict[str, float] | None = None) -> tuple[str, str]:
    scores = [CenterScore(*center) for center in centers]
    events = sum(score.events for score in scores)
    verdict = gate(CenterScore("pooled", events, *pooled), scores, FALSIFIERS if falsifiers is None else falsifiers, MARGINS)
    return verdict.decision, verdict.reason


def test_better_everywhere_is_promoted() -> None:
    decision, reason = decide((0.65, 0.70), ("north", 40, 0.65, 0.69), ("east", 20, 0.64, 0.72))
    assert decision == "promote"
    assert "champion 0.650, challenger 0.700, +0.050" in reason
    assert "\n" not in reason


def test_no_gain_is_kept_and_a_small_loss_too() -> None:
    assert decide((0.65, 0.65), ("north", 40, 0.65, 0.65))[0] == "keep"
    assert decide((0.65, 0.64), ("north", 40, 0.65, 0.64))[0] == "keep"


def test_one_harmed_center_rejects_and_is_named() -> None:
    decision, reason = decide((0.65, 0.70), ("north", 40, 0.65, 0.75), ("east", 20, 0.66, 0.60))
    assert decision == "reject"
    assert "worse by more than 0.03 at east (champion 0.660, challenger 0.600, -0.060)" in reason


def test_a_center_with_few_events_has_no_say_and_is_named() -> None:
    decision, reason = decide((0.65, 0.70), ("north", 40, 0.65, 0.75), ("east", 3, 0.66, 0.10))
    assert decision == "promote"
    assert "No say for want of events (fewer than 10): east" in reason


def test_pooled_loss_rejects() -> None:
    assert decide((0.68, 0.65), ("north", 40, 0.68, 0.66), ("east", 20, 0.65, 0.63))[0] == "reject"


def test_an_unbeaten_falsifier_rejects() -> None:
    decision, reason = decide((0.55, 0.60), ("north", 40, 0.55, 0.60))
    assert decision == "reject"
    assert "volume_only 0.600" in reason
    assert "clinical_only" not in reason


def test_too_few_events_in_all_and_undefined_values_are_kept() -> None:
    assert decide((0.65, 0.9), ("east", 3, 0.65, 0.9))[0] == "keep"
    decision, reason = decide((0.65, 0.70), ("north", 40, 0.65, float("nan")))
    assert decision == "keep"
    assert "undefined at north" in reason


@pytest.mark.parametrize("value", [0.70, float("nan")])
def test_a_falsifier_that_ties_or_is_undefined_is_not_beaten(value: float) -> None:
    assert decide((0.65, 0.70), ("north", 40, 0.65, 0.70), falsifiers={"shuffled_roi": value})[0] == "reject"
