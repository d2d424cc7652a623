"""NIfTI pairs: an image and a mask on the same grid."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.refusal import Refusal

if TYPE_CHECKING:
    import SimpleITK

_IMAGE = ("ct.nii.gz", "ct.nii")
_MASK = ("gtv.nii.gz", "gtv.nii")


def find_pair(folder: Path) -> tuple[Path | None, Path | None]:
    """The files `ct.nii.gz` and `gtv.nii.gz` (or without .gz) directly in `folder`; None for one that is absent."""
    return _first(folder, _IMAGE), _first(folder, _MASK)


def read_pair(image_path: Path, mask_path: Path) -> Scan:
    """The scan of an image and a mask in NIfTI.

    Raises Refusal: rules nifti_readable, three_dimensions, same_grid, finite_hu, mask_binary, gtv_not_empty.

    Source: NIfTI-1 standard (2003); SimpleITK turns its axes (RAS) to those of DICOM (LPS).
    """
    image, mask = read_nifti(image_path), read_nifti(mask_path)
    if image.values.shape != mask.values.shape:
        raise Refusal("same_grid", f"image {image.values.shape} and mask {mask.values.shape} differ in size", "Send a mask on the grid of its image")
    apart = np.abs(_corners(image) - _corners(mask)).max()
    if apart > 0.1 * min(image.spacing):
        raise Refusal("same_grid", f"image and mask lie {apart:.2f} mm apart", "Send a mask on the grid of its image")
    if not _all_finite(image_path):
        raise Refusal("finite_hu", "the image holds values that are not numbers", "Send the image in HU")
    labels = np.unique(mask.values)
    if not np.isfinite(labels).all() or (np.count_nonzero(labels) > 1 and not _is_share(labels)):
        raise Refusal("mask_binary", f"the mask holds {len(labels)} different values", "Send a mask of zeros and ones for the GTV alone")
    inside = mask.values >= labels.max() / 2 if labels.max() > 0 else np.zeros(mask.values.shape, dtype=bool)
    if not inside.any():
        raise Refusal("gtv_not_empty", "the mask holds no voxel", "Contour the GTV of this patient, or leave the patient out")
    return Scan(image=image, gtv=Mask(inside, image.spacing, image.origin, image.direction), source="nifti")


def read_nifti(path: Path) -> Volume:
    """One NIfTI image as a volume; whole numbers stay whole.

    Raises Refusal: `nifti_readable: an image cannot be read. ...`, `three_dimensions: an image has 4 dimensions. ...`.
    """
    import SimpleITK as sitk

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


def _all_finite(path: Path) -> bool:
    """Are all numbers of the file finite? Asked of its bytes, because the library that reads NIfTI turns NaN and infinity into 0."""
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
        header = stream.read(352)
        order = "<" if header[:4] == (348).to_bytes(4, "little") else ">"
        kind = {16: "f4", 64: "f8"}.get(int(np.frombuffer(header[70:72], dtype=f"{order}i2")[0]))
        if kind is None:
            return True  # whole numbers
        stream.seek(int(np.frombuffer(header[108:112], dtype=f"{order}f4")[0]))
        content = stream.read()
    numbers = np.frombuffer(content[: len(content) // int(kind[1]) * int(kind[1])], dtype=order + kind)
    return bool(np.isfinite(numbers).all())


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _corners(volume: Volume) -> np.ndarray:
    """First and last voxel centre in mm."""
    last = (np.array(volume.values.shape) - 1)[::-1] * np.array(volume.spacing[::-1])
    return np.stack([np.asarray(volume.origin), np.asarray(volume.origin) + volume.direction @ last])


def _is_share(labels: np.ndarray) -> bool:
    """Values of a soft mask: shares between 0 and 1."""
    return bool(labels.dtype.kind == "f" and labels.min() >= 0 and labels.max() <= 1)
