"""Axial CT pictures with the outlines of the tumor and of its rings."""

import itertools
from collections.abc import Iterable

import numpy as np

from penumbra.base.blocks import GTV, middle_margin, ring_margin, ring_name
from penumbra.imaging.volume import Mask, Scan
from penumbra.report import ink
from penumbra.report.ink import BLUE, GREEN, PURPLE, SKY, VERMILION, YELLOW, Rendered, render
from penumbra.report.inputs import SlicePicture

MIDDLE_STYLE, GTV_STYLE = (SKY, 1.3), (VERMILION, 1.5)
RING_COLORS, THIN = (YELLOW, GREEN, PURPLE, BLUE), 0.9  # of the other rings, from the inside out


def contour_styles(rois: Iterable[str]) -> dict[str, tuple[str, float]]:
    """Color and width of each outline, in the order in which they are drawn: the outermost ring first, the GTV on top."""
    margins = sorted(ring_margin(roi) for roi in rois if roi != GTV)
    middle, colors = ring_name(middle_margin(margins)) if margins else "", itertools.cycle(RING_COLORS)
    rings = {name: MIDDLE_STYLE if name == middle else (next(colors), THIN) for name in map(ring_name, margins)}
    return {**dict(reversed(rings.items())), GTV: GTV_STYLE}


def roi_words(roi: str) -> str:
    """An ROI as a legend has it: "ring 3 mm"."""
    return roi.replace("_", " ").replace("mm", " mm")


def picture_of(scan: Scan, rings: "dict[str, Mask]", *, patient: str, center: str, log_risk: float, risk_group: str, margin_mm: float) -> SlicePicture:
    """The axial slice with the largest tumor area, cut to a square around the tumor.

    Parameters
    ----------
    scan, rings
        On one grid; margin_mm is left free around the tumor's bounding box.
    """
    plane, cut = square_around(scan, margin_mm)
    gtv = scan.gtv.values
    return SlicePicture(
        patient=patient,
        center=center,
        hu=scan.image.values[plane][cut],
        gtv=gtv[plane][cut],
        rings={roi: ring.values[plane][cut] for roi, ring in rings.items()},
        spacing_mm=(scan.image.spacing[1], scan.image.spacing[2]),
        log_risk=log_risk,
        risk_group=risk_group,
    )


def square_around(scan: Scan, margin_mm: float) -> tuple[int, tuple[slice, ...]]:
    """The axial slice with the largest tumor area, and in it (rows, columns) of a square that leaves margin_mm around the tumor's box."""
    gtv = scan.gtv.values
    plane = int(np.argmax(gtv.sum(axis=(1, 2))))
    rows, columns = np.flatnonzero(gtv[plane].any(axis=1)), np.flatnonzero(gtv[plane].any(axis=0))
    spacing = (scan.image.spacing[1], scan.image.spacing[2])
    half_mm = max((rows[-1] - rows[0] + 1) * spacing[0], (columns[-1] - columns[0] + 1) * spacing[1]) / 2 + margin_mm
    cut = tuple(
        _window((indices[0] + indices[-1]) / 2, half_mm / step, size) for indices, step, size in zip((rows, columns), spacing, gtv.shape[1:], strict=True)
    )
    return plane, cut


def axial_slice(picture: SlicePicture, window_hu: tuple[float, float], name: str) -> Rendered:
    """A CT slice in the given window with the outlines of GTV and rings."""
    from matplotlib.figure import Figure

    center, width = window_hu
    rows, columns = picture.hu.shape
    height_mm, width_mm = rows * picture.spacing_mm[0], columns * picture.spacing_mm[1]
    with ink.style():
        size = 2.6
        figure = Figure(figsize=(size, size * height_mm / width_mm))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(picture.hu, cmap="gray", vmin=center - width / 2, vmax=center + width / 2, extent=(0, width_mm, height_mm, 0), interpolation="bilinear")
        x = (np.arange(columns) + 0.5) * picture.spacing_mm[1]
        y = (np.arange(rows) + 0.5) * picture.spacing_mm[0]
        for roi, (color, thickness) in contour_styles(picture.rings).items():
            outline = picture.gtv if roi == GTV else picture.rings[roi] | picture.gtv
            if outline.any() and not outline.all():
                axes.contour(x, y, outline.astype(float), levels=[0.5], colors=color, linewidths=thickness)
        bar = 20.0 if width_mm > 60 else 10.0
        axes.plot([0.05 * width_mm, 0.05 * width_mm + bar], [0.95 * height_mm] * 2, color="white", linewidth=2, solid_capstyle="butt")
        axes.text(0.05 * width_mm, 0.925 * height_mm, f"{bar:g} mm", color="white", size=7, va="bottom")
        axes.set_xlim(0, width_mm)
        axes.set_ylim(height_mm, 0)
        alt = f"Axial CT slice of patient {picture.patient}, {picture.center}, with the outlines of the tumor and of the rings around it."
        return render(figure, name, alt=alt, caption="")


def _window(middle: float, half: float, size: int) -> slice:
    return slice(max(0, round(middle - half)), min(size, round(middle + half) + 1))
