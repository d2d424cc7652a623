"""The network's input: the box of the GTV, resized to a cube and z-scored. numpy only."""

import numpy as np

from penumbra.base.refusal import Refusal

INPUT_VERSION = "1"  # raise when the same scan gives another cube
FRACTION_INSIDE = 0.5  # of a resized voxel, from which on it counts as GTV; the threshold of the resampled mask (docs/method.md#image)


def prepare(image: np.ndarray, gtv: np.ndarray, *, size: int, masked: bool) -> np.ndarray:
    """Return the GTV's bounding box as a z-scored cube, shape (size, size, size), float32.

    The box is the smallest one that holds every GTV voxel, without margin; nothing outside it is read. Each axis is resized on its own
    by linear interpolation with aligned borders: output voxel i has its center at (i + 0.5) L / size - 0.5 of the box's L voxels,
    held within [0, L - 1] (half-pixel centers, no smoothing before shrinking). Then the values lose their mean and are divided by their
    population standard deviation, both over the whole resized box; a box of one value becomes zeros.
    With `masked` the mask is resized likewise, a voxel is inside from 0.5, mean and standard deviation are those of the inside, and the
    outside is 0.

    Parameters
    ----------
    image : shape (z, y, x)
        HU on the isotropic grid.
    gtv : shape (z, y, x), bool
        On the same grid.
    size
        Edge of the cube, voxels.
    masked
        Remove what is outside the GTV.

    Returns
    -------
    array of shape (size, size, size), float32
        Mean 0 and standard deviation 1, in the order (z, y, x).

    Raises
    ------
    ValueError
        "image and gtv must have the same shape (z, y, x); found ...".
    Refusal
        gtv_not_empty, image_is_finite.
    """
    if image.ndim != 3 or image.shape != gtv.shape:
        raise ValueError(f"image and gtv must have the same shape (z, y, x); found {image.shape} and {gtv.shape}")
    inside = gtv.astype(bool)
    if not inside.any():
        raise Refusal("gtv_not_empty", "the GTV has no voxel on the grid", "Check the contour and the synonyms in features/rois.yaml")
    box = _bounding_box(inside)
    values = image[box].astype(np.float64)
    if not np.isfinite(values).all():
        raise Refusal("image_is_finite", "the box of the GTV holds values that are not finite", "Export the image again")

    cube = resize(values, size)
    if not masked:
        return _z_score(cube, cube).astype(np.float32)
    mask = resize(inside[box].astype(np.float64), size) >= FRACTION_INSIDE
    if not mask.any():  # a GTV of scattered voxels may vanish when its box shrinks
        mask = resize(inside[box].astype(np.float64), size) > 0
    return np.where(mask, _z_score(cube, cube[mask]), 0.0).astype(np.float32)


def back_to_box(cube: np.ndarray, gtv: np.ndarray) -> np.ndarray:
    """Return a map of the network's input on the grid of the GTV it was made of.

    Parameters
    ----------
    cube : shape (s, s, s)
        A value for each voxel of the input.
    gtv : shape (z, y, x), bool
        As `prepare` was given it.

    Returns
    -------
    array of shape (z, y, x)
        NaN outside the box of the GTV.
    """
    box = _bounding_box(gtv.astype(bool))
    placed = np.full(gtv.shape, np.nan)
    placed[box] = resize(cube.astype(float), gtv[box].shape)
    return placed


def resize(values: np.ndarray, size: int | tuple[int, ...]) -> np.ndarray:
    """Return `values` (z, y, x) resized linearly to `size`, a shape or one edge for all axes, borders aligned (see prepare)."""
    lengths = (size,) * 3 if isinstance(size, int) else size
    for axis, length in enumerate(lengths):
        values = np.moveaxis(np.tensordot(_interpolation(values.shape[axis], length), values, axes=(1, axis)), 0, axis)
    return values


def _interpolation(length: int, size: int) -> np.ndarray:
    """Return the matrix (size, length) that interpolates one axis."""
    position = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    lower = np.minimum(position.astype(int), max(length - 2, 0))
    matrix = np.zeros((size, length))
    matrix[np.arange(size), lower] = 1.0
    if length > 1:
        matrix[np.arange(size), lower] = 1.0 - (position - lower)
        matrix[np.arange(size), lower + 1] = position - lower
    return matrix


def _bounding_box(inside: np.ndarray) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def _z_score(values: np.ndarray, sample: np.ndarray) -> np.ndarray:
    deviation = sample.std()
    if deviation <= 1e-9 * max(1.0, float(np.abs(sample).max())):  # one value, but for rounding
        return np.zeros_like(values)
    return np.asarray((values - sample.mean()) / deviation)
