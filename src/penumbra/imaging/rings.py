"""Rings around the GTV."""

from collections.abc import Sequence

import numpy as np

from penumbra.base.blocks import ring_name
from penumbra.imaging.grid import bounding_box
from penumbra.imaging.volume import Mask


def rings(gtv: Mask, margins_mm: Sequence[float]) -> dict[str, Mask]:
    """Make one mask per margin: voxels whose distance to the nearest GTV voxel is in (0, margin] mm, clipped to the image.

    Parameters
    ----------
    gtv : shape (z, y, x)
        On the grid that the rings are wanted on.
    margins_mm : mm
        Outer margins, each a ring of its own from the GTV outwards.

    Returns
    -------
    dict
        Name of the ring -> its mask, on the grid of `gtv`.

    References
    ----------
    docs/method.md#image.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Mask, Scan, Volume, rings
    >>> inside = np.zeros((10, 20, 20), dtype=bool)
    >>> inside[3:7, 8:14, 8:14] = True
    >>> spacing = (3.0, 1.0, 1.0)
    >>> scan = Scan(Volume(np.where(inside, 40, -700).astype(np.int16), spacing), Mask(inside, spacing))
    >>> {name: ring.volume_mm3 for name, ring in rings(scan.gtv, [1, 3]).items()}
    {'ring_1mm': 288.0, 'ring_3mm': 1272.0}
    """
    inner, distance = _distance(gtv, margins_mm, clipped=True)
    by_name = {}
    for margin in margins_mm:
        values = np.zeros(gtv.values.shape, dtype=bool)
        values[inner] = _within(distance, margin)
        by_name[ring_name(margin)] = Mask(values, gtv.spacing, gtv.origin, gtv.direction)
    return by_name


def ring_loss(gtv: Mask, margins_mm: Sequence[float]) -> dict[str, float]:
    """Measure how much of each ring lies beyond the image and is therefore missing from it.

    Parameters
    ----------
    gtv : shape (z, y, x)
        On the grid of the image.
    margins_mm : mm
        Outer margins, as in `rings`.

    Returns
    -------
    dict
        Name of the ring -> volume in mm3.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Mask, Scan, Volume, ring_loss
    >>> inside = np.zeros((10, 20, 20), dtype=bool)
    >>> inside[3:7, 8:14, 8:14] = True
    >>> spacing = (3.0, 1.0, 1.0)
    >>> scan = Scan(Volume(np.where(inside, 40, -700).astype(np.int16), spacing), Mask(inside, spacing))
    >>> ring_loss(scan.gtv, [3, 12])
    {'ring_3mm': 0.0, 'ring_12mm': 6882.0}
    """
    if _is_within(gtv, margins_mm):
        return {ring_name(margin): 0.0 for margin in margins_mm}
    _, distance = _distance(gtv, margins_mm, clipped=False)
    clipped = rings(gtv, margins_mm)
    voxel = gtv.voxel_volume_mm3
    return {ring_name(margin): float(np.count_nonzero(_within(distance, margin))) * voxel - clipped[ring_name(margin)].volume_mm3 for margin in margins_mm}


def _is_within(gtv: Mask, margins_mm: Sequence[float]) -> bool:
    """Whether the box of the GTV, widened by the largest margin, lies within the image: nothing of a ring is missing then."""
    tight, widen = bounding_box(gtv.values), _voxels(gtv, margins_mm)
    return all(part.start >= more and part.stop + more <= size for part, more, size in zip(tight, widen, gtv.values.shape, strict=True))


def _voxels(gtv: Mask, margins_mm: Sequence[float]) -> list[int]:
    """By how many voxels the box of the GTV is widened along each axis."""
    return [int(np.ceil(max(margins_mm) / step)) + 1 for step in gtv.spacing]


def _within(distance: np.ndarray, margin_mm: float) -> np.ndarray:
    inside: np.ndarray = (distance > 0) & (distance <= margin_mm + 1e-6)
    return inside


def _distance(gtv: Mask, margins_mm: Sequence[float], *, clipped: bool) -> tuple[tuple[slice, ...], np.ndarray]:
    """Distances in mm to the GTV in its box widened by the largest margin, clipped to the image or continued beyond it."""
    from scipy.ndimage import distance_transform_edt

    tight = bounding_box(gtv.values)
    widen = _voxels(gtv, margins_mm)
    wide = tuple(slice(max(0, part.start - more), min(size, part.stop + more)) for part, more, size in zip(tight, widen, gtv.values.shape, strict=True))
    region = gtv.values[wide]
    if not clipped:
        region = np.pad(gtv.values[tight], [(more, more) for more in widen])
    if not region.any():
        return wide, np.zeros(region.shape)
    distance: np.ndarray = distance_transform_edt(~region, sampling=gtv.spacing)
    return wide, distance
