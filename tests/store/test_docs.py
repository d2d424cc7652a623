"""Every worked query runs, and answers something where the little store has an answer; docs/sql.md shows the same ones."""

import re
from pathlib import Path

import pytest

from penumbra.store import Store
from penumbra.store.judging import JUDGE
from penumbra.store.worked import queries

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = queries()
EMPTY = (
    "departures",
    "IN ('clinical', 'remark')",
    "flagged",
    "missing > 0",
    "abs(smd) > 0.8",
    "survival_2y < 0.7",
    "FROM feature_stability",
)  # nothing of the kind in the little store, or by chance


def test_there_are_twenty() -> None:
    assert len(QUERIES) >= 20


def test_the_page_shows_the_worked_queries_under_the_same_headings_and_questions() -> None:
    shown, topic, said = [], "", ""
    for paragraph in re.findall(r"```sql\n(?:[^`]+)```|[^\n]+(?:\n[^\n]+)*", PAGE):
        if paragraph.startswith("```sql"):
            shown.append((topic, " ".join(said.split()), paragraph.removeprefix("```sql\n").removesuffix("\n```")))
        topic, said = (paragraph.removeprefix("## "), said) if paragraph.startswith("## ") else (topic, paragraph)
    assert shown == [(query.topic, query.question, query.sql) for query in QUERIES]
    assert PAGE.count("```sql") == len(QUERIES)


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_worked_query(locked: Store, number: int) -> None:
    verdict = JUDGE.ask(QUERIES[number].sql, locked.views.names())
    assert locked.connection.execute(verdict.statement).fetchall() or any(sign in QUERIES[number].sql for sign in EMPTY)
