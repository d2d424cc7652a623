"""Every function of penumbra.survival on 200 random cohorts, against a second implementation (plain.py) or what its definition asks.

Twenty of each kind: ties, administrative censoring, one event, one control, heavy censoring before the horizon, floats from months, ... What has
no value is `Undefined`, and only that; a value is finite, and no warning is given (warnings are errors here).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from scipy.stats import t as student

from penumbra import survival
from penumbra.survival import Undefined
from penumbra.survival.agreement import resampled_survival
from penumbra.survival.bootstrap import resample_counts
from penumbra.survival.brier_score import brier_parts
from penumbra.survival.cox import negative_log_partial_likelihood, ranks
from penumbra.survival.selection import largest_lambda
from penumbra.survival.shift import shift

from . import plain

pytestmark = pytest.mark.numeric

KINDS = (
    "continuous", "tied days", "administrative censoring", "one event", "one control", "two controls", "heavy censoring before the horizon", "months",
    "everybody died", "few and tied",
)  # fmt: skip
EACH = 20
DAY = 365.25 / 120  # a tenth of a month


@dataclass(frozen=True)
class Cohort:
    """time and horizon as they arrive, with their rounding errors; exact and exact_horizon without."""

    name: str
    event: np.ndarray
    time: np.ndarray
    exact: np.ndarray
    horizon: float
    exact_horizon: float
    risk: np.ndarray
    other: np.ndarray
    X: np.ndarray
    alive: np.ndarray

    @property
    def outcome(self) -> tuple[np.ndarray, np.ndarray]:
        return self.event, self.time

    @property
    def plainly(self) -> tuple[np.ndarray, np.ndarray]:
        return self.event, self.exact


def made(kind: str, seed: int) -> Cohort:
    draw = np.random.default_rng((KINDS.index(kind), seed))
    n = int(draw.integers(4, 7)) if kind == "few and tied" else int(draw.integers(8, 19))
    risk, other = np.round(draw.normal(size=(2, n)), (8, 0)[seed % 2])
    X = np.column_stack([draw.normal(size=n), draw.integers(0, 2, n), np.round(draw.normal(50, 10, n))])
    death, left = draw.exponential(700 * np.exp(-0.5 * risk)), draw.exponential(1200, n)
    time, event, horizon = np.minimum(death, left), death <= left, 500.0
    if kind in ("tied days", "few and tied"):
        time, horizon = np.ceil(time / 120) * 120, 480.0
    elif kind == "administrative censoring":
        horizon = 700.0
        time, event = np.minimum(death, horizon), death <= horizon
    elif kind == "one event":
        event = np.arange(n) == draw.integers(n)
    elif kind in ("one control", "two controls"):
        horizon = float(np.sort(time)[-1 if kind == "one control" else -2] - 1e-3)
    elif kind == "heavy censoring before the horizon":
        time, event = np.minimum(time, left / 8), event & (death <= left / 8)
        time[:2], event[:2] = horizon + 100, False
    elif kind == "everybody died":
        time, event = np.ceil(death / 90) * 90, np.ones(n, bool)
    exact, exact_horizon = time, horizon
    if kind == "months":
        tenths = np.ceil(time / DAY / 37).astype(int) * 37
        exact, exact_horizon = tenths * DAY, 185 * DAY
        # the same day by three ways: months in days, years in days, tenths of months in days
        ways = np.array([tenths / 10 * (365.25 / 12), tenths / 120 * 365.25, exact])
        time, horizon = ways[draw.integers(0, 3, n), np.arange(n)], 185 / 10 * (365.25 / 12)
    alive = np.clip(np.round(draw.uniform(-0.1, 1.1, n), 2), 0, 1)
    return Cohort(f"{kind} {seed}", event, time, exact, horizon, exact_horizon, risk, other, X, alive)


@pytest.fixture(scope="module")
def cohorts() -> list[Cohort]:
    found = [made(kind, seed) for kind in KINDS for seed in range(EACH)]
    assert len(found) == 200
    months = [cohort for cohort in found if cohort.name.startswith("months")]
    assert sum(len(np.unique(cohort.time)) > len(np.unique(cohort.exact)) for cohort in months) > 5, "rounding makes times of its own in many of these"
    return found


class Tally:
    """Compares and counts, so that a test in which everything is undefined fails."""

    def __init__(self) -> None:
        self.values = self.undefined = 0

    def same(self, cohort: Cohort, ours: Callable[[], Any], theirs: Any, rel: float = 1e-9, absolute: float = 1e-11) -> Any:
        """Compare numbers; `theirs` None: `ours` has to be Undefined, in words."""
        if theirs is None:
            with pytest.raises(Undefined, match=r"\w+ \w+ \w+"):
                raise AssertionError(f"{cohort.name}: {ours()} where nothing is defined")
            self.undefined += 1
            return None
        try:
            found = np.asarray(ours(), dtype=float)
        except Undefined as reason:
            raise AssertionError(f"{cohort.name}: {reason}; {theirs} expected") from reason
        assert np.isfinite(found).all(), cohort.name
        np.testing.assert_allclose(found, np.asarray(theirs, dtype=float), rtol=rel, atol=absolute, err_msg=cohort.name)
        self.values += 1
        return found


@pytest.fixture
def tally() -> Iterator[Tally]:
    found = Tally()
    yield found
    assert found.values > 60


def first(found: Any) -> Any:
    return None if found is None else found[0]


def test_concordance(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        theirs = plain.concordance(*cohort.plainly, cohort.risk)
        tally.same(cohort, lambda c=cohort: survival.concordance_index(*c.outcome, c.risk), first(theirs))
        tally.same(cohort, lambda c=cohort: (lambda h: (h.c, h.se))(survival.harrell(*c.outcome, c.risk)), None if theirs is None else theirs[:2])
        if theirs is None:
            continue
        comparable, ordered = plain.pair_tables(*cohort.plainly, cohort.risk)
        found = survival.harrell(*cohort.outcome, cohort.risk)
        counts = [(comparable * (ordered == value)).sum() for value in (1.0, 0.0, 0.5)]
        n = range(cohort.event.size)
        tied = [(i, j) for i in n for j in range(i) if cohort.event[i] and cohort.event[j] and cohort.exact[i] == cohort.exact[j]]
        both = sum(cohort.risk[i] == cohort.risk[j] for i, j in tied)
        shown = (found.concordant, found.discordant, found.tied_risk, found.tied_time, found.tied_both)
        assert shown == (*counts, len(tied) - both, both), cohort.name


def test_concordance_with_censoring_weights(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        weight = np.array([plain.censoring_before(*cohort.plainly, t) ** -2 if e else 0.0 for e, t in zip(*cohort.plainly, strict=True)])
        for tau, kept in ((None, weight), (cohort.horizon, np.where(cohort.exact <= cohort.exact_horizon, weight, 0.0))):
            theirs = plain.concordance(*cohort.plainly, cohort.risk, kept)
            tally.same(cohort, lambda c=cohort, t=tau: survival.uno_c(*c.outcome, c.risk, tau=t), first(theirs))
            tally.same(cohort, lambda c=cohort, t=tau: survival.uno(*c.outcome, c.risk, tau=t).se, None if theirs is None else theirs[1])
            assert theirs is None or survival.uno_c(*cohort.outcome, cohort.risk, tau=tau) <= 1.0


@pytest.mark.slow
def test_difference_of_concordances(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        a, b = (plain.concordance(*cohort.plainly, risk) for risk in (cohort.risk, cohort.other))
        theirs = None
        if a is not None and b is not None:
            value, se = a[0] - b[0], math.sqrt(float(((a[2] - b[2]) ** 2).sum()))
            z = value / se if se > 1e-9 else 0.0
            if se > 1e-9 or abs(value) < 1e-9:
                theirs = (a[0], b[0], value, se, value - plain.NORMAL_95 * se, value + plain.NORMAL_95 * se, z, 2 * norm.sf(abs(z)))
        names = ("a", "b", "value", "se", "lower", "upper", "z", "p")
        tally.same(cohort, lambda c=cohort, n=names: [getattr(survival.compare_c(*c.outcome, c.risk, c.other), name) for name in n], theirs)


def test_kaplan_meier(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        theirs = plain.kaplan_meier(*cohort.plainly)
        times, value, variance = (np.array([row[k] for row in theirs]) for k in range(3))
        own = survival.kaplan_meier(*cohort.outcome)
        tally.same(
            cohort, lambda o=own: [o.times, o.survival, o.at_risk, o.deaths, o.censored], [times, value, *([row[k] for row in theirs] for k in (3, 4, 5))]
        )
        live = value > 0
        se = np.sqrt(variance[live])
        with np.errstate(divide="ignore", invalid="ignore"):
            turned, reach = np.log(-np.log(value[live])), plain.NORMAL_95 * se / np.log(value[live])
            limits = {
                "log": [value[live] * np.exp(sign * plain.NORMAL_95 * se) for sign in (-1, 1)],
                "log-log": [np.where(value[live] == 1, 1.0, np.exp(-np.exp(turned - sign * reach))) for sign in (1, -1)],
                "plain": [value[live] * (1 + sign * plain.NORMAL_95 * se) for sign in (-1, 1)],
            }
        for name, (lower, upper) in limits.items():
            curve = survival.kaplan_meier(*cohort.outcome, limits=name)
            np.testing.assert_allclose(curve.lower[live], np.maximum(lower, 0), rtol=1e-9, atol=1e-12, err_msg=cohort.name)
            np.testing.assert_allclose(curve.upper[live], np.minimum(upper, 1), rtol=1e-9, atol=1e-12, err_msg=cohort.name)
            assert np.isnan(curve.lower[~live]).all()
        pairs = [(own.median, value), (own.median_lower, np.where(live, own.lower, np.nan)), (own.median_upper, np.where(live, own.upper, np.nan))]
        for shown, line in pairs:
            expected = plain.median([(t, v) for t, v in zip(times.tolist(), line.tolist(), strict=True) if not math.isnan(v)])
            np.testing.assert_allclose(shown, expected, rtol=1e-9, err_msg=cohort.name)
        asked = [0.0, cohort.horizon, float(cohort.time.max()), float(cohort.time.min())]
        exactly = [0.0, cohort.exact_horizon, float(cohort.exact.max()), float(cohort.exact.min())]
        for day, exact, shown in zip(asked, exactly, own.at(asked)[0], strict=True):
            expected = plain.survival_at(*cohort.plainly, exact)
            np.testing.assert_allclose(shown, math.nan if expected is None else expected, rtol=1e-9, atol=1e-12, err_msg=f"{cohort.name} day {day}")
        assert own.number_at_risk(asked).tolist() == [int((cohort.exact >= day).sum()) for day in exactly], cohort.name


def test_log_rank(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        for group in (cohort.risk > 0, np.arange(cohort.event.size) % 3, np.ones(cohort.event.size)):
            theirs = plain.log_rank(*cohort.plainly, group)
            tally.same(cohort, lambda c=cohort, g=group: survival.log_rank(*c.outcome, g).chi2, first(theirs), rel=1e-7, absolute=1e-9)
            if theirs is not None:
                found = survival.log_rank(*cohort.outcome, group)
                np.testing.assert_allclose([found.observed, found.expected], theirs[1:], atol=1e-9)
                assert 0 <= found.p <= 1


def slopes(cohort: Cohort, X: np.ndarray, coef: np.ndarray, ties: str, ridge: float = 0.0) -> tuple[float, np.ndarray, np.ndarray]:
    """Log partial likelihood (unpenalized), gradient and information of the penalized one, by differences; per standard deviation of each column."""
    sd = X.std(axis=0)
    at = coef * sd
    z = (X - X.mean(axis=0)) / sd
    p, step = at.size, 1e-3

    def value(beta: np.ndarray) -> float:
        return plain.partial_likelihood(*cohort.plainly, z @ beta, ties) - 0.5 * ridge * float(beta @ beta)

    unit = step * np.eye(p)
    # fourth order: the step can be wide enough to stay clear of rounding
    gradient = np.array([(8 * (value(at + u) - value(at - u)) - value(at + 2 * u) + value(at - 2 * u)) / (12 * step) for u in unit])
    information = np.array([[-(value(at + u + v) - value(at + u - v) - value(at - u + v) + value(at - u - v)) / (4 * step**2) for v in unit] for u in unit])
    return value(at) + 0.5 * ridge * float(at @ at), gradient, information


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_of_one_column(cohorts: list[Cohort], tally: Tally, ties: str) -> None:
    for cohort in cohorts:
        if not cohort.event.any():
            continue
        X = np.column_stack([cohort.X[:, :2], np.full(cohort.event.size, 0.1)])
        found = survival.univariate_cox(*cohort.outcome, X, ties=ties)
        for j in range(X.shape[1]):
            if np.ptp(X[:, j]) == 0:
                assert found.reason[j] == "constant"
            elif not plain.has_maximum(*cohort.plainly, X[:, [j]]):
                rows = [cohort.exact >= t for t in cohort.exact[cohort.event]]
                assert found.reason[j] == ("constant" if all(np.ptp(X[at_risk, j]) == 0 for at_risk in rows) else "separation"), cohort.name
                assert np.isnan([found.coef[j], found.se[j], found.z[j], found.p[j]]).all()
            else:
                assert found.reason[j] == "", f"{cohort.name}: {found.reason[j]}"
                likelihood, gradient, information = slopes(cohort, X[:, [j]], found.coef[[j]], ties)
                assert abs(gradient[0]) < 1e-7 * max(1.0, information[0, 0]), cohort.name
                own = lambda f=found, j=j: (f.log_likelihood[j], 1 / f.se[j] ** 2, f.p[j])  # noqa: E731
                p = 2 * norm.sf(abs(found.coef[j] * X[:, j].std()) * math.sqrt(information[0, 0]))
                tally.same(cohort, own, (likelihood, information[0, 0] * X[:, j].var(), p), rel=1e-4, absolute=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_of_several_columns(cohorts: list[Cohort], tally: Tally, ties: str) -> None:
    for cohort in cohorts:
        X = cohort.X[:, :2] if cohort.event.size > 6 else cohort.X[:, :1]
        if not cohort.event.any():
            tally.same(cohort, lambda c=cohort, x=X: survival.cox_fit(*c.outcome, x, ties=ties, ridge=1.0).coef, None)
            continue
        if (np.ptp(X, axis=0) == 0).any() or np.linalg.matrix_rank(X - X.mean(axis=0)) < X.shape[1]:
            with pytest.raises(Undefined, match=r"is constant|linearly dependent"):
                survival.cox_fit(*cohort.outcome, X, ties=ties)
            continue
        for ridge in (0.0, 0.7):
            if ridge == 0 and not plain.has_maximum(*cohort.plainly, X):
                tally.same(cohort, lambda c=cohort, x=X: survival.cox_fit(*c.outcome, x, ties=ties).coef, None)
                continue
            found = survival.cox_fit(*cohort.outcome, X, ties=ties, ridge=ridge)
            likelihood, gradient, information = slopes(cohort, X, found.coef, ties, ridge)
            np.testing.assert_allclose(gradient, 0, atol=1e-7 * max(1.0, float(np.abs(information).max())), err_msg=cohort.name)
            covariance = np.linalg.inv(information) / np.outer(X.std(axis=0), X.std(axis=0))
            tally.same(cohort, lambda f=found: f.log_likelihood, likelihood, rel=1e-8)
            tally.same(cohort, lambda f=found: f.covariance, covariance, rel=1e-3, absolute=1e-4 * float(np.abs(covariance).max()))
            np.testing.assert_allclose(found.se, np.sqrt(np.diag(found.covariance)), rtol=1e-12)
            np.testing.assert_allclose(
                found.log_likelihood_null, plain.partial_likelihood(*cohort.plainly, np.zeros(cohort.event.size), ties), rtol=1e-9, atol=1e-11
            )


def test_hazard_ratio_and_calibration_slope(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        if not cohort.event.any():
            for statistic in (survival.hazard_ratio, survival.calibration_slope):
                tally.same(cohort, lambda c=cohort, s=statistic: s(*c.outcome, c.risk > 0), None)
            continue
        high = (cohort.risk > 0).astype(float)
        finite = plain.has_maximum(*cohort.plainly, high[:, None])
        fitted = survival.univariate_cox(*cohort.outcome, high)
        coef, se = float(fitted.coef[0]), float(fitted.se[0])
        reach = plain.NORMAL_95 * se
        own = lambda c=cohort: (lambda h: (h.value, h.lower, h.upper, h.p))(survival.hazard_ratio(*c.outcome, c.risk > 0))  # noqa: E731
        tally.same(cohort, own, (math.exp(coef), math.exp(coef - reach), math.exp(coef + reach), 2 * norm.sf(abs(coef / se))) if finite else None)
        slope = survival.univariate_cox(*cohort.outcome, cohort.risk)
        coef, reach = float(slope.coef[0]), plain.NORMAL_95 * float(slope.se[0])
        finite = plain.has_maximum(*cohort.plainly, cohort.risk[:, None])
        own = lambda c=cohort: (lambda s: (s.value, s.lower, s.upper))(survival.calibration_slope(*c.outcome, c.risk))  # noqa: E731
        tally.same(cohort, own, (coef, coef - reach, coef + reach) if finite else None)


def test_baseline_hazard_and_calibration_intercept(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        if not cohort.event.any():
            tally.same(cohort, lambda c=cohort: survival.breslow_baseline(*c.outcome, c.risk), None)
            tally.same(cohort, lambda c=cohort: survival.calibration_intercept(c.event, np.ones(c.event.size)), None)
            continue
        theirs = plain.breslow(*cohort.plainly, cohort.risk)
        found = survival.breslow_baseline(*cohort.outcome, cohort.risk)
        tally.same(cohort, lambda f=found: [f.times, f.cumulative_hazard], np.array(theirs).T)
        followed = [t for t in (cohort.exact_horizon, float(np.median(cohort.exact))) if t <= cohort.exact.max()]
        hazard = [max([h for t, h in theirs if t <= day], default=0.0) for day in followed]
        alive = [[math.exp(-h * math.exp(risk)) for h in hazard] for risk in cohort.risk]
        asked = [cohort.horizon, *followed[1:]] if followed and followed[0] == cohort.exact_horizon else followed
        tally.same(cohort, lambda f=found, c=cohort, a=asked: f.survival(c.risk, a), alive)
        expected = sum(max([h for t, h in theirs if t <= day], default=0.0) * math.exp(risk) for day, risk in zip(cohort.exact, cohort.risk, strict=True))
        own = survival.calibration_intercept(cohort.event, found.at(cohort.time) * np.exp(cohort.risk))
        tally.same(cohort, lambda o=own: (o.value, o.expected, o.observed), (math.log(cohort.event.sum() / expected), expected, cohort.event.sum()))
        assert own.expected == pytest.approx(own.observed), "on its own patients a model expects the deaths that there were"


@pytest.mark.slow
def test_loss_of_the_network(cohorts: list[Cohort], tally: Tally) -> None:
    size = 20
    gradient = jax.jit(
        jax.value_and_grad(lambda risk, time, event, where, ties: negative_log_partial_likelihood(risk, time, event, ties=ties, where=where)),
        static_argnames="ties",
    )
    for number, cohort in enumerate(cohorts):
        n, ties = cohort.event.size, ("efron", "breslow")[number % 2]
        risk, time, event = np.full(size, np.nan), np.full(size, np.nan), np.ones(size, bool)
        risk[:n], time[:n], event[:n] = cohort.risk, cohort.time, cohort.event
        value, slope = gradient(risk.astype(np.float32), ranks(time), event, np.arange(size) < n, ties)
        tally.same(cohort, lambda v=value: v, -plain.partial_likelihood(*cohort.plainly, cohort.risk, ties), rel=1e-5, absolute=1e-5)
        assert np.isfinite(slope).all()
        assert float(slope.sum()) == pytest.approx(0, abs=1e-4)


def test_binary_auc_and_delong(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        theirs = plain.delong(*cohort.plainly, [cohort.risk, cohort.other], cohort.exact_horizon)
        outcome = (*cohort.outcome, cohort.risk)
        own = lambda o=outcome, c=cohort: (lambda f: (f.auc, f.se, f.cases, f.controls))(survival.auc_binary(*o, c.horizon))  # noqa: E731
        counts = tuple(len(part) for part in plain.status(*cohort.plainly, cohort.exact_horizon))
        tally.same(cohort, own, None if theirs is None else (theirs[0][0], math.sqrt(theirs[1][0, 0]), *counts), absolute=1e-9)
        difference = None
        if theirs is not None:
            (a, b), covariance = theirs
            se = math.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0))
            if se > 1e-9 or abs(a - b) < 1e-9:
                z = (a - b) / se if se > 1e-9 else 0.0
                difference = (a, b, a - b, se if se > 1e-9 else 0.0, z, 2 * norm.sf(abs(z)))
        names = ("auc_a", "auc_b", "difference", "se", "z", "p")
        own = lambda c=cohort, n=names: (lambda d: [getattr(d, name) for name in n])(survival.delong_test(*c.outcome, c.risk, c.other, c.horizon))  # noqa: E731
        tally.same(cohort, own, difference, absolute=1e-8)


def test_weighted_auc_and_its_test(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        a, b = (plain.ipcw(*cohort.plainly, risk, cohort.exact_horizon) for risk in (cohort.risk, cohort.other))
        n = cohort.event.size
        own = lambda c=cohort: (lambda f: (f.auc, f.se))(survival.auc_ipcw(*c.outcome, c.risk, c.horizon))  # noqa: E731
        found = tally.same(cohort, own, None if a is None else (a[0], math.sqrt((a[1] ** 2).sum() / (n * (n - 1)))), rel=1e-6, absolute=1e-8)
        if found is not None:
            one = survival.auc_ipcw(*cohort.outcome, cohort.risk, cohort.horizon)
            assert 0 <= one.lower <= one.auc <= one.upper <= 1, cohort.name
        difference = None
        if a is not None and b is not None:
            se = math.sqrt(((a[1] - b[1]) ** 2).sum() / (n * (n - 1)))
            if se > 1e-8 or abs(a[0] - b[0]) < 1e-9:
                difference = (a[0], b[0], a[0] - b[0], se if se > 1e-8 else 0.0)
        names = ("auc_a", "auc_b", "difference", "se")
        own = lambda c=cohort, m=names: (lambda d: [getattr(d, name) for name in m])(survival.auc_ipcw_test(*c.outcome, c.risk, c.other, c.horizon))  # noqa: E731
        tally.same(cohort, own, difference, rel=1e-6, absolute=1e-8)


def test_roc_curve(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        cases, controls = plain.status(*cohort.plainly, cohort.exact_horizon)
        theirs = None
        if cases and controls:
            levels = sorted({cohort.risk[i] for i in [*cases, *controls]}, reverse=True)
            theirs = [[0.0, *(np.mean([cohort.risk[i] >= level for i in group]) for level in levels)] for group in (controls, cases)]
        own = lambda c=cohort: (lambda r: [r.false_positive_rate, r.true_positive_rate])(survival.roc_curve(*c.outcome, c.risk, c.horizon))  # noqa: E731
        tally.same(cohort, own, theirs)


def test_brier_score(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        theirs = plain.brier(*cohort.plainly, cohort.alive, cohort.exact_horizon)
        tally.same(cohort, lambda c=cohort: survival.brier(*c.outcome, c.alive, c.horizon), theirs)
        tally.same(cohort, lambda c=cohort: brier_parts(*c.outcome, c.alive, c.horizon).mean(), theirs)
        days = np.array([0.4, 0.7, 1.0]) * cohort.horizon
        exactly = np.array([0.4, 0.7, 1.0]) * cohort.exact_horizon
        curves = np.column_stack([cohort.alive**share for share in (0.4, 0.7, 1.0)])
        scores = [plain.brier(*cohort.plainly, curves[:, k], day) for k, day in enumerate(exactly)]
        mean = None if None in scores else (scores[0] * 0.15 + scores[1] * 0.3 + scores[2] * 0.15) / 0.6
        tally.same(cohort, lambda c=cohort, s=curves, d=days: survival.integrated_brier(*c.outcome, s, d), mean)


def test_calibration(cohorts: list[Cohort], tally: Tally) -> None:
    lost = 0
    for cohort in cohorts:
        if cohort.exact.max() < cohort.exact_horizon:
            tally.same(cohort, lambda c=cohort: survival.calibration(*c.outcome, c.alive, c.horizon, resamples=5), None)
            continue
        found = survival.calibration(*cohort.outcome, cohort.alive, cohort.horizon, groups=3, resamples=20)
        place = np.argsort(cohort.alive, kind="stable")
        start = 0
        for k, size in enumerate(found.n.tolist()):
            rows = place[start : start + size]
            start += size
            observed = plain.survival_at(cohort.event[rows], cohort.exact[rows], cohort.exact_horizon)
            deaths = (cohort.event[rows] & (cohort.exact[rows] <= cohort.exact_horizon)).sum()
            assert start == place.size or cohort.alive[place[start - 1]] < cohort.alive[place[start]], "equal predictions are in one group"
            assert (found.predicted[k], found.deaths[k]) == (pytest.approx(cohort.alive[rows].mean()), deaths)
            if observed is None:
                lost += 1
                assert np.isnan([found.observed[k], found.lower[k], found.upper[k]]).all(), cohort.name
                assert "followed to day" in found.reasons[k]
            else:
                assert found.observed[k] == pytest.approx(observed), cohort.name
                assert 0 <= found.lower[k] <= found.upper[k] <= 1
        assert start == place.size
        expected = 1 - cohort.alive.mean()
        observed = plain.survival_at(*cohort.plainly, cohort.exact_horizon)
        tally.same(cohort, lambda f=found: f.observed_expected, (1 - observed) / expected if expected > 0 else None)
    assert lost > 5, "some groups are lost before the horizon"
    with pytest.raises(Undefined, match="no death is expected"):
        _ = survival.calibration([1, 0], [5.0, 9.0], [1.0, 1.0], 7, resamples=0).observed_expected


def test_net_benefit(cohorts: list[Cohort], tally: Tally) -> None:
    levels = [0.1, 0.5, 0.8]
    for cohort in cohorts:
        if cohort.exact.max() < cohort.exact_horizon:
            tally.same(cohort, lambda c=cohort: survival.net_benefit(*c.outcome, 1 - c.alive, c.horizon, levels).model, None)
            continue
        found = survival.net_benefit(*cohort.outcome, 1 - cohort.alive, cohort.horizon, levels)
        everybody = np.ones(cohort.event.size)
        for k, level in enumerate(levels):
            theirs = plain.net_benefit(*cohort.plainly, 1 - cohort.alive, cohort.exact_horizon, level)
            if theirs is None:
                assert np.isnan(found.model[k]), cohort.name
                assert "followed to day" in found.reasons[k]
            else:
                tally.same(cohort, lambda f=found, i=k: f.model[i], theirs)
            tally.same(cohort, lambda f=found, i=k: f.treat_all[i], plain.net_benefit(*cohort.plainly, everybody, cohort.exact_horizon, level))


def test_horizon_within_follow_up(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        known = {day: len(plain.status(*cohort.plainly, day)[1]) for day in [cohort.exact_horizon, *cohort.exact.tolist()]}
        earlier = [day for day in cohort.exact.tolist() if known[day] >= 2]
        theirs = cohort.horizon if known[cohort.exact_horizon] else max(earlier, default=None)
        tally.same(cohort, lambda c=cohort: survival.within_follow_up(*c.outcome, c.horizon), theirs)


def test_bootstrap(cohorts: list[Cohort], tally: Tally) -> None:
    def quantiles(values: Sequence[float]) -> list[float]:
        return np.quantile([value for value in values if not math.isnan(value)], [0.025, 0.975]).tolist()

    for cohort in cohorts:
        counts = resample_counts(cohort.event.size, 8, np.random.default_rng(5))
        drawn = [np.repeat(np.arange(cohort.event.size), count) for count in counts]
        theirs = [[first(plain.concordance(cohort.event[rows], cohort.exact[rows], risk[rows])) for rows in drawn] for risk in (cohort.risk, cohort.other)]
        values = np.array([[math.nan if value is None else value for value in line] for line in theirs])
        own = survival.harrell_resampled(*cohort.outcome, np.stack([cohort.risk, cohort.other]), counts)
        np.testing.assert_allclose(own, values, rtol=1e-12, err_msg=cohort.name)
        alive = [plain.survival_at(cohort.event[rows], cohort.exact[rows], cohort.exact_horizon) for rows in drawn]
        shown = resampled_survival(*cohort.outcome, cohort.horizon, counts)
        np.testing.assert_allclose(shown, [math.nan if value is None else value for value in alive], rtol=1e-9, atol=1e-12, err_msg=cohort.name)
        point, defined = first(plain.concordance(*cohort.plainly, cohort.risk)), int((~np.isnan(values[0])).sum())
        limits = None if point is None or not defined else (point, *quantiles(values[0]), defined)
        for statistic in (None, survival.concordance_index):
            own = lambda c=cohort, s=statistic: survival.bootstrap_ci(*c.outcome, c.risk, statistic=s, resamples=8, seed=5)  # noqa: E731
            tally.same(cohort, lambda o=own: (lambda i: (i.value, i.lower, i.upper, i.resamples))(o()), limits)
        if limits is None:
            continue
        differences = (values[0] - values[1])[~np.isnan(values[0])]
        p = min(1.0, max(2 * min((differences <= 0).mean(), (differences >= 0).mean()), 1 / defined))
        expected = (point - first(plain.concordance(*cohort.plainly, cohort.other)), *quantiles(differences), p)
        paired = survival.paired_difference(*cohort.outcome, cohort.risk, cohort.other, resamples=8, seed=5)
        tally.same(cohort, lambda d=paired: (d.value, d.lower, d.upper, d.p), expected, absolute=1e-9)


def test_concordance_within_centers(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        center = np.array(["east", "north", "west"])[np.arange(cohort.event.size) % 3]
        found = survival.pairs_within(*cohort.outcome, center, np.stack([cohort.risk, cohort.other]), resamples=4, seed=2)
        same = center[:, None] == center[None, :]
        right, comparable = np.zeros(2), 0.0
        for which, risk in enumerate((cohort.risk, cohort.other)):
            table, ordered = plain.pair_tables(*cohort.plainly, risk)
            right[which], comparable = (table * ordered * same).sum(), float((table * same).sum())
        pooled = survival.together(found.values())
        tally.same(cohort, lambda p=pooled: (*p.right[:, 0], p.comparable[0]), (*right, comparable))
        expected = (right[0] - right[1]) / comparable if comparable else None
        if expected is not None:
            tally.same(cohort, lambda p=pooled: p.difference(0, 1).value, expected)
        else:
            with pytest.raises(Undefined, match="no comparable pair"):
                pooled.difference(0, 1)
        assert np.isfinite(pooled.right).all()
        assert (pooled.right <= pooled.comparable).all()


def test_lasso(cohorts: list[Cohort], tally: Tally) -> None:
    """The conditions of a minimum: the gradient is the penalty where a coefficient is not 0, and no more where it is."""
    for cohort in cohorts:
        z = (cohort.X - cohort.X.mean(axis=0)) / np.maximum(cohort.X.std(axis=0), 1e-9)
        zero = slopes_of_lasso(cohort, z, np.zeros(3))
        largest = float(np.abs(zero).max())
        if largest < 1e-9:
            tally.same(cohort, lambda c=cohort, x=z: survival.lasso_cox(*c.outcome, x, penalty=0.1), None)
            continue
        assert largest_lambda(cohort.event, cohort.exact, z) == pytest.approx(largest, rel=1e-6), cohort.name
        for share in (1.01, 0.6, 0.2):
            coef = survival.lasso_cox(*cohort.outcome, z, penalty=share * largest, tolerance=1e-10)
            gradient = slopes_of_lasso(cohort, z, coef)
            kept = coef != 0
            assert kept.any() == (share < 1), cohort.name
            np.testing.assert_allclose(gradient[kept], share * largest * np.sign(coef[kept]), rtol=1e-5, atol=1e-7, err_msg=cohort.name)
            assert (np.abs(gradient[~kept]) <= share * largest * (1 + 1e-5)).all(), cohort.name
            tally.values += 1


def slopes_of_lasso(cohort: Cohort, z: np.ndarray, coef: np.ndarray) -> np.ndarray:
    step = 1e-4 * np.eye(coef.size)
    values = [[plain.partial_likelihood(*cohort.plainly, z @ (coef + sign * u), "breslow") for sign in (1, -1)] for u in step]
    return np.array([(up - down) / 2e-4 / cohort.event.size for up, down in values])


@pytest.mark.slow
def test_lasso_cross_validated(cohorts: list[Cohort], tally: Tally) -> None:
    """Deviance of a fold: of all patients less that of those outside it, at the coefficients fitted outside it; per event of the fold."""

    def deviance(rows: np.ndarray, event: np.ndarray, time: np.ndarray, eta: np.ndarray) -> float:
        deaths = [int(((time[rows] == t) & event[rows]).sum()) for t in set(time[rows][event[rows]].tolist())]
        return -2 * (plain.partial_likelihood(event[rows], time[rows], eta[rows], "breslow") + sum(d * math.log(d) for d in deaths))

    for cohort in cohorts[::2]:
        z = (cohort.X[:, :2] - cohort.X[:, :2].mean(axis=0)) / np.maximum(cohort.X[:, :2].std(axis=0), 1e-9)
        fold = np.arange(cohort.event.size) % 3
        if any(not cohort.event[fold != k].any() for k in range(3)):
            with pytest.raises(Undefined, match=r"folds with an event outside each|no event among"):
                survival.lasso_cox_cv(*cohort.outcome, z, folds=fold)
            continue
        lambdas = [0.3, 0.1, 0.04]
        found = survival.lasso_cox_cv(*cohort.outcome, z, folds=fold, lambdas=lambdas, tolerance=1e-10)
        every = np.arange(cohort.event.size)
        scores, weights = [], []
        for k in range(3):
            outside = every[fold != k]
            if not cohort.event[fold == k].any():
                continue
            coefs = [fitted(cohort, z, outside, penalty) for penalty in lambdas]
            parts = [deviance(every, *cohort.plainly, z @ coef) - deviance(outside, *cohort.plainly, z @ coef) for coef in coefs]
            weights.append(cohort.event[fold == k].sum())
            scores.append(np.array(parts) / weights[-1])
        mean = np.average(scores, axis=0, weights=weights)
        tally.same(cohort, lambda f=found: f.deviance, mean, rel=1e-5, absolute=1e-6)
        assert found.lambda_min == lambdas[int(np.argmin(found.deviance))]


def fitted(cohort: Cohort, z: np.ndarray, rows: np.ndarray, penalty: float) -> np.ndarray:
    try:
        return survival.lasso_cox(cohort.event[rows], cohort.time[rows], z[rows], penalty=penalty, tolerance=1e-10)
    except Undefined:
        return np.zeros(z.shape[1])


def test_principal_components(cohorts: list[Cohort], tally: Tally) -> None:
    for cohort in cohorts:
        X = np.column_stack([cohort.X, cohort.risk, cohort.other])
        X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9)
        values, vectors = np.linalg.eigh(np.cov(X.T))
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        found = survival.principal_components(X, variance=0.9)
        share = values / values.sum()
        kept = int(np.flatnonzero(np.cumsum(share) >= 0.9 - 1e-12)[0]) + 1
        assert found.components.shape == (kept, 5), cohort.name
        tally.same(cohort, lambda f=found, k=kept: f.explained[:k], share[:kept])
        for row, vector in zip(found.components, vectors.T[:kept], strict=True):
            turned = vector * np.sign(vector[np.abs(row).argmax()])
            gap = np.abs(values[:, None] - values[None, :])[np.triu_indices(5, 1)].min()
            if gap > 1e-6:
                np.testing.assert_allclose(row, turned, atol=1e-7, err_msg=cohort.name)
            assert row[np.abs(row).argmax()] > 0


def test_pooling_over_centers(tally: Tally) -> None:
    """200 random sets of centers: the restricted likelihood maximized by search, then Hartung and Knapp's formulas."""
    for seed in range(200):
        draw = np.random.default_rng(seed)
        k = int(draw.integers(2, 8))
        ses = draw.uniform(0.05, 0.4, k)
        values = draw.normal(0.5, (0.0, 0.3)[seed % 2], k) + ses * draw.normal(size=k)
        cohort = made("continuous", 0)
        if k < 3:
            tally.same(cohort, lambda v=values, s=ses: survival.pooled(v, s).mean, None)
            continue

        def minus(tau2: float, values: np.ndarray = values, ses: np.ndarray = ses) -> float:
            w = 1 / (ses**2 + tau2)
            mean = (w * values).sum() / w.sum()
            return 0.5 * float((np.log(ses**2 + tau2)).sum() + np.log(w.sum()) + (w * (values - mean) ** 2).sum())

        grid = np.concatenate([[0.0], np.geomspace(1e-6, 10, 200)])
        best = int(np.argmin([minus(tau2) for tau2 in grid]))
        bounds = (grid[max(best - 1, 0)], grid[min(best + 1, 200)])
        tau2 = float(minimize_scalar(minus, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x)
        tau2 = 0.0 if minus(0.0) <= minus(tau2) else tau2
        w = 1 / (ses**2 + tau2)
        mean = (w * values).sum() / w.sum()
        se = math.sqrt(max((w * (values - mean) ** 2).sum() / (k - 1), 1) / w.sum())
        reach, further = student.ppf(0.975, k - 1) * se, student.ppf(0.975, k - 2) * math.sqrt(tau2 + se**2)
        found = survival.pooled(values, ses)
        shown = (found.mean, found.lower, found.upper, found.prediction_lower, found.prediction_upper)
        tally.same(cohort, lambda s=shown: s, (mean, mean - reach, mean + reach, mean - further, mean + further), rel=1e-4, absolute=1e-5)
        c = 1 / (1 + np.exp(-values))
        on_logit = survival.pooled_c(c, ses * c * (1 - c))
        tally.same(cohort, lambda o=on_logit: (o.mean, o.prediction_upper), [1 / (1 + math.exp(-x)) for x in (found.mean, found.prediction_upper)], rel=1e-7)


def test_shift_between_samples(cohorts: list[Cohort]) -> None:
    for seed, (one, two) in enumerate(zip(cohorts, cohorts[1:] + cohorts[:1], strict=True)):
        a, b = (np.round(x, seed % 3) if seed % 2 else x for x in (one.X[:, 0], two.X[:, 0] + seed % 4 * 0.3))
        found = shift(a[:, None], b[:, None], bins=4)
        points = sorted({*a.tolist(), *b.tolist()})
        assert found.ks[0] == pytest.approx(max(abs((a <= x).mean() - (b <= x).mean()) for x in points), abs=1e-12)
        assert np.isfinite([found.p[0], found.psi[0]]).all()
        assert 0 <= found.p[0] <= 1
        assert found.psi[0] >= 0
        # bins by definition: between neighboring quartiles, and a value shared by several quantiles alone
        quantiles = np.quantile(a, [0, 0.25, 0.5, 0.75, 1])
        shared = {x for x in quantiles.tolist() if (quantiles == x).sum() > 1}
        where = [[(sum(x > q for q in set(quantiles[1:-1].tolist())), sum(x >= q for q in shared)) for x in sample] for sample in (a.tolist(), b.tolist())]
        bins = sorted({*where[0], *where[1]})
        shares = [np.array([side.count(place) + 0.5 for place in bins]) for side in where]
        left, right = (share / share.sum() for share in shares)
        assert found.psi[0] == pytest.approx(float(((right - left) * np.log(right / left)).sum()), abs=1e-10)
