"""A patient's folder to a scan with its GTV, or the reason why not."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from penumbra.base.refusal import Refusal
from penumbra.imaging.contours import Contours
from penumbra.imaging.dicom import DicomFolder, find_dicom
from penumbra.imaging.names import STANDARD, GtvNames, Several, check_policy, no_match
from penumbra.imaging.nifti import find_pair, read_pair
from penumbra.imaging.primary import GTV_PATTERNS
from penumbra.imaging.raster import coverage, mask_of_shares
from penumbra.imaging.segmentation import Segmentation, read_segmentation, segment_masks, segment_points
from penumbra.imaging.series import Reference, contoured_series
from penumbra.imaging.sources import Source, agreeing
from penumbra.imaging.stack import read_stack
from penumbra.imaging.structure_sets import chosen_set
from penumbra.imaging.structures import Structure, StructureSet, place, read_structure_set, structure
from penumbra.imaging.unread import no_contours, nothing_read
from penumbra.imaging.volume import Mask, Scan, Volume

READER_VERSION = "1"  # raise when the same files give another image or mask


def read_patient(folder: str | Path, *, gtv_patterns: Sequence[str] = GTV_PATTERNS, several: Several = "first", names: GtvNames | None = None) -> Scan:
    """Read the scan of one patient on its native grid.

    It may be DICOM CT with RTSTRUCT or SEG in any nesting, or `ct.nii.gz` and `gtv.nii.gz` (or .nii, or .nrrd).

    Parameters
    ----------
    folder
        Of one patient.
    gtv_patterns
        Regular expressions for the whole name of the GTV, case ignored, in order of preference.
    several
        What becomes the GTV when several structures match: the "first" in order of the patterns and then of ROI numbers, the "union" of all, or the
        "largest".
    names
        All that a center declares about the names of its GTV, instead of both.

    Returns
    -------
    Scan
        Image in HU and GTV, (z, y, x), with what the reader did in `notes`.

    Raises
    ------
    Refusal
        With the rule that was broken, among them `gtv_named: no structure is named like a GTV; found: Heart, Lung_L. ...`, `gtv_not_empty`,
        `frame_of_reference`, `ct_found`, `contours_found`, `sources_agree`.

    Notes
    -----
    The GTV is taken from where it is. Where two sources hold one, they must agree (`sources_agree`), and a structure set goes before a segmentation,
    since its contours are exact, and both before an image with its mask, which was made from them. Where slice gaps
    are uneven or the gantry was tilted, the native grid is a regular lattice that the slices were interpolated on (`notes`).

    `roi_name` and `notes` hold names of structures only where they are made of the GTV's own words (`GtvNames.stored`): one may be a person's.

    References
    ----------
    DICOM PS3.3 A.3 (CT), A.19 (RTSTRUCT), A.51 (SEG); docs/method.md#image.

    Examples
    --------
    >>> from pathlib import Path
    >>> import SimpleITK as sitk
    >>> import numpy as np
    >>> from penumbra.imaging import read_patient
    >>> Path("P01").mkdir()
    >>> inside = np.zeros((6, 12, 12), dtype=np.uint8)
    >>> inside[2:4, 4:8, 4:8] = 1
    >>> sitk.WriteImage(sitk.GetImageFromArray(np.where(inside, 40, -700).astype(np.int16)), "P01/ct.nii.gz")
    >>> sitk.WriteImage(sitk.GetImageFromArray(inside), "P01/gtv.nii.gz")
    >>> scan = read_patient("P01")
    >>> scan.source, scan.image.values.shape, scan.gtv.volume_mm3
    ('nifti', (6, 12, 12), 32.0)
    """
    rules = names or (STANDARD if tuple(gtv_patterns) == GTV_PATTERNS else GtvNames(tuple(gtv_patterns)))
    rules = rules if names else replace(rules, several=several)
    check_policy(rules.several)
    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal("folder_found", "the patient's folder does not exist", "Give the path of an existing folder")
    return read_sources(gtv_sources(folder, rules), rules)


def read_sources(sources: Sequence[Source], rules: GtvNames) -> Scan:
    """Read the scan from the sources that `gtv_sources` lists, as `read_patient` does.

    Parameters
    ----------
    sources
        Of one patient.
    rules
        How the center names its GTV; the sources were listed with the same.

    Returns
    -------
    Scan
        On its native grid.

    Raises
    ------
    Refusal
        As `read_patient`.

    Examples
    --------
    >>> from pathlib import Path
    >>> import SimpleITK as sitk
    >>> import numpy as np
    >>> from penumbra.imaging import GTV_PATTERNS, GtvNames, gtv_sources, read_sources
    >>> Path("P01").mkdir()
    >>> inside = np.zeros((6, 12, 12), dtype=np.uint8)
    >>> inside[2:4, 4:8, 4:8] = 1
    >>> sitk.WriteImage(sitk.GetImageFromArray(np.where(inside, 40, -700).astype(np.int16)), "P01/ct.nii.gz")
    >>> sitk.WriteImage(sitk.GetImageFromArray(inside), "P01/gtv.nii.gz")
    >>> rules = GtvNames(GTV_PATTERNS)
    >>> read_sources(gtv_sources(Path("P01"), rules), rules).gtv.volume_mm3
    32.0
    """
    holding = [source for source in sources if source.holds]
    if not holding:
        with_gtv = [source for source in sources if rules.order(source.names)]
        if with_gtv:
            return with_gtv[0].read()  # refuses, and says what is wrong with the GTV
        raise no_match([name for source in sources for name in source.names], rules)
    if len([source for source in holding if source.kind == "segmentation"]) == len(holding) > 1:
        raise Refusal("one_segmentation", f"{len(holding)} segmentations hold a GTV", "Send the segmentation to use alone")
    scan = agreeing(holding, len(sources), rules.agree_dice)
    listed = [name for source in sources for name in source.names]
    notes = scan.notes if scan.contours else (*scan.notes, _made_of_voxels(scan))
    return replace(scan, roi_name=scan.roi_name and rules.redacted(scan.roi_name, listed), notes=tuple(rules.redacted(note, listed) for note in notes))


def gtv_sources(folder: Path, rules: GtvNames) -> list[Source]:
    """List what a patient's folder has to take the GTV from, in the order in which it is taken.

    Structure sets come first, then segmentations, then an image and its mask.

    Parameters
    ----------
    folder
        Of one patient.
    rules
        How the center names its GTV.

    Returns
    -------
    list
        A Source of each: its kind, the names of its structures, and whether one of them is taken for the GTV.

    Raises
    ------
    Refusal
        `ct_found`, `contours_found`, `nifti_pair`, `structure_set_readable`, `segmentation_readable`.

    Examples
    --------
    >>> from pathlib import Path
    >>> import SimpleITK as sitk
    >>> import numpy as np
    >>> from penumbra.imaging import GTV_PATTERNS, GtvNames, gtv_sources
    >>> Path("P01").mkdir()
    >>> inside = np.zeros((6, 12, 12), dtype=np.uint8)
    >>> inside[2:4, 4:8, 4:8] = 1
    >>> sitk.WriteImage(sitk.GetImageFromArray(np.where(inside, 40, -700).astype(np.int16)), "P01/ct.nii.gz")
    >>> sitk.WriteImage(sitk.GetImageFromArray(inside), "P01/gtv.nii.gz")
    >>> [(source.kind, source.holds) for source in gtv_sources(Path("P01"), GtvNames(GTV_PATTERNS))]
    [('image and mask', True)]
    """
    image, mask = find_pair(folder)
    content = find_dicom(folder)
    pair = [Source("image and mask", ("gtv",), True, partial(read_pair, image, mask))] if image and mask else []
    if not content.slices and pair:
        return pair
    if not content.slices:
        raise nothing_read(folder, content.files, image=image is not None, mask=mask is not None, foreign=content.foreign)
    sources = []
    if content.structure_sets:
        drawings = [read_structure_set(path) for path in content.structure_sets]
        listed = [name for drawing in drawings for name in drawing.names.values()]
        holds = any(set(order(drawing, rules)) & drawing.contoured for drawing in drawings)
        sources.append(Source("structure set", tuple(listed), holds, partial(_from_structure_set, content, drawings, rules)))
    for path in content.segmentations:
        try:
            drawing = read_segmentation(path)
        except Refusal as refusal:
            if not any(source.holds for source in sources):
                raise
            sources.append(Source("segmentation", (), False, partial(_raise, refusal)))
            continue
        labels = tuple(drawing.names.values())
        sources.append(Source("segmentation", labels, bool(rules.order(labels)), partial(_from_segmentation, content, drawing, rules)))
    if not sources and not pair:
        raise no_contours(folder, mask=mask is not None)
    return sources + pair


def roi_names(folder: str | Path, names: GtvNames = STANDARD) -> list[str]:
    """List the names of all structures where the GTV is taken from.

    Those of all structure sets, the labels of a segmentation, or "gtv" for an image and its mask. Where no source holds a GTV, the names of all.

    Parameters
    ----------
    folder
        Of one patient.
    names
        How the center names its GTV.

    Returns
    -------
    list
        Names as sent, sorted; a name that occurs twice is listed twice.

    Raises
    ------
    Refusal
        As `gtv_sources`.

    Examples
    --------
    >>> from pathlib import Path
    >>> import SimpleITK as sitk
    >>> import numpy as np
    >>> from penumbra.imaging import roi_names
    >>> Path("P01").mkdir()
    >>> inside = np.zeros((6, 12, 12), dtype=np.uint8)
    >>> inside[2:4, 4:8, 4:8] = 1
    >>> sitk.WriteImage(sitk.GetImageFromArray(np.where(inside, 40, -700).astype(np.int16)), "P01/ct.nii.gz")
    >>> sitk.WriteImage(sitk.GetImageFromArray(inside), "P01/gtv.nii.gz")
    >>> roi_names("P01")
    ['gtv']
    """
    return names_in(gtv_sources(Path(folder), names))


def names_in(sources: Sequence[Source]) -> list[str]:
    """List the names of all structures of the source that the GTV is taken from, or of all where none holds one.

    Parameters
    ----------
    sources
        Of one patient, as `gtv_sources` lists them.

    Returns
    -------
    list
        As `roi_names`.

    Examples
    --------
    >>> from pathlib import Path
    >>> import SimpleITK as sitk
    >>> import numpy as np
    >>> from penumbra.imaging import GTV_PATTERNS, GtvNames, gtv_sources, names_in
    >>> Path("P01").mkdir()
    >>> inside = np.zeros((6, 12, 12), dtype=np.uint8)
    >>> inside[2:4, 4:8, 4:8] = 1
    >>> sitk.WriteImage(sitk.GetImageFromArray(np.where(inside, 40, -700).astype(np.int16)), "P01/ct.nii.gz")
    >>> sitk.WriteImage(sitk.GetImageFromArray(inside), "P01/gtv.nii.gz")
    >>> names_in(gtv_sources(Path("P01"), GtvNames(GTV_PATTERNS)))
    ['gtv']
    """
    chosen_source = next((source for source in sources if source.holds), None)
    return sorted(name for source in ([chosen_source] if chosen_source else sources) for name in source.names)


def _made_of_voxels(scan: Scan) -> str:
    """A mask says of each voxel of the CT only whether it is inside: no reader can draw the contours again that it was made from."""
    size = " x ".join(f"{step:.3g}" for step in scan.gtv.spacing)
    return f"The GTV came as whole voxels of {size} mm, without contours: features near its edge can differ from those of the drawn contours."


def _raise(refusal: Refusal) -> Scan:
    raise refusal


def _from_structure_set(content: DicomFolder, drawings: Sequence[StructureSet], rules: GtvNames) -> Scan:
    notes, several = list(content.notes), rules.several
    drawing = _structure_set(content, drawings, rules, notes)
    numbers = _gtv_numbers(drawing, rules, notes)
    gtvs = _resolve([structure(drawing, number) for number in numbers], several, notes)
    contour_instances = frozenset[str]().union(*(item.instances for item in gtvs))
    reference = Reference(drawing.series, drawing.instances, contour_instances, {item.frame for item in gtvs if item.frame})
    slices, series_named, about_series = contoured_series(content.slices, reference)
    stack = read_stack(slices, (contour_instances, drawing.instances), np.concatenate([points for item in gtvs for points in item.contours]))
    contours, remarks = place(gtvs, stack.image, stack.positions, stack.heights)
    if several == "largest" and len(contours.regions) > 1:
        largest = max(contours.regions, key=lambda region: region.planimetric_mm3)
        contours = replace(contours, regions=(largest,), planes_named=len({plane.position for plane in largest.planes}))
    return Scan(
        image=stack.image,
        gtv=mask_of(contours, stack.image),
        source="dicom",
        roi_name=" + ".join(region.name for region in contours.regions),
        contours=contours,
        series_named=series_named,
        slice_positions=tuple(float(at) for at in stack.positions),
        notes=(*notes, *about_series, *stack.notes, *remarks),
    )


def _from_segmentation(content: DicomFolder, drawing: Segmentation, rules: GtvNames) -> Scan:
    notes, several = list(content.notes), rules.several
    numbers = sorted(drawing.names)
    matched = [numbers[index] for index in rules.order([drawing.names[number] for number in numbers])]
    reference = Reference(drawing.series, drawing.instances, drawing.instances, {drawing.frame} if drawing.frame else set())
    slices, series_named, about_series = contoured_series(content.slices, reference)
    stack = read_stack(slices, (drawing.instances,), segment_points(drawing, matched))
    masks = segment_masks(drawing, matched, stack)
    segments = [(drawing.names[number].strip(), mask) for number, mask in zip(matched, masks, strict=True) if mask.values.any()]
    if not segments:
        listed = ", ".join(drawing.names[number].strip() for number in matched)
        raise Refusal("gtv_not_empty", f"{listed} holds no voxel", "Segment the GTV of this patient, or leave the patient out")
    if len(segments) > 1:
        notes.append(f"{len(segments)} segments match ({', '.join(name for name, _ in segments)}); policy: {several}.")
    if several == "largest":
        segments = [max(segments, key=lambda entry: entry[1].volume_mm3)]
    elif several == "first":
        segments = segments[:1]
    return Scan(
        image=stack.image,
        gtv=replace(segments[0][1], values=np.logical_or.reduce([mask.values for _, mask in segments])),
        source="dicom",
        roi_name=" + ".join(name for name, _ in segments),
        series_named=series_named,
        slice_positions=tuple(float(at) for at in stack.positions),
        notes=(*notes, *about_series, *stack.notes),
    )


def order(drawing: StructureSet, rules: GtvNames) -> list[int]:
    """ROI numbers of the structures that are taken for the GTV, in order of preference."""
    numbers = sorted(drawing.names)
    return [numbers[index] for index in rules.order([drawing.names[number] for number in numbers])]


def _structure_set(content: DicomFolder, drawings: Sequence[StructureSet], rules: GtvNames, notes: list[str]) -> StructureSet:
    """The structure set to use, of those that hold a GTV, or what may be one, see `chosen_set`."""

    def may_hold(drawing: StructureSet) -> bool:
        return bool(order(drawing, rules)) or any(rules.meaning(name)[0] == "unknown" for name in drawing.names.values())

    fitting = [drawing for drawing in drawings if may_hold(drawing)]
    if len(drawings) > 1 and len(fitting) == 1:
        notes.append(f"Of {len(drawings)} structure sets the newest with a GTV was taken, the only one that holds a GTV.")
    return chosen_set(fitting, content.slices, notes)


def _gtv_numbers(drawing: StructureSet, rules: GtvNames, notes: list[str]) -> list[int]:
    """ROI numbers of the structures that are named like a GTV and have contours, in order of preference."""
    matched = order(drawing, rules)
    if not matched:
        raise no_match(list(drawing.names.values()), rules)
    contoured = [number for number in matched if number in drawing.contoured]
    if not contoured:
        listed = ", ".join(drawing.names[number].strip() for number in matched)
        raise Refusal("gtv_not_empty", f"{listed} has no contours", "Contour the GTV of this patient, or leave the patient out")
    if len(contoured) < len(matched):
        notes.append(f"{len(matched) - len(contoured)} structures named like a GTV have no contours.")
    return contoured


def _resolve(structures: list[Structure], several: Several, notes: list[str]) -> list[Structure]:
    contoured = [item for item in structures if item.contours]
    if not contoured:
        listed = ", ".join(item.name for item in structures)
        raise Refusal("gtv_not_empty", f"{listed} has no closed contour", "Contour the GTV of this patient, or leave the patient out")
    if len(contoured) > 1:
        notes.append(f"{len(contoured)} structures match ({', '.join(item.name for item in contoured)}); policy: {several}.")
    return contoured[:1] if several == "first" else contoured


def mask_of(contours: Contours, image: Volume) -> Mask:
    values = np.zeros(image.values.shape, dtype=bool)
    depth, height, width = image.values.shape
    box, share = coverage(contours, (depth, height, width), image.spacing)
    values[box] = mask_of_shares(share) if share.size else False
    if not values.any():
        raise Refusal("gtv_not_empty", "the contours enclose no voxel of the CT", "Send contours of the GTV on the slices of this CT")
    return Mask(values, image.spacing, image.origin, image.direction)
