"""Which CT series of a folder the contours were drawn on."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import SliceHeader

_SAME_PLACE = 0.1  # share of the usual gap: two slices that are nearer share a place
_CONTINUES = 1.5  # usual gaps: series that are further apart do not continue each other
_ADVICE = "Send the structure set of this CT, or the CT that it was drawn on"


@dataclass(frozen=True)
class Reference:
    """What a structure set or a segmentation says of the CT that it was drawn on; any part may be empty.

    Parameters
    ----------
    series
        UIDs that it names.
    instances
        Slices that it names anywhere, see `referenced`.
    contour_instances
        Of those, the ones that the contours of the GTV themselves name: they decide where others contradict.
    frames
        Of reference that the GTV is drawn in.
    """

    series: Set[str]
    instances: Set[str]
    contour_instances: Set[str]
    frames: Set[str]


def contoured_series(slices: Sequence[SliceHeader], reference: Reference) -> tuple[list[SliceHeader], bool, tuple[str, ...]]:
    """The slices of the series that was contoured, whether the reference names them, and notes.

    A series that only shares the frame of reference is taken where there is but one: coordinates hold, but it may be another phase. A scan that was
    sent as several series, all of them named, is joined where the slices continue each other.

    Raises
    ------
    Refusal
        Rules frame_of_reference, one_series.

    References
    ----------
    DICOM PS3.3 C.7.4.1 (frame of reference), C.8.8.5 (referenced series).
    """
    groups: dict[str, list[SliceHeader]] = {}
    for item in slices:
        groups.setdefault(item.series, []).append(item)

    def named_in(series: str, instances: Set[str]) -> int:
        return sum(item.named_in(instances) for item in groups[series])

    named_series = [series for series in groups if named_in(series, reference.contour_instances)]
    named_series = (
        named_series or [series for series in groups if series in reference.series] or [series for series in groups if named_in(series, reference.instances)]
    )
    in_frame = [series for series, items in groups.items() if not reference.frames or reference.frames & {item.frame for item in items}]
    without_frame = [series for series, items in groups.items() if items[0].frame is None]
    if not in_frame and not set(named_series) & set(without_frame):
        raise Refusal("frame_of_reference", "the structure set was drawn in another frame of reference than the CT", _ADVICE)
    if not named_series and not reference.frames:
        raise Refusal("frame_of_reference", "the structure set names neither this CT series nor a frame of reference", _ADVICE)
    candidates = [series for series in named_series if series in in_frame or series in without_frame] if named_series else in_frame
    if not candidates:
        raise Refusal("frame_of_reference", "the CT series that the structure set names has another frame of reference", _ADVICE)
    joined = _joined([groups[series] for series in candidates]) if named_series else None
    if joined is not None:
        notes = [f"The contours name {len(candidates)} series that continue each other; they were joined."]
        if len(groups) > len(candidates):
            notes.append(f"Of {len(groups)} CT series the ones that the contours were drawn on were taken.")
        return _of_one_frame(joined, reference.frames), True, tuple(notes)
    if len(candidates) > 1:
        counts = sorted(((named_in(series, reference.contour_instances), named_in(series, reference.instances), series) for series in candidates), reverse=True)
        if counts[0][:2] == counts[1][:2]:
            raise Refusal("one_series", f"{len(candidates)} CT series fit the structure set", "Send the planning CT alone, the series that was contoured")
        candidates = [counts[0][2]]
        _require_whole(groups, candidates[0], reference.contour_instances)
    notes = []
    if len(groups) > 1:
        notes.append(f"Of {len(groups)} CT series the one that the contours were drawn on was taken.")
    if not named_series:
        notes.append("The structure set names another series; the CT has the same frame of reference.")
    return _of_one_frame(groups[candidates[0]], reference.frames), bool(named_series), tuple(notes)


def _joined(parts: Sequence[Sequence[SliceHeader]]) -> list[SliceHeader] | None:
    """The slices of one scan that arrived as several series, or None where they are not: another lattice, a shared position, or a gap."""
    if len(parts) < 2:
        return None
    items = [item for part in parts for item in part]
    first = items[0]
    alike = all(
        item.size == first.size
        and np.allclose(item.spacing, first.spacing, atol=1e-4)
        and np.abs(item.orientation - first.orientation).max() < 1e-3
        and item.frame == first.frame
        for item in items
    )
    if not alike:
        return None
    along, down = np.array(first.orientation[:3], dtype=float), np.array(first.orientation[3:], dtype=float)
    heights = np.sort([float(item.position @ np.cross(along, down)) for item in items])
    gaps = np.diff(heights)
    return items if gaps.size and gaps.min() > _SAME_PLACE * np.median(gaps) and gaps.max() < _CONTINUES * np.median(gaps) else None


def _require_whole(groups: dict[str, list[SliceHeader]], contoured: str, contour_instances: Set[str]) -> None:
    """Refuse contours that belong to several series.

    Raises
    ------
    Refusal
        "one_series" where contours of the GTV name slices of other series at places that the chosen one does not have.
    """
    normal = np.cross(groups[contoured][0].orientation[:3], groups[contoured][0].orientation[3:])
    heights = np.sort([float(item.position @ normal) for item in groups[contoured]])
    gap = float(np.median(np.diff(heights))) if len(heights) > 1 else 1.0
    elsewhere = [float(item.position @ normal) for series, items in groups.items() if series != contoured for item in items if item.named_in(contour_instances)]
    missing = sum(np.abs(heights - height).min() > gap / 2 for height in elsewhere)
    if missing:
        raise Refusal(
            "one_series",
            f"{missing} contours were drawn on slices of another series, at places that the CT does not have",
            "Send the planning CT as one series, or export its structure set again",
        )


def _of_one_frame(slices: list[SliceHeader], frames: Set[str]) -> list[SliceHeader]:
    if len({item.frame for item in slices}) > 1:
        slices = [item for item in slices if not frames or item.frame in frames]
        if len({item.frame for item in slices}) > 1:
            raise Refusal("frame_of_reference", "slices of one series have different frames of reference", "Send the planning CT as one series")
    return slices
