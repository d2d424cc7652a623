"""A scan on the isotropic grid that features are computed on."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.raster import coverage, mask_at_half, mask_of_shares
from penumbra.imaging.spline import bands, cubic_matrix, linear_matrix
from penumbra.imaging.volume import Mask, Moments, Scan, Volume

GRID_VERSION = "1"  # raise when the same scan gives another grid
_HU = np.iinfo(np.int16)
_TILE = 4096  # voxels of a plane at a time: what is made of them stays in the processor's cache


def to_grid(scan: Scan, spacing_mm: float = 1.0, *, margin_mm: float | None = None, periodic_mm: float = 0.0) -> Scan:
    """Put a scan on an isotropic grid: cubic B-spline for the image, rounded to whole HU (int16); linear with threshold 0.5 for the mask.

    Parameters
    ----------
    scan : image and GTV (z, y, x)
        On its native grid, of any spacing.
    spacing_mm : mm
        Distance of the new voxel centers.
    margin_mm : mm
        Keep only the box of the GTV widened by this much and clipped to the image; None keeps the whole image. The voxels kept and `moments` are those of
        the whole grid either way.
    periodic_mm : mm
        How far from the GTV a filter looks that continues the image periodically (wavelets do). Where the scan ends nearer than that, the whole axis is
        kept, since what lies beyond is the scan's opposite side.

    Returns
    -------
    Scan
        Image and GTV on the grid, with the moments of the whole image and the place of the crop in it; without contours.

    Raises
    ------
    Refusal
        `gtv_not_empty: the GTV holds no voxel of the 1 mm grid. ...`.

    Notes
    -----
    The grid starts at the center of voxel [0, 0, 0], keeps the direction, and has round(size * spacing / spacing_mm) voxels per axis. Its last
    plane may lie up to half a voxel beyond the scan; there the spline's mirror image continues the scan, and no filler value enters.
    Where contours are known, the exact share of each new voxel inside their slabs takes the place of the interpolated zeros and ones, so that
    the mask has the volume that was drawn.

    References
    ----------
    docs/method.md#image; IBSI reference manual (2019) section 2.4; SimpleITK's ResampleImageFilter for the place of the grid.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Mask, Scan, Volume, to_grid
    >>> inside = np.zeros((10, 20, 20), dtype=bool)
    >>> inside[3:7, 8:14, 8:14] = True
    >>> spacing = (3.0, 1.0, 1.0)
    >>> scan = Scan(Volume(np.where(inside, 40, -700).astype(np.int16), spacing), Mask(inside, spacing))
    >>> grid = to_grid(scan, 1.0)
    >>> grid.image.values.shape, grid.image.spacing
    ((30, 20, 20), (1.0, 1.0, 1.0))
    >>> to_grid(scan, 1.0, margin_mm=3.0).image.values.shape
    (18, 12, 12)
    """
    image = scan.image
    positions = [np.arange(max(1, round(size * old / spacing_mm))) * (spacing_mm / old) for size, old in zip(image.values.shape, image.spacing, strict=True)]
    shape = (len(positions[0]), len(positions[1]), len(positions[2]))
    if scan.contours is not None:
        gtv_box, share = coverage(scan.contours, shape, (float(spacing_mm),) * 3)
        gtv = mask_of_shares(share)
    else:
        gtv_box, share = _interpolated(scan.gtv.values, positions)
        gtv = mask_at_half(share)
    if not gtv.any():
        raise Refusal(
            "gtv_not_empty",
            f"the GTV holds no voxel of the {spacing_mm:g} mm grid",
            "Send contours that enclose more than one voxel, on the slices of this scan",
        )
    keep = _crop(gtv_box, gtv, shape, margin_mm, periodic_mm, spacing_mm)
    values, moments = _image_on(image, positions, keep)
    mask = np.zeros([part.stop - part.start for part in keep], dtype=bool)
    inner = tuple(slice(max(k.start, g.start), min(k.stop, g.stop)) for k, g in zip(keep, gtv_box, strict=True))
    target = tuple(slice(part.start - k.start, part.stop - k.start) for part, k in zip(inner, keep, strict=True))
    mask[target] = gtv[tuple(slice(part.start - g.start, part.stop - g.start) for part, g in zip(inner, gtv_box, strict=True))]

    start = np.array([part.start for part in keep][::-1]) * spacing_mm
    origin = np.asarray(image.origin) + image.direction @ start
    place = (float(origin[0]), float(origin[1]), float(origin[2]))
    spacing = (float(spacing_mm),) * 3
    return replace(
        scan,
        image=Volume(values, spacing, place, image.direction),
        gtv=Mask(mask, spacing, place, image.direction),
        moments=scan.moments or moments,
        offset=None if scan.cropped else (keep[0].start, keep[1].start, keep[2].start),
        contours=None,
        slice_positions=None,
    )


def _image_on(image: Volume, positions: list[np.ndarray], keep: tuple[slice, ...]) -> tuple[np.ndarray, Moments]:
    """The kept part of the interpolated image, and the moments of all of it.

    Axis by axis, as matrix products over bands of the weight matrices: in the plane once per slice, then along z in blocks, so that the
    whole grid is never in memory. On one thread: the products are small, and threads that wait for a core of a busy machine cost ten
    times what they save.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        return _products(image, positions, keep)


def _products(image: Volume, positions: list[np.ndarray], keep: tuple[slice, ...]) -> tuple[np.ndarray, Moments]:
    """Strips of rows one after another, each through all slices: what is between the two passes is never in memory as a whole."""
    along_z, along_y, along_x = weights = tuple(cubic_matrix(count, at) for count, at in zip(image.values.shape, positions, strict=True))
    overshoot = float(np.prod([np.abs(matrix).sum(axis=1).max() for matrix in weights]))
    may_leave = max(abs(float(image.values.min())), abs(float(image.values.max()))) * overshoot > _HU.max - 1  # the range of HU
    x_bands, z_bands = list(bands(along_x, 32)), list(bands(along_z, 32))
    crop, total, squares = np.empty([part.stop - part.start for part in keep], dtype=np.int16), 0.0, 0.0
    for rows, strip in _strips(image.values, along_y, x_bands, len(along_x)):
        flat = strip.reshape(len(strip), -1)
        strip_rows = _common(rows, keep[1])
        for out, slices_used, block in z_bands:
            part = _common(out, keep[0]) if strip_rows else None
            layer = np.empty((len(block), flat.shape[1]), dtype=np.int16) if part else None
            for start in range(0, flat.shape[1], _TILE):
                tile = block @ flat[slices_used, start : start + _TILE]
                np.rint(tile, out=tile)
                if may_leave:
                    np.clip(tile, _HU.min, _HU.max, out=tile)
                total += float(tile.sum())  # of whole numbers: exact in any order
                squares += float(np.vdot(tile, tile))
                if layer is not None:
                    layer[:, start : start + _TILE] = tile
            if layer is not None and part is not None and strip_rows is not None:
                box = layer.reshape(len(block), -1, len(along_x))
                crop[_from(part, keep[0].start), _from(strip_rows, keep[1].start)] = box[_from(part, out.start), _from(strip_rows, rows.start), keep[2]]
    count = len(along_z) * len(along_y) * len(along_x)
    mean = total / count
    return crop, Moments(mean=mean, std=float(np.sqrt(max(squares / count - mean**2, 0.0))), count=count)


def _strips(values: np.ndarray, along_y: np.ndarray, x_bands: list[tuple[slice, slice, np.ndarray]], columns: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Each slice interpolated in its plane, some rows at a time: (rows, (slices, rows, columns))."""
    slices, _, across = values.shape
    for rows, rows_used, block in bands(along_y, 16):
        halfway, strip = np.empty((slices, len(block), across)), np.empty((slices * len(block), columns))
        for z in range(slices):
            np.matmul(block, values[z, rows_used].astype(np.float64), out=halfway[z])
        between = halfway.reshape(-1, across)
        for out, columns_used, weights in x_bands:
            strip[:, out] = between[:, columns_used] @ weights.T
        yield rows, strip.reshape(slices, len(block), columns)


def _common(one: slice, other: slice) -> slice | None:
    start, stop = max(one.start, other.start), min(one.stop, other.stop)
    return slice(start, stop) if start < stop else None


def _from(part: slice, start: int) -> slice:
    """The same indices, counted from `start`."""
    return slice(part.start - start, part.stop - start)


def _interpolated(mask: np.ndarray, positions: list[np.ndarray]) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """Linear interpolation of the zeros and ones of a mask on the new grid, in a box that holds it: (box in new indices, shares)."""
    box = bounding_box(mask)
    share = mask[box].astype(np.float64)
    new_box = []
    for axis, (part, at) in enumerate(zip(box, positions, strict=True)):
        near = np.flatnonzero((at > part.start - 1) & (at < part.stop))
        new_box.append(slice(int(near[0]), int(near[-1]) + 1) if near.size else slice(0, 0))
        weights = linear_matrix(mask.shape[axis], at[near])[:, part]
        weights[at[near] > mask.shape[axis] - 0.5 + 1e-9] = 0.0  # beyond the last voxel there is no GTV
        share = np.moveaxis(np.tensordot(weights, share, axes=(1, axis)), 0, axis)
    return (new_box[0], new_box[1], new_box[2]), share


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box of indices that holds every true voxel of `mask` (z, y, x); empty slices for an empty mask."""
    box = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple(across for across in range(3) if across != axis)))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else slice(0, 0))
    return box[0], box[1], box[2]


def _crop(
    gtv_box: tuple[slice, ...], gtv: np.ndarray, shape: tuple[int, ...], margin_mm: float | None, periodic_mm: float, spacing_mm: float
) -> tuple[slice, ...]:
    if margin_mm is None:
        return tuple(slice(0, size) for size in shape)
    widen, reach = (int(np.ceil(length / spacing_mm - 1e-9)) for length in (margin_mm, periodic_mm))
    keep = []
    for outer, part, size in zip(gtv_box, bounding_box(gtv), shape, strict=True):
        first, beyond = outer.start + part.start, outer.start + part.stop
        around = reach > 0 and (first < reach or beyond + reach > size)
        keep.append(slice(0, size) if around else slice(max(0, first - widen), min(size, beyond + widen)))
    return tuple(keep)
