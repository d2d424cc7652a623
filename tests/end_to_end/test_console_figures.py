"""Figures of the console in a browser: they show under its policy, and are read by pointer and by keys; static pages keep their filter without scripts."""

import json
import time
from pathlib import Path

import pytest

from penumbra.report.site import link
from penumbra.report.templates import rendered
from tests.console.browser import Browser, Tab
from tests.console.serving import Served

pytestmark = pytest.mark.slow

FEATURE = "/features/original_shape_MeshVolume?roi=gtv"
LABEL = "[...document.querySelectorAll('figure .reading tspan')].map(e => e.textContent)"
VOICE = "document.activeElement.querySelector('[aria-live]').textContent"


def look(tab: Tab, console: Served) -> None:
    """Open the page of a feature, which reloads until its figures are drawn."""
    for _ in range(120):
        tab.go(console.address + FEATURE)
        if tab.run("document.querySelectorAll('figure[data-numbers]').length") == 3:
            return
        time.sleep(0.5)  # it would reload by itself after a second
    pytest.fail("the figures were never drawn")


def point_at(tab: Tab, figure: int, x: float, y: float) -> None:
    """Move the pointer to a place within the first axes of a figure: 0 to 1 from left and from top."""
    numbers = json.loads(tab.run(f"document.querySelectorAll('figure[data-numbers]')[{figure}].dataset.numbers"))
    left, top, width, height = numbers["axes"][0]["box"]
    place = tab.run(
        f"(() => {{const svg = document.querySelectorAll('figure[data-numbers] svg')[{figure}]; svg.scrollIntoView({{block: 'center'}});"
        f" const p = new DOMPoint({left + x * width}, {top + y * height}).matrixTransform(svg.getScreenCTM()); return [p.x, p.y];}})()"
    )
    tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])


def test_a_figure_is_read_by_pointer_and_by_keys(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        look(tab, console)
        point_at(tab, 0, 0.5, 0.5)
        assert tab.until(f"{LABEL}.length") == 1
        assert "north: median" in tab.run(LABEL)[0]
        assert tab.run("document.querySelectorAll('figure .reading circle').length") == 1
        point_at(tab, 0, 0.5, -0.5)
        assert tab.run(f"{LABEL}.length") == 0
        tab.run("document.querySelector('figure[data-numbers]').focus()")
        tab.key("ArrowDown")
        assert "east: median" in tab.run(VOICE)
        tab.key("ArrowDown")
        assert "north: median" in tab.run(VOICE)
        tab.key("End")
        assert "south: median" in tab.run(VOICE)
        assert tab.run(LABEL) == [tab.run(VOICE)]
        tab.key("Escape")
        assert tab.run(f"{LABEL}.length") == 0
        assert tab.faults == []


def test_the_dot_is_on_the_curve(console: Served, browser: Browser) -> None:
    """The dot of the scatter lies on the marker that matplotlib drew for the patient."""
    with browser.tab() as tab:
        look(tab, console)
        point_at(tab, 2, 0.6, 0.5)
        dots = tab.until("[...document.querySelectorAll('figure .reading circle')].map(e => [+e.getAttribute('cx'), +e.getAttribute('cy')])")
        assert len(dots) == 3  # one of each center
        drawn = tab.run(
            "[...document.querySelectorAll('figure[data-numbers]')[2].querySelectorAll('use')].map(e => [+e.getAttribute('x'), +e.getAttribute('y')])"
        )
        for x, y in dots:
            assert min(abs(x - u) + abs(y - v) for u, v in drawn) < 0.1


def test_figures_have_their_colors_in_light_and_dark(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        colors = {}
        for dark in (False, True):
            tab.size(1280, dark=dark)
            look(tab, console)
            colors[dark] = tab.run("getComputedStyle(document.querySelector('figure svg text')).fill")
            assert tab.faults == []
        assert colors == {False: "rgb(28, 28, 28)", True: "rgb(232, 232, 230)"}


def test_a_static_page_shows_with_its_pictures_and_leads_back(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        tab.go(f"{console.address}/reports/nsclc-os-1/index.html")
        assert "Overall survival" in tab.text()
        assert tab.run("[...document.images].every(e => e.loading === 'lazy' || e.naturalWidth > 0)")
        tab.follow('a[href="/"]')
        assert tab.run("location.pathname") == "/"
        assert tab.faults == []


def test_the_gallery_is_filtered_without_a_script_and_from_the_disk(tmp_path: Path, browser: Browser) -> None:
    cards = [
        {"patient": name, "status": status, "picture": None, "findings": [("gtv_named", "nothing", "do")], "figures": []}
        for name, status in (("N001", "rejected"), ("N002", "flagged"), ("N003", "accepted"))
    ]
    page = tmp_path / "gallery" / "north" / "index.html"
    page.parent.mkdir(parents=True)
    counts = {"rejected": 1, "flagged": 1, "accepted": 1}
    filters = {"fault": str, "capitalize_first": str}
    page.write_text(rendered("gallery.html", filters, center="north", cards=cards, counts=counts, legend=[("gtv", "#d55e00")], pixels=256), encoding="utf-8")
    link(tmp_path)
    shown = "[...document.querySelectorAll('article')].filter(e => e.offsetHeight).map(e => e.querySelector('h2').firstChild.textContent.trim())"
    with browser.tab(scripts=False) as tab:
        tab.size(390)
        tab.go(page.as_uri())
        assert tab.run(shown) == ["N001", "N002", "N003"]
        for status, expected in (("rejected", "N001"), ("flagged", "N002"), ("accepted", "N003")):
            tab.click(f"label:has(#only-{status})")
            assert tab.run(shown) == [expected]
        assert tab.run("document.documentElement.scrollWidth") <= 390
        tab.follow("nav.places a")
        assert "All pages" in tab.text()
        assert tab.faults == []
