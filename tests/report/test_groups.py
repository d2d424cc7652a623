"""Numbers behind a Kaplan-Meier figure, by hand."""

import math

import numpy as np
import pytest

from penumbra.report import SurvivalPanel
from penumbra.report.groups import panel_numbers
from penumbra.survival import hazard_ratio, log_rank

YEAR = 365.25


def test_curves_medians_and_numbers_at_risk_by_hand() -> None:
    # high: deaths at 1 and 2 years, one censored at 1.5; low: one death at 3, one censored at 4
    time = np.array([1.0, 1.5, 2.0, 3.0, 4.0]) * YEAR
    event = np.array([True, False, True, True, False])
    numbers = panel_numbers(SurvivalPanel("hand", event, time, np.array([True, True, True, False, False])))
    high, low = numbers.curves
    assert (high.n, high.events, low.n, low.events) == (3, 2, 2, 1)
    assert high.alive_at(1.2) == pytest.approx(2 / 3)
    assert high.alive_at(2.0) == pytest.approx(0.0)
    assert high.alive_at(2.5) == 0, "nobody was left alive"
    assert math.isnan(low.alive_at(4.5)), "nobody is followed that long"
    assert low.median_in_words == "3.0 (3.0–not reached)"
    assert low.alive_at(3.5) == pytest.approx(0.5)
    assert high.median == pytest.approx(2.0)
    assert low.median == pytest.approx(3.0), "half are alive from year 3 on, and nobody dies later"
    assert [high.at_risk(years) for years in (0, 1, 1.2, 2, 3)] == [3, 3, 2, 1, 0]
    assert numbers.last_year == pytest.approx(4.0)
    assert numbers.hazard_ratio is None
    assert numbers.p is not None
    assert numbers.p < 0.2
    assert "hazard ratio is not finite" in numbers.verdict[1]


def test_median_not_reached_is_said() -> None:
    event = np.array([True, False, False, False, True, True])
    numbers = panel_numbers(SurvivalPanel("x", event, np.arange(1.0, 7.0) * YEAR, np.array([False, False, False, False, True, True])))
    low = next(curve for curve in numbers.curves if not curve.high)
    assert math.isnan(low.median)
    assert low.in_words == "4 patients, 1 death, median not reached"


def test_against_the_statistics_room() -> None:
    generator = np.random.default_rng(5)
    high = np.arange(60) % 2 == 0
    time = generator.exponential(np.where(high, 300.0, 900.0))
    numbers = panel_numbers(SurvivalPanel("x", np.ones(60, bool), time, high))
    assert numbers.undefined == ()
    ratio, test = hazard_ratio(np.ones(60, bool), time, high), log_rank(np.ones(60, bool), time, high)
    assert numbers.hazard_ratio == (ratio.value, ratio.lower, ratio.upper)
    assert numbers.p == test.p
    assert len(numbers.verdict) == 2
    nobody = panel_numbers(SurvivalPanel("nobody", np.zeros(0, bool), np.zeros(0), np.zeros(0, bool)))
    assert nobody.verdict == ("no patient",)
