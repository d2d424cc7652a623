"""What models ask of a sample: columns counted by kind, and patients missing."""

import math

import pytest

from penumbra.evaluate import CROSS_FITTED, TRAINING, MetricRow
from penumbra.evaluate.sample_size import Sample, columns_tried, demands, seen_inside
from penumbra.fusion import Declaration
from penumbra.report.sample_size import patients_missing, sample_size_table, sample_statement

SIZES = {"gtv": 1316, "ring_6mm": 1316, "deep": 64}
DECLARED = {
    "Volume": Declaration("Volume", "Volume only", "control", "cox", columns=("gtv.original_shape_MeshVolume",)),
    "Rad": Declaration("Rad", "Rad", "radiomics", "signature", blocks=("gtv",)),
    "Combined": Declaration("Combined", "Combined", "combined", "components", blocks=("gtv", "ring_6mm", "deep"), columns=("clinical.age",)),
}
SAMPLE = Sample(131, 85, 0.9)


def test_every_column_that_a_selection_saw_counts() -> None:
    of_models = {**DECLARED, "Late": Declaration("Late", "Late", "combined", "mean", members=(DECLARED["Volume"], DECLARED["Rad"]))}
    assert [columns_tried(name, of_models, SIZES) for name in of_models] == [1, 1316, 1316 + 1316 + 64 + 1, 1317]
    late = demands(of_models, SIZES, {"Volume": 1, "Rad": 5, "Late": 2}, {}, SAMPLE)[-1]
    assert late.retained == 6, "those of its members, not the two risks"
    assert demands(of_models, SIZES, {"Volume": 1}, {}, SAMPLE)[-1].retained is None, "Rad is not fitted yet"


def test_what_a_model_leaves_out_no_selection_saw() -> None:
    ridge = Declaration("Ridge", "Ridge", "radiomics", "ridge", blocks=("gtv", "deep"), leave_out=("wavelet-*H*_*",))
    features = ["original_shape_MeshVolume", "wavelet-LLL_glcm_Contrast", "wavelet-HLL_glcm_Contrast", "wavelet-LLH_ngtdm_Busyness"]
    assert columns_tried("Ridge", {"Ridge": ridge}, {"gtv": 4, "deep": 64}, features) == 2 + 64
    assert columns_tried("Ridge", {"Ridge": ridge}, {"gtv": 4, "deep": 64}) == 4 + 64


def test_the_real_cohort() -> None:
    volume, rad, combined = demands(DECLARED, SIZES, {"Volume": 1, "Rad": 3, "Combined": 25}, {"Volume": 0.61, "Combined": 0.5}, SAMPLE)
    assert round(volume.allowed, 1) == 1.3
    assert volume.missing == 0
    assert math.isnan(rad.allowed), "no C inside"
    assert math.isnan(rad.missing)
    assert combined.allowed == 0
    assert math.isinf(combined.missing)
    at_061 = demands(DECLARED, SIZES, {"Combined": 25}, {"Combined": 0.61}, SAMPLE)[2]
    assert at_061.missing_retained == 2464 - 131
    assert at_061.missing == math.ceil(2697 / (1.3293660519876513 / 131)) - 131


def test_only_cross_fitted_rows_of_the_pool_are_seen_inside() -> None:
    def row(center: str, split: str, metric: str, value: float) -> MetricRow:
        return MetricRow("Volume", center, split, metric, value, math.nan, math.nan, 131, 85)

    rows = [row(TRAINING, "train", "harrell_c", 0.8), row("north", CROSS_FITTED, "harrell_c", 0.7), row(TRAINING, CROSS_FITTED, "harrell_c_se", 0.03)]
    assert seen_inside(rows) == {}
    assert seen_inside([*rows, row(TRAINING, CROSS_FITTED, "harrell_c", math.nan)]) == {}
    assert seen_inside([*rows, row(TRAINING, CROSS_FITTED, "harrell_c", 0.61)]) == {"Volume": 0.61}


def test_in_words() -> None:
    before = demands(DECLARED, SIZES, {}, {}, SAMPLE)
    assert sample_statement(SAMPLE, before, "Combined", (0.6, 0.7)) == (
        "131 training patients with 85 deaths carry 1.1 candidate parameters at C 0.60 and 4.2 at C 0.70 (Riley 2019, criterion 1, shrinkage 0.9);"
        " no C inside is known yet; Combined tries 2697 columns"
    )
    after = demands(DECLARED, SIZES, {"Volume": 1, "Rad": 3, "Combined": 25}, {"Volume": 0.61, "Combined": 0.58}, SAMPLE)
    assert sample_statement(SAMPLE, after, "Volume", (0.6, 0.7)) == (
        "131 training patients with 85 deaths carry 1.3 candidate parameters at C 0.61 (the highest inside, of Volume)"
        " (Riley 2019, criterion 1, shrinkage 0.9);"
        " Volume tries 1 column and keeps 1: no patient missing"
    )
    assert "those kept alone" in sample_statement(SAMPLE, after, "Combined", ())
    assert [patients_missing(value) for value in (0.0, 1.0, 265_000.0, math.inf)] == [
        "no patient missing",
        "1 patient missing",
        "265,000 patients missing",
        "no number is enough",
    ]
    table = sample_size_table(after, {"Volume": "Volume only"})
    assert [cell.text for cell in table.rows[0]] == ["Volume only", "1", "1", "0.61", "1.3", "0", "0"]
    assert table.csv.splitlines()[2] == "Rad,1316,3,,,,"


def test_nobody_carries_nothing() -> None:
    assert math.isnan(Sample(0, 0, 0.9).allowed(0.7))
    assert math.isnan(Sample(0, 0, 0.9).missing(3, 0.7))
    assert SAMPLE.missing(0, 0.5) == 0
    with pytest.raises(KeyError):
        columns_tried("Combined", DECLARED, {})
