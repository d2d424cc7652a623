"""The numbers behind one Kaplan-Meier figure."""

import math
from dataclasses import dataclass

import numpy as np

from penumbra.report.inputs import SurvivalPanel
from penumbra.report.words import SMALLEST_P, count, number, p_value

DAYS_PER_YEAR = 365.25
SHOWN_AT_RISK = 0.05  # a curve is drawn until fewer than this share of its patients are left: beyond, single deaths draw cliffs


@dataclass(frozen=True)
class GroupCurve:
    """One risk group: the curve's steps from (0, 1) on, its limits, and the censoring times, all in years; median NaN if never reached."""

    high: bool
    n: int
    events: int
    years: np.ndarray
    alive: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    followed: np.ndarray
    censored: np.ndarray
    median: float
    median_limits: tuple[float, float] = (math.nan, math.nan)

    @property
    def median_in_words(self) -> str:
        """ "1.3 (0.9–2.1)"; a dash for what is not reached."""
        if not math.isfinite(self.median):
            return number(self.median)
        return f"{number(self.median, 1)} ({'–'.join(number(end, 1) if math.isfinite(end) else 'not reached' for end in self.median_limits)})"

    @property
    def in_words(self) -> str:
        """ "21 patients, 12 deaths, median 1.3 years"."""
        median = f"{number(self.median, 1)} years" if math.isfinite(self.median) else "not reached"
        return f"{count(self.n, 'patient')}, {count(self.events, 'death')}, median {median}"

    def alive_at(self, years: float) -> float:
        """Share alive at a time; NaN beyond the last follow-up, unless nobody was left alive."""
        return float(self.step(np.array([years]))[0]) if years <= self.followed.max() or self.alive[-1] == 0 else math.nan

    def step(self, years: np.ndarray) -> np.ndarray:
        """The curve's height at given times."""
        return self.alive[np.searchsorted(self.years, years, side="right") - 1]

    def at_risk(self, years: float) -> int:
        """Patients followed at least that long."""
        return int(np.count_nonzero(self.followed >= years))


@dataclass(frozen=True)
class PanelNumbers:
    """What a Kaplan-Meier figure and the table next to it show.

    Parameters
    ----------
    last_year
        Where the time axis ends.
    hazard_ratio
        High against low, with limits; None, like p of the log-rank test, where undefined.
    undefined
        Why, for what could not be computed.
    apparent
        Whether the fit saw these patients.
    """

    title: str
    curves: tuple[GroupCurve, ...]
    last_year: float
    hazard_ratio: tuple[float, float, float] | None
    p: float | None
    undefined: tuple[str, ...]
    apparent: bool = False

    @property
    def verdict(self) -> tuple[str, ...]:
        """Hazard ratio and log-rank p, one line each, and why one is missing."""
        lines = []
        if self.hazard_ratio is not None:
            value, lower, upper = (number(part) for part in self.hazard_ratio)
            lines.append(f"HR {value} ({lower}–{upper})")
        if self.p is not None:
            lines.append(f"log-rank p {'' if self.p < SMALLEST_P else '= '}{p_value(self.p)}")
        return (*lines, *self.undefined)


def panel_numbers(panel: SurvivalPanel) -> PanelNumbers:
    """Curves of both groups, log-rank test and hazard ratio (high against low) of one panel."""
    from penumbra.survival import Undefined, hazard_ratio, log_rank

    event, time, high = np.asarray(panel.event, dtype=bool), np.asarray(panel.time, dtype=float), np.asarray(panel.high_risk, dtype=bool)
    curves = tuple(group_curve(event[high == side], time[high == side], side) for side in (True, False) if np.any(high == side))
    end = max((last_year(curve) for curve in curves), default=1.0)
    obstacle = _obstacle(curves)
    if obstacle:
        return PanelNumbers(panel.title, curves, end, None, None, (obstacle,), panel.apparent)
    ratio, p, undefined = None, None, []
    try:
        measured = hazard_ratio(event, time, high)
        ratio = (measured.value, measured.lower, measured.upper)
    except Undefined as reason:
        undefined.append(str(reason))
    try:
        p = log_rank(event, time, high).p
    except Undefined as reason:
        undefined.append(str(reason))
    return PanelNumbers(panel.title, curves, end, ratio, p, tuple(undefined), panel.apparent)


def _obstacle(curves: tuple[GroupCurve, ...]) -> str:
    if not curves:
        return "no patient"
    if len(curves) == 1:
        return f"every patient is {'high' if curves[0].high else 'low'} risk: no comparison"
    if not any(curve.events for curve in curves):
        return "no death: no comparison"
    return ""


def group_curve(event: np.ndarray, time: np.ndarray, high: bool) -> GroupCurve:
    """The curve of one group that has patients."""
    from penumbra.survival import kaplan_meier

    steps = kaplan_meier(event, time)
    years = np.concatenate([[0.0], np.asarray(steps.times) / DAYS_PER_YEAR])
    alive, lower, upper = (np.concatenate([[1.0], np.asarray(values)]) for values in (steps.survival, steps.lower, steps.upper))
    followed = time / DAYS_PER_YEAR
    median, *limits = (days / DAYS_PER_YEAR for days in (steps.median, steps.median_lower, steps.median_upper))
    return GroupCurve(high, len(time), int(event.sum()), years, alive, lower, upper, followed, followed[~event], median, (limits[0], limits[1]))


def last_year(curve: GroupCurve) -> float:
    """Where the curve ends: fewer than SHOWN_AT_RISK of its patients are left."""
    min_at_risk = max(1, math.ceil(SHOWN_AT_RISK * curve.n))
    return float(np.sort(curve.followed)[-min_at_risk])
