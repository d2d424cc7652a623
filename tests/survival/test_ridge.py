"""The ridge Cox: against scikit-survival, a case by hand, the space of the columns, and cross-validation written out."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from penumbra.survival import Undefined, cox_fit, ridge_cox, ridge_cox_cv
from penumbra.survival.ridge import ridge_cox_positive, row_space
from penumbra.survival.selection import assign_folds

pytestmark = pytest.mark.numeric


def patients(n: int = 70, p: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Event, time with ties, and z-scored correlated columns one of whose causes carries the hazard."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(n, 3))
    X = shared @ random.normal(size=(3, p)) + random.normal(size=(n, p))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    time = np.ceil(random.exponential(20 * np.exp(-0.9 * shared[:, 0])))
    return random.random(n) < 0.7, time, X


def log_likelihood(event: np.ndarray, time: np.ndarray, log_risk: np.ndarray) -> float:
    """Efron's, death by death."""
    total = 0.0
    for day in np.unique(time[event]):
        at_risk, died = np.exp(log_risk[time >= day]).sum(), event & (time == day)
        tied = np.exp(log_risk[died]).sum()
        total += log_risk[died].sum() - sum(np.log(at_risk - k / died.sum() * tied) for k in range(died.sum()))
    return float(total)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("penalty", [0.3, 20.0])
def test_equals_scikit_survival(ties: str, penalty: float) -> None:
    sksurv = pytest.importorskip("sksurv.linear_model")
    event, time, X = patients()
    outcome = np.array(list(zip(event, time, strict=True)), dtype=[("event", bool), ("time", float)])
    theirs = sksurv.CoxPHSurvivalAnalysis(alpha=penalty, ties=ties, tol=1e-13, n_iter=500).fit(X, outcome)
    np.testing.assert_allclose(ridge_cox(event, time, X, penalty=penalty, ties=ties), theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ridge_cox(event, time, X, penalty=penalty, ties=ties), cox_fit(event, time, X, ties=ties, ridge=penalty).coef, atol=1e-10)


def test_one_column_by_hand() -> None:
    """Two patients, x = 1 dies before x = -1: b - log(e^b + e^-b) - penalty b^2 / 2 has its maximum where 1 - tanh b = penalty b."""
    coef = float(ridge_cox([True, True], [1.0, 2.0], [[1.0], [-1.0]], penalty=0.5)[0])
    assert 1.0 - np.tanh(coef) == pytest.approx(0.5 * coef, abs=1e-9)


@pytest.mark.parametrize("p", [69, 70, 71, 400])
def test_row_space_is_column_space(p: int) -> None:
    event, time, X = patients(p=p)
    scores, back = row_space(X)
    assert scores.shape == (70, min(70, p))
    coordinates = np.random.default_rng(1).normal(size=scores.shape[1])
    np.testing.assert_allclose(X @ back(coordinates), scores @ coordinates, atol=1e-9)
    np.testing.assert_allclose(ridge_cox(event, time, X, penalty=5.0), cox_fit(event, time, X, ridge=5.0).coef, atol=1e-8)


def test_cross_validation_written_out() -> None:
    """Every penalty and fold by an optimizer that knows nothing of rows and columns."""
    event, time, X = patients(n=40, p=50, seed=2)
    fold = assign_folds(event, 4, np.random.default_rng(0))
    penalties = np.array([300.0, 60.0, 12.0])
    fit = ridge_cox_cv(event, time, X, folds=fold, penalties=penalties)
    expected = []
    for penalty in penalties:
        gain = 0.0
        for name in np.unique(fold):
            rows = fold != name

            def loss(coef: np.ndarray, rows: np.ndarray = rows, penalty: float = penalty) -> float:
                return -log_likelihood(event[rows], time[rows], X[rows] @ coef) + penalty / 2 * float(coef @ coef)

            coef = minimize(loss, np.zeros(50), method="BFGS", options={"gtol": 1e-6}).x
            gain += log_likelihood(event, time, X @ coef) - log_likelihood(event[rows], time[rows], X[rows] @ coef)
        expected.append(-2 * gain / event.sum())
    np.testing.assert_allclose(fit.deviance, expected, atol=1e-4)
    assert fit.penalty_min == penalties[int(np.argmin(expected))]
    np.testing.assert_allclose(fit.coef, ridge_cox(event, time, X, penalty=fit.penalty_min), atol=1e-10)


def test_the_path_ends_behind_its_lowest() -> None:
    event, time, X = patients(p=300)
    fit = ridge_cox_cv(event, time, X, folds=5)
    lowest = int(np.argmin(fit.deviance))
    assert fit.penalty_min == fit.penalties[lowest]
    assert 0 < lowest < len(fit.penalties) - 1
    assert np.all(np.diff(fit.penalties) < 0)


def test_noise_is_shrunk_to_next_to_nothing() -> None:
    event, time, X = patients(p=200, seed=3)
    noise = np.random.default_rng(4).normal(size=X.shape)
    spread = [float(np.std(table @ ridge_cox_cv(event, time, table, folds=5).coef)) for table in (X, noise)]
    assert spread[1] < 0.3 * spread[0]


def test_coefficients_that_may_not_be_negative() -> None:
    event, time, X = patients(p=4)
    signed = X * np.array([1.0, -1.0, 1.0, 1.0])
    fold = assign_folds(event, 5, np.random.default_rng(0))
    coef = ridge_cox_positive(event, time, signed, folds=fold)
    penalty = ridge_cox_cv(event, time, signed, folds=fold).penalty_min
    free = ridge_cox(event, time, signed, penalty=penalty)
    assert (free < -1e-3).any(), "the bound is felt"

    def loss(candidate: np.ndarray) -> float:
        return -log_likelihood(event, time, signed @ candidate) + penalty / 2 * float(candidate @ candidate)

    expected = minimize(loss, np.full(4, 0.1), method="L-BFGS-B", bounds=[(0, None)] * 4, options={"ftol": 1e-15, "gtol": 1e-9})
    np.testing.assert_allclose(coef, expected.x, atol=1e-5)
    assert loss(coef) <= expected.fun + 1e-10
    np.testing.assert_allclose(minimize_scalar(lambda b: loss(np.array([b, 0, 0, 0]))).x, ridge_cox(event, time, signed[:, :1], penalty=penalty), atol=1e-6)


def test_what_has_no_answer() -> None:
    event, time, X = patients()
    with pytest.raises(Undefined, match="cross-validation needs at least 3 folds with an event outside each; found 2 folds"):
        ridge_cox_cv(event, time, X, folds=np.arange(70) % 2)
    with pytest.raises(Undefined, match="no event among 70 patients"):
        ridge_cox(np.zeros(70, bool), time, X, penalty=1.0)
    with pytest.raises(Undefined, match="no column has any spread"):
        ridge_cox_cv(event, time, np.ones((70, 2)), folds=5)
    for penalty in (0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="penalties must be positive numbers"):
            ridge_cox(event, time, X, penalty=penalty)
