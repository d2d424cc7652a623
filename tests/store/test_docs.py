"""Every query of docs/sql.md runs, and answers something where the little store has an answer."""

import re
from pathlib import Path

import pytest

from penumbra.store import Store
from penumbra.store.judging import JUDGE

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
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


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_worked_query(locked: Store, number: int) -> None:
    verdict = JUDGE.ask(QUERIES[number], locked.views.names())
    assert locked.connection.execute(verdict.statement).fetchall() or any(sign in QUERIES[number] for sign in EMPTY)
