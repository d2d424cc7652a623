"""A center that is not one of those whom the champion is for stops at the checks, before anything is refitted."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penumbra import store
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.fuse import fuse, load_models
from penumbra.pipeline.manifests import IngestedCenter
from penumbra.retraining import protocol

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("treatment", "limit", "stops"), [("surgery", 0.5, True), ("surgery", 1.0, False), (None, 0.5, False)])
def test_a_surgical_center_stops_at_the_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, treatment: str | None, limit: float, stops: bool) -> None:
    work = small_work(tmp_path)
    settings = few_models(work.settings)
    retrain = replace(settings.retrain, max_outside=limit, min_events=1000, recalibrate_from=None)  # what comes after the checks is too few deaths
    work = replace(work, settings=replace(settings, retrain=retrain))
    model = load_models(work, fuse(work).key)["Combined"]
    if treatment:
        with store.connect(work.home) as lake:
            lake.write({"center_declarations": [{"center": "east", "treatment": treatment}]}, run="test", what="declares")
    data = read_dataset(work)
    arrived = IngestedCenter(found=36, accepted=dict.fromkeys(data.patients[data.centers == "east"].tolist(), "i1"), flagged={}, rejected={}, clinical="c")
    champion: Any = SimpleNamespace(
        model=model,
        settings={},
        lineage=SimpleNamespace(train_centers=("north",)),
        feature_versions={"deep": "deep1"},
        entry=SimpleNamespace(model="m", version=1),
        network_path=tmp_path,
    )
    nothing = SimpleNamespace(sentence="", facts={})
    replaced: dict[str, Any] = {
        "require_same_features": lambda _: None,
        "ingest": lambda *_, **__: SimpleNamespace(centers={"east": arrived}),
        "populate": lambda *_: SimpleNamespace(version="radiomics1"),
        "embed": lambda *_: None,
        "read_dataset": lambda *_: data,
        "validation": SimpleNamespace(expected=lambda *_: nothing, validate=lambda *_: ""),
        "shadow": SimpleNamespace(at_center=lambda *_: ""),
    }
    for name, function in replaced.items():
        monkeypatch.setattr(protocol, name, function)
    steps = protocol.Steps(work, "key", "east")
    verdict = protocol.follow(work, champion, "east", steps, None).verdict
    with store.connect(work.home, read_only=True) as lake:
        (checks,) = [row for row in lake.rows("retrainings") if row["step"] == "checks"]
    assert verdict.decision == "stop"
    assert ("max_outside" in verdict.reason) is stops
    if stops:
        assert verdict.reason.startswith("Stopped: 36 of 36 patients are outside (treatment surgery (36)); at most 50 % may be")
    assert ("36 outside of what the champion is for; treatment surgery; intent, imaging not known" in checks["outcome"]) is (treatment is not None)
    assert ("treatment, intent, imaging not known" in checks["outcome"]) is (treatment is None)
