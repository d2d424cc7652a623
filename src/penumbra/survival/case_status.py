"""Who died by a horizon, and who is known to be alive then."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.outcome import Bools, Floats, Undefined, checked_horizon, checked_outcome, checked_risk


def status(event: ArrayLike, time: ArrayLike, horizon: float) -> tuple[Bools, Bools]:
    """Return who died by the horizon and who is known to be alive then, (n,) each; neither: censored before it.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        Who is censored at the horizon is alive then.
    horizon : days
    """
    events, times = checked_outcome(event, time)
    day = checked_horizon(horizon, times)
    return events & (times <= day), (times > day) | (~events & (times == day))


def cases_and_controls(event: ArrayLike, time: ArrayLike, horizon: float, *log_risks: ArrayLike) -> tuple[Bools, Floats, Bools, Bools, list[Floats]]:
    """Return event and time as checked, who is a case and who a control at the horizon, and the risks."""
    events, times = checked_outcome(event, time)
    risks = [checked_risk(log_risk, events.size) for log_risk in log_risks]
    case, control = status(events, times, horizon)
    if not case.any():
        raise Undefined(f"nobody died by day {horizon:g}: no AUC among {events.size} patients")
    if not control.any():
        raise Undefined(f"nobody is followed to day {horizon:g} (last at day {times.max():g}): no AUC among {events.size} patients")
    return events, times, case, control, risks


def require_two(case: Bools, control: Bools) -> None:
    """Raise Undefined "one case or one control only ..."; an AUC from one has no standard error."""
    if min(np.count_nonzero(case), np.count_nonzero(control)) < 2:
        raise Undefined(f"one case or one control only ({np.count_nonzero(case)} and {np.count_nonzero(control)}): the AUC has no standard error")
