"""The benchmark of one rounding: what it shifts, and what it counts."""

import numpy as np
import pytest

from penumbra.bench.last_bit import AFTER, BASELINE, BEFORE, RUNS, agreement, shifted, table
from penumbra.network.se_resnet import initial_variables
from penumbra.network.trained import flatten

from .conftest import SMALL


@pytest.mark.parametrize("direction", [-1, 0, 1])
def test_one_weight_is_shifted_to_the_next_number(direction: int) -> None:
    before, after = (flatten(variables) for variables in (initial_variables(SMALL, seed=1), shifted(initial_variables(SMALL, seed=1), direction)))
    changes = {name: np.flatnonzero(after[name] != value) for name, value in before.items()}
    assert {name: rows.tolist() for name, rows in changes.items() if len(rows)} == ({"params/stem/kernel": [0]} if direction else {})
    step = after["params/stem/kernel"].flat[0] - before["params/stem/kernel"].flat[0]
    assert np.sign(step) == direction
    assert abs(step) <= np.spacing(np.abs(before["params/stem/kernel"].flat[0]))


def test_agreement_is_spearmans_within_each_center() -> None:
    centers = np.array(["a"] * 3 + ["b"] * 3)
    # b: ranks 1 2 3 against 1 3 2: 1 - 6 * (0 + 1 + 1) / (3 * 8) = 0.5
    assert agreement(centers, np.array([1.0, 2, 3, 10, 20, 30]), np.array([5.0, 6, 9, 1, 3, 2])) == pytest.approx({"a": 1.0, "b": 0.5})


def test_the_table_has_each_risk_and_run_before_and_after() -> None:
    runs = [run for run in RUNS if run != BASELINE]
    figures = {state: {what: {run: {"a": 0.5} for run in runs} for what in ("log_risk", "DL")} for state in (BEFORE, AFTER)}
    text = table(figures, ["a"])
    assert [line.split()[-2:] for line in text.splitlines()].count(["0.500", "0.500"]) == 8
