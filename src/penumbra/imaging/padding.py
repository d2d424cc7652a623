"""Values outside the scanner's circle, which are not measurements."""

from collections.abc import Sequence

import numpy as np

AIR_HU = -1024  # what padding becomes: the lowest value of twelve bits
PADDING_HU = -1500  # nothing measured is that low: the lowest of 210 lung CTs, in a streak of metal, is -1253 HU
_PLATEAU = 0.01  # share of all voxels that hold one and the same lowest value below AIR_HU: noise and streaks spread over many


def fill_padding(planes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The planes (y, x) of a scan in HU, with padding replaced by air: it would shift mean and standard deviation of the scan.

    Padding is known by its values, since neither NIfTI nor every DICOM export names them: at or below -1500 HU, or one and the same lowest
    value below -1024 HU in at least 1 % of the voxels. Planes without any are returned as they are.
    """
    filled = [np.where(plane <= PADDING_HU, plane.dtype.type(AIR_HU), plane) if plane.size and plane.min() <= PADDING_HU else plane for plane in planes]
    lowest = min((plane.min() for plane in filled if plane.size), default=AIR_HU)
    if lowest >= AIR_HU:
        return filled
    share = sum(int(np.count_nonzero(plane == lowest)) for plane in filled) / sum(plane.size for plane in filled)
    return [np.where(plane == lowest, plane.dtype.type(AIR_HU), plane) for plane in filled] if share >= _PLATEAU else filled
