"""The bytes of a NIfTI file before a library reads them: ITK fills what is cut off, turns NaN into 0 and passes over an affine that contradicts."""

import gzip
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from penumbra.base.refusal import Refusal

_HEADER = 348  # bytes
_FIRST_VOXEL = 352  # bytes; earlier would be in the header
_MORE = 1 << 20  # bytes that may follow the voxels
_KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_SAME = 0.1  # voxels by which the two affines of a file may differ (headers hold single precision)
_RESEND = "Send the file again; it is damaged or not NIfTI-1"


def check_file(path: Path) -> None:
    """Refuse a file that is cut off, holds values that are not numbers, or whose geometry or values can be read in two ways.

    Raises
    ------
    Refusal
        `nifti_readable`, `finite_values`, `nifti_geometry: sform and qform of ct.nii.gz lie 4.0 mm apart. ...`.

    References
    ----------
    NIfTI-1 standard (2003): dim, datatype, pixdim, vox_offset, scl_slope, methods 1 to 3 of orientation.
    """
    name = path.name
    try:
        with gzip.open(path) if name.lower().endswith(".gz") else path.open("rb") as stream:
            _check_stream(stream, name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refusal("nifti_readable", f"{name} is cut off or damaged", _RESEND) from error


def _check_stream(stream: BufferedIOBase, name: str) -> None:
    """Read no more than the header announces, however large a small file would unpack."""
    header = stream.read(_FIRST_VOXEL)
    order = "<" if header[:4] == _HEADER.to_bytes(4, "little") else ">"
    if len(header) < _FIRST_VOXEL or header[344:347] not in (b"n+1", b"ni1") or int(np.frombuffer(header[:4], f"{order}i4")[0]) != _HEADER:
        raise Refusal("nifti_readable", f"{name} is not NIfTI-1", _RESEND)

    def numbers(start: int, kind: str, count: int = 1) -> np.ndarray:
        return np.frombuffer(header, dtype=order + kind, count=count, offset=start).astype(float)

    dimensions = numbers(40, "i2", 8).astype(int)
    size = dimensions[1 : 1 + int(dimensions[0])] if 1 <= dimensions[0] <= 7 else dimensions[:0]
    kind = _KINDS.get(int(numbers(70, "i2")[0]))
    if kind is None or len(size) < 3 or size.min() < 1 or (size[3:] > 1).any():
        raise Refusal("three_dimensions", f"{name} is not a single three-dimensional image of real numbers", "Send one three-dimensional image")
    slope, intercept = numbers(112, "f4", 2)
    if (slope == 0 and intercept != 0) or np.isinf([slope, intercept]).any() or np.isnan(slope) != np.isnan(intercept):
        raise Refusal("nifti_readable", f"{name} is scaled by {slope:g} and {intercept:g}", "Write the file again without scaling")
    _check_geometry(numbers, size[:3], name)
    _check_voxels(stream, float(numbers(108, "f4")[0]), int(np.prod(size.astype(object))), order + kind, name)


def _check_voxels(stream: BufferedIOBase, offset: float, voxels: int, kind: str, name: str) -> None:
    if not _FIRST_VOXEL <= offset < 1 << 30:
        raise Refusal("nifti_readable", f"{name} says that its voxels start at byte {offset:g}", _RESEND)
    stream.read(int(offset) - _FIRST_VOXEL)
    item = np.dtype(kind).itemsize
    remaining = voxels * item
    while remaining:
        part = stream.read(min(remaining, 1 << 24))
        if not part:
            raise Refusal("nifti_readable", f"{name} is cut off", _RESEND)
        remaining -= len(part)
        if kind[1] == "f" and not np.isfinite(np.frombuffer(part[: len(part) // item * item], kind)).all():
            raise Refusal("finite_values", f"{name} holds values that are not numbers", "Send HU, and zeros and ones for the mask")
    if len(stream.read(_MORE + 1)) > _MORE:
        raise Refusal("nifti_readable", f"{name} is longer than its header says", _RESEND)


def _check_geometry(numbers: Callable[..., np.ndarray], size: np.ndarray, name: str) -> None:
    """The two affines of the header (methods 2 and 3) and the voxel size agree, where they are there."""
    spacing = numbers(76, "f4", 4)[1:]
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        raise Refusal("nifti_geometry", f"{name} has a voxel size that is not positive", "Write the file again with its voxel size in mm")
    by_q, by_s = (int(code) for code in numbers(252, "i2", 2))
    sform = numbers(280, "f4", 12).reshape(3, 4)
    if by_s > 0:
        _check_affine(sform, spacing, name)
    if by_q > 0:
        qform = _qform(numbers(256, "f4", 6), spacing, float(numbers(76, "f4")[0]), name)
        corners = np.vstack([np.zeros(3), np.diag(size - 1)])
        apart = float(np.abs((corners @ (sform - qform)[:, :3].T) + (sform - qform)[:, 3]).max()) if by_s > 0 else 0.0
        if not apart <= _SAME * spacing.min():
            raise Refusal("nifti_geometry", f"sform and qform of {name} lie {apart:.1f} mm apart", "Write the file again with one affine")


def _check_affine(affine: np.ndarray, spacing: np.ndarray, name: str) -> None:
    lengths = np.linalg.norm(affine[:, :3], axis=0)
    if not (np.isfinite(affine).all() and np.abs(lengths - spacing).max() <= 1e-3 * spacing.max()):
        raise Refusal("nifti_geometry", f"the voxel size of {name} is not that of its affine", "Write the file again with one voxel size in mm")
    cosines = (affine[:, :3] / lengths).T @ (affine[:, :3] / lengths)
    if np.abs(cosines - np.eye(3)).max() > 1e-2:
        raise Refusal("nifti_geometry", f"the axes of {name} are not perpendicular", "Resample the image onto a rectangular grid")


def _qform(parameters: np.ndarray, spacing: np.ndarray, qfac: float, name: str) -> np.ndarray:
    """(3, 4) affine of quaternion b, c, d and offset x, y, z (method 2 of the standard)."""
    from scipy.spatial.transform import Rotation

    b, c, d = parameters[:3]
    if not (np.isfinite(parameters).all() and b * b + c * c + d * d <= 1 + 1e-3):
        raise Refusal("nifti_geometry", f"the quaternion of {name} is not a rotation", "Write the file again with one affine")
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = Rotation.from_quat([b, c, d, a]).as_matrix()
    scale = spacing * (1.0, 1.0, -1.0 if qfac < 0 else 1.0)
    return np.column_stack([turn * scale, parameters[3:]])
