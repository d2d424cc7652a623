"""Simulated cohorts of other sizes, half of them with tied times, through lifelines and scikit-survival as well."""

import numpy as np
import pandas as pd
import pytest

from penumbra import survival

pytestmark = pytest.mark.numeric


def simulated(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Event, time, three covariates on very different scales and a risk; every other seed has months for days."""
    random = np.random.default_rng(seed)
    n = (40, 120, 300, 80)[seed % 4]
    X = random.normal(size=(n, 3)) * [1.0, 100.0, 0.01]
    risk = X[:, 0] + random.normal(size=n)
    death, left = random.exponential(600 * np.exp(-0.5 * risk)), random.exponential(1200, n)
    time = np.minimum(death, left)
    return death <= left, np.ceil(time / 30) * 30 if seed % 2 else time, X, risk


@pytest.mark.filterwarnings("ignore")  # lifelines calls pandas as pandas 4 will not allow
@pytest.mark.parametrize("seed", range(4))
def test_lifelines(seed: int) -> None:
    from lifelines import CoxPHFitter, KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test

    event, time, X, _ = simulated(seed)
    theirs = CoxPHFitter().fit(pd.DataFrame(X).assign(time=time, event=event), "time", "event")
    ours = survival.cox_fit(event, time, X, ties="efron")
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood_, rel=1e-9)
    np.testing.assert_allclose(ours.se, theirs.standard_errors_.to_numpy(), rtol=1e-5)
    np.testing.assert_allclose(ours.coef / ours.se, (theirs.params_ / theirs.standard_errors_).to_numpy(), atol=1e-4)

    curve = KaplanMeierFitter().fit(time, event)
    own = survival.kaplan_meier(event, time, limits="log-log")
    inside = (own.survival > 0) & (own.survival < 1)
    limits = curve.confidence_interval_survival_function_.reindex(own.times).to_numpy()[inside]
    np.testing.assert_allclose(np.column_stack([own.lower, own.upper])[inside], limits, rtol=1e-9)
    assert own.median == curve.median_survival_time_

    group = np.arange(time.size) % 3
    assert survival.log_rank(event, time, group).chi2 == pytest.approx(multivariate_logrank_test(time, group, event).test_statistic, rel=1e-9)


@pytest.mark.parametrize("seed", [0, 2])
def test_scikit_survival(seed: int) -> None:
    from sksurv.metrics import brier_score, concordance_index_ipcw, cumulative_dynamic_auc, integrated_brier_score
    from sksurv.util import Surv

    event, time, _, risk = simulated(seed)  # without ties: with them it weights otherwise
    outcome, horizons = Surv.from_arrays(event, time), np.linspace(100, 600, 11)
    assert survival.uno_c(event, time, risk) == pytest.approx(concordance_index_ipcw(outcome, outcome, risk, tied_tol=0)[0], rel=1e-9)
    areas = [survival.auc_ipcw(event, time, risk, day).auc for day in horizons]
    np.testing.assert_allclose(areas, cumulative_dynamic_auc(outcome, outcome, risk, horizons)[0], rtol=1e-9)
    alive = survival.breslow_baseline(event, time, risk).survival(risk, horizons)
    scores = [survival.brier(event, time, alive[:, k], day) for k, day in enumerate(horizons)]
    np.testing.assert_allclose(scores, brier_score(outcome, outcome, alive, horizons)[1], rtol=1e-9)
    assert survival.integrated_brier(event, time, alive, horizons) == pytest.approx(integrated_brier_score(outcome, outcome, alive, horizons), rel=1e-9)


def test_standard_error_of_c_is_its_derivative_for_the_weights() -> None:
    """With ties in time and in risk: weight every patient a little more, by brute force."""
    event, time, _, risk = simulated(1)
    event, time, risk = event[:50], time[:50], np.round(risk[:50], 1)

    def weighted(weight: np.ndarray) -> float:
        outlived = (time[None] > time[:, None]) | ((time[None] == time[:, None]) & ~event[None])
        pairs = outlived * (weight * event)[:, None] * weight[None]
        return float((pairs * ((risk[None] < risk[:, None]) + 0.5 * (risk[None] == risk[:, None]))).sum() / pairs.sum())

    steps = 1e-5 * np.eye(50)
    slopes = [(weighted(1 + step) - weighted(1 - step)) / 2e-5 for step in steps]
    assert survival.harrell(event, time, risk).se == pytest.approx(np.sqrt(np.sum(np.square(slopes))), rel=1e-6)


def test_areas_without_spread_have_no_test() -> None:
    event, time = [1, 1, 0, 0], [100.0, 200.0, 500.0, 600.0]
    with pytest.raises(survival.Undefined, match="the areas 1 and 0 have no standard error"):
        survival.delong_test(event, time, [4, 3, 2, 1], [1, 2, 3, 4], 365)
    same = survival.delong_test(event, time, [4, 3, 2, 1], [8, 6, 4, 2], 365)
    assert (same.z, same.p, same.difference) == (0.0, 1.0, 0.0)
