"""Versions side by side."""

import math

from penumbra.evaluate import MetricRow
from penumbra.registry import compare


def row(center: str, split: str, value: float, model: str = "Combined", metric: str = "harrell_c") -> MetricRow:
    return MetricRow(model, center, split, metric, value, value - 0.1, value + 0.1, 30, 20)


ROWS = [
    ("1", row("east", "test", 0.60)),
    ("1", row("north", "train", 0.80)),
    ("1", row("east", "test", 0.55, model="Volume")),
    ("1", row("east", "test", 0.70, metric="auc_1y")),
    ("2", row("north", "train", 0.78)),
    ("2", row("east", "train", 0.66)),
    ("2", row("south", "test", 0.64)),
]


def test_one_row_per_center_with_every_version() -> None:
    table = compare(ROWS)
    assert [(line.center, line.versions) for line in table] == [("east", ("1", "2")), ("north", ("1", "2")), ("south", ("1", "2"))]
    east, north, south = table
    assert east.values == (0.60, 0.66)
    assert east.trained == (False, True)
    assert math.isclose(east.difference, 0.06)
    assert math.isclose(north.difference, -0.02)
    assert math.isnan(south.values[0])
    assert math.isnan(south.difference)
    assert south.values[1] == 0.64


def test_versions_models_and_metrics_as_asked() -> None:
    assert [line.versions for line in compare(ROWS, ["2", "1"])] == [("2", "1")] * 3
    assert {line.center for line in compare(ROWS, ["1"])} == {"north", "east"}
    table = compare(ROWS, metrics=("auc_1y", "harrell_c"), models=("Volume", "Combined"))
    assert [(line.model, line.metric) for line in table[:2]] == [("Volume", "harrell_c"), ("Combined", "auc_1y")]
    assert compare([], ["1"]) == []


def test_versions_count_as_numbers_do() -> None:
    rows = [(str(version), row("east", "test", 0.6)) for version in (10, 9, 2)]
    assert compare(rows)[0].versions == ("2", "9", "10")
