"""Versions, comparisons and one version, over a home with two of them; and over the small one, with one."""

import json
import re
from pathlib import Path

import pytest

from penumbra import registry, store
from penumbra.commands import card
from penumbra.pipeline.comparison import compare
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

from .serving import Served

pytestmark = pytest.mark.slow


def looks(home: Path) -> int:
    with store.connect(home, read_only=True) as lake:
        return len(lake.rows("looks"))


def test_the_champion_is_first_whatever_is_asked(two: Served) -> None:
    page = two.get("/models").text
    assert page.index("nsclc-os/1</a>") < page.index("nsclc-os/2</a>")
    assert "2 versions; the champion first" in page
    for filtered in ("/models?q=challenger", "/models?q=nobody", "/models?page=7"):
        assert "nsclc-os/1</a>" in two.get(filtered).text, filtered
    assert "nsclc-os/2</a>" not in two.get("/models?q=nobody").text
    assert "nsclc-os/2</a>" in two.get("/models?q=challenger").text


def test_c_of_a_version_stands_next_to_volumes(two: Served) -> None:
    page = two.get("/models?center=east").text
    assert "inside, cross-fitted: C 0.710 (0.620 to 0.780), tumor volume alone 0.580 (0.490 to 0.660)" in page
    assert "east: C 0.660 (0.520 to 0.790)" in page
    assert "south: C 0.400" not in page, "only the centers that are chosen"
    assert "style=" not in page


def test_a_version_says_what_it_is_worth_inside_first(two: Served) -> None:
    page = two.get("/models/1").text
    assert page.index("inside, cross-fitted") < page.index("0.660 (0.520 to 0.790)")
    assert "better than volume" in page
    assert "worse than volume" in page
    assert "not shown to differ from volume" in page
    assert "0.810" in page, "apparent, among the measures"
    assert "0.810" not in page[: page.index("Where it comes from")], "but never what it is worth"


def test_a_version_says_where_it_comes_from_as_a_drawing_and_as_a_list(two: Served) -> None:
    page = two.get("/models/1").text
    drawing = page[page.index('<svg class="lineage"') : page.index("</svg>", page.index('<svg class="lineage"'))]
    listed = page[page.index("The same as a list") : page.index("</details>", page.index("The same as a list"))]
    for words in ("north", "commit 7", "radiomics", "Combined", "nsclc-os/1"):
        assert words in drawing, words
        assert words in listed, words
    assert "40 patients" in listed


def test_a_version_says_when_it_was_in_use_and_why(two: Served) -> None:
    page = two.get("/models/1").text
    periods = page[page.index("Champions in turn, the newest first") :]
    assert "the first version" in periods[: periods.index("</table>")]
    assert "now" in periods[: periods.index("</table>")]
    assert "Promoted: with intercept -0.8." in page, "decisions are on the same time line"


def test_a_version_says_what_it_reads(two: Served, two_versions: Work) -> None:
    page = two.get("/models/2").text
    reads = page[page.index('id="kept"') : page.index('id="measures"')]
    for column in registry.load(two_versions.home, 2).model.inputs:
        assert f"{column.coefficient:+.3f}" in reads, column.name
        assert column.name.partition(".")[2] in reads


def test_a_card_can_be_taken_along(two: Served, two_versions: Work) -> None:
    answer = two.get("/models/1/card.json")
    assert answer.headers["content-disposition"] == 'attachment; filename="card-nsclc-os-1.json"'
    assert json.loads(answer.text) == json.loads(card.card(two_versions.home, "1", "json"))
    assert two.get("/models/1/card.md").text.startswith("# Model card: nsclc-os/1")
    assert two.get("/models/1/card.exe").status == 404


def test_an_alias_is_an_address_and_what_is_not_there_says_what_is(two: Served) -> None:
    assert "nsclc-os/2" in two.get("/models/challenger").text
    missing = two.get("/models/9")
    assert missing.status == 404
    assert "Registered: 1 (champion), 2 (challenger)" in missing.text
    for hostile in ("/models/..%2f..", "/models/1?model=%3Cscript%3E", "/models/compare?versions=1&versions=%27--", "/models/compare?versions=" + "1,2," * 20):
        answer = two.get(hostile)
        assert answer.status in (400, 404), hostile
        assert "<script>" not in answer.text


def test_two_versions_are_compared_as_the_command_compares_them(two: Served, two_versions: Work) -> None:
    page = two.get("/models/compare?versions=1&versions=2").text
    settings = load_settings()
    found = compare(two_versions.home, ("1", "2"), settings.evaluate)
    for row in found.paired:  # type: ignore[union-attr]
        if row.metric == "harrell_c":
            assert f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})" in page, row.center
    assert "north *" in page, "where one was fitted, the value is optimistic"
    assert "Calibration" in page
    assert page.count('class="chart') >= 6
    assert "penumbra compare 1 2" in page
    assert not re.search(r"\b[NES]\d{3}\b", page), "no single patient"


def test_a_comparison_is_counted_once_however_often_it_is_looked_at(two: Served, two_versions: Work) -> None:
    """A look writes a commit, and a commit empties what pages keep: each look at the page would have been one more look at the outcomes."""
    two.get("/models/compare?versions=1&versions=2")
    counted = looks(two_versions.home)
    assert two.get("/models/compare?versions=1,2").status == 200
    assert two.get("/models/compare?versions=1&versions=2").status == 200
    assert looks(two_versions.home) == counted


def test_one_version_alone_is_not_compared(served: Served, two: Served) -> None:
    assert "nothing to compare" in served.get("/models/compare").text
    page = two.get("/models/compare?versions=2").text
    assert "Pick two versions or more" in page
    assert 'value="2" checked' in page


def test_as_of_a_commit_only_what_was_registered_then_is_listed(two: Served, two_versions: Work) -> None:
    with store.connect(two_versions.home, read_only=True) as lake:
        first = min(row["commit_id"] for row in lake.rows("model_versions"))
    page = two.get(f"/models?as_of={first}").text
    assert "nsclc-os/1</a>" in page
    assert "nsclc-os/2</a>" not in page
    assert two.get("/models?as_of=100000").status in (400, 404)
