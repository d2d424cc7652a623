"""Whom a model is for: words, limits and distances, against scikit-learn and cases computed by hand."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from penumbra.fusion import Applying, Block, Declaration, Fitting, SurvivalModel, fit_all
from penumbra.fusion.declaration import Unusable
from penumbra.survival.outcome import Outcomes
from penumbra.survival.shrinkage import ledoit_wolf_shrinkage

FITTING = Fitting(alpha=0.2, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
NUMBERS = Applying(low=1.0, high=99.0, variance=0.95, folds=10, edge=0.08, outside=0.01, seed=1)
VOLUME = Declaration("Volume", "Volume", "control", "cox", columns=("gtv.f00",), log=("gtv.f00",))
CLINICAL = Declaration("Clinical", "Clinical", "control", "cox", columns=("clinical.age", "clinical.stage"), impute=("clinical.age", "clinical.stage"))
RIDGE = Declaration("Ridge", "Ridge", "radiomics", "ridge", blocks=("gtv",))
RAD = Declaration("Rad", "Rad", "radiomics", "signature", blocks=("gtv",))
COMBINED = Declaration("Combined", "Combined", "combined", "components", blocks=("gtv",))
LATE = Declaration("Late", "Late", "combined", "mean", members=(VOLUME, CLINICAL, RIDGE))
STACK = Declaration("Stack", "Stack", "combined", "stacked", members=(VOLUME, RIDGE))
DECLARED = (VOLUME, CLINICAL, RIDGE, RAD, COMBINED, LATE, STACK)
COLUMNS = 24


def drawn(patients: int, seed: int) -> dict[str, np.ndarray]:
    """Columns with three causes in common; the first is positive, ages and stages as a hospital has them."""
    generator = np.random.default_rng(seed)
    causes = generator.normal(size=(patients, 3))
    weights = np.random.default_rng(99).normal(size=(3, COLUMNS))
    values = causes @ weights + 0.5 * generator.normal(size=(patients, COLUMNS))
    values[:, 0] = np.exp(0.5 * values[:, 0])
    table = {f"gtv.f{j:02d}": values[:, j] for j in range(COLUMNS)}
    return {**table, "clinical.age": generator.normal(66, 9, patients), "clinical.stage": generator.integers(1, 4, patients).astype(float)}


def fitted(patients: int = 150, numbers: Fitting = FITTING, centers: np.ndarray | None = None) -> tuple[dict[str, SurvivalModel], dict[str, np.ndarray]]:
    table = drawn(patients, 0)
    blocks = [
        Block("gtv", tuple(f"f{j:02d}" for j in range(COLUMNS)), np.stack([table[f"gtv.f{j:02d}"] for j in range(COLUMNS)], axis=1)),
        Block("clinical", ("age", "stage"), np.stack([table["clinical.age"], table["clinical.stage"]], axis=1)),
    ]
    risk = np.log(table["gtv.f00"]) + table["gtv.f03"] + 0.3 * table["clinical.stage"]
    time = np.random.default_rng(1).exponential(500 * np.exp(-0.5 * risk))
    outcomes = Outcomes(np.arange(patients) % 4 > 0, time, np.repeat("north", patients) if centers is None else centers)
    models = fit_all(DECLARED, blocks, outcomes, numbers)
    return {name: model.with_domain(table, outcomes.centers, NUMBERS) for name, model in models.items()}, table


@pytest.fixture(scope="module")
def models() -> dict[str, SurvivalModel]:
    return fitted()[0]


def one(table: dict[str, np.ndarray], **changed: float) -> dict[str, np.ndarray]:
    return {**table, **{name: np.array([value]) for name, value in changed.items()}}


def typical() -> dict[str, np.ndarray]:
    """A patient in the middle of every column."""
    return {name: np.array([np.median(values)]) for name, values in drawn(150, 0).items()}


def test_shrinkage_as_scikit_learn_has_it():
    covariance = pytest.importorskip("sklearn.covariance")
    generator = np.random.default_rng(3)
    for n, p in ((60, 4), (40, 40), (30, 200)):
        X = generator.normal(size=(n, p)) @ np.diag(generator.uniform(0.1, 3, p)) + generator.normal(size=(n, 1))
        share, mean = ledoit_wolf_shrinkage(X)
        assert share == pytest.approx(covariance.ledoit_wolf_shrinkage(X), rel=1e-9)
        assert mean == pytest.approx(np.trace(np.cov(X.T, bias=True)) / p)
    assert ledoit_wolf_shrinkage(generator.normal(size=(20, 1)))[0] == 1.0


def test_one_column_by_hand(models):
    """Volume: percentiles of the logarithm are numpy's, and the distance counts standard deviations of what is scaled to them."""
    model, values = models["Volume"], np.log(drawn(150, 0)["gtv.f00"])
    low, middle, high = np.percentile(values, [1, 50, 99])
    assert model.domain.columns == ("gtv.f00",)
    assert (model.domain.low[0], model.domain.middle[0], model.domain.high[0]) == pytest.approx((low, middle, high), rel=1e-5)
    scaled = np.where(values > middle, (values - middle) / (high - middle), (values - middle) / (middle - low))
    patient = model.applicability({"gtv.f00": [np.exp(middle + 0.9 * (high - middle))]})[0]
    assert patient.distance == pytest.approx(abs(0.9 - scaled.mean()) / scaled.std(), rel=1e-4)
    assert patient.word == "inside"


def test_distance_by_hand():
    """Two columns that share a cause: the Mahalanobis distance of the shrunk covariance, as numpy inverts it."""
    table = {name: values for name, values in drawn(200, 5).items() if name in ("gtv.f01", "gtv.f02")}
    block = Block("gtv", ("f01", "f02"), np.stack([table["gtv.f01"], table["gtv.f02"]], axis=1))
    outcomes = Outcomes.of_one_center(np.ones(200, dtype=bool), np.random.default_rng(2).exponential(300 * np.exp(-table["gtv.f01"])))
    declared = Declaration("Two", "Two", "control", "cox", columns=("gtv.f01", "gtv.f02"))
    model = fit_all([declared], [block], outcomes, FITTING)["Two"].with_domain(table, outcomes.centers, replace(NUMBERS, variance=1.0))
    weighted = []
    for column in model.inputs:
        low, middle, high = np.percentile(table[column.name], [1, 50, 99])
        steps = table[column.name] - middle
        weighted.append(column.coefficient * 2.326 * np.where(steps > 0, steps / (high - middle), steps / (middle - low)))
    points = np.stack(weighted, axis=1)
    share, mean = ledoit_wolf_shrinkage(points)
    covariance = (1 - share) * np.cov(points.T, bias=True) + share * mean * np.eye(2)
    centered = points - points.mean(axis=0)
    by_hand = np.sqrt(np.einsum("ij,jk,ik->i", centered, np.linalg.inv(covariance), centered))
    assert [patient.distance for patient in model.applicability(table)] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("name", [declaration.name for declaration in DECLARED])
def test_patients_of_the_same_kind_are_inside(models, name):
    """At the stated rate: of the training patients, and of others drawn alike."""
    words = Counter(patient.word for patient in models[name].applicability(drawn(150, 0)))
    assert words["edge"] + words["outside"] <= 15
    others = Counter(patient.word for patient in models[name].applicability(drawn(2000, 7)))
    assert others["edge"] + others["outside"] <= 300
    assert others["outside"] <= 100


@pytest.mark.parametrize("name", ["Ridge", "Rad", "Combined", "Late", "Stack"])
def test_another_scanner_is_not_inside(models, name):
    """Values moved and stretched, as another reconstruction does."""
    foreign = {column: values * 4 + 15 if column != "gtv.f00" and column.startswith("gtv") else values for column, values in drawn(100, 8).items()}
    words = Counter(patient.word for patient in models[name].applicability(foreign))
    assert words["inside"] <= 5
    assert words["outside"] >= 80


@pytest.mark.parametrize("name", ["Volume", "Ridge", "Combined", "Late"])
def test_another_unit_is_outside(models, name):
    """Volume in mm3 instead of cm3."""
    patient = models[name].applicability(one(typical(), **{"gtv.f00": typical()["gtv.f00"][0] * 1000}))[0]
    assert patient.word == "outside"
    assert patient.columns[0] == "gtv.f00"


@pytest.mark.parametrize("name", ["Volume", "Ridge", "Combined", "Late"])
def test_one_column_beyond_flags_nobody(models, name):
    """For each column the patient in range who is nearest to its upper percentile crosses it and is named; the share never counts, the distance hardly ever."""
    model, table = models[name], drawn(600, 21)
    domain, before, flagged = model.domain, model.applicability(table), 0
    for column, high in zip(domain.columns, domain.high, strict=True):
        high = np.exp(high) if column == "gtv.f00" and name in ("Volume", "Late") else high
        in_range = [i for i, patient in enumerate(before) if not patient.columns and patient.word == "inside"]
        nearest = max(in_range, key=lambda i, column=column: table[column][i])
        patient = model.applicability({name: values[[nearest]] if name != column else [high + 0.001] for name, values in table.items()})[0]
        assert patient.columns == (column,)
        assert patient.share == pytest.approx(1 / len(domain.columns))
        assert patient.word == domain.word(0, patient.distance) != "outside"
        flagged += patient.word != "inside"
    assert flagged <= (0 if name == "Volume" else 2)


@pytest.mark.parametrize("name", ["Ridge", "Late", "Stack"])
def test_a_quarter_of_the_columns_beyond(models, name):
    model = models[name]
    names = model.domain.columns[1 : 1 + len(model.domain.columns) // 4 + 1]
    changed = {column: high + 0.01 for column, high in zip(model.domain.columns, model.domain.high, strict=True) if column in names}
    patient = model.applicability(one(typical(), **changed))[0]
    assert patient.word != "inside"
    assert set(patient.columns) == set(names)
    assert f"{len(names)} of {len(model.domain.columns)} columns" in patient.reason


def test_huge_missing_and_infinite_values(models):
    model = models["Ridge"]
    for value in (1e300, 1e20, -1e20, np.inf, -np.inf, np.nan):
        patient = model.applicability(one(typical(), **{"gtv.f05": value}))[0]
        assert patient.word == "outside"
        assert patient.columns == ("gtv.f05",)
        json.dumps(patient.to_dict(), allow_nan=False)
    assert "gtv.f05 missing or infinite" in patient.reason
    with pytest.raises(Unusable, match=r"needs the column gtv\.f00"):
        model.applicability({"gtv.f01": [1.0]})


def test_what_is_filled_is_said_and_not_flagged(models):
    patient = models["Clinical"].applicability({"clinical.age": [66.0], "clinical.stage": [np.nan]})[0]
    assert patient.word == "inside"
    assert "clinical.stage missing, replaced by the training median" in patient.reason
    assert models["Clinical"].applicability({"clinical.age": [np.inf], "clinical.stage": [2.0]})[0].word == "outside"


def test_broken_correlations_are_found_by_the_distance(models):
    """Each value is one that a training patient has, of another patient each: nothing is out of range, and they do not belong together."""
    table = drawn(400, 11)
    generator = np.random.default_rng(12)
    mixed = {name: generator.permutation(values) for name, values in table.items()}
    together, apart = ([patient.word for patient in models["Ridge"].applicability(each)] for each in (table, mixed))
    assert together.count("inside") > 340
    assert apart.count("inside") < 200
    flagged = [patient for patient in models["Ridge"].applicability(mixed) if patient.word != "inside"]
    assert any(not patient.columns for patient in flagged)


def test_alone_or_among_others_the_same_bits(models):
    table = drawn(30, 4)
    for model in models.values():
        among = model.applicability(table)
        for i in (0, 17):
            assert model.applicability({name: values[i : i + 1] for name, values in table.items()})[0] == among[i]


def test_harmonized(models):
    """Measured is what the model reads: an unseen center is refused, taken as it is, or brought to the location that its own images have."""
    centers = np.where(np.arange(150) < 75, "north", "east")
    foreign = {column: values + 30 * (column != "gtv.f00") for column, values in drawn(40, 8).items()}
    words = {}
    for policy in ("refuse", "leave", "estimate"):
        model = fitted(numbers=replace(FITTING, harmonise="combat", unseen_center=policy), centers=centers)[0]["Ridge"]
        words[policy] = Counter(patient.word for patient in model.applicability(foreign, centers=["west"] * 40))
        assert Counter(patient.word for patient in model.applicability(drawn(150, 0), centers=centers))["inside"] >= 135
    assert words["refuse"] == words["leave"] == {"outside": 40}
    assert words["estimate"]["inside"] >= 30


def test_of_before_is_unknown_and_keeps_its_text(models):
    before = replace(models["Late"], domain=None)
    assert "domain" not in before.to_dict()
    assert SurvivalModel.from_json(before.to_json()) == before
    patients = before.applicability(drawn(3, 4))
    assert [patient.word for patient in patients] == ["unknown"] * 3
    assert "registered before" in patients[0].reason
    assert before.log_risk(drawn(3, 4)).tolist() == models["Late"].log_risk(drawn(3, 4)).tolist()


def test_stored_and_back(models):
    for model in models.values():
        again = SurvivalModel.from_json(model.to_json())
        assert again == model
        assert again.digest() == model.digest()


def test_no_row_of_a_patient_is_in_it(models):
    """A patient's values are not in the text, and more components than a third of the patients are not kept."""
    table = drawn(150, 0)
    for name in ("Ridge", "Late"):
        model = models[name]
        text = json.dumps(model.domain.to_dict())
        for values in table.values():
            assert not any(repr(float(value)) in text for value in values if value % 1)
        assert len(model.domain.variances) <= 50


def test_outcomes_do_not_matter(models):
    """The domain of the same model is the same whatever became of anybody: it is given columns only."""
    model = replace(models["Ridge"], domain=None)
    assert model.with_domain(drawn(150, 0), np.repeat("north", 150), NUMBERS).domain == models["Ridge"].domain


def test_few_patients():
    models, table = fitted(patients=12)
    for model in models.values():
        if model.retained:
            assert {patient.word for patient in model.applicability(table)} <= {"inside", "edge", "outside"}
