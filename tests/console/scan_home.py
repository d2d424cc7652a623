"""A home whose patients have scans to look at: one scan, stored as scanners and converters store it, and one that is oblique."""

import itertools
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from penumbra import store
from penumbra.imaging import Contours, Mask, Moments, Plane, Region, Scan, Volume, save_scan
from tests import example_home

ORIGIN = np.array([-12.5, 30.3, -140.0])  # mm, of the patient's rightmost, foremost, lowest voxel
SIZE = (34, 40, 46)  # voxels z, y, x
# image axis x, y, z -> patient axis and direction of it, as column of the direction matrix
STORED = {
    "S001": ((0, 1), (1, 1), (2, 1)),  # supine, head first
    "S002": ((0, -1), (1, -1), (2, 1)),  # prone
    "S003": ((0, -1), (1, 1), (2, -1)),  # feet first
    "S004": ((1, 1), (0, -1), (2, 1)),  # on the side
    "S005": ((2, -1), (0, 1), (1, -1)),  # axes turned
}
OBLIQUE, OLDER, GOING = "S006", "S007", "S008"


def turned(about_x: float, about_y: float, about_z: float) -> np.ndarray:
    """A rotation by degrees about the three axes."""
    whole = np.eye(3)
    for axis, degrees in enumerate((about_x, about_y, about_z)):
        angle, (one, other) = np.deg2rad(degrees), [each for each in range(3) if each != axis]
        part = np.eye(3)
        part[one, one] = part[other, other] = np.cos(angle)
        part[one, other], part[other, one] = -np.sin(angle), np.sin(angle)
        whole = whole @ part
    return whole


@cache
def voxels() -> tuple[np.ndarray, np.ndarray]:
    """HU and GTV, (z, y, x) toward head, back and left: nothing in it is symmetric, and the GTV has a hole and a second part."""
    generator = np.random.default_rng(19)
    z, y, x = np.indices(SIZE)
    hu = (-900 + 12 * x + 7 * y + 3 * z + generator.integers(-40, 40, SIZE)).astype(np.int16)
    hu[20:24, 5:9, 30:40] = 900
    gtv = ((z - 15) / 9) ** 2 + ((y - 18) / 8) ** 2 + ((x - 20) / 11) ** 2 <= 1
    gtv[13:18, 15:18, 22:26] = False
    gtv[24:28, 20:24, 12:17] = True
    return hu, gtv


@dataclass(frozen=True)
class Stored:
    """A scan as it is stored, in the order of its axes."""

    hu: np.ndarray
    gtv: np.ndarray
    origin: tuple[float, float, float]
    direction: np.ndarray

    def point(self, voxel: tuple[int, int, int]) -> np.ndarray:
        """mm, LPS."""
        return np.asarray(self.origin) + self.direction @ np.array(voxel, dtype=float)


def stored(patient: str) -> Stored:
    """What a patient's folder holds."""
    hu, gtv = voxels()
    if patient not in STORED:
        direction = turned(8, -5, 12) if patient == OBLIQUE else np.eye(3)
        return Stored(hu, gtv, (float(ORIGIN[0]), float(ORIGIN[1]), float(ORIGIN[2])), direction)
    axes = STORED[patient]
    direction, origin = np.zeros((3, 3)), ORIGIN.copy()
    for axis, (side, way) in enumerate(axes):
        direction[side, axis] = way
        if way < 0:
            origin[side] += SIZE[2 - side] - 1
    order = [2 - axes[2 - place][0] for place in range(3)]  # of the array's axes z, y, x
    flips = tuple(place for place in range(3) if axes[2 - place][1] < 0)
    of = (np.flip(each.transpose(order), flips) for each in (hu, gtv))
    return Stored(next(of), next(of), (float(origin[0]), float(origin[1]), float(origin[2])), direction)


def drawing() -> Contours:
    """Squares drawn on planes of 3 mm, in the frame of a whole scan that begins 2, 3 and 4 mm (x, y, z) before the saved one."""
    square = np.array([[12.0, 15.0], [30.0, 15.0], [30.0, 27.0], [12.0, 27.0]])
    planes = tuple(Plane(at, at - 1.5, at + 1.5, (np.add(square, (index, 0.0)),)) for index, at in enumerate(np.arange(12.0, 27.0, 3.0)))
    return Contours((Region("GTV-1", 1, planes, 3240.0),), len(planes))


def write(home: Path, patient: str, version: str, scan: Stored, *, drawn: Contours | None = None) -> None:
    """Save a scan as ingest does."""
    spacing = (1.0, 1.0, 1.0)
    saved = Scan(
        Volume(scan.hu, spacing, scan.origin, scan.direction),
        Mask(scan.gtv, spacing, scan.origin, scan.direction),
        Moments(-500.0, 200.0, 10**6),
        offset=(4, 3, 2),
        source="dicom",
        roi_name="Doe Jane GTV",
    )
    save_scan(saved, home / "images" / "north" / patient / version, drawn=drawn)


def make(home: Path, example: Path) -> None:
    """Fill a new home: every patient's newest scan is `image1` but OLDER's, whose is `image2`."""
    example_home.copied(example, home)
    patients = [*STORED, OBLIQUE, OLDER, GOING]
    people = [{"patient": name, "center": "north", "age": 60.0, "sex": "male", "time": 500.0, "event": True} for name in patients]
    common = {"center": "north", "sha256": "0" * 64, "spacing": (3.0, 1.0, 1.0), "size": [80, 512, 512]}
    certificates = dict.fromkeys((OBLIQUE, "S001", "S002"), '{"contour_planes": 5}')
    with store.connect(home) as lake:
        images = [{**common, "patient": name, "image_version": "image1", "certificate": certificates.get(name)} for name in patients]
        lake.write({"patients": people, "images": images}, run="example", what="ingest north")
        lake.write({"images": [{**common, "patient": OLDER, "image_version": "image2", "sha256": "1" * 64}]}, run="example", what="ingest north")
    for name, version in itertools.chain(((name, "image1") for name in patients), [(OLDER, "image2")]):
        write(home, name, version, stored(name), drawn=drawing() if name == "S001" else None)
    (home / "images" / "north" / OLDER / "image1" / "image.nii.gz").touch()
    (home / "images" / "north" / "S001" / "image1" / "record.json").write_text('{"names": ["Doe Jane"]}\n', encoding="utf-8")
