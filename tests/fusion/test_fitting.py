"""Selection and fusion: what is recovered, what cannot leak, what has no answer, and that a fitted model is its JSON."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from penumbra.fusion import (
    Block,
    Declaration,
    Fitting,
    NothingRetained,
    SurvivalModel,
    all_for_margins,
    benjamini_hochberg,
    declarations,
    fit,
    fit_all,
    parts,
    select,
)
from penumbra.fusion.model import HIGHEST
from penumbra.survival import concordance_index
from penumbra.survival.outcome import Outcomes

pytestmark = pytest.mark.numeric

MODELS = Path(__file__).resolve().parents[2] / "models"
REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "fusion"
NUMBERS = Fitting(alpha=0.05, folds=5, seed=1, ties="efron", pca_variance=0.95, lasso_lambda="min", lasso_patience=15, ridge=1.0)
TRUE = np.array([0.8, -0.6, 0.5])
ended = Outcomes.of_one_center


def simulated(n: int, seed: int, noise: int = 40) -> tuple[dict[str, Block], np.ndarray, np.ndarray, np.ndarray]:
    """Blocks, event, time and the true log hazard: one feature each of gtv, ring_6mm and deep carries it; the rest is noise."""
    random = np.random.default_rng(seed)
    cause = random.normal(size=(n, 3))
    blocks = {}
    for k, name in enumerate(("gtv", "ring_3mm", "ring_6mm", "ring_9mm", "deep")):
        values = random.normal(size=(n, noise))
        features = [f"f{i:02d}" for i in range(noise)]
        if name in ("gtv", "ring_6mm", "deep"):
            values[:, 0] = 3 * cause[:, (0, None, 1, None, 2)[k]] + 10
        if name == "gtv":
            values[:, 1] = np.exp(10 + cause[:, 0])
            features[1] = "original_shape_MeshVolume"
        blocks[name] = Block(name, tuple(features), values)
    age, stage = random.normal(65, 9, n), random.integers(1, 5, n).astype(float)
    blocks["clinical"] = Block("clinical", ("age", "overall_stage"), np.column_stack([age, stage]))
    log_hazard = cause @ TRUE
    death, left = random.exponential(700 * np.exp(-log_hazard)), random.exponential(1800, n)
    return blocks, death <= left, np.ceil(np.minimum(death, left)), log_hazard


def table(blocks: dict[str, Block]) -> dict[str, np.ndarray]:
    return {column: block.values[:, j] for block in blocks.values() for j, column in enumerate(block.columns)}


@pytest.fixture(scope="module")
def declared() -> dict[str, Declaration]:
    written = {name: yaml.safe_load((MODELS / f"{name}.yaml").read_text()) for name in ("signatures", "combined", "controls", "late")}
    return declarations(all_for_margins(written, (3, 6, 9)))


@pytest.fixture(scope="module")
def fitted(declared) -> dict[str, SurvivalModel]:
    blocks, event, time, _ = simulated(250, 0)
    return fit_all(declared.values(), blocks, ended(event, time), NUMBERS)


def test_every_declared_model_is_there(declared) -> None:
    assert list(declared) == [
        *("Rad", "Rad_3mm", "Rad_6mm", "Rad_9mm", "Rad+Rad_3mm", "Rad+Rad_6mm", "Rad+Rad_9mm", "DL"),
        *("Combined", "Combined+Clinical", "Volume", "Clinical", "Ridge", "Late"),
    ]
    assert declared["Combined"].blocks == ("gtv", "ring_6mm", "deep")


def test_unknown_keys_are_named() -> None:
    entry = {"label": "x", "family": "control", "kind": "cox", "columns": ["clinical.age"]}
    with pytest.raises(ValueError, match=r"models/controls\.yaml.*: Volume has no key 'colums'\. Did you mean columns\? Known: label"):
        declarations({"controls": {"Volume": {**entry, "colums": []}}})
    with pytest.raises(ValueError, match="is of kind 'forest'"):
        declarations({"controls": {"Volume": {**entry, "kind": "forest"}}})
    with pytest.raises(ValueError, match="Volume is declared twice"):
        declarations({"controls": {"Volume": entry}, "combined": {"Volume": entry}})


def test_known_causes_are_recovered_and_carry_to_other_patients(fitted) -> None:
    blocks, event, time, log_hazard = simulated(400, 1)
    columns = table(blocks)
    ceiling = concordance_index(event, time, log_hazard)
    c = {name: concordance_index(event, time, model.log_risk(columns)) for name, model in fitted.items() if model.retained}
    assert {"gtv.f00", "ring_6mm.f00", "deep.f00"} <= set(fitted["Combined"].columns)
    assert ceiling - 0.05 < c["Combined"] <= ceiling + 0.02
    assert c["Combined"] > c["Rad+Rad_6mm"] > c["Volume"] > 0.6
    assert np.corrcoef(fitted["Combined"].log_risk(columns), log_hazard)[0, 1] > 0.9


def test_volume_control_recovers_its_coefficient() -> None:
    blocks, _, _, _ = simulated(2000, 2)
    random = np.random.default_rng(3)
    log_volume = np.log(blocks["gtv"].values[:, 1])
    time = random.exponential(500 * np.exp(-0.7 * (log_volume - 10)))
    volume = Declaration("Volume", "", "control", "cox", columns=("gtv.original_shape_MeshVolume",), log=("gtv.original_shape_MeshVolume",))
    model = fit(volume, blocks, ended(np.ones(2000, bool), time), NUMBERS)
    assert model.inputs[0].coefficient / model.inputs[0].sd == pytest.approx(0.7, abs=0.06)
    assert np.median(model.log_risk(table(blocks))) == pytest.approx(model.cutoff, rel=1e-12)


def test_survival_is_calibrated_on_training(fitted) -> None:
    blocks, event, time, _ = simulated(250, 0)
    model = fitted["Combined"]
    log_risk = model.log_risk(table(blocks))
    assert model.training.followed == time.max()
    survival = model.survival(log_risk, [0, 365, 730, time.max()])
    assert survival.shape == (250, 4)
    assert np.isnan(model.survival(log_risk, [99_999])).all(), "nobody was followed so long"
    assert np.all(survival[:, 0] == HIGHEST)
    assert np.all(model.baseline.survival(log_risk, [0]) == 1)
    assert np.all(np.diff(survival, axis=1) <= 0)
    assert (model.baseline.at(time) * np.exp(log_risk)).sum() == pytest.approx(event.sum(), rel=1e-9)
    assert (model.risk_group(log_risk) == "high").sum() == 125


def test_json_is_exact_and_names_the_numbers(fitted) -> None:
    blocks, *_ = simulated(50, 4)
    for model in fitted.values():
        again = SurvivalModel.from_json(model.to_json())
        assert again == model
        assert again.digest() == model.digest()
        assert SurvivalModel.from_json(json.loads(model.to_json())) == model
        if model.retained:
            np.testing.assert_array_equal(again.log_risk(table(blocks)), model.log_risk(table(blocks)))
    with pytest.raises(ValueError, match="not a survival model of format 2"):
        SurvivalModel.from_json({"format": 1})


def test_the_same_patient_alone_or_among_others(fitted) -> None:
    blocks, *_ = simulated(20, 5)
    columns = table(blocks)
    for model in fitted.values():
        if model.retained:
            together = model.log_risk(columns)
            alone = [model.log_risk({name: values[i : i + 1] for name, values in columns.items()})[0] for i in range(20)]
            np.testing.assert_array_equal(together, alone)
            names = list(columns)
            np.testing.assert_array_equal(together, model.log_risk((np.column_stack([columns[name] for name in names]), names)))


def test_combined_is_its_components(fitted) -> None:
    blocks, *_ = simulated(30, 6)
    model, columns = fitted["Combined"], table(blocks)
    np.testing.assert_allclose(model.scores(columns) @ np.array(model.cox_coef), model.log_risk(columns), atol=1e-10)
    assert sum(model.explained[: len(model.components)]) >= 0.95 - 1e-12
    assert sum(model.explained[: len(model.components) - 1]) < 0.95


def test_age_and_stage_stand_beside_the_components(declared) -> None:
    """With an outcome that age alone drives, the further block carries it, unturned and unselected; the components stay what they were."""
    blocks, _, _, _ = simulated(400, 3)
    age = blocks["clinical"].values[:, 0]
    random = np.random.default_rng(4)
    time = random.exponential(500 * np.exp(-0.1 * (age - 65) - 0.5 * (blocks["gtv"].values[:, 0] - 10) / 3))
    plain, further = (fit(declared[name], blocks, ended(np.ones(400, bool), time), NUMBERS) for name in ("Combined", "Combined+Clinical"))
    assert further.columns == (*plain.columns, "clinical.age", "clinical.overall_stage")
    assert [row[: len(plain.columns)] for row in further.components[: len(plain.components)]] == list(plain.components)
    assert further.inputs[-2].coefficient / further.inputs[-2].sd == pytest.approx(0.1, abs=0.015)
    columns = table(blocks)
    np.testing.assert_allclose(further.scores(columns) @ np.array(further.cox_coef), further.log_risk(columns), atol=1e-10)
    columns["clinical.age"] = np.full(400, np.nan)
    assert np.isfinite(further.log_risk(columns)).all()


def test_other_patients_change_nothing(declared) -> None:
    """Outcomes and features of external centers never reach a fit: every learned number is the same, to the last bit."""
    blocks, event, time, _ = simulated(200, 7)
    training = np.arange(200) < 120
    spoiled = {name: Block(name, block.features, np.where(training[:, None], block.values, 1e6)) for name, block in blocks.items()}
    digests = []
    for some, outcome in ((blocks, event), (spoiled, event ^ ~training)):
        rows = {name: Block(name, block.features, block.values[training]) for name, block in some.items()}
        models = fit_all([declared["Combined"], declared["Rad"], declared["Clinical"]], rows, ended(outcome[training], time[training]), NUMBERS)
        digests.append([model.digest() for model in models.values()])
    assert digests[0] == digests[1]


def test_permuted_outcomes_give_one_half_out_of_sample(declared) -> None:
    found = []
    for seed in range(6):
        blocks, event, time, _ = simulated(160, 20 + seed)
        order = np.random.default_rng(seed).permutation(160)
        event, time = event[order], time[order]
        rows = {name: Block(name, block.features, block.values[:80]) for name, block in blocks.items()}
        model = fit(declared["Combined"], rows, ended(event[:80], time[:80]), NUMBERS)
        if model.retained:
            found.append(concordance_index(event[80:], time[80:], model.log_risk(table(blocks))[80:]))
    assert len(found) >= 3
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)


def test_no_feature_retained_is_a_result(declared) -> None:
    blocks, event, time, _ = simulated(60, 8)
    models = fit_all(declared.values(), blocks, ended(event, time), replace(NUMBERS, alpha=1e-30))
    rad = models["Rad"]
    assert not rad.retained
    assert rad.reason == "no column of gtv has p < 1e-30 (of 40)"
    assert SurvivalModel.from_json(rad.to_json()) == rad
    for refused in (lambda: rad.log_risk(table(blocks)), lambda: rad.survival([0.0], [365])):
        with pytest.raises(NothingRetained, match="Rad retained no feature: no column of gtv has p"):
            refused()
    assert models["Volume"].retained


def test_bad_columns_are_dropped_and_listed() -> None:
    blocks, event, time, _ = simulated(150, 9)
    values = blocks["gtv"].values.copy()
    values[:, 5], values[3, 6], values[:, 7] = 4.2, np.nan, values[:, 0]
    found = select(Block("gtv", blocks["gtv"].features, values), ended(event, time), replace(NUMBERS, lasso_patience=None))
    assert found.constant == ("gtv.f05",)
    assert found.not_finite == ("gtv.f06",)
    assert found.offered == 40
    assert {"gtv.f00", "gtv.f07"} & set(found.kept)
    assert found.significant_fdr <= found.significant


def test_missing_values(fitted) -> None:
    blocks, *_ = simulated(80, 10)
    model, columns = fitted["Combined"], table(blocks)
    columns["gtv.f00"] = np.where(np.arange(80) == 2, np.nan, columns["gtv.f00"])
    with pytest.raises(ValueError, match=r"gtv\.f00 is missing for 1 of 80 patients \(model Combined\)\. Populate it first"):
        model.log_risk(columns)
    assert np.flatnonzero(np.isnan(model.log_risk(columns, missing="nan"))).tolist() == [2]
    del columns["gtv.f00"]
    with pytest.raises(ValueError, match=r"Combined needs the column gtv\.f00; found"):
        model.log_risk(columns)


def test_clinical_control_imputes_and_says_so(declared) -> None:
    blocks, event, time, _ = simulated(90, 11)
    clinical = blocks["clinical"].values.copy()
    clinical[::9, 0], clinical[:, 1] = np.nan, np.nan
    blocks["clinical"] = Block("clinical", ("age", "overall_stage"), clinical)
    model = fit(declared["Clinical"], blocks, ended(event, time), NUMBERS)
    assert model.columns == ("clinical.age",)
    assert model.inputs[0].fill == np.nanmedian(clinical[:, 0])
    assert "clinical.overall_stage is missing for every training patient: left out" in model.training.remarks
    assert np.isfinite(model.log_risk({"clinical.age": [np.nan, 70.0]})).all()
    clinical[:, 0] = np.nan
    assert not fit(declared["Clinical"], blocks, ended(event, time), NUMBERS).retained


def test_volume_must_be_positive(declared) -> None:
    blocks, event, time, _ = simulated(30, 12)
    blocks["gtv"].values[4, 1] = 0.0
    with pytest.raises(ValueError, match=r"original_shape_MeshVolume must be positive, its logarithm is taken; found 0"):
        fit(declared["Volume"], blocks, ended(event, time), NUMBERS)


@pytest.mark.parametrize("n", [5, 12])
def test_very_few_patients_answer_something(declared, n: int) -> None:
    blocks, event, time, _ = simulated(n, 13)
    event[:2] = True
    for model in fit_all(declared.values(), blocks, ended(event, time), NUMBERS).values():
        if model.retained:
            assert np.isfinite(model.log_risk(table(blocks))).all()
        else:
            assert model.reason


def test_one_time_for_all(declared) -> None:
    blocks, event, *_ = simulated(40, 14)
    for model in fit_all(declared.values(), blocks, ended(event, np.full(40, 100.0)), NUMBERS).values():
        assert model.retained or model.reason


def test_what_is_wrong_is_named(declared) -> None:
    blocks, event, time, _ = simulated(30, 15)
    with pytest.raises(ValueError, match="Combined needs the block deep; found gtv, ring_6mm"):
        fit(declared["Combined"], [blocks["gtv"], blocks["ring_6mm"]], ended(event, time), NUMBERS)
    with pytest.raises(ValueError, match=r"block gtv has values of shape \(30, 40\); expected \(29, 40\)"):
        fit(declared["Rad"], blocks, ended(event[1:], time[1:]), NUMBERS)
    with pytest.raises(ValueError, match="no event among 30 patients"):
        fit(declared["Rad"], blocks, ended(np.zeros(30, bool), time), NUMBERS)
    with pytest.raises(ValueError, match="lasso_lambda must be 'min' or '1se'"):
        fit(declared["Rad"], simulated(100, 0)[0], ended(*simulated(100, 0)[1:3]), replace(NUMBERS, lasso_lambda="max"))


def test_benjamini_hochberg_by_hand() -> None:
    np.testing.assert_allclose(benjamini_hochberg([0.01, 0.04, 0.03, 0.5]), [0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_a_model_of_before_keeps_its_text_and_answers_to_its_last_death(fitted) -> None:
    """It does not record how long its patients were followed: its JSON, and so its digest, stays what it was."""
    document = fitted["Combined"].to_dict()
    followed = document["training"].pop("followed")
    before = SurvivalModel.from_json(json.dumps(document))
    assert before.training.followed is None
    assert before.to_dict() == document
    assert before.baseline.last_day == max(document["baseline_times"]) <= followed
    assert before.digest() != fitted["Combined"].digest()


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("Clinical", "50b17ae76c5e24f1bd3e6941cc5f02ef5eeb766e88258133eda3d6d297fd0d84"),
        ("DL", "9dee7f79ea70c6cf6dedc5a683abbe4715ca3d96061e9837fe4130a941419035"),
    ],
)
def test_a_model_that_an_earlier_version_wrote_is_read_and_keeps_its_digest(name: str, digest: str) -> None:
    text = (REFERENCE / f"{name}.json").read_text(encoding="utf-8")
    stored, model = json.loads(text), SurvivalModel.from_json(text)
    assert (model.to_json(), model.digest()) == (text, digest)
    assert [(column.name, column.fill, column.mean) for column in model.inputs] == list(zip(stored["columns"], stored["fills"], stored["means"], strict=True))
    assert (model.training.lasso_lambda, model.training.lasso_patience) == ("min", 15)
    values = {column.name: [column.mean + 2 * column.sd] for column in model.inputs}
    assert model.log_risk(values)[0] == pytest.approx(2 * sum(stored["coefficients"]))


@pytest.mark.parametrize("shape", [(1, 1), (5, 700), (40, 3), (3, 0)])
def test_a_risk_is_summed_column_by_column_however_many_there_are(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered models answer with the same bits in every way of summing."""
    generator = np.random.default_rng(0)
    z, coefficients = generator.normal(size=shape), generator.normal(size=shape[1]).tolist()
    at_once = parts.linear_risk(z, coefficients)
    monkeypatch.setattr(parts, "AT_ONCE", -1)
    assert parts.linear_risk(z, coefficients).tobytes() == at_once.tobytes()
