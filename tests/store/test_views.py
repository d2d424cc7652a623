"""What analysts ask, against plain rows by hand."""

import statistics
from pathlib import Path

import numpy as np
import pytest

from penumbra import store

from .conftest import CENTERS, FEATURES, ROIS, VERSION, image, patients, register, vector_rows


def test_outcome_joined_with_features(filled: Path) -> None:
    table = store.query(filled, "FROM ring_3mm_outcome ORDER BY patient")
    by_hand = {row["patient"]: row["values"] for row in vector_rows() if row["roi"] == "ring_3mm"}
    assert table.column("patient").to_pylist() == sorted(by_hand)
    for row in table.to_pylist():
        np.testing.assert_array_equal([row[feature] for feature in FEATURES], by_hand[row["patient"]])
    assert table.column("time").to_pylist() == [row["time"] for row in sorted(patients(), key=lambda row: row["patient"])]


def test_drift_is_the_standardized_mean_difference(filled: Path) -> None:
    row = store.query(
        filled,
        "SELECT * FROM center_drift WHERE roi = 'gtv' AND feature = 'wavelet-LLH_glcm_Contrast' AND center = 'east' AND other = 'north'",
    ).to_pylist()[0]
    place = FEATURES.index("wavelet-LLH_glcm_Contrast")
    east, north = ([float(r["values"][place]) for r in vector_rows() if r["roi"] == "gtv" and r["center"] == center] for center in ("east", "north"))
    pooled = ((statistics.variance(east) + statistics.variance(north)) / 2) ** 0.5
    assert row["smd"] == pytest.approx((statistics.mean(east) - statistics.mean(north)) / pooled, rel=1e-12)
    assert (row["n"], row["other_n"]) == (4, 6)
    pairs = store.query(filled, "SELECT count(*) AS n FROM center_drift").to_pylist()[0]["n"]
    assert pairs == 3 * len(ROIS) * len(FEATURES)


@pytest.mark.slow
def test_coverage_names_what_is_missing(own: Path) -> None:
    with store.connect(own) as lake:
        lake.write({"images": [image("N000", "north", "image2"), image("N777", "north")]}, run="r", what="a corrected scan and a new patient")
    missing = store.query(own, "SELECT patient, count(*) AS n FROM coverage WHERE NOT present GROUP BY patient ORDER BY patient").to_pylist()
    assert missing == [{"patient": "N000", "n": 5}, {"patient": "N777", "n": 5}]
    held = store.query(own, 'SELECT DISTINCT kind, version, "values" FROM coverage WHERE present ORDER BY kind').to_pylist()
    assert held == [{"kind": "deep", "version": "d00000000000", "values": 4}, {"kind": "radiomics", "version": VERSION, "values": len(FEATURES)}]


@pytest.mark.slow
def test_metrics_of_every_version(own: Path) -> None:
    with store.connect(own) as lake:
        register(lake, "2")
    asked = "SELECT version, center, change FROM version_metrics WHERE metric = 'harrell_c' AND split {} 'cross_fitted' ORDER BY version, center"
    for split, places, change in (("<>", len(CENTERS), 0.02), ("=", 1, 0.0)):
        rows = store.query(own, asked.format(split)).to_pylist()
        assert [row["change"] for row in rows] == [None] * places + [pytest.approx(change)] * places


def test_which_patients_a_model_used(own: Path) -> None:
    with store.connect(own) as lake:
        lake.write({"model_versions": [{"model": "nsclc-os", "version": "9", "store_commit": 1, "train_centers": ["east", "south"]}]}, run="r", what="unlisted")
        lake.write({"patients": [{"patient": "E999", "center": "east"}]}, run="r", what="later")
    rows = store.query(own, "SELECT version, source, list(patient ORDER BY patient) AS patients FROM model_uses GROUP BY ALL ORDER BY version").to_pylist()
    assert rows == [
        {"version": "1", "source": "recorded", "patients": [f"N{i:03d}" for i in range(6)]},
        {"version": "9", "source": "derived", "patients": [*(f"E{i:03d}" for i in range(4)), *(f"S{i:03d}" for i in range(3))]},
    ]
