"""The page of statements: answers, errors at their place, charts and files; judged and bounded as serve-sql."""

import contextlib
import io
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pyarrow import csv

from penumbra.console.sql import marked
from penumbra.console.trail import log_of, seen
from penumbra.store.worked import queries
from tests.store.hostile_statements import HOSTILE
from tests.store.test_answer import fill_in

from .serving import Answer, Served

pytestmark = pytest.mark.slow

ROWS = "SELECT patient, age, time FROM patients ORDER BY age"


def ask(served: Served, statement: str, **more: str) -> Answer:
    return served.get(f"/sql?{urlencode({'q': statement, **more})}")


def test_an_answer_has_rows_time_command_and_files(served: Served) -> None:
    page = ask(served, ROWS).text
    assert "<strong>2 rows</strong>, 3 columns, in" in page
    assert "penumbra sql &#34;SELECT patient, age, time FROM patients ORDER BY age&#34;" in page
    answer = ask(served, ROWS, format="csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="answer.csv"'
    assert csv.read_csv(io.BytesIO(answer.body)).to_pydict() == {"patient": ["N001", "N002"], "age": [61.0, 74.0], "time": [420.0, 730.0]}
    assert "<strong>100,000 rows</strong>" in ask(served, "FROM range(100000)").text
    assert "No row of withdrawals fits" in ask(served, "FROM withdrawals").text
    assert "<strong>0 rows</strong>" in ask(served, "FROM patients", as_of="0").text


def test_an_error_is_shown_at_its_place_with_the_advice_of_the_command(served: Served) -> None:
    answer = ask(served, "SELECT patient,\n  agee FROM patients")
    assert answer.status == 400
    assert "Did you mean age?" in answer.text
    assert "Line 2, character 3:" in answer.text
    assert "<mark>agee</mark> FROM patients" in answer.text
    assert "Did you mean FROM?" in ask(served, "SELECT patient FORM patients").text
    assert "<mark>patien</mark>" in ask(served, "SELECT 'ü' FROM patien").text


def test_a_place_is_marked_as_a_whole_word() -> None:
    assert marked("SELECT a,\n bc_d FROM x", 11) == (2, 2, " ", "bc_d", " FROM x")
    assert marked("SELECT (", 8) == (1, 9, "SELECT (", " ", "")
    assert marked("SELECT 1", None) is None


def test_two_columns_are_drawn(served: Served) -> None:
    points = ask(served, ROWS, x="age", y="time").text
    assert "<svg" in points
    assert "time against age, 2 points" in points
    assert "time by patient, 2 groups" in ask(served, ROWS, x="patient", y="time").text
    assert "has no number to draw" in ask(served, ROWS, x="age", y="patient").text
    assert "has no column" in ask(served, ROWS, x="age", y="nothing").text


def test_the_worked_questions_are_one_click_away_and_answer(served: Served) -> None:
    links = [link for link in served.links("/sql") if link.startswith("/sql?q=")]
    assert len(links) == len(queries()) >= 30
    for link in links[::6]:
        assert served.get(link).status == 200, link


def test_the_editor_knows_the_relations_their_columns_and_what_they_mean(served: Served) -> None:
    words = json.loads(served.get("/sql/words").body)
    assert words["relations"]["patients"]["columns"]["age"] == "years at diagnosis"
    assert words["relations"]["patients"]["comment"].startswith("a patient")
    assert "SELECT" in words["keywords"]


def test_hostile_statements_are_refused_by_the_same_judge(served: Served, small_home: Path) -> None:
    for statement, why, rule in HOSTILE:
        text = fill_in(statement, small_home)
        if len(text) > 15_000 or not text.strip() or any("\ud800" <= letter <= "\udfff" for letter in text):  # no address holds these
            continue
        answer = ask(served, text)
        assert answer.status in (400, 404, 408, 413, 414, 431), (text[:100], why, rule)
        assert b"root:x" not in answer.body
    for field in ("format", "as_of", "x", "y"):
        for text in ("'; DROP TABLE x", "<script>alert(1)</script>", "../../etc", "a\0b", "\u202e"):
            more = {"x": "age", "y": "time", field: text}
            answer = ask(served, ROWS, **more)
            assert answer.status in (400, 404), (field, text)
            assert b"<script>alert" not in answer.body
    assert served.ask("/sql", method="POST", body=b"x" * 1_000_000).status in (403, 405, 413)
    with contextlib.suppress(ConnectionError):  # the line may be cut before all of it was sent
        assert served.get("/sql?q=" + "x" * 1_000_000).status in (400, 414, 431)
    assert "<strong>1 row</strong>" in ask(served, "SELECT 42 AS n").text  # and the console lives


def test_only_a_statement_that_was_run_is_a_look_at_a_patient(served: Served) -> None:
    """A worked question names N001; the editor and the answer to another question show nobody."""
    log = log_of(served.home)

    def looks() -> list[str]:
        return [entry["page"] for entry in seen(log, patient="N002")]

    worked = next(query.sql for query in queries() if "N001" in query.sql)
    assert "N001" in served.get("/sql").text, worked
    before = [entry["n"] for entry in seen(log, patient="N001")]
    served.get("/sql")
    ask(served, "SELECT count(*) AS n FROM centers")
    assert [entry["n"] for entry in seen(log, patient="N001")] == before
    known = looks()
    ask(served, "SELECT patient FROM patients WHERE age = 74")
    assert looks() in (["sql", *known], known), "seen within the last minute is one entry"
    assert "sql" in looks()
