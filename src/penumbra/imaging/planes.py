"""Three orthogonal planes through the GTV, sampled for a picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from penumbra.base.blocks import GTV
from penumbra.imaging.grid import bounding_box
from penumbra.imaging.volume import Mask, Scan

BEYOND_HU = -1024.0


@dataclass(frozen=True)
class Planes:
    """A plane across z, one across y and one across x, each where the GTV has its largest area there.

    Parameters
    ----------
    hu : shape (3, pixels, pixels), HU
        The pictures of the three planes.
    outlines
        ROI -> (3, pixels, pixels), True on the inner border of the ROI and all that it surrounds.
    pixel_mm
        Edge of a pixel, the same in all three.
    """

    hu: np.ndarray
    outlines: dict[str, np.ndarray]
    pixel_mm: float


def three_planes(scan: Scan, rings: Mapping[str, Mask], *, margin_mm: float, pixels: int) -> Planes:
    """Cut three planes of a scan to equal squares around the GTV.

    Parameters
    ----------
    scan : image and GTV (z, y, x)
        On any grid.
    rings
        On the grid of the scan; their outline is that of the ring with the GTV inside.
    margin_mm : mm
        Free around the box of the GTV.
    pixels
        Edge of a picture.

    Returns
    -------
    Planes
        HU and outlines of the plane across z, the one across y and the one across x.

    Notes
    -----
    Rows of the first run as in the image; the other two have the end of z at the top where z runs toward the head.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Mask, Scan, Volume, rings, three_planes
    >>> inside = np.zeros((10, 20, 20), dtype=bool)
    >>> inside[3:7, 8:14, 8:14] = True
    >>> spacing = (3.0, 1.0, 1.0)
    >>> scan = Scan(Volume(np.where(inside, 40, -700).astype(np.int16), spacing), Mask(inside, spacing))
    >>> planes = three_planes(scan, rings(scan.gtv, [3]), margin_mm=4.0, pixels=32)
    >>> planes.hu.shape, sorted(planes.outlines), round(float(planes.pixel_mm), 3)
    ((3, 32, 32), ['gtv', 'ring_3mm'], 0.625)
    """
    from scipy.ndimage import binary_erosion, map_coordinates

    gtv = scan.gtv.values
    spacing = np.array(scan.image.spacing)
    box = bounding_box(gtv)
    center = np.array([(part.start + part.stop - 1) / 2 for part in box]) * spacing
    side = max((part.stop - part.start) * step for part, step in zip(box, spacing, strict=True)) + 2 * margin_mm
    offsets = (np.arange(pixels) + 0.5) / pixels * side - side / 2
    head_up = scan.image.direction[2, 2] > 0
    masks = {GTV: gtv, **{name: ring.values | gtv for name, ring in rings.items()}}
    hu: list[np.ndarray] = []
    outlines: dict[str, list[np.ndarray]] = {name: [] for name in masks}
    for axis in range(3):
        down, across = (other for other in range(3) if other != axis)
        index = int(gtv.sum(axis=(down, across)).argmax())
        rows = (center[down] + (offsets[::-1] if axis and head_up else offsets)) / spacing[down]
        columns = (center[across] + offsets) / spacing[across]
        at = np.meshgrid(rows, columns, indexing="ij")
        hu.append(map_coordinates(scan.image.values.take(index, axis).astype(np.float32), at, order=1, cval=BEYOND_HU))
        for name, mask in masks.items():
            inside = map_coordinates(mask.take(index, axis).astype(np.float32), at, order=1) >= 0.5
            outlines[name].append(inside & ~binary_erosion(inside, border_value=1))
    return Planes(np.stack(hu), {name: np.stack(planes) for name, planes in outlines.items()}, side / pixels)
