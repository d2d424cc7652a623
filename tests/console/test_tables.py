"""Relations as tables: what is shown, linked and downloaded, and that nothing hostile in an address does anything."""

import html
import io
import re
import shlex
from urllib.parse import quote, urlencode

import pytest
from pyarrow import csv, ipc, parquet

from penumbra import store

from .serving import Served

pytestmark = pytest.mark.slow

HOSTILE = (
    "'; DROP TABLE patients; --",
    '" OR 1=1 --',
    "1) UNION SELECT * FROM duckdb_settings() --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "read_csv('/etc/passwd')",
    "\u202eevil\U0001f4a3",
    "a\0b",
    "%00",
    "-" * 5000,
    "9" * 400,
    "{{ 7*7 }}",
)
FIELDS = ("column1", "operator1", "value1", "show", "sort", "page", "as_of", "format", "find", "q", "column13")


def command(page: str) -> str:
    """The command that a page shows."""
    shown = re.search(r"The same at the command line: <code>(.*?)</code>", page, re.DOTALL)
    assert shown is not None
    return html.unescape(shown[1])


def test_every_relation_is_listed_with_its_meaning_and_opens(served: Served) -> None:
    page = served.get("/tables").text
    links = [link for link in served.links("/tables") if link.startswith("/tables/")]
    assert len(links) >= 45
    assert "a patient with the newest clinical record" in page
    for link in links:
        assert served.get(link).status in (200, 202), link  # 202: being computed
    assert "No relation fits" in served.get("/tables?q=nothingatall").text
    assert served.get("/tables/patien").status == 404
    assert "Did you mean patients?" in served.get("/tables/patien").text


def test_a_table_is_filtered_sorted_and_shown_with_links(served: Served) -> None:
    page = served.get("/tables/patients?column1=age&operator1=%3E&value1=70&sort=-time&show=patient&show=age").text
    assert "N002" in page
    assert "N001" not in page
    assert 'href="/tables/commits?column1=id' in served.get("/tables/patients?show=patient&show=commit_id").text
    assert "1 row, 2 of 14 columns" in page
    assert "years at diagnosis" in page
    empty = served.get("/tables/patients?column1=age&operator1=%3E&value1=700")
    assert (empty.status, "No rows match" in empty.text) == (200, True)
    wrong = served.get("/tables/patients?column1=age&operator1=%3E&value1=old")
    assert wrong.status == 400
    assert "age is a number" in wrong.text
    assert 'value="old"' in wrong.text


def test_the_command_of_a_page_gives_its_rows(served: Served) -> None:
    for query in ("sort=-age&show=patient&show=age", "column1=patient&operator1=contains&value1=n0&q=NORTH", "as_of=1"):
        program, verb, statement, *options = shlex.split(command(served.get(f"/tables/patients?{query}").text))
        assert (program, verb, options) == ("penumbra", "sql", ["--as-of", "1"] if "as_of" in query else [])
        rows = store.query(served.home, statement, as_of=1 if options else None).to_pylist()
        page = served.get(f"/tables/patients?{query}").text
        assert [row["patient"] for row in rows] == re.findall(r">(N\d+)<", page) != []


def test_downloads_are_what_is_shown(served: Served) -> None:
    query = "column1=center&operator1=%3D&value1=north&sort=-age&show=age&show=patient"
    expected = {"age": [74.0, 61.0], "patient": ["N002", "N001"]}
    answer = served.get(f"/tables/patients?{query}&format=csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="patients.csv"'
    assert csv.read_csv(io.BytesIO(answer.body)).to_pydict() == expected
    assert parquet.read_table(io.BytesIO(served.get(f"/tables/patients?{query}&format=parquet").body)).to_pydict() == expected
    assert ipc.open_stream(served.get(f"/tables/patients?{query}&format=arrow").body).read_all().to_pydict() == expected


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_hostile_in_a_field_is_run_or_shown_as_it_is(served: Served, field: str) -> None:
    valid = {"column1": "center", "operator1": "=", "value1": "north"}
    for text in HOSTILE:
        answer = served.get(f"/tables/patients?{urlencode({**valid, field: text})}")
        assert answer.status in (200, 400, 404), (field, text[:60])
        assert b"<script>alert" not in answer.body
        assert b"root:x" not in answer.body
        assert "Traceback" not in answer.text
        assert "This page failed" not in answer.text
    assert served.get("/tables/patients").text.count(">N00") == 2


def test_nothing_hostile_is_a_relation_and_no_body_is_read_for_long(served: Served) -> None:
    for text in HOSTILE:
        answer = served.get(f"/tables/{quote(text, safe='')}")
        assert answer.status in (400, 404), text[:60]
        assert b"<script>alert" not in answer.body
    assert served.get("/tables/stored.patients").status == 404
    assert served.get("/tables/lake.patients").status == 404
    assert served.ask("/tables/patients", method="POST", body=b"x" * 1_000_000).status in (403, 405, 413)
    assert served.ask("/tables/patients?q=" + "x" * 30_000).status in (400, 414, 431)
