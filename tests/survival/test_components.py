"""Principal components against R's prcomp."""

import numpy as np
import pytest

from penumbra.survival import Undefined, principal_components

pytestmark = pytest.mark.numeric


def test_equals_r(cohort, r) -> None:
    X = cohort.X[:, :20]
    ours = principal_components(X, variance=0.95)
    np.testing.assert_allclose(ours.explained, r["pca"]["explained"], rtol=1e-10)
    assert len(ours.components) == r["pca"]["components_for_95"]
    np.testing.assert_allclose(ours.components @ ours.components.T, np.eye(8), atol=1e-12)
    assert np.all(ours.components[np.arange(8), np.abs(ours.components).argmax(axis=1)] > 0)


def test_scores_are_uncorrelated_and_sorted(cohort) -> None:
    scores = principal_components(cohort.X, variance=1.0).transform(cohort.X)
    covariance = np.cov(scores.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-10)
    assert np.all(np.diff(np.diag(covariance)) <= 1e-12)


def test_more_columns_than_patients_and_duplicates(cohort) -> None:
    assert len(principal_components(cohort.X[:10], variance=1.0).components) == 9
    assert len(principal_components(np.column_stack([cohort.X[:, 0]] * 3), variance=1.0).components) == 1


def test_what_has_no_value_is_said() -> None:
    with pytest.raises(Undefined, match="no variance among 4 patients"):
        principal_components(np.ones((4, 2)))
    with pytest.raises(ValueError, match="variance must be above 0"):
        principal_components(np.eye(3), variance=1.5)
