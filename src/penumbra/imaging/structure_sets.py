"""Which of several structure sets counts: never a rejected one, an approved one first, then the one that was saved last."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from penumbra.base.refusal import Refusal
from penumbra.imaging.dicom_file import SliceHeader
from penumbra.imaging.structures import StructureSet

_REVISED = timedelta(days=1)  # structure sets of two series that were saved closer together are of phases, not of a scan and a later one
_ALONE = "Send the structure set to use alone"


def chosen_set(drawings: Sequence[StructureSet], slices: Sequence[SliceHeader], notes: list[str]) -> StructureSet:
    """The structure set to use, of those that hold a GTV; a note says on what ground where there was a choice.

    Parameters
    ----------
    slices
        Of all CT series in the folder.

    Raises
    ------
    Refusal
        `structure_set_rejected: the structure set with the GTV was rejected at its review. ...`, `one_structure_set: 2 structure sets hold a GTV, and
        nothing tells which of them counts. ...`.

    Notes
    -----
    In this order: one that was rejected is never used; one that names a CT series of this folder goes before one that names another; an approved one
    before one that is not; the one that was saved last, by the first of StructureSetDate, SeriesDate, InstanceCreationDate and ContentDate (with
    their times) that tells them apart.

    References
    ----------
    DICOM PS3.3 C.8.8.5 (StructureSetDate), C.8.8.16 (ApprovalStatus).
    """
    refused = [drawing for drawing in drawings if drawing.approval == "REJECTED"]
    remaining = [drawing for drawing in drawings if not any(same_drawing(drawing, other) for other in refused)]
    if not remaining:
        which = "the structure set" if len(drawings) == 1 else f"each of the {len(drawings)} structure sets"
        raise Refusal("structure_set_rejected", f"{which} with the GTV was rejected at its review", "Send the approved structure set")
    if refused:
        notes.append(f"{len(drawings) - len(remaining)} of {len(drawings)} structure sets left out: rejected at the review.")
    remaining = _without_copies(remaining)
    if len(remaining) == 1:
        return remaining[0]
    frames = {item.frame for item in slices if item.frame}
    scans = [_scan(drawing, slices) for drawing in remaining]
    grounds: list[str] = []

    def narrow(ground: str, fits: Callable[[int], bool]) -> None:
        nonlocal remaining, scans
        fitting = [index for index in range(len(remaining)) if fits(index)]
        if fitting and len(fitting) < len(remaining):
            grounds.append(ground)
            remaining, scans = [remaining[index] for index in fitting], [scans[index] for index in fitting]

    count = len(remaining)
    narrow("drawn on this CT", lambda index: bool(scans[index]))
    here = any(scans)
    if not here:
        scans = [set(drawing.series) for drawing in remaining]
        narrow("in the frame of reference of this CT", lambda index: bool(set(remaining[index].frames.values()) & frames))
    narrow("APPROVED", lambda index: remaining[index].approval == "APPROVED")
    if len(remaining) > 1:
        newest, kind = _newest(remaining)
        its_scan = next(scan for drawing, scan in zip(remaining, scans, strict=True) if drawing is newest)
        others = [drawing for drawing, scan in zip(remaining, scans, strict=True) if drawing is not newest and not scan & its_scan]
        if others and not (here and all(_is_revision(newest, other, kind) for other in others)):
            raise Refusal(
                "one_structure_set",
                f"{len(remaining)} structure sets hold a GTV, each drawn on a series of its own, as for the phases of a 4D scan",
                "Send the planning CT with its structure set alone",
            )
        grounds.append(f"newest by {kind}Date")
        remaining = [newest]
    notes.append(f"Of {count} structure sets with a GTV one was taken: {', '.join(grounds)}.")
    return remaining[0]


def same_drawing(one: StructureSet, other: StructureSet) -> bool:
    """Copies of one structure set: the same identifier is not enough, since an edited copy may keep it."""
    parts = ("SOPInstanceUID", "StructureSetROISequence", "ROIContourSequence")
    return one is other or all(one.dataset.get(part) == other.dataset.get(part) for part in parts)


def _scan(drawing: StructureSet, slices: Sequence[SliceHeader]) -> set[str]:
    """The series of this folder that a structure set was drawn on: those whose slices it names, else those that it names itself."""
    return {item.series for item in slices if item.instance in drawing.instances} or {item.series for item in slices if item.series in drawing.series}


def _without_copies(drawings: Sequence[StructureSet]) -> list[StructureSet]:
    """One of each drawing; of copies the one with the better status."""
    unique: list[StructureSet] = []
    for drawing in sorted(drawings, key=lambda entry: entry.approval != "APPROVED"):
        if not any(same_drawing(drawing, other) for other in unique):
            unique.append(drawing)
    return unique


def _newest(drawings: Sequence[StructureSet]) -> tuple[StructureSet, str]:
    """The structure set that was saved last, and the attribute that tells.

    An attribute counts where all of them have it. Where some lack a better one, those that have it must not contradict.
    """
    remaining = list(drawings)
    earlier: list[str] = []
    for kind in drawings[0].saved:
        if all(_saved(drawing, kind) for drawing in remaining):
            remaining = [drawing for drawing in remaining if not any(_is_older(drawing, other, kind) for other in remaining)]
            if len(remaining) == 1:
                decided = (_saved(remaining[0], kind) or ("", ""))[0]
                others = [_saved(drawing, name) for name in earlier for drawing in drawings if drawing is not remaining[0]]
                if all(other is None or other[0] <= decided for other in others):
                    return remaining[0], kind
                break
        else:
            earlier.append(kind)
    raise Refusal("one_structure_set", f"{len(drawings)} structure sets hold a GTV, and no date tells which of them is the newest", _ALONE)


def _saved(drawing: StructureSet, kind: str) -> tuple[str, str] | None:
    """Date as YYYYMMDD and time as far as it is known, HHMMSS and fractions; None without a date."""
    date, time = re.sub(r"[.-]", "", drawing.saved[kind][0]), drawing.saved[kind][1].replace(":", "")
    try:
        datetime.strptime(date, "%Y%m%d")
    except ValueError:
        return None
    clock = re.match(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d+)?)?)?", time)
    return date, clock.group().replace(".", "") if clock else ""


def _is_older(one: StructureSet, other: StructureSet, kind: str) -> bool:
    """Whether one was saved before the other, as far as both times reach; not, where one of them has no such date."""
    first, second = _saved(one, kind), _saved(other, kind)
    if first is None or second is None:
        return False
    precision = min(len(first[1]), len(second[1]))
    return (first[0], first[1][:precision]) < (second[0], second[1][:precision])


def _is_revision(one: StructureSet, other: StructureSet, kind: str) -> bool:
    """Whether they were saved so far apart that the later one is of a later scan; not, where one of them has no such date."""
    first, second = _saved(one, kind), _saved(other, kind)
    return first is not None and second is not None and _moment(*first) - _moment(*second) >= _REVISED


def _moment(date: str, time: str) -> datetime:
    return datetime.strptime(date + time[:6].ljust(6, "0"), "%Y%m%d%H%M%S")
