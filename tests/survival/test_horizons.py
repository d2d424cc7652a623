"""Times are named by their length; a list of them that cannot be named is refused."""

import math

import pytest

from penumbra.survival.horizons import beyond, horizon_name, horizon_words, unfit_horizons, whole_years

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(
    ("days", "name", "words"),
    [
        (365, "1y", "1 year"),
        (365.25, "1y", "1 year"),
        (730, "2y", "2 years"),
        (730.5, "2y", "2 years"),
        (731, "2y", "2 years"),
        (1095, "3y", "3 years"),
        (1095.75, "3y", "3 years"),
        (1096, "3y", "3 years"),
        (1460, "4y", "4 years"),
        (1461, "4y", "4 years"),
        (1825, "5y", "5 years"),
        (1826, "5y", "5 years"),
        (1, "1d", "1 day"),
        (90, "90d", "90 days"),
        (180, "180d", "180 days"),
        (182.5, "182.5d", "182.5 days"),
        (182.625, "182.625d", "182.625 days"),
        (364, "364d", "364 days"),
        (366, "366d", "366 days"),
        (450, "450d", "450 days"),
        (729, "729d", "729 days"),
        (1097, "1097d", "1097 days"),
        (1827, "1827d", "1827 days"),
    ],
)
def test_a_time_is_named_by_its_years_or_its_days(days: float, name: str, words: str) -> None:
    assert horizon_name(days) == name
    assert horizon_words(days) == words
    assert (whole_years(days) is None) == name.endswith("d")


@pytest.mark.parametrize("days", [[365], [90], [365, 730, 1095], [180, 365, 730], [182.5, 365.25], [365, 730, 1095, 1461, 1826], [0.5, 1]])
def test_rising_days_are_fit(days: list[float]) -> None:
    assert unfit_horizons(days) == ""
    assert len({horizon_name(day) for day in days}) == len(days)


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ([], "it holds no day"),
        ([730, 365, 1095], "365 comes after 730; list the days in rising order"),
        ([1095, 730, 365], "730 comes after 1095"),
        ([365, 365], "365 comes after 365; list the days in rising order, each of them once"),
        ([365, 730, 730.5], "730 and 730.5 are both called 2y; keep one of them"),
        ([0, 365], "it holds 0; every horizon must be a positive, finite number of days"),
        ([-365, 365], "it holds -365"),
        ([365, math.nan], "it holds nan"),
        ([365, math.inf], "it holds inf"),
    ],
)
def test_other_lists_are_not_and_the_reason_is_said(days: list[float], why: str) -> None:
    assert why in unfit_horizons(days)


def test_a_day_is_beyond_a_follow_up_by_more_than_rounding() -> None:
    months = 36 * 365.25 / 12
    assert not beyond(1095.75, math.nextafter(months, 0))
    assert not beyond(450, 450)
    assert beyond(450.001, 450)
    assert beyond([100, 450, 730], 450).tolist() == [False, False, True]
