"""Rows of the features lie sorted in their files: who reads one ROI passes over the others. Stores of earlier days become so when they are compacted."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from penumbra import store
from penumbra.base.params import project_root
from penumbra.store.lake import Lake, open_engine, open_for_writing

from .catalogs import Catalogs
from .conftest import ROIS

SCHEMA = sorted((project_root() / "features" / "schema").glob("*.sql"))
SORTED = next(place for place, file in enumerate(SCHEMA) if file.stem.endswith("_sorted_features"))
GROUP = 2048  # rows
KEY = "version, roi, center, patient, image_version"


def files(lake: store.Store, kind: str = "radiomics") -> list[str]:
    """The Parquet files that the newest snapshot reads."""
    return [str(row[0]) for row in lake.connection.execute("SELECT data_file FROM ducklake_list_files('lake', ?)", [kind]).fetchall()]


def groups(lake: store.Store, file: str, column: str) -> list[tuple[int, str, str]]:
    """Rows, smallest and largest text of each row group."""
    asked = "SELECT row_group_num_rows, stats_min_value, stats_max_value FROM parquet_metadata(?) WHERE path_in_schema = ? ORDER BY row_group_id"
    return lake.connection.execute(asked, [file, column]).fetchall()


def is_sorted(lake: store.Store, file: str) -> bool:
    keys = lake.connection.execute(f"SELECT {KEY} FROM read_parquet(?)", [file]).fetchall()  # noqa: S608 of this module
    return keys == sorted(keys)


def write(lake: store.Store, version: str, people: range) -> None:
    """Patient by patient, as populate does."""
    rows = [
        {"patient": f"P{i:05d}", "center": ("south", "east")[i % 2], "roi": roi, "image_version": "i1", "values": [float(i), float(k)]}
        for i in people
        for k, roi in enumerate(ROIS[::-1])
    ]
    store.write_features(lake, "radiomics", version, rows, features=["a", "b"], run="r")


def read(lake: store.Store) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for version, roi in (("v1", ROIS[0]), ("v2", ROIS[2])):
        matrix = store.read_matrix(lake, "radiomics", roi, version=version)
        yield matrix.patients, matrix.values


def test_a_row_group_holds_one_definition_roi_and_center_as_far_as_it_can(home: Path) -> None:
    """Counted in the files: those of one ROI are its share and no more than one at each of its two ends, after a commit and after compaction."""
    with store.connect(home) as lake:
        for version, people in (("v2", range(2500)), ("v1", range(2500)), ("v2", range(2500, 2600))):
            write(lake, version, people)
        for compacted in (False, True):
            if compacted:
                before = [tuple(map(np.ndarray.tobytes, each)) for each in read(lake)]
                lake.compact()
                assert [tuple(map(np.ndarray.tobytes, each)) for each in read(lake)] == before
            sizes = [sum(rows for rows, _, _ in groups(lake, file, "roi")) for file in files(lake)]
            assert sorted(sizes) == ([20_400] if compacted else [400, 10_000, 10_000])
            for file, size in zip(files(lake), sizes, strict=True):
                assert is_sorted(lake, file)
                rois = groups(lake, file, "roi")
                assert max(rows for rows, _, _ in rois) == min(GROUP, size)
                for roi in ROIS:
                    touched = sum(rows for rows, smallest, largest in rois if smallest <= roi <= largest)
                    definitions = 2 if compacted else 1
                    assert touched <= size / len(ROIS) + definitions * 2 * GROUP
        for patients, values in read(lake):
            assert list(patients) == sorted(patients)
            assert [f"P{number:05.0f}" for number in values[:, 0]] == list(patients)


def test_a_store_of_an_earlier_schema_is_sorted_where_it_is_written_again(home: Path, catalogs: Catalogs, tmp_path: Path) -> None:
    early = tmp_path / "features" / "schema"
    early.mkdir(parents=True)
    for file in SCHEMA[:SORTED]:
        shutil.copy(file, early)
    catalogs.begin(home)
    with contextlib.closing(open_engine()) as engine:
        open_for_writing(Lake(home), engine, early)
        for commit in (1, 2, 3):
            rows = ", ".join(f"('P{commit}{i}', 'north', '{roi}', 'v1', 'i1', [{commit}.5, {i}], {commit})" for i in (2, 1) for roi in ROIS[::-1])
            engine.execute(f"INSERT INTO lake.radiomics (patient, center, roi, version, image_version, v00, commit_id) VALUES {rows}")  # noqa: S608 of this test
            engine.execute("INSERT INTO lake.commits VALUES (?, now(), 'r', 'early', 8, '{\"radiomics\":8}')", [commit])
        rows_before = engine.execute("FROM lake.radiomics ORDER BY ALL").fetchall()
    with store.connect(home) as lake:
        names = files(lake)
        assert len(names) == 3
        assert not any(is_sorted(lake, file) for file in names)  # nothing was written again by opening it
        arriving = [{"patient": "P40", "center": "north", "roi": roi, "image_version": "i1", "values": [4.5]} for roi in ROIS[::-1]]
        store.write_features(lake, "radiomics", "v1", arriving, features=["a"], run="r")
        (newest,) = set(files(lake)) - set(names)
        assert is_sorted(lake, newest)
        digest = store.digest(lake, "radiomics_all")
        lake.compact()
        assert len(files(lake)) < 4
        assert all(is_sorted(lake, file) for file in files(lake))
        assert not set(files(lake)) & set(names)
        assert store.digest(lake, "radiomics_all") == digest
        assert lake.connection.execute("FROM lake.radiomics WHERE patient != 'P40' ORDER BY ALL").fetchall() == rows_before
        assert store.check(lake) == []
    with store.connect(home, as_of=2) as earlier:
        assert earlier.sql("SELECT DISTINCT patient FROM stored.radiomics ORDER BY 1").column(0).to_pylist() == ["P11", "P12", "P21", "P22"]
