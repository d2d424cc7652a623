"""Every page of the console over the finished run: real content, nothing refused by the browser, nobody else asked, usable without a mouse or eyes."""

import re
from urllib.parse import urlsplit

import pytest

from penumbra.console.application import MODULES
from tests.console.axe import findings
from tests.console.browser import Browser
from tests.console.serving import Served

pytestmark = pytest.mark.slow

# Name of a route -> an address of it, and words that its page has only with the run's content.
PAGES = {
    "overview": ("/", ("champion", "north")),
    "patients": ("/patients", ("N001",)),
    "patient": ("/patients/E001", ("east", "Certificate")),
    "patient_explanation": ("/patients/E001/explanation", ("alive", "contribution")),
    "patient_features": ("/patients/E001/features", ("percentile", "MeshVolume")),
    "centers": ("/centers", ("north", "east", "south")),
    "center": ("/centers/east", ("east",)),
    "center_drift": ("/centers/east/drift", ("glcm", "wavelet")),
    "models": ("/models", ("champion",)),
    "model": ("/models/1", ("champion",)),
    "comparison": ("/models/compare?versions=1", ("nsclc-os/1",)),
    "decisions": ("/decisions", ()),
    "features": ("/features?q=MeshVolume", ("MeshVolume",)),
    "feature": ("/features/original_shape_MeshVolume?roi=gtv", ("MeshVolume", "mm")),
    "tables": ("/tables", ("radiomics", "patients")),
    "table": ("/tables/patients", ("N001", "histology")),
    "sql": ("/sql?q=FROM%20centers", ("north", "south")),
    "health": ("/health", ()),
}
WITHOUT_A_PAGE = {"image_file", "thumbnail", "report", "gallery", "static", "card", "decision"}  # files; decisions are looked at in test_console_decision.py
WIDTHS = (1280, 820, 390)


def addresses() -> list[str]:
    return [address for address, _ in PAGES.values()]


def test_every_route_is_looked_at() -> None:
    names = {page.name for module in MODULES for page in module.ROUTES if "GET" in page.methods}
    assert (
        names - PAGES.keys() - WITHOUT_A_PAGE - {"sign_in", "log"} - {name for name in names if name.startswith(("action", "viewer", "table_", "sql_"))}
        == set()
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_content_and_no_fault(name: str, console: Served, browser: Browser) -> None:
    address, words = PAGES[name]
    with browser.tab() as tab:
        tab.go(console.address + address)
        text = tab.text()
        assert [word for word in words if word.lower() not in text.lower()] == [], text[:2000]
        assert findings(tab) == []
        for width in WIDTHS:
            tab.size(width)
            assert tab.run("document.documentElement.scrollWidth") <= width, f"{address} scrolls sideways at {width}"
        tab.size(1280, dark=True)
        assert [finding for finding in findings(tab) if finding.startswith("color-contrast")] == []
        assert tab.faults == []
        assert tab.hosts == {urlsplit(console.address).netloc}
        assert tab.run("document.querySelectorAll('[style], style, script:not([src]):not([type=\"application/json\"])').length") == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_the_same_without_scripts(name: str, console: Served, browser: Browser) -> None:
    address, words = PAGES[name]
    with browser.tab(scripts=False) as tab:
        tab.go(console.address + address)
    text = re.sub(r"<[^>]+>", " ", console.get(address).text)
    assert [word for word in words if word.lower() not in text.lower()] == []


def test_every_link_leads_somewhere(console: Served) -> None:
    """Two steps from the first page; a link that a page offers is never an error."""
    todo, seen, broken = ["/"], set[str](), []
    for depth in range(2):
        following = []
        for address in todo:
            for link in console.links(address):
                short = re.sub(r"\d+", "0", link)
                if link.startswith("/") and short not in seen:
                    seen.add(short)
                    answer = console.get(link)
                    if answer.status not in (200, 303) and not (answer.status in (202, 503) and answer.headers.get("retry-after")):
                        broken.append((address, link, answer.status))
                    elif answer.headers.get("content-type", "").startswith("text/html") and depth == 0:
                        following.append(link)
        todo = following[:60]
    assert broken == []
    assert len(seen) > 30
