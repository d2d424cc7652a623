"""The whole store out and in again, between catalogs."""

import json
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal

from .catalogs import Catalogs

pytestmark = pytest.mark.slow


def digests(home: Path) -> dict[str, str]:
    with store.connect(home, read_only=True) as lake:
        return {relation: store.digest(lake, relation) for relation in ("patients", "radiomics", "deep", "commits", "predictions", "feature_versions")}


def test_a_store_moves_to_the_other_catalog_and_back(own: Path, catalogs: Catalogs, other: Catalogs, tmp_path: Path) -> None:
    with store.connect(own) as lake:
        lake.write({"patients": [{"patient": "N000", "center": "north", "age": None}]}, run="r", what="corrected")
        wide = [{"patient": "X", "center": "x", "roi": "gtv", "image_version": "i", "values": [0.1 + 0.2] * 1400}]  # more columns than the schema has
        store.write_features(lake, "radiomics", "v2", wide, features=[f"f{i}" for i in range(1400)], run="r")
        first = store.export_store(lake, tmp_path / "one")
        assert lake.rows("patients")[0]["patient"] == "E000"  # the connection still works
    there = other.begin(tmp_path / "there")
    with store.connect(there) as lake:
        assert store.import_store(lake, tmp_path / "one") == first
        assert store.check(lake) == []
        assert store.export_store(lake, tmp_path / "two") == first
        lake.write({"patients": [{"patient": "N001", "center": "north", "age": 1.0}]}, run="r", what="life goes on")
        assert lake.newest_commit() == first.commits + 1
        assert store.export_store(lake, tmp_path / "three").digest != first.digest
    back = catalogs.begin(tmp_path / "back")
    with store.connect(back) as lake:
        assert store.import_store(lake, tmp_path / "two") == first
    assert digests(back) == digests(own)
    with store.connect(back, as_of=5) as earlier:
        assert next(row["age"] for row in earlier.rows("patients") if row["patient"] == "N000") == 60.0
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["digest"] == first.digest


def test_what_is_refused(filled: Path, lake: store.Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with store.connect(filled, read_only=True) as full:
        store.export_store(full, out)
        with pytest.raises(Refusal, match="is not empty"):
            store.export_store(full, out)
    with pytest.raises(Refusal, match=r"no manifest\.json in"):
        store.import_store(lake, tmp_path)
    patients = (out / "patients.parquet").read_bytes()
    (out / "patients.parquet").write_bytes(patients[:100] + bytes([patients[100] ^ 1]) + patients[101:])
    with pytest.raises(Refusal, match=r"patients\.parquet is not the file that was exported"):
        store.import_store(lake, out)
    (out / "patients.parquet").unlink()
    with pytest.raises(Refusal, match=r"patients\.parquet is missing"):
        store.import_store(lake, out)
    assert lake.newest_commit() == 0
    (out / "patients.parquet").write_bytes(patients)
    store.import_store(lake, out)
    with pytest.raises(Refusal, match="the store has 5 commits already"):
        store.import_store(lake, out)
