"""Numbers in words."""

from penumbra.evaluate import MetricRow
from penumbra.report.words import count, interval, number, p_value, percent

NAN = float("nan")


def test_numbers() -> None:
    assert number(-0.1234, 3) == "−0.123"
    assert number(NAN) == number(float("inf")) == percent(NAN) == p_value(NAN) == "–"
    assert percent(0.634) == "63 %"
    assert [p_value(p) for p in (0.0009, 0.001, 0.0495)] == ["< 0.001", "0.001", "0.050"]
    assert [count(n, "death") for n in (0, 1, 2)] == ["0 deaths", "1 death", "2 deaths"]


def test_interval() -> None:
    row = MetricRow("combined", "east", "test", "harrell_c", 0.664, 0.52, 0.8, 30, 20)
    assert interval(row) == "0.66 (0.52–0.80)"
    assert interval(MetricRow("combined", "east", "test", "log_rank_p", 0.04, NAN, NAN, 30, 20)) == "0.04"
