"""How much of a frozen model has to change at another place: a closed test from leaving it as it is to fitting it again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.horizons import beyond
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, checked_risk, require_events
from penumbra.survival.update_steps import AS_IT_IS, INTERCEPT, REFIT, SLOPE, Step, UpdateTest

MAX_STEPS, TOLERANCE = 100, 1e-10
RUNAWAY = 30.0  # a log hazard ratio of a patient that no outcome bears out


@dataclass(frozen=True)
class ClosedTest:
    """What a closed test chose, and on what.

    Parameters
    ----------
    step
        The narrowest one that the widest does not beat: "as it is", "intercept", "slope", or "refit" where it beats all of them.
    tests
        In the order in which they were made; later ones are made only where the earlier ones reject.
    n, events
        Patients, and deaths up to the last day of the baseline.
    expected
        Deaths expected of the model as it is.
    """

    step: Step
    tests: tuple[UpdateTest, ...]
    n: int
    events: int
    expected: float


def closed_test(
    event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, baseline: BaselineHazard, *, terms: ArrayLike | None = None, alpha: float = 0.05
) -> ClosedTest:
    """Choose how much of a frozen model is changed by patients that it was not fitted on.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    baseline
        Of the model; later days than its last one do not count.
    terms : shape (n, k)
        What adds up to log_risk, but for a constant: refit gives each a coefficient of its own. None, or a single one: refit has the slope, and lets the
        hazard change by a factor from the day on by which half of those with log_risk 0 are dead who die within the baseline's follow-up, since nothing else
        of a model of one term is left to fit again.
    alpha
        Of every test; and of choosing any change where none is needed.

    Returns
    -------
    ClosedTest
        Its step needs no correction for the number of tests: the widest step is tested against the narrower ones in a fixed order, until one is not rejected.

    Raises
    ------
    Undefined
        "no event among n patients ..." / "no death is expected ..." / "the log likelihood of ... has no maximum".

    Notes
    -----
    The log likelihood is that of the baseline's shape, H0, with the step's linear predictor: sum of d x eta - H0(t) exp(eta). It is a Poisson regression
    with the offset log H0(t) + log_risk.

    References
    ----------
    Vergouwe et al. 2017, Stat Med 36:4529 (the closed test); Crowson et al. 2016, Stat Methods Med Res 25:1692 (the Poisson form). The same statistics
    as scikit-learn's PoissonRegressor without a penalty.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.survival import closed_test
    >>> from penumbra.survival.baseline import BaselineHazard
    >>> baseline = BaselineHazard(np.arange(1.0, 1001.0), np.arange(1.0, 1001.0) / 500, 1000.0)
    >>> random = np.random.default_rng(1)
    >>> log_risk = random.normal(size=200)
    >>> death = 500 * random.exponential(size=200) / np.exp(log_risk + 0.8)
    >>> chosen = closed_test(death <= 900, np.minimum(np.ceil(death), 900), log_risk, baseline)
    >>> chosen.step, [(test.against, test.df) for test in chosen.tests]
    ('intercept', [('as it is', 3), ('intercept', 2)])
    """
    from scipy.special import chdtrc

    events, times = checked_outcome(event, time)
    risk = checked_risk(log_risk, events.size)
    last = baseline.last_day
    died, days = events & ~beyond(times, last), np.minimum(times, last)
    require_events(died)
    expected = float((baseline.at(days) * np.exp(risk)).sum())
    if not expected > 0:
        raise Undefined(f"no death is expected of {events.size} patients by the last day of their follow-up")
    each = np.empty((events.size, 0)) if terms is None else np.asarray(terms, dtype=float).reshape(events.size, -1)
    rows = _Rows.whole(died, days, baseline) if each.shape[1] > 1 else _Rows.at_middle(died, days, baseline)
    patient = rows.patient
    constant, offset = np.ones((patient.size, 1)), risk[patient]
    narrower: dict[Step, Floats] = {AS_IT_IS: constant[:, :0], INTERCEPT: constant, SLOPE: np.column_stack([constant, offset])}
    widest = np.column_stack([constant, each[patient]]) if each.shape[1] > 1 else np.column_stack([constant, offset, rows.late])
    best, size = rows.likelihood(offset, widest, REFIT), _rank(widest, rows.exposure)
    tests: list[UpdateTest] = []
    for step, design in narrower.items():
        df = size - _rank(design, rows.exposure)
        statistic = max(0.0, 2 * (best - rows.likelihood(offset, design, step)))
        tests.append(UpdateTest(step, statistic, df, float(chdtrc(df, statistic)) if df > 0 else 1.0))
        if tests[-1].p >= alpha:
            return ClosedTest(step, tuple(tests), events.size, int(died.sum()), expected)
    return ClosedTest(REFIT, tuple(tests), events.size, int(died.sum()), expected)


@dataclass(frozen=True)
class _Rows:
    """Each patient's follow-up in one piece or two: whose it is, whether the piece ends in death, baseline hazard cumulated in it, and whether it is late."""

    patient: np.ndarray
    died: Bools
    exposure: Floats
    late: Floats

    @classmethod
    def whole(cls, died: Bools, days: Floats, baseline: BaselineHazard) -> _Rows:
        return cls(np.arange(days.size), died, baseline.at(days), np.zeros(days.size))

    @classmethod
    def at_middle(cls, died: Bools, days: Floats, baseline: BaselineHazard) -> _Rows:
        middle = _middle(baseline)
        late = np.flatnonzero(days > middle)
        early_death = died & ~(days > middle)
        reached = baseline.at(np.minimum(days, middle))
        return cls(
            np.concatenate([np.arange(days.size), late]),
            np.concatenate([early_death, died[late]]),
            np.concatenate([reached, baseline.at(days[late]) - reached[late]]),
            np.concatenate([np.zeros(days.size), np.ones(late.size)]),
        )

    def likelihood(self, offset: Floats, design: Floats, what: str) -> float:
        """The largest log likelihood with a linear predictor offset + design x coefficients."""
        beta: Floats = np.zeros(design.shape[1])
        value, step = self._at(offset, design, beta), np.zeros(0)
        for _ in range(MAX_STEPS if design.shape[1] else 0):
            mean = self.exposure * np.exp(offset + design @ beta)
            step = np.linalg.pinv(design.T @ (mean[:, None] * design), hermitian=True) @ (design.T @ (self.died - mean))
            while True:
                trial = self._at(offset, design, beta + step)
                if trial >= value - TOLERANCE or not np.abs(step).max() > TOLERANCE:
                    break
                step = step / 2
            beta, gain, value = beta + step, trial - value, trial
            if np.abs(design @ beta).max() > RUNAWAY:
                raise Undefined(f"the log likelihood of the step {what} has no maximum: some term divides those who died from the others")
            if gain < TOLERANCE * max(1.0, abs(value)):
                return value
        if design.shape[1]:
            raise Undefined(f"the log likelihood of the step {what} has no maximum: no end in {MAX_STEPS} steps")
        return value

    def _at(self, offset: Floats, design: Floats, beta: Floats) -> float:
        eta = offset + design @ beta
        return float(eta[self.died].sum() - (self.exposure * np.exp(np.minimum(eta, 600.0))).sum())


def _middle(baseline: BaselineHazard) -> float:
    """The day by which half of the patients with log_risk 0 are dead who die within the baseline's follow-up."""
    died = -np.expm1(-np.asarray(baseline.cumulative_hazard, dtype=float))
    return float(np.asarray(baseline.times)[np.searchsorted(died, 0.5 * died[-1])])


def _rank(design: Floats, exposure: Floats) -> int:
    return int(np.linalg.matrix_rank(design[exposure > 0])) if design.shape[1] else 0
