"""Which rows are new, and what is refused."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import Store

from .catalogs import Catalogs

ANN = {"patient": "A1", "center": "north", "age": 61.0, "time": 300.0, "event": True}
SCAN = {"patient": "A1", "center": "north", "image_version": "i1", "source": "A1", "spacing": [3, 1, 1]}
REFUSED = {"patient": "A1", "center": "north", "stage": "ingest", "rule": "gtv_found", "found": "Lung_L", "advice": "add it"}


def put(lake: Store, **relations: list[dict[str, Any]]) -> int | None:
    return lake.write(relations, run="run", what="test")


def test_identical_rows_are_not_new(lake: Store) -> None:
    assert put(lake, patients=[ANN], images=[SCAN], rejections=[{**REFUSED, "patient": "A2"}]) == 1
    assert put(lake, patients=[ANN], images=[SCAN], rejections=[{**REFUSED, "patient": "A2"}]) is None
    assert lake.rows("commits")[0]["relations"] == '{"images":1,"patients":1,"rejections":1}'
    assert lake.rows("commits")[0]["rows"] == 3


def test_several_relations_are_one_commit_and_all_or_nothing(lake: Store) -> None:
    with pytest.raises(Refusal, match="relation_value"):
        put(lake, patients=[ANN], images=[{**SCAN, "spacing": "3 1 1"}])
    assert lake.rows("patients") == []
    assert lake.rows("commits") == []
    assert put(lake, patients=[ANN], images=[SCAN]) == 1
    assert {row["commit_id"] for row in lake.rows("patients") + lake.rows("images")} == {1}


def test_newest_record_is_shown_and_the_earlier_kept(lake: Store, home: Path) -> None:
    put(lake, patients=[ANN])
    assert put(lake, patients=[{**ANN, "time": 400.0}]) == 2
    assert put(lake, patients=[ANN]) == 3  # corrected back: a third record
    assert [row["time"] for row in lake.rows("patients")] == [300.0]
    with store.connect(home, as_of=2) as earlier:
        assert [row["time"] for row in earlier.rows("patients")] == [400.0]


def test_a_patient_does_not_change_center(lake: Store) -> None:
    put(lake, patients=[ANN])
    with pytest.raises(Refusal, match="a patient of patients has center 'north', and now 'east'"):
        put(lake, patients=[{**ANN, "center": "east"}])


def test_same_key_twice_in_one_write(lake: Store) -> None:
    assert put(lake, patients=[ANN, dict(ANN)]) == 1
    assert len(lake.rows("patients")) == 1
    with pytest.raises(Refusal, match="twice in one write"):
        put(lake, patients=[{**ANN, "age": 1.0}, {**ANN, "age": 2.0}])


def test_a_definition_is_immutable(lake: Store) -> None:
    assert store.declare_version(lake, "v1", "radiomics", {"bin": 25}, features=["f"], run="r") == 1
    assert store.declare_version(lake, "v1", "radiomics", {"bin": 25}, features=["f"], run="r2", label="other") is None
    with pytest.raises(Refusal, match="immutable_row"):
        store.declare_version(lake, "v1", "radiomics", {"bin": 50}, features=["f"], run="r")


@pytest.mark.slow
def test_refusals_stand_until_the_patient_passes(lake: Store, home: Path) -> None:
    assert put(lake, rejections=[REFUSED]) == 1
    assert put(lake, rejections=[{**REFUSED, "advice": "other words"}]) is None
    assert put(lake, rejections=[{**REFUSED, "rule": "time_positive", "found": "-3"}]) == 2
    assert [row["rule"] for row in lake.rows("rejections")] == ["time_positive"]
    assert put(lake, images=[SCAN]) == 3
    assert lake.rows("rejections") == []
    with store.connect(home, as_of=2) as earlier:
        assert [row["rule"] for row in earlier.rows("rejections")] == ["time_positive"]


@pytest.mark.slow
def test_a_patient_accepted_refused_and_accepted_again(lake: Store) -> None:
    put(lake, images=[SCAN])
    assert put(lake, rejections=[REFUSED]) == 2
    assert len(lake.rows("rejections")) == 1
    assert put(lake, images=[SCAN]) == 3  # the same image, and yet news
    assert lake.rows("rejections") == []
    assert put(lake, images=[SCAN]) is None
    assert put(lake, rejections=[REFUSED]) == 4


@pytest.mark.slow
def test_a_later_stage_that_refuses_is_not_lifted_by_ingest(lake: Store) -> None:
    put(lake, images=[SCAN])
    put(lake, rejections=[{**REFUSED, "stage": "populate"}])
    assert put(lake, images=[SCAN]) is None
    row = {"patient": "A1", "center": "north", "roi": "gtv", "image_version": "i1", "values": [1.0]}
    store.write_features(lake, "radiomics", "v1", [row], features=["f"], run="r")
    assert lake.rows("rejections") == []


@pytest.mark.slow
def test_files_without_a_patient_are_refused_each_for_itself(lake: Store) -> None:
    nobody = {**REFUSED, "patient": None}
    assert put(lake, rejections=[{**nobody, "found": "a"}]) == 1
    assert put(lake, rejections=[{**nobody, "found": "b"}]) == 2
    assert put(lake, rejections=[{**nobody, "found": "a"}]) is None
    assert len(lake.rows("rejections")) == 2


def test_rows_as_arrow_and_missing_values(lake: Store) -> None:
    put(lake, patients=[])
    assert (
        lake.write(
            {"patients": pa.table({"patient": ["B1", "B2"], "center": ["x", "x"], "age": [float("nan"), 70.5], "event": [True, None]})}, run="r", what="w"
        )
        == 1
    )
    assert [(row["age"], row["event"]) for row in lake.rows("patients")] == [(None, True), (70.5, None)]
    assert put(lake, images=[{"patient": "B1", "center": "x", "image_version": "i", "certificate": {"b": float("nan"), "a": (1,)}}]) == 2
    assert lake.rows("images")[0]["certificate"] == '{"a":[1],"b":null}'


@pytest.mark.parametrize(
    ("relation", "row", "words"),
    [
        ("patient", ANN, "no relation 'patient'"),
        ("patients", {**ANN, "birth_date": "1950-01-01"}, "has no column 'birth_date'"),
        ("patients", {"center": "north"}, "has no patient"),
        ("patients", {**ANN, "event": 1}, "patients.event is 1"),
        ("patients", {**ANN, "age": "61"}, "patients.age is '61'"),
        ("radiomics", ANN, "Write them with write_features"),
    ],
)
def test_rows_that_do_not_fit_are_refused(lake: Store, relation: str, row: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal) as refusal:
        lake.write({relation: [row]}, run="r", what="w")
    assert words in str(refusal.value)


def test_centers_count_their_patients(filled: Path) -> None:
    with store.connect(filled, read_only=True) as lake:
        assert [(row["center"], row["patients"], row["events"]) for row in lake.rows("centers")] == [("east", 4, 2), ("north", 6, 4), ("south", 3, 2)]


def test_reading_needs_a_store_and_does_not_write(home: Path, filled: Path, catalogs: Catalogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penumbra.store.session.MIGRATING_S", 0.1)
    catalogs.begin(home)
    before = set(home.rglob("*"))
    with pytest.raises(Refusal, match=r"no feature store in.*\(rule store_exists\)"):
        store.connect(home, read_only=True)
    assert set(home.rglob("*")) == before
    with store.connect(filled, read_only=True) as lake, pytest.raises(Refusal, match="read_only_store"):
        lake.write({"patients": [ANN]}, run="r", what="w")


@pytest.mark.slow
def test_a_moved_store_opens(lake: Store, home: Path, tmp_path: Path) -> None:
    rows = [{"patient": f"P{i}", "center": "c", "roi": "gtv", "image_version": "i", "values": [float(i)]} for i in range(20)]
    store.write_features(lake, "radiomics", "v", rows, features=["f"], run="r")  # more than stay in the catalog: a Parquet file
    lake.close()
    home.rename(tmp_path / "elsewhere")
    with store.connect(tmp_path / "elsewhere", read_only=True) as moved:
        assert store.read_matrix(moved, "radiomics", "gtv").values.sum() == sum(range(20))


def three_days_ago(lake: Store, catalogs: Catalogs) -> None:
    """Make the catalog believe that files were merged three days ago."""
    if catalogs.server is None:
        with sqlite3.connect(lake.lake.file) as catalog:
            catalog.execute("UPDATE ducklake_files_scheduled_for_deletion SET schedule_start = strftime('%Y-%m-%d %H:%M:%S+00', 'now', '-3 days')")
    else:
        aged = "UPDATE ducklake_files_scheduled_for_deletion SET schedule_start = schedule_start - INTERVAL ''3 days''"
        lake.connection.execute(f"CALL postgres_execute('__ducklake_metadata_lake', '{aged}')")


def test_merged_files_stay_a_day_for_readers_that_have_begun_and_then_go(lake: Store, home: Path, catalogs: Catalogs) -> None:
    """Broke: with an SQLite catalog an hour's grace was none, since DuckLake compares the times as text and " " comes before "T"."""
    for patient in ("A1", "A2", "A3"):
        put(lake, patients=[{**ANN, "patient": patient}])
    before = set((home / "store").rglob("*.parquet"))
    killed, beginning = (next(iter(before)).with_name(f"ducklake-{name}.parquet") for name in ("killed", "beginning"))
    for file in (killed, beginning):
        file.write_bytes(b"PAR1")
    for file in (killed, *before):
        os.utime(file, (time.time() - 3 * 86400,) * 2)
    lake.compact()
    assert before < set((home / "store").rglob("*.parquet"))
    assert not killed.exists()
    assert beginning.exists()  # of somebody who is writing, for all we know
    three_days_ago(lake, catalogs)
    lake.compact()
    assert len(before & set((home / "store").rglob("*.parquet"))) < len(before)
    assert [row["patient"] for row in lake.rows("patients")] == ["A1", "A2", "A3"]


@pytest.mark.slow
def test_compacting_changes_nothing_that_is_shown(own: Path) -> None:
    with store.connect(own) as lake:
        lake.write({"patients": [{"patient": "N000", "center": "north", "age": 99.0}]}, run="r", what="corrected")
        before = {name: store.digest(lake, name) for name in lake.views.names()}
        reader = store.connect(own, read_only=True)
        lake.compact()
        assert {name: store.digest(lake, name) for name in lake.views.names()} == before
        assert store.digest(reader, "radiomics") == before["radiomics"]
        assert store.check(lake) == []
        reader.close()
    with store.connect(own, as_of=1) as earlier:
        assert next(row["age"] for row in earlier.rows("patients") if row["patient"] == "N000") == 60.0
