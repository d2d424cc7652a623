"""The Lasso-Cox path and its cross-validation against glmnet."""

import warnings

import numpy as np
import pytest

from penumbra.bench.reference import Cohort, with_glmnets_risk_sets
from penumbra.survival import Undefined, lasso_cox, lasso_cox_cv
from penumbra.survival.lasso_path import LassoPath
from penumbra.survival.selection import assign_folds

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def ours(cohort):
    return lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=cohort.fold)


def test_path_and_choice_are_those_of_glmnet_within_its_tie_handling(ours, r) -> None:
    theirs = r["lasso"]
    assert ours.lambdas.size == len(theirs["lambda"])
    np.testing.assert_allclose(ours.lambdas, theirs["lambda"], rtol=6e-4)
    np.testing.assert_allclose(ours.deviance, theirs["cvm"], rtol=2e-3)
    np.testing.assert_allclose(ours.deviance_se, theirs["cvsd"], rtol=2e-2)
    assert np.argmin(ours.deviance) == np.argmin(theirs["cvm"])
    assert ours.lambda_min == pytest.approx(theirs["lambda_min"], rel=6e-4)
    np.testing.assert_allclose(ours.coef_min, theirs["coef_min"], atol=2e-3)


def test_coefficients_at_glmnets_penalties(cohort, r) -> None:
    theirs = r["lasso"]
    ours = lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=cohort.fold, lambdas=theirs["lambda"])
    at = [int(np.argmin(np.abs(ours.lambdas - theirs[name]))) for name in ("lambda_min", "lambda_1se")]
    np.testing.assert_allclose(ours.path[:, at[0]], theirs["coef_min"], atol=2e-3)
    np.testing.assert_allclose(ours.path[:, at[1]], theirs["coef_1se"], atol=2e-3)


def test_with_glmnets_ties_its_choice_is_the_same(cohort, r) -> None:
    """Where the deviance of two penalties is within 1e-3 of the 1se threshold, the six patients decide: with glmnet's risk sets the choice is glmnet's."""
    mine = Cohort(cohort.event, cohort.time, cohort.X, cohort.log_risk, cohort.log_risk_other, cohort.fold)
    found = {name.split(",")[0].removeprefix("lasso."): (ours, theirs) for name, ours, theirs in with_glmnets_risk_sets(mine, r["lasso"])}
    assert found["lambda"][0] == pytest.approx(found["lambda"][1], rel=1e-9)
    np.testing.assert_allclose(*found["cvm"], rtol=6e-4)
    np.testing.assert_allclose(found["cvm"][0][:-2], found["cvm"][1][:-2], rtol=1.5e-4)
    assert found["nzero"][0].tolist() == found["nzero"][1]
    for name in ("lambda_min", "lambda_1se"):
        assert found[name][0] == found[name][1]
    for name in ("coef_min", "coef_1se"):
        np.testing.assert_allclose(*found[name], atol=2e-5)


def test_solution_satisfies_its_optimality(cohort) -> None:
    n, beta = cohort.event.size, LassoPath(cohort.event, cohort.time, cohort.X, 1e-9).step(0.05)
    eta = cohort.X @ beta
    gradient = np.zeros(60)
    for t in np.unique(cohort.time[cohort.event]):
        dead, at_risk = (cohort.time == t) & cohort.event, cohort.time >= t
        gradient += cohort.X[dead].sum(0) - dead.sum() * np.average(cohort.X[at_risk], axis=0, weights=np.exp(eta[at_risk]))
    gradient /= n
    np.testing.assert_allclose(gradient[beta != 0], 0.05 * np.sign(beta[beta != 0]), atol=1e-8)
    assert np.all(np.abs(gradient[beta == 0]) <= 0.05 + 1e-8)


def test_scikit_survival_agrees_with_the_same_penalties(cohort) -> None:
    from sksurv.linear_model import CoxnetSurvivalAnalysis
    from sksurv.util import Surv

    lambdas = [0.2, 0.1, 0.05]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = CoxnetSurvivalAnalysis(l1_ratio=1.0, alphas=lambdas, tol=1e-11).fit(cohort.X, Surv.from_arrays(cohort.event, cohort.time))
    path = LassoPath(cohort.event, cohort.time, cohort.X, 1e-9)
    np.testing.assert_allclose(np.stack([path.step(lam) for lam in lambdas], axis=1), theirs.coef_, atol=1e-4)


def test_duplicate_columns_and_more_columns_than_patients(cohort) -> None:
    few = slice(0, 40)
    X = np.column_stack([cohort.X[few], cohort.X[few]])
    ours = lasso_cox_cv(cohort.event[few], cohort.time[few], X, folds=5, seed=3, patience=10)
    assert np.isfinite(ours.deviance).all()
    alone = lasso_cox_cv(cohort.event[few], cohort.time[few], cohort.X[few], folds=5, seed=3, lambdas=ours.lambdas)
    np.testing.assert_allclose(ours.deviance, alone.deviance, rtol=1e-5)


def test_separating_column_ends_without_overflow(cohort) -> None:
    x = -(cohort.time - cohort.time.mean()) / cohort.time.std()
    ours = lasso_cox_cv(cohort.event, cohort.time, np.column_stack([x, cohort.X[:, 0]]), folds=5, seed=1)
    assert np.isfinite(ours.deviance).all()
    assert ours.coef_min[0] > 0


def test_folds_are_deterministic_and_balanced_in_deaths(cohort) -> None:
    a, b = (assign_folds(cohort.event, 10, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    deaths = np.bincount(a[cohort.event])[1:]
    assert deaths.max() - deaths.min() <= 1
    assert np.ptp(np.bincount(a)[1:]) <= 1


def test_patience_changes_the_length_alone(cohort, ours) -> None:
    short = lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=cohort.fold, patience=15)
    assert short.lambdas.size < ours.lambdas.size
    assert short.lambda_min == ours.lambda_min
    np.testing.assert_array_equal(short.coef_min, ours.coef_min)


def test_too_few_events_or_folds_are_said(cohort) -> None:
    one_event = np.zeros(20, bool)
    one_event[3] = True
    with pytest.raises(Undefined, match="folds with an event outside each; found 4 folds and 1 events"):
        lasso_cox_cv(one_event, cohort.time[:20], cohort.X[:20], folds=4)
    with pytest.raises(Undefined, match="at least 3 folds"):
        lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=2)
    with pytest.raises(ValueError, match="folds must be a number or one fold per patient"):
        lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=[1, 2, 3])
    with pytest.raises(Undefined, match="no column has any association"):
        lasso_cox_cv(cohort.event, cohort.time, np.ones((cohort.event.size, 2)), folds=5)


def test_one_penalty_is_its_place_on_the_path(cohort) -> None:
    lambdas = np.geomspace(0.2, 0.02, 20)
    path = lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=cohort.fold, lambdas=lambdas)
    for k in (0, 9, 19):
        np.testing.assert_allclose(lasso_cox(cohort.event, cohort.time, cohort.X, penalty=float(lambdas[k])), path.path[:, k], atol=1e-6)
    assert not lasso_cox(cohort.event, cohort.time, cohort.X, penalty=100.0).any()
