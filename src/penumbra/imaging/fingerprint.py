"""What identifies a scan, regardless of sender and format."""

import hashlib

import numpy as np

from penumbra.imaging.padding import AIR_HU
from penumbra.imaging.volume import Volume

_HIGHEST_HU = np.iinfo(np.int16).max


def pixel_digest(image: Volume) -> str:
    """SHA-256 over the whole HU of a scan, its size and its spacing: the same for the same scan under new identifiers, moved, or as NIfTI.

    Parameters
    ----------
    image : HU, (z, y, x)
        As it arrived. Axes are brought into the order and the direction of the patient's (LPS) first, and everything below -1024 HU counts as that, since
        formats differ in what they put beyond the scanner's circle.
    """
    across = np.abs(image.direction)
    axes = [0, 0, 0]  # patient axis x, y, z -> image axis x, y, z
    free = np.ones((3, 3), dtype=bool)
    for _ in range(3):
        patient, image_axis = np.unravel_index(np.argmax(np.where(free, across, -1.0)), (3, 3))
        axes[patient] = int(image_axis)
        free[patient, :] = free[:, image_axis] = False
    values = image.values.transpose([2 - axes[2], 2 - axes[1], 2 - axes[0]])
    turned = tuple(slice(None, None, -1 if image.direction[patient, axes[patient]] < 0 else 1) for patient in (2, 1, 0))
    spacing = [round(float(image.spacing[2 - axes[patient]]), 2) for patient in (2, 1, 0)]
    digest = hashlib.sha256(repr((values.shape, spacing)).encode())
    for plane in values[turned]:
        whole = plane if np.issubdtype(plane.dtype, np.integer) else np.rint(plane)
        digest.update(np.clip(whole, AIR_HU, _HIGHEST_HU).astype("<i2", copy=False).tobytes())
    return digest.hexdigest()
