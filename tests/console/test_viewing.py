"""What the CT viewer fetches: the scan as it is stored, levels, contours, planes as PNG; gone with the patient, and never another file."""

import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from penumbra.imaging import Mask, rings
from penumbra.imaging.anatomy import View, middle_of, oblique_degrees, plane_of, views
from tests.end_to_end.conftest import penumbra

from . import scan_home, serving
from .serving import Served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    home = tmp_path_factory.mktemp("viewing") / "home"
    scan_home.make(home, example)
    return home


@pytest.fixture(scope="module")
def console(home: Path) -> Iterator[Served]:
    with serving.served(home) as running:
        yield running


def file(patient: str, name: str, version: str = "image1") -> str:
    return f"/patients/{patient}/images/{version}/{name}"


def pixels(png: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


# ---- planes


@pytest.mark.parametrize("patient", scan_home.STORED)
def test_planes_and_letters_do_not_depend_on_the_storage(patient: str) -> None:
    scan = scan_home.stored(patient)
    hu, gtv = scan_home.voxels()
    axial, coronal, sagittal = views(scan.direction)
    assert [view.name for view in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    assert [view.letters for view in (axial, coronal, sagittal)] == [("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I")]
    assert oblique_degrees(scan.direction) == 0.0

    def shown(view: View, at: int) -> np.ndarray:
        planes = scan.hu.shape[2 - view.through]
        return plane_of(scan.hu, view, planes - 1 - at if view.turned[2] else at)

    assert np.array_equal(shown(axial, 11), hu[11])
    assert np.array_equal(shown(coronal, 17), hu[::-1, 17])
    assert np.array_equal(shown(sagittal, 30), hu[::-1, :, 30])
    middle = scan.point(middle_of(scan.gtv, axial))
    at = np.rint(middle - scan_home.ORIGIN).astype(int)
    assert at[2] == int(np.argmax(gtv.sum(axis=(1, 2))))
    first = scan_home.stored("S001")
    assert np.array_equal(middle, first.point(middle_of(first.gtv, views(first.direction)[0])))


def test_an_oblique_scan_says_so_and_has_three_planes() -> None:
    scan = scan_home.stored(scan_home.OBLIQUE)
    three = views(scan.direction)
    assert sorted(view.through for view in three) == [0, 1, 2]
    assert [view.letters for view in three] == [("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I")]
    exact = max(np.degrees(np.arccos(abs(scan.direction[axis, axis]))) for axis in range(3))
    assert oblique_degrees(scan.direction) == pytest.approx(exact)
    assert oblique_degrees(scan_home.turned(0.1, 0.1, 0.1)) == 0.0
    close = views(scan_home.turned(0, 0, 44.9) @ np.diag([1.0, 1.0, -1.0]))  # two axes nearly between two of the patient's: still one each
    assert sorted(view.through for view in close) == [0, 1, 2]


# ---- files


def test_image_and_mask_are_sent_as_they_are_stored(console: Served, home: Path) -> None:
    for name in ("image.nii.gz", "gtv.nii.gz"):
        answer = console.get(file("S002", name))
        assert answer.status == 200
        assert answer.body == (home / "images" / "north" / "S002" / "image1" / name).read_bytes()
        assert answer.headers["content-type"] == "application/gzip"
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("patient", ["S001", "S005", scan_home.OBLIQUE])
def test_levels_are_the_rings(console: Served, patient: str, encoding: str) -> None:
    answer = console.get(file(patient, "rois.bin"), accept_encoding=encoding)
    content = gzip.decompress(answer.body) if encoding == "gzip" else answer.body
    assert answer.headers.get("content-encoding", "identity") == encoding
    first, size = np.frombuffer(content[:24], dtype="<i4").reshape(2, 3)
    level = np.frombuffer(content[24:], dtype=np.uint8).reshape(size[::-1])
    scan = scan_home.stored(patient)
    whole = np.zeros(scan.gtv.shape, dtype=np.uint8)
    whole[tuple(slice(at, at + count) for at, count in zip(first[::-1], size[::-1], strict=True))] = level
    assert np.array_equal(whole == 1, scan.gtv)
    for place, ring in enumerate(rings(Mask(scan.gtv, (1.0, 1.0, 1.0)), [3.0, 6.0, 9.0]).values()):
        assert np.array_equal((whole >= 2) & (whole <= place + 2), ring.values)


def test_contours_are_sent_as_drawn_in_the_frame_of_the_saved_scan_and_without_a_name(console: Served) -> None:
    answer = console.get(file("S001", "drawn.json"))
    planes = json.loads(answer.body)["planes"]
    assert [(plane["at"], plane["lower"], plane["upper"]) for plane in planes[:2]] == [(8.0, 6.5, 9.5), (11.0, 9.5, 12.5)]
    assert planes[1]["rings"] == [[11.0, 12.0, 29.0, 12.0, 29.0, 24.0, 11.0, 24.0]]
    assert b"GTV" not in answer.body
    assert b"Doe" not in answer.body
    assert console.get(file("S002", "drawn.json")).status == 404


@pytest.mark.parametrize("patient", [*scan_home.STORED, scan_home.OBLIQUE])
def test_pictures_of_planes_are_the_same_for_every_storage(console: Served, patient: str) -> None:
    hu, gtv = scan_home.voxels()
    scan = scan_home.stored(patient)
    for view, index, expected in zip(views(scan.direction), (15, 18, 20), (hu[15], hu[::-1, 18], hu[::-1, :, 20]), strict=True):
        at = scan.hu.shape[2 - view.through] - 1 - index if view.turned[2] else index
        picture = pixels(console.get(file(patient, f"{view.name}/{at}.png?window=40,400")).body)
        first = pixels(console.get(file("S001", f"{view.name}/{index}.png?window=40,400")).body)
        assert np.array_equal(picture, first)
        gray = (picture == picture[:, :, :1]).all(axis=2)
        shade = np.clip((expected.astype(float) + 160) / 400, 0, 1) * 255
        large = np.repeat(np.repeat(shade, 2, axis=0), 2, axis=1)
        assert picture.shape[:2] == large.shape
        assert np.abs(picture[gray][:, 0] - large[gray]).max() <= 2
        orange = (picture == (0xD5, 0x5E, 0)).all(axis=2)
        inside = np.repeat(np.repeat({"axial": gtv[15], "coronal": gtv[::-1, 18], "sagittal": gtv[::-1, :, 20]}[view.name], 2, axis=0), 2, axis=1)
        around = np.pad(inside, 1)
        deep = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
        assert np.array_equal(orange, inside & ~deep)


def test_a_file_is_asked_for_again_and_answered_in_a_word(console: Served) -> None:
    for name in ("image.nii.gz", "rois.bin", "axial/15.png"):
        answer = console.get(file("S003", name))
        assert answer.headers["cache-control"] == "private, no-cache"
        again = console.get(file("S003", name), if_none_match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert console.get(file("S004", name), if_none_match=answer.headers["etag"]).status == 200


def test_an_older_image_is_there_and_said_to_be_older(console: Served) -> None:
    assert console.get(file(scan_home.OLDER, "image.nii.gz", "image1")).status == 200
    assert console.get(file(scan_home.OLDER, "image.nii.gz", "image2")).status == 200


@pytest.mark.parametrize(
    "address",
    [
        file("S001", "record.json"),
        file("S001", "scan.json"),
        file("S001", "..%2fimage1%2frecord.json"),
        file("S001", "%2e%2e/%2e%2e/S002/image1/image.nii.gz"),
        "/patients/..%2f..%2fmlflow/images/image1/image.nii.gz",
        "/patients/S001/images/..%2f..%2fS002%2fimage1/image.nii.gz",
        "/patients/S001/images/image2/image.nii.gz",
        "/patients/nobody/images/image1/image.nii.gz",
        "/patients/N001/images/image1/image.nii.gz",  # in the store, without files
        file("S001", "axial/34.png"),
        file("S001", "axial/-1.png"),
        file("S001", "axial/1e1.png"),
        file("S001", "axial/%C2%B2.png"),
        file("S001", "oblique/1.png"),
        file("S001", "axial/999999999999999999999.png"),
    ],
)
def test_nothing_else_is_sent(console: Served, address: str) -> None:
    answer = console.get(address)
    assert answer.status == 404
    assert "Doe" not in answer.text


@pytest.mark.parametrize("window", ["dark", "40", "40,400,1", "nan,400", "40,0", "1e9,400", "40,-1", "40,1e99", "%00", "40,400%0d%0aX:1"])
def test_a_window_that_is_none_is_refused(console: Served, window: str) -> None:
    answer = console.get(file("S001", f"axial/15.png?window={window}"))
    assert answer.status == 400
    assert "lung, mediastinum, bone" in answer.text or "no text has" in answer.text


def test_a_map_without_a_network_that_can_be_read_is_an_answer_in_words(console: Served) -> None:
    answer = console.get(file("S001", "map?version=7"))
    assert answer.status == 404
    assert json.loads(answer.body)["state"] == "failed"
    assert "no version or alias" in json.loads(answer.body)["found"]
    end = time.monotonic() + 120
    while (answer := console.get(file("S001", "map"))).status == 202 and time.monotonic() < end:  # the version's network is no network
        assert json.loads(answer.body) == {"state": "computing"}
        time.sleep(0.3)
    assert answer.status == 404
    assert json.loads(answer.body)["state"] == "failed"
    assert str(console.home) not in answer.text


def _times(home: Path) -> dict[Path, int]:
    """When each file was written; not of the shared memory in which SQLite's readers say what they read, which every connection that is opened touches."""
    return {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm"}


def test_a_patient_who_is_forgotten_is_gone_from_every_answer_and_no_look_writes_anything(console: Served, home: Path) -> None:
    names = ("image.nii.gz", "gtv.nii.gz", "rois.bin", "axial/15.png")
    answers = {name: console.get(file(scan_home.GOING, name)) for name in names}
    assert {answer.status for answer in answers.values()} == {200}
    written = _times(home)
    for name in names:
        console.get(file(scan_home.GOING, name))
    assert _times(home) == written
    penumbra(home, "forget", scan_home.GOING, "--yes")
    for name, answer in answers.items():
        assert console.get(file(scan_home.GOING, name)).status == 404
        assert console.get(file(scan_home.GOING, name), if_none_match=answer.headers["etag"]).status == 404
    assert console.get(file("S001", "axial/15.png")).status == 200
