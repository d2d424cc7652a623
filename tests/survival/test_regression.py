"""Cox regression and baseline hazard against R."""

import numpy as np
import pytest

from penumbra.survival import Undefined, breslow_baseline, cox_fit, univariate_cox

pytestmark = pytest.mark.numeric

TIES = ("efron", "breslow")


@pytest.mark.parametrize("ties", TIES)
def test_univariate_equals_r(cohort, r, ties: str) -> None:
    ours, theirs = univariate_cox(cohort.event, cohort.time, cohort.X, ties=ties), r["univariate"][ties]
    np.testing.assert_allclose(ours.coef, theirs["coef"], rtol=1e-6)
    np.testing.assert_allclose(ours.se, theirs["se"], rtol=1e-8)
    np.testing.assert_allclose(ours.p, theirs["wald_p"], rtol=1e-6)
    np.testing.assert_allclose(ours.log_likelihood, theirs["loglik"], rtol=1e-12)
    assert ours.log_likelihood_null == pytest.approx(theirs["loglik0"], rel=1e-12)


def test_univariate_by_hand() -> None:
    # two deaths, x = 1 first then 0, third censored at 0: score at beta is 1 - e^b / (e^b + 2) - 0: no finite maximum; swapping makes one
    ours = univariate_cox([1, 1, 0], [1, 2, 3], np.array([[0.0], [1.0], [0.0]]))
    # l = -log(e^b + 2) + b - log(e^b + 1): the score is zero at e^b = sqrt(2)
    assert ours.coef[0] == pytest.approx(np.log(2) / 2, rel=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_one_column_of_cox_fit_equals_univariate(cohort, ties: str) -> None:
    many = univariate_cox(cohort.event, cohort.time, cohort.X[:, :3], ties=ties)
    for j in range(3):
        one = cox_fit(cohort.event, cohort.time, cohort.X[:, j], ties=ties)
        assert one.coef[0] == pytest.approx(many.coef[j], rel=1e-8)
        assert one.se[0] == pytest.approx(many.se[j], rel=1e-8)


def test_columns_without_an_answer_have_a_reason(cohort) -> None:
    n = cohort.event.size
    longest_first = -cohort.time
    X = np.column_stack([np.full(n, 0.1), np.where(np.arange(n) == 3, np.nan, 1.0), longest_first, cohort.X[:, 0], 1e6 + 1e-3 * cohort.X[:, 0]])
    ours = univariate_cox(cohort.event, cohort.time, X)
    assert ours.reason.tolist() == ["constant", "not finite", "separation", "", ""]
    assert np.isnan(ours.coef[:3]).all()
    assert np.isnan(ours.p[:3]).all()
    assert ours.p[4] == pytest.approx(ours.p[3], rel=1e-3)


def test_scale_and_shift_of_a_column_do_not_change_p(cohort) -> None:
    x = cohort.X[:, 0]
    ours = univariate_cox(cohort.event, cohort.time, np.column_stack([x, 1e-9 * x, 1e9 * x + 5]))
    np.testing.assert_allclose(ours.p, ours.p[0], rtol=1e-6)
    np.testing.assert_allclose(ours.coef * [1, 1e-9, 1e9], ours.coef[0], rtol=1e-6)


def test_multivariable_equals_r(cohort, r) -> None:
    ours, theirs = cox_fit(cohort.event, cohort.time, cohort.X[:, :5]), r["cox5"]
    np.testing.assert_allclose(ours.coef, theirs["coef"], rtol=1e-9)
    np.testing.assert_allclose(ours.se, theirs["se"], rtol=1e-9)
    np.testing.assert_allclose([ours.log_likelihood_null, ours.log_likelihood], theirs["loglik"], rtol=1e-12)


def test_survival_equals_r(cohort, r) -> None:
    fitted = cox_fit(cohort.event, cohort.time, cohort.X[:, :5], ties="breslow")
    np.testing.assert_allclose(fitted.coef, r["cox5_breslow"]["coef"], rtol=1e-9)
    log_risk = cohort.X[:, :5] @ fitted.coef
    survival = breslow_baseline(cohort.event, cohort.time, log_risk).survival(log_risk[:10], [365, 730, 1095])
    np.testing.assert_allclose(survival, r["cox5_breslow"]["survival_first10_1y_2y_3y"], rtol=1e-10)


def test_baseline_by_hand() -> None:
    baseline = breslow_baseline([1, 0, 1], [1, 2, 3], np.log([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(baseline.times, [1, 3])
    np.testing.assert_allclose(baseline.cumulative_hazard, [1 / 7, 1 / 7 + 1 / 4])
    np.testing.assert_allclose(baseline.survival([0.0], [0.5, 1, 2.9, 3])[0], np.exp([0, -1 / 7, -1 / 7, -11 / 28]))


def test_baseline_of_risks_far_apart_is_finite() -> None:
    baseline = breslow_baseline([1, 1, 1], [1, 2, 3], [600.0, 0.0, -600.0])
    survival = baseline.survival([600.0, 0.0], [1, 2])
    assert np.isfinite(survival).all()
    assert survival[0, 0] == pytest.approx(np.exp(-1))


def test_separation_is_said_and_a_ridge_fits_it(cohort) -> None:
    X = np.column_stack([-cohort.time, cohort.X[:, 0]])
    with pytest.raises(Undefined, match=r"separate the deaths perfectly .* set ridge"):
        cox_fit(cohort.event, cohort.time, X)
    fitted = cox_fit(cohort.event, cohort.time, X, ridge=1.0)
    assert np.isfinite(fitted.coef).all()
    assert fitted.coef[0] > 0


def test_dependent_and_constant_columns_are_said(cohort) -> None:
    x = cohort.X[:, :2]
    with pytest.raises(Undefined, match="linearly dependent: rank 2 of 3"):
        cox_fit(cohort.event, cohort.time, np.column_stack([x, x.sum(axis=1)]))
    with pytest.raises(Undefined, match="column 1 is constant"):
        cox_fit(cohort.event, cohort.time, np.column_stack([x[:, 0], np.ones(len(x))]))
    with pytest.raises(Undefined, match="linearly dependent"):
        cox_fit(cohort.event[:5], cohort.time[:5], cohort.X[:5, :8])
    assert np.isfinite(cox_fit(cohort.event[:5], cohort.time[:5], cohort.X[:5, :8], ridge=1.0).coef).all()
