"""Deaths against expected deaths as they come: by hand, the false alarms of a model that is right, and when one that is not is noticed."""

from dataclasses import replace

import numpy as np
import pytest

from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.monitoring import Stream, cusum, limit_of, stream_of

BASELINE = BaselineHazard(np.array([100.0, 200.0, 300.0]), np.array([0.1, 0.3, 0.6]), 400.0)
NUMBERS = {"false_alarms": 0.05, "expected": 50.0, "runs": 4000, "seed": 1}


def test_a_stream_by_hand() -> None:
    """Two patients, the second from day 50 on and with twice the hazard: 0.1 on day 100, 0.2 on day 150, death on day 200 (after its 0.2), 0.4 on day 250."""
    found = stream_of([True, False], [200.0, 250.0], [0.0, np.log(2.0)], BASELINE, entered=[0.0, 50.0])
    assert found.day.tolist() == [100.0, 150.0, 200.0, 200.0, 250.0]
    assert found.expected == pytest.approx([0.1, 0.3, 0.5, 0.5, 0.9])
    assert found.died.tolist() == [False, False, False, True, False]
    assert found.observed.tolist() == [0, 0, 0, 1, 1]


def test_time_before_the_risk_was_given_and_beyond_the_baseline_does_not_count() -> None:
    known = stream_of([True], [300.0], [0.0], BASELINE, since=[150.0])
    assert known.expected == pytest.approx([0.2, 0.5, 0.5])
    assert stream_of([True], [100.0], [0.0], BASELINE, since=[100.0]).day.size == 0, "dead when the risk was given"
    late = stream_of([True], [900.0], [0.0], BASELINE)
    assert (late.expected[-1], late.observed[-1]) == (pytest.approx(0.6), 0)


@pytest.mark.parametrize("baseline", [BASELINE, replace(BASELINE, linear=True)], ids=["steps", "a grid"])
def test_the_expected_deaths_are_those_of_calibration(baseline: BaselineHazard) -> None:
    random = np.random.default_rng(2)
    time, log_risk, since = random.uniform(50, 290, size=40), random.normal(size=40), random.uniform(0, 200, size=40)
    found = stream_of(np.zeros(40, dtype=bool), time, log_risk, baseline)
    assert found.expected[-1] == pytest.approx((baseline.at(time) * np.exp(log_risk)).sum())
    later = stream_of(np.zeros(40, dtype=bool), time, log_risk, baseline, since=since)
    assert later.expected[-1] == pytest.approx((np.maximum(baseline.at(time) - baseline.at(since), 0) * np.exp(log_risk)).sum())


def test_a_chart_by_hand() -> None:
    """For a hazard ratio of 2: log 2 per death, -1 per expected death, above the lowest so far."""
    stream = Stream(np.arange(4.0), np.array([0.5, 0.5, 1.0, 1.0]), np.array([False, True, False, True]))
    ratio = np.array([-0.5, np.log(2) - 0.5, np.log(2) - 1, 2 * np.log(2) - 1])
    found = cusum(stream, 2.0, 1.0)
    assert found.value == pytest.approx(ratio - np.array([-0.5, -0.5, -0.5, -0.5]))
    assert found.signal is None
    assert cusum(stream, 2.0, 0.6).signal == 1
    empty = Stream(np.empty(0), np.empty(0), np.empty(0, dtype=bool))
    assert cusum(empty, 2.0, 1.0).value.size == 0


def alarms(hazard_ratio: float, truth: float, streams: int, expected: float = 50.0) -> tuple[float, list[int]]:
    """Share of streams that signal, and after how many deaths; `truth` times the deaths that are expected happen."""
    random, limit, deaths = np.random.default_rng(7), limit_of(hazard_ratio, **NUMBERS), []  # type: ignore[arg-type]
    for _ in range(streams):
        days = np.sort(random.uniform(0, expected, random.poisson(expected * truth)))
        steps = Stream(np.repeat(days, 2), np.repeat(days, 2), np.tile([False, True], days.size))
        signal = cusum(steps, hazard_ratio, limit).signal
        deaths += [] if signal is None else [int(steps.observed[signal])]
    return len(deaths) / streams, deaths


@pytest.mark.parametrize("hazard_ratio", [2.0, 0.5])
def test_a_model_that_is_right_signals_as_rarely_as_stated(hazard_ratio: float) -> None:
    share, _ = alarms(hazard_ratio, 1.0, 1000)
    assert share == pytest.approx(0.05, abs=0.02)


def test_a_hazard_that_doubled_is_noticed_and_when() -> None:
    """Measured: half of the streams within 22 deaths, nine of ten within 37; at 2.5 times within 16 and 24."""
    for truth, half, most in ((2.0, 25, 42), (2.5, 18, 27)):
        share, deaths = alarms(2.0, truth, 500)
        assert share > 0.98
        assert np.median(deaths) <= half
        assert np.quantile(deaths, 0.9) <= most
    share, _ = alarms(0.5, 0.5, 500)
    assert share > 0.9, "a hazard that was halved too"


def test_limits_are_seeded_and_rise_with_the_length_of_the_watch() -> None:
    assert limit_of(2.0, **NUMBERS) == limit_of(2.0, **NUMBERS)  # type: ignore[arg-type]
    assert limit_of(2.0, **{**NUMBERS, "expected": 200.0}) > limit_of(2.0, **NUMBERS)  # type: ignore[arg-type]
    assert limit_of(2.0, **{**NUMBERS, "false_alarms": 0.01}) > limit_of(2.0, **NUMBERS)  # type: ignore[arg-type]
