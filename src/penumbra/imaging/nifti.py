"""NIfTI pairs: an image and a mask on the same grid."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.imaging.nifti_file import check_file
from penumbra.imaging.volume import Mask, Scan, Volume, check_range, check_size
from penumbra.refusal import Refusal

if TYPE_CHECKING:
    import SimpleITK

_IMAGE = ("ct.nii.gz", "ct.nii")
_MASK = ("gtv.nii.gz", "gtv.nii")


def find_pair(folder: Path) -> tuple[Path | None, Path | None]:
    """The files `ct.nii.gz` and `gtv.nii.gz` (or without .gz) directly in `folder`; None for one that is absent.

    Raises Refusal: `nifti_pair: ct.nii.gz and ct.nii lie side by side. ...`: whichever is asked for, ITK reads the second.
    """
    return _only(folder, _IMAGE), _only(folder, _MASK)


def read_pair(image_path: Path, mask_path: Path) -> Scan:
    """The scan of an image and a mask in NIfTI.

    Raises Refusal: rules nifti_readable, nifti_geometry, three_dimensions, same_grid, finite_values, hu_range, mask_binary, mask_inverted,
    gtv_not_empty.

    Source: NIfTI-1 standard (2003); SimpleITK turns its axes (RAS) to those of DICOM (LPS).
    """
    image, mask = read_nifti(image_path), read_nifti(mask_path)
    if image.values.shape != mask.values.shape:
        raise Refusal("same_grid", f"image {image.values.shape} and mask {mask.values.shape} differ in size", "Send a mask on the grid of its image")
    apart = np.abs(_corners(image) - _corners(mask)).max()
    if apart > 0.1 * min(image.spacing):
        raise Refusal("same_grid", f"image and mask lie {apart:.2f} mm apart", "Send a mask on the grid of its image")
    check_size(image.values.shape, image.spacing, "nifti_geometry", image_path.name)
    check_range(image.values, image_path.name)
    inside = _inside(mask.values)
    return Scan(image=image, gtv=Mask(inside, image.spacing, image.origin, image.direction), source="nifti")


def read_nifti(path: Path) -> Volume:
    """One NIfTI image as a volume; whole numbers stay whole.

    Raises Refusal: `nifti_readable: ct.nii.gz cannot be read. ...`, `nifti_geometry: ...`, `finite_values: ...`, `three_dimensions: ...`.
    """
    import SimpleITK as sitk

    check_file(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise Refusal("nifti_readable", f"{path.name} cannot be read", "Send the file again; it is damaged or not NIfTI") from error
    return from_sitk(image, path.name)


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


def _only(folder: Path, names: tuple[str, ...]) -> Path | None:
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) > 1:
        raise Refusal("nifti_pair", f"{' and '.join(names)} lie side by side", "Send one image and one mask")
    return found[0] if found else None


def _corners(volume: Volume) -> np.ndarray:
    """The first voxel centre and the last along each axis, in mm: equal corners are equal grids, axes in the same order."""
    last = np.diag((np.array(volume.values.shape) - 1)[::-1] * np.array(volume.spacing[::-1]))
    return np.asarray(volume.origin) + np.vstack([np.zeros(3), (volume.direction @ last).T])


def _is_share(labels: np.ndarray) -> bool:
    """Values of a soft mask: shares between 0 and 1."""
    return bool(labels.dtype.kind == "f" and labels.min() >= 0 and labels.max() <= 1)
