"""The own engine gives PyRadiomics' values, feature by feature."""

from pathlib import Path

import numpy as np
import pytest

from penumbra.imaging.volume import Mask, Moments, Scan, Volume
from penumbra.radiomics import extract, feature_names

from .conftest import blob, rings, simulated_image

pytestmark = pytest.mark.numeric

TOLERANCE = 1e-6
Patient = tuple[Scan, dict[str, Mask]]


def largest_differences(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Relative differences above the tolerance, by feature."""
    assert tuple(ours) == tuple(theirs)
    return {name: abs(ours[name] - value) / abs(value) for name, value in theirs.items() if not np.isclose(ours[name], value, rtol=TOLERANCE, atol=1e-9)}


def assert_engines_agree(scan: Scan, masks: dict[str, Mask], settings: Path) -> None:
    ours = extract(scan, masks, settings)
    theirs = extract(scan, masks, settings, engine="pyradiomics")
    assert list(ours) == list(masks)
    for roi in masks:
        assert largest_differences(ours[roi], theirs[roi]) == {}, roi


@pytest.mark.slow
def test_simulated_patient_with_rings(simulated: Patient, parameter_file: Path) -> None:
    scan, masks = simulated
    assert len(feature_names(parameter_file)) == 1316
    assert_engines_agree(scan, masks, parameter_file)


def test_unequal_spacing_and_two_islands(parameter_file: Path) -> None:
    shape, spacing = (24, 40, 36), (2.5, 0.8, 1.1)
    gtv = blob(shape, (12, 12, 12), 6, seed=1) | blob(shape, (14, 30, 25), 4, seed=2)
    scan = Scan(Volume(simulated_image(shape, seed=3), spacing), Mask(gtv, spacing))
    assert_engines_agree(scan, rings(gtv, spacing, (3,)), parameter_file)


def test_moments_of_the_whole_image_survive_cropping(simulated: Patient, parameter_file: Path) -> None:
    scan, masks = simulated
    other = Scan(scan.image, scan.gtv, Moments(mean=-420.5, std=481.25, count=10**8))
    assert_engines_agree(other, {"gtv": masks["gtv"]}, parameter_file)
    same = extract(scan, {"gtv": masks["gtv"]}, parameter_file)["gtv"]
    moved = extract(other, {"gtv": masks["gtv"]}, parameter_file)["gtv"]
    assert same["original_firstorder_Mean"] != pytest.approx(moved["original_firstorder_Mean"])
