"""Argument checks: what is not an outcome is refused by every statistic, with a reason."""

import subprocess
import sys

import numpy as np
import pytest

from penumbra import survival
from penumbra.survival import Undefined

pytestmark = pytest.mark.numeric

EVENT, TIME, RISK = np.array([1, 0, 1, 1]), np.array([5.0, 6, 7, 8]), np.array([0.3, 0.1, 0.2, 0.4])
STATISTICS = {
    "concordance_index": lambda e, t: survival.concordance_index(e, t, RISK),
    "uno_c": lambda e, t: survival.uno_c(e, t, RISK),
    "auc_binary": lambda e, t: survival.auc_binary(e, t, RISK, 6),
    "auc_ipcw": lambda e, t: survival.auc_ipcw(e, t, RISK, 6),
    "delong_test": lambda e, t: survival.delong_test(e, t, RISK, -RISK, 6),
    "log_rank": lambda e, t: survival.log_rank(e, t, RISK > 0.2),
    "hazard_ratio": lambda e, t: survival.hazard_ratio(e, t, RISK > 0.2),
    "kaplan_meier": lambda e, t: survival.kaplan_meier(e, t),
    "univariate_cox": lambda e, t: survival.univariate_cox(e, t, RISK),
    "cox_fit": lambda e, t: survival.cox_fit(e, t, RISK),
    "breslow_baseline": lambda e, t: survival.breslow_baseline(e, t, RISK),
    "lasso_cox_cv": lambda e, t: survival.lasso_cox_cv(e, t, RISK, folds=3),
    "bootstrap_ci": lambda e, t: survival.bootstrap_ci(e, t, RISK),
    "calibration": lambda e, t: survival.calibration(e, t, RISK, 6),
    "brier": lambda e, t: survival.brier(e, t, RISK, 6),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize(
    ("event", "time", "message"),
    [
        (EVENT, [5, np.nan, 7, 8], "time must be finite and not negative; found nan at row 1"),
        (EVENT, [5, 6, 7, -1], "time must be finite and not negative; found -1 at row 3"),
        (TIME, EVENT, r"event must hold only 0/1 or True/False; found 5 \(event comes before time\)"),
        ([1, np.nan, 0, 1], TIME, "event must hold only 0/1 or True/False; found nan"),
        (EVENT, TIME[:3], r"same shape \(n,\) with n > 0; found \(4,\) and \(3,\)"),
        ([], [], r"with n > 0; found \(0,\)"),
        (["a", "b", "c", "d"], TIME, "event must be numbers"),
    ],
)
def test_what_is_no_outcome_is_refused(name: str, event, time, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STATISTICS[name](event, time)


@pytest.mark.parametrize("name", sorted(set(STATISTICS) - {"kaplan_meier", "calibration", "brier"}))
def test_without_events_there_is_a_reason(name: str) -> None:
    with pytest.raises(Undefined, match=r"no event|no comparable pair|nobody died"):
        STATISTICS[name](np.zeros(4), TIME)


def test_risk_must_be_finite_and_one_per_patient() -> None:
    with pytest.raises(ValueError, match="log_risk must be finite; found nan at row 2"):
        survival.concordance_index(EVENT, TIME, [1, 2, np.nan, 4])
    with pytest.raises(ValueError, match=r"log_risk must have shape \(4,\), one value per patient; found \(2,\)"):
        survival.uno_c(EVENT, TIME, [1, 2])
    with pytest.raises(ValueError, match=r"X must be finite; found nan in column 1, row 0"):
        survival.cox_fit(EVENT, TIME, [[1, np.nan], [1, 2], [3, 4], [5, 6]])
    with pytest.raises(ValueError, match=r"X must have shape \(4, p\)"):
        survival.univariate_cox(EVENT, TIME, np.ones((3, 2)))


def test_every_public_name_loads() -> None:
    assert all(getattr(survival, name) is not None for name in survival.__all__)
    with pytest.raises(AttributeError, match=r"penumbra\.survival has no 'auc'"):
        _ = survival.auc  # type: ignore[attr-defined]


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = "import sys, penumbra.survival; assert not {'jax', 'scipy', 'sksurv', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_horizon_within_follow_up() -> None:
    event, time = [1, 0, 1, 0, 0], [100, 200, 300, 400, 500]
    assert survival.within_follow_up(event, time, 365) == 365
    assert survival.within_follow_up(event, time, 500) == 500, "one is known to be alive at the day of the own censoring"
    assert survival.within_follow_up(event, time, 501) == 400, "the last day with two alive"
    with pytest.raises(Undefined, match=r"nobody is followed to day 900 \(last at day 5\)"):
        survival.within_follow_up([1], [5.0], 900)
