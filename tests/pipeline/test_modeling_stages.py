"""The stages from features to a report on a small store: what may reach a fit, what a change recomputes, what the page says of little data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.pipeline import manifests
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.manifests import RegisterManifest, TrainManifest
from penumbra.pipeline.report import report
from penumbra.pipeline.workspace import Work

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


def few(work: Work) -> Work:
    """The same work with few resamples and no pictures."""
    settings = work.settings
    return replace(work, settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=20, refits=4), report=replace(settings.report, patients=0)))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    work = few(small_work(tmp_path_factory.mktemp("small")))
    fuse(work)
    evaluate(work)
    return work


def written(work: Work) -> str:
    """The page of a run whose model is not registered."""
    manifests.write(work.home, RegisterManifest(version=None, reason="a test"))
    return (work.home / report(work).page).read_text(encoding="utf-8")


def test_external_centers_never_reach_a_fit(work: Work, tmp_path: Path) -> None:
    """Other outcomes and other features at every external center: every fitted number is the same, to the last bit."""
    spoiled = few(small_work(tmp_path, spoil=frozenset({"east", "south"})))
    ours, theirs = fuse(work), fuse(spoiled)
    assert theirs.digests == ours.digests
    assert theirs.key == ours.key
    assert theirs.dataset != ours.dataset
    assert fuse(few(small_work(tmp_path / "north", spoil=frozenset({"north"})))).digests != ours.digests


def test_a_number_changes_the_keys_that_depend_on_it(work: Work) -> None:
    before = fuse(work).key, evaluate(work).key
    groups = work.settings.evaluate
    other = replace(work, settings=replace(work.settings, evaluate=replace(groups, calibration_groups=groups.calibration_groups + 1)))
    assert fuse(other).key == before[0]
    assert evaluate(other).key != before[1]
    stiffer = replace(work, settings=replace(work.settings, fuse=replace(work.settings.fuse, ridge=2.0)))
    assert fuse(stiffer).key != before[0]
    assert fuse(work).key == before[0]


def test_every_set_and_every_way_of_refitting_has_rows(work: Work) -> None:
    content = evaluate(work)
    assert content.choice is not None
    served = content.choice.served
    rows = {(row.model, row.center, row.metric): row for row in content.metrics}
    left_out = {row.center for row in rows.values() if row.split == "left_out"}
    assert left_out == {"north", "east", "south", "left_out"}
    assert rows[served, "left_out", "internal_external_c_pooled"].value > 0.6
    apparent, corrected = rows[served, "north", "harrell_c"], rows[served, "north", "harrell_c_corrected"]
    assert corrected.value == pytest.approx(apparent.value - rows[served, "north", "harrell_c_optimism"].value)
    assert rows[served, "external", "harrell_c_pooled"].reason == "pooling needs at least 3 centers; found 2"
    over = content.instability
    assert over is not None
    assert (len(over.original), over.day) == (60, 730.0)
    assert rows[served, "north", "mape_2y"].value == pytest.approx(np.mean(over.mape))
    assert rows[served, "north", "mape_worst_2y"].value == max(over.mape) > rows[served, "north", "mape_2y"].value
    assert 0 <= rows[served, "north", "cii_2y"].value < 0.5


def test_the_page_of_a_small_run(work: Work) -> None:
    text = written(work)
    for name in ("roc_1", "roc_deep_1", "calibration_3", "decision_4", "hazard_ratios_5", "risk_by_outcome_1", "subgroup_measures_5", "instability"):
        assert f'href="{name}.svg"' in text
        assert (work.home / "reports" / "nsclc-os-unregistered" / f"{name}.png").is_file()
    assert "pooling needs at least 3 centers; found 2" in text
    assert "unanswered" in text
    places = [text.index(f"<dt>{label}</dt>") for label in ("north, cross-fitted", "east", "external, pooled", "north, apparent")]
    assert places == sorted(places)
    assert text.count('<figure class="apparent">') == 8 + 8, "eight levels of subgroups; and all other figures of the training patients, the deep ROC too"
    assert "<image" not in text, "figures are shapes: an image inside an SVG breaks where its ids are renamed"
    assert "training: north" in text
    assert text.count("pooling needs at least 3 centers") == 1, "what all models share is said once"


def test_the_network_without_se_stands_beside_the_other(work: Work) -> None:
    """Its features are in the store as a version of their own; its signature is measured and drawn, and no other model's numbers change."""
    before = {(row.model, row.center, row.metric): row.value for row in evaluate(work).metrics}
    with store.connect(work.home) as lake:
        known = store.read_matrix(lake, "deep", "gtv", version="deep1")
        store.declare_version(lake, "deep2", "deep", {"kind": "deep", "se": False}, features=known.features, run="test")
        rows = [
            {"patient": patient, "center": {"N": "north", "E": "east", "S": "south"}[patient[0]], "roi": "gtv", "image_version": "i1", "log_risk": 0.0}
            | {"values": values[::-1].copy()}
            for patient, values in zip(known.patients.tolist(), known.values, strict=True)
        ]
        store.write_features(lake, "deep", "deep2", rows, features=known.features, run="test")
    train = manifests.read(work.home, TrainManifest)
    manifests.write(work.home, replace(train, without_se="deep2"))
    try:
        after = {(row.model, row.center, row.metric): row.value for row in evaluate(work).metrics}
        assert {key for key in after if key[0] == "DL_without_SE"} >= {("DL_without_SE", center, "auc_2y") for center in ("north", "external")}
        assert after["DL_without_SE", "external", "harrell_c"] == before["DL", "external", "harrell_c"], "the same features in another order"
        assert all(after[key] == value or value != value for key, value in before.items())
        text = written(work)
        assert "then the same trained without it" in text
        assert 'href="roc_deep_8.svg"' in text
        assert "paper 0.65" in text
    finally:
        manifests.write(work.home, train)


def test_training_without_a_death_is_refused(tmp_path: Path) -> None:
    work = few(small_work(tmp_path, centers={"north": 6, "east": 4}))
    with store.connect(work.home) as lake:
        known = [{name: value for name, value in row.items() if name not in ("commit_id", "event")} for row in lake.rows("patients")]
        lake.write({"patients": [{**row, "event": False} for row in known]}, run="test", what="nobody dies")
    with pytest.raises(Refusal, match="none of the 6 training patients died"):
        fuse(work)


@pytest.mark.parametrize(
    ("centers", "said"),
    [
        ({"north": 30, "east": 5, "south": 1}, "no comparable pair among 1 patients"),
        ({"north": 5, "east": 4}, "no feature retained"),
    ],
)
def test_little_data_is_answered_in_place(tmp_path: Path, centers: dict[str, int], said: str) -> None:
    work = few(small_work(tmp_path, centers=centers, seed=3))
    work = replace(work, settings=few_models(work.settings))
    fuse(work)
    evaluate(work)
    assert said in written(work)
