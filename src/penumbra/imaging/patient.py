"""A patient's folder to a scan with its GTV, or the reason why not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from penumbra.imaging.contours import Contours
from penumbra.imaging.dicom import Found, SliceHeader, find_dicom
from penumbra.imaging.names import GTV_PATTERNS, Several, check_policy, matching, no_match
from penumbra.imaging.nifti import find_pair, read_pair
from penumbra.imaging.raster import coverage, mask_of_shares
from penumbra.imaging.stack import read_stack
from penumbra.imaging.structures import Structure, StructureSet, place, read_structure_set, structure
from penumbra.imaging.volume import Mask, Scan, Volume
from penumbra.refusal import Refusal


def read_patient(folder: str | Path, *, gtv_patterns: Sequence[str] = GTV_PATTERNS, several: Several = "first") -> Scan:
    """The scan of one patient on its native grid: DICOM CT and RTSTRUCT in any nesting, or `ct.nii.gz` and `gtv.nii.gz`.

    folder        of one patient.
    gtv_patterns  regular expressions for the whole name of the GTV, case ignored, in order of preference.
    several       what becomes the GTV when several structures match: the "first" in order of the patterns and then of ROI numbers, the
                  "union" of all, or the "largest".

    Where slice gaps are uneven or the gantry was tilted, the native grid is a regular lattice that the slices were interpolated on (`notes`).

    Raises Refusal with the rule that was broken, among them `gtv_named: no structure is named like a GTV; found: Heart, Lung_L. ...`,
    `gtv_not_empty`, `frame_of_reference`, `ct_found`, `contours_found`.

    Source: DICOM PS3.3 A.3 (CT), A.19 (RTSTRUCT); PROTOCOL 2.
    """
    check_policy(several)
    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal("folder_found", "the patient's folder does not exist", "Give the path of an existing folder")
    image, mask = find_pair(folder)
    if image and mask:
        return read_pair(image, mask)
    found = find_dicom(folder)
    if not found.slices and (image or mask):
        missing = "gtv.nii.gz" if image else "ct.nii.gz"
        raise Refusal("nifti_pair", f"{missing} is missing", "Send ct.nii.gz and gtv.nii.gz, or DICOM")
    if not found.slices:
        raise Refusal("ct_found", f"no CT slice among {found.files} files", "Send the DICOM files of the planning CT, or ct.nii.gz and gtv.nii.gz")
    if not found.structure_sets:
        raise Refusal("contours_found", "no RTSTRUCT beside the CT", "Send the structure set that holds the GTV")
    return _from_structure_set(found, gtv_patterns, several)


def roi_names(folder: str | Path) -> list[str]:
    """Names of all structures in all structure sets of a patient's folder, as sent, sorted; a name that occurs twice is listed twice.

    Raises Refusal: `contours_found`, `structure_set_readable`.
    """
    found = find_dicom(Path(folder))
    if not found.structure_sets:
        if all(find_pair(Path(folder))):
            return ["gtv"]
        raise Refusal("contours_found", f"no RTSTRUCT among {found.files} files", "Send the structure set that holds the GTV")
    return sorted(name for path in found.structure_sets for name in read_structure_set(path).names.values())


def _from_structure_set(found: Found, patterns: Sequence[str], several: Several) -> Scan:
    notes = list(found.notes)
    drawing = _structure_set(found, patterns, notes)
    numbers = _gtv_numbers(drawing, patterns, notes)
    chosen = _resolve([structure(drawing, number) for number in numbers], several, notes)
    slices = _series(found.slices, drawing, chosen, notes)
    stack = read_stack(slices, drawing.instances)
    contours, remarks = place(chosen, stack.image, stack.positions)
    if several == "largest" and len(contours.regions) > 1:
        largest = max(contours.regions, key=lambda region: region.planimetric_mm3)
        contours = replace(contours, regions=(largest,), planes_named=len(largest.planes), planes_off_image=0)
    return Scan(
        image=stack.image,
        gtv=_mask(contours, stack.image),
        source="dicom",
        roi_name=" + ".join(region.name for region in contours.regions),
        contours=contours,
        slice_positions=tuple(float(at) for at in stack.positions),
        notes=(*notes, *stack.notes, *remarks),
    )


def _structure_set(found: Found, patterns: Sequence[str], notes: list[str]) -> StructureSet:
    """The structure set to use: one that holds a GTV on a series that is here; the newest of several."""
    drawings = [read_structure_set(path) for path in found.structure_sets]
    if len(drawings) == 1:
        return drawings[0]
    series = {item.series for item in found.slices}
    fitting = [drawing for drawing in drawings if matching(list(drawing.names.values()), patterns)]
    if not fitting:
        raise no_match([name for drawing in drawings for name in drawing.names.values()])
    fitting = [drawing for drawing in fitting if drawing.series & series] or fitting
    newest = max(drawing.saved for drawing in fitting)
    latest = [drawing for drawing in fitting if drawing.saved == newest]
    if len({str(drawing.dataset.get("SOPInstanceUID")) for drawing in latest}) > 1:
        raise Refusal("one_structure_set", f"{len(latest)} structure sets of the same date hold a GTV", "Send the structure set to use alone")
    if len(drawings) > 1:
        notes.append(f"Of {len(drawings)} structure sets the newest one with a GTV on this CT was taken.")
    return latest[0]


def _gtv_numbers(drawing: StructureSet, patterns: Sequence[str], notes: list[str]) -> list[int]:
    """ROI numbers of the structures that are named like a GTV and have contours, in order of preference."""
    numbers = sorted(drawing.names)
    matched = [numbers[index] for index in matching([drawing.names[number] for number in numbers], patterns)]
    if not matched:
        raise no_match(list(drawing.names.values()))
    drawn = [number for number in matched if number in drawing.drawn]
    if not drawn:
        shown = ", ".join(drawing.names[number].strip() for number in matched)
        raise Refusal("gtv_not_empty", f"{shown} has no contours", "Contour the GTV of this patient, or leave the patient out")
    if len(drawn) < len(matched):
        notes.append(f"{len(matched) - len(drawn)} structures named like a GTV have no contours.")
    return drawn


def _resolve(structures: list[Structure], several: Several, notes: list[str]) -> list[Structure]:
    closed = [item for item in structures if item.contours]
    if not closed:
        shown = ", ".join(item.name for item in structures)
        raise Refusal("gtv_not_empty", f"{shown} has no closed contour", "Contour the GTV of this patient, or leave the patient out")
    if len(closed) > 1:
        notes.append(f"{len(closed)} structures match ({', '.join(item.name for item in closed)}); policy: {several}.")
    return closed[:1] if several == "first" else closed


def _series(slices: Sequence[SliceHeader], drawing: StructureSet, chosen: Sequence[Structure], notes: list[str]) -> list[SliceHeader]:
    """The slices of the series that the contours were drawn on."""
    groups: dict[str, list[SliceHeader]] = {}
    for item in slices:
        groups.setdefault(item.series, []).append(item)
    named = [series for series in groups if series in drawing.series] or [
        series for series, items in groups.items() if any(item.instance in drawing.instances for item in items)
    ]
    frames = {item.frame for item in chosen if item.frame}
    matching_frame = [series for series, items in groups.items() if not frames or frames & {item.frame for item in items} or items[0].frame is None]
    if not matching_frame:
        raise Refusal(
            "frame_of_reference",
            "the structure set was drawn in another frame of reference than the CT",
            "Send the structure set of this CT, or the CT that it was drawn on",
        )
    candidates = [series for series in named if series in matching_frame] or (matching_frame if not named else [])
    if len(candidates) > 1:
        counts = Counter({series: sum(item.instance in drawing.instances for item in groups[series]) for series in candidates})
        best = counts.most_common(2)
        if best[0][1] == best[1][1]:
            raise Refusal("one_series", f"{len(candidates)} CT series fit the structure set", "Send the planning CT alone, the series that was contoured")
        candidates = [best[0][0]]
    if not candidates:
        raise Refusal(
            "frame_of_reference",
            "the CT series that the structure set names has another frame of reference",
            "Send the structure set of this CT, or the CT that it was drawn on",
        )
    if len(groups) > 1:
        notes.append(f"Of {len(groups)} CT series the one that the contours were drawn on was taken.")
    if not named and drawing.series:
        notes.append("The structure set names another series; the CT has the same frame of reference.")
    own = groups[candidates[0]]
    if len({item.frame for item in own}) > 1:
        own = [item for item in own if not frames or item.frame in frames]
        if len({item.frame for item in own}) > 1:
            raise Refusal("frame_of_reference", "slices of one series have different frames of reference", "Send the planning CT as one series")
    return own


def _mask(contours: Contours, image: Volume) -> Mask:
    values = np.zeros(image.values.shape, dtype=bool)
    depth, height, width = image.values.shape
    box, share = coverage(contours, (depth, height, width), image.spacing)
    values[box] = mask_of_shares(share) if share.size else False
    if not values.any():
        raise Refusal("gtv_not_empty", "the contours enclose no voxel of the CT", "Send contours of the GTV on the slices of this CT")
    return Mask(values, image.spacing, image.origin, image.direction)
