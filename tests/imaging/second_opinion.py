"""A mask by another program on the same contours: matplotlib's point-in-polygon, the points read with pydicom alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Polygon
from pydicom import Dataset, dcmread

from penumbra.imaging import Scan


def points_of(item: Dataset) -> np.ndarray:
    """The points of a contour, (n, 3) in mm; more than 64 kB arrive as bytes."""
    sent = item.ContourData.decode().strip(" \0").split("\\") if isinstance(item.ContourData, bytes) else item.ContourData
    return np.reshape(np.array(sent, dtype=float), (-1, 3))


def drawn_contours(folder: Path, name: str) -> list[np.ndarray]:
    """Closed contours named `name` of the structure set in the folder that was saved last, (n, 3) in mm, read with pydicom alone."""
    sets = []
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                found = dcmread(path, force=True)
            except Exception:
                continue
            if "StructureSetROISequence" in found:
                sets.append(found)
    named = [item for item in sets if name in [str(roi.ROIName).strip() for roi in item.StructureSetROISequence]]
    used = [item for item in named if item.get("ApprovalStatus") != "REJECTED"]
    chosen = max(used, key=lambda item: str(item.StructureSetDate or item.get("SeriesDate")))
    numbers = sorted(roi.ROINumber for roi in chosen.StructureSetROISequence if str(roi.ROIName).strip() == name)
    for number in numbers:
        items = [c for roi in chosen.ROIContourSequence if roi.ReferencedROINumber == number for c in roi.get("ContourSequence") or []]
        closed = [points_of(c) for c in items if c.ContourGeometricType == "CLOSED_PLANAR" and len(c.ContourData) >= 9]
        if closed:
            return closed
    raise AssertionError(f"no contours of {name}")


def second_opinion(scan: Scan, contours: Sequence[np.ndarray]) -> np.ndarray:
    """A mask by whole pixels: each quarter of a plane takes the contours nearest to it, by the even-odd rule; contours that are alike count once, and
    of those that cross each other the union."""
    image = scan.image
    framed = [(points - np.asarray(image.origin)) @ image.direction for points in contours]
    heights = np.array(sorted({round(float(points[:, 2].mean()), 2) for points in framed}))
    reach = max(float(np.median(np.diff(heights))) if len(heights) > 1 else 0.0, image.spacing[0]) / 2
    depth, rows, columns = image.values.shape
    y, x = np.meshgrid(np.arange(rows) * image.spacing[1], np.arange(columns) * image.spacing[2], indexing="ij")
    centers = np.column_stack([x.ravel(), y.ravel()])
    drawn = {height: _filled([points for points in framed if abs(points[:, 2].mean() - height) < 0.02], centers) for height in heights}
    share = np.zeros((depth, rows * columns))
    for plane in range(depth):
        for at in (plane + (np.arange(4) - 1.5) / 4) * image.spacing[0]:
            nearest = heights[np.abs(heights - at).argmin()]
            if abs(nearest - at) <= reach:
                share[plane] += drawn[nearest] / 4
    return (share >= 0.5).reshape(image.values.shape)


def _filled(rings: Sequence[np.ndarray], centers: np.ndarray) -> np.ndarray:
    inside: list[np.ndarray] = []
    for points in rings:
        filled = Polygon(np.vstack([points[:, :2], points[:1, :2]]), closed=True).contains_points(centers)
        if all(2 * (filled & other).sum() <= 0.95 * (filled.sum() + other.sum()) for other in inside):
            inside.append(filled)
    crossing = any(0 < (a & b).sum() < 0.98 * min(a.sum(), b.sum()) for i, a in enumerate(inside) for b in inside[:i])
    whole = np.zeros(len(centers), dtype=bool)
    for filled in inside:
        whole = whole | filled if crossing else whole ^ filled
    return whole


def compared(scan: Scan, folder: Path) -> tuple[float, float]:
    """Dice of our mask and the second opinion, and the largest distance of their centroids along an axis in mm."""
    assert scan.roi_name is not None
    theirs, ours = second_opinion(scan, drawn_contours(folder, scan.roi_name)), scan.gtv.values
    moved = (np.argwhere(theirs).mean(axis=0) - np.argwhere(ours).mean(axis=0)) * scan.image.spacing
    return float(2 * (theirs & ours).sum() / (theirs.sum() + ours.sum())), float(np.abs(moved).max())
