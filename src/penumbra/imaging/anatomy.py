"""How a scan lies in the patient: the three planes as radiology shows them, whatever the order and direction of the image's own axes."""

import itertools
from dataclasses import dataclass

import numpy as np

LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))  # below and above zero of DICOM's patient axes x, y, z
# name -> patient axis and direction of what goes to the right, downwards and toward the reader's "next"
_VIEWS = {"axial": ((0, 1), (1, 1), (2, 1)), "coronal": ((0, 1), (2, -1), (1, 1)), "sagittal": ((1, 1), (2, -1), (0, 1))}
PARALLEL_DEGREES = 0.5  # an image that is turned by less counts as parallel to the patient's axes


@dataclass(frozen=True)
class View:
    """One of the three planes, in voxels of the image.

    Parameters
    ----------
    name
        "axial", "coronal" or "sagittal": the plane that the image's own plane is nearest to.
    across, down, through
        Image axis (0 x, 1 y, 2 z) that runs to the right, downwards, and from plane to plane.
    turned
        Of the same three: whether the axis is shown from its last voxel to its first. `through` counts toward head, back and left.
    letters
        Of the patient's side on the left, on the right, on top and at the bottom: R, L, A, P, I or S, by the largest part of the axis.
    """

    name: str
    across: int
    down: int
    through: int
    turned: tuple[bool, bool, bool]
    letters: tuple[str, str, str, str]


def views(direction: np.ndarray) -> tuple[View, ...]:
    """The axial, coronal and sagittal view of an image.

    Parameters
    ----------
    direction : shape (3, 3)
        As in `Volume`: column i is the direction of image axis i in DICOM patient coordinates (LPS).

    Notes
    -----
    The patient's left is on the right of axial and coronal views and the front on top or left, as if seen from the feet, the front and the left.
    Each patient axis gets the image axis that is most parallel to it, all three together, so that an oblique image too has three different planes.
    """
    order = max(itertools.permutations(range(3)), key=lambda axes: sum(abs(direction[side, axes[side]]) for side in range(3)))
    signs = [1 if direction[side, order[side]] >= 0 else -1 for side in range(3)]
    made = []
    for name, ways in _VIEWS.items():
        across, down, through = (order[side] for side, _ in ways)
        flipped = [signs[side] != way for side, way in ways]
        letters = [LETTERS[side][end] for side, way in ways[:2] for end in ((0, 1) if way > 0 else (1, 0))]
        made.append(View(name, across, down, through, (flipped[0], flipped[1], flipped[2]), (letters[0], letters[1], letters[2], letters[3])))
    return tuple(made)


def oblique_degrees(direction: np.ndarray) -> float:
    """The largest angle between an image axis and the patient axis that it is shown as; 0 where the image is parallel to the patient's axes."""
    axial = views(direction)[0]
    parts = [abs(direction[side, axis]) for side, axis in enumerate((axial.across, axial.down, axial.through))]
    largest = float(np.degrees(np.arccos(min(1.0, min(parts)))))
    return largest if largest >= PARALLEL_DEGREES else 0.0


def plane_of(values: np.ndarray, view: View, index: int) -> np.ndarray:
    """The voxels of one plane as it is shown, (rows, columns).

    Parameters
    ----------
    values : shape (z, y, x)
        Of the image.
    index
        Voxel along the view's `through`.
    """
    plane = np.take(values, index, axis=2 - view.through)
    axes = [axis for axis in (2, 1, 0) if axis != view.through]
    if axes != [view.down, view.across]:
        plane = plane.T
    shown: np.ndarray = plane[:: -1 if view.turned[1] else 1, :: -1 if view.turned[0] else 1]
    return shown


def middle_of(inside: np.ndarray, axial: View) -> tuple[int, int, int]:
    """Where to look first: the middle of a region on the axial plane on which it is largest, as voxel x, y, z; of equal planes the one next to the feet.

    Parameters
    ----------
    inside : shape (z, y, x), bool
        With at least one voxel.
    axial
        The axial view of the image.
    """
    axes = (axial.across, axial.down, axial.through)
    turned = np.flip(inside.transpose([2 - axis for axis in axes]), tuple(place for place in range(3) if axial.turned[place]))  # the same for every storage
    plane = int(np.argmax(turned.sum(axis=(0, 1))))
    across, down = (int(np.floor(places.mean() + 0.5)) for places in np.nonzero(turned[:, :, plane]))
    voxel = [0, 0, 0]
    for place, (axis, at) in enumerate(zip(axes, (across, down, plane), strict=True)):
        voxel[axis] = turned.shape[place] - 1 - at if axial.turned[place] else at
    return voxel[0], voxel[1], voxel[2]
