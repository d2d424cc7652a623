"""The noise of a phantom whose noise is known, and the axis of slices that were interpolated."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from penumbra.imaging import Volume
from penumbra.imaging.noise import noise_grain, noise_level, slice_axis

UNIT = (1.0, 1.0, 1.0)


def noisy(sd: float, sigmas: tuple[float, float, float] = (0.0, 0.0, 0.0), seed: int = 0) -> Volume:
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((40, 48, 52)), sigmas, mode="wrap")
    return Volume(np.rint(30 + sd * field / field.std()).astype(np.int16), UNIT)


@pytest.mark.parametrize("sd", [4.0, 12.0, 60.0])
def test_the_level_of_a_uniform_phantom(sd: float) -> None:
    assert noise_level(noisy(sd)) == pytest.approx(sd, rel=0.05)


def test_edges_of_organs_do_not_raise_it() -> None:
    image = noisy(10.0)
    values = image.values.astype(float)
    values[:, :20] = -800 + 3 * np.arange(52)  # lung, cut off from the soft tissue, with a steep edge
    values[10:20, 30:40, 30:40] += 700  # bone
    assert noise_level(Volume(values, UNIT)) == pytest.approx(10.0, rel=0.1)


def test_nothing_has_no_noise() -> None:
    assert noise_level(Volume(np.full((9, 20, 20), 40), UNIT)) == 0.0
    assert noise_level(Volume(np.full((2, 3, 3), 40), UNIT)) == 0.0  # smaller than a window


@pytest.mark.parametrize("sigmas", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.6, 0.6, 2.0)])
def test_the_grain_is_that_of_the_smoothing(sigmas: tuple[float, float, float]) -> None:
    grain = noise_grain(noisy(20.0, sigmas), 20.0)
    assert grain == pytest.approx(sigmas, abs=0.35 if sigmas[0] == 0 else 0.15)  # below a third of a voxel smoothing changes next to nothing


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_lie_across_the_axis_that_was_interpolated(axis: int) -> None:
    """The public crops of a challenge had lost their geometry: the patient's axis was the last of their arrays, not z."""
    factors = [1.0, 1.0, 1.0]
    factors[axis] = 3.0
    assert slice_axis(Volume(zoom(noisy(20.0, (0.5, 0.5, 0.5)).values.astype(float), factors, order=3), UNIT)) == axis


def test_where_nothing_was_interpolated_it_is_z() -> None:
    assert slice_axis(noisy(20.0)) == 0
    assert slice_axis(Volume(np.full((1, 20, 20), 40), UNIT)) == 0
