"""The header of an NRRD file before a library reads it: ITK takes a file without a place or a unit for one in mm at the origin."""

from pathlib import Path

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import check_size

_LONGEST = 1 << 16  # bytes of a header
_SPACES = ("left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las")
_SLANTED = 1e-2  # cosine between two axes, above which they are not perpendicular
_REWRITE = "Write the file again as one three-dimensional image with its voxel size in mm, or send NIfTI"


def check_header(path: Path) -> None:
    """Refuse an NRRD file whose content is elsewhere, or whose place and voxel size in mm are not known.

    Raises
    ------
    Refusal
        `nrrd_readable: ct.nrrd is not NRRD. ...`, `nrrd_geometry: ct.nrrd has no space directions. ...`, `three_dimensions`.

    References
    ----------
    Definition of NRRD File Format, Teem 1.9: sections 3 (detached headers), 4 (space), 5 (basic fields).
    """
    name = path.name
    fields = _fields(path)
    if "data file" in fields or "datafile" in fields:
        raise Refusal("nrrd_readable", f"{name} is a header whose voxels are in another file", "Write image and mask as one .nrrd file each")
    sizes = fields.get("sizes", "").split()
    if fields.get("dimension") != "3" or len(sizes) != 3 or not all(size.isdigit() and int(size) for size in sizes):
        raise Refusal("three_dimensions", f"{name} is not a single three-dimensional image", "Send one three-dimensional image")
    if fields.get("space", "").lower() not in _SPACES:
        raise Refusal("nrrd_geometry", f"{name} does not say in which patient space it is", _REWRITE)
    units = set(fields.get("space units", "mm").replace('"', " ").lower().split())
    if units != {"mm"}:
        raise Refusal("nrrd_geometry", f"{name} is not in mm", _REWRITE)
    axes = _vectors(fields.get("space directions", ""))
    lengths = np.linalg.norm(axes, axis=1) if axes.shape == (3, 3) and np.isfinite(axes).all() else np.zeros(1)
    if not lengths.min() > 0:
        raise Refusal("nrrd_geometry", f"{name} has no space directions that give its voxel size", _REWRITE)
    if np.abs((axes / lengths[:, None]) @ (axes / lengths[:, None]).T - np.eye(3)).max() > _SLANTED:
        raise Refusal("nrrd_geometry", f"the axes of {name} are not perpendicular", "Resample the image onto a rectangular grid")
    check_size([int(size) for size in sizes], [float(length) for length in lengths], "nrrd_geometry", name)


def _fields(path: Path) -> dict[str, str]:
    """The fields of the header by their lowercase names."""
    with path.open("rb") as stream:
        head = stream.read(_LONGEST).replace(b"\r\n", b"\n")
    text, end, _ = head.partition(b"\n\n")
    lines = text.decode("latin-1").splitlines()
    if not end or not lines or not lines[0].startswith("NRRD000"):
        raise Refusal("nrrd_readable", f"{path.name} is not NRRD", "Send the file again; it is damaged or not NRRD")
    pairs = [line.split(": ", 1) for line in lines[1:] if ": " in line and not line.startswith("#") and ":=" not in line]
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _vectors(text: str) -> np.ndarray:
    """The vectors of a field such as (1,0,0) (0,1,0) (0,0,3); empty where it is something else."""
    try:
        return np.array([[float(number) for number in part.strip().strip("()").split(",")] for part in text.replace(") (", ")|(").split("|")])
    except ValueError:
        return np.empty((0, 0))
