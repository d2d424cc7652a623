"""What figures must not hide: a mark for an estimate beyond the axis, words next to the curves, groups that are told apart, names of rows."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from penumbra.evaluate import MetricRow
from penumbra.report import curves, figures, forest
from penumbra.report.evidence import slope_words
from penumbra.report.groups import panel_numbers
from penumbra.report.inputs import CenterFlow, Loadings, SurvivalPanel
from penumbra.report.words import metric_words

from .test_curves import MEASURES, panel

NAN = math.nan


@pytest.mark.parametrize(
    ("estimate", "marks"),
    [
        ((1.0, 0.5, 2.0), {"s": [1.0]}),
        ((1.0, 0.01, 99.0), {"s": [1.0], "<": [0.1], ">": [30.0]}),
        ((50.0, 20.0, 200.0), {">": [30.0]}),
        ((50.0, 40.0, 200.0), {">": [30.0]}),
        ((0.02, 0.001, 0.05), {"<": [0.1]}),
    ],
)
def test_every_row_of_a_forest_has_a_mark_within_the_axis(estimate: tuple[float, float, float], marks: dict[str, list[float]]) -> None:
    axes = Figure().subplots()
    forest.mark_row(axes, 1, estimate, forest.WIDEST, "#000000")
    drawn: dict[str, list[float]] = {}
    for line in axes.lines:
        if line.get_marker() not in ("None", ""):
            drawn.setdefault(str(line.get_marker()), []).append(float(np.asarray(line.get_xdata())[0]))
        assert all(forest.WIDEST[0] <= x <= forest.WIDEST[1] for x in np.asarray(line.get_xdata(), dtype=float))
    assert drawn == marks


def test_an_estimate_beyond_the_axis_has_a_larger_arrow_than_a_limit() -> None:
    sizes = []
    for estimate in ((50.0, 20.0, 200.0), (10.0, 2.0, 200.0)):
        axes = Figure().subplots()
        forest.mark_row(axes, 1, estimate, forest.WIDEST, "#000000")
        sizes += [line.get_markersize() for line in axes.lines if line.get_marker() == ">"]
    assert sizes[0] > sizes[1]


def test_no_sentence_is_over_the_curves() -> None:
    event, time = np.array([True, True, False, True]), np.array([100.0, 200.0, 900.0, 400.0])
    one = panel_numbers(SurvivalPanel("all: a long name of a subgroup", event, time, np.ones(4, dtype=bool)))
    drawn = figures.kaplan_meier(one, "km")
    assert drawn.numbers is not None
    _, top, _, _ = drawn.numbers["axes"][0]["box"]
    (written,) = re.findall(r'y="([\d.]+)"[^>]*>every patient is high risk: no comparison<', drawn.svg)
    assert float(written) < top  # above the axes


def test_what_a_calibration_lacks_is_below_it_and_near_groups_are_shown_large() -> None:
    whole, _ = curves.calibration(panel(), MEASURES, "Combined", "whole")
    assert whole.numbers is not None
    assert whole.numbers["axes"][0]["x"] == [-0.02, 1.02]
    alike = panel()
    alike.death[:] = 0.001 + 0.01 * np.linspace(0, 1, 60)[:, None]
    alike = replace(alike, event=np.zeros(60, dtype=bool), time=np.full(60, 1000.0))
    alike.event[:2], alike.time[:2] = True, 100.0
    near, _ = curves.calibration(alike, MEASURES, "Combined", "near")
    assert near.numbers is not None
    low, high = near.numbers["axes"][0]["x"]
    assert high - low < curves.ZOOMED
    assert near.numbers["axes"][0]["y"] == [low, high]


def test_rows_of_the_heat_map_have_names() -> None:
    loadings = Loadings(("gtv.original_shape_MeshVolume", "ring_3mm.log-sigma-2-0-mm-3D_glcm_Contrast"), np.array([[0.5, -0.5]]), (1.0,), (0.1,), (0.2,))
    drawn = forest.heat_map(loadings, "Combined", "heat")
    for words in ("gtv: original shape MeshVolume", "ring_3mm: LoG 2 mm glcm Contrast"):
        assert words in drawn.svg


def test_a_reason_of_exclusion_reads_as_the_fault_with_its_number() -> None:
    flow = CenterFlow("north", True, 5, (("GTV without contours or voxels", 2),), 3, 1)
    drawn = figures.cohort_flow(flow, "flow")
    assert "excluded: GTV without contours or voxels (n = 2)" in drawn.alt


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        ((-0.02, -0.5, 0.4), "higher risk did not die earlier"),
        ((0.3, -0.1, 0.7), "not shown to be above 0"),
        ((0.5, 0.2, 0.8), "too extreme"),
        ((1.6, 1.2, 2.0), "too alike"),
        ((1.0, 0.7, 1.3), ""),
        ((1.0, NAN, NAN), ""),
    ],
)
def test_a_slope_is_put_into_words(slope: tuple[float, float, float], words: str) -> None:
    assert slope_words(MetricRow("m", "east", "test", "calibration_slope", *slope, 64, 40)) == words


def test_no_metric_is_shown_by_its_raw_name() -> None:
    assert metric_words("auc_1y") == "AUC, 1 year"
    assert metric_words("observed_expected_2y") == "observed over expected deaths, 2 years"
    assert metric_words("brier_180d") == "Brier score, 180 days"
    assert metric_words("delta_c_volume_p") == "delta c volume, p"
    names = ("harrell_c", "uno_c", "calibration_slope", "calibration_intercept", "brier_integrated", "hazard_ratio", "internal_external_slope", "delong_p_3y")
    assert not any("_" in metric_words(name) for name in names)
