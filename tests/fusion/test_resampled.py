"""Refits as linear functions: they answer as the refits do, their limits hold the answer, and their file is numbers that are nobody's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra.fusion import Block, SurvivalModel, declarations, fit, fit_all
from penumbra.fusion.release import released
from penumbra.fusion.resampled import COVERS, COVERS_NETWORKS, Resampled, raw_function
from penumbra.survival import breslow_baseline
from penumbra.survival.baseline import BaselineHazard
from tests.fusion.test_contributions import FURTHER, NAMES
from tests.fusion.test_fitting import table
from tests.fusion.test_members import NUMBERS, WRITTEN, cohort

pytestmark = pytest.mark.numeric
HORIZONS = (365.0, 730.0)
DECLARED = declarations({"late": {**WRITTEN, **FURTHER}})


@pytest.fixture(scope="module")
def patients() -> dict[str, Block]:
    return cohort()[0]


@pytest.fixture(scope="module")
def fitted(patients) -> dict[str, SurvivalModel]:
    return {name: model.calibrated(0.7, model.baseline) for name, model in fit_all(DECLARED.values(), patients, cohort()[1], NUMBERS).items()}


def refits_of(model: SurvivalModel, patients: dict[str, Block], count: int = 6) -> list[tuple[SurvivalModel, BaselineHazard]]:
    outcomes, refits = cohort()[1], []
    for i in range(count):
        rows = np.random.default_rng(i).integers(160, size=160)
        resampled = {name: Block(name, block.features, block.values[rows]) for name, block in patients.items()}
        refit = fit(DECLARED[model.name], resampled, outcomes.rows(rows), NUMBERS, template=model)
        risk = model.slope * refit.log_risk(table(resampled))
        refits.append((refit, breslow_baseline(outcomes.event[rows], outcomes.time[rows], risk)))
    return refits


@pytest.mark.parametrize("name", NAMES)
def test_they_answer_as_the_refits(fitted, patients, name, tmp_path: Path) -> None:
    model, columns = released(fitted[name], HORIZONS), table(patients)
    refits = refits_of(model, patients)
    gathered = Resampled.of(model, refits, model.baseline_times, 0.95)
    assert gathered is not None
    expected = np.stack([0.7 * refit.log_risk(columns) for refit, _ in refits])
    np.testing.assert_allclose(gathered.log_risks(columns), expected, atol=2e-5)  # float32
    for (refit, baseline), hazards in zip(refits, gathered.hazards_at([400.0, 730.0]), strict=True):
        assert refit.retained
        np.testing.assert_allclose(hazards[1], baseline.at(730.0), rtol=1e-12)
        assert baseline.at(365.0) <= hazards[0] <= baseline.at(430.0)
    path = tmp_path / "refits.npz"
    path.write_bytes(gathered.to_bytes())
    read = Resampled.from_file(path)
    np.testing.assert_array_equal(read.log_risks(columns), gathered.log_risks(columns))
    assert (read.columns, read.confidence) == (gathered.columns, 0.95)
    assert read.to_bytes() == gathered.to_bytes()


def test_the_limits_are_quantiles_of_the_refits_and_hold_the_answer(fitted, patients) -> None:
    model, columns = released(fitted["Late"], HORIZONS), table(patients)
    gathered = Resampled.of(model, refits_of(model, patients, 9), model.baseline_times, 0.8)
    log_risk = model.log_risk(columns)
    band = gathered.band(model, columns, log_risk, (365.0, 730.0, 1e6))
    lower, upper = np.quantile(gathered.log_risks(columns), (0.1, 0.9), axis=0)
    np.testing.assert_allclose(band.lower, np.minimum(lower, log_risk), atol=1e-9)
    np.testing.assert_allclose(band.upper, np.maximum(upper, log_risk), atol=1e-9)
    survival = model.survival(log_risk, (365.0, 730.0))
    assert (band.survival_lower[:, :2] <= survival).all()
    assert (survival <= band.survival_upper[:, :2]).all()
    assert np.isnan(band.survival_lower[:, 2]).all()
    assert band.covers == COVERS
    moved = gathered.band(model, columns, log_risk, (365.0,), recalibration=(1.0, 0.5))
    assert (moved.survival_upper[:, 0] < band.survival_upper[:, 0]).mean() > 0.9  # a level above


def test_a_missing_value_without_a_fill_has_no_limits(fitted, patients) -> None:
    model = released(fitted["Clinical"], HORIZONS)
    gathered = Resampled.of(model, refits_of(model, patients), model.baseline_times, 0.95)
    columns = {"clinical.age": [70.0, np.nan], "clinical.overall_stage": [np.nan, 2.0]}
    band = gathered.band(model, columns, np.array([np.nan, model.log_risk({name: values[1:] for name, values in columns.items()})[0]]), HORIZONS)
    np.testing.assert_array_equal(np.isnan(band.lower), [True, False])  # the age has a fill, the stage has none


def test_networks_that_disagree_widen_the_limits_and_those_that_agree_do_not(fitted, patients) -> None:
    model = released(fitted["DL"], HORIZONS)
    gathered = Resampled.of(model, refits_of(model, patients, 40), model.baseline_times, 0.95)
    one = {column: values[:1] for column, values in table(patients).items()}
    log_risk = model.log_risk(one)
    random = np.random.default_rng(0)
    deep = [name for name in gathered.names if name.startswith("deep.")]
    same = {name: np.repeat(one[name], 5) for name in deep}
    apart = {name: one[name] + 2.0 * (lambda noise: noise - noise.mean())(random.normal(size=5)) for name in deep}
    plain, agreed, disagreed = (gathered.band(model, one, log_risk, HORIZONS, networks=each) for each in (None, same, apart))
    np.testing.assert_allclose([agreed.lower, agreed.upper], [plain.lower, plain.upper], atol=1e-9)
    assert (disagreed.upper - disagreed.lower)[0] > 1.2 * (plain.upper - plain.lower)[0]
    assert disagreed.covers == COVERS_NETWORKS


def test_a_model_that_harmonizes_is_no_linear_function(fitted, patients) -> None:
    outcomes = cohort()[1]
    model = fit(DECLARED["DL"], patients, outcomes, replace(NUMBERS, harmonise="combat", unseen_center="leave"))
    assert Resampled.of(model, [(model, model.baseline)], model.baseline_times, 0.95) is None
    assert Resampled.of(fitted["DL"], [], (365.0,), 0.95) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_linear_function_is_the_model(fitted, patients, name) -> None:
    columns = table(patients)
    intercept, raw = raw_function(fitted[name])
    values = sum(value * (np.log(columns[name]) if log else columns[name]) for (name, log), (value, _) in raw.items())
    np.testing.assert_allclose(intercept + values, fitted[name].log_risk(columns), atol=1e-9)
