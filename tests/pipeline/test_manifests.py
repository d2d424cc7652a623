"""What stages leave: the same bytes as before they were typed, those of earlier versions, and what a damaged one says."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penumbra.base.refusal import Refusal
from penumbra.evaluate import MetricRow
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import (
    NAMES,
    Attempts,
    DecisionManifest,
    EvaluateManifest,
    FuseManifest,
    IngestedCenter,
    IngestManifest,
    Origin,
    RegisterManifest,
    StoredMargins,
    TrainManifest,
)

FROM = {"data": {"files": "61d1"}, "numbers": {"ingest.grid_mm": 1.0, "rois.margins_mm": [3.0, 6.0]}, "profile": "quick"}
ROW = {"model": "DL", "center": "east", "split": "test", "metric": "auc_1y", "value": None, "lower": None, "upper": None, "n": 9, "events": 0, "reason": "r"}
CENTERS = {
    "east": {"accepted": {"E1": "854a"}, "alike": {}, "clinical": "9b2c", "contradicted": {}, "flagged": {"air": 1}, "found": 2}
    | {"kept": {"margin_mm": 69.0, "periodic_mm": 13.0}, "made_from": FROM, "no_longer_sent": 0, "rejected": {"gtv_not_empty": 1}, "stored": {"E1": "c i"}},
    "west": {"accepted": {}, "flagged": {}, "found": 0, "made_from": FROM, "refused": "no time", "rejected": {"clinical_columns": 1}, "stored": {}},
}
# as the program wrote them when they were dictionaries
WRITTEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "ingest": (IngestManifest, {"centers": CENTERS}),
    "train": (
        TrainManifest,
        {"best_epochs": [33], "digest": "e", "made_from": FROM, "network": "1", "networks": 1, "patients": [], "trained_on": 2, "version": "v"},
    ),
    "evaluate": (
        EvaluateManifest,
        {"kept": {"gtv.f": 0.5}, "key": "k", "made_from": FROM, "metrics": [ROW, {**ROW, "value": 0.5, "lower": 0.4, "upper": 0.6}]},
    ),
    "register": (RegisterManifest, {"digest": "d", "made_from": FROM, "metrics": 3, "model": "nsclc-os", "train_centers": ["north"], "version": 1}),
    "registered-nothing": (RegisterManifest, {"made_from": FROM, "reason": "none", "version": None}),
    "retrain-west": (
        DecisionManifest,
        {"center": "west", "key": "k", "key_after": "l", "decision": "stop", "reason": "r", "champion": 1, "challenger": None}
        | {"comparison": [ROW], "paired": [], "evidence": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_the_bytes_are_those_of_before(name: str, tmp_path: Path) -> None:
    kind, content = WRITTEN[name]
    text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n"
    path = manifests.file_of(tmp_path, name)
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    found = manifests.read(tmp_path, kind, name)
    path.unlink()
    assert manifests.write(tmp_path, found, name) is found
    assert path.read_text(encoding="utf-8") == text


def test_what_is_read_is_named() -> None:
    ingested = IngestManifest.from_json({"centers": CENTERS})
    east, west = ingested.centers["east"], ingested.centers["west"]
    assert (east.kept, east.remarks, east.refused) == (StoredMargins(69.0, 13.0), {"air": 1}, None)
    assert east.made_from == Origin({"files": "61d1"}, FROM["numbers"], "quick")  # type: ignore[arg-type]
    assert (west.refused, west.kept, west.clinical) == ("no time", None, None)
    assert ingested.scans == {"E1": ("east", "854a")}
    assert replace(east, no_longer_sent=2).remarks == {"air": 1, "no_longer_sent": 2}
    assert math.isnan(EvaluateManifest.from_json(WRITTEN["evaluate"][1]).metrics[0].value)


# the first version that left them, and the one before made_from: keys that are gone, and none of those that came later
EARLIER: dict[type, dict[str, Any]] = {
    IngestManifest: {"centers": {"east": {"found": 1, "accepted": {"E1": "i"}, "flagged": {}, "rejected": {}, "clinical": "c", "outcomes": ""}}},
    TrainManifest: {"version": "v", "patients": ["E1"], "trained_on": 1, "epochs": 9, "best_epoch": 3, "network": "n", "digest": "d"},
    FuseManifest: {"key": "k", "dataset": "d", "trained_on": 1, "events": 1, "features": {"Rad": 2}, "not_retained": {}, "digests": {"Rad": "s"}},
    EvaluateManifest: {"key": "k", "metrics": [ROW]},
    RegisterManifest: {"version": None, "reason": "none"},
    DecisionManifest: {"center": "east", "key": "k", "key_after": "l", "decision": "keep", "reason": "r", "champion": 1, "challenger": 2, "comparison": [ROW]},
    Attempts: {"key": "k", "step": "arrival", "killed": 2, "error": "", "final": False},
}


@pytest.mark.parametrize("kind", EARLIER, ids=lambda kind: kind.__name__)
def test_those_of_earlier_versions_are_read(kind: Any) -> None:
    found = kind.from_json(EARLIER[kind])
    assert kind.from_json(found.to_json()).to_json() == found.to_json()
    assert getattr(found, "made_from", None) is None


def test_what_an_earlier_version_did_not_write() -> None:
    fused = FuseManifest.from_json(EARLIER[FuseManifest])
    assert (fused.store_commit, fused.training_sha256) == (None, None)
    assert EvaluateManifest.from_json(EARLIER[EvaluateManifest]).kept == {}
    decided = DecisionManifest.from_json(EARLIER[DecisionManifest])
    assert (decided.paired, decided.evidence) == ((), None)
    assert [type(row) for row in decided.comparison] == [MetricRow]


def test_one_that_is_not_there_and_one_that_is_damaged_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"fuse has not run here\. Run penumbra fuse, or penumbra run for all stages\. \(rule stages_in_order\)"):
        manifests.read(tmp_path, FuseManifest)
    assert manifests.earlier(tmp_path, FuseManifest) is None
    (tmp_path / "manifests").mkdir()
    for text, why in (('{"key": ', "it is not JSON"), ('{"key": "k"}', "dataset is missing"), ("[]", "it is a list, not a group")):
        (tmp_path / "manifests" / "fuse.json").write_text(text)
        with pytest.raises(
            Refusal, match=rf"manifests/fuse\.json cannot be read \({why}\)\. Run penumbra fuse, which writes it again\. \(rule manifest_readable\)"
        ):
            manifests.read(tmp_path, FuseManifest)
        assert manifests.earlier(tmp_path, FuseManifest) is None
    (tmp_path / "manifests" / "pending-west.json").write_bytes(b"\xff\x00")
    with pytest.raises(Refusal, match=r"Remove it and run penumbra retrain --center west\. \(rule manifest_readable\)"):
        manifests.read(tmp_path, DecisionManifest, "pending-west")


def test_every_stage_has_a_manifest_of_its_name() -> None:
    from penumbra.pipeline.stages import BY_NAME

    assert set(BY_NAME) <= set(NAMES.values())
    assert IngestedCenter not in NAMES
