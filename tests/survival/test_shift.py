"""Drift of many features at once, against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from penumbra.survival.shift import shift

pytestmark = pytest.mark.numeric


def test_kolmogorov_smirnov_is_scipys_with_ties_and_missing_values() -> None:
    draw = np.random.default_rng(0)
    a, b = np.round(draw.standard_normal((60, 7)), 1), np.round(draw.standard_normal((41, 7)) + 0.4, 1)
    a[:9, 2], b[3, 2], b[5, 4], a[:, 5] = np.nan, np.nan, np.inf, 1.0
    found = shift(a, b, bins=10)
    for k in range(7):
        left, right = a[np.isfinite(a[:, k]), k], b[np.isfinite(b[:, k]), k]
        expected = ks_2samp(left, right, method="asymp")
        assert found.ks[k] == pytest.approx(expected.statistic, abs=1e-12)
        assert found.p[k] == pytest.approx(expected.pvalue, abs=1e-12)
        assert (found.reference_n[k], found.sample_n[k], found.sample_mean[k]) == (len(left), len(right), pytest.approx(right.mean()))


def test_stability_index_by_hand() -> None:
    """Two bins at the median 2.5: reference 2 and 2, sample 1 and 3, half a patient added to each."""
    found = shift([[1.0], [2.0], [3.0], [4.0]], [[1.0], [3.0], [4.0], [9.0]], bins=2)
    assert found.psi[0] == pytest.approx((1.5 / 5 - 0.5) * math.log(1.5 / 2.5) + (3.5 / 5 - 0.5) * math.log(3.5 / 2.5), rel=1e-12)


DRAW = np.random.default_rng(0)
REFERENCES = {
    "constant": np.full(40, 5.0),
    "mostly its minimum": np.r_[np.full(30, 5.0), DRAW.uniform(6, 9, 10)],
    "a fifth at its minimum": np.r_[np.full(8, 5.0), DRAW.uniform(6, 9, 32)],
    "mostly its maximum": np.r_[np.full(30, 5.0), DRAW.uniform(1, 2, 10)],
    "half in the middle": np.r_[np.full(20, 5.0), DRAW.uniform(0, 1, 10), DRAW.uniform(8, 9, 10)],
    "two values": np.r_[np.full(25, 5.0), np.full(15, 6.0)],
    "spread": DRAW.normal(50, 10, 40),
}


@pytest.mark.parametrize("bins", [4, 10, 20])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_sample_that_lies_elsewhere_is_unstable(name: str, bins: int) -> None:
    """Wholly below or above the reference, and just below the value that many share; the same values again are stable."""
    reference = REFERENCES[name]
    for elsewhere in (reference.min() - 1, reference.max() + 1, *([4.9] if name != "spread" else [])):
        sample = np.full(30, elsewhere)
        assert shift(reference[:, None], sample[:, None], bins=bins).psi[0] > 1.0, elsewhere
    assert shift(reference[:, None], reference[::-1, None], bins=bins).psi[0] == pytest.approx(0, abs=1e-12)


def test_stability_of_a_constant_by_hand() -> None:
    """Four patients at 5 and two at 1: bins below 5 and at 5, half a patient added to each; two at 5 as well: no bin differs."""
    found = shift(np.full((4, 2), 5.0), [[1.0, 5.0], [1.0, 5.0]], bins=10)
    assert found.psi[0] == pytest.approx((2.5 / 3 - 0.5 / 5) * math.log((2.5 / 3) / (0.5 / 5)) + (0.5 / 3 - 4.5 / 5) * math.log((0.5 / 3) / (4.5 / 5)))
    assert found.psi[1] == 0.0


def test_nothing_to_compare() -> None:
    found = shift([[np.nan, 1.0], [np.nan, 2.0]], [[1.0, 1.0], [2.0, 2.0]], bins=10)
    assert np.isnan(found.p).tolist() == [True, False]
    assert (found.ks[1], found.psi[1]) == (0.0, 0.0)
    with pytest.raises(ValueError, match="the same columns"):
        shift(np.zeros((2, 2)), np.zeros((2, 3)), bins=10)
