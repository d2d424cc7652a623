"""Evaluation: who is together, what equals the statistics called alone, what has no value and why."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penumbra import survival
from penumbra.evaluate import EXTERNAL, TRAINING, Evaluating, MetricRow, ModelRisk, Resampling, evaluate, internal_external, resampled_fits
from penumbra.fusion import Block, Declaration, Fitting, fit
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.outcome import Outcomes

pytestmark = pytest.mark.numeric

NUMBERS = Evaluating(
    horizons_days=(365, 730, 1095),
    bootstraps=200,
    refits=6,
    calibration_groups=5,
    thresholds=(),
    age_split=65,
    confidence=0.95,
    seed=1,
    shrinkage=0.9,
    sample_size_c=(),
    external_events=100,
    subgroup_events=10,
)
FITTING = Fitting(alpha=0.05, folds=5, seed=1, ties="efron", pca_variance=0.95, lasso_lambda="min", lasso_patience=15, ridge=1.0)


def evaluated(
    models: Mapping[str, ModelRisk], centers: np.ndarray, training: np.ndarray, event: np.ndarray, time: np.ndarray, numbers: Evaluating = NUMBERS
) -> list[MetricRow]:
    outcomes = Outcomes(event, time, centers)
    return evaluate(models, outcomes, training, numbers, combined="Combined", controls={"volume": "Volume", "clinical": "Clinical"})


def simulated(n: int = 180, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    log_risk = random.normal(size=n)
    death, left = random.exponential(700 * np.exp(-log_risk)), random.exponential(1500, n)
    return log_risk, death <= left, np.ceil(np.minimum(death, left)), np.repeat(["north", "east", "south"], n // 3)


def risks(log_risk: np.ndarray) -> dict[str, ModelRisk]:
    random = np.random.default_rng(5)
    noisy = log_risk + 1.5 * random.normal(size=log_risk.size)
    true = BaselineHazard(np.arange(1.0, 4000.0), np.arange(1.0, 4000.0) / 700)
    return {"Combined": ModelRisk(log_risk, 0.0, true), "Volume": ModelRisk(noisy, 0.0), "Rad": ModelRisk(-log_risk, 0.0)}


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str, str], MetricRow]:
    log_risk, event, time, centers = simulated()
    found = evaluated(risks(log_risk), centers, centers == "north", event, time)
    by_key = {(row.model, row.center, row.metric): row for row in found}
    assert len(by_key) == len(found)
    return by_key


def test_sets_are_training_each_center_and_the_external_pool(rows) -> None:
    assert {(row.center, row.split) for row in rows.values()} == {
        ("north", "train"),
        ("east", "test"),
        ("south", "test"),
        (EXTERNAL, "test"),
    }
    assert rows["Combined", EXTERNAL, "harrell_c"].n == 120
    log_risk, event, time, centers = simulated()
    several = evaluated(risks(log_risk), centers, centers != "south", event, time)
    assert {row.center for row in several if row.split == "train"} == {"north", "east", TRAINING}


def test_values_are_those_of_the_statistics_alone(rows) -> None:
    log_risk, event, time, centers = simulated()
    east = centers == "east"
    here = (event[east], time[east], log_risk[east])
    alone = {
        "harrell_c": survival.concordance_index(*here),
        "uno_c": survival.uno_c(*here),
        "auc_2y": survival.auc_binary(*here, 730).auc,
        "auc_ipcw_2y": survival.auc_ipcw(*here, 730).auc,
        "hazard_ratio": survival.hazard_ratio(*here[:2], log_risk[east] > 0).value,
        "log_rank_p": survival.log_rank(*here[:2], log_risk[east] > 0).p,
        "calibration_slope": survival.calibration_slope(*here).value,
    }
    for metric, value in alone.items():
        assert rows["Combined", "east", metric].value == pytest.approx(value, rel=1e-12)
    limits = survival.bootstrap_ci(*here, resamples=200, seed=1)
    row = rows["Combined", "east", "harrell_c"]
    assert (row.lower, row.upper, row.n, row.events) == (limits.lower, limits.upper, 60, int(event[east].sum()))
    assert rows["Combined", "east", "brier_1y"].value < 0.25


def test_differences_are_paired(rows) -> None:
    log_risk, event, time, centers = simulated()
    away = centers != "north"
    models = risks(log_risk)
    alone = survival.paired_difference(event[away], time[away], models["Combined"].log_risk[away], models["Volume"].log_risk[away], resamples=200, seed=1)
    row = rows["Combined", EXTERNAL, "delta_c_volume"]
    assert (row.value, row.lower, row.upper) == (alone.value, alone.lower, alone.upper)
    assert rows["Combined", EXTERNAL, "delta_c_volume_p"].value == alone.p
    assert rows["Rad", EXTERNAL, "delta_c_volume"].value < 0
    test = survival.delong_test(event[away], time[away], models["Combined"].log_risk[away], models["Volume"].log_risk[away], 365)
    assert rows["Volume", EXTERNAL, "delong_p_1y"].value == pytest.approx(test.p)
    assert ("Combined", EXTERNAL, "delong_p_1y") not in rows


def test_what_has_no_value_is_a_row_with_its_reason() -> None:
    log_risk, event, time, centers = simulated()
    event = event & (centers != "south")
    # nobody of the east is followed beyond day 500: nothing that is named by two or three years has a value
    event = event & ((centers != "east") | (time < 500))
    time = np.where(centers == "east", np.minimum(time, 500), time)
    models = risks(log_risk) | {"DL": ModelRisk(np.full(log_risk.size, math.nan), math.nan)}
    models["Rad"] = ModelRisk(log_risk, 99.0)
    found = {(row.model, row.center, row.metric): row for row in evaluated(models, centers, centers == "north", event, time)}
    expected = {
        ("Combined", "south", "harrell_c"): "no comparable pair among 60 patients",
        ("Combined", "south", "hazard_ratio"): "no event",
        ("Combined", "south", "auc_3y"): "nobody died by day 1095",
        ("Rad", "east", "hazard_ratio"): "hazard ratio needs two groups; found one: all 60 patients are low",
        ("DL", "east", "harrell_c"): "no feature",
    }
    for key, reason in expected.items():
        assert math.isnan(found[key].value)
        assert reason in found[key].reason
    east = centers == "east"
    for metric in ("auc_3y", "auc_ipcw_3y", "brier_3y", "observed_expected_2y", "brier_integrated"):
        assert math.isnan(found["Combined", "east", metric].value)
        assert "nobody is followed to day" in found["Combined", "east", metric].reason
    assert found["Combined", "east", "auc_1y"].value == survival.auc_binary(event[east], time[east], log_risk[east], 365).auc
    assert not found["Combined", "east", "auc_1y"].reason
    assert all(row.reason == "" for row in found.values() if not math.isnan(row.value))
    assert all(row.reason for row in found.values() if math.isnan(row.value))


def test_nothing_is_measured_beyond_the_follow_up_of_the_training_patients() -> None:
    """A baseline hazard is constant after the last death: with follow-up closed at day 450, 2 and 3 years had the survival of day 450."""
    log_risk, event, time, centers = simulated()
    north = centers == "north"
    closed = np.where(north, np.minimum(time, 450), time)
    died = event & ~(north & (time > 450))
    baseline = survival.breslow_baseline(died[north], closed[north], log_risk[north])
    models = {"Combined": ModelRisk(log_risk, 0.0, baseline), "Volume": ModelRisk(log_risk, 0.0)}
    found = {(row.center, row.metric): row for row in evaluated(models, centers, north, died, closed) if row.model == "Combined"}
    east = centers == "east"
    for horizon, name in ((730, "2y"), (1095, "3y")):
        for metric in (f"brier_{name}", f"observed_expected_{name}"):
            assert math.isnan(found["east", metric].value)
            assert found["east", metric].reason == f"no survival at day {horizon}: the training patients were followed to day 450"
        assert found["east", f"auc_{name}"].value == survival.auc_binary(event[east], time[east], log_risk[east], horizon).auc, "an order needs no survival"
    assert math.isfinite(found["east", "brier_1y"].value)
    assert "followed to day 450" in found["east", "brier_integrated"].reason
    # calibration in the large counts deaths and hazards up to day 450, and says so
    until, days = event[east] & (time[east] <= 450), np.minimum(time[east], 450)
    expected = survival.calibration_intercept(until, baseline.at(days) * np.exp(log_risk[east]))
    assert found["east", "calibration_intercept"].value == pytest.approx(expected.value, rel=1e-12)
    assert found["east", "calibration_intercept"].reason == "up to day 450, to which the training patients were followed"
    assert not found["north", "calibration_intercept"].reason


def test_metrics_are_named_by_their_days() -> None:
    log_risk, event, time, centers = simulated()

    def measured(**changed: Any) -> dict[tuple[str, str], float]:
        rows = evaluated(risks(log_risk), centers, centers == "north", event, time, replace(NUMBERS, **changed))
        return {(row.center, row.metric): row.value for row in rows if row.model == "Combined"}

    found, usual = measured(horizons_days=(180.0, 365.0, 730.0)), measured()
    names = {metric for _, metric in found}
    assert {"auc_180d", "auc_1y", "auc_2y", "brier_180d", "observed_expected_180d"} <= names
    assert not {metric for metric in names if metric.endswith("_3y")}
    for metric in ("auc_1y", "auc_2y", "auc_ipcw_1y", "brier_1y", "brier_2y", "observed_expected_2y"):
        assert found["east", metric] == usual["east", metric], "the same day has the same name and value, wherever it is in the list"


def test_same_seed_same_rows(rows) -> None:
    log_risk, event, time, centers = simulated()
    again = evaluated(risks(log_risk), centers, centers == "north", event, time)
    for row in again:
        assert str(row) == str(rows[row.model, row.center, row.metric])


def test_one_patient_in_a_center() -> None:
    log_risk, event, time, centers = simulated()
    centers = centers.copy()
    centers[-59:] = "east"
    found = evaluated(risks(log_risk), centers, centers == "north", event, time)
    alone = [row for row in found if row.center == "south"]
    assert alone
    assert all(row.n == 1 for row in alone)
    assert all(math.isnan(row.value) and row.reason for row in alone if row.metric in ("harrell_c", "auc_1y", "hazard_ratio"))


def test_pooling_over_test_centers_and_calibration_in_the_large() -> None:
    log_risk, event, time, _ = simulated()
    centers = np.repeat(["north", "east", "south", "west"], 45)
    found = {(row.model, row.center, row.metric): row for row in evaluated(risks(log_risk), centers, centers == "north", event, time)}
    alone = [survival.harrell(event[centers == name], time[centers == name], log_risk[centers == name]) for name in ("east", "south", "west")]
    pooled = survival.pooled_c([one.c for one in alone], [one.se for one in alone])
    row = found["Combined", EXTERNAL, "harrell_c_pooled"]
    assert (row.value, row.lower, row.upper) == pytest.approx((pooled.mean, pooled.lower, pooled.upper))
    row = found["Combined", EXTERNAL, "harrell_c_prediction"]
    assert (row.lower, row.upper) == pytest.approx((pooled.prediction_lower, pooled.prediction_upper))
    # the truth is calibrated: intercept 0, slope 1, as many deaths as expected, within their errors
    for metric, truth in (("calibration_intercept", 0.0), ("calibration_slope", 1.0)):
        row = found["Combined", EXTERNAL, metric]
        assert row.lower < truth < row.upper
    assert found["Combined", EXTERNAL, "observed_expected_2y"].value == pytest.approx(1.0, abs=0.25)
    assert 0 < found["Combined", EXTERNAL, "brier_integrated"].value < 0.25
    assert ("Rad", EXTERNAL, "brier_integrated") not in found, "a model without a baseline has no probabilities"


def test_refits_do_not_depend_on_how_they_are_shared_out() -> None:
    log_risk, event, time, _ = simulated(120, 3)
    random = np.random.default_rng(1)
    values = np.column_stack([log_risk + 0.3 * random.normal(size=120), random.normal(size=(120, 6))])
    blocks = {"gtv": Block("gtv", tuple(f"f{i}" for i in range(7)), values)}
    declared = Declaration("Rad", "Rad", "radiomics", "signature", blocks=("gtv",))
    outcomes = Outcomes.of_one_center(event, time)
    model = fit(declared, blocks, outcomes, FITTING)
    ways = [Resampling(refits=6, seed=1, day=730.0, confidence=0.95, workers=workers) for workers in (1, 2)]
    alone, shared = (resampled_fits(declared, model, blocks, outcomes, FITTING, way) for way in ways)
    assert alone == shared
    assert alone.selection_frequency["gtv.f0"] == 1.0
    assert all(share < 1 for column, share in alone.selection_frequency.items() if column != "gtv.f0")
    assert -0.02 < alone.optimism < 0.1


def test_refits_show_how_far_a_prediction_moves() -> None:
    """A Cox model of one column: the probabilities of a refit computed again from its resample, with the slope of the served model."""
    log_risk, event, time, _ = simulated(120, 3)
    blocks = {"gtv": Block("gtv", ("f0",), log_risk[:, None])}
    declared = Declaration("Rad", "Rad", "control", "cox", columns=("gtv.f0",))
    outcomes, table = Outcomes.of_one_center(event, time), {"gtv.f0": log_risk}
    apparent = fit(declared, blocks, outcomes, FITTING)
    risk = apparent.log_risk(table)
    model = apparent.calibrated(0.6, survival.breslow_baseline(event, time, 0.6 * risk))
    over = resampled_fits(declared, model, blocks, outcomes, FITTING, Resampling(refits=1, seed=7, day=365.0, confidence=0.9, workers=1)).instability
    assert over is not None
    assert (over.refits, over.day, len(over.original)) == (1, 365.0, 120)
    np.testing.assert_allclose(over.original, 1 - model.survival(model.log_risk(table), [365.0])[:, 0], atol=1e-4)
    rows = np.random.default_rng([7, 0]).integers(120, size=120)
    again = fit(declared, {"gtv": Block("gtv", ("f0",), log_risk[rows, None])}, outcomes.rows(rows), FITTING)
    predictor = 0.6 * again.log_risk(table)
    died = 1 - np.clip(survival.breslow_baseline(event[rows], time[rows], predictor[rows]).survival(predictor, [365.0])[:, 0], 0.005, 0.995)
    np.testing.assert_allclose(over.lower, died, atol=1e-4)
    np.testing.assert_allclose(over.mape, np.abs(died - np.array(over.original)), atol=2e-4)
    changed = (again.log_risk(table) > again.cutoff) != (model.log_risk(table) > model.cutoff)
    assert over.cii == tuple(changed.astype(float))
    beyond = resampled_fits(declared, model, blocks, outcomes, FITTING, Resampling(refits=2, seed=7, day=1e6, confidence=0.9, workers=1))
    assert beyond.instability is None, "nobody was followed so long"


def test_a_center_left_out_is_measured_by_a_model_that_never_saw_it() -> None:
    log_risk, event, time, centers = simulated()
    blocks = {"gtv": Block("gtv", ("f0",), log_risk[:, None])}
    declared = [Declaration("Rad", "Rad", "control", "cox", columns=("gtv.f0",))]
    outcomes = Outcomes(event, time, centers)
    found = {(row.center, row.metric): row for row in internal_external(declared, blocks, outcomes, FITTING, confidence=0.95)}
    south = centers == "south"
    others = fit(declared[0], {"gtv": Block("gtv", ("f0",), log_risk[~south, None])}, outcomes.rows(~south), FITTING)
    here = others.log_risk({"gtv.f0": log_risk[south]})
    assert found["south", "internal_external_slope"].value == pytest.approx(survival.calibration_slope(event[south], time[south], here).value)
    assert found["south", "internal_external_c"].value == survival.concordance_index(event[south], time[south], here)
    one = internal_external(declared, blocks, replace(outcomes, centers=np.full(180, "north")), FITTING, confidence=0.95)
    assert {row.reason for row in one if row.center == "north"} == {"one center only: nobody is left to fit on"}
