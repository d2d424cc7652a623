"""Champion and challenger are compared on risks of patients that they were not fitted on."""

import math

import numpy as np

from penumbra.evaluate import ModelRisk
from penumbra.pipeline.challenge import out_of_sample


def test_a_patient_that_was_fitted_never_has_the_risk_of_that_fit() -> None:
    """A fold that retained nothing fell back to the registered model, which had seen its patients."""
    own = {"Combined": ModelRisk(np.array([9.0, 8.0, 7.0, 0.5]), 0.0), "Volume": ModelRisk(np.array([9.0, 8.0, 7.0, 0.5]), 0.0)}
    crossed = {"Combined": np.array([1.0, 3.0, math.nan, math.nan]), "Volume": np.full(4, math.nan)}
    found = out_of_sample(own, crossed, np.array([True, True, True, False]))
    np.testing.assert_array_equal(found["Combined"].log_risk, [1.0, 3.0, 2.0, 0.5])
    np.testing.assert_array_equal(found["Volume"].log_risk, [0.0, 0.0, 0.0, 0.5])
