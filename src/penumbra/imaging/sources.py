"""Several sources of one GTV in a patient's folder: the first one is taken where they agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.volume import Mask, Scan


@dataclass(frozen=True)
class Source:
    """One place that a GTV can be taken from.

    Parameters
    ----------
    names
        Of all its structures, as sent.
    holds
        Whether one of them is taken for the GTV.
    read
        Its scan; raises Refusal.
    """

    kind: Literal["structure set", "segmentation", "image and mask"]
    names: tuple[str, ...]
    holds: bool
    read: Callable[[], Scan]


def agreeing(holding: Sequence[Source], sources: int, limit: float) -> Scan:
    """The scan of the first source; the masks of the others must agree with its mask.

    Parameters
    ----------
    holding
        The sources with a GTV, in the order in which they are taken.
    sources
        How many there are, with those that hold none.
    limit
        Dice from which two masks are one drawing.

    Raises
    ------
    Refusal
        `sources_agree: the structure set and the segmentation hold different GTVs: 9.2 and 2.1 cm3, Dice 0.21. ...`.
    """
    scan, notes = holding[0].read(), []
    if len(holding) == 1 and sources > 1:
        notes.append(f"The GTV is that of the {holding[0].kind}; {sources - 1} other source{'s' if sources > 2 else ''} without a readable GTV left out.")
    for other in holding[1:]:
        try:
            mask = other.read().gtv
        except Refusal as refusal:
            notes.append(f"The {other.kind} was left out, since it cannot be read ({refusal.rule}); the {holding[0].kind} was taken.")
            continue
        alike = dice(scan.gtv, mask)
        if alike < limit:
            raise Refusal(
                "sources_agree",
                f"the {holding[0].kind} and the {other.kind} in one folder hold different GTVs: "
                f"{scan.gtv.volume_mm3 / 1000:.1f} and {mask.volume_mm3 / 1000:.1f} cm3, Dice {alike:.2f}, below {limit:g}",
                "Leave the one that counts in the patient's folder, and move the other out of it",
            )
        notes.append(f"The {other.kind} was left out: it holds the same GTV (Dice {alike:.2f}) as the {holding[0].kind}, which was taken.")
    return replace(scan, notes=(*scan.notes, *notes))


def dice(one: Mask, other: Mask) -> float:
    """Dice of two masks by volume, each on a grid of its own: voxels of one count as shared where their center lies in a voxel of the other."""
    shared = _within(one, other) * one.voxel_volume_mm3 + _within(other, one) * other.voxel_volume_mm3
    whole = one.volume_mm3 + other.volume_mm3
    return shared / whole if whole else 1.0


def _within(mask: Mask, other: Mask) -> int:
    """How many voxels of a mask have their center in the other one."""
    voxels = np.argwhere(mask.values)[:, ::-1] * np.array(mask.spacing[::-1])
    points = np.asarray(mask.origin) + voxels @ mask.direction.T
    at = np.rint(((points - np.asarray(other.origin)) @ other.direction) / np.array(other.spacing[::-1])).astype(np.int64)[:, ::-1]
    at = at[((at >= 0) & (at < np.array(other.values.shape))).all(axis=1)]
    return int(np.count_nonzero(other.values[tuple(at.T)]))
