"""What is served and why, risk by outcome, subgroups and instability: by hand, and where there is too little to say."""

import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra.evaluate import CROSS_FITTED, TRAINING, MetricRow
from penumbra.evaluate.chosen import Candidate, Choice
from penumbra.evaluate.gate import Contrast
from penumbra.evaluate.instability import Instability
from penumbra.evaluate.sample_size import Demand, Sample
from penumbra.report import CenterColumn, Measures, ReportInputs, write_report
from penumbra.report.distribution import distribution, distribution_table, outcomes_at
from penumbra.report.inputs import RiskPanel
from penumbra.report.instability import instability, instability_table
from penumbra.report.served import candidates_table, falsifiers_table, first_sentence
from penumbra.report.subgroups import TOO_FEW, measures_forest, measures_table, subgroup_measures
from penumbra.survival import calibration_slope, harrell

NAN = math.nan
MEASURES = Measures((365.0, 730.0, 1095.0), 50, 0.95, 1, 5, (0.2, 0.5), 3, (0.6, 0.7))
CROSSED = CenterColumn(TRAINING, "north, cross-fitted", None, CROSS_FITTED)
APPARENT = CenterColumn("north", "north, apparent", "train", "train")
CHOICE = Choice(
    served="combined",
    reason="combined is served: nothing simpler is within one standard error of it.",
    candidates=(
        Candidate("volume_only", 0.60, 0.04, 0.05, 0.02, True, ()),
        Candidate("combined", 0.65, 0.04, 0.0, 0.0, False, ("Shuffled",)),
        Candidate("rad_9mm", NAN, NAN, NAN, NAN, False, ()),
    ),
    named="",
    challenger="",
    falsifiers=(
        Contrast("all", "volume_only", 40, 25, 300, 0.60, 0.65, False, 0.01, -0.02, 0.12),
        Contrast("all", "Shuffled", 40, 25, 300, 0.66, 0.65, False, -0.05, -0.08, 0.06),
    ),
)


def crossed_row(metric: str, value: float, lower: float = NAN, upper: float = NAN, model: str = "combined") -> MetricRow:
    return MetricRow(model, TRAINING, CROSS_FITTED, metric, value, lower, upper, 40, 25)


def panel(column: CenterColumn = APPARENT) -> RiskPanel:
    """Ten patients: five die by a year, two are censored before it, three are alive; the risk falls along the list, but for two."""
    time = np.array([50, 100, 150, 200, 300, 120, 240, 800, 900, 1200.0])
    event = np.array([True] * 5 + [False] * 2 + [True, True, False])
    risk = np.linspace(2, -2, 10)
    risk[[0, 8]] = risk[[8, 0]]
    death = np.clip(np.outer(np.linspace(0.9, 0.1, 10), (0.5, 0.8, 1.0)), 0, 1)
    women = np.arange(10) % 2 == 0
    return RiskPanel(
        column, "combined", event, time, risk, (365.0, 730.0, 1095.0), death, risk > 0, (("sex", "female", women), ("sex", "few", event & (time > 850)))
    )


def test_the_first_sentence_says_what_is_served_and_how_it_compares(make_inputs: Callable[..., ReportInputs]) -> None:
    rows = (crossed_row("harrell_c", 0.65, 0.57, 0.73), crossed_row("delta_c_volume", -0.004, -0.05, 0.042))
    assert first_sentence(make_inputs(choice=CHOICE, metrics=rows)) == (
        "combined is served: nothing simpler is within one standard error of it. Inside the training centers, cross-fitted, its C is 0.650 (0.570 to 0.730);"
        " C minus volume's is −0.004 (−0.050 to +0.042)."
    )
    volume = make_inputs(
        combined="volume_only", metrics=(crossed_row("harrell_c", 0.6, 0.5, 0.7, "volume_only"),), choice=replace(CHOICE, served="volume_only")
    )
    assert first_sentence(volume).endswith("it is the volume of the tumor itself, so there is no difference to state.")
    older = first_sentence(make_inputs(choice=None))
    assert older.startswith("Combined is served, as register.served names it")
    assert "was not measured" in older


def test_candidates_and_falsifiers(make_inputs: Callable[..., ReportInputs]) -> None:
    inputs = make_inputs(choice=CHOICE)
    table = candidates_table(inputs)
    assert table is not None
    cells = [[cell.text for cell in row] for row in table.rows]
    assert cells[0] == ["Volume only", "0.600 ± 0.040", "0.050 ± 0.020", "no", "control", ""]
    assert cells[1] == ["Combined", "0.650 ± 0.040", "0.000 ± 0.000", "yes", "Shuffled", "served"]
    assert cells[2] == ["Rad 9 mm", "–", "–", "–", "–", ""]
    beaten = falsifiers_table(inputs)
    assert beaten is not None
    assert [row[-1].text for row in beaten.rows] == ["yes", "no"]
    assert candidates_table(make_inputs()) is None
    assert falsifiers_table(make_inputs(choice=replace(CHOICE, falsifiers=()))) is None


def test_cross_fitted_comes_first_and_apparent_last_and_gray(make_inputs: Callable[..., ReportInputs], tmp_path: Path) -> None:
    columns = (CROSSED, CenterColumn("east", "east", None, "test"), APPARENT)
    inside = (crossed_row("harrell_c", 0.58, 0.5, 0.66), crossed_row("beyond_limits", 0.004))
    beyond_outside = MetricRow("combined", "east", "test", "beyond_limits", 0.012, NAN, NAN, 40, 25)
    demand = Demand("combined", 2696, 37, 0.58, 0.5, 100_000.0, 3000.0)
    of_refits = Instability.of(730.0, np.array([0.2, 0.6]), np.array([False, True]), np.array([[0.3, 0.6]]), np.array([[True, True]]), confidence=0.95)
    inputs = make_inputs(
        columns=columns,
        metrics=(*make_inputs().metrics, *inside, beyond_outside),
        choice=CHOICE,
        panels=(panel(CROSSED), panel()),
        measures=MEASURES,
        sample=Sample(40, 25, 0.9),
        demands=(demand,),
        instability=of_refits,
    )
    text = write_report(inputs, tmp_path).read_text(encoding="utf-8")
    headline = text[text.index('<dl class="headline">') : text.index("</dl>")]
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", headline) == [
        ("north, cross-fitted", "0.58 (0.50–0.66)"),
        ("east", "0.66 (0.52–0.80)"),
        ("north, apparent", "0.71 (0.61–0.81)"),
    ]
    assert '<div class="gray"><dt>north, apparent' in headline
    assert text.index(CHOICE.reason.rstrip(".")) < text.index('<dl class="headline">')
    assert '<td class="number strong gray">0.71 (0.61–0.81)<small>paper 0.77</small>' in text, "the paper's training values are apparent ones"
    assert text.index("tries 2696 columns and keeps 37") < text.index('id="discrimination"'), "before any fit's numbers"
    assert "north, cross-fitted 0.4 %, east 1.2 % (too many); at most 1 % may be" in text
    assert text.count('<figure class="apparent">') == 6, "ROC, calibration, decision, risk by outcome, hazard ratios and measures of subgroups"
    with (tmp_path / "c_index.csv").open(encoding="utf-8") as stream:
        splits = [row["split"] for row in csv.DictReader(stream) if row["model"] == "combined" and row["metric"] == "harrell_c"]
    assert CROSS_FITTED in splits
    for name in ("risk_by_outcome_1", "subgroup_measures_2", "instability"):
        assert (tmp_path / f"{name}.svg").is_file()
    assert {"candidates", "falsifiers", "sample_size", "instability"} <= {path.stem for path in tmp_path.glob("*.csv")}


def test_who_died_who_is_alive_and_who_was_censored_before() -> None:
    one = panel()
    died, alive, censored = outcomes_at(one, 0)
    np.testing.assert_allclose(died, one.death[:5, 0])
    np.testing.assert_allclose(alive, one.death[7:, 0])
    assert censored == 2
    figure, rows = distribution(one, MEASURES, "Combined", "risk")
    assert "1 year, died 5, median 0.36; alive 3, median 0.09; 2 censored before" in figure.alt
    assert [row[3:6] for row in rows] == [(5, 3, 2), (5, 3, 2), (7, 1, 2)]
    table = distribution_table(rows)
    assert float(next(csv.DictReader(io.StringIO(table.csv)))["median, died"]) == pytest.approx(np.median(died))


def test_a_horizon_without_a_probability_is_said() -> None:
    why = "no survival at day 1095: the training patients were followed to day 900"
    figure, rows = distribution(replace(panel(), unanswered=("", "", why)), MEASURES, "Combined", "risk")
    assert [row[2] for row in rows] == [365.0, 730.0]
    assert f"3 years: {why}" in figure.alt


def test_subgroups_are_measured_or_too_few_to_say() -> None:
    one = panel()
    everybody, women, few = subgroup_measures(one, MEASURES)
    concordance = harrell(one.event, one.time, one.log_risk)
    assert everybody.c[0] == concordance.c
    assert everybody.c[1] == pytest.approx(max(0.0, concordance.c - 1.959964 * concordance.se))
    slope = calibration_slope(one.event, one.time, one.log_risk)
    assert everybody.slope == (slope.value, slope.lower, slope.upper)
    assert (women.n, women.deaths, women.too_few) == (5, 4, False)
    assert (few.n, few.deaths, few.too_few) == (1, 1, True)
    # deaths on days 50, 100, 150, 200 and 300 among 10, 9, 7, 6 and 4 at risk: one is censored on day 120, one on day 240
    alive = (9 / 10) * (8 / 9) * (6 / 7) * (5 / 6) * (3 / 4)
    assert everybody.ratio[0] == pytest.approx((1 - alive) / one.death[:, 1].mean())
    assert everybody.ratio[1] < everybody.ratio[0] < everybody.ratio[2]
    table = measures_table([(one, [everybody, women, few])], MEASURES)
    assert table.rows[2][4].text == TOO_FEW
    assert all(cell.gray for cell in table.rows[0]), "the fit saw them"
    drawn = measures_forest(one, [everybody, women, few], "subgroups")
    assert f"few, 1 deaths: {TOO_FEW}" in drawn.alt
    assert "too few" in drawn.svg


def test_instability_by_hand() -> None:
    original, high = np.array([0.2, 0.6, 0.5]), np.array([False, True, True])
    refitted = np.array([[0.1, 0.6, 0.9], [0.4, 0.6, 0.1]])
    groups = np.array([[False, True, True], [True, True, False]])
    over = Instability.of(730.0, original, high, refitted, groups, confidence=0.95)
    assert over is not None
    assert over.mape == (0.15, 0.0, 0.4)
    assert over.cii == (0.5, 0.0, 0.5)
    assert over.lower[0] == pytest.approx(0.1 + 0.025 * 0.3, abs=1e-4)
    assert over.upper[0] == pytest.approx(0.4 - 0.025 * 0.3, abs=1e-4)
    assert over.summary() == pytest.approx({"mape": 0.55 / 3, "mape_worst": 0.4, "cii": 1 / 3})
    assert Instability.from_json(over.to_json()) == over
    figure = instability(over, "Combined", "instability")
    assert "over 2 refits, 3 training patients, death within 2 years: mean absolute difference 0.183, of the worst patient 0.400" in figure.alt
    rows = list(csv.DictReader(io.StringIO(instability_table(over).csv)))
    assert [row["original"] for row in rows] == ["0.2", "0.5", "0.6"]
    assert Instability.of(730.0, original, high, np.empty((0, 3)), np.empty((0, 3)), confidence=0.95) is None
