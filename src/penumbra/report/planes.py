"""One plane of a CT as a small picture: gray by a window, outlines of GTV and rings on the edges of the voxels."""

import io
from collections.abc import Mapping

import numpy as np

from penumbra.report.slices import contour_styles

ZOOM = 2  # pixels per voxel, so that an outline is thinner than a voxel
_GRAYS = 240  # of the 256 colors of the picture; the rest are outlines


def plane_png(hu: np.ndarray, inside: Mapping[str, np.ndarray], window: tuple[float, float]) -> bytes:
    """The picture as PNG.

    Parameters
    ----------
    hu : shape (rows, columns)
        As it is shown.
    inside : each (rows, columns)
        ROI -> its voxels and those of everything within it.
    window
        Level and width, HU.
    """
    from PIL import Image

    level, width = window
    shade = np.clip((hu.astype(np.float32) - (level - width / 2)) / width, 0, 1)
    colors = _enlarged(np.rint(shade * (_GRAYS - 1)).astype(np.uint8))
    palette = [gray for place in range(_GRAYS) for gray in (round(place * 255 / (_GRAYS - 1)),) * 3]
    for place, (roi, (color, _)) in enumerate(contour_styles(inside).items()):
        palette += [int(color[at : at + 2], 16) for at in (1, 3, 5)]
        colors[_edge(_enlarged(inside[roi]))] = _GRAYS + place
    picture = Image.fromarray(colors, mode="P")
    picture.putpalette(palette)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _enlarged(plane: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(plane, ZOOM, axis=0), ZOOM, axis=1)


def _edge(inside: np.ndarray) -> np.ndarray:
    """Pixels inside that touch the outside; the border of the picture is none."""
    around = np.pad(inside, 1, mode="edge")
    deep = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    edge: np.ndarray = inside & ~deep
    return edge
