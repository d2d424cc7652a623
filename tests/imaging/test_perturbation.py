"""What each perturbation leaves as it is, and by how much it changes what it changes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from penumbra.base.refusal import Refusal
from penumbra.imaging import Mask, Moments, Scan, Volume
from penumbra.imaging.noise import noise_level
from penumbra.imaging.perturbation import PERTURBATIONS, changes_nothing, perturbed, rotated, shifted, with_margin, with_noise, with_thickness

UNIT = (1.0, 1.0, 1.0)
SHAPE = (36, 40, 44)


def ball(radius: float, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    distance: np.ndarray = np.linalg.norm(np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2, axis=0)
    return distance <= radius


def scan(values: np.ndarray | None = None, gtv: np.ndarray | None = None, moments: Moments | None = None) -> Scan:
    noise = gaussian_filter(np.random.default_rng(1).standard_normal(SHAPE), 0.8)
    image = np.rint(20 + 15 * noise / noise.std()).astype(np.int16) if values is None else values
    return Scan(Volume(image, UNIT), Mask(ball(9.0) if gtv is None else gtv, UNIT), moments)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_what_changes_nothing_gives_the_scan_back_bit_for_bit(name: str) -> None:
    level = 1.0 if name == "thickness" else 0.0
    assert changes_nothing(name, level, 1.0)
    before = scan()
    after = perturbed(before, name, level, np.random.default_rng(0))
    assert np.array_equal(after.image.values, before.image.values)
    assert np.array_equal(after.gtv.values, before.gtv.values)
    assert after == before


@pytest.mark.parametrize(("name", "level"), [("noise", 1.0), ("thickness", 3.0), ("shift", 0.4), ("rotation", 0.7), ("mask", 1.0), ("mask", -1.0)])
def test_every_other_changes_image_or_mask_and_keeps_their_grid(name: str, level: float) -> None:
    assert not changes_nothing(name, level, 1.0)
    before = scan()
    after = perturbed(before, name, level, np.random.default_rng(0))
    assert after.image.values.dtype == np.int16
    assert after.image.values.shape == after.gtv.values.shape
    assert after.image.spacing == after.gtv.spacing == UNIT
    same = after.image.values.shape == SHAPE and np.array_equal(after.image.values, before.image.values)
    assert same is (name == "mask")
    if name != "thickness":
        assert np.array_equal(after.gtv.values, before.gtv.values) is (name == "noise")


@pytest.mark.parametrize("multiple", [0.5, 1.0, 2.0])
def test_noise_has_the_stated_level(multiple: float) -> None:
    before = scan()
    added = with_noise(before, multiple, np.random.default_rng(3)).image.values.astype(float) - before.image.values
    assert added.std() == pytest.approx(multiple * noise_level(before.image), rel=0.01)  # rounding
    assert added.std() == pytest.approx(multiple * 15.0, rel=0.15)  # coarse noise varies less within a window than over the image
    assert abs(added.mean()) < 0.05 * multiple * 15
    neighbors = np.corrcoef(added[:, :, 1:].ravel(), added[:, :, :-1].ravel())[0, 1]
    assert neighbors == pytest.approx(np.exp(-1 / (4 * 0.8**2)), abs=0.08)  # as coarse as the scan's own


def test_noise_is_that_of_its_seed() -> None:
    once, again, other = (with_noise(scan(), 1.0, np.random.default_rng(seed)).image.values for seed in (5, 5, 6))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_scan_without_noise_stays_as_it_is() -> None:
    flat = scan(np.full(SHAPE, 40, dtype=np.int16))
    assert with_noise(flat, 1.0, np.random.default_rng(0)) is flat


def test_moments_of_the_whole_image_follow_the_crop() -> None:
    before = scan(moments=Moments(-500.0, 400.0, 10**7))
    moved, noisier = shifted(before, 0.4), with_noise(before, 1.0, np.random.default_rng(0))
    assert moved.moments == before.moments
    assert noisier.moments is not None
    assert noisier.moments.std == pytest.approx(np.hypot(400.0, 15.0), rel=1e-3)
    assert noisier.moments.count == 10**7


@pytest.mark.parametrize("change", [lambda one: shifted(one, 0.4), lambda one: rotated(one, 0.7), lambda one: with_thickness(one, 3.0)])
def test_a_uniform_phantom_stays_uniform(change: object) -> None:
    after = change(scan(np.full(SHAPE, 40, dtype=np.int16)))  # type: ignore[operator]
    assert (after.image.values == 40).all()


def test_a_ramp_moves_by_the_shift() -> None:
    ramp = np.broadcast_to(10 * np.arange(SHAPE[2]), SHAPE).astype(np.int16)
    after = shifted(scan(ramp), 0.4).image.values[5:-5, 5:-5, 5:-5]
    assert (after == ramp[5:-5, 5:-5, 5:-5] + 4).all()


def test_moving_keeps_the_volume_of_a_ball() -> None:
    before = scan()
    for after in (shifted(before, 0.4), rotated(before, 0.7)):
        assert after.gtv.volume_mm3 == pytest.approx(before.gtv.volume_mm3, rel=0.03)
        assert 0 < np.count_nonzero(after.gtv.values ^ before.gtv.values) < 0.35 * before.gtv.volume_mm3


def test_a_turn_moves_the_farthest_voxel_by_its_arc() -> None:
    """A bar of 31 voxels: its ends are 15 from the middle, and an arc of 0.6 is an angle of 0.04."""
    bar = np.zeros(SHAPE, dtype=bool)
    bar[10:20, 20, 7:38] = True
    row = np.broadcast_to(10 * (np.arange(SHAPE[1]) - 20)[:, None], SHAPE).astype(np.int16)
    after = rotated(scan(row, bar), 0.6).image.values[15, 20]
    assert [after[37], after[22], after[7]] == [6, 0, -6] or [after[37], after[22], after[7]] == [-6, 0, 6]


def test_slabs_are_the_mean_of_their_planes() -> None:
    """Planes 0, 30, 60, ...: a slab of three has the value of its middle plane, and between the slabs the image is the ramp again."""
    ramp = np.broadcast_to(30 * np.arange(SHAPE[0])[:, None, None], SHAPE).astype(np.int16) - 500
    after = with_thickness(scan(ramp), 3.0)
    assert after.image.origin == (0.0, 0.0, 1.0)
    assert after.image.values.shape == (36, 40, 44)
    assert np.abs(after.image.values[6:24, 5, 5] - ramp[7:25, 5, 5]).max() <= 1


def test_slabs_average_noise_away() -> None:
    """Of independent noise the variance of a mean of three is a third."""
    noise = np.rint(15 * np.random.default_rng(0).standard_normal(SHAPE)).astype(np.int16)
    after = with_thickness(scan(noise), 3.0)
    assert after.image.values[::3][:12].std() == pytest.approx(15 / np.sqrt(3), rel=0.03)


def test_the_mask_is_drawn_on_the_slabs() -> None:
    box = np.zeros(SHAPE, dtype=bool)
    box[9:21, 10:20, 10:20] = True  # four slabs of three
    after = with_thickness(scan(gtv=box), 3.0)
    assert after.gtv.volume_mm3 == box.sum()
    thin = np.zeros(SHAPE, dtype=bool)
    thin[10, 10:20, 10:20] = True
    with pytest.raises(Refusal, match="gtv_not_empty"):
        with_thickness(scan(gtv=thin), 5.0)
    with pytest.raises(Refusal, match=r"the scan has 36 planes, too few for slabs of 40 mm.*\(rule slabs\)"):
        with_thickness(scan(), 40.0)


def test_a_margin_of_a_voxel_is_a_layer_of_faces() -> None:
    box = np.zeros(SHAPE, dtype=bool)
    box[10:20, 10:20, 10:20] = True
    grown, shrunk = with_margin(scan(gtv=box), 1.0), with_margin(scan(gtv=box), -1.0)
    assert grown.gtv.volume_mm3 == 1000 + 6 * 100
    assert shrunk.gtv.volume_mm3 == 8**3
    assert np.array_equal(with_margin(shrunk, 1.0).gtv.values & ~box, np.zeros(SHAPE, dtype=bool))
    assert with_margin(scan(gtv=box), 3.0).gtv.volume_mm3 > grown.gtv.volume_mm3


def test_nothing_left_of_a_small_mask_is_a_refusal() -> None:
    small = np.zeros(SHAPE, dtype=bool)
    small[10:12, 10:12, 10:12] = True
    with pytest.raises(Refusal, match=r"nothing of the GTV is left 1 mm inside its surface.*\(rule gtv_not_empty\)"):
        with_margin(scan(gtv=small), -1.0)
