"""NIfTI and NRRD pairs: an image and a mask on the same grid."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.folder import files_below
from penumbra.imaging.nifti_file import check_file
from penumbra.imaging.nrrd_file import check_header
from penumbra.imaging.padding import fill_padding
from penumbra.imaging.volume import Mask, Scan, Volume, check_range, check_size

if TYPE_CHECKING:
    import SimpleITK

_NRRD = ".nrrd"
_ENDINGS = (".nii.gz", ".nii", _NRRD)


def find_pair(folder: Path) -> tuple[Path | None, Path | None]:
    """The files `ct.nii.gz` and `gtv.nii.gz` (or .nii, or .nrrd) below `folder`, in any nesting, capitals or not; None for one that is absent.

    Raises
    ------
    Refusal
        `nifti_pair: ct.nii.gz and ct.nii: 2 images of one patient. ...`.
    """
    paths = list(files_below(folder))
    return _only(paths, "ct", "images"), _only(paths, "gtv", "masks")


def read_pair(image_path: Path, mask_path: Path) -> Scan:
    """The scan of an image and a mask in NIfTI or NRRD.

    Raises
    ------
    Refusal
        Rules nifti_readable, nifti_geometry, nrrd_readable, nrrd_geometry, three_dimensions, same_grid, finite_values, hu_range, mask_binary,
        mask_inverted, gtv_not_empty.

    References
    ----------
    NIfTI-1 standard (2003); SimpleITK turns its axes (RAS) to those of DICOM (LPS).
    """
    image, mask = read_volume(image_path), read_volume(mask_path)
    if image.values.shape != mask.values.shape:
        raise Refusal("same_grid", f"image {image.values.shape} and mask {mask.values.shape} differ in size", "Send a mask on the grid of its image")
    apart = np.abs(_corners(image) - _corners(mask)).max()
    if apart > 0.1 * min(image.spacing):
        raise Refusal("same_grid", f"image and mask lie {apart:.2f} mm apart", "Send a mask on the grid of its image")
    check_size(image.values.shape, image.spacing, "nifti_geometry", image_path.name)
    check_range(image.values, image_path.name)
    inside = _inside(mask.values)
    image = replace(image, values=_without_padding(image.values))
    return Scan(image=image, gtv=Mask(inside, image.spacing, image.origin, image.direction), source="nrrd" if _is_nrrd(image_path) else "nifti")


def read_volume(path: Path) -> Volume:
    """One image in NIfTI or NRRD as a volume, by the ending of its name.

    Raises
    ------
    Refusal
        As `read_nifti`; `nrrd_readable: ct.nrrd cannot be read. ...`, `nrrd_geometry`, `finite_values`, `three_dimensions`.
    """
    import SimpleITK as sitk

    if not _is_nrrd(path):
        return read_nifti(path)
    check_header(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise Refusal("nrrd_readable", f"{path.name} cannot be read", "Send the file again; it is cut off, damaged or not NRRD") from error
    volume = from_sitk(image, path.name)
    if not np.isfinite(volume.values).all():
        raise Refusal("finite_values", f"{path.name} holds values that are not numbers", "Send HU, and zeros and ones for the mask")
    return volume


def read_nifti(path: Path) -> Volume:
    """One NIfTI image as a volume; whole numbers stay whole.

    Raises
    ------
    Refusal
        `nifti_readable: ct.nii.gz cannot be read. ...`, `nifti_geometry: ...`, `finite_values: ...`, `three_dimensions: ...`.
    """
    import SimpleITK as sitk

    check_file(path)
    try:
        image = sitk.ReadImage(str(path)) if path.name == path.name.lower() else _read_with_capitals(path)
    except RuntimeError as error:
        raise Refusal("nifti_readable", f"{path.name} cannot be read", "Send the file again; it is damaged or not NIfTI") from error
    return from_sitk(image, path.name)


def _read_with_capitals(path: Path) -> "SimpleITK.Image":
    """Give the file a lowercase name: ITK does not recognize endings in mixed case."""
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as elsewhere:
        plain = Path(elsewhere) / path.name.lower()
        plain.symlink_to(path.absolute())
        return sitk.ReadImage(str(plain))


def from_sitk(image: "SimpleITK.Image", name: str = "an image") -> Volume:
    """A three-dimensional scalar SimpleITK image as a volume."""
    import SimpleITK as sitk

    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise Refusal("three_dimensions", f"{name} has {image.GetDimension()} dimensions", "Send one three-dimensional image")
    x, y, z = image.GetSpacing()
    values = sitk.GetArrayFromImage(image)
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    origin = image.GetOrigin()
    return Volume(values, (z, y, x), (origin[0], origin[1], origin[2]), np.array(image.GetDirection()).reshape(3, 3))


def to_sitk(volume: Volume) -> "SimpleITK.Image":
    """The volume as a SimpleITK image; a mask becomes uint8."""
    import SimpleITK as sitk

    values = volume.values.astype(np.uint8) if volume.values.dtype == np.bool_ else volume.values
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(tuple(float(step) for step in volume.spacing[::-1]))
    image.SetOrigin(tuple(float(part) for part in volume.origin))
    image.SetDirection(tuple(float(part) for part in volume.direction.ravel()))
    return image


def _without_padding(values: np.ndarray) -> np.ndarray:
    planes = list(values)
    filled = fill_padding(planes)
    return values if all(new is old for new, old in zip(filled, planes, strict=True)) else np.stack(filled)


def _inside(values: np.ndarray) -> np.ndarray:
    """The mask of zeros and one other value, or of shares between 0 and 1, of which at least half counts as inside."""
    labels = np.unique(values)
    if np.count_nonzero(labels) > 1 and not _is_share(labels):
        raise Refusal("mask_binary", f"the mask holds {len(labels)} different values", "Send a mask of zeros and ones for the GTV alone")
    inside = values >= 0.5 if np.count_nonzero(labels) > 1 else values > 0
    if not inside.any():
        raise Refusal("gtv_not_empty", "the mask holds no voxel", "Contour the GTV of this patient, or leave the patient out")
    faces = [inside.take(at, axis) for axis in range(3) for at in (0, -1)]
    if 2 * sum(int(np.count_nonzero(face)) for face in faces) > sum(face.size for face in faces):
        raise Refusal("mask_inverted", "more than half of the scan's surface lies inside the mask", "Send ones inside the GTV and zeros around it")
    return inside


def _only(paths: Sequence[Path], stem: str, what: str) -> Path | None:
    matches = [path for path in paths if path.name.lower() in {f"{stem}{ending}" for ending in _ENDINGS}]
    if len(matches) > 1:
        listed = " and ".join(sorted(path.name for path in matches))
        raise Refusal(
            "nifti_pair", f"{listed}: {len(matches)} {what} of one patient", "Send one image and one mask; move the others out of the patient's folder"
        )
    return matches[0] if matches else None


def _is_nrrd(path: Path) -> bool:
    return path.name.lower().endswith(_NRRD)


def _corners(volume: Volume) -> np.ndarray:
    """The first voxel center and the last along each axis, in mm: equal corners are equal grids, axes in the same order."""
    last = np.diag((np.array(volume.values.shape) - 1)[::-1] * np.array(volume.spacing[::-1]))
    return np.asarray(np.asarray(volume.origin) + np.vstack([np.zeros(3), (volume.direction @ last).T]))


def _is_share(labels: np.ndarray) -> bool:
    """Values of a soft mask: shares between 0 and 1."""
    return bool(labels.dtype.kind == "f" and labels.min() >= 0 and labels.max() <= 1)
