"""The baseline table against the paper's Table 2, whose counts are printed, and against R's tests."""

import numpy as np
import pytest
from scipy import stats

from penumbra.cohort.baseline import FOLLOWED, OBSERVED, SURVIVED, BaselineRow, baseline_table
from penumbra.survival import log_rank

# counts (training, test) of the paper's Table 2 and the p it prints
PAPER = [
    ("sex", {"male": (144, 80), "female": (59, 20)}, 0.09, "chi-square"),
    ("t_stage", {"1": (37, 20), "2": (77, 32), "3": (32, 24), "4": (57, 24)}, 0.30, "chi-square"),
    ("n_stage", {"0": (81, 26), "1": (16, 10), "2": (65, 37), "3": (39, 27), "4": (2, 0)}, 0.12, "Fisher"),
    ("m_stage", {"0": (202, 98), "1": (0, 2), "3": (1, 0)}, 0.10, "Fisher"),
]
LABELS = {"sex": "Sex", "t_stage": "T stage", "n_stage": "N stage", "m_stage": "M stage"}


def lines(found: tuple[BaselineRow, ...], variable: str) -> dict[str | None, BaselineRow]:
    return {row.level: row for row in found if row.variable == variable}


@pytest.mark.parametrize(("column", "counts", "printed", "test"), PAPER, ids=[entry[0] for entry in PAPER])
def test_the_paper_s_table(column: str, counts: dict[str, tuple[int, int]], printed: float, test: str) -> None:
    groups = {name: [{column: level} for level, pair in counts.items() for _ in range(pair[side])] for side, name in enumerate(("training", "test"))}
    found = lines(baseline_table(groups), LABELS[column])
    assert found[None].p == pytest.approx(printed, abs=0.0151)  # printed with two digits; Fisher's p on larger tables is resampled
    assert found[None].test == test
    for level, pair in counts.items():
        assert found[level].cells == tuple(f"{n} ({100 * n / total:.1f} %)" for n, total in zip(pair, (203, 100), strict=True))
    assert baseline_table(groups) == baseline_table(groups)


def test_skewed_and_normal_numbers_and_the_unknown() -> None:
    """By hand: ranks of 1, 2, 3, 40 against 5, 6, 7, 80 give U = 3, and 7 of the 70 orders of four and four have U at most 3."""
    groups = {name: [{"age": value} for value in values] for name, values in {"a": (1, 2, 3, 40), "b": (5, 6, 7, 80)}.items()}
    age = lines(baseline_table(groups), "Age (years)")[None]
    assert (age.test, age.p, age.cells) == ("Mann-Whitney U", pytest.approx(2 * 7 / 70), ("2 (2-12)", "6 (6-25)"))
    normal = {"a": [64.0, 66.0, 67.5, 69.0, 71.0], "b": [60.0, 62.5, 64.0, 65.5, 68.0], "c": [70.0, 71.0, 73.5, 75.0, 77.0]}
    two = baseline_table({name: [{"age": age} for age in normal[name]] + [{"age": None}] for name in "ab"})
    a, b = (np.array(normal[name]) for name in "ab")
    spread = a.var(ddof=1) / 5, b.var(ddof=1) / 5
    t = (a.mean() - b.mean()) / np.sqrt(sum(spread))
    freedom = sum(spread) ** 2 / (spread[0] ** 2 / 4 + spread[1] ** 2 / 4)  # Welch and Satterthwaite
    age = lines(two, "Age (years)")[None]
    assert (age.test, age.cells) == ("t-test", ("68 (66-69), 1 unknown", "64 (62-66), 1 unknown"))
    assert age.p == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-12)
    three = baseline_table({name: [{"age": age} for age in ages] for name, ages in normal.items()})
    assert lines(three, "Age (years)")[None].test == "ANOVA"


def outcomes(*pairs: tuple[float, bool | None]) -> list[dict[str, object]]:
    return [{"time": time, "event": event} for time, event in pairs]


def test_follow_up_and_survival_are_kaplan_meiers() -> None:
    """By hand. a: deaths at 10 and 30, censored at 20, 50, 60. Survival 4/5, then 4/5 x 2/3 = 0.53, never one half: not reached.
    Follow-up (censoring is the event): 3/4 at 20, then 3/4 x 1/2 = 0.375 at 50: 50. The median of the observed times is 30, of neither.
    b: deaths at 5, 6, 7, censored at 8: survival 3/4, 1/2, 1/4: on one half from 6 to 7, the middle 6.5, as R's survfit."""
    found = baseline_table(
        {"a": outcomes((10, True), (30, True), (20, False), (50, False), (60, False)), "b": [*outcomes((5, True), (6, True), (7, True), (8, False)), {}]}
    )
    followed, survived, observed = (lines(found, label)[None] for label in (FOLLOWED, SURVIVED, OBSERVED))
    assert [cell.split(" (")[0] for cell in survived.cells] == ["not reached", "6"]  # 6.5 to the nearest even day
    assert [cell.split(" (")[0] for cell in followed.cells] == ["50", "8"]
    assert [cell.split(" (")[0] for cell in observed.cells] == ["30", "6"]
    # the lower limit of a: the first day on which S exp(-1.96 sqrt(sum of d / n (n - d))) is below one half: 0.8 exp(-1.96 sqrt(1/20)) = 0.516 at 10,
    # 0.533 exp(-1.96 sqrt(1/20 + 1/6)) = 0.214 at 30; of the follow-up 0.75 exp(-1.96 sqrt(1/12)) = 0.426 at 20
    assert survived.cells[0] == "not reached (95 % CI 30-not reached)"
    assert followed.cells[0] == "50 (95 % CI 20-not reached)"
    assert survived.cells[1].endswith(", 1 unknown")
    assert followed.cells[1].endswith(", 1 unknown")
    assert (survived.test, followed.test, observed.test, observed.p) == ("log-rank", "log-rank", "", None)
    event, time, group = [1, 1, 0, 0, 0, 1, 1, 1, 0], [10, 30, 20, 50, 60, 5, 6, 7, 8], [0] * 5 + [1] * 4
    assert survived.p == log_rank(event, time, group).p
    assert followed.p == log_rank([1 - died for died in event], time, group).p


def test_an_outcome_that_nobody_has_is_not_tested() -> None:
    found = baseline_table({"a": outcomes((10, True), (20, False)), "b": [{"time": 5, "event": None}]})
    for label in (FOLLOWED, SURVIVED):
        row = lines(found, label)[None]
        assert (row.cells[1], row.p, row.test) == ("-", None, "")
    censored = baseline_table({"a": outcomes((10, False), (20, False)), "b": outcomes((10, False), (20, False))})
    assert lines(censored, SURVIVED)[None].cells == ("not reached", "not reached")
    assert lines(censored, SURVIVED)[None].p is None


def test_levels_are_the_paper_s_and_the_unknown_is_shown_and_not_tested() -> None:
    patients = [{"t_stage": "2A", "overall_stage": "IB", "event": True}, {"t_stage": "2", "overall_stage": "IIIA", "event": False}, {}]
    found = baseline_table({"all": patients})
    assert list(lines(found, "T stage")) == [None, "2", "unknown"]
    assert list(lines(found, "Overall stage")) == [None, "I", "IIIA", "unknown"]
    assert lines(found, "T stage")["2"].cells == ("2 (66.7 %)",)
    assert list(lines(found, "Died")) == [None, "no", "yes", "unknown"]
    assert all(row.p is None for row in found)  # one group
