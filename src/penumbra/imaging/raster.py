"""Contours to voxels: the share of every voxel that the contours enclose, and the mask that follows from it."""

import numpy as np

from penumbra.imaging.contours import Contours, Plane, Region
from penumbra.imaging.scanlines import crossings, united

# Rows are cut into this many scan lines; along a scan line the covered length is exact, so the area error of a voxel is below 1 %.
SCAN_LINES = 16

_TIE = 1e-5  # an interpolated share this close to 0.5 is a tie: a face exactly between two voxels


def coverage(contours: Contours, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """The share of each voxel inside the contours, within the box that holds them all.

    Parameters
    ----------
    shape
        Of the image, (z, y, x).
    spacing : mm, (z, y, x)

    Returns
    -------
    tuple[tuple[slice, slice, slice], np.ndarray]
        The box in voxel indices and the shares in [0, 1], float32, shape of the box. Outside the box the share is 0. Inside a plane the even-odd rule
        holds (holes stay holes, islands are kept), contours that cross each other are united; between structures the union.

    References
    ----------
    DICOM PS3.3 C.8.8.6.3 (contours of one ROI on one plane).
    """
    box = _box(contours, shape, spacing)
    share = np.zeros([part.stop - part.start for part in box], dtype=np.float32)
    for region in contours.regions:
        layer = _region_coverage(region, shape, spacing, box)
        np.maximum(share, layer, out=share)
    return box, share


def mask_of_shares(share: np.ndarray) -> np.ndarray:
    """The mask of shares that contours gave: in each plane the fullest voxels, as many as make up the plane's enclosed area.

    Parameters
    ----------
    share
        Of each voxel inside the contours, (z, y, x).

    Notes
    -----
    Where a plane lies wholly inside the slab of its contours these are the voxels at least half inside. Where a slab ends within a plane,
    so that all its voxels have the same share, the innermost of them are taken. The mask has the volume of the drawing to half a voxel a plane.
    """
    return _fullest(share, share > 1 - _TIE, (share > _TIE) & (share <= 1 - _TIE))


def mask_at_half(share: np.ndarray) -> np.ndarray:
    """The mask of interpolated zeros and ones, threshold 0.5; boolean, same shape (z, y, x).

    A value of exactly 0.5 happens wherever a face lies halfway between two voxels: slices of 2 or 4 mm on a 1 mm grid put every second
    plane there. Taking all ties would add half a voxel on every face (5 % of a sphere of 15 mm) and taking none would remove it, so of the
    ties in a plane the innermost are taken, as many as bring the plane's area closest to the sum of its values.
    """
    return _fullest(share, share > 0.5 + _TIE, np.abs(share - 0.5) <= _TIE)


def _fullest(share: np.ndarray, sure: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """`sure`, and of the `partial` voxels of each plane those with the largest share, until the plane's area is reached.

    Innermost first and all around.
    """
    from scipy.ndimage import distance_transform_edt

    mask = sure.copy()
    for z in np.flatnonzero(partial.any(axis=(1, 2))):
        quota = round(float(share[z].sum(dtype=np.float64))) - int(np.count_nonzero(sure[z]))
        if quota <= 0:
            continue
        rows, columns = np.nonzero(partial[z])
        depth = distance_transform_edt(np.pad(sure[z] | partial[z], 1))[1:-1, 1:-1][rows, columns]
        if sure[z].any():
            depth -= distance_transform_edt(~sure[z])[rows, columns]
        filled = np.round(share[z][rows, columns], 3)
        order = np.lexsort(((rows + columns + z) % 2, -depth, -filled))
        last = order[: max(quota, 1)][-1]
        alike = np.flatnonzero((filled == filled[last]) & (depth == depth[last]))
        sooner = np.flatnonzero((filled > filled[last]) | ((filled == filled[last]) & (depth > depth[last])))
        filled_places = np.concatenate([sooner, _all_around(alike, rows, columns, quota - len(sooner))])
        mask[z, rows[filled_places], columns[filled_places]] = True
    return mask


def _all_around(alike: np.ndarray, rows: np.ndarray, columns: np.ndarray, quota: int) -> np.ndarray:
    """`quota` of the voxels that are `alike` in every respect (indices of rows and columns), evenly all around their center.

    So none of its sides gets more than the other, and the mask does not move.
    """
    if quota >= len(alike):
        return alike
    angle = np.arctan2(rows[alike] - rows[alike].mean(), columns[alike] - columns[alike].mean())
    turn = alike[np.argsort(angle, kind="stable")]
    return turn[((np.arange(quota) + 0.5) * len(alike) / quota).astype(np.int64)]


def _box(contours: Contours, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple[slice, slice, slice]:
    """Smallest index box that holds all contours, clipped to the image; empty slices when they all lie outside."""
    points = np.concatenate([ring for region in contours.regions for plane in region.planes for ring in plane.rings])
    planes = [plane for region in contours.regions for plane in region.planes]
    low = (min(plane.lower for plane in planes), points[:, 1].min(), points[:, 0].min())
    high = (max(plane.upper for plane in planes), points[:, 1].max(), points[:, 0].max())
    box = []
    for axis in range(3):
        start = int(np.clip(np.floor(low[axis] / spacing[axis] + 0.5), 0, shape[axis]))
        stop = int(np.clip(np.ceil(high[axis] / spacing[axis] + 0.5), start, shape[axis]))
        box.append(slice(start, stop))
    return box[0], box[1], box[2]


def _region_coverage(region: Region, shape: tuple[int, int, int], spacing: tuple[float, float, float], box: tuple[slice, slice, slice]) -> np.ndarray:
    layer = np.zeros([part.stop - part.start for part in box], dtype=np.float32)
    for plane in region.planes:
        first = max(int(np.floor(plane.lower / spacing[0] + 0.5)), box[0].start)
        last = min(int(np.ceil(plane.upper / spacing[0] + 0.5)), box[0].stop)
        if first >= last:
            continue
        covered = _plane_coverage(plane, spacing, box)
        for z in range(first, last):
            overlap = min(plane.upper / spacing[0], z + 0.5) - max(plane.lower / spacing[0], z - 0.5)
            if overlap > 1e-6:
                layer[z - box[0].start] += np.float32(overlap) * covered
    return np.clip(layer, 0.0, 1.0, out=layer)


def _plane_coverage(plane: Plane, spacing: tuple[float, float, float], box: tuple[slice, slice, slice]) -> np.ndarray:
    """Share of each pixel of the box (y, x) inside the rings: shapes by the even-odd rule, the rings of a shape united."""
    rows, columns = (part.stop - part.start for part in box[1:])
    rings = [
        np.stack([ring[:, 0] / spacing[2] + 0.5 - box[2].start, (ring[:, 1] / spacing[1] + 0.5 - box[1].start) * SCAN_LINES], axis=1) for ring in plane.rings
    ]
    crossing = crossings(rings, 0.5, 1.0, rows * SCAN_LINES)
    if plane.shapes is not None and len(set(plane.shapes)) < len(rings):
        crossing = united(crossing, np.asarray(plane.shapes))

    # closed rings cross every line an even number of times: in order of x, crossings open and close in turn
    x = np.clip(crossing.x, 0.0, columns)
    order = np.lexsort((x, crossing.line))
    x, row = x[order], crossing.line[order] // SCAN_LINES
    sign = np.where(np.arange(len(x)) % 2 == 0, 1.0, -1.0)
    pixel = np.floor(x).astype(np.int64)
    part = x - pixel
    width = columns + 2
    change = np.bincount(row * width + pixel, weights=sign * (1.0 - part), minlength=rows * width)
    change += np.bincount(row * width + pixel + 1, weights=sign * part, minlength=rows * width)
    covered: np.ndarray = np.cumsum(change.reshape(rows, width), axis=1)[:, :columns] / SCAN_LINES
    return covered
