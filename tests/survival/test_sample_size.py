"""Sample size: the authors' own package, the table measured on the real cohort, and the formula by hand."""

import csv
import math

import numpy as np
import pytest

from penumbra.survival import (
    Undefined,
    explained_variation,
    parameters_allowed,
    patients_for_overall_risk,
    patients_for_small_optimism,
    patients_needed,
)

from .conftest import REFERENCE

pytestmark = pytest.mark.numeric

with (REFERENCE / "pmsampsize_survival.csv").open(newline="") as lines:
    PMSAMPSIZE = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


@pytest.mark.parametrize("row", PMSAMPSIZE)
def test_pmsampsize(row: dict[str, float]) -> None:
    assert math.ceil(patients_needed(row["parameters"], row["rsquared"], shrinkage=0.9)) == row["criterion_1"]
    events = math.ceil(row["rate"] * row["meanfup"] * 10_000) / 10_000  # pmsampsize counts them in a sample of 10,000
    assert math.ceil(patients_for_small_optimism(row["parameters"], row["rsquared"], events, difference=0.05)) == row["criterion_2"]


def test_the_example_of_pmsampsize() -> None:
    assert math.ceil(patients_needed(30, 0.051, shrinkage=0.9)) == 5143


@pytest.mark.parametrize(
    ("c", "allowed", "allowed_at_08", "for_25", "for_3"),
    [(0.60, 1.1, 2.5, 3003, 360), (0.61, 1.3, 3.0, 2491, 299), (0.65, 2.4, 5.5, 1363, 164), (0.70, 4.2, 9.7, 788, 95)],
)
def test_real_cohort(c: float, allowed: float, allowed_at_08: float, for_25: int, for_3: int) -> None:
    """131 patients with 85 deaths; the patients needed were computed at 86 deaths of 134, and the 3.0 and 9.7 by proportion from them, to 3.1 and 9.6."""
    explained = explained_variation(c, 85, 131)
    assert round(parameters_allowed(explained, 131, shrinkage=0.9), 1) == allowed
    assert round(parameters_allowed(explained, 131, shrinkage=0.8), 1) == allowed_at_08
    assert round(patients_needed(25, explained_variation(c, 86, 134), shrinkage=0.9)) == for_25
    assert round(patients_needed(3, explained_variation(c, 86, 134), shrinkage=0.9)) == pytest.approx(for_3, abs=0.5)


def test_by_hand() -> None:
    # C 0.7: D = 5.5 x 0.2 + 10.26 x 0.008 = 1.18208; D2 pi/8 = 0.54872; R2_D = 0.54872 / (1.64493 + 0.54872) = 0.25014
    # O'Quigley: 1.64493 x 0.25014 / (1 + 0.64493 x 0.25014) = 0.41146 / 1.16132 = 0.35430; LR = -85 ln(1 - 0.35430) = 37.182
    # Cox and Snell: 1 - exp(-37.182 / 131) = 0.24713; allowed: 131 x 0.1 x -ln(1 - 0.24713 / 0.9) = 4.205
    explained = explained_variation(0.7, 85, 131)
    assert explained == pytest.approx(0.2471, abs=2e-4)
    assert parameters_allowed(explained, 131, shrinkage=0.9) == pytest.approx(4.205, abs=2e-3)


def test_needed_and_allowed_are_the_same_line() -> None:
    for explained in np.linspace(0.01, 0.8, 12):
        patients = patients_needed(7, float(explained), shrinkage=0.9)
        assert parameters_allowed(float(explained), patients, shrinkage=0.9) == pytest.approx(7, rel=1e-12)


def test_the_overall_risk_has_the_margin_that_was_asked_for() -> None:
    rate, horizon, follow_up = 0.065, 2.0, 2.07
    patients = patients_for_overall_risk(rate, horizon, follow_up, margin=0.05)
    upper = 1 - math.exp(-(rate + 1.959964 * math.sqrt(rate / (patients * follow_up))) * horizon)
    assert upper - (1 - math.exp(-rate * horizon)) == pytest.approx(0.05, abs=1e-6)


def test_a_model_that_ranks_by_chance_carries_nothing() -> None:
    for c in (0.5, 0.45):
        explained = explained_variation(c, 85, 131)
        assert explained == 0
        assert parameters_allowed(explained, 131, shrinkage=0.9) == 0
        assert patients_needed(3, explained, shrinkage=0.9) == math.inf
        assert patients_for_small_optimism(3, explained, 0.65, difference=0.05) == math.inf


def test_what_has_no_value_is_said() -> None:
    with pytest.raises(Undefined, match=r"an R2 of 0\.95 leaves nothing to shrink to 0\.9"):
        parameters_allowed(0.95, 100, shrinkage=0.9)
    with pytest.raises(Undefined, match="beyond the largest"):
        patients_for_small_optimism(3, 0.6, 0.13, difference=0.05)
    with pytest.raises(Undefined, match="any number of patients does"):
        patients_for_overall_risk(2.0, 2.0, 2.0, margin=0.05)
    with pytest.raises(ValueError, match="at most as many deaths"):
        explained_variation(0.6, 10, 5)
    with pytest.raises(ValueError, match="shrinkage is between 0 and 1"):
        patients_needed(3, 0.1, shrinkage=1.0)
