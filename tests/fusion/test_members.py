"""Ridge, mean and stacked models: what they are made of, what cannot leak, what has no answer, and that they are their JSON."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from penumbra.evaluate import ModelRisk, internal_external, resampled_fits
from penumbra.evaluate.refits import Resampling
from penumbra.fusion import Block, Declaration, Fitting, SurvivalModel, check_columns, declarations, fit, fit_all
from penumbra.fusion.members import cross_fitted
from penumbra.fusion.model import HIGHEST, LOWEST, NothingRetained
from penumbra.fusion.patients import Patients, not_redundant
from penumbra.survival import breslow_baseline, concordance_index, ridge_cox
from penumbra.survival.outcome import Outcomes
from tests.fusion.test_fitting import simulated, table

pytestmark = pytest.mark.numeric

NUMBERS = Fitting(alpha=0.05, folds=5, seed=1, ties="efron", pca_variance=0.95, lasso_lambda="min", lasso_patience=15, ridge=1.0)
VOLUME = "gtv.original_shape_MeshVolume"
WRITTEN = {
    "Volume": {"label": "Volume", "family": "control", "kind": "cox", "columns": [VOLUME], "log": [VOLUME]},
    "Clinical": {"label": "Clinical", "family": "control", "kind": "cox", "columns": ["clinical.age", "clinical.overall_stage"], "impute": ["clinical.age"]},
    "DL": {"label": "Deep", "family": "deep", "kind": "signature", "blocks": ["deep"]},
    "Ridge": {"label": "Ridge", "family": "radiomics", "kind": "ridge", "blocks": ["gtv", "ring_6mm"]},
    "Late": {"label": "Mean", "family": "combined", "kind": "mean", "members": ["Volume", "Clinical", "DL", "Ridge"]},
    "Stack": {"label": "Stack", "family": "combined", "kind": "stacked", "members": ["Volume", "Clinical", "DL", "Ridge"]},
}
DECLARED = declarations({"late": WRITTEN})


def cohort(n: int = 160, seed: int = 0) -> tuple[dict[str, Block], Outcomes]:
    blocks, event, time, _ = simulated(n, seed)
    return blocks, Outcomes(event, time, np.array(["east", "west"])[np.arange(n) % 2])


@pytest.fixture(scope="module")
def fitted() -> dict[str, SurvivalModel]:
    return fit_all(DECLARED.values(), *cohort(), NUMBERS)


def test_a_ridge_is_the_cox_model_of_every_column(fitted) -> None:
    blocks, outcomes = cohort()
    model = fitted["Ridge"]
    raw = np.hstack([blocks["gtv"].values, blocks["ring_6mm"].values])
    z = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    coef = ridge_cox(outcomes.event, outcomes.time, z, penalty=model.selections[0].penalty)
    np.testing.assert_allclose([column.coefficient for column in model.inputs], coef, atol=1e-8)
    np.testing.assert_allclose(model.log_risk(table(blocks)), z @ coef, atol=1e-8)
    assert model.columns == (*blocks["gtv"].columns, *blocks["ring_6mm"].columns)
    assert [(each.block, each.offered, each.kept) for each in model.selections] == [("gtv", 40, ()), ("ring_6mm", 40, ())]


def test_a_mean_is_the_equal_mean_of_standardized_risks(fitted) -> None:
    blocks, outcomes = cohort()
    columns, model = table(blocks), fitted["Late"]
    assert [member.model for member in model.members] == [fitted[name] for name in ("Volume", "Clinical", "DL", "Ridge")]
    expected = np.mean([(each.model.log_risk(columns) - each.mean) / each.sd for each in model.members], axis=0)
    np.testing.assert_allclose(model.log_risk(columns), expected, atol=1e-12)
    patients = Patients(blocks, outcomes, NUMBERS)
    for member in model.members:
        risk = cross_fitted(DECLARED[member.model.name], patients, member.model)
        assert (member.mean, member.sd, member.weight) == (risk.mean(), risk.std(), 0.25)
        assert concordance_index(outcomes.event, outcomes.time, risk) < concordance_index(outcomes.event, outcomes.time, member.model.log_risk(columns))


def test_its_columns_have_the_coefficients_that_they_have_together(fitted) -> None:
    blocks, _ = cohort(30, 9)
    columns = table(blocks)
    for name in ("Late", "Stack"):
        model = fitted[name]
        linear = sum(each.coefficient * ((np.log(columns[each.name]) if each.log else columns[each.name]) - each.mean) / each.sd for each in model.inputs)
        assert np.ptp(linear - model.log_risk(columns)) < 1e-10
        assert len(set(model.columns)) == len(model.columns)
    volumes = [(each.log, each.fill) for each in fitted["Late"].inputs if each.name == VOLUME]
    assert sorted(volumes) == [(False, None), (True, None)], "with its logarithm, and as the ridge takes it"


def test_a_stack_weighs_what_predicts(fitted) -> None:
    blocks, outcomes = cohort(400, 5)
    columns = table(blocks)
    weights = {member.model.name: member.weight for member in fitted["Stack"].members}
    assert all(weight > 0 for weight in weights.values())
    assert max(weights, key=weights.__getitem__) in ("Volume", "DL", "Ridge")
    c = {name: concordance_index(outcomes.event, outcomes.time, model.log_risk(columns)) for name, model in fitted.items()}
    assert c["Stack"] > c["Clinical"] + 0.1
    assert c["Late"] > c["Volume"]


def test_json_is_exact_and_old_models_keep_their_text(fitted) -> None:
    blocks, outcomes = cohort(40, 4)
    columns = table(blocks)
    baseline = breslow_baseline(outcomes.event, outcomes.time, np.zeros(40))
    for model in (*fitted.values(), *(each.calibrated(0.7, baseline) for each in fitted.values())):
        again = SurvivalModel.from_json(model.to_json())
        assert again == model
        assert again.digest() == model.digest()
        np.testing.assert_array_equal(again.log_risk(columns), model.log_risk(columns))
    assert {"members", "slope"} & set(json.loads(fitted["Volume"].to_json())) == set()
    assert "slope" not in fitted["Late"].to_dict()


def test_calibration_scales_the_risk_and_leaves_the_groups(fitted) -> None:
    blocks, outcomes = cohort()
    columns = table(blocks)
    for name in ("Volume", "Late"):
        model = fitted[name]
        risk = 0.4 * model.log_risk(columns)
        baseline = breslow_baseline(outcomes.event, outcomes.time, risk)
        calibrated = model.calibrated(0.4, baseline)
        np.testing.assert_allclose(calibrated.log_risk(columns), risk, rtol=1e-12)
        assert (calibrated.risk_group(risk) == model.risk_group(model.log_risk(columns))).mean() > 0.98, "the median patient alone may round to the other side"
        np.testing.assert_array_equal(calibrated.baseline.cumulative_hazard, baseline.cumulative_hazard)
        assert calibrated.inputs == model.inputs
        assert calibrated.cox_coef == model.cox_coef
        twice = calibrated.calibrated(0.8, baseline)
        np.testing.assert_allclose(twice.log_risk(columns), 2 * risk, rtol=1e-12)
        assert twice.cutoff == pytest.approx(0.8 * model.cutoff)
    for slope in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="slope must be positive and finite"):
            fitted["Volume"].calibrated(slope, baseline)


def test_no_probability_is_certain(fitted) -> None:
    blocks, _ = cohort()
    model = fitted["Late"]
    risk = np.concatenate([model.log_risk(table(blocks)), [-60.0, 60.0]])
    survival = model.survival(risk, [0, 365, 99_999])
    assert np.nanmin(survival) == LOWEST
    assert np.nanmax(survival) == HIGHEST
    assert np.isnan(survival[:, 2]).all()
    served = ModelRisk(risk, model.cutoff, model.baseline)
    np.testing.assert_array_equal(served.death([0, 365]), 1.0 - survival[:, :2])
    np.testing.assert_array_equal(served.unlimited([0, 365]), model.baseline.survival(risk, [0, 365]))
    assert (served.unlimited([0])[:, 0] == 1.0).all()
    assert served.unlimited([365]).max() > HIGHEST


def test_the_outcome_of_a_patient_is_not_in_the_risk_that_standardizes(fitted) -> None:
    """With folds and penalties as they are, another outcome of patient 7 leaves the risk of patient 7 as it is, bit by bit, and not that of others."""
    blocks, outcomes = cohort()
    time, event = outcomes.time.copy(), outcomes.event.copy()
    time[7], event[7] = 5000.0, not event[7]
    before, after = Patients(blocks, outcomes, NUMBERS), Patients(blocks, Outcomes(event, time, outcomes.centers), NUMBERS)
    after.folds = [(out, after.without(out)) for out, _ in before.folds]
    for name in ("Volume", "Clinical", "DL", "Ridge"):
        first, second = (cross_fitted(DECLARED[name], patients, fitted[name]) for patients in (before, after))
        assert first[7] == second[7]
        assert (first != second).any()


def test_other_patients_change_nothing() -> None:
    blocks, outcomes = cohort(200, 7)
    training = np.arange(200) < 120
    spoiled = {name: Block(name, block.features, np.where(training[:, None], block.values, 1e6)) for name, block in blocks.items()}
    digests = []
    for some, event in ((blocks, outcomes.event), (spoiled, outcomes.event ^ ~training)):
        rows = {name: Block(name, block.features, block.values[training]) for name, block in some.items()}
        models = fit_all(DECLARED.values(), rows, Outcomes(event, outcomes.time, outcomes.centers).rows(training), NUMBERS)
        digests.append([model.digest() for model in models.values()])
    assert digests[0] == digests[1]


def test_alone_it_is_what_it_is_among_others(fitted) -> None:
    """A model that is fitted alone, in another order, or from members that nobody else declares, is the same."""
    blocks, outcomes = cohort()
    assert fit(DECLARED["Late"], blocks, outcomes, NUMBERS) == fitted["Late"]
    assert fit_all([DECLARED["Stack"], DECLARED["Late"], DECLARED["DL"]], blocks, outcomes, NUMBERS) == {name: fitted[name] for name in ("Stack", "Late", "DL")}


def test_members_that_say_nothing_are_left_out() -> None:
    blocks, outcomes = cohort()
    flat = {**blocks, "clinical": Block("clinical", ("age", "overall_stage"), np.full((160, 2), 3.0))}
    model = fit(DECLARED["Late"], flat, outcomes, replace(NUMBERS, alpha=1e-30))
    assert [(member.model.name, member.weight) for member in model.members] == [("Volume", 0.5), ("Ridge", 0.5)]
    remarks = " / ".join(model.training.remarks)
    assert "Clinical is left out: clinical.age is the same for every training patient" in remarks
    assert "DL is left out: no column of deep has p < 1e-30 (of 40)" in remarks
    alone = replace(DECLARED["Late"], members=(DECLARED["DL"],))
    empty = fit(alone, blocks, outcomes, replace(NUMBERS, alpha=1e-30))
    assert not empty.retained
    assert empty.reason.endswith("no feature retained")
    assert SurvivalModel.from_json(empty.to_json()) == empty
    with pytest.raises(NothingRetained):
        empty.log_risk(table(blocks))
    with pytest.raises(NothingRetained, match="nothing to calibrate"):
        empty.calibrated(1.0, fit(DECLARED["Volume"], blocks, outcomes, NUMBERS).baseline)


def test_members_are_harmonized_by_the_center_of_the_patient() -> None:
    blocks, outcomes = cohort()
    shifted = {**blocks, "ring_6mm": Block("ring_6mm", blocks["ring_6mm"].features, blocks["ring_6mm"].values + 50.0 * (outcomes.centers == "west")[:, None])}
    numbers = replace(NUMBERS, harmonise="combat", unseen_center="refuse")
    models = [fit(DECLARED["Late"], some, outcomes, numbers) for some in (blocks, shifted)]
    risks = [model.log_risk(table(some), centers=outcomes.centers) for model, some in zip(models, (blocks, shifted), strict=True)]
    assert np.corrcoef(*risks)[0, 1] > 0.999, "empirical Bayes draws a larger shift a little less"
    assert abs(risks[1][outcomes.centers == "west"].mean() - risks[1][outcomes.centers == "east"].mean()) < 0.3
    assert models[0].harmonizes
    assert SurvivalModel.from_json(models[0].to_json()) == models[0]
    unseen = models[0].log_risk(table(blocks), centers=["north"] * 160, missing="nan")
    assert np.isnan(unseen).all()
    with pytest.raises(Exception, match="center north; the model harmonizes between east, west"):
        models[0].log_risk(table(blocks), centers=["north"] * 160)


def test_a_missing_value_is_refused_unless_every_member_fills_it(fitted) -> None:
    blocks, _ = cohort(5, 3)
    columns = table(blocks)
    columns["clinical.age"] = np.full(5, np.nan)
    assert np.isfinite(fitted["Late"].log_risk(columns)).all()
    columns["ring_6mm.f03"] = np.where(np.arange(5) == 2, np.nan, 0.0)
    np.testing.assert_array_equal(np.isnan(fitted["Late"].log_risk(columns, missing="nan")), np.arange(5) == 2)
    with pytest.raises(ValueError, match=r"ring_6mm\.f03 is missing for 1 of 5 patients \(model Ridge\)"):
        fitted["Late"].log_risk(columns)


def test_refits_keep_what_was_tuned(fitted) -> None:
    blocks, outcomes = cohort()
    for name in ("Ridge", "Late", "Stack"):
        again = fit(DECLARED[name], blocks, outcomes, NUMBERS, template=fitted[name])
        np.testing.assert_allclose(again.log_risk(table(blocks)), fitted[name].log_risk(table(blocks)), atol=1e-8)
        rows = np.random.default_rng(0).integers(160, size=160)
        resampled = {key: Block(key, block.features, block.values[rows]) for key, block in blocks.items()}
        refit = fit(DECLARED[name], resampled, outcomes.rows(rows), NUMBERS, template=fitted[name])
        tuned = [
            [(each.mean, each.sd) for each in model.members if each.model.name in {other.model.name for other in refit.members}]
            for model in (refit, fitted[name])
        ]
        assert tuned[0] == tuned[1]
        refits = resampled_fits(DECLARED[name], fitted[name], blocks, outcomes, NUMBERS, Resampling(refits=4, seed=1, day=730.0, confidence=0.95, workers=1))
        assert 0 < refits.optimism < 0.3
        assert refits.selection_frequency["ring_6mm.f00"] == 1.0
        assert "clinical.age" not in refits.selection_frequency


def test_every_center_is_left_out_in_turn() -> None:
    blocks, outcomes = cohort()
    rows = internal_external([DECLARED["Late"], DECLARED["Ridge"]], blocks, outcomes, NUMBERS, confidence=0.95)
    c = {(row.model, row.center): row.value for row in rows if row.metric == "internal_external_c"}
    assert {name for name, _ in c} == {"Late", "Ridge"}
    assert all(value > 0.55 for value in c.values())


@pytest.mark.parametrize("kind", ["ridge", "signature"])
def test_residuals_of_volume_do_not_know_the_volume(kind: str) -> None:
    """The volume drives everything; beside its line the other columns have nothing, and the linear predictor is that of the residuals."""
    blocks, outcomes = cohort(300, 11)
    line = np.log(blocks["gtv"].values[:, 1])
    line = (line - line.mean()) / line.std()
    values = blocks["gtv"].values.copy()
    values[:, 2:10] += 3.0 * line[:, None]
    blocks = {**blocks, "gtv": Block("gtv", blocks["gtv"].features, values)}
    declared = Declaration("R", "", "radiomics", kind, blocks=("gtv", "ring_6mm"), residual=VOLUME)
    model = fit(declared, blocks, outcomes, NUMBERS)
    assert model.inputs[-1].name == VOLUME
    assert model.inputs[-1].log
    risk = model.log_risk(table(blocks))
    assert abs(np.corrcoef(risk, line)[0, 1]) < 1e-8
    assert SurvivalModel.from_json(model.to_json()) == model
    if kind == "ridge":
        assert model.selections[0].constant == ("gtv.f00",), "in this cohort it is a line on the logarithm itself"
        raw = np.hstack([values[:, 1:], blocks["ring_6mm"].values])
        residuals = raw - raw.mean(axis=0) - np.outer(line, line @ raw / line.size)
        z = residuals / residuals.std(axis=0)
        np.testing.assert_allclose(risk, z @ ridge_cox(outcomes.event, outcomes.time, z, penalty=model.selections[0].penalty), atol=1e-7)


def test_of_redundant_columns_one_stays() -> None:
    random = np.random.default_rng(0)
    one, two = random.normal(size=(2, 500))
    values = np.column_stack([one, one + 0.1 * two, one.copy(), two, np.ones(500), np.where(np.arange(500) == 3, np.nan, one)])
    keep = not_redundant(values, 0.9)
    assert keep.tolist() == [True, False, False, True, True, True], "the one between goes first, then the later of two equal ones"
    assert not_redundant(values[:, :4], 0.9999).tolist() == [True, True, False, True]
    assert not_redundant(np.zeros((5, 0)), 0.9).tolist() == []
    z = random.normal(size=(60, 80)) @ random.normal(size=(80, 80))
    remaining = np.abs(np.corrcoef(z[:, not_redundant(z, 0.3)], rowvar=False))
    assert (remaining - np.eye(len(remaining))).max() <= 0.3


def test_options_decide_what_a_model_sees() -> None:
    blocks, outcomes = cohort()
    doubled = np.column_stack([blocks["gtv"].values, blocks["gtv"].values[:, 0] * 1.01])
    blocks = {**blocks, "gtv": Block("gtv", (*blocks["gtv"].features, "wavelet-HHH_copy"), doubled)}
    plain = Declaration("R", "", "radiomics", "ridge", blocks=("gtv", "ring_6mm"))
    assert "gtv.wavelet-HHH_copy" in fit(plain, blocks, outcomes, NUMBERS).columns
    for change in ({"redundancy": 0.9}, {"leave_out": ("wavelet-*H*_*",)}):
        for kind in ("ridge", "signature", "components"):
            model = fit(replace(plain, kind=kind, **change), blocks, outcomes, NUMBERS)
            assert "gtv.wavelet-HHH_copy" not in model.columns
            assert model.selections[0].offered == 40
    sizes = {}
    for factor in (1.0, 50.0):
        model = fit(replace(plain, penalties=(("ring_6mm", factor),)), blocks, outcomes, NUMBERS)
        sizes[factor] = np.abs([column.coefficient for column in model.inputs if column.name.startswith("ring")]).sum()
    assert sizes[50.0] < 0.3 * sizes[1.0]


REFUSED = [
    ({"Late": {**WRITTEN["Late"], "members": ["Volum"]}}, r"Late names the member 'Volum', which no file of models/ declares\. Did you mean Volume\?"),
    ({"Late": {**WRITTEN["Late"], "members": ["Stack"]}}, r"Late names the member 'Stack', which is of kind stacked"),
    ({"Late": {**WRITTEN["Late"], "members": ["Late"]}}, r"Late names the member 'Late', which is of kind mean"),
    ({"Late": {**WRITTEN["Late"], "members": ["Volume", "Volume"]}}, r"Late names the member 'Volume' twice"),
    ({"Late": {**WRITTEN["Late"], "members": []}}, r"Late is of kind mean and names no members"),
    ({"Late": {**WRITTEN["Late"], "members": "Volume"}}, r"members of Late is 'Volume', not a list of names"),
    ({"Late": {**WRITTEN["Late"], "blocks": ["gtv"]}}, r"Late is of kind mean, which has no blocks"),
    ({"Ridge": {**WRITTEN["Ridge"], "members": ["Volume"]}}, r"Ridge is of kind ridge, which has no members\. Kinds with members: mean, stacked"),
    ({"Ridge": {**WRITTEN["Ridge"], "columns": [VOLUME]}}, r"Ridge is of kind ridge, which has no columns"),
    ({"Volume": {**WRITTEN["Volume"], "redundancy": 0.9}}, r"Volume is of kind cox, which has no redundancy"),
    ({"DL": {**WRITTEN["DL"], "penalties": {"deep": 2}}}, r"DL is of kind signature, which has no penalties\. Kinds with penalties: ridge"),
    ({"Ridge": {**WRITTEN["Ridge"], "redundancy": 1.5}}, r"redundancy of Ridge is 1\.5, not a correlation between 0 and 1"),
    ({"Ridge": {**WRITTEN["Ridge"], "penalties": {"gtv": -1}}}, r"penalties of Ridge is .*, not a mapping of blocks to positive factors"),
    ({"Ridge": {**WRITTEN["Ridge"], "residual": 3}}, r"residual of Ridge is 3, not a text"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_no_model_can_be_made_from_is_refused(change, message) -> None:
    with pytest.raises(ValueError, match=r"models/late\.yaml.*: " + message):
        declarations({"late": {**WRITTEN, **change}})


def test_options_that_name_what_there_is_not_are_refused() -> None:
    blocks = {"gtv": ["original_shape_MeshVolume", "f1"], "ring_6mm": ["f1"]}
    ridge = Declaration("R", "", "radiomics", "ridge", blocks=("gtv", "ring_6mm"))
    check_columns({"R": replace(ridge, residual=VOLUME, penalties=(("gtv", 2.0),), leave_out=("f*", "wavelet-*H*_*"))}, blocks)
    for change, message in (
        (
            {"residual": "gtv.original_shape_MeshVolum"},
            "residual of R is 'gtv.original_shape_MeshVolum', which is no column. Did you mean gtv.original_shape_MeshVolume",
        ),
        ({"penalties": (("deep", 2.0),)}, "penalties of R names 'deep', which is none of its blocks"),
        ({"leave_out": ("wavlet-*",)}, "leave_out of R holds 'wavlet-*', which no feature of its blocks matches"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            check_columns({"R": replace(ridge, **change)}, blocks)
