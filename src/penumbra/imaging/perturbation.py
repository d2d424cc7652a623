"""A scan on the grid as another acquisition or another reader could have given it: noisier, of thicker slices, moved below a voxel, with another margin.

All of them work on the saved image on the grid, since that is what features are measured on and what every center still has; the files that arrived may be
gone. What is thicker than its level already stays as thick: a scan of 5 mm slices says little about slices of 3 mm.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.grid import to_grid
from penumbra.imaging.noise import noise_grain, noise_level, slice_axis
from penumbra.imaging.raster import mask_at_half
from penumbra.imaging.spline import bands, cubic_matrix, linear_matrix
from penumbra.imaging.volume import Mask, Moments, Scan, Volume

_HU = np.iinfo(np.int16)


def with_noise(scan: Scan, multiple: float, generator: np.random.Generator) -> Scan:
    """Add noise of the scan's own level and grain, as a second scan by the same scanner would have.

    Parameters
    ----------
    scan : on the grid
        See `noise_level` and `noise_grain`.
    multiple
        Of the scan's own level; 0 changes nothing.
    generator
        Draws the noise.

    Returns
    -------
    Scan
        With another image, rounded to whole HU; the same mask.
    """
    from scipy.ndimage import gaussian_filter

    level = noise_level(scan.image) if multiple else 0.0
    if level == 0.0:
        return scan
    noise = gaussian_filter(generator.standard_normal(size=scan.image.values.shape), noise_grain(scan.image, level), mode="wrap")
    image = _whole_hu(scan.image, scan.image.values + multiple * level / noise.std() * noise)
    return replace(scan, image=image, moments=_moments(scan.moments, scan.image.values, image.values))


def with_thickness(scan: Scan, thickness_mm: float) -> Scan:
    """Make the scan one of thicker slices: average slabs of that thickness, with the mask drawn on them, and put it on the grid again.

    Parameters
    ----------
    scan : on the grid
        Isotropic; its slices lie across `slice_axis`.
    thickness_mm : mm
        Rounded to whole planes of the grid; up to one plane changes nothing.

    Returns
    -------
    Scan
        From the middle of the first slab to the end of the last; planes that fill no slab are lost.

    Raises
    ------
    Refusal
        `slabs: the scan has 4 planes, too few for slabs of 5 mm. ...`; `gtv_not_empty` for a GTV that is thinner than half a slab.
    """
    image, step = scan.image, scan.image.spacing[0]
    planes = round(thickness_mm / step)
    if planes <= 1:
        return scan
    axis = slice_axis(image)
    length = image.values.shape[axis]
    if length < planes:
        raise Refusal("slabs", f"the scan has {length} planes, too few for slabs of {thickness_mm:g} mm", "Keep more of the image around the GTV")
    slabs, drawn = np.rint(_slabs(image.values, planes, axis)), _slabs(scan.gtv.values, planes, axis) >= 0.5
    lead = (planes - 1) / 2
    middle = np.asarray(image.origin) + image.direction[:, 2 - axis] * lead * step  # columns of a direction are x, y, z
    place = (float(middle[0]), float(middle[1]), float(middle[2]))
    thick_mm = tuple(step * (planes if each == axis else 1) for each in range(3))
    spacing = (thick_mm[0], thick_mm[1], thick_mm[2])
    thick = replace(scan, image=Volume(slabs, spacing, place, image.direction), gtv=Mask(drawn, spacing, place, image.direction))
    on_grid = to_grid(thick, step)
    first = round(lead)
    same = np.moveaxis(image.values, axis, 0)[first : first + on_grid.image.values.shape[axis]]
    return replace(on_grid, moments=_moments(scan.moments, same, on_grid.image.values))


def _slabs(values: np.ndarray, planes: int, axis: int) -> np.ndarray:
    """Means of so many planes at a time along an axis."""
    ahead = np.moveaxis(values, axis, 0)
    count = len(ahead) // planes
    means: np.ndarray = np.moveaxis(ahead[: count * planes].reshape(count, planes, *ahead.shape[1:]).mean(axis=1), 0, axis)
    return means


def shifted(scan: Scan, voxels: float) -> Scan:
    """Move image and mask together by a part of a voxel along every axis, as if the grid had begun elsewhere.

    Parameters
    ----------
    scan : on the grid
        Its image continues beyond its ends as its mirror image.
    voxels
        0 changes nothing.

    Returns
    -------
    Scan
        Image by cubic B-spline, mask linear and cut at 0.5, as `to_grid` has it.
    """
    if voxels == 0:
        return scan
    values, share = scan.image.values.astype(np.float64), scan.gtv.values.astype(np.float64)
    for axis, size in enumerate(values.shape):
        at = np.arange(size) + voxels
        values = _along(values, cubic_matrix(size, at), axis)
        weights = linear_matrix(size, at)
        weights[at > size - 0.5 + 1e-9] = 0.0  # beyond the last voxel there is no GTV
        share = _along(share, weights, axis)
    return _moved(scan, values, share)


def rotated(scan: Scan, voxels: float) -> Scan:
    """Turn image and mask together within the slices about the middle of the GTV, so that its farthest voxel moves by a part of a voxel.

    Parameters
    ----------
    scan : on the grid
        With a GTV.
    voxels
        Length of the arc of the farthest voxel; 0 changes nothing.

    Returns
    -------
    Scan
        Image by cubic B-spline, mask linear and cut at 0.5.
    """
    from scipy.ndimage import affine_transform

    if voxels == 0:
        return scan
    axis = slice_axis(scan.image)
    image, gtv = (np.moveaxis(each, axis, 0) for each in (scan.image.values, scan.gtv.values))
    in_plane = np.argwhere(gtv.any(axis=0)).astype(float)
    middle = in_plane.mean(axis=0)
    angle = voxels / max(1.0, float(np.hypot(*(in_plane - middle).T).max()))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = middle - turn @ middle
    values, share = np.empty(image.shape), np.zeros(image.shape)
    for z, plane in enumerate(image):
        values[z] = affine_transform(plane.astype(np.float64), turn, offset, order=3, mode="mirror")
        if gtv[z].any():
            share[z] = affine_transform(gtv[z].astype(np.float64), turn, offset, order=1, mode="constant")
    return _moved(scan, np.moveaxis(values, 0, axis), np.moveaxis(share, 0, axis))


def with_margin(scan: Scan, margin_mm: float) -> Scan:
    """Grow the mask by a margin, or shrink it by a negative one; the image stays.

    Parameters
    ----------
    scan : on the grid
        Rings follow, since they are made from the GTV.
    margin_mm : mm
        Between voxel centers: grown by what is at most so far from the GTV, shrunk by what is at most so far from its outside.

    Returns
    -------
    Scan
        With another GTV.

    Raises
    ------
    Refusal
        `gtv_not_empty: nothing of the GTV is left 1 mm inside its surface. ...`.
    """
    from scipy.ndimage import distance_transform_edt

    if margin_mm == 0:
        return scan
    gtv, reach = scan.gtv, abs(margin_mm) + 1e-6
    if margin_mm > 0:
        values = distance_transform_edt(~gtv.values, sampling=gtv.spacing) <= reach
    else:
        values = distance_transform_edt(np.pad(gtv.values, 1), sampling=gtv.spacing)[1:-1, 1:-1, 1:-1] > reach
        if not values.any():
            raise Refusal("gtv_not_empty", f"nothing of the GTV is left {-margin_mm:g} mm inside its surface", "The GTV is too small for this perturbation")
    return replace(scan, gtv=Mask(values, gtv.spacing, gtv.origin, gtv.direction))


MAKE: Mapping[str, Callable[[Scan, float], Scan]] = {"thickness": with_thickness, "shift": shifted, "rotation": rotated, "mask": with_margin}
PERTURBATIONS = ("noise", *MAKE)


def perturbed(scan: Scan, name: str, level: float, generator: np.random.Generator) -> Scan:
    """One of PERTURBATIONS at one level; `generator` draws what is random in it."""
    return with_noise(scan, level, generator) if name == "noise" else MAKE[name](scan, level)


def changes_nothing(name: str, level: float, grid_mm: float) -> bool:
    """Whether a perturbation at this level gives every scan back as it is."""
    return round(level / grid_mm) <= 1 if name == "thickness" else level == 0


def _along(values: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """`weights` (new, old) applied along one axis of `values`, in bands."""
    last = np.moveaxis(values, axis, 0)
    flat = np.ascontiguousarray(last).reshape(last.shape[0], -1)
    out = np.zeros((len(weights), flat.shape[1]), dtype=values.dtype)
    for rows, columns, block in bands(weights, 32):
        out[rows] = block.astype(values.dtype, copy=False) @ flat[columns]
    return np.ascontiguousarray(np.moveaxis(out.reshape(len(weights), *last.shape[1:]), 0, axis))


def _moved(scan: Scan, values: np.ndarray, share: np.ndarray) -> Scan:
    """Image and mask of another place; the moments of the whole image are those of before, since all of it moved."""
    gtv = mask_at_half(share)
    if not gtv.any():
        raise Refusal("gtv_not_empty", "the GTV holds no voxel where it was moved to", "The GTV is too small for this perturbation")
    mask = Mask(gtv, scan.gtv.spacing, scan.gtv.origin, scan.gtv.direction)
    return replace(scan, image=_whole_hu(scan.image, values), gtv=mask)


def _whole_hu(image: Volume, values: np.ndarray) -> Volume:
    return replace(image, values=np.clip(np.rint(values), _HU.min, _HU.max).astype(np.int16))


def _moments(whole: Moments | None, before: np.ndarray, after: np.ndarray) -> Moments | None:
    """Moments of a whole image of which only a crop is known: mean and variance change by as much as those of the crop."""
    if whole is None:
        return None
    mean = whole.mean + float(after.mean()) - float(before.mean())
    variance = whole.std**2 + float(after.var()) - float(before.var())
    return Moments(mean, float(np.sqrt(max(variance, 0.0))), whole.count)
