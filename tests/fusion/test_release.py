"""What is registered of a fit: nobody's day, the same answers at the horizons; and versions from before stay what they are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from penumbra.fusion import SurvivalModel, fit_all
from penumbra.fusion.release import LEVELS, percentile, released
from penumbra.survival.baseline import DAYS_PER_MONTH, BaselineHazard
from tests.fusion.test_fitting import table
from tests.fusion.test_members import DECLARED, NUMBERS, cohort

pytestmark = pytest.mark.numeric
HORIZONS = (180.0, 365.0, 730.0, 1095.0)


@pytest.fixture(scope="module")
def fitted() -> dict[str, SurvivalModel]:
    return fit_all(DECLARED.values(), *cohort(), NUMBERS)


def days_in(model: SurvivalModel) -> set[float]:
    return {*model.baseline_times, model.training.followed, *(day for member in model.members for day in days_in(member.model))}


@pytest.mark.parametrize("name", ["Volume", "Ridge", "Late", "Stack"])
def test_no_day_of_a_patient_is_left(fitted, name) -> None:
    blocks, outcomes = cohort()
    before, after = fitted[name], released(fitted[name], HORIZONS)
    patients = set(outcomes.time.tolist())
    assert days_in(before) & patients
    allowed = set(HORIZONS)
    assert not (days_in(after) & patients) - allowed
    assert all(day in allowed or (day / DAYS_PER_MONTH) == pytest.approx(round(day / DAYS_PER_MONTH), abs=1e-9) for day in days_in(after))
    risk = before.log_risk(table(blocks))
    np.testing.assert_array_equal(after.log_risk(table(blocks)), risk)
    np.testing.assert_array_equal(after.survival(risk, HORIZONS), before.survival(risk, HORIZONS))
    np.testing.assert_array_equal(after.risk_group(risk), before.risk_group(risk))
    assert 0 <= before.training.followed - after.training.followed < DAYS_PER_MONTH
    assert SurvivalModel.from_json(after.to_json()) == after
    assert released(after, HORIZONS).baseline_hazard == after.baseline_hazard  # twice is once


def test_the_hazard_between_two_days_of_the_grid_lies_on_their_line() -> None:
    stepped = BaselineHazard(np.array([20.0, 40.0, 100.0]), np.array([0.1, 0.3, 0.6]), 111.0)
    grid = stepped.on_grid([50.0, 111.0, 112.0])
    months = DAYS_PER_MONTH * np.arange(1, 4)
    np.testing.assert_allclose(grid.times, [months[0], 50.0, months[1], months[2], 111.0])
    np.testing.assert_allclose(grid.cumulative_hazard, [0.1, 0.3, 0.3, 0.3, 0.6])
    assert grid.followed == 111.0
    np.testing.assert_allclose(grid.at([0.0, months[0] / 2, 50.0]), [0.0, 0.05, 0.3])
    assert np.isnan(grid.at([111.5])).all()
    assert stepped.on_grid().followed == pytest.approx(months[2])


def test_a_follow_up_of_less_than_a_month_answers_for_day_0_alone() -> None:
    short = BaselineHazard(np.array([3.0]), np.array([0.5]), 20.0).on_grid()
    np.testing.assert_array_equal(np.isnan(short.at([0.0, 20.0])), [False, True])


def test_a_version_from_before_keeps_its_text_and_its_steps(fitted) -> None:
    text = fitted["Late"].to_json()
    assert not {"linear_baseline", "risk_quantiles"} & set(json.loads(text))
    read = SurvivalModel.from_json(text)
    assert not read.baseline.linear
    assert read.to_json() == text
    assert percentile(read, 0.0) is None


def test_percentiles_come_from_quantiles_that_are_no_patients(fitted) -> None:
    risks = np.random.default_rng(0).normal(size=(10, 161))
    model = released(fitted["Volume"], HORIZONS, risks)
    assert len(model.risk_quantiles) == len(LEVELS) == 19
    assert not set(model.risk_quantiles) & set(risks.ravel().tolist())
    assert percentile(model, -9.0) == (0.0, 5.0)
    assert percentile(model, 9.0) == (95.0, 100.0)
    low, high = percentile(model, 0.01)
    assert low <= 100 * (risks < 0.01).mean() + 1
    assert high >= 100 * (risks < 0.01).mean() - 1
    assert high - low == 5.0


def test_a_model_that_kept_nothing_stays(fitted) -> None:
    nothing = replace(fitted["Volume"], inputs=(), baseline_times=(), baseline_hazard=())
    assert released(nothing, HORIZONS) == nothing
