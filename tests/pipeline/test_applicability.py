"""Applicability from the store: learned by fuse from training patients alone, judged with what a center declares, counted at arrival."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import store
from penumbra.cohort.intended_use import Declaration
from penumbra.fusion import Applicability
from penumbra.pipeline import applicability
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.fuse import fuse, load_models

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


def fused(home: Path, **options: frozenset[str]):  # type: ignore[no-untyped-def]
    work = small_work(home, **options)
    work = replace(work, settings=few_models(work.settings))
    return work, load_models(work, fuse(work).key)


def test_domains_are_of_the_training_center_alone(tmp_path: Path) -> None:
    """Changing outcomes and features of every other center leaves each domain, and each applicability of training patients, as it is to the last bit."""
    (work, models), (other, spoiled) = fused(tmp_path / "a"), fused(tmp_path / "b", spoil=frozenset(("east", "south")))
    assert all(model.domain is not None for model in models.values() if model.retained)
    assert {name: model.to_json() for name, model in models.items()} == {name: model.to_json() for name, model in spoiled.items()}
    for name, model in models.items():
        first, second = (applicability.assessed(model, each.settings.intended_use, data, data.training) for each, data in _data(work, other))
        assert first == second, name
        foreign = applicability.assessed(model, other.settings.intended_use, read_dataset(other), ~read_dataset(other).training)
        if name == "Combined":
            assert all(each.word == "outside" for each in foreign), "7 x squared values + 1000 are of no scanner"


def _data(*works):  # type: ignore[no-untyped-def]
    return [(work, read_dataset(work)) for work in works]


def test_what_a_center_declares_wins_over_its_features(tmp_path: Path) -> None:
    work, models = fused(tmp_path)
    with store.connect(work.home) as lake:
        lake.write({"center_declarations": [{"center": "east", "treatment": "surgery"}]}, run="test", what="east declares")
    data, model = read_dataset(work), models["Combined"]
    assert data.declared == {"east": Declaration("surgery")}
    east = applicability.assessed(model, work.settings.intended_use, data, data.centers == "east")
    assert {each.word for each in east} == {"outside"}
    assert all(each.reason.startswith("outside the intended use: treatment surgery") for each in east)
    south = applicability.assessed(model, work.settings.intended_use, data, data.centers == "south")
    assert all("treatment, intent, imaging not known" in each.reason for each in south)
    assert applicability.counts(south)["inside"] > len(south) / 2
    assert applicability.use_of(data, "east") == "; treatment surgery; intent, imaging not known"
    assert applicability.too_many_outside(east, 0.5) == "36 of 36 patients are outside (treatment surgery (36))"
    assert applicability.too_many_outside(south, 0.5) == ""
    columns = applicability.columns(east[0])
    assert tuple(columns) == ("applicability", "applicability_share", "applicability_distance", "applicability_columns", "applicability_reason")
    assert set(columns) == set(applicability.STORED)


def test_counting() -> None:
    words = ["inside", "outside", "edge", "outside", "unknown"]
    each = [Applicability(word) for word in words]
    assert applicability.counts(each) == {"inside": 1, "edge": 1, "outside": 2, "unknown": 1}
    assert applicability.too_many_outside(each, 0.4) == ""
    assert applicability.too_many_outside(each, 0.39) == "2 of 5 patients are outside (features (2))"
    assert applicability.too_many_outside([], 0.0) == ""
    assert Applicability("unknown", reason="registered before").limited(("stage IV",), "outside the intended use: stage IV").word == "outside"


def test_the_rows_of_a_patient(tmp_path: Path) -> None:
    """An infinite distance is NULL in the store, and ten columns are enough."""
    far = Applicability("outside", 0.5, np.inf, tuple(f"gtv.f{i}" for i in range(30)), "gtv.f0 missing or infinite")
    row = {"patient": "A", "center": "north", "model": "m", "version": "1", **applicability.columns(far)}
    with store.connect(tmp_path) as lake:
        lake.write({"patients": [{"patient": "A", "center": "north"}], "predictions": [row]}, run="test", what="scored")
        (stored,) = lake.rows("predictions")
    assert (stored["applicability"], stored["applicability_distance"], len(stored["applicability_columns"])) == ("outside", None, 10)
