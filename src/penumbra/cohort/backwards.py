"""A clinical record compared with the stored one: an outcome can only grow, and a person's sex and age at diagnosis do not change."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penumbra.cohort.spellings import DAYS_PER

OUTCOME, PERSON, DEATH_DATE = "outcome_backwards", "person_changed", "death_date_moved"
HALF_A_DAY = 0.5
FINE_DAYS = 4.0  # tenths of a month, hundredths of a year: as days again they are one time; whole months as days again may as well be other days
# Days that a center may count to a month or a year, the days that ingest counts, and to how many decimals the number may be rounded.
UNITS: tuple[tuple[tuple[float, ...], float, tuple[int, ...]], ...] = (
    ((30.0, 30.44, DAYS_PER["months"]), DAYS_PER["months"], (0, 1, 2, 3, 4)),
    ((365.0, DAYS_PER["years"]), DAYS_PER["years"], (1, 2, 3, 4)),
)


@dataclass(frozen=True)
class Contradiction:
    """One thing in which a new record cannot follow the stored one.

    Parameters
    ----------
    rule
        OUTCOME: dead and alive again, or followed for less time; PERSON: another sex or age; DEATH_DATE: died later than reported before.
    found
        What was stored and what was sent.
    """

    rule: str
    found: str

    @property
    def grave(self) -> bool:
        """Whether one of the two records must be wrong; False for a death date, which may be corrected to a later day."""
        return self.rule != DEATH_DATE


def contradictions(stored: Mapping[str, Any], incoming: Mapping[str, Any], *, age_tolerance_years: float) -> tuple[Contradiction, ...]:
    """What in `incoming` cannot follow `stored`, two records of one patient with time (days), event, sex and age (years); None: not known.

    Parameters
    ----------
    age_tolerance_years
        Ages further apart are not one person's age at diagnosis: rounding and whole years stay below it.
    """
    conflicts = []
    if stored["time"] is not None and incoming["time"] is not None:
        words = f"{_fate(stored)}, now {_fate(incoming)}"
        moved = not same_time(stored["time"], incoming["time"])
        if (stored["event"] and not incoming["event"]) or (moved and incoming["time"] < stored["time"]):
            conflicts.append(Contradiction(OUTCOME, words))
        elif moved and stored["event"]:
            conflicts.append(Contradiction(DEATH_DATE, words))
    if stored["sex"] and incoming["sex"] and stored["sex"] != incoming["sex"]:
        conflicts.append(Contradiction(PERSON, f"sex {stored['sex']}, now {incoming['sex']}"))
    if stored["age"] is not None and incoming["age"] is not None and abs(stored["age"] - incoming["age"]) > age_tolerance_years:
        conflicts.append(Contradiction(PERSON, f"age {stored['age']:.4g}, now {incoming['age']:.4g}"))
    return tuple(conflicts)


def news(previous: Mapping[str, Any], incoming: Mapping[str, Any]) -> bool:
    """Whether the outcome `incoming` adds to `previous` (time None: none was known): another event, or a time that differs by more than rounding."""
    if incoming["time"] is None:
        return False
    return previous["time"] is None or bool(previous["event"]) != bool(incoming["event"]) or not same_time(previous["time"], incoming["time"])


def same_time(first: float, second: float) -> bool:
    """Whether two survival times in days are one time, sent in other units or rounded.

    Rounded to days, to months (whole or with decimals), or to years with at least one decimal.
    """
    return abs(first - second) <= HALF_A_DAY or _rounds_to(first, second) or _rounds_to(second, first)


def _rounds_to(exact: float, rounded: float) -> bool:
    """Whether `rounded` is `exact` counted in a unit, rounded to some decimals, and made days again: by ingest, or where fine by the center."""
    for divisors, ours, decimals in UNITS:
        for divisor in divisors:
            if math.isclose(exact / divisor * ours, rounded, rel_tol=1e-4):  # another length of the month, and nothing rounded
                return True
            for places in decimals:
                scaled, step = exact / divisor * 10.0**places, 10.0**places
                counts = {math.floor(scaled + 0.5 + 1e-9) / step, math.ceil(scaled - 0.5 - 1e-9) / step}  # two where a half rounds up or to even
                if any(math.isclose(count * ours, rounded, rel_tol=1e-6) for count in counts):
                    return True
                if divisor / step <= FINE_DAYS and any(abs(count * divisor - rounded) <= HALF_A_DAY for count in counts):
                    return True
    return False


def _fate(record: Mapping[str, Any]) -> str:
    return f"{'died' if record['event'] else 'alive'} on day {record['time']:g}"
