"""From a center that is dropped into incoming/ to the decision: the console says that it waits, shows the retraining at work, and then what was decided."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penumbra.cohort import simulate_centers
from penumbra.cohort.simulate import simulate
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.retraining import protocol
from tests.console import serving, versions_home
from tests.console.axe import findings
from tests.console.browser import Browser, Tab
from tests.console.serving import Served

from .conftest import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WEST = replace(simulate_centers.CENTERS[1], name="west", patients=5, refused=("no_gtv",), institution=("Westend Clinic", "Nowhere 1"))


@pytest.fixture(scope="module")
def served(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A console over a copy of the finished run, which the journey changes."""
    home = tmp_path_factory.mktemp("arrival") / "home"
    shutil.copytree(run.home, home, symlinks=True)
    with serving.served(home) as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    with browser.tab() as opened:
        yield opened


def sound(tab: Tab, served: Served) -> None:
    """Nothing wrong on the page, and nobody else was asked."""
    assert tab.faults == []
    assert tab.hosts == {urlsplit(served.address).netloc}
    assert findings(tab) == []


def test_from_a_dropped_center_to_the_decision(served: Served, tab: Tab, tmp_path: Path) -> None:
    tab.go(f"{served.address}/")
    assert "Nothing is waiting" in tab.text()

    simulate(tmp_path / "sent", seed=11, centers=[WEST])
    shutil.move(tmp_path / "sent" / "west", served.home / "incoming" / "west")
    tab.until("document.querySelector('#now').innerText.includes('west: arrived, not read yet')")  # by itself, without a reload
    tab.go(f"{served.address}/")
    assert "penumbra retrain --center west" in tab.run("document.querySelector('.next').innerText")
    sound(tab, served)

    decided: list[DecisionManifest] = []
    work = Work(served.home, load_settings("quick"), "journey")
    retraining = threading.Thread(target=lambda: decided.append(protocol.retrain(work, "west")))
    retraining.start()
    try:
        tab.until("document.querySelector('#now .running')?.innerText.includes('penumbra retrain --center west')")
        tab.until("document.querySelector('#now progress') !== null || document.querySelector('#now .running') === null")
    finally:
        retraining.join()
    assert decided[0].decision == "stop", "five patients decide nothing"
    tab.until("document.querySelector('#now').innerText.includes('No command is running here')")

    tab.go(f"{served.address}/")
    tab.follow("a[href*='/decisions/west']")
    page = tab.text()
    assert "stopped" in page
    assert decided[0].reason in page
    steps = tab.run("[...document.querySelectorAll('ol.steps h3')].map(each => each.textContent)")
    assert steps[:3] == ["arrival", "validation", "checks"]
    assert steps[-1] == "decision"
    assert "5 of 6 accepted" in page
    assert "no structure named as a GTV 1" in page
    assert "Nothing, until files of the center" in page
    sound(tab, served)

    tab.follow("a[href*='/models/1']")
    assert tab.run("document.querySelectorAll('svg.lineage .node').length") >= 5
    assert "the first version" in tab.text()
    assert "west" in tab.run("document.querySelector('.evidence').innerText"), "the true external validation is on the version's page"
    sound(tab, served)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Iterator[Served]:
    """A console over a small home with two versions and a gate's decision."""
    home = tmp_path_factory.mktemp("gate") / "home"
    versions_home.make(home, empty_registry)
    with serving.served(home) as running:
        yield running


def test_two_versions_are_picked_compared_and_the_gate_is_read(two: Served, tab: Tab) -> None:
    tab.go(f"{two.address}/models")
    tab.click("input[name=versions][value='1']")
    tab.click("input[name=versions][value='2']")
    tab.follow("#compare button")
    assert "Who predicts better" in tab.text()
    assert tab.run("location.search") == "?versions=1&versions=2", "a state that can be sent to a colleague"
    assert tab.run("document.querySelectorAll('figure.chart svg').length") >= 6
    sound(tab, two)
    tab.go(f"{two.address}/models")
    tab.click("[name=q]")
    tab.type("challenger")
    tab.until("location.search.includes('q=challenger')")
    assert tab.run("document.querySelectorAll('.versions tbody tr').length") == 2, "the champion stays on top"

    tab.go(f"{two.address}/decisions/east")
    gate = "[...document.querySelectorAll('.gate tbody tr')]"
    assert tab.run(f"{gate}.length") == 5
    drawn = tab.run(f"{gate}.map(row => [row.querySelector('.interval').x1.baseVal.value, row.querySelector('circle').cx.baseVal.value])")
    assert all(left < middle for left, middle in drawn)
    for width in (1280, 820, 390):
        tab.size(width)
        for address in ("/decisions/east", "/decisions/south", "/decisions", "/models", "/models/1", "/models/compare?versions=1&versions=2"):
            tab.go(two.address + address)
            assert tab.run("document.documentElement.scrollWidth") <= width, f"{address} at {width}"
    tab.size(1280, dark=True)
    tab.go(f"{two.address}/decisions/east")
    sound(tab, two)


def test_a_decision_reads_the_same_without_scripts(two: Served, browser: Browser) -> None:
    with browser.tab(scripts=False) as tab:
        tab.go(f"{two.address}/decisions/east")
        assert "not shown to be better" in two.get("/decisions/east").text
        assert tab.faults == []
