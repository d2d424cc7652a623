"""A home with a patient of every kind, and with names that a page must never take for its own markup."""

from pathlib import Path
from typing import Any

from penumbra import registry, store
from tests import example_home
from tests.registry.small_bundle import METRICS, small_bundle

HOSTILE = (
    "<script>alert(1)</script>",
    "O'Brien; DROP TABLE patients --",
    'quote " and <b>',
    "a/b/../c",
    "{{ 7 * 7 }}",
    "Ünïcödé 患者",
    "x" * 300,
)
HOSTILE_CENTER = "<img src=x onerror=alert(2)>"


def certificate(*findings: dict[str, str], roi_name: str = "GTV-1") -> dict[str, Any]:
    """Of a mask of 5.5 cm3."""
    return {
        "border_voxels": 0,
        "contour_planes": 11,
        "contour_planes_hit": 11,
        "crossing": 0,
        "findings": list(findings),
        "gap_max_mm": 6.0 if findings else 3.0,
        "gap_min_mm": 3.0,
        "grid_mm3": 5500.0,
        "holes": 0,
        "islands": 1,
        "largest_share": 1.0,
        "planimetric_mm3": 5490.0,
        "roi_name": roi_name,
        "skipped_slices": 0,
        "slices": 11,
    }


GAP = {"rule": "slice_gaps", "found": "slice gaps of 3.00 to 6.00 mm within the GTV", "advice": "Look at the contours"}


def make(home: Path, example: Path) -> None:
    """`example_home` with east: E001 flagged, with a changed record and two versions; E002 rejected; and a center of hostile names."""
    example_home.copied(example, home)
    with store.connect(home) as lake:
        lake.write(
            {
                "centers": [{"center": "east"}, {"center": HOSTILE_CENTER}],
                "patients": [_patient("E001", "east", time=300.0, event=False), *(_patient(name, HOSTILE_CENTER) for name in HOSTILE)],
                "images": [
                    _image("E001", "east", certificate(GAP), "flagged"),
                    *(_image(name, HOSTILE_CENTER, certificate(roi_name=name)) for name in HOSTILE),
                ],
                "rois": [_roi("E001", "east"), *(_roi(name, HOSTILE_CENTER) for name in HOSTILE)],
                "rejections": [
                    _rejection("E002", "east", "gtv_named", "no structure is named like a GTV; found: 4 structures"),
                    _rejection("E003", "east", "gtv_named", "no structure is named like a GTV; found: <i>2</i> structures"),
                    _rejection("E004", "east", "survival_missing", "no survival time"),
                    _rejection("<u>H</u>", HOSTILE_CENTER, "gtv_named", "no structure is named like a GTV"),
                ],
            },
            run="example",
            what="ingest east",
        )
        lake.write({"patients": [_patient("E001", "east", time=400.0, event=True)]}, run="example", what="a later record")
        second = registry.register(home, small_bundle(home.with_name("network.safetensors"), 0.9), METRICS, model="nsclc-os")
        row = {"model": "nsclc-os", "version": str(second.version), "store_commit": 3, "train_centers": ["north"], "digest": second.digest}
        lake.write({"model_versions": [{**row, "created_at": second.created_at}]}, run="example", what="register nsclc-os/2")
        uses = [("1", "N001", "north", "train"), ("1", "E001", "east", "test"), ("2", "E001", "east", "train")]
        scores = [
            ("1", "N001", "north", 0.7, "high"),
            ("1", "N002", "north", -0.4, "low"),
            ("1", "E001", "east", 0.9, "high"),
            ("2", "E001", "east", -0.2, "low"),
        ]
        lake.write(
            {
                "model_patients": [_of(version, patient, center) | {"split": split} for version, patient, center, split in uses],
                "predictions": [_prediction(*score) for score in scores],
                "prediction_horizons": [
                    _of(version, patient, center) | {"days": 730.0, "survival": 0.5, "lower": 0.4, "upper": 0.6} for version, patient, center, *_ in scores
                ],
            },
            run="example",
            what="scores",
        )


def _patient(patient: str, center: str, *, time: float = 500.0, event: bool = True) -> dict[str, Any]:
    return {"patient": patient, "center": center, "age": 66.0, "sex": "male", "overall_stage": "IIIA", "time": time, "event": event}


def _image(patient: str, center: str, certificate: dict[str, Any], status: str = "accepted") -> dict[str, Any]:
    return {
        "patient": patient,
        "center": center,
        "image_version": "image1",
        "sha256": f"{abs(hash(patient)):064d}"[:64],
        "status": status,
        "certificate": certificate,
    }


def _roi(patient: str, center: str) -> dict[str, Any]:
    figures = {"volume_mm3": 5500.0, "voxels": 5500, "lost_mm3": 0.0, "hu_min": -100.0, "hu_median": 30.0, "hu_max": 200.0}
    return {"patient": patient, "center": center, "roi": "gtv", "image_version": "image1", "status": "accepted", **figures}


def _rejection(patient: str, center: str, rule: str, found: str) -> dict[str, Any]:
    return {"patient": patient, "center": center, "stage": "ingest", "rule": rule, "found": found, "advice": "Add the name of the GTV to this center"}


def _of(version: str, patient: str, center: str) -> dict[str, Any]:
    return {"model": "nsclc-os", "version": version, "patient": patient, "center": center}


def _prediction(version: str, patient: str, center: str, log_risk: float, group: str) -> dict[str, Any]:
    limits = {"log_risk_lower": log_risk - 0.5, "log_risk_upper": log_risk + 0.5, "limits": "refits on resamples of the training patients"}
    within = {"applicability": "edge", "applicability_reason": "3 of 5 columns outside the training range", "applicability_columns": ["gtv.a"]}
    return _of(version, patient, center) | {"log_risk": log_risk, "risk_group": group, **limits, **within}
