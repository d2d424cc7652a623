"""From a question to a file, as an analyst does it: by mouse and keyboard in a browser, and with scripts switched off."""

import io
import json
import urllib.request

import pytest
from pyarrow import csv

from penumbra import store
from tests.console.browser import Browser, Tab
from tests.console.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("run"), pytest.mark.timeout(600)]

CONTROL = 2


def file_of(tab: Tab, words: str) -> dict[str, list[object]]:
    """The CSV behind a link of the page."""
    address = tab.run(f"[...document.querySelectorAll('.downloads a')].find((each) => each.textContent === {json.dumps(words)}).href")
    with urllib.request.urlopen(address, timeout=120) as answer:
        columns: dict[str, list[object]] = csv.read_csv(io.BytesIO(answer.read())).to_pydict()
        return columns


def test_from_a_relation_to_a_csv(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        tab.go(f"{console.address}/tables")
        tab.follow("a[href='/tables/patients']")
        tab.click(".facets a[href*='east']")
        tab.until("document.querySelectorAll('.applied li').length === 1")
        tab.click("thead a[href*='sort=age']")
        tab.until("document.querySelector('th[aria-sort=ascending]') !== null")
        assert "sort=age" in tab.run("location.search")
        shown = tab.run("[...document.querySelectorAll('table.rows tbody th')].map((each) => each.textContent)")
        expected = store.query(console.home, "SELECT patient FROM patients WHERE center = 'east' ORDER BY age, patient").column(0).to_pylist()
        assert shown == expected[: len(shown)] != []
        assert file_of(tab, "CSV")["patient"] == expected
        tab.run("document.querySelector('[name=column2]').focus()")
        for text, field in (("age", "column2"), ("old", "value2")):
            tab.run(f"document.querySelector('[name={field}]').focus()")
            tab.type(text)
        tab.click("form.narrowing button")
        tab.until("document.querySelector('#table [role=alert]') !== null")
        assert "age is a number" in tab.text()
        assert [fault for fault in tab.faults if "400" not in fault] == []
        tab.go(f"{console.address}/tables/radiomics?find=glcm%20contrast")
        tab.click(".choice li:last-child input")
        tab.click(".chooser button")
        tab.until("document.querySelector('table.rows thead').textContent.includes('Contrast')")
        assert tab.faults == []
        assert len(tab.hosts) == 1


def test_from_a_question_to_a_csv(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        tab.go(f"{console.address}/sql")
        tab.run("localStorage.clear()")  # other tests asked in this browser before
        tab.run("document.getElementById('q').focus()")
        tab.type("SELECT center, age FROM pati")
        tab.until("!document.getElementById('completions').hidden")
        assert "relation: a patient with the newest clinical record" in tab.run("document.getElementById('completions').textContent")
        tab.key("Escape")
        assert tab.run("document.getElementById('completions').hidden")
        tab.key(" ", CONTROL)
        tab.until("!document.getElementById('completions').hidden")
        tab.key("Tab")
        assert tab.run("document.getElementById('q').value") == "SELECT center, age FROM patients"
        tab.key("Tab")
        assert tab.run("document.activeElement.id") != "q"  # a closed list does not hold the keyboard
        tab.run("document.getElementById('q').focus()")
        tab.key("Enter", CONTROL)
        tab.until("document.getElementById('answer') !== null")
        expected = store.query(console.home, "SELECT center, age FROM patients").num_rows
        assert f"{expected} rows" in tab.text()
        assert len(file_of(tab, "CSV")["age"]) == expected
        tab.click("#answer form button")
        tab.until("document.querySelector('#answer figure svg') !== null")
        tab.until("document.querySelectorAll('#history li').length === 1")
        assert tab.faults == []
        assert len(tab.hosts) == 1
        tab.click("#history button")
        assert tab.run("localStorage.getItem('penumbra.sql.history')") is None


def test_without_scripts_the_same_pages_answer(console: Served, browser: Browser) -> None:
    with browser.tab(scripts=False) as tab:
        tab.go(f"{console.address}/tables/patients")
        tab.follow(".facets a[href*='east']")
        tab.follow(".downloads ~ nav a[rel=next], thead a[href*='sort=age']")
        assert "east" in tab.text()
        assert "north" not in tab.run("document.querySelector('table.rows').innerText")
        tab.go(f"{console.address}/sql?q=SELECT%20agee%20FROM%20patients")
        assert "Did you mean age?" in tab.text()
        assert "Line 1, character 8" in tab.text()
