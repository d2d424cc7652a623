"""How stable the features are, by image and family: a heat map for each ROI, and the table behind them."""

from collections.abc import Sequence

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import GRID, WIDTH_IN, Rendered, render
from penumbra.report.inputs import StabilityCell, StabilityOfRoi
from penumbra.report.slices import roi_words
from penumbra.report.tables import Table, plain_table
from penumbra.report.words import number

DARK = 0.45  # an ICC below it is on a dark cell
ON_DARK, ON_LIGHT = "#fdfdfd", "#111111"  # colors of no variable of the page: the cells stay as they are on a dark screen


def heat_map(of_roi: StabilityOfRoi, name: str) -> Rendered:
    """Median over the features of each image (row) and family (column) of their lowest ICC under any perturbation."""
    images, families = (tuple(dict.fromkeys(getattr(cell, each) for cell in of_roi.cells)) for each in ("image", "family"))
    values = np.full((len(images), len(families)), np.nan)
    for cell in of_roi.cells:
        values[images.index(cell.image), families.index(cell.family)] = cell.lowest
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 1.1 + 0.2 * len(images))
        axes = figure.subplots()
        mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap="viridis", vmin=0, vmax=1, edgecolors="white", linewidth=0.3)
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            axes.text(column + 0.5, row + 0.5, number(value), ha="center", va="center", size=6, color=ON_DARK if value < DARK else ON_LIGHT)
        axes.set_ylim(len(images), 0)
        axes.set_yticks(np.arange(len(images)) + 0.5, [_short(image) for image in images], size=7)
        axes.set_xticks(np.arange(len(families)) + 0.5, families, size=6.5)
        axes.grid(visible=False)
        axes.set_facecolor(GRID)
        axes.set_title(_words(of_roi.roi))
        bar = figure.colorbar(mesh, ax=axes, shrink=0.7, aspect=25)
        bar.set_label("ICC", size=8)
        if bar.solids is not None:  # always, of a mesh
            bar.solids.set(rasterized=False, edgecolor="face")
        finite = [cell for cell in of_roi.cells if np.isfinite(cell.lowest)]
        ends = [f"{words} {_short(cell.image)} {cell.family} {number(cell.lowest)}" for words, cell in _ends(finite)]
        under = ", ".join(of_roi.perturbations)
        alt = f"Median of the lowest ICC under {under}, {_words(of_roi.roi)}, {len(images)} images by {len(families)} families; {'; '.join(ends)}."
        return render(figure, name, alt=alt, caption="")


def _ends(cells: Sequence[StabilityCell]) -> list[tuple[str, StabilityCell]]:
    if not cells:
        return []
    return [("highest", max(cells, key=lambda cell: cell.lowest)), ("lowest", min(cells, key=lambda cell: cell.lowest))]


def stability_table(measured: Sequence[StabilityOfRoi]) -> Table:
    """Per ROI, image and family: how many features, the median ICC under each perturbation, and the median of the lowest."""
    perturbations = tuple(dict.fromkeys(name for of_roi in measured for name in of_roi.perturbations))
    rows = [
        (of_roi.roi, cell.image, cell.family, cell.features, *(cell.median.get(name, float("nan")) for name in perturbations), cell.lowest, cell.stable)
        for of_roi in measured
        for cell in of_roi.cells
    ]
    names = ("roi", "image", "family", "features", *perturbations, "lowest", "stable")
    caption = "Median ICC(2,1) over the features under each perturbation, median of their lowest, and the share whose lower limit is at least 0.75 under all."
    return plain_table("stability", caption, names, rows, words=3)


def _short(image: str) -> str:
    return image.removeprefix("wavelet-").replace("log-sigma-", "LoG ").removesuffix("-3D").replace("-0-mm", " mm").replace("-mm", " mm")


def _words(roi: str) -> str:
    return "GTV" if roi == "gtv" else roi_words(roi)
