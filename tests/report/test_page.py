"""The page is self-contained, says the same for the same inputs, and answers degenerate input in place."""

import csv
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from penumbra.report import ReportInputs, SurvivalPanel, write_report


class Page(HTMLParser):
    """Ids, references, text and tags of a page; complains about an element closed out of order."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: set[str] = set()
        self.alternatives: list[str | None] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.references += [value for name, value in attrs if name in ("href", "src", "xlink:href") and value]
        if tag == "img":
            self.alternatives.append(named.get("alt"))
        if tag == "svg":
            self.alternatives.append(named.get("aria-label"))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def folder(make_inputs: Callable[..., ReportInputs], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report") / "run"
    assert write_report(make_inputs(), target) == target / "index.html"
    return target


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_nothing_is_fetched_and_nothing_runs(page: Page, folder: Path) -> None:
    assert not {"script", "link", "iframe", "object"} & page.tags
    inside = [reference for reference in page.references if reference.startswith(("#", "data:image/png;base64,"))]
    beside = [reference for reference in page.references if reference not in inside]
    assert all((folder / reference).is_file() for reference in beside)
    assert {reference[1:] for reference in inside if reference.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"url\((?!#)", text) == []


def test_every_figure_has_words_and_files(page: Page, folder: Path) -> None:
    assert len(page.alternatives) == 2 + 3 + 2 + 1 + 2
    assert all(page.alternatives)
    figures = sorted(path.stem for path in folder.glob("*.svg"))
    assert figures == sorted(path.stem for path in folder.glob("*.png"))
    assert len(figures) == 10
    for path in folder.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))


def test_our_numbers_and_the_papers_in_gray(page: Page, folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "0.71 (0.61–0.81)<small>paper 0.77</small>" in text
    assert "2.10 (1.20–3.70)<small>paper 4.48 (2.54–7.91)</small>" in text
    assert "no feature retained<small>paper 0.59</small>" in text
    assert not re.search(r"(?<!paper )0\.77(?!<)", page.words.split("Discrimination")[0]), "the headline is ours alone"
    assert "&lt; 0.001" in text
    assert "–<small>no event among 40 patients</small>" in text


def test_what_is_typed_is_escaped(page: Page) -> None:
    assert "Survival <from> CT" in page.words
    assert 'penumbra sql "SELECT 1 < 2"' in page.words


def test_tables_as_csv_are_not_rounded(folder: Path) -> None:
    with (folder / "c_index.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    north = next(row for row in rows if row["model"] == "combined" and row["center"] == "north")
    assert (north["value"], north["lower"], north["paper"], north["n"]) == ("0.712", "0.61", "0.77", "40")
    assert next(row for row in rows if row["model"] == "volume_only" and row["center"] == "east")["value"] == ""
    assert {path.stem for path in folder.glob("*.csv")} == {
        *("cohort", "c_index", "combined", "auc", "risk_groups", "features", "calibration", "calibration_summary", "net_benefit"),
        *("increments", "across_centers", "subgroups", "subgroup_measures", "risk_by_outcome", "checklist"),
    }
    cohort = (folder / "cohort.csv").read_text(encoding="utf-8").splitlines()
    assert cohort[:6] == [
        "center,step,patients",
        "north,found,43",
        "north,excluded: no GTV contoured,1",
        "north,excluded: survival missing,2",
        "north,accepted,40",
        "north,flagged: mask touches the border,4",
    ]


@pytest.mark.slow
def test_same_inputs_same_bytes_and_only_the_date_differs(make_inputs: Callable[..., ReportInputs], folder: Path, tmp_path: Path) -> None:
    write_report(make_inputs(), tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    write_report(make_inputs(date="25 November 2026"), tmp_path)
    later = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert later.replace("25 November", "24 November") == (folder / "index.html").read_text(encoding="utf-8")


def test_degenerate_input_is_answered_in_place(make_inputs: Callable[..., ReportInputs], tmp_path: Path) -> None:
    nobody = SurvivalPanel("nobody", np.zeros(0, bool), np.zeros(0), np.zeros(0, bool))
    five = np.array([100.0, 200.0, 300.0, 400.0, 500.0])
    one_group = SurvivalPanel("one group", np.ones(5, bool), five, np.ones(5, bool))
    no_death = SurvivalPanel("no death", np.zeros(5, bool), five, np.arange(5) < 2)
    inputs = make_inputs(survival=(nobody, one_group, no_death), features=(), slices=(), metrics=(), paper=())
    page = Page(write_report(inputs, tmp_path).read_text(encoding="utf-8"))
    assert "The served model retained no feature." in page.words
    assert "No picture was passed to this report." in page.words
    alternatives = " ".join(words or "" for words in page.alternatives)
    assert "nobody: no patient." in alternatives
    assert "every patient is high risk: no comparison" in alternatives
    assert "no death: no comparison" in alternatives
