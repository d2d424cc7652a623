"""Scans as the viewer shows them: which ones a patient has, and those that were looked at last, in memory alone."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from penumbra import cohort, imaging
from penumbra.base.blocks import GTV
from penumbra.base.refusal import Refusal
from penumbra.console.visit import Visit
from penumbra.imaging.anatomy import View, middle_of, plane_of, views
from penumbra.imaging.grid import bounding_box
from penumbra.imaging.saved import DRAWN_FILE, IMAGE_FILE, load_mask, load_voxels
from penumbra.imaging.volume import Mask

T = TypeVar("T")
HELD = 4  # scans with all their voxels: 2 to 70 MB each
_VERSIONS = """
SELECT image_version, min(commits."at") AS since, any_value(certificate) AS certificate FROM stored.images JOIN commits ON commits.id = images.commit_id
WHERE patient = ? AND center = ? GROUP BY image_version ORDER BY since DESC
"""


@dataclass(frozen=True)
class Place:
    """Where a patient's scans are.

    Parameters
    ----------
    shown
        The version that the store shows.
    versions
        Those that are on the disk with the time of their reading, the newest first.
    drawn
        Those whose mask was filled from contours.
    folder
        Of all of them.
    """

    patient: str
    center: str
    shown: str
    versions: Mapping[str, datetime]
    drawn: frozenset[str]
    folder: Path


def place_of(visit: Visit, patient: str) -> Place:
    """Where a patient's scans are; asked again of the store whenever anything changed, so that a withdrawn patient has none.

    Raises
    ------
    Refusal
        "patient", and "patient_of_one_center" where `center` of the query is needed.
    """
    center = visit.value("center")
    return visit.console.kept.get(("scans of", visit.as_of, patient, center), lambda: _place(visit, patient, center))


def _place(visit: Visit, patient: str, center: str) -> Place:
    with visit.store() as lake:
        rows = lake.sql("SELECT center, image_version FROM images WHERE patient = ?", [patient]).to_pylist()
        rows = [row for row in rows if center in ("", row["center"])]
        if len(rows) > 1:
            names = ", ".join(sorted(row["center"] for row in rows))
            raise Refusal("patient_of_one_center", f"{len(rows)} centers have a patient of this name: {names}", "add ?center= and the name of one")
        if not rows:
            raise Refusal("patient", "the store shows no scan of this patient", "look for the patient in the list of patients")
        center, shown = rows[0]["center"], rows[0]["image_version"]
        read = lake.sql(_VERSIONS, [patient, center]).to_pylist()
    images = visit.home / "images"
    folder = images / center / patient
    if folder.resolve().parent.parent != images.resolve():
        raise Refusal("patient", "the store shows no scan of this patient", "look for the patient in the list of patients")
    versions = {row["image_version"]: row["since"] for row in read if (folder / row["image_version"] / IMAGE_FILE).is_file()}
    drawn = frozenset(row["image_version"] for row in read if json.loads(row["certificate"] or "{}").get("contour_planes"))
    return Place(patient, center, shown, versions, drawn, folder)


def folder_of(visit: Visit, place: Place, version: str) -> Path:
    """The folder of one version of a patient's scan.

    Raises
    ------
    Refusal
        "patient" where there is no such version, or its files are gone.
    """
    if version not in place.versions:
        raise Refusal("patient", "there is no such scan of this patient", "the patient's page lists those that there are")
    return place.folder / version


class Loaded:
    """A scan whose voxels are read when they are first asked for."""

    def __init__(self, folder: Path, margins: tuple[float, ...]) -> None:
        self._folder = folder
        self._margins = sorted(margins)
        self._turn = threading.Lock()
        self._parts: dict[str, Any] = {}

    @property
    def hu(self) -> np.ndarray:
        """(z, y, x)."""
        return self._once("hu", lambda: load_voxels(self._folder))

    @property
    def gtv(self) -> Mask:
        return self._once("gtv", lambda: load_mask(self._folder))

    @property
    def levels(self) -> tuple[tuple[int, int, int], np.ndarray]:
        """The GTV and its rings in one array: first voxel (z, y, x) of the box that holds them, and in it 1 for the GTV, 2 for the first ring, and so on."""
        gtv = self.gtv
        return self._once("levels", lambda: _levels(gtv, self._margins))

    def inside(self, view: View, index: int) -> dict[str, np.ndarray]:
        """ROI -> its voxels, with everything within it, on one plane as it is shown: from the slab alone that can reach the plane, an eighth of the work."""
        axis, gtv = 2 - view.through, self.gtv
        reach = int(np.ceil(max(self._margins) / gtv.spacing[axis])) + 1
        start, stop = max(0, index - reach), min(gtv.values.shape[axis], index + reach + 1)
        slab = gtv.values[tuple(slice(start, stop) if each == axis else slice(None) for each in range(3))]
        plane = plane_of(gtv.values, view, index)
        if not slab.any():
            return {GTV: plane, **{imaging.ring_name(margin): plane for margin in self._margins}}
        masks = imaging.rings(Mask(slab, gtv.spacing), self._margins)
        return {GTV: plane, **{name: plane | plane_of(ring.values, view, index - start) for name, ring in masks.items()}}

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._turn:
            if name not in self._parts:
                self._parts[name] = make()
            part: T = self._parts[name]
            return part


def _levels(gtv: Mask, margins: Sequence[float]) -> tuple[tuple[int, int, int], np.ndarray]:
    tight = bounding_box(gtv.values)
    widen = [int(np.ceil(max(margins) / step)) for step in gtv.spacing]
    box = tuple(slice(max(0, part.start - more), min(size, part.stop + more)) for part, more, size in zip(tight, widen, gtv.values.shape, strict=True))
    inside = gtv.values[box]
    level = inside.astype(np.uint8)
    for place, ring in enumerate(imaging.rings(Mask(inside, gtv.spacing), margins).values()):
        level[ring.values & (level == 0)] = place + 2
    return (box[0].start, box[1].start, box[2].start), level


def warm() -> None:
    """Import what reads and draws a scan: a third of a second that the first picture should not wait for."""
    import PIL.Image  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import SimpleITK  # noqa: F401


class Held:
    """The scans that were looked at last."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._scans: OrderedDict[Path, Loaded] = OrderedDict()

    def of(self, folder: Path, margins: tuple[float, ...]) -> Loaded:
        """The scan of a folder; two pages that ask at once read it once."""
        with self._turn:
            loaded = self._scans.pop(folder, None) or Loaded(folder, margins)
            self._scans[folder] = loaded
            while len(self._scans) > HELD:
                self._scans.popitem(last=False)
            return loaded


def loaded(visit: Visit, folder: Path) -> Loaded:
    """A scan, of those that are held until anything changes."""
    held = visit.console.kept.get("viewer's scans", Held)
    return held.of(folder, cohort.roi_rules(visit.console.settings.rois).margins_mm)


@dataclass(frozen=True)
class Geometry:
    """How a scan lies in the patient, and where its tumor is; without voxels.

    Parameters
    ----------
    size
        Voxels x, y, z.
    spacing : mm, (x, y, z)
        Between voxel centers.
    origin : mm, (x, y, z)
        Of the first voxel's center, LPS.
    direction : shape (3, 3)
        As in `Volume`.
    tumor
        The voxel to look at first.
    box
        First voxel (z, y, x) of the tumor's box.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: np.ndarray
    tumor: tuple[int, int, int]
    box: tuple[int, int, int]

    def point(self, voxel: Sequence[int]) -> tuple[float, float, float]:
        """Where a voxel's center is in the patient, mm, LPS."""
        x, y, z = (np.asarray(self.origin) + self.direction @ (np.asarray(voxel) * self.spacing)).tolist()
        return x, y, z

    def voxel(self, point: Sequence[float]) -> tuple[int, int, int]:
        """The voxel next to a point in the patient, held within the scan."""
        exact = np.linalg.solve(self.direction, np.asarray(point) - self.origin) / self.spacing
        x, y, z = np.clip(np.rint(exact), 0, np.asarray(self.size) - 1).astype(int).tolist()
        return x, y, z


def geometry(visit: Visit, folder: Path) -> Geometry:
    """How a scan lies in the patient; reads its mask alone, a hundredth of the scan."""
    return visit.console.kept.get(("geometry", folder), lambda: _geometry(loaded(visit, folder).gtv))


def _geometry(gtv: Mask) -> Geometry:
    z, y, x = gtv.values.shape
    box = [part.start for part in bounding_box(gtv.values)]
    spacing = (gtv.spacing[2], gtv.spacing[1], gtv.spacing[0])
    return Geometry((x, y, z), spacing, gtv.origin, gtv.direction, middle_of(gtv.values, views(gtv.direction)[0]), (box[0], box[1], box[2]))


def why_not_drawn(place: Place, version: str) -> str:
    """Why there are no drawn contours to show; "" where there are."""
    if (place.folder / version / DRAWN_FILE).is_file():
        return ""
    return "not kept when this scan was read" if version in place.drawn else "the mask arrived as voxels, without contours"
