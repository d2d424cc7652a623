"""Champion and challenger are compared on risks of patients that they were not fitted on."""

import math

import numpy as np

from penumbra.evaluate import ModelRisk
from penumbra.pipeline.challenge import Unseen
from penumbra.pipeline.crossfit import CrossFitted


def test_a_patient_that_was_fitted_never_has_the_risk_of_that_fit() -> None:
    """A fold that retained nothing fell back to the registered model, which had seen its patients."""
    own = ModelRisk(np.array([9.0, 8.0, 7.0, 0.5]), 0.0)
    inside = np.array([0, 1, 2])
    crossed = CrossFitted(np.array([[0, 0, 1], [0, 1, 1]]), {"Combined": np.array([[1.0, 3.0, math.nan], [2.0, 5.0, 4.0]])})
    found = Unseen.of("Combined", crossed, own, inside)
    np.testing.assert_array_equal(found.model.log_risk, [1.5, 4.0, 2.0, 0.5])
    np.testing.assert_array_equal(found.ranks[:, 3], [0.5, 0.5])
    np.testing.assert_array_equal(found.ranks[:, :3], [[0.25, 0.75, 0.5], [0.5, 0.75, 0.25]])
    other = Unseen.of("Combined", crossed, ModelRisk(np.array([-9.0, 2.0, 70.0, 0.5]), 0.0), inside)
    np.testing.assert_array_equal(other.model.log_risk, found.model.log_risk)
    np.testing.assert_array_equal(other.ranks, found.ranks)
