"""Records that cannot follow the stored one, and times that are one time in other words."""

from typing import Any

import pytest

from penumbra.cohort.backwards import contradictions, news, same_time

RECORD = {"time": 996.0, "event": True, "sex": "female", "age": 46.391}
ALIVE = {**RECORD, "event": False}


@pytest.mark.parametrize(
    ("stored", "sent", "found"),
    [
        (RECORD, {"event": False, "time": 500.0}, ["outcome_backwards: died on day 996, now alive on day 500"]),
        (RECORD, {"event": False, "time": 1500.0}, ["outcome_backwards: died on day 996, now alive on day 1500"]),
        (RECORD, {"time": 900.0}, ["outcome_backwards: died on day 996, now died on day 900"]),
        (RECORD, {"time": 1026.0}, ["death_date_moved: died on day 996, now died on day 1026"]),
        (ALIVE, {"time": 700.0}, ["outcome_backwards: alive on day 996, now alive on day 700"]),
        (ALIVE, {"time": 700.0, "event": True}, ["outcome_backwards: alive on day 996, now died on day 700"]),
        (RECORD, {"sex": "male"}, ["person_changed: sex female, now male"]),
        (RECORD, {"age": 64.3}, ["person_changed: age 46.39, now 64.3"]),
        (RECORD, {"age": 64.3, "time": 10.0}, ["outcome_backwards: died on day 996, now died on day 10", "person_changed: age 46.39, now 64.3"]),
        (ALIVE, {"time": 1200.0}, []),
        (ALIVE, {"time": 1200.0, "event": True}, []),
        (ALIVE, {"event": True}, []),
        (RECORD, {"age": 46.4, "sex": None}, []),
        (RECORD, {"age": None, "time": round(996 / 30.4375, 1) * 30.4375}, []),
        ({**RECORD, "time": None, "event": None, "sex": None, "age": None}, {}, []),
    ],
)
def test_what_cannot_follow(stored: dict[str, Any], sent: dict[str, Any], found: list[str]) -> None:
    told = contradictions(stored, {**RECORD, "event": stored["event"], **sent}, age_tolerance_years=1.0)
    assert [f"{one.rule}: {one.found}" for one in told] == found
    assert [one.grave for one in told] == [not text.startswith("death_date") for text in found]


@pytest.mark.parametrize("days", [12.25, 345.0, 996.0, 1487.0, 2310.0])
def test_a_time_in_other_units_or_rounded_is_the_same_time(days: float) -> None:
    for month in (30.0, 30.44, 365.25 / 12):
        for decimals in (0, 1, 2, 4):
            assert same_time(days, round(days / month, decimals) * 365.25 / 12), "sent in months, which ingest makes days of"
        for decimals in (1, 2):
            assert same_time(days, round(round(days / month, decimals) * month)), "made days of by the center"
    assert same_time(days, round(days / 365.25, 2) * 365.25)
    assert same_time(round(days / 365.25, 1) * 365.25, days), "sent to the day now, after tenths of a year"
    assert same_time(days, round(days))


def test_a_longer_time_is_another_time() -> None:
    """Of all growths by more than two days, one in a hundred falls on a rounded number of months by chance."""
    for growth in (3, 10, 30):
        alike = sum(same_time(float(days), float(days + growth)) for days in range(100, 2500))
        assert alike < 0.02 * 2400
    assert not any(same_time(float(days), float(days + 60)) for days in range(100, 2500))


def test_only_an_outcome_is_news() -> None:
    assert news({"time": None, "event": None}, RECORD)
    assert news(ALIVE, RECORD)
    assert news(ALIVE, {**ALIVE, "time": 1100.0})
    assert not news(ALIVE, {**ALIVE, "age": 46.0, "histology": "nos", "time": 996.4})
    assert not news(ALIVE, {**ALIVE, "time": None, "event": None})
