"""Which CT series of a folder the contours were drawn on."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from penumbra.imaging.dicom import SliceHeader
from penumbra.refusal import Refusal

_ADVICE = "Send the structure set of this CT, or the CT that it was drawn on"


@dataclass(frozen=True)
class Reference:
    """What a structure set or a segmentation says of the CT that it was drawn on; any part may be empty.

    series     UIDs that it names.
    instances  SOP instance UIDs that it names anywhere.
    own        of those, the ones that the contours of the GTV themselves name: they decide where others contradict.
    frames     of reference that the GTV is drawn in.
    """

    series: Set[str]
    instances: Set[str]
    own: Set[str]
    frames: Set[str]


def contoured_series(slices: Sequence[SliceHeader], reference: Reference) -> tuple[list[SliceHeader], bool, tuple[str, ...]]:
    """The slices of the series that was contoured, whether the reference names them, and notes.

    A series that only shares the frame of reference is taken where there is but one: coordinates hold, but it may be another phase.

    Raises Refusal: rules frame_of_reference, one_series.

    Source: DICOM PS3.3 C.7.4.1 (frame of reference), C.8.8.5 (referenced series).
    """
    groups: dict[str, list[SliceHeader]] = {}
    for item in slices:
        groups.setdefault(item.series, []).append(item)

    def named_in(series: str, instances: Set[str]) -> int:
        return sum(item.instance in instances for item in groups[series])

    named = [series for series in groups if named_in(series, reference.own)]
    named = named or [series for series in groups if series in reference.series] or [series for series in groups if named_in(series, reference.instances)]
    in_frame = [series for series, items in groups.items() if not reference.frames or reference.frames & {item.frame for item in items}]
    without_frame = [series for series, items in groups.items() if items[0].frame is None]
    if not in_frame and not set(named) & set(without_frame):
        raise Refusal("frame_of_reference", "the structure set was drawn in another frame of reference than the CT", _ADVICE)
    if not named and not reference.frames:
        raise Refusal("frame_of_reference", "the structure set names neither this CT series nor a frame of reference", _ADVICE)
    candidates = [series for series in named if series in in_frame or series in without_frame] if named else in_frame
    if not candidates:
        raise Refusal("frame_of_reference", "the CT series that the structure set names has another frame of reference", _ADVICE)
    if len(candidates) > 1:
        counts = sorted(((named_in(series, reference.own), named_in(series, reference.instances), series) for series in candidates), reverse=True)
        if counts[0][:2] == counts[1][:2]:
            raise Refusal("one_series", f"{len(candidates)} CT series fit the structure set", "Send the planning CT alone, the series that was contoured")
        candidates = [counts[0][2]]
    notes = []
    if len(groups) > 1:
        notes.append(f"Of {len(groups)} CT series the one that the contours were drawn on was taken.")
    if not named:
        notes.append("The structure set names another series; the CT has the same frame of reference.")
    return _of_one_frame(groups[candidates[0]], reference.frames), bool(named), tuple(notes)


def _of_one_frame(slices: list[SliceHeader], frames: Set[str]) -> list[SliceHeader]:
    if len({item.frame for item in slices}) > 1:
        slices = [item for item in slices if not frames or item.frame in frames]
        if len({item.frame for item in slices}) > 1:
            raise Refusal("frame_of_reference", "slices of one series have different frames of reference", "Send the planning CT as one series")
    return slices
