"""ComBat: compared with another program's numbers, learned on training patients alone, and what becomes of a center that did not train."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.evaluate import Resampling, internal_external, resampled_fits
from penumbra.fusion import Block, Declaration, Fitting, SurvivalModel, fit, fit_all
from penumbra.fusion.harmonize import center_markers, fitted, harmonized
from penumbra.survival import Undefined, concordance_index, univariate_cox
from penumbra.survival.outcome import Outcomes

pytestmark = pytest.mark.numeric

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "reference" / "combat" / "combat.json").read_text())
NUMBERS = Fitting(alpha=0.05, folds=5, seed=1, ties="efron", pca_variance=0.95, lasso_lambda="min", lasso_patience=15, ridge=1.0, harmonise="combat")
COMBINED = Declaration("Combined", "Combined", "combined", "components", blocks=("gtv", "deep"))
VOLUME = Declaration("Volume", "Volume", "control", "cox", columns=("gtv.f0",))


def simulated(n: int = 240) -> tuple[dict[str, Block], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two blocks whose centers shift and stretch every feature at random; the log hazard depends on the first two of each."""
    random = np.random.default_rng(3)
    centers = np.repeat(["north", "west", "east"], n // 3)
    cause = random.normal(size=(n, 4))
    values = random.normal(size=(n, 60))
    values[:, [0, 1, 30, 31]] = cause + 0.3 * random.normal(size=(n, 4))
    log_hazard = cause @ [0.7, -0.5, 0.6, 0.4]
    death, left = random.exponential(600 * np.exp(-log_hazard)), random.exponential(1500, n)
    for name in ("west", "east"):
        values[centers == name] = values[centers == name] * random.uniform(0.5, 2, 60) + random.normal(size=60) * 3
    names = tuple(f"f{i}" for i in range(30))
    blocks = {"gtv": Block("gtv", names, values[:, :30]), "deep": Block("deep", names, values[:, 30:])}
    return blocks, death <= left, np.ceil(np.minimum(death, left)), centers, log_hazard


def rows(blocks: dict[str, Block], chosen: np.ndarray) -> dict[str, Block]:
    return {name: Block(name, block.features, block.values[chosen]) for name, block in blocks.items()}


def table(blocks: dict[str, Block]) -> dict[str, np.ndarray]:
    return {column: block.values[:, j] for block in blocks.values() for j, column in enumerate(block.columns)}


def model_of(unseen: str, *, changed: bool = False) -> tuple[SurvivalModel, dict[str, Block], np.ndarray]:
    blocks, event, time, centers, _ = simulated()
    inside = centers != "east"
    if changed:
        event[~inside], time[~inside] = ~event[~inside], 1.0
        for block in blocks.values():
            block.values[~inside] = 99.0
    found = fit(COMBINED, rows(blocks, inside), Outcomes(event, time, centers).rows(inside), replace(NUMBERS, unseen_center=unseen))
    return found, blocks, centers


def test_values_are_those_of_neurocombat() -> None:
    block = Block("gtv", tuple(f"f{i}" for i in range(6)), np.array(REFERENCE["values"]))
    learned = fitted(block, REFERENCE["centers"], "refuse")
    # it stops at a relative change of 1e-4, ours at 1e-6
    np.testing.assert_allclose(harmonized(block, learned, REFERENCE["centers"]).values, REFERENCE["harmonised"], rtol=1e-4, atol=1e-5)


def test_constant_and_missing_columns_pass_through() -> None:
    values = np.array(REFERENCE["values"])
    values[:, 2], values[3, 4] = 7.0, np.nan
    block = Block("gtv", tuple(f"f{i}" for i in range(6)), values)
    learned = fitted(block, REFERENCE["centers"], "refuse")
    assert learned.columns == ("gtv.f0", "gtv.f1", "gtv.f3", "gtv.f5")
    np.testing.assert_array_equal(harmonized(block, learned, REFERENCE["centers"]).values[:, [2, 4]], values[:, [2, 4]])


def marked(kind: str) -> tuple[Block, np.ndarray, np.ndarray, np.ndarray]:
    """Forty patients of each of two centers, whose survival differs; f0 tells the centers apart, the others are shifted by 1."""
    random = np.random.default_rng(0)
    centers = np.repeat(["a", "b"], 40)
    values = random.normal(size=(80, 20))
    values[centers == "b", 1:] += 1.0
    a, b = {
        "constant in both": (np.zeros(40), np.ones(40)),
        "constant in both but for rounding": (0.1 + 1e-15 * random.integers(0, 3, 40), 1.1 + 1e-15 * random.integers(0, 3, 40)),
        "large and close": (np.full(40, 1e6), np.full(40, 1e6 + 1)),
        "nearly constant": (1e-6 * random.normal(size=40), 1 + 1e-6 * random.normal(size=40)),
        "constant in one": (np.zeros(40), 1 + 0.1 * random.normal(size=40)),
    }[kind]
    values[:, 0] = np.r_[a, b]
    time = random.exponential(np.where(centers == "a", 300, 900))
    return Block("gtv", tuple(f"f{i}" for i in range(20)), values), centers, time < 1500, np.minimum(time, 1500)


@pytest.mark.parametrize("kind", ["constant in both", "constant in both but for rounding", "large and close"])
def test_a_column_that_only_tells_the_centers_apart_is_left_out_and_said(kind: str) -> None:
    block, centers, event, time = marked(kind)
    assert center_markers(block, centers) == ("gtv.f0",)
    learned = fitted(block, centers, "refuse")
    after = harmonized(block, learned, centers)
    assert "gtv.f0" not in learned.columns
    assert np.ptp(after.values[:, 0]) == 0
    without = fitted(Block("gtv", block.features[1:], block.values[:, 1:]), centers, "refuse")
    assert learned == without, "the other columns are learned as if it were not there"
    signature = Declaration("Rad", "Rad", "signature", "signature", blocks=("gtv",))
    model = fit(signature, [block], Outcomes(event, time, centers), NUMBERS)
    assert model.selections[0].constant == ("gtv.f0",)
    assert "1 columns of gtv are constant within every training center and differ between centers: left out (gtv.f0)" in model.training.remarks
    assert "left out" not in "".join(fit(signature, [block], Outcomes(event, time, centers), replace(NUMBERS, harmonise="none")).training.remarks)


@pytest.mark.parametrize("kind", ["nearly constant", "constant in one"])
def test_a_column_that_varies_somewhere_loses_its_center(kind: str) -> None:
    block, centers, event, time = marked(kind)
    assert center_markers(block, centers) == ()
    after = harmonized(block, fitted(block, centers, "refuse"), centers).values
    gap = after[centers == "a"].mean(axis=0) - after[centers == "b"].mean(axis=0)
    assert abs(gap[0]) < 0.02
    assert np.abs(gap[1:]).max() < 0.3
    assert univariate_cox(event, time, block.values[:, 0]).p[0] < 1e-4 < 0.05 < univariate_cox(event, time, after[:, 0]).p[0]


def test_columns_constant_in_one_center_do_not_move_the_others() -> None:
    values = np.array(REFERENCE["values"])
    centers = np.array(REFERENCE["centers"])
    more = np.column_stack([values, np.where(centers == centers[0], 3.0, values[:, 0])])
    learned = fitted(Block("gtv", tuple(f"f{i}" for i in range(7)), more), centers, "refuse")
    place = learned.centers.index(str(centers[0]))
    alone = fitted(Block("gtv", tuple(f"f{i}" for i in range(6)), values), centers, "refuse")
    assert learned.shifts[place][:6] == alone.shifts[place]
    after = harmonized(Block("gtv", tuple(f"f{i}" for i in range(7)), more), learned, centers).values[centers == centers[0], 6]
    np.testing.assert_allclose(after, more[:, 6].mean(), rtol=1e-12)


def test_learned_on_training_patients_alone() -> None:
    assert model_of("estimate")[0].digest() == model_of("estimate", changed=True)[0].digest()


def test_model_is_its_json_and_without_harmonizing_nothing_of_it() -> None:
    model, blocks, centers = model_of("estimate")
    again = SurvivalModel.from_json(model.to_json())
    assert again == model
    np.testing.assert_array_equal(again.log_risk(table(blocks), centers=centers), model.log_risk(table(blocks), centers=centers))
    assert "harmoniser" not in replace(model, harmonizer=None).to_dict()


def test_cutoff_and_baseline_are_those_of_harmonized_patients() -> None:
    model, blocks, centers = model_of("refuse")
    inside = centers != "east"
    assert np.median(model.log_risk(table(rows(blocks, inside)), centers=centers[inside])) == pytest.approx(model.cutoff, abs=1e-9)


def test_policies_for_a_center_that_did_not_train() -> None:
    _, event, time, centers, _ = simulated()
    east = centers == "east"
    found = {}
    for policy in ("refuse", "leave", "estimate"):
        model, blocks, _ = model_of(policy)
        found[policy] = model.log_risk(table(blocks), centers=centers, missing="nan")
    assert np.isnan(found["refuse"][east]).all()
    assert np.isfinite(found["refuse"][~east]).all()
    left, estimated = (concordance_index(event[east], time[east], found[policy][east]) for policy in ("leave", "estimate"))
    assert estimated > left, "its location and scale, from images alone, bring the features back"
    level = {policy: abs(found[policy][east].mean() - found[policy][~east].mean()) for policy in ("leave", "estimate")}
    assert level["estimate"] < 0.2 < 1 < level["leave"]
    model, blocks, _ = model_of("refuse")
    with pytest.raises(Refusal, match="center east; the model harmonizes between north, west"):
        model.log_risk(table(blocks), centers=centers)
    with pytest.raises(Refusal, match="center of unknown name"):
        model.log_risk(table(blocks))
    one = table(rows(blocks, np.flatnonzero(east)[:1]))
    with pytest.raises(Refusal, match="1 patients of center east; 5 are needed"):
        model_of("estimate")[0].log_risk(one, centers=["east"])
    assert np.isfinite(model_of("leave")[0].log_risk(one, centers=["east"])).all()


def test_controls_take_their_columns_as_they_are() -> None:
    blocks, event, time, centers, _ = simulated()
    models = fit_all([COMBINED, VOLUME], blocks, Outcomes(event, time, centers), NUMBERS)
    assert models["Volume"].harmonizer is None
    assert models["Volume"].inputs[0].mean == pytest.approx(blocks["gtv"].values[:, 0].mean())
    assert models["Combined"].harmonizer.centers == ("east", "north", "west")


def test_refits_harmonize_again() -> None:
    blocks, event, time, centers, _ = simulated()
    outcomes = Outcomes(event, time, centers)
    left_out = internal_external([COMBINED], blocks, outcomes, replace(NUMBERS, unseen_center="estimate"), confidence=0.95)
    assert all(np.isfinite(row.value) for row in left_out if row.metric == "internal_external_c")
    refused = internal_external([COMBINED], blocks, outcomes, NUMBERS, confidence=0.95)
    assert all("refuses their center" in row.reason for row in refused if row.metric == "internal_external_c")
    model = fit(COMBINED, blocks, Outcomes(event, time, centers), NUMBERS)
    again = resampled_fits(COMBINED, model, blocks, outcomes, NUMBERS, Resampling(refits=4, seed=1, day=730.0, confidence=0.95, workers=1))
    assert again.selection_frequency
    assert np.isfinite(again.optimism)


def test_what_cannot_be_harmonized_is_said() -> None:
    blocks, event, time, centers, _ = simulated()
    with pytest.raises(ValueError, match="unseen_center must be one of refuse, leave, estimate; found 'guess'"):
        fit(COMBINED, blocks, Outcomes(event, time, centers), replace(NUMBERS, unseen_center="guess"))
    few = centers.copy()
    few[:2] = "tiny"
    with pytest.raises(Undefined, match="center tiny has 2 training patients; ComBat needs 5"):
        fit(COMBINED, blocks, Outcomes(event, time, few), NUMBERS)
