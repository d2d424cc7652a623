"""The CT viewer in a browser: what it draws is the mask, what it says is the stored value, whatever way the scan was stored."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra.imaging.grid import bounding_box
from penumbra.imaging.saved import load_mask
from penumbra.pipeline.settings import load_settings
from tests.console import scan_home, serving
from tests.console.browser import Browser, Tab
from tests.console.scan_home import OBLIQUE, OLDER, ORIGIN, STORED
from tests.console.serving import Served

from .conftest import Run

pytestmark = pytest.mark.slow

READY = "document.querySelector('#viewer').dataset.ready"
PLANES = {"axial": 0, "coronal": 1, "sagittal": 2}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Iterator[Served]:
    """A console over scans that are one scan, stored in many ways."""
    home = tmp_path_factory.mktemp("viewer") / "home"
    scan_home.make(home, example)
    with serving.served(home) as running:
        yield running


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Tab]:
    """One tab for all tests of this file; each begins with a page of its own."""
    with browser.tab() as tab:
        yield tab


@pytest.fixture(autouse=True)
def _no_fault(tab: Tab) -> Iterator[None]:
    yield
    assert tab.faults == []
    assert tab.run("document.querySelectorAll('#viewer [style], #viewer style, #viewer script:not([src])').length") == 0


def look(tab: Tab, scans: Served, patient: str, **query: str) -> None:
    """Open a patient's page and wait for scan and outlines."""
    tab.go(f"{scans.address}/patients/{patient}?" + "&".join(f"{name}={value}" for name, value in query.items()))
    tab.until(READY)


def point(voxel: tuple[int, int, int]) -> str:
    """The address of a voxel x, y, z of the scan as S001 stores it."""
    return ",".join(f"{part:.1f}" for part in ORIGIN + np.array(voxel))


def read(tab: Tab) -> tuple[int, tuple[float, ...], str]:
    """HU, mm and ROI as the page says them."""
    text = str(tab.run("document.querySelector('[data-read]').textContent")).replace("\N{MINUS SIGN}", "-")
    match = re.fullmatch(r"(-?\d+) HU · x (-?[\d.]+), y (-?[\d.]+), z (-?[\d.]+) mm · (.+)", text)
    assert match, text
    return int(match[1]), tuple(float(match[place]) for place in (2, 3, 4)), match[5]


def settled(tab: Tab) -> None:
    """Wait until what was asked for is drawn."""
    tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def press(tab: Tab, *keys: str, plane: str = "axial") -> None:
    tab.run(f"document.querySelector('[data-view={plane}] canvas').focus()")
    for key in keys:
        tab.key(key)
    settled(tab)


def shown(array: np.ndarray, plane: str, voxel: tuple[int, int, int]) -> np.ndarray:
    """A plane of the scan as S001 stores it, as radiology shows it."""
    x, y, z = voxel
    planes: dict[str, np.ndarray] = {"axial": array[z], "coronal": array[::-1, y], "sagittal": array[::-1, :, x]}
    return planes[plane]


def pixels(tab: Tab, plane: str) -> np.ndarray:
    """The canvas of a plane, (rows, columns, 4)."""
    facts: Any = tab.run(
        f"(() => {{ const c = document.querySelector('[data-view={plane}] canvas');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let s = '';"
        " for (let i = 0; i < d.length; i += 8192) s += String.fromCharCode(...d.subarray(i, i + 8192)); return [c.width, c.height, btoa(s)]; })()"
    )
    return np.frombuffer(base64.b64decode(facts[2]), dtype=np.uint8).reshape(facts[1], facts[0], 4)


VOXEL = (20, 18, 15)


@pytest.mark.parametrize("patient", STORED)
def test_the_same_scan_gives_the_same_pictures_letters_and_coordinates(patient: str, tab: Tab, scans: Served) -> None:
    """Prone, feet first, on the side and with its axes turned: what is gray, outlined, lettered and said is what the supine scan shows."""
    look(tab, scans, patient, at=point(VOXEL), window="40,400")
    hu, gtv = scan_home.voxels()
    letters = tab.run("[...document.querySelectorAll('.plane')].map((p) => [...p.querySelectorAll('.side')].map((s) => s.textContent).join(''))")
    assert letters == ["RLAP", "RLSI", "APSI"]
    for plane, place in PLANES.items():
        gray = np.array(tab.run(f"[...viewer.planes[{place}].pixels].map((each) => each & 255)"))
        window = np.clip(np.floor((shown(hu, plane, VOXEL).astype(float) + 160) / 400 * 255 + 0.5), 0, 255)
        assert np.array_equal(gray.reshape(window.shape), window)
        lines = tab.run(f"edges(viewer.levels.plane(viewer.volume, viewer.planes[{place}].view, viewer.at[viewer.planes[{place}].view.through]), 1)")
        assert sorted(map(tuple, lines)) == sorted(outline(shown(gtv, plane, VOXEL)))
    value, at, roi = read(tab)
    assert (value, roi) == (hu[15, 18, 20], "GTV")
    assert at == pytest.approx(ORIGIN + np.array(VOXEL), abs=0.05)
    labels = tab.run("[...document.querySelectorAll('[data-at]')].map((each) => each.textContent.split(' · ')[1])")
    assert [label.replace("\N{MINUS SIGN}", "-") for label in labels] == [
        f"z {ORIGIN[2] + 15:.1f} mm",
        f"y {ORIGIN[1] + 18:.1f} mm",
        f"x {ORIGIN[0] + 20:.1f} mm",
    ]
    press(tab, "ArrowUp")
    assert read(tab)[1][2] == pytest.approx(ORIGIN[2] + 16)
    press(tab, "ArrowRight", plane="coronal")
    assert read(tab)[1] == pytest.approx(ORIGIN + np.array((21, 18, 16)), abs=0.05)
    press(tab, "ArrowDown", plane="sagittal")
    assert read(tab)[1] == pytest.approx(ORIGIN + np.array((20, 18, 16)), abs=0.05)


def outline(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The edges of a mask, each as long as it goes straight on, from one voxel at a time."""
    lines, around = [], np.pad(mask, 1)
    for row in range(mask.shape[0] + 1):
        edge = [bool(around[row, column + 1] != around[row + 1, column + 1]) for column in range(mask.shape[1])]
        lines += [(start, row, stop, row) for start, stop in runs(edge)]
    for column in range(mask.shape[1] + 1):
        edge = [bool(around[row + 1, column] != around[row + 1, column + 1]) for row in range(mask.shape[0])]
        lines += [(column, start, column, stop) for start, stop in runs(edge)]
    return lines


def runs(flags: list[bool]) -> Iterator[tuple[int, int]]:
    start = -1
    for place, flag in enumerate([*flags, False]):
        if flag and start < 0:
            start = place
        if not flag and start >= 0:
            yield start, place
            start = -1


@pytest.mark.parametrize("patient", ["S005", OBLIQUE])
@pytest.mark.parametrize("plane", PLANES)
def test_the_outline_on_the_canvas_is_the_mask(patient: str, plane: str, tab: Tab, scans: Served) -> None:
    """Every edge of the stored mask is orange on the canvas, and nothing else is."""
    scan = scan_home.stored(patient)
    at = VOXEL if patient == OBLIQUE else tuple(np.rint(np.linalg.solve(scan.direction, ORIGIN + np.array(VOXEL) - scan.origin)).astype(int).tolist())
    look(
        tab,
        scans,
        patient,
        at=",".join(f"{part:.3f}" for part in scan.point(at)),
        window="4000,100",
        hide="ring_3mm,ring_6mm,ring_9mm",
        plane=plane,
    )
    settled(tab)
    canvas = pixels(tab, plane).astype(int)
    frame = tab.run(f"viewer.frame(viewer.planes[{PLANES[plane]}])")
    assert frame["x"] > 6
    orange = (canvas[:, :, 0] > 120) & (canvas[:, :, 2] < 60)
    _, gtv = scan_home.voxels()
    mask = shown(gtv, plane, VOXEL)
    expected = np.zeros(orange.shape, dtype=bool)
    near = np.zeros(orange.shape, dtype=bool)
    for u1, v1, u2, v2 in outline(mask):
        x1, x2 = (frame["left"] + u * frame["x"] for u in (u1, u2))
        y1, y2 = (frame["top"] + v * frame["y"] for v in (v1, v2))
        near[max(0, int(y1) - 2) : int(y2) + 3, max(0, int(x1) - 2) : int(x2) + 3] = True
        for share in np.linspace(0.1, 0.9, 9):
            expected[int(y1 + share * (y2 - y1)), int(x1 + share * (x2 - x1))] = True
    assert not (orange & ~near).any()
    cross = np.zeros(orange.shape, dtype=bool)
    u, v = tab.run(f"viewer.volume.shown(viewer.planes[{PLANES[plane]}].view, viewer.at)")
    column, row = int(frame["left"] + u * frame["x"]), int(frame["top"] + v * frame["y"])
    cross[:, column - 2 : column + 3] = cross[row - 2 : row + 3] = True
    grown = orange.copy()
    for axis in (0, 1):
        grown |= np.roll(orange, 1, axis) | np.roll(orange, -1, axis)
    missing = expected & ~grown & ~cross
    assert not missing.any(), np.argwhere(missing)[:5]
    assert (expected & ~cross).sum() > 100


@pytest.mark.parametrize("patient", ["S001", "S003", "S005", OBLIQUE])
def test_hu_under_the_cross_is_the_stored_value(patient: str, tab: Tab, scans: Served) -> None:
    look(tab, scans, patient)
    scan = scan_home.stored(patient)
    generator = np.random.default_rng(7)
    levels = {1: "GTV", 2: "ring 3 mm", 3: "ring 6 mm", 4: "ring 9 mm", 0: "outside"}
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~scan.gtv)
    for plane in ("axial", "coronal", "sagittal", "axial", "sagittal"):
        facts = tab.run(
            f"(() => {{ const p = viewer.planes[{PLANES[plane]}]; p.canvas.scrollIntoView({{block: 'center'}}); const b = p.canvas.getBoundingClientRect();"
            " return [b.x, b.y, viewer.frame(p), p.canvas.width / b.width, p.view, viewer.volume.columns(p.view), viewer.volume.rows(p.view)]; })()"
        )
        x, y, frame, density, view, columns, rows = facts
        u, v = int(generator.integers(3, columns - 3)), int(generator.integers(3, rows - 3))
        place = {"x": x + (frame["left"] + (u + 0.5) * frame["x"]) / density, "y": y + (frame["top"] + (v + 0.5) * frame["y"]) / density}
        before = tab.run("viewer.at")
        for kind in ("mousePressed", "mouseReleased"):
            tab.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
        settled(tab)
        voxel = list(before)
        voxel[view["across"]] = columns - 1 - u if view["turned"][0] else u
        voxel[view["down"]] = rows - 1 - v if view["turned"][1] else v
        value, at, roi = read(tab)
        assert value == scan.hu[voxel[2], voxel[1], voxel[0]]
        assert at == pytest.approx(scan.point((voxel[0], voxel[1], voxel[2])), abs=0.051)
        far = float(distance[voxel[2], voxel[1], voxel[0]])
        assert roi == levels[1 if far == 0 else next((level for level, margin in ((2, 3), (3, 6), (4, 9)) if far <= margin), 0)]


def test_an_oblique_scan_says_so(tab: Tab, scans: Served) -> None:
    look(tab, scans, OBLIQUE)
    assert "oblique, turned by up to 14°" in tab.text() or "oblique, turned by up to 15°" in tab.text()
    assert tab.run("[...document.querySelectorAll('.side')].map((each) => each.textContent)") == [f"~{letter}" for letter in "RLAPRLSIAPSI"]


def test_the_drawing_is_dashed_on_its_planes_and_on_the_sides_of_its_slabs(tab: Tab, scans: Served) -> None:
    look(tab, scans, "S001", at=point((20, 18, 9)))
    assert "as drawn" in tab.text()
    lines = tab.run("drawnLines(viewer.drawn, viewer.volume, viewer.planes[0].view, 9)")
    assert lines == [[10.5, 12.5, 28.5, 12.5, 28.5, 24.5, 10.5, 24.5, 10.5, 12.5]]  # plane at 8 mm, of 6.5 to 9.5
    assert tab.run("drawnLines(viewer.drawn, viewer.volume, viewer.planes[0].view, 5)") == []
    coronal = tab.run("drawnLines(viewer.drawn, viewer.volume, viewer.planes[1].view, 18)")
    assert sorted(coronal)[0] == [10.5, 34 - 7, 10.5, 34 - 10]  # from 6.5 to 9.5 mm above the lowest voxel's center
    assert len(coronal) == 10
    look(tab, scans, "S002")
    assert "Drawn contours: not kept when this scan was read." in tab.text()
    look(tab, scans, "S003")
    assert "Drawn contours: the mask arrived as voxels, without contours." in tab.text()


def test_presets_have_the_numbers_of_params_and_the_keys_choose_them(tab: Tab, scans: Served) -> None:
    declared = load_settings().console.windows
    assert {name: (one.level, one.width) for name, one in declared.items()}.items() >= {
        "lung": (-600, 1500),
        "mediastinum": (40, 400),
        "bone": (400, 1800),
    }.items()
    look(tab, scans, "S001")
    assert [tab.run("viewer.level"), tab.run("viewer.width")] == [-600, 1500]
    for place, (name, window) in enumerate(declared.items()):
        press(tab, str(place + 1))
        assert [tab.run("viewer.level"), tab.run("viewer.width")] == [window.level, window.width]
        assert tab.run("document.querySelector('[data-window][aria-current]').textContent") == name
        low, high = window.level - window.width / 2, window.level + window.width / 2
        grays = tab.run(f"[{low - 1}, {low}, {window.level}, {high}, {high + 1}].map((hu) => viewer.table[hu + 32768] & 255)")
        assert grays == [0, 0, 128, 255, 255]
    tab.run("(() => { const e = document.querySelector('[name=level]'); e.value = '100'; e.dispatchEvent(new Event('change', {bubbles: true})); })()")
    assert tab.run("viewer.level") == 100
    assert tab.run("document.querySelector('[data-window][aria-current]')") is None


def test_the_address_brings_a_colleague_to_the_same_view(tab: Tab, scans: Served) -> None:
    look(tab, scans, "S005", foreign="kept")
    start = tab.run("viewer.at")
    press(tab, "PageDown", "ArrowUp", "ArrowLeft")
    tab.run("document.querySelector('[name=roi][value=ring_3mm]').click()")
    press(tab, "f", plane="sagittal")
    tab.run("viewer.window(-300, 900)")
    tab.until("location.search.includes('-300%2C900') && location.search.includes('plane=sagittal')")
    address, at = tab.run("location.href"), tab.run("viewer.at")
    assert at != start
    assert "foreign=kept" in address
    tab.go(address)
    tab.until(READY)
    assert tab.run("viewer.at") == at
    assert [tab.run("viewer.level"), tab.run("viewer.width")] == [-300, 900]
    assert tab.run("[...viewer.hidden]") == ["ring_3mm"]
    assert tab.run("document.querySelector('[name=roi][value=ring_3mm]').checked") is False
    assert tab.run("document.querySelector('.planes').dataset.large") == "sagittal"
    press(tab, "t")
    assert tab.run("viewer.at") == start


def test_mouse_and_fingers(tab: Tab, scans: Served) -> None:
    look(tab, scans, "S001", at=point(VOXEL))
    x, y = tab.run("(() => { const b = viewer.planes[0].canvas.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()")

    def mouse(kind: str, x: float, y: float, **more: Any) -> None:
        tab.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    mouse("mouseWheel", x, y, deltaX=0, deltaY=-120)
    settled(tab)
    assert tab.run("viewer.at[2]") == 16  # up is toward the head
    mouse("mouseWheel", x, y, deltaX=0, deltaY=120)
    settled(tab)
    assert tab.run("viewer.at") == list(VOXEL)
    mouse("mousePressed", x, y, button="right", buttons=2)
    mouse("mouseMoved", x + 50, y + 20, button="right", buttons=2)
    mouse("mouseReleased", x + 50, y + 20, button="right")
    settled(tab)
    assert [tab.run("viewer.level"), tab.run("viewer.width")] == [-640, 1700]
    mouse("mouseWheel", x, y, deltaX=0, deltaY=-120, modifiers=2)
    settled(tab)
    assert tab.run("viewer.zoom") > 1.2
    assert tab.run("viewer.at") == list(VOXEL)
    press(tab, "0")
    assert tab.run("viewer.zoom") == 1
    press(tab, "m")
    frame = tab.run("viewer.frame(viewer.planes[0])")
    density = tab.run("DENSITY")
    mouse("mousePressed", x - 30, y, button="left", buttons=1, clickCount=1)
    mouse("mouseMoved", x + 10, y + 30, button="left", buttons=1)
    mouse("mouseReleased", x + 10, y + 30, button="left", clickCount=1)
    assert tab.run("viewer.length()") == pytest.approx(50 * density / frame["x"], rel=0.02)
    assert tab.run("viewer.at") == list(VOXEL)
    press(tab, "m")

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        tab.send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": at[0], "y": at[1], "id": place} for place, at in enumerate(places)])

    fingers("touchStart", (x, y))
    fingers("touchMove", (x, y - 31))
    fingers("touchEnd")
    settled(tab)
    assert tab.run("viewer.at[2]") == 20  # six pixels a plane
    fingers("touchStart", (x - 20, y), (x + 20, y))
    fingers("touchMove", (x - 40, y), (x + 40, y))
    fingers("touchEnd")
    settled(tab)
    assert tab.run("viewer.zoom") == pytest.approx(2, rel=0.05)
    assert tab.run("viewer.at") == [20, 18, 20]
    fingers("touchStart", (x + 40, y))
    fingers("touchEnd")
    settled(tab)
    assert tab.run("viewer.at[0]") > 20  # a tap puts the cross there


def test_keys_are_listed_and_outlines_can_be_hidden(tab: Tab, scans: Served) -> None:
    look(tab, scans, "S001")
    press(tab, "?")
    assert tab.run("document.querySelector('dialog.keys').open") is True
    assert "one plane" in tab.text()
    tab.run("document.querySelector('dialog.keys').close()")
    press(tab, "h")
    assert sorted(tab.run("[...viewer.hidden]")) == ["drawn", "gtv", "ring_3mm", "ring_6mm", "ring_9mm"]
    canvas = pixels(tab, "axial").astype(int)
    assert (np.abs(canvas[:, :, 0] - canvas[:, :, 2]) > 40).mean() < 0.03  # the cross alone has a color
    press(tab, "h")
    assert tab.run("viewer.hidden.size") == 0
    press(tab, "Home")
    assert tab.run("viewer.at[2]") == 0
    press(tab, "End")
    assert tab.run("viewer.at[2]") == scan_home.SIZE[0] - 1
    tab.until("document.querySelector('[data-say]').textContent === document.querySelector('[data-read]').textContent")


def test_an_older_image_is_said_to_be_older(tab: Tab, scans: Served) -> None:
    look(tab, scans, OLDER)
    assert "older image" not in tab.text()
    assert tab.run("document.querySelectorAll('.versions a').length") == 1
    look(tab, scans, OLDER, image="image1")
    assert "older image" in tab.text()


def test_a_browser_that_cannot_unpack_keeps_the_pictures(tab: Tab, scans: Served) -> None:
    source = tab.send("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    tab.go(f"{scans.address}/patients/S001")
    tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=source["identifier"])
    assert "cannot unpack the scan" in tab.text()
    assert (
        tab.run("[...document.querySelectorAll('.stage img')].map((each) => each.checkVisibility({visibilityProperty: true}) && each.naturalWidth > 0)")
        == [True] * 3
    )
    assert tab.run("document.querySelector('.steps a').checkVisibility()") is True


def test_without_script_pictures_and_links_step(scans: Served, browser: Browser, tmp_path: Path) -> None:
    page = scans.get(f"/patients/S001?at={point(VOXEL)}&window=bone").text
    addresses = [address.replace("&amp;", "&") for address in re.findall(r'<img src="([^"]+/images/[^"]+)"', page)]
    assert [re.sub(r".*/(\w+/\d+)\.png.*", r"\1", address) for address in addresses] == ["axial/15", "coronal/18", "sagittal/20"]
    assert all("window=bone" in address for address in addresses)
    assert all(scans.get(address).status == 200 for address in addresses)
    head = re.search(r'<a href="([^"]+)#viewer">\+1</a>', page)
    assert head
    following = scans.get(head[1].replace("&amp;", "&")).text
    assert "/axial/16.png?window=bone" in following
    with browser.tab(scripts=False) as plain:
        plain.go(f"{scans.address}/patients/S001")
        plain.picture(tmp_path / "plain.png")
    from PIL import Image

    page_shown = np.asarray(Image.open(tmp_path / "plain.png").convert("RGB")).astype(int)
    assert ((page_shown[:, :, 0] == 0xD5) & (page_shown[:, :, 1] == 0x5E) & (page_shown[:, :, 2] == 0)).sum() > 200  # the tumor's outline is on the page


@pytest.mark.parametrize("query", ["at=1,2", "at=nan,1,2", "at=1e9,0,0", "at=x", "window=0,0", "window=dark", "window=<script>", "at=1,2,3,4"])
def test_an_address_that_nobody_wrote_is_refused(query: str, scans: Served) -> None:
    answer = scans.get(f"/patients/S001?{query}")
    assert answer.status == 400
    assert "<script>" not in answer.text.replace("<script src", "")


def test_where_the_network_looks_is_computed_in_the_background_and_shown(tab: Tab, run: Run, console: Served) -> None:
    look(tab, console, "E001")
    assert tab.run("viewer.map") is None
    tab.run("document.querySelector('[name=map]').click()")
    tab.until("document.querySelector('[data-state]').textContent.includes('being computed')")
    tab.until("viewer.map !== null", 240)
    facts = tab.run("({first: viewer.map.first, size: viewer.map.size, largest: viewer.map.largest, extreme: Math.max(...viewer.map.values.map(Math.abs))})")
    folder = next((run.home / "images" / "east" / "E001").glob("*/scan.json")).parent
    box = bounding_box(load_mask(folder).values)
    assert facts["first"] == [part.start for part in reversed(box)]
    assert facts["size"] == [part.stop - part.start for part in reversed(box)]
    assert facts["extreme"] == 127
    assert facts["largest"] > 0
    said = tab.run("document.querySelector('[data-state]').textContent")
    assert re.search(r"orange raises its log risk.*(reads|does not read) the network", said), said
    tab.until("location.search.includes('map=1')")
    assert "network" in tab.run("document.querySelector('[data-read]').textContent")
