"""The bytes of a NIfTI file before a library reads them: ITK fills what is cut off, turns NaN into 0 and passes over an affine that contradicts."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from penumbra.refusal import Refusal

_HEADER = 348  # bytes
_KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_SAME = 0.1  # voxels by which the two affines of a file may differ (headers hold single precision)


def check_file(path: Path) -> None:
    """Refuse a file that is cut off, holds values that are not numbers, or whose geometry can be read in two ways.

    Raises Refusal: `nifti_readable`, `finite_values`, `nifti_geometry: sform and qform of ct.nii.gz lie 4.0 mm apart. ...`.

    Source: NIfTI-1 standard (2003): dim, datatype, pixdim, vox_offset, methods 1 to 3 of orientation.
    """
    name, again = path.name, "Send the file again; it is damaged or not NIfTI-1"
    try:
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as stream:
            content = stream.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refusal("nifti_readable", f"{name} is cut off or damaged", again) from error
    order = "<" if content[:4] == _HEADER.to_bytes(4, "little") else ">"
    if len(content) < _HEADER or content[344:347] not in (b"n+1", b"ni1") or int(np.frombuffer(content[:4], f"{order}i4")[0]) != _HEADER:
        raise Refusal("nifti_readable", f"{name} is not NIfTI-1", again)

    def numbers(start: int, kind: str, count: int = 1) -> np.ndarray:
        return np.frombuffer(content, dtype=order + kind, count=count, offset=start)

    dimensions = numbers(40, "i2", 8).astype(int)
    size = dimensions[1 : 1 + max(0, min(7, int(dimensions[0])))]
    kind = _KINDS.get(int(numbers(70, "i2")[0]))
    if kind is None or len(size) < 3 or size.min() < 1 or (size[3:] > 1).any():
        raise Refusal("three_dimensions", f"{name} is no single image of three dimensions in real numbers", "Send one three-dimensional image")
    start, voxels = int(numbers(108, "f4")[0]), int(np.prod(size))
    if len(content) < start + voxels * int(kind[1]):
        raise Refusal("nifti_readable", f"{name} is cut off", again)
    if kind[0] == "f" and not np.isfinite(numbers(start, kind, voxels)).all():
        raise Refusal("finite_values", f"{name} holds values that are not numbers", "Send HU, and zeros and ones for the mask")
    spacing = numbers(76, "f4", 4)[1:].astype(float)
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        raise Refusal("nifti_geometry", f"{name} has a voxel size that is not positive", "Write the file again with its voxel size in mm")
    by_q, by_s = (int(code) for code in numbers(252, "i2", 2))
    sform = numbers(280, "f4", 12).astype(float).reshape(3, 4)
    qform = _qform(numbers(256, "f4", 6).astype(float), spacing, float(numbers(76, "f4")[0]))
    if by_s > 0:
        _check_affine(sform, spacing, name)
    if by_s > 0 and by_q > 0:
        corners = np.vstack([np.zeros(3), np.diag(size[:3] - 1)])
        apart = float(np.abs((corners @ (sform - qform)[:, :3].T) + (sform - qform)[:, 3]).max())
        if not apart <= _SAME * spacing.min():
            raise Refusal("nifti_geometry", f"sform and qform of {name} lie {apart:.1f} mm apart", "Write the file again with one affine")


def _check_affine(affine: np.ndarray, spacing: np.ndarray, name: str) -> None:
    lengths = np.linalg.norm(affine[:, :3], axis=0)
    if not (np.isfinite(affine).all() and np.abs(lengths - spacing).max() <= 1e-3 * spacing.max()):
        raise Refusal("nifti_geometry", f"the voxel size of {name} is not that of its affine", "Write the file again with one voxel size in mm")
    cosines = (affine[:, :3] / lengths).T @ (affine[:, :3] / lengths)
    if np.abs(cosines - np.eye(3)).max() > 1e-2:
        raise Refusal("nifti_geometry", f"the axes of {name} are not perpendicular", "Resample the image onto a rectangular grid")


def _qform(parameters: np.ndarray, spacing: np.ndarray, qfac: float) -> np.ndarray:
    """(3, 4) affine of quaternion b, c, d and offset x, y, z (method 2 of the standard)."""
    from scipy.spatial.transform import Rotation

    b, c, d = parameters[:3]
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = Rotation.from_quat([b, c, d, a]).as_matrix()
    scale = spacing * (1.0, 1.0, -1.0 if qfac < 0 else 1.0)
    return np.column_stack([turn * scale, parameters[3:]])
