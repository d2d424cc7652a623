"""Every baseline of the gate is named, with what it is; a control has none."""

import math

from penumbra.commands import retrain
from penumbra.evaluate import Contrast, Evidence, MetricRow
from penumbra.pipeline.challenge import Challenge
from penumbra.pipeline.falsifiers import RANDOM_NETWORK, SHUFFLED, SHUFFLED_COLUMNS
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.retraining.decision_page import BASELINES, baselines

from ..evaluate.test_gate import GOOD, LIMITS, contrast

ALL_OF_THEM = ("Volume", "Clinical", SHUFFLED, SHUFFLED_COLUMNS, RANDOM_NETWORK)


def compared(*names: str) -> Challenge:
    rows = [MetricRow(model, "north", "test", "harrell_c", 0.6, math.nan, math.nan, 80, 40) for model in ("champion", "challenger", "Volume")]
    against: list[Contrast] = [contrast("all centers", name, other=0.5 + 0.01 * i) for i, name in enumerate(names)]
    return Challenge(tuple(rows), (), Evidence(LIMITS, GOOD.overall, GOOD.centers, tuple(against)), ())


def test_every_baseline_has_its_words_and_its_value() -> None:
    section = baselines(compared(*ALL_OF_THEM))
    assert set(BASELINES) == set(ALL_OF_THEM)
    for name, words in BASELINES.items():
        assert f"{name}: {words}" in section.words
    assert section.header == ("center", "champion", "challenger", *ALL_OF_THEM)
    values = {row[0]: dict(zip(section.header[1:], row[1:], strict=True)) for row in section.rows}
    assert [values["all centers"][name] for name in ALL_OF_THEM] == ["0.500", "0.510", "0.520", "0.530", "0.540"]
    assert values["north"]["Volume"] == "0.600"


def test_a_control_has_nothing_else_to_beat() -> None:
    section = baselines(compared())
    assert "The challenger is a control" in section.words
    assert section.header == ("center", "champion", "challenger", "Volume")


def test_the_printed_decision_has_every_baseline_too() -> None:
    found = compared(*ALL_OF_THEM)
    decided = DecisionManifest(
        center="west", key="k", decision="keep", reason="Kept.", champion=1, challenger=2, comparison=found.rows, evidence=found.evidence
    )
    shown = retrain.decision(decided)
    assert "C of Clinical 0.510, Shuffled 0.520, ShuffledColumns 0.530, RandomNetwork 0.540 over all centers." in shown
    assert "0.500" in next(line for line in shown.splitlines() if "all centers" in line), "the others are columns"
