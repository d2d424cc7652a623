"""NIfTI pairs: the sound one in any orientation, and each thing that can be wrong."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.base.refusal import Refusal
from penumbra.imaging import Mask, Volume, read_patient, roi_names
from penumbra.imaging.nifti import to_sitk

from .phantom import turned

SPACING, ORIGIN = (2.0, 0.9, 1.1), (-10.0, 20.0, 5.0)


def sound() -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(2).integers(-1000, 400, (10, 12, 14)).astype(np.int16)
    mask = np.zeros(image.shape, dtype=np.uint8)
    mask[3:6, 4:8, 5:9] = 1
    return image, mask


def write(folder: Path, image: np.ndarray | None, mask: np.ndarray | None, *, origin: tuple[float, float, float] = ORIGIN) -> None:
    direction = turned(3, 5, 8)
    if image is not None:
        sitk.WriteImage(to_sitk(Volume(image, SPACING, ORIGIN, direction)), str(folder / "ct.nii.gz"))
    if mask is not None:
        sitk.WriteImage(to_sitk(Volume(mask, SPACING, origin, direction)), str(folder / "gtv.nii.gz"))


@pytest.mark.parametrize("change", [lambda mask: mask, lambda mask: mask * 255, lambda mask: mask.astype(np.float32) * 0.9], ids=["one", "255", "share"])
def test_sound(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image, mask = sound()
    write(tmp_path, image, change(mask))
    scan = read_patient(tmp_path)
    assert np.array_equal(scan.image.values, image)
    assert np.array_equal(scan.gtv.values, mask == 1)
    assert scan.source == "nifti"
    assert scan.image.spacing == pytest.approx(SPACING)
    assert scan.image.origin == pytest.approx(ORIGIN, abs=1e-4)
    assert scan.image.direction == pytest.approx(turned(3, 5, 8), abs=1e-5)
    assert isinstance(scan.gtv, Mask)
    assert roi_names(tmp_path) == ["gtv"]


def two_labels(mask: np.ndarray) -> np.ndarray:
    changed = mask.copy()
    changed[0, 0, 0] = 2
    return changed


@pytest.mark.parametrize(
    ("what", "rule"),
    [
        (lambda image, mask: (image, mask * 0), "gtv_not_empty"),
        (lambda image, mask: (image, two_labels(mask)), "mask_binary"),
        (lambda image, mask: (image, 1 - mask), "mask_inverted"),
        (lambda image, mask: (image, mask * 0.4 * np.linspace(0.1, 1, 14, dtype=np.float32)), "gtv_not_empty"),
        (lambda image, mask: (image, np.where(mask == 1, np.nan, mask).astype(np.float32)), "finite_values"),
        (lambda image, mask: (image, mask[:-1]), "same_grid"),
        (lambda image, mask: (np.where(image > 300, np.nan, image).astype(np.float32), mask), "finite_values"),
        (lambda image, mask: (image, None), "nifti_pair"),
        (lambda image, mask: (None, mask), "nifti_pair"),
    ],
    ids=["empty", "two labels", "inverted", "faint", "not a number in the mask", "another size", "not a number", "no mask", "no image"],
)
def test_refused(tmp_path: Path, what: Callable[..., tuple[np.ndarray | None, np.ndarray | None]], rule: str) -> None:
    write(tmp_path, *what(*sound()))
    with pytest.raises(Refusal) as refusal:
        read_patient(tmp_path)
    assert refusal.value.rule == rule
    assert str(tmp_path) not in str(refusal.value)


def test_a_mask_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path, *sound(), origin=(-10.0, 20.0, 6.0))
    with pytest.raises(Refusal, match=r"image and mask lie.*\(rule same_grid\)"):
        read_patient(tmp_path)


def test_axes_in_another_order_are_another_grid(tmp_path: Path) -> None:
    """A cube whose mask was written with x and y exchanged: the first and the last voxel lie where they should."""
    cube = np.zeros((10, 10, 10), dtype=np.int16)
    mask = np.zeros((10, 10, 10), dtype=np.uint8)
    mask[2:4, 3:5, 6:9] = 1
    sitk.WriteImage(to_sitk(Volume(cube, (1.0, 1.0, 1.0))), str(tmp_path / "ct.nii.gz"))
    exchanged = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    sitk.WriteImage(to_sitk(Volume(mask.swapaxes(1, 2).copy(), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), exchanged)), str(tmp_path / "gtv.nii.gz"))
    with pytest.raises(Refusal, match=r"image and mask lie.*\(rule same_grid\)"):
        read_patient(tmp_path)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("which", ["ct", "gtv"])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, which: str, packed: bool, share: float) -> None:
    """ITK silently reads such a file and makes up the voxels that are missing."""
    write(tmp_path, *sound())
    path = tmp_path / f"{which}.nii.gz"
    content = path.read_bytes()
    if not packed:
        path.unlink()
        path, content = tmp_path / f"{which}.nii", gzip.decompress(content)
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(Refusal, match=rf"{path.name}.*\(rule nifti_readable\)"):
        read_patient(tmp_path)


def put(start: int, kind: str, *numbers: float) -> Callable[[bytearray], None]:
    """Write numbers into a header: pixdim is at 76, qform_code at 252, the quaternion at 256, its offset at 268, the sform at 280."""

    def change(header: bytearray) -> None:
        struct.pack_into(f"<{len(numbers)}{kind}", header, start, *numbers)

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (put(80, "f", 0.0), "voxel size that is not positive"),
        (put(84, "f", -0.9), "voxel size that is not positive"),
        (put(80, "f", 2.2), "not that of its affine"),
        (put(268, "f", 14.0), r"sform and qform of ct.nii.gz lie 4.0 mm apart"),
        (put(256, "f", 0.0, 0.0, 0.0), "sform and qform of ct.nii.gz lie"),
        (put(280, "f", 1.1, 0.4, 0.0, 10.0, 0.0, 0.8062, 0.0, -20.0, 0.0, 0.0, 2.0, 5.0), "axes of ct.nii.gz are not perpendicular"),
        (put(280, "f", float("nan")), "not that of its affine"),
    ],
    ids=["zero pixdim", "negative pixdim", "pixdim against sform", "qform elsewhere", "qform turned", "sheared", "not a number"],
)
def test_a_geometry_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, change: Callable[[bytearray], None], text: str) -> None:
    write(tmp_path, *sound())
    path = tmp_path / "ct.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(Refusal, match=rf".*{text}.*\(rule nifti_geometry\)"):
        read_patient(tmp_path)


def test_one_affine_is_enough(tmp_path: Path) -> None:
    """With the sform alone, and with neither, the voxels are where they were."""
    write(tmp_path, *sound())
    for name in ("ct.nii.gz", "gtv.nii.gz"):
        content = bytearray(gzip.decompress((tmp_path / name).read_bytes()))
        put(252, "h", 0)(content)
        (tmp_path / name).write_bytes(gzip.compress(bytes(content)))
    assert read_patient(tmp_path).image.origin == pytest.approx(ORIGIN, abs=1e-4)


def test_shares_count_from_one_half(tmp_path: Path) -> None:
    image, mask = sound()
    soft = mask.astype(np.float32)
    soft[3:6, 3, 5:9], soft[3:6, 8, 5:9] = 0.49, 0.5
    write(tmp_path, image, soft)
    assert np.array_equal(read_patient(tmp_path).gtv.values, soft >= 0.5)


def test_four_dimensions_are_refused(tmp_path: Path) -> None:
    image, mask = sound()
    write(tmp_path, None, mask)
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(image)] * 2), str(tmp_path / "ct.nii.gz"))
    with pytest.raises(Refusal, match="three_dimensions"):
        read_patient(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="folder_found"):
        read_patient(tmp_path / "nowhere")


def test_policy_and_pattern_are_checked(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"'both'.*\(rule several_policy\)"):
        read_patient(tmp_path, several="both")  # type: ignore[arg-type]
