"""Random effects over centers against metafor, and where they have no value."""

import numpy as np
import pytest

from penumbra.survival import Undefined, pooled, pooled_c

pytestmark = pytest.mark.numeric

# the thirteen trials of BCG vaccination (Colditz et al. 1994, JAMA 271:698): deaths and survivors with and without
TRIALS = np.array(
    [
        *([4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619], [33, 5036, 47, 5761], [180, 1361, 372, 1079]),
        *([8, 2537, 10, 619], [505, 87886, 499, 87892], [29, 7470, 45, 7232], [17, 1699, 65, 1600], [186, 50448, 141, 27197]),
        *([5, 2493, 3, 2338], [27, 16886, 29, 17825]),
    ],
    dtype=float,
)


def test_equals_metafor() -> None:
    """Mean and tau2 by REML as printed in Viechtbauer 2010, J Stat Softw 36(3), section 3.2 (metafor 1.0, dat.bcg, log risk ratio)."""
    a, b, c, d = TRIALS.T
    log_ratio = np.log(a / (a + b)) - np.log(c / (c + d))
    se = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    found = pooled(log_ratio, se)
    assert found.mean == pytest.approx(-0.7145, abs=5e-5)
    assert found.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert found.centers == 13
    assert found.prediction_lower < found.lower < found.mean < found.upper < found.prediction_upper


def test_equal_errors_by_hand() -> None:
    # equal variances v: the mean is the plain mean and tau2 = sample variance - v; t of 2 degrees is 4.302653, of 1 degree 12.706205
    found = pooled([0.0, 1.0, 2.0], [0.5, 0.5, 0.5])
    assert found.mean == pytest.approx(1.0)
    assert found.tau2 == pytest.approx(0.75)
    assert found.upper - found.mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert found.prediction_upper - found.mean == pytest.approx(12.706205 * np.sqrt(0.75 + 1 / 3), rel=1e-6)


def test_centers_that_agree_have_no_spread_between_them() -> None:
    found = pooled([0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.1, 0.2])
    assert (found.mean, found.tau2) == (pytest.approx(0.5), 0.0)
    assert found.upper > 0.6, "agreement of few centers is not precision"


def test_concordance_stays_between_zero_and_one() -> None:
    found = pooled_c([0.55, 0.95, 0.99], [0.05, 0.02, 0.01])
    ends = [found.prediction_lower, found.lower, found.mean, found.upper, found.prediction_upper]
    assert ends == sorted(ends)
    assert ends[0] > 0
    assert ends[-1] < 1
    same = pooled_c([0.7, 0.7, 0.7], [0.05, 0.05, 0.05])
    assert same.mean == pytest.approx(0.7)


def test_what_has_no_value_is_said() -> None:
    with pytest.raises(Undefined, match="pooling needs at least 3 centers; found 2"):
        pooled([0.6, 0.7], [0.1, 0.1])
    with pytest.raises(Undefined, match="a concordance of 1 has no logit"):
        pooled_c([0.6, 0.7, 1.0], [0.1, 0.1, 0.1])
    with pytest.raises(ValueError, match="ses positive"):
        pooled([0.6, 0.7, 0.8], [0.1, 0.0, 0.1])
