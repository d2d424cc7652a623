"""What adds up to a log risk: exactly, for every kind of model, for values that are filled and columns that are harmonized; and as it is shown."""

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from penumbra.fusion import Block, Declaration, SurvivalModel, contributions_of, declarations, explained, fit, fit_all, rounded_sum
from penumbra.fusion.contributions import feature_class
from penumbra.survival.outcome import Outcomes
from tests.fusion.test_fitting import table
from tests.fusion.test_members import NUMBERS, VOLUME, WRITTEN, cohort

pytestmark = pytest.mark.numeric

FURTHER = {
    "Combined": {
        "label": "Combined",
        "family": "combined",
        "kind": "components",
        "blocks": ["gtv", "ring_6mm", "deep"],
        "columns": ["clinical.age", VOLUME],
        "log": [VOLUME],
        "impute": ["clinical.age"],
    }
}
NAMES = ("Volume", "Clinical", "DL", "Ridge", "Late", "Stack", "Combined")


@pytest.fixture(scope="module")
def patients() -> dict[str, Block]:
    blocks, _ = cohort()
    clinical = blocks["clinical"].values.copy()
    clinical[::7, 0] = np.nan  # an age that is not known
    return {**blocks, "clinical": Block("clinical", blocks["clinical"].features, clinical)}


@pytest.fixture(scope="module")
def fitted(patients) -> dict[str, SurvivalModel]:
    models = fit_all(declarations({"late": {**WRITTEN, **FURTHER}}).values(), patients, cohort()[1], NUMBERS)
    return {name: model.calibrated(0.7, model.baseline) for name, model in models.items()}


@pytest.mark.parametrize("name", NAMES)
def test_they_add_up_to_the_log_risk(fitted, patients, name) -> None:
    model, columns = fitted[name], table(patients)
    assert model.slope == 0.7
    assert model.retained
    parts = contributions_of(model, columns)
    log_risk = model.log_risk(columns)
    np.testing.assert_allclose(parts.log_risk, log_risk, rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.constant + sum(parts.blocks.values()), log_risk, rtol=0, atol=1e-12)
    assert sorted(parts.columns) == sorted(model.columns)
    if model.members:
        np.testing.assert_allclose(parts.constant + sum(parts.members.values()), log_risk, rtol=0, atol=1e-12)
        assert set(parts.members) == {member.model.name for member in model.members}
    else:
        assert (parts.constant, dict(parts.members)) == (0.0, {})


@pytest.mark.parametrize("name", NAMES)
def test_each_term_is_what_its_column_alone_changes(fitted, patients, name) -> None:
    """Another way to the same numbers: the model's own answer with one column moved."""
    model, columns = fitted[name], {column: values[:12] for column, values in table(patients).items()}
    parts, before = contributions_of(model, columns), model.log_risk(columns)
    for j in np.random.default_rng(0).permutation(len(parts.columns))[:15]:
        column = parts.columns[j]
        moved = {**columns, column: columns[column] * 1.25}
        after = contributions_of(model, moved)
        np.testing.assert_allclose(after.terms[:, j] - parts.terms[:, j], model.log_risk(moved) - before, rtol=0, atol=1e-11)
        others = np.delete(np.arange(len(parts.columns)), j)
        np.testing.assert_array_equal(after.terms[:, others], parts.terms[:, others])


@pytest.mark.parametrize("name", NAMES)
def test_the_constant_is_the_answer_for_the_mean_training_patient(fitted, name) -> None:
    from penumbra.registry.logged_model import mean_patient

    model = fitted[name]
    if len({column.name for column in model.inputs}) == len(model.inputs):  # nobody is the mean of a column and of its logarithm
        middle = {column: [value] for column, value in mean_patient(model).items()}
        parts = contributions_of(model, middle)
        np.testing.assert_allclose(parts.terms, 0.0, atol=1e-10)
        np.testing.assert_allclose(model.log_risk(middle), parts.constant, atol=1e-10)


def test_a_filled_value_is_named_and_adds_what_the_fill_adds(fitted, patients) -> None:
    for name in ("Clinical", "Late", "Combined"):
        model, columns = fitted[name], table(patients)
        parts = contributions_of(model, columns)
        j = parts.columns.index("clinical.age")
        np.testing.assert_array_equal(parts.filled[:, j], np.isnan(columns["clinical.age"]))
        assert not np.delete(parts.filled, j, axis=1).any()
        fill = next(column.fill for column in model.inputs if column.name == "clinical.age")
        given = contributions_of(model, {**columns, "clinical.age": np.where(parts.filled[:, j], fill, columns["clinical.age"])})
        np.testing.assert_allclose(given.terms, parts.terms, atol=1e-12)


def test_a_harmonized_column_has_the_term_of_its_harmonized_value(patients) -> None:
    outcomes = cohort()[1]
    declared = Declaration("DL", "Deep", "deep", "signature", blocks=("deep",))
    model = fit(declared, {"deep": patients["deep"]}, outcomes, replace(NUMBERS, harmonise="combat", unseen_center="leave"))
    columns = table({"deep": patients["deep"]})
    assert model.harmonizes
    parts = contributions_of(model, columns, centers=outcomes.centers)
    np.testing.assert_allclose(parts.log_risk, model.log_risk(columns, centers=outcomes.centers), rtol=0, atol=1e-12)


def test_a_case_by_hand() -> None:
    """Two columns, (value - mean) / sd x coefficient: (5 - 3) / 2 x 0.5 = 0.5 and (ln 100 - ln 10) / ln 10 x -0.25 = -0.25, times the slope 2."""
    event, time = np.arange(40) % 3 > 0, np.arange(1.0, 41.0)
    random = np.random.default_rng(0)
    blocks = {"gtv": Block("gtv", ("a", "b"), np.exp(random.normal(size=(40, 2))))}
    declared = Declaration("Two", "Two", "control", "cox", columns=("gtv.a", "gtv.b"), log=("gtv.b",))
    model = fit(declared, blocks, Outcomes.of_one_center(event, time), NUMBERS)
    first, second = model.inputs
    ten = math.log(10.0)
    inputs = (replace(first, mean=3.0, sd=2.0, coefficient=0.5), replace(second, mean=ten, sd=ten, coefficient=-0.25))
    by_hand = replace(model, inputs=inputs, slope=2.0)
    parts = contributions_of(by_hand, {"gtv.a": [5.0], "gtv.b": [100.0]})
    np.testing.assert_allclose(parts.terms, [[1.0, -0.5]], atol=1e-15)
    assert parts.blocks["gtv"][0] == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("digits", [1, 2, 3])
def test_what_is_shown_adds_up_to_the_last_digit(fitted, patients, name, digits) -> None:
    """In decimals, as a person adds them; and no line is further than a unit of the last digit per level from its number."""
    model, columns = fitted[name], table(patients)
    parts = contributions_of(model, columns)
    for row in range(0, 160, 11):
        shown = explained(parts, columns, row=row, top=3, digits=digits)

        def added(lines) -> Decimal:
            return sum((Decimal(f"{line.contribution:.{digits}f}") for line in lines), Decimal(0))

        total, constant = (Decimal(f"{value:.{digits}f}") for value in (shown.log_risk, shown.constant))
        assert constant + added(shown.blocks) == total
        assert abs(float(total) - model.log_risk(columns)[row]) <= 0.5 * 10**-digits + 1e-9
        if model.members:
            assert constant + added(shown.members) == total
        for line in shown.blocks:
            assert added(shown.features[line.name]) == Decimal(f"{line.contribution:.{digits}f}")
            assert abs(line.contribution - parts.blocks[line.name][row]) < 2 * 10**-digits
            assert sum(each.columns for each in shown.features[line.name]) == line.columns
            assert len(shown.features[line.name]) <= 4
            assert added(shown.classes[line.name]) == Decimal(f"{line.contribution:.{digits}f}")
            assert sum(each.columns for each in shown.classes[line.name]) == line.columns


def test_the_class_of_a_feature_is_in_its_name() -> None:
    names = ("original_shape_MeshVolume", "log-sigma-3-0-mm-3D_glcm_Imc1", "wavelet-LLL_firstorder_10Percentile", "deep_012", "age", "overall_stage")
    assert [feature_class(name) for name in names] == ["shape", "glcm", "firstorder", "deep", "age", "overall_stage"]


def test_rounding_moves_no_term_by_more_than_a_unit() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        terms = random.normal(size=random.integers(1, 30))
        shown = rounded_sum(math.fsum(terms), terms.tolist(), 2)
        assert sum(Decimal(f"{value:.2f}") for value in shown) == Decimal(f"{math.fsum(terms):.2f}")
        assert np.abs(np.array(shown) - terms).max() < 0.01 + 1e-12
    assert rounded_sum(0.0, [], 2) == ()
