"""The widths that a validation will have, against those that validations had."""

import numpy as np
import pytest

from penumbra.survival import Undefined, calibration_slope, concordance_index, expected_precision

RISK = 0.5 * np.random.default_rng(1).normal(size=79)


def test_a_surgical_center_of_27_deaths() -> None:
    """The real one: 79 patients, 27 deaths; its measured interval of C is 0.54 to 0.76 (docs/retraining.md)."""
    found = expected_precision(RISK, 27)
    assert found.concordance == pytest.approx(0.11, abs=0.01)
    assert found.slope == pytest.approx(0.9, abs=0.1)
    assert found.ratio == pytest.approx(np.exp(1.96 / np.sqrt(27)), rel=1e-3)


def test_the_widths_are_those_of_simulated_validations() -> None:
    random, c, slopes = np.random.default_rng(2), [], []
    for _ in range(400):
        death, left = random.exponential(size=79) / np.exp(RISK), random.exponential(size=79) * 0.45
        event, time = death <= left, np.minimum(death, left)
        c.append(concordance_index(event, time, RISK))
        slopes.append(calibration_slope(event, time, RISK).value)
        last = int(event.sum())
    found = expected_precision(RISK, 25)
    assert last > 10
    assert found.concordance == pytest.approx(1.96 * np.std(c), rel=0.2)
    assert found.slope == pytest.approx(1.96 * np.std(slopes), rel=0.25)
    assert found.expected_concordance == pytest.approx(np.mean(c), abs=0.02)


def test_more_deaths_and_more_spread_tell_more() -> None:
    few, many = expected_precision(RISK, 15), expected_precision(RISK, 60)
    assert many.concordance < few.concordance
    assert many.slope < few.slope
    assert many.ratio < few.ratio
    assert expected_precision(2 * RISK, 27).slope < expected_precision(RISK, 27).slope
    assert expected_precision(RISK + 5, 27).slope == pytest.approx(expected_precision(RISK, 27).slope), "a constant says nothing"


def test_the_same_seed_gives_the_same_widths() -> None:
    assert expected_precision(RISK, 27, seed=3) == expected_precision(RISK, 27, seed=3)


@pytest.mark.parametrize(("risk", "events", "words"), [(RISK, 0, "0 deaths among 79 patients"), (np.zeros(9), 3, "no spread"), (RISK, 80, "80 deaths among")])
def test_undefined(risk: np.ndarray, events: int, words: str) -> None:
    with pytest.raises(Undefined, match=words):
        expected_precision(risk, events)


def test_where_everybody_died() -> None:
    assert expected_precision(RISK, 79).concordance < expected_precision(RISK, 27).concordance
