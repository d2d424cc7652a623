"""Versions, comparisons and one version, over a home with two of them; and over the small one, with one."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from penumbra import registry, store
from penumbra.commands import card
from penumbra.commands.models import model_rows
from penumbra.commands.standing import standings
from penumbra.pipeline.comparison import compare
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

from . import serving
from .serving import Answer, Served

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
    assert "Select two or more versions" in page
    assert 'value="2" checked' in page


def test_as_of_a_commit_only_what_was_registered_then_is_listed(two: Served, two_versions: Work) -> None:
    with store.connect(two_versions.home, read_only=True) as lake:
        first = min(row["commit_id"] for row in lake.rows("model_versions"))
    page = two.get(f"/models?as_of={first}").text
    assert "nsclc-os/1</a>" in page
    assert "nsclc-os/2</a>" not in page
    assert two.get("/models?as_of=100000").status in (400, 404)


@pytest.fixture(scope="module")
def registered(two_versions: Work) -> dict[str, int]:
    """Version -> the commit that registered it."""
    with store.connect(two_versions.home, read_only=True) as lake:
        return {
            row["version"]: row["commit_id"] for row in lake.sql("SELECT version, min(commit_id) AS commit_id FROM model_versions GROUP BY ALL").to_pylist()
        }


@pytest.mark.parametrize("page", ["/models/1", "/models/champion", "/models/1/card.md", "/models/compare?versions=1,2", "/models/compare?versions=1"])
def test_before_it_was_registered_a_version_is_nowhere(two: Served, registered: dict[str, int], page: str) -> None:
    answer = two.get(f"{page}{'&' if '?' in page else '?'}as_of={registered['1'] - 1}")
    assert answer.status == 404
    assert f"as of commit {registered['1'] - 1}" in answer.text
    assert "egistered then: none" in answer.text
    assert "0.710" not in answer.text


def test_before_the_first_version_lists_say_that_there_was_none(two: Served, registered: dict[str, int]) -> None:
    before = registered["1"] - 1
    assert f"No version of nsclc-os was registered as of {before}" in two.get(f"/models?as_of={before}").text
    assert f"nothing to compare as of {before}" in two.get(f"/models/compare?as_of={before}").text
    assert f"No center had been decided on as of {before}" in two.get(f"/decisions?as_of={before}").text
    overview = two.get(f"/?as_of={before}").text
    assert "0.710" not in overview
    assert "nsclc-os/1</a>" not in overview


def test_as_of_a_commit_a_version_has_the_aliases_and_the_company_of_then(two: Served, registered: dict[str, int]) -> None:
    assert registered["1"] < registered["2"]
    page = two.get(f"/models/1?as_of={registered['1']}").text
    assert "nsclc-os/1" in page
    assert "nsclc-os/1" in two.get(f"/models/champion?as_of={registered['1']}").text
    assert "Compare with" not in page, "the second version was not there"
    assert "0.710 (0.620 to 0.780)" in page
    assert two.get(f"/models/2?as_of={registered['1']}").status == 404
    assert two.get(f"/models/challenger?as_of={registered['1']}").status == 404
    assert two.get(f"/models/2?as_of={registered['2']}").status == 200


def test_the_command_below_a_page_has_the_pages_as_of(two: Served, two_versions: Work, registered: dict[str, int]) -> None:
    then = registered["1"]
    for page, typed in (("/models", f"penumbra models --as-of {then}"), ("/models/1", f"penumbra card nsclc-os/1 --as-of {then}")):
        assert f"<code>{typed}</code>" in two.get(f"{page}?as_of={then}").text
    assert {row[1] for row in model_rows(two_versions.home, as_of=str(then)).rows} == {1}
    assert f"No command gives this page as of {then}" in two.get(f"/?as_of={then}").text
    assert f"<code>penumbra compare 1 2 --as-of {registered['2']}</code>" in two.get(f"/models/compare?versions=1,2&as_of={registered['2']}").text


def test_the_command_of_the_decisions_lists_those_of_the_page(two: Served, two_versions: Work) -> None:
    for query in ("", "?center=east", "?outcome=promoted", "?outcome=not+finished", "?center=east&outcome=kept"):
        page = two.get(f"/decisions{query}").text
        typed = re.search(r"<code>penumbra sql &#34;(.*?)&#34;</code>", page)
        assert typed is not None, query
        rows = store.query(two_versions.home, html.unescape(typed[1])).to_pylist()
        assert rows, query
        assert [row["retraining"] for row in rows] == re.findall(r'<th scope="row"><a href="[^"]*retraining=(\w+)', page), query


def test_evidence_that_counts_a_withdrawn_patient_says_so(two_versions: Work, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(two_versions.home, home)
    with store.connect(home) as lake:
        assert [entry.withdrawn for entry in standings(home, lake)] == [0, 0]
        store.forget(lake, lake.sql("SELECT min(patient) AS patient FROM patients WHERE center = 'east'").to_pylist()[0]["patient"], run="test")
        assert [entry.withdrawn for entry in standings(home, lake)] == [1, 1]
    with serving.served(home) as running:
        for page in ("/", "/models/1"):
            assert "1 patient was withdrawn after this was measured and is still counted here" in running.get(page).text, page
        assert "a report that names a withdrawn patient is deleted with the patient" in running.get("/models/1").text
        assert running.get("/models/1").text.count('<code class="command">penumbra run</code>') == 2


def test_a_comparison_reads_the_files_of_twenty_versions_at_most(two: Served) -> None:
    def asked(many: int) -> Answer:
        return two.get("/models/compare?" + "&".join(f"versions={number}" for number in range(1, many + 1)))

    refused = asked(21)
    assert refused.status == 400
    assert "21 versions are named" in refused.text
    assert "Compare at most 20" in refused.text
    assert "versions are named" not in asked(20).text
