"""Only an outcome that came after a version had scored the patient is live evidence about the version."""

from pathlib import Path
from typing import Any

import pytest

from penumbra import store
from penumbra.pipeline import prospective

pytestmark = pytest.mark.slow

ALIVE = {"time": 500.0, "event": False, "age": 60.4, "histology": "squamous"}
Step = tuple[str, dict[str, Any]]  # a relation and what is written to it


def said(log_risk: float, center: str = "east", image: str | None = None, version: str = "1") -> Step:
    return "predictions", {"center": center, "model": "m", "version": version, "log_risk": log_risk, "image_version": image}


def sent(**record: Any) -> Step:
    return "patients", {"center": "east", **ALIVE, **record}


@pytest.mark.parametrize(
    ("steps", "counted"),
    [
        ([sent(), said(0.1), sent(event=True, time=800.0)], [0.1]),
        ([sent(), said(0.1), sent(time=800.0)], [0.1]),
        ([said(0.1), sent()], [0.1]),
        ([sent(), said(0.1)], []),
        ([sent(), said(0.1), sent(age=60.0)], []),
        ([sent(), said(0.1), sent(histology="nos", t_stage="2")], []),
        ([sent(), said(0.1), sent(time=round(500 / 30.4375, 1) * 30.4375)], []),
        ([sent(), sent(event=True, time=800.0), said(0.1), sent(event=True, time=800.0, age=60.0)], []),
        ([sent(), said(0.1), sent(event=True, time=900.0), sent()], []),
        ([sent(), said(0.1), said(0.2), sent(event=True), said(0.9), sent(event=True, age=60.0)], [0.2]),
        ([sent(), said(0.1), said(0.9, center="west"), sent(event=True)], [0.1]),
        ([said(0.9, center="west"), sent(), said(0.1), sent(event=True)], [0.1]),
        ([said(0.9, image="another"), ("images", {"center": "east", "image_version": "own"}), sent(), said(0.1, image="own"), sent(event=True)], [0.1]),
        ([said(0.9, image="another"), ("images", {"center": "east", "image_version": "own"}), sent()], []),
        ([sent(), said(0.1), ("model_patients", {"center": "east", "model": "m", "version": "1", "split": "train"}), sent(event=True)], []),
        ([sent(), said(0.1), ("model_patients", {"center": "west", "model": "m", "version": "1", "split": "train"}), sent(event=True)], [0.1]),
        ([sent(), said(0.1), said(0.3, version="2"), sent(event=True)], [0.1, 0.3]),
        ([sent(), said(0.1), sent(event=True), ("departures", {"center": "east", "found": "no row"})], []),
    ],
)
def test_whose_outcome_counts(tmp_path: Path, steps: list[Step], counted: list[float]) -> None:
    with store.connect(tmp_path / "home") as lake:
        for relation, row in steps:
            lake.write({relation: [{"patient": "E002", **row}]}, run="r", what="a step")
        found = prospective.matured(lake, "m")
    assert [row["log_risk"] for row in found] == counted
    assert {row["center"] for row in found} <= {"east"}
