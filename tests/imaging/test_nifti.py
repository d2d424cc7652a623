"""NIfTI pairs: the sound one in any orientation, and each thing that can be wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.imaging import Mask, Volume, read_patient, roi_names
from penumbra.imaging.nifti import to_sitk
from penumbra.refusal import Refusal

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
        (lambda image, mask: (image, mask[:-1]), "same_grid"),
        (lambda image, mask: (np.where(image > 300, np.nan, image).astype(np.float32), mask), "finite_hu"),
        (lambda image, mask: (image, None), "nifti_pair"),
        (lambda image, mask: (None, mask), "nifti_pair"),
    ],
    ids=["empty", "two labels", "another size", "not a number", "no mask", "no image"],
)
def test_refused(tmp_path: Path, what: Callable[..., tuple[np.ndarray | None, np.ndarray | None]], rule: str) -> None:
    write(tmp_path, *what(*sound()))
    with pytest.raises(Refusal) as refusal:
        read_patient(tmp_path)
    assert refusal.value.rule == rule
    assert str(tmp_path) not in str(refusal.value)


def test_a_mask_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path, *sound(), origin=(-10.0, 20.0, 6.0))
    with pytest.raises(Refusal, match="same_grid: image and mask lie"):
        read_patient(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, *sound())
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(Refusal, match="nifti_readable"):
        read_patient(tmp_path)


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
    with pytest.raises(Refusal, match="several_policy: 'both'"):
        read_patient(tmp_path, several="both")  # type: ignore[arg-type]
