"""MLflow's own pages over a state folder, opened as a person opens them: the tests read the numbers on them, and the manual shows them.

`python -m tests.mlflow_pages ADDRESS FOLDER` remakes docs/mlflow/; ADDRESS is that of `penumbra mlflow`, on a state folder with two versions. Each page is
waited for until the numbers that it is shown for are on it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .console.browser import Browser, Tab, browser

MODEL = "nsclc-os"
WIDTH, HEIGHT = 1400, 1000
PANEL = {"mlflow.assistant.panelOpen_v1": "false", "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true"}  # of MLflow's assistant, over a third of the page
LAID_OUT_S = 1.0  # tables and charts are laid out once more


@contextmanager
def page(chromium: Browser, address: str, place: str) -> Iterator[Tab]:
    """A tab on one of MLflow's pages, such as "/models/nsclc-os"."""
    with chromium.tab() as tab:
        tab.size(WIDTH, HEIGHT)
        tab.go(f"{address}/health")
        for name, value in PANEL.items():
            tab.run(f"localStorage.setItem('{name}', '{value}')")
        tab.go(f"{address}/#{place}")
        yield tab


def link(tab: Tab, words: str) -> str:
    """Where a link of a description leads."""
    return str(tab.run(f"[...document.querySelectorAll('a')].find(link => link.innerText === '{words}').href"))


def follow(tab: Tab, address: str) -> None:
    """Open a link as a click does: in a tab of its own, and not as another place of the same page."""
    tab.go("about:blank")
    tab.go(address)


@contextmanager
def version(chromium: Browser, address: str, number: int) -> Iterator[Tab]:
    """The page of a version, with C per center."""
    with page(chromium, address, f"/models/{MODEL}/versions/{number}") as tab:
        tab.until("document.body.innerText.includes('cross-fitted')")
        yield tab


@contextmanager
def compared(chromium: Browser, address: str) -> Iterator[Tab]:
    """All versions of the model's page ticked, and "Compare" clicked."""
    with page(chromium, address, f"/models/{MODEL}") as tab:
        tab.until("document.querySelectorAll('tbody input[type=checkbox], [role=row] input[type=checkbox]').length > 1")
        tab.run("[...document.querySelectorAll('input[type=checkbox]')].filter(e => !e.checked && e.ariaChecked === null).forEach(e => e.click())")
        tab.until("!document.querySelector('[data-testid=compareButton]').disabled")
        tab.click("[data-testid=compareButton]")
        whole = "row => row.innerText.startsWith('harrell_c/') && [...row.children].every(cell => cell.innerText.trim() !== '-')"
        tab.until(f"[...document.querySelectorAll('tr')].some({whole})")  # the runs are read one after another
        yield tab


def metrics(tab: Tab) -> dict[str, list[str]]:
    """Of the page that compares: metric -> one number per version, as they stand side by side."""
    rows: list[list[str]] = tab.run("[...document.querySelectorAll('tr')].map(row => [...row.children].map(cell => cell.innerText.trim()))")
    return {name: values for name, *values in rows if "/" in name}


@contextmanager
def over_versions(chromium: Browser, address: str) -> Iterator[Tab]:
    """The link of the model's description followed: one chart with C per center over all versions."""
    with page(chromium, address, f"/models/{MODEL}") as tab:
        tab.until("document.body.innerText.includes('C per center over all versions')")
        follow(tab, link(tab, "C per center over all versions"))
        tab.until("document.querySelectorAll('.scatterlayer .trace').length > 1 && document.body.innerText.includes('(step=')")
        yield tab


def lines(tab: Tab) -> dict[str, list[float]]:
    """Of the chart: metric -> C of each version, in their order."""
    drawn: list[dict[str, Any]] = tab.run("[...document.querySelectorAll('.js-plotly-plot')[0].data].map(line => ({name: line.metricKey, y: [...line.y]}))")
    return {line["name"]: line["y"] for line in drawn}


def taken(chromium: Browser, address: str, folder: Path) -> None:
    """Pictures of the page of version 1, of two versions compared, and of C per center over all versions."""
    with version(chromium, address, 1) as tab:
        time.sleep(LAID_OUT_S)
        tab.picture(folder / "version.png", whole=False)
    with compared(chromium, address) as tab:
        tab.run("[...document.querySelectorAll('tr')].find(row => row.innerText.startsWith('harrell_c/east')).scrollIntoView({block: 'center'})")
        time.sleep(LAID_OUT_S)
        tab.picture(folder / "compare.png", whole=False)
    with over_versions(chromium, address) as tab:
        tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=HEIGHT - 1)  # the buttons of the chart are drawn where the mouse is
        time.sleep(LAID_OUT_S)
        tab.picture(folder / "c_over_versions.png", whole=False)


def main() -> None:
    address, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        taken(chromium, address, folder)


if __name__ == "__main__":
    main()
