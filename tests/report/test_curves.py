"""Curves at any horizon: labeled by their day, and no value beyond what was followed."""

import numpy as np
import pytest

from penumbra.evaluate.paired import Pair
from penumbra.report import curves
from penumbra.report.inputs import CenterColumn, Measures, RiskPanel
from penumbra.report.overlay import calibration as overlaid
from penumbra.survival.outcome import Outcomes

MEASURES = Measures((180.0, 365.0, 730.0), 50, 0.95, 1, 5, (0.2, 0.5, 0.8))


def panel(unanswered: tuple[str, ...] = ("", "", "")) -> RiskPanel:
    """Sixty patients; the twelve of the lowest risk are lost by day 100."""
    random = np.random.default_rng(3)
    risk = np.sort(random.normal(size=60))
    died = random.exponential(600 * np.exp(-risk))
    left = np.where(np.arange(60) < 12, 100.0, 900.0)
    rate = np.exp(risk)[:, None] / 600
    death = 1 - np.exp(-rate * np.array(MEASURES.horizons_days))
    event = (died <= left) & (np.arange(60) >= 12)
    return RiskPanel(
        CenterColumn("east", "east", None, "test"), "Combined", event, np.minimum(died, left), risk, MEASURES.horizons_days, death, risk > 0, (), unanswered
    )


def test_rows_are_of_days_and_a_group_lost_early_has_none() -> None:
    drawn, rows = curves.calibration(panel(), MEASURES, "Combined", "calibration")
    assert {row[1] for row in rows} == {180.0, 365.0, 730.0}
    lost = [row for row in rows if np.isnan(row[6])]  # type: ignore[call-overload]
    assert {(row[1], row[2]) for row in lost} == {(180.0, 5), (365.0, 5), (730.0, 5)}
    assert "180 days, group 5: nobody of the group is followed to day 180 (last at day 100)" in drawn.alt
    table = curves.calibration_table(rows)
    assert table.csv.splitlines()[0] == "set,day,group,patients,deaths,predicted,observed,lower,upper"
    assert sum(line.endswith(",,") for line in table.csv.splitlines()) == 3
    assert "180 days" in curves.roc(panel(), MEASURES, "Combined", (None, 0.7, None), "roc").alt


@pytest.mark.slow
def test_a_model_without_survival_at_a_day_draws_the_others_and_says_why() -> None:
    why = "no survival at day 730: the training patients were followed to day 450"
    short = panel(("", "", why))
    short.death[:, 2] = np.nan
    drawn, rows = curves.calibration(short, MEASURES, "Combined", "calibration")
    assert {row[1] for row in rows} == {180.0, 365.0}
    assert f"2 years: {why}" in drawn.alt
    drawn, benefits = curves.decision(short, MEASURES, "Combined", "decision")
    assert {row[1] for row in benefits} == {180.0, 365.0}
    assert "1 year" in drawn.alt
    risk, death, high = (np.stack([part, part]) for part in (short.log_risk, short.death, short.high_risk))
    outcomes = Outcomes.of_one_center(short.event, short.time)
    both = Pair("east", ("1", "2"), outcomes, risk, death, high, np.zeros_like(high), MEASURES.horizons_days)
    assert "no survival at day 730" in overlaid(both, MEASURES, 730.0, "overlay").alt


def test_a_threshold_above_which_all_are_lost_has_no_net_benefit() -> None:
    early = panel()
    early.time[-6:], early.event[-6:] = 20.0, False
    early.death[:-6] *= 0.5
    early.death[-6:] = 0.9
    _, rows = curves.decision(early, MEASURES, "Combined", "decision")
    found = {(row[1], row[2]): row[3] for row in rows}
    assert np.isnan([found[day, 0.8] for day in MEASURES.horizons_days]).all()  # type: ignore[index]
    assert np.isfinite([found[day, 0.2] for day in MEASURES.horizons_days]).all()  # type: ignore[index]
