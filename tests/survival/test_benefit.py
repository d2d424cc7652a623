"""Net benefit, by hand."""

import numpy as np
import pytest

from penumbra.survival import Undefined, net_benefit

pytestmark = pytest.mark.numeric

EVENT = np.array([True, True, False, False, False])
TIME = np.array([100.0, 200.0, 400.0, 400.0, 400.0])


def test_without_censoring_by_hand() -> None:
    # at 0.5 three are treated: two die, one does not: 2/5 - 1/5 x 1; treating all: 2/5 - 3/5
    found = net_benefit(EVENT, TIME, [0.9, 0.6, 0.5, 0.2, 0.1], 365, [0.5, 0.8, 0.95])
    np.testing.assert_allclose(found.model, [0.2, 0.2, 0.0])
    np.testing.assert_allclose(found.treat_all, [2 / 5 - 3 / 5, 2 / 5 - 3 / 5 * 4, 2 / 5 - 3 / 5 * 19])


def test_a_patient_censored_early_counts_by_kaplan_meier() -> None:
    # one of three treated is censored at day 50, before the death of one of the other two: 1 - S = 1/2 among three of five
    found = net_benefit([0, 1, 0, 0, 0], [50.0, 100.0, 400.0, 400.0, 400.0], [0.9, 0.9, 0.9, 0.1, 0.1], 365, 0.2)
    assert found.model[0] == pytest.approx(0.6 * (0.5 - 0.5 * 0.25))


def test_what_has_no_value_is_said() -> None:
    with pytest.raises(Undefined, match="nobody is followed to day 500"):
        net_benefit(EVENT, TIME, np.full(5, 0.5), 500, [0.5])
    with pytest.raises(ValueError, match="thresholds must lie between 0 and 1"):
        net_benefit(EVENT, TIME, np.full(5, 0.5), 365, [0.0])
