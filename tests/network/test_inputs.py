import numpy as np
import pytest
from scipy.ndimage import zoom

from penumbra.base.refusal import Refusal
from penumbra.network import prepare
from penumbra.network.inputs import resize

pytestmark = pytest.mark.numeric


def test_a_row_of_three_voxels_resized_to_six_by_hand() -> None:
    # output centers at (i + 0.5) / 2 - 0.5 = -0.25, 0.25, 0.75, 1.25, 1.75, 2.25, held within 0 .. 2
    row = np.broadcast_to(np.array([0.0, 4.0, 12.0]), (6, 6, 3))
    np.testing.assert_allclose(resize(row, 6)[0, 0], [0, 1, 3, 6, 10, 12])


@pytest.mark.parametrize("shape", [(5, 9, 14), (40, 3, 33), (1, 2, 8), (16, 16, 16)])
def test_resizing_equals_scipy(shape: tuple[int, int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    expected = zoom(values, [16 / length for length in shape], order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(resize(values, 16), expected, atol=1e-12)


def test_only_the_box_of_the_gtv_is_read() -> None:
    image = np.full((20, 30, 40), np.nan)
    gtv = np.zeros(image.shape, bool)
    box = (slice(4, 12), slice(7, 15), slice(30, 38))
    values = np.random.default_rng(1).normal(20, 300, size=(8, 8, 8))
    image[box] = values
    gtv[4, 7:15, 33] = gtv[11, 9, 30] = gtv[6, 10, 37] = True
    cube = prepare(image, gtv, size=8, masked=False)
    assert cube.dtype == np.float32
    np.testing.assert_allclose(cube, (values - values.mean()) / values.std(), atol=1e-5)


def test_the_box_is_z_scored() -> None:
    generator = np.random.default_rng(2)
    gtv = np.zeros((30, 31, 32), bool)
    gtv[3:25, 5:19, 9:28] = True
    cube = prepare(generator.normal(-300, 250, gtv.shape), gtv, size=24, masked=False)
    assert abs(cube.mean()) < 1e-5
    assert abs(cube.std() - 1) < 1e-5


def test_masked_outside_is_zero_and_inside_is_z_scored_and_blind_to_the_outside() -> None:
    grid = np.indices((24, 24, 24)) - 11.5
    gtv = (grid**2).sum(axis=0) < 10**2
    image = np.random.default_rng(3).normal(40, 60, gtv.shape)
    cube = prepare(image, gtv, size=20, masked=True)  # 20 voxels of box: no resizing, so the outside cannot bleed in
    inside = gtv[2:22, 2:22, 2:22]
    assert (cube[~inside] == 0).all()
    assert abs(cube[inside].mean()) < 1e-5
    assert abs(cube[inside].std() - 1) < 1e-5
    np.testing.assert_array_equal(cube, prepare(np.where(gtv, image, -1000), gtv, size=20, masked=True))


@pytest.mark.parametrize("masked", [False, True])
def test_a_constant_box_becomes_zeros_and_one_voxel_is_enough(masked: bool) -> None:
    gtv = np.zeros((9, 9, 9), bool)
    gtv[4, 4, 4] = True
    cube = prepare(np.full(gtv.shape, -0.1 + 1000.0), gtv, size=8, masked=masked)
    assert cube.shape == (8, 8, 8)
    assert (cube == 0).all()


def test_integers_are_taken() -> None:
    gtv = np.ones((4, 5, 6), np.uint8)
    image = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    assert np.isfinite(prepare(image, gtv, size=8, masked=False)).all()


def test_what_cannot_be_used_is_refused() -> None:
    image = np.zeros((4, 4, 4))
    with pytest.raises(Refusal, match="gtv_not_empty"):
        prepare(image, np.zeros(image.shape, bool), size=8, masked=False)
    with pytest.raises(Refusal, match="image_is_finite"):
        prepare(np.full(image.shape, np.inf), np.ones(image.shape, bool), size=8, masked=False)
    with pytest.raises(ValueError, match="same shape"):
        prepare(image, np.ones((4, 4, 5), bool), size=8, masked=False)
