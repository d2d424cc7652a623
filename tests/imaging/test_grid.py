"""The isotropic grid: the image equals SimpleITK's B-spline, the crop equals the whole, masks keep their volume."""

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.base.refusal import Refusal
from penumbra.imaging import Mask, Scan, Volume, to_grid
from penumbra.imaging.nifti import to_sitk
from penumbra.imaging.raster import mask_at_half

from .phantom import Ellipsoid, Patient, turned


def noisy_scan(spacing: tuple[float, float, float], size: tuple[int, int, int], direction: np.ndarray | None = None) -> Scan:
    generator = np.random.default_rng(3)
    values = generator.integers(-1000, 1500, size).astype(np.int16)
    mask = np.zeros(size, dtype=bool)
    mask[tuple(slice(n // 3, n // 2 + 1) for n in size)] = True
    place = (5.0, -30.0, 12.5)
    turn = np.eye(3) if direction is None else direction
    return Scan(Volume(values, spacing, place, turn), Mask(mask, spacing, place, turn))


def by_simpleitk(scan: Scan, spacing_mm: float) -> np.ndarray:
    image = to_sitk(scan.image)
    size = [round(count * step / spacing_mm) for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    resampled = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkBSpline, image.GetOrigin(), (spacing_mm,) * 3, image.GetDirection(), 0.0, sitk.sitkFloat64
    )
    return np.asarray(sitk.GetArrayFromImage(resampled))


@pytest.mark.parametrize(
    ("spacing", "size", "new"),
    [
        ((3.0, 0.977, 0.977), (14, 40, 43), 1.0),
        ((2.0, 1.2, 0.8), (11, 20, 34), 1.0),
        ((5.0, 0.7, 1.4), (6, 31, 22), 1.0),
        ((1.0, 1.0, 1.0), (12, 13, 14), 1.0),
        ((1.0, 1.0, 1.0), (12, 13, 14), 2.0),
        ((4.0, 0.9, 0.9), (4, 20, 20), 1.0),  # SimpleITK reads beyond its buffer where an axis has fewer than four samples
    ],
)
def test_image_equals_simpleitk(spacing: tuple[float, float, float], size: tuple[int, int, int], new: float) -> None:
    scan = noisy_scan(spacing, size, turned(10, 20, 30))
    grid = to_grid(scan, new)
    reference = by_simpleitk(scan, new)
    assert grid.image.values.shape == reference.shape
    # SimpleITK fills planes more than half a voxel beyond the scan with a constant; the grid continues the spline there
    held = tuple(slice(0, int(np.floor((count - 0.5) * step / new - 1e-9)) + 1) for count, step in zip(size, spacing, strict=True))
    # whole numbers against real ones: half a HU is all that rounding may add
    assert np.abs(grid.image.values[held] - reference[held]).max() <= 0.5 + 1e-6
    assert grid.image.values.dtype == np.int16
    assert grid.image.origin == pytest.approx(scan.image.origin)


def test_crop_and_moments_are_those_of_the_whole() -> None:
    scan = noisy_scan((3.0, 0.9, 1.1), (20, 50, 60))
    whole = to_grid(scan)
    crop = to_grid(scan, margin_mm=4)
    values = whole.image.values.astype(np.float64)
    for moments in (whole.moments, crop.moments):
        assert moments is not None
        assert moments.count == values.size
        assert moments.mean == pytest.approx(values.mean(), rel=1e-12)
        assert moments.std == pytest.approx(values.std(), rel=1e-12)
    start = np.rint((np.array(crop.image.origin) - whole.image.origin)[::-1]).astype(int)
    box = tuple(slice(first, first + count) for first, count in zip(start, crop.image.values.shape, strict=True))
    assert np.array_equal(whole.image.values[box], crop.image.values)
    assert np.array_equal(whole.gtv.values[box], crop.gtv.values)
    assert crop.gtv.values.sum() == whole.gtv.values.sum()
    used = [np.flatnonzero(crop.gtv.values.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    assert [int(axis[0]) for axis in used] == [4, 4, 4]


def test_a_grid_of_a_grid_is_the_same() -> None:
    once = to_grid(noisy_scan((2.0, 0.9, 1.1), (12, 30, 30)), margin_mm=3)
    twice = to_grid(once)
    assert np.array_equal(once.image.values, twice.image.values)
    assert np.array_equal(once.gtv.values, twice.gtv.values)
    assert twice.moments == once.moments


@pytest.mark.parametrize("slice_mm", [1.0, 2.0, 2.5, 3.0, 4.0, 5.0])
def test_voxel_mask_keeps_volume_and_center(slice_mm: float) -> None:
    size = (int(60 / slice_mm), 60, 60)
    z, y, x = np.meshgrid(np.arange(size[0]) * slice_mm, np.arange(60), np.arange(60), indexing="ij")
    ball = (z - 30.2) ** 2 + (y - 30.4) ** 2 + (x - 29.7) ** 2 <= 17**2
    spacing = (slice_mm, 1.0, 1.0)
    grid = to_grid(Scan(Volume(np.zeros(size, dtype=np.int16), spacing), Mask(ball, spacing)))
    assert grid.gtv.volume_mm3 == pytest.approx(ball.sum() * slice_mm, rel=0.02)
    assert np.array([axis.mean() for axis in np.nonzero(grid.gtv.values)]) == pytest.approx(
        [(ball.sum(axis=(1, 2)) * z[:, 0, 0]).sum() / ball.sum(), y[ball].mean(), x[ball].mean()], abs=0.1
    )


def test_voxel_mask_without_ties_is_linear_interpolation_at_one_half() -> None:
    scan = noisy_scan((3.0, 0.977, 1.3), (14, 40, 30))
    grid = to_grid(scan)
    reference = sitk.Resample(
        sitk.Cast(to_sitk(scan.gtv), sitk.sitkFloat64),
        [round(count * step) for count, step in zip(scan.gtv.values.shape[::-1], scan.gtv.spacing[::-1], strict=True)],
        sitk.Transform(),
        sitk.sitkLinear,
        scan.gtv.origin,
        (1.0, 1.0, 1.0),
        scan.gtv.direction.ravel().tolist(),
    )
    assert np.array_equal(grid.gtv.values, sitk.GetArrayFromImage(reference) >= 0.5)


def test_half_of_a_tied_plane_is_taken_from_its_middle() -> None:
    share = np.zeros((1, 12, 12))
    share[0, 1:11, 1:11] = 0.5
    mask = mask_at_half(share)[0]
    assert mask.sum() == 50
    assert mask[3:9, 3:9].all()
    assert not mask[1].any() or mask[1].sum() < 10


def test_image_of_a_phantom_is_where_it_belongs() -> None:
    """Against the phantom's formula in patient coordinates: catches flips and swaps that a comparison on the grid cannot."""
    from .phantom import tissue

    patient = Patient((20, 40, 56), (2.0, 1.4, 0.9), direction=turned(15, -10, 5), rois={"GTV": Ellipsoid((25, 27, 19), (9, 9, 9))})
    z, y, x = np.meshgrid(np.arange(20) * 2.0, np.arange(40) * 1.4, np.arange(56) * 0.9, indexing="ij")
    scan = Scan(
        Volume(tissue(x, y, z), patient.spacing, patient.origin, patient.direction),
        Mask((x - 25) ** 2 + (y - 27) ** 2 + (z - 19) ** 2 < 81, patient.spacing, patient.origin, patient.direction),
    )
    grid = to_grid(scan, margin_mm=3)
    index = np.argwhere(grid.gtv.values)
    lps = np.asarray(grid.image.origin) + index[:, ::-1] @ grid.image.direction.T
    frame = (lps - patient.origin) @ patient.direction
    assert np.abs(grid.image.values[grid.gtv.values] - tissue(*frame.T)).max() < 2


def test_a_gtv_too_small_for_the_grid_is_refused() -> None:
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[4, 4, 5] = True
    small = Scan(Volume(np.zeros((8, 8, 8)), (0.5, 0.5, 0.5)), Mask(mask, (0.5, 0.5, 0.5)))
    with pytest.raises(Refusal, match=r"the GTV holds no voxel of the 1 mm grid.*\(rule gtv_not_empty\)"):
        to_grid(small)
