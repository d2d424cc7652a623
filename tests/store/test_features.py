"""Vectors in, matrices out, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import Store
from penumbra.store.features import Kind
from penumbra.store.lent import at_once

NAMES = [f"wavelet-LLH_glcm_F{i}" for i in range(150)]


def rows_of(values: np.ndarray, image: str = "i1", roi: str = "gtv") -> list[dict[str, Any]]:
    return [{"patient": f"P{i:03d}", "center": "c", "roi": roi, "image_version": image, "values": vector} for i, vector in enumerate(values)]


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 40])  # in the catalog; in a Parquet file
def test_matrix_is_what_was_written(lake: Store, n: int) -> None:
    values = np.random.default_rng(1).standard_normal((n, len(NAMES))) * 10.0 ** np.random.default_rng(2).integers(-300, 300, (n, len(NAMES)))
    values[0, :5] = [np.inf, -np.inf, 5e-324, 0.1 + 0.2, np.nan]
    assert store.write_features(lake, "radiomics", "v1", rows_of(values)[::-1], features=NAMES, run="r") == 1
    assert store.write_features(lake, "radiomics", "v1", rows_of(values), features=NAMES, run="r") is None
    matrix = store.read_matrix(lake, "radiomics", "gtv")
    assert list(matrix.patients) == [f"P{i:03d}" for i in range(n)]
    assert matrix.features == tuple(NAMES)
    assert matrix.version == "v1"
    np.testing.assert_array_equal(matrix.values, values)
    assert matrix.log_risk is None
    assert set(matrix.centers) == {"c"}


@pytest.mark.slow
def test_another_value_under_a_key_is_refused_and_nothing_of_the_write_is_kept(lake: Store) -> None:
    values = np.ones((2, 3))
    store.write_features(lake, "radiomics", "v1", rows_of(values[:1]), features=NAMES[:3], run="r")
    with pytest.raises(Refusal, match="radiomics of patient P000, gtv, version v1, image i1 is stored with other values"):
        store.write_features(lake, "radiomics", "v1", rows_of(values * 2), features=NAMES[:3], run="r")
    assert store.missing(lake, "radiomics", "v1", [("P000", "gtv", "i1"), ("P001", "gtv", "i1"), ("P000", "gtv", "i2")]) == [
        ("P001", "gtv", "i1"),
        ("P000", "gtv", "i2"),
    ]


def test_features_keep_their_columns_when_the_list_changes(lake: Store) -> None:
    old, new = NAMES[:70], [*NAMES[100:], *NAMES[5:0:-1], "extra"]
    values = np.random.default_rng(0).standard_normal((4, len(old)))
    for version, names in (("v1", old), ("v2", new)):
        store.declare_version(lake, version, "radiomics", {"names": names}, features=names, run="r")
        store.write_features(lake, "radiomics", version, rows_of(values[:, : len(names)]), features=names, run="r")
    values = values[:, : len(new)]
    matrix = store.read_matrix(lake, "radiomics", "gtv", version="v2")
    assert matrix.features == tuple(new)
    np.testing.assert_array_equal(matrix.values, values)
    assert store.read_matrix(lake, "radiomics", "gtv", version="v1").features == tuple(old)
    table = lake.sql(
        """SELECT version, "wavelet-LLH_glcm_F0" AS only_old, "extra" AS only_new FROM radiomics_all WHERE patient = ? ORDER BY version""", ["P000"]
    ).to_pylist()
    assert [(row["only_old"] is None, row["only_new"] is None) for row in table] == [(False, True), (True, False)]
    long = lake.sql("SELECT feature, value FROM radiomics_long WHERE version = 'v2' AND patient = 'P002'").to_pylist()
    assert {row["feature"]: row["value"] for row in long} == dict(zip(new, values[2], strict=True))


def test_more_features_than_columns_were_made_for(lake: Store) -> None:
    names = [f"f{i}" for i in range(21 * 64 + 10)]
    values = np.arange(2.0 * len(names)).reshape(2, -1)
    store.write_features(lake, "radiomics", "v1", rows_of(values), features=names, run="r")
    np.testing.assert_array_equal(store.read_matrix(lake, "radiomics", "gtv").values, values)
    assert lake.sql("FROM radiomics ORDER BY patient").column(names[-1]).to_pylist() == [len(names) - 1, 2 * len(names) - 1]


def test_drift_counts_the_finite_values_of_every_feature(lake: Store) -> None:
    values = np.random.default_rng(0).standard_normal((6, 130))
    values[0, 70], values[1, 128], values[:3, 5], values[3:5, 127] = np.inf, np.nan, np.nan, -np.inf
    rows = [{**row, "center": center} for row, center in zip(rows_of(values), "aaabbb", strict=True)]
    store.write_features(lake, "radiomics", "v1", rows, features=NAMES[:130], run="r")
    drift = {row["feature"]: row for row in lake.rows("center_drift")}
    assert set(drift) == set(NAMES[:130]) - {NAMES[5]}
    for place, name in enumerate(NAMES[:130]):
        if name in drift:
            one, other = (column[np.isfinite(column)] for column in (values[:3, place], values[3:, place]))
            row = drift[name]
            assert (row["n"], row["other_n"]) == (len(one), len(other))
            assert [row["mean"], row["other_mean"], row["sd"]] == pytest.approx([one.mean(), other.mean(), one.std(ddof=1)], rel=1e-12)
            assert row["other_sd"] == (pytest.approx(other.std(ddof=1), rel=1e-12) if len(other) > 1 else None)


@pytest.mark.slow
def test_a_corrected_image_replaces_what_is_shown(lake: Store, home: Path) -> None:
    image = {"patient": "P000", "center": "c", "image_version": "i1"}
    lake.write({"images": [image]}, run="r", what="w")
    store.write_features(lake, "radiomics", "v1", rows_of(np.ones((1, 3))), features=NAMES[:3], run="r")
    lake.write({"images": [{**image, "image_version": "i2"}]}, run="r", what="corrected")
    assert len(store.read_matrix(lake, "radiomics", "gtv", version="v1").patients) == 0  # never the features of a scan that was withdrawn
    newest = store.write_features(lake, "radiomics", "v1", rows_of(np.full((1, 3), 2.0), "i2"), features=NAMES[:3], run="r")
    assert store.read_matrix(lake, "radiomics", "gtv").values.tolist() == [[2.0, 2.0, 2.0]]
    assert newest is not None
    assert store.read_matrix(lake, "radiomics", "gtv", as_of=newest - 2).values.tolist() == [[1.0, 1.0, 1.0]]
    lake.write({"images": [image]}, run="r", what="the first scan was right")
    assert store.read_matrix(lake, "radiomics", "gtv").values.tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.slow
def test_without_images_the_newest_features_are_shown(lake: Store) -> None:
    for image, value in (("i1", 1.0), ("i2", 2.0)):
        store.write_features(lake, "radiomics", "v1", rows_of(np.full((1, 3), value), image), features=NAMES[:3], run="r")
    assert store.read_matrix(lake, "radiomics", "gtv").values.tolist() == [[2.0, 2.0, 2.0]]


def test_chosen_patients_and_centers(filled: Path) -> None:
    with store.connect(filled, read_only=True) as lake:
        assert list(store.read_matrix(lake, "radiomics", "ring_6mm", patients=["S001", "N002", "nobody"]).patients) == ["N002", "S001"]
        assert set(store.read_matrix(lake, "radiomics", "ring_6mm", centers=["south"]).centers) == {"south"}
        assert store.read_matrix(lake, "radiomics", "ring_6mm", patients=[]).values.shape == (0, 6)
        deep = store.read_matrix(lake, "deep", "gtv", patients=["N001"])
        assert deep.log_risk is not None
        assert deep.log_risk.tolist() == [0.61]
        assert deep.values[0, :4].tolist() == [61.0] * 4
        with pytest.raises(Refusal, match="features_stored"):
            store.read_matrix(lake, "deep", "ring_3mm")


def test_several_matrices_of_one_snapshot(filled: Path) -> None:
    """Within the transaction of a caller a matrix began one of its own, and ended the answer of a patient."""
    with store.connect(filled, read_only=True) as lake:
        alone = {roi: store.read_matrix(lake, "radiomics", roi) for roi in ("gtv", "ring_3mm")}
        together = at_once(lake, lambda: {roi: store.read_matrix(lake, "radiomics", roi) for roi in alone})
        for roi, matrix in alone.items():
            np.testing.assert_array_equal(together[roi].values, matrix.values)
        assert store.read_matrix(lake, "radiomics", "gtv").patients.tolist() == alone["gtv"].patients.tolist()


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_parts_of_a_matrix_are_the_matrix(filled: Path, rows: int) -> None:
    kinds: tuple[tuple[Kind, str], ...] = (("radiomics", "ring_6mm"), ("deep", "gtv"))
    with store.connect(filled, read_only=True) as lake:
        for kind, roi in kinds:
            whole, place = store.read_matrix(lake, kind, roi), dict[str, int]()
            sizes = list[int]()
            for part in store.matrix_parts(lake, kind, roi, rows=rows):
                assert lake.sql("SELECT 1").num_rows == 1  # between two parts the store answers others
                assert (part.features, part.version) == (whole.features, whole.version)
                at = np.searchsorted(whole.patients, part.patients)
                assert whole.patients[at].tolist() == part.patients.tolist()
                assert whole.centers[at].tolist() == part.centers.tolist()
                np.testing.assert_array_equal(part.values, whole.values[at])
                if whole.log_risk is None:
                    assert part.log_risk is None
                else:
                    np.testing.assert_array_equal(part.log_risk, whole.log_risk[at])
                place |= dict.fromkeys(part.patients.tolist(), len(sizes))
                sizes.append(len(part.patients))
            assert len(place) == len(whole.patients) == sum(sizes)
            assert set(sizes[:-1]) <= {rows}
        assert [part.patients.tolist() for part in store.matrix_parts(lake, "radiomics", "gtv", centers=["south"], patients=["S001"])] == [["S001"]]
        assert list(store.matrix_parts(lake, "radiomics", "gtv", patients=[])) == []
        with pytest.raises(Refusal, match="features_stored"):
            store.matrix_parts(lake, "deep", "ring_3mm")


def test_mapping_of_values_is_taken_by_name(lake: Store) -> None:
    row = {**rows_of(np.zeros((1, 2)))[0], "values": {"b": 2.0, "a": 1.0}}
    store.write_features(lake, "radiomics", "v", [row], features=["a", "b"], run="r")
    assert store.read_matrix(lake, "radiomics", "gtv").values.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": [1.0]}, "1 values for 2 features"),
        ({"values": {"a": 1.0}}, "1 features are unlike the names given, such as b"),
        ({"extra": 1}, "a row of radiomics has"),
        ({"patient": ""}, "without patient"),
    ],
)
def test_rows_that_do_not_fit(lake: Store, change: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        store.write_features(lake, "radiomics", "v", [{**rows_of(np.zeros((1, 2)))[0], **change}], features=["a", "b"], run="r")
    with pytest.raises(Refusal, match="a patient's ROI twice"):
        store.write_features(lake, "radiomics", "v", rows_of(np.zeros((1, 2))) * 2, features=["a", "b"], run="r")
