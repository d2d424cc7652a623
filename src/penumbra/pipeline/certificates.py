"""The certificate of a mask as people read it: each figure with what it means, and whether a finding is about it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penumbra.base.blocks import GTV
from penumbra.imaging.figures import Finding


@dataclass(frozen=True)
class Figure:
    """One line of a certificate.

    Parameters
    ----------
    good
        False where a finding is about it.
    means
        What the figure says, in a sentence.
    """

    name: str
    value: str
    good: bool
    means: str


def certificate_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate of a row of `images`; empty where it has none."""
    stored = row["certificate"]
    document: dict[str, Any] = stored if isinstance(stored, dict) else json.loads(stored or "{}")
    return document


def findings_of(row: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What the certificate of a row of `images` remarks."""
    return tuple(Finding(finding["rule"], finding["found"], finding["advice"]) for finding in certificate_of(row).get("findings", ()))


def figures_of(row: Mapping[str, Any], rois: Sequence[Mapping[str, Any]]) -> tuple[Figure, ...]:
    """The lines of the certificate of a row of `images`, with the rows of `rois` of the same patient; none where there is no certificate."""
    certificate = certificate_of(row)
    gtv = next((roi for roi in rois if roi["roi"] == GTV), None)
    return tuple(_figures(certificate, gtv, rois)) if "grid_mm3" in certificate and gtv is not None else ()


def _figures(certificate: Mapping[str, Any], gtv: Mapping[str, Any], rois: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    broken = {finding["rule"] for finding in certificate["findings"]}

    def figure(name: str, value: str, means: str, *rules: str) -> Figure:
        return Figure(name, value, not broken & set(rules), means)

    drawn, grid = certificate["planimetric_mm3"], certificate["grid_mm3"]
    as_drawn = f"{grid / 1000:.2f} cm³ in voxels" + (f", {drawn / 1000:.2f} by contours" if drawn else "")
    yield figure("volume", as_drawn, "Area of the contours times their distance should give the volume of the mask.", "volume_as_drawn", "gtv_large_enough")
    planes = certificate["contour_planes"]
    hit = f"{certificate['contour_planes_hit']} of {planes} contour planes, " if planes else ""
    slices = f"{hit}{certificate['slices']} slices, {certificate['skipped_slices']} skipped"
    yield figure("slices", slices, "Each drawn contour should hit a slice, and no slice between them should be empty.", "planes_hit", "slices_in_a_row")
    parts = f"{certificate['islands']}, largest {certificate['largest_share']:.0%}; {certificate['holes']} holes"
    yield figure("parts", parts, "A primary tumor is one connected part; small islands are often slips of the pen.", "one_part", "contours_apart")
    border = f"{certificate['border_voxels']} voxels on the border of the scan"
    yield figure("border", border, "A tumor at the border of the scan may be cut off.", "inside_scan")
    lost = ", ".join(f"{roi['roi'].removeprefix('ring_')} {roi['lost_mm3'] / 1000:.1f}" for roi in rois if roi["roi"] != GTV)
    yield figure("rings lose", f"{lost} cm³", "Volume of the rings around the tumor that would be outside the scan.", "ring_inside_scan")
    gaps = f"{certificate['gap_min_mm']:.2f} to {certificate['gap_max_mm']:.2f} mm"
    yield figure("gaps", gaps, "Distance between slices inside the tumor; a larger one means missing slices.", "slice_gaps", "slices_alike")
    hu = f"{gtv['hu_min']:.0f} to {gtv['hu_max']:.0f}, median {gtv['hu_median']:.0f}"
    yield figure("HU inside", hu, "A tumor is soft tissue, about 0 to 100 HU in the median.", "hu_of_tissue", "hu_of_air", "scan_of_a_person")
    yield figure("structure", certificate["roi_name"] or "mask file", "The structure that was taken as the tumor.", "series_named")
