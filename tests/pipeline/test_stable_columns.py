"""fuse.stability: only stable columns are selected, in the fit and in every fold; without it nothing changes."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import fusion, registry, store
from penumbra.base.refusal import Refusal
from penumbra.evaluate import Refits
from penumbra.fusion import StableOnly
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.challenge import stable_only
from penumbra.pipeline.crossfit import Recipe, cross_fitted
from penumbra.pipeline.dataset import network_file, read_dataset
from penumbra.pipeline.fuse import current_fuse, fuse, fusion_key, load_models
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.workspace import Work
from penumbra.survival.outcome import Outcomes
from tests.small_run import ROIS, few_models, small_work

RULE = StableOnly(0.75, ("noise", "mask"))
LEFT_OUT = "original_firstorder_Mean"  # of the ring, where it carries the signal


def stable(work: Work, rule: StableOnly | None = RULE) -> Work:
    return replace(work, settings=replace(work.settings, fuse=replace(work.settings.fuse, stability=rule)))


def measure(work: Work, **changes: Any) -> None:
    """An ICC of 0.9 for every feature under noise and mask, but for one in the ring."""
    data = read_dataset(work)
    rows = [
        {
            "version": data.versions[roi],
            "roi": roi,
            "feature": feature,
            "perturbation": perturbation,
            "icc": 0.9,
            "lower": 0.6 if (roi, feature, perturbation) == ("ring_6mm", LEFT_OUT, "mask") else 0.8,
            "upper": 0.95,
            "patients": 20,
            **changes,
        }
        for roi in ROIS
        for feature in data.blocks[roi].features
        for perturbation in ("noise", "mask")
    ]
    with store.connect(work.home) as lake:
        lake.write({"feature_stability": rows}, run="test", what="stability")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    one = small_work(tmp_path)
    return replace(one, settings=few_models(one.settings))


def test_without_measurement_it_is_one_sentence(work: Work) -> None:
    with pytest.raises(Refusal, match=r"the ICC under noise of gtv is not measured.*Run penumbra stability, or set fuse\.stability: null.*stability_measured"):
        fuse(stable(work))


def test_only_stable_columns_enter_selection(work: Work) -> None:
    fuse(work)
    every = load_models(work, current_fuse(work, read_dataset(work)).key)["Combined"]
    measure(work)
    fuse(stable(work))
    some = load_models(work, current_fuse(stable(work), read_dataset(work)).key)["Combined"]
    assert f"ring_6mm.{LEFT_OUT}" in every.columns
    assert f"ring_6mm.{LEFT_OUT}" not in {column for selection in some.selections for column in selection.candidates}
    offered = {selection.block: selection.offered for selection in some.selections}
    assert (offered["ring_6mm"], offered["gtv"], offered["deep"]) == (11, 12, 12), "deep columns are not touched"
    assert any("1 of 12 columns of ring_6mm are not stable and left out" in remark for remark in some.training.remarks)


def test_it_holds_in_every_fold(work: Work) -> None:
    """A column that no fit may see can be anything: the cross-fitted risks stay bit for bit the same."""
    measure(work)
    demanding = stable(work)
    data, images = read_dataset(demanding), accepted_images(demanding)
    altered = replace(data.blocks["ring_6mm"], values=data.blocks["ring_6mm"].values.copy())
    altered.values[:, altered.features.index(LEFT_OUT)] = data.time  # knows the outcome
    other, recipe = replace(data, blocks={**data.blocks, "ring_6mm": altered}), Recipe.of(demanding.settings, ["Combined"])
    inside = np.flatnonzero(data.training)
    risks = [cross_fitted(demanding, each, images, inside, recipe).risks["Combined"] for each in (data, other)]
    assert np.array_equal(risks[0], risks[1])
    free = Recipe.of(work.settings, ["Combined"])
    seen = [cross_fitted(work, each, images, inside, free).risks["Combined"] for each in (data, other)]
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("kind", ["signature", "components", "ridge"])
def test_in_every_kind_that_screens(kind: str) -> None:
    random = np.random.default_rng(0)
    cause = random.normal(size=80)
    block = fusion.Block("gtv", ("original_shape_MeshVolume", "a", "b"), np.stack([np.exp(cause), cause, random.normal(size=80)], axis=1))
    outcomes = Outcomes.of_one_center(np.arange(80) % 4 > 0, random.exponential(500 * np.exp(-cause)))
    numbers = fusion.Fitting(alpha=0.2, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    declared = fusion.Declaration("M", "M", "radiomics", kind, blocks=("gtv",))
    assert "gtv.a" in fusion.fit(declared, [block], outcomes, numbers).columns
    model = fusion.fit(declared, [block], outcomes, replace(numbers, stability=StableOnly(0.75, ("noise",), ("gtv.a",))))
    assert "gtv.a" not in model.columns
    named = fusion.Declaration("V", "V", "control", "cox", columns=("gtv.a",))
    assert fusion.fit(named, [block], outcomes, replace(numbers, stability=StableOnly(0.75, ("noise",), ("gtv.a",)))).columns == ("gtv.a",)


def test_without_it_keys_and_numbers_are_those_of_before(work: Work) -> None:
    numbers = work.settings.fuse
    assert "stability" not in numbers.stored()
    assert "stability" not in Recipe.of(work.settings).facts()["fuse"]
    data = read_dataset(work)
    before = fusion_key(work, data)
    measure(work)
    assert fusion_key(work, data) == before, "a measurement alone changes no model"
    assert fusion_key(stable(work), data) != before


def test_another_measurement_is_another_fit(work: Work) -> None:
    measure(work)
    fuse(stable(work))
    measure(work, lower=0.5)
    with pytest.raises(Refusal, match=r"fuse was made from other data.*stage_is_current"):
        current_fuse(stable(work), read_dataset(work))
    combined = load_models(work, fuse(stable(work)).key)["Combined"]
    assert not [column for column in combined.columns if not column.startswith("deep.")]


def test_a_constant_column_is_not_stable(work: Work) -> None:
    measure(work, icc=None, lower=None, upper=None, reason="the same for every patient")
    fuse(stable(work))
    combined = load_models(work, current_fuse(stable(work), read_dataset(work)).key)["Combined"]
    assert not [column for column in combined.columns if not column.startswith("deep.")]


@pytest.mark.slow
@pytest.mark.parametrize("rule", [None, RULE])
def test_a_champion_keeps_the_rule_it_was_registered_with(
    tmp_path: Path, empty_registry: Path, monkeypatch: pytest.MonkeyPatch, rule: StableOnly | None
) -> None:
    """And a version without one has no such parameter, as those from before there was one."""
    shutil.copytree(empty_registry, tmp_path, dirs_exist_ok=True)
    one = small_work(tmp_path, centers={"north": 40, "east": 24}, features=6)
    settings = few_models(one.settings)
    work = stable(replace(one, settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=20, refits=1))), rule)
    weights = network_file(work.home, "deep1")
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    monkeypatch.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    monkeypatch.setattr(register_stage, "released_network", lambda weights, folder: weights)
    monkeypatch.setattr(evaluate_stage, "refitted", lambda *_: ([], Refits({}, math.nan, 0)))
    measure(work)
    fuse(work)
    evaluate_stage.evaluate(work)
    register_stage.register(work)
    params = registry.load(work.home, "champion").lineage.params
    assert ("fuse.stability" in params) is (rule is not None)
    assert stable_only(params.get("fuse.stability")) == rule
