"""Relations of features show each patient once, under the definition that is current; those with _all show every definition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import store

from .conftest import CENTERS, FEATURES, ROIS, VERSION, image, patients, register, vector_rows

pytestmark = pytest.mark.slow

PEOPLE = sum(CENTERS.values())
NEW = "fedcba987654"
ONE_EACH = {  # relation -> rows of each patient under one definition
    **{"radiomics": len(ROIS), "radiomics_long": len(ROIS) * len(FEATURES), "deep": 1, "signatures": 1},
    **{f"{roi}_outcome": 1 for roi in ROIS},
    "coverage": len(ROIS) + 1,
}


def counts(home: Path, relation: str, as_of: int | None = None) -> int:
    return int(store.query(home, f"SELECT count(*) AS n FROM {relation}", as_of=as_of).to_pylist()[0]["n"])  # noqa: S608


def deep_rows() -> list[dict[str, Any]]:
    common = {"roi": "gtv", "image_version": "image1", "log_risk": 0.0, "values": [1.0] * 4}
    return [{"patient": row["patient"], "center": row["center"], **common} for row in patients()]


@pytest.fixture
def two(own: Path) -> Path:
    """A store in which every patient has features of two definitions, and scores of two versions."""
    with store.connect(own) as lake:
        store.declare_version(lake, NEW, "radiomics", {"engine": "changed"}, features=FEATURES, run="run2")
        store.write_features(lake, "radiomics", NEW, vector_rows(seed=1), features=FEATURES, run="run2")
        store.write_features(lake, "deep", "d11111111111", deep_rows(), features=[f"deep_{i:03d}" for i in range(4)], run="run2")
        register(lake, "2")
    return own


@pytest.mark.parametrize("relation", [*ONE_EACH, "feature_statistics", "center_drift"])
def test_every_patient_counts_once(filled: Path, two: Path, relation: str) -> None:
    before = counts(filled, relation)
    assert before == PEOPLE * ONE_EACH[relation] if relation in ONE_EACH else before > 0
    assert counts(two, relation) == before
    assert counts(two, f"{relation}_all") == 2 * before


def test_the_mean_is_of_one_definition(two: Path) -> None:
    asked = f"SELECT center, avg(\"{FEATURES[1]}\") AS mean FROM gtv_outcome WHERE center = 'east' GROUP BY ALL"  # noqa: S608
    by_hand = np.mean([row["values"][1] for row in vector_rows(seed=1) if row["roi"] == "gtv" and row["center"] == "east"])
    assert store.query(two, asked).to_pylist()[0]["mean"] == pytest.approx(by_hand, rel=1e-12)
    statistics = f"SELECT mean FROM feature_statistics WHERE roi = 'gtv' AND center = 'east' AND feature = '{FEATURES[1]}'"  # noqa: S608
    assert [row["mean"] for row in store.query(two, statistics).to_pylist()] == [pytest.approx(by_hand, rel=1e-12)]


def test_as_of_shows_what_was_current_then(two: Path) -> None:
    asked = "SELECT DISTINCT version FROM radiomics"
    declared = {row["version"]: row["commit_id"] for row in store.query(two, "FROM feature_versions").to_pylist()}[NEW]
    assert store.query(two, asked, as_of=declared).to_pylist() == [{"version": VERSION}]
    assert store.query(two, asked).to_pylist() == [{"version": NEW}]
    assert store.commit_of(two, "nsclc-os/1") < declared < store.commit_of(two, "nsclc-os/2")


def test_going_back_to_an_earlier_definition_makes_it_current(two: Path) -> None:
    """Nothing is computed then, so no row is newer; populate says which definition it worked with."""
    with store.connect(two) as lake:
        lake.write({"current_versions": [{"kind": "radiomics", "version": VERSION}]}, run="run3", what="populate")
        assert store.read_matrix(lake, "radiomics", "gtv").version == VERSION
        assert store.read_matrix(lake, "radiomics", "gtv", version=NEW).version == NEW
        store.write_features(lake, "radiomics", NEW, [{**vector_rows()[0], "image_version": "image0"}], features=FEATURES, run="run3")
    assert store.query(two, "SELECT DISTINCT version FROM radiomics").to_pylist() == [{"version": VERSION}]
    assert {row["kind"]: row["version"] for row in store.query(two, "FROM current_versions").to_pylist()} == {"radiomics": VERSION, "deep": "d11111111111"}


def test_a_corrected_scan_counts_once_too(two: Path) -> None:
    with store.connect(two) as lake:
        lake.write({"images": [image("N000", "north", "image2")]}, run="r", what="a corrected scan")
        again = [row for row in vector_rows("image2", seed=2) if row["patient"] == "N000"]
        store.write_features(lake, "radiomics", NEW, again, features=FEATURES, run="r")
    assert counts(two, "radiomics") == PEOPLE * len(ROIS)
    assert counts(two, "radiomics_all") == (2 * PEOPLE - 1) * len(ROIS)
