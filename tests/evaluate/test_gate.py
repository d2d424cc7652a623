"""The gate on limits made by hand: each rule alone decides, and what is written down gives the same verdict again."""

import json
import math
from dataclasses import replace

import pytest

from penumbra.base.params import ParamsError
from penumbra.evaluate import Contrast, Evidence, GateLimits
from penumbra.evaluate.gate import gate

LIMITS = GateLimits(noise=0.10, confidence=0.95, interval="percentile", min_events=10, resamples=1000, seed=1)
NAN = math.nan


def contrast(center: str, against: str = "champion", *, events: int = 40, low: float = 0.01, upper: float = 0.09, **changed: object) -> Contrast:
    made = Contrast(center, against, 2 * events, events, 900, 0.65, 0.70, False, low, low - 0.02, upper)
    return replace(made, **changed)  # type: ignore[arg-type]


BASELINES = (contrast("all centers", "Volume"), contrast("all centers", "Shuffled"))
GOOD = Evidence(LIMITS, contrast("all centers", events=60), (contrast("north"), contrast("east", events=20)), BASELINES)


def undefined(center: str, against: str = "champion", events: int = 40) -> Contrast:
    gone = {"pairs": 0, "other": NAN, "challenger": NAN, "low": NAN, "upper": NAN, "lower": NAN}
    return contrast(center, against, events=events, reason="no comparable pair", **gone)  # type: ignore[arg-type]


def test_a_gain_that_is_shown_is_promoted() -> None:
    verdict = gate(GOOD)
    assert verdict.decision == "promote"
    assert "a gain is shown (lower 90 % limit of the difference +0.010)" in verdict.reason
    assert "champion 0.650, challenger 0.700, +0.050 (95 % -0.010 to +0.090)" in verdict.reason
    assert "\n" not in verdict.reason


@pytest.mark.parametrize("low", [0.0, -1e-12, -0.05])
def test_a_gain_that_is_not_shown_is_kept(low: float) -> None:
    verdict = gate(replace(GOOD, overall=contrast("all centers", low=low)))
    assert verdict.decision == "keep"
    assert "no gain is shown (lower 90 % limit" in verdict.reason


def test_worse_over_all_centers_is_rejected_and_not_quite_is_kept() -> None:
    verdict = gate(replace(GOOD, overall=contrast("all centers", low=-0.09, upper=-0.001)))
    assert (verdict.decision, "worse (upper 95 % limit of the difference -0.001)" in verdict.reason) == ("reject", True)
    assert gate(replace(GOOD, overall=contrast("all centers", low=-0.09, upper=0.0))).decision == "keep"


def test_a_center_with_a_say_that_is_worse_stops_a_promotion_and_is_named() -> None:
    worse = contrast("east", events=10, low=-0.2, upper=-0.001)
    verdict = gate(replace(GOOD, centers=(contrast("north"), worse)))
    assert verdict.decision == "keep"
    assert "east is worse (upper limit -0.001)" in verdict.reason
    assert gate(replace(GOOD, centers=(contrast("north"), replace(worse, upper=0.0)))).decision == "promote"


def test_a_center_with_few_events_has_no_say_and_is_named() -> None:
    verdict = gate(replace(GOOD, centers=(contrast("north"), contrast("east", events=9, low=-0.5, upper=-0.2))))
    assert verdict.decision == "promote"
    assert "Not judged alone, fewer than 10 events: east." in verdict.reason


@pytest.mark.parametrize("low", [0.0, -0.03])
def test_a_baseline_that_is_not_beaten_is_named(low: float) -> None:
    verdict = gate(replace(GOOD, baselines=(BASELINES[0], contrast("all centers", "Shuffled", low=low))))
    assert verdict.decision == "keep"
    assert "not shown to beat Shuffled (C 0.650" in verdict.reason
    assert "Volume" not in verdict.reason


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"centers": (contrast("north", events=9), contrast("east", events=1))}, "no center has 10 events"),
        ({"centers": ()}, "no center has 10 events"),
        ({"overall": undefined("all centers")}, "undefined at all centers (no comparable pair)"),
        ({"centers": (contrast("north"), undefined("east"))}, "undefined at east (no comparable pair)"),
        ({"baselines": (undefined("all centers", "Volume"),)}, "the comparison with Volume is undefined (no comparable pair)"),
        ({"overall": contrast("all centers", constant=True)}, "gives all patients of a center the same risk"),
    ],
)
def test_what_cannot_be_decided_is_kept_with_its_reason(changed: dict[str, object], said: str) -> None:
    verdict = gate(replace(GOOD, **changed))  # type: ignore[arg-type]
    assert verdict.decision == "keep"
    assert said in verdict.reason
    assert "nan" not in verdict.reason


def test_the_evidence_as_json_gives_the_same_verdict() -> None:
    for evidence in (GOOD, replace(GOOD, baselines=(undefined("all centers", "Volume"),)), replace(GOOD, overall=undefined("all centers"))):
        written = json.dumps(evidence.to_json(), allow_nan=False)
        again = Evidence.from_json(json.loads(written))
        assert gate(again) == gate(evidence)
        assert json.dumps(again.to_json(), allow_nan=False) == written


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"noise": 0.0}, "retrain.gate.noise"),
        ({"noise": 0.6}, "retrain.gate.noise"),
        ({"noise": NAN}, "retrain.gate.noise"),
        ({"confidence": 1.0}, "retrain.gate.confidence"),
        ({"min_events": 0}, "retrain.gate.min_events"),
        ({"resamples": 39}, "retrain.gate.resamples is 39, out of its range. Give a number at least 40"),
        ({"noise": 0.01, "resamples": 99}, "retrain.gate.resamples is 99, out of its range. Give a number at least 100"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(changed: dict[str, float], rule: str) -> None:
    with pytest.raises(ParamsError, match=rule):
        replace(LIMITS, **changed)  # type: ignore[arg-type]
