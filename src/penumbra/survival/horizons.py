"""Names of the times at which survival is predicted, and which times are valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import SAME_TIME

DAYS_PER_YEAR = 365.25
COMMON_YEAR = 365.0
HALF_A_DAY = 0.5
LISTED_YEARS = (1, 2, 3)  # of the columns survival_1y, survival_2y and survival_3y in the relation `predictions`


def beyond(days: ArrayLike, followed: ArrayLike) -> Any:
    """Return whether times are later than the last day of a follow-up, both of any shape; by rounding alone they are not (outcome.SAME_TIME)."""
    last = np.asarray(followed, dtype=float)
    return np.asarray(days, dtype=float) > last + SAME_TIME * np.maximum(1.0, last)


def whole_years(days: float) -> int | None:
    """Return the number of whole years that a time equals, or None.

    A time is k years when it is k times 365 days, or within half a day of k times 365.25: 365, 730 and 1095 are 1, 2 and 3 years, and so are
    365.25, 730.5, 731 and 1096; 364, 366 and 1097 are not.

    Parameters
    ----------
    days
        > 0.
    """
    years = round(days / DAYS_PER_YEAR)
    fits = days == years * COMMON_YEAR or abs(days - years * DAYS_PER_YEAR) <= HALF_A_DAY
    return years if years >= 1 and fits else None


def horizon_name(days: float) -> str:
    """Return the suffix of columns and metrics for a time: "2y" for whole years, else the days: "180d", "182.5d"."""
    years = whole_years(days)
    return f"{days:.12g}d" if years is None else f"{years}y"


def horizon_words(days: float) -> str:
    """Return a time in words: "1 year", "2 years", "180 days"."""
    years = whole_years(days)
    quantity, noun = (f"{days:.12g}", "day") if years is None else (str(years), "year")
    return f"{quantity} {noun}" if quantity == "1" else f"{quantity} {noun}s"


def middle(horizons_days: Sequence[float]) -> Sequence[float]:
    """Return the horizon that is shown where there is room for one, in a list: the middle one, the earlier of two; none of none."""
    return horizons_days[(len(horizons_days) - 1) // 2 :][:1]


def unfit_horizons(horizons_days: Sequence[float]) -> str:
    """Return what is wrong with a list of times in days, as one sentence; "" where nothing is.

    They must be positive and finite, rise strictly, and have names of their own.
    """
    if not horizons_days:
        return "it holds no day; name at least one"
    strange = [day for day in horizons_days if not (math.isfinite(day) and day > 0)]
    if strange:
        return f"it holds {strange[0]:g}; every horizon must be a positive, finite number of days"
    for earlier, later in pairwise(horizons_days):
        if not earlier < later:
            return f"{later:g} comes after {earlier:g}; list the days in rising order, each of them once"
        if horizon_name(earlier) == horizon_name(later):
            return f"{earlier:g} and {later:g} are both called {horizon_name(later)}; keep one of them"
    return ""
