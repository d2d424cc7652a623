"""A home with two registered versions that scored three centers, and with retrainings of every kind: rows written as the stages write them, nothing fitted."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.evaluate import Evidence
from penumbra.evaluate.gate import gate
from penumbra.evaluate.updating import UpdateEvidence
from penumbra.pipeline import aliases, manifests, recording
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.registry.database import quiet_mlflow
from penumbra.survival.update_steps import UpdateTest

from ..evaluate.test_gate import GOOD, contrast
from ..registry.small_bundle import METRICS, small_bundle
from ..small_run import small_work

MODEL = "nsclc-os"
CENTERS = {"north": 40, "east": 24, "south": 16}
KEPT = replace(GOOD, overall=contrast("all centers", low=-0.02, events=60), centers=(contrast("north"), contrast("east", events=4)))
UPDATE = UpdateEvidence(
    step="intercept",
    tests=(UpdateTest("as it is", 39.4, 3, 1e-6), UpdateTest("intercept", 1.1, 2, 0.57)),
    alpha=0.05,
    terms="the slope, and the hazard from the middle on",
    patients=16,
    deaths=9,
    expected=20.5,
    intercept=-0.8,
)


def make(home: Path, empty_registry: Path, *, newest: str = "west<script>") -> Work:
    """Fill a new home; version 1 is champion, 2 challenger; `newest` is the center whose retraining is not finished."""
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    work = small_work(home, centers=CENTERS, features=3)
    with quiet_mlflow():
        entries = [registry.register(home, small_bundle(home / "weights", weight), METRICS, challenger=True) for weight in (0.5, 0.6)]
        loaded = [registry.load(home, entry.version) for entry in entries]
        with store.connect(home) as lake:
            patients = lake.sql("SELECT patient, center FROM patients ORDER BY patient").to_pylist()
            for each in loaded:
                lake.write(version_rows(each, patients), run="test", what=f"register {each.entry.label}")
        aliases.set_alias(work, 1, reason="the first version")
    decide(work, newest)
    return work


def version_rows(loaded: LoadedModel, patients: list[dict[str, Any]]) -> dict[str, Any]:
    """What the stage register writes of a version."""
    number, random = loaded.entry.version, np.random.default_rng(loaded.entry.version)
    log_risk = random.normal(size=len(patients))
    survival = np.exp(-np.outer(np.exp(log_risk), (0.4, 0.8, 1.2)))
    groups = np.where(log_risk > 0, "high", "low")
    people = [{**row, "image_version": "i1"} for row in patients]
    answers = recording.of_version(number, recording.prediction_records(MODEL, people, log_risk, groups, loaded.horizons_days, survival))
    measured = [
        (MODEL, "training", "cross_fitted", "harrell_c", 0.70 + 0.01 * number, 0.62, 0.78, 40, 25),
        ("Volume", "training", "cross_fitted", "harrell_c", 0.58, 0.49, 0.66, 40, 25),
        (MODEL, "training", "cross_fitted", "delta_c_volume", 0.12, 0.03, 0.21, 40, 25),
        (MODEL, "east", "test", "harrell_c", 0.66, 0.52, 0.79, 24, 15),
        ("Volume", "east", "test", "harrell_c", 0.61, 0.47, 0.74, 24, 15),
        (MODEL, "east", "test", "delta_c_volume", 0.05, -0.06, 0.16, 24, 15),
        (MODEL, "south", "test", "harrell_c", 0.40, 0.22, 0.58, 16, 9),
        (MODEL, "south", "test", "delta_c_volume", -0.2, -0.35, -0.05, 16, 9),
        (MODEL, "north", "train", "harrell_c", 0.81, 0.75, 0.87, 40, 25),
    ]
    names = ("model", "center", "split", "metric", "value", "lower", "upper", "n", "events")
    return {
        **answers,
        "model_versions": [aliases.version_record(loaded.entry)],
        "model_patients": [{"model": MODEL, "version": str(number), "split": "train", **row} for row in people if row["center"] == "north"],
        "model_metrics": [{"version": str(number), **dict(zip(names, row, strict=True))} for row in measured],
    }


def step(key: str, center: str, name: str, outcome: str, **facts: object) -> dict[str, Any]:
    return {"retraining": key, "center": center, "step": name, "outcome": outcome, "facts": facts}


def decide(work: Work, newest: str) -> None:
    """An old retraining without limits, one that was kept by the gate, one that updated a center, one that was not finished."""
    verdict = gate(KEPT)
    kept = [
        step("k2", "east", "arrival", "23 of 24 accepted", rejected={"gtv_not_empty": 1}, flagged={}),
        step("k2", "east", "validation", "nsclc-os/1 has C 0.660 on 24 patients", version=1, expected_half_widths={}),
        step("k2", "east", "checks", "15 deaths among 24", drift={"gtv.original_firstorder_Mean": -1.25}, applicability={"inside": 20, "outside": 4}),
        step("k2", "east", "refit", "version 2 on east, north", left_out={"east": 0.63}, digest="ab" * 32),
        step("k2", "east", "gate", verdict.reason, decision=verdict.decision, evidence=KEPT.to_json()),
        step("k2", "east", "decision", verdict.reason, decision=verdict.decision, champion=1, challenger=2),
    ]
    rows = [
        [step("k0", "east", "decision", "Kept: not better by more than 0.", decision="keep", champion=1, challenger=None)],
        [step("k1", "east", "gate", "Rejected: worse.", decision="reject", evidence={"limits": "of another shape"})],
        *([row] for row in kept),
        [step("k3", "south", "update", "chose the intercept", **UPDATE.to_json())],
        [step("k3", "south", "decision", "Promoted: with intercept -0.8.", decision="promote", champion=1, challenger=2)],
        [step("k4", newest, "arrival", "3 of 3 accepted")],
    ]
    with store.connect(work.home) as lake:
        for each in rows:
            lake.write({"retrainings": each}, run="test", what="retrain")
    manifests.write(work.home, decision("east", "k2", verdict.decision, verdict.reason, KEPT), "retrain-east")
    manifests.write(work.home, replace(decision("south", "k3", "promote", "Promoted.", None), update=UPDATE), "retrain-south")


def decision(center: str, key: str, what: str, reason: str, evidence: Evidence | None) -> DecisionManifest:
    return DecisionManifest(
        center=center, key=key, decision=what, reason=reason, champion=1, challenger=2, comparison=(), evidence=evidence, model=MODEL, key_after=key
    )
