"""Retrainings as pages: the gate with its limits drawn, the closed test, those of other versions of the program, and what follows."""

import pytest

from penumbra.pipeline.workspace import Work
from penumbra.retraining import record
from penumbra.retraining.record import Retraining

from . import versions_home
from .serving import Served

pytestmark = pytest.mark.slow


def test_every_retraining_is_listed_with_its_outcome(two: Served) -> None:
    page = two.get("/decisions").text
    assert "5 retrainings" in page
    for words in ("kept", "promoted", "not finished"):
        assert words in page
    assert "1 retraining<" in two.get("/decisions?center=south").text
    assert "2 retrainings" in two.get("/decisions?outcome=not%20finished").text
    assert "No matching retrainings" in two.get("/decisions?center=%27%20OR%201=1").text
    assert "<script>" not in page.replace("<script src", "")


def test_a_decision_is_its_steps_with_facts(two: Served) -> None:
    page = two.get("/decisions/east").text
    places = [page.index(f"<h3>{step}</h3>") for step in ("arrival", "validation", "checks", "refit", "gate", "decision")]
    assert places == sorted(places)
    for words in (
        "GTV without contours or voxels 1",
        "inside 20, outside 4",
        "gtv.original_firstorder_Mean -1.25",
        "east 0.630",
        "Champion then",
        "nsclc-os/2",
    ):
        assert words in page, words


def test_the_gates_limits_are_drawn_and_read(two: Served) -> None:
    page = two.get("/decisions/east").text
    gate = page[page.index("<h3>gate</h3>") : page.index("<h3>decision</h3>")]
    assert gate.count('<svg class="strip"') == 5, "all centers, two centers, two baselines"
    assert gate.count('class="bracket') == 3, "the one-sided limit, where it decides"
    assert gate.count('class="zero"') == 5
    assert "not shown to be better" in gate
    assert "fewer than 10 deaths: not judged alone" in gate
    assert "tumor volume alone" in gate
    assert "+0.050 (-0.040 to +0.090)" in gate
    assert "style=" not in page


def test_the_closed_test_is_a_table(two: Served) -> None:
    page = two.get("/decisions/south").text
    assert "39.4" in page
    assert "9 deaths, 20.5 expected" in page
    assert "penumbra rollback" in page, "what a person could do next"


def test_decisions_of_other_versions_of_the_program_are_shown_as_far_as_they_go(two: Served) -> None:
    old = two.get("/decisions/east?retraining=k0")
    assert old.status == 200
    assert "Kept: not better by more than 0." in old.text
    assert "A later retraining of the center has been decided since" in old.text
    other = two.get("/decisions/east?retraining=k1")
    assert other.status == 200
    assert "not finished" in other.text


def test_a_center_of_any_name_is_text(two: Served) -> None:
    page = two.get("/decisions/west%3Cscript%3E")
    assert page.status == 200
    assert "west&lt;script&gt; arrived" in page.text
    assert "penumbra retrain --center" in page.text
    for missing in ("/decisions/nowhere", "/decisions/east?retraining=nothing", "/decisions/%2e%2e"):
        assert two.get(missing).status == 404, missing


def test_an_empty_list_says_how_one_comes_about(served: Served) -> None:
    page = served.get("/decisions")
    assert page.status == 200
    assert "penumbra retrain --center NAME" in page.text


@pytest.mark.parametrize(
    ("decision", "words", "command"),
    [
        ("propose", "A person decides", 'penumbra promote nsclc-os/2 --reason "..."'),
        ("set aside", "not tried again by itself", "penumbra retrain --center east"),
        ("overtaken", "another champion", "penumbra retrain --center east"),
        ("stop", "Nothing, until", ""),
        ("keep", "in the shadow", "penumbra compare champion 2"),
    ],
)
def test_what_follows_from_each_decision(two_versions: Work, decision: str, words: str, command: str) -> None:
    row = versions_home.step("k2", "east", "decision", "so it is", decision=decision, champion=1, challenger=2)
    made = Retraining("k2", "east", (record.Step("decision", "so it is", row["facts"], record.datetime(2030, 1, 1, tzinfo=record.UTC)),))
    sentence, typed = record.following(two_versions.home, made, "nsclc-os")
    assert words in sentence
    assert typed == command
