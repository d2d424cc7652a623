"""What a statement that fails is answered with: the name that was meant, what the engine proposes, and no advice that is refused itself."""

import re
from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.store import query
from penumbra.store.guard import ADVICE
from penumbra.store.hints import of_engine

pytestmark = pytest.mark.slow

NEXT = [  # statement, what was found, what to do
    ("SELECT * FROM patien", "no relation 'patien'", r"Did you mean patients\? SHOW TABLES lists the other \d+"),
    ("SELECT * FROM main.patien", "no relation 'main.patien'", r"Did you mean patients\?"),
    ("DESCRIBE patien", "no relation 'patien'", r"Did you mean patients\?"),
    ("FROM nothing_like_it", "no relation 'nothing_like_it'", r"SHOW TABLES lists all \d+"),
    ("SHOW TABELS", "no relation 'TABELS'", r"Did you mean SHOW TABLES\?"),
    ("SELECT agee FROM patients", "no column 'agee' in patients", r"Did you mean age\? Candidates: "),
    ("SELECT p.agee FROM patients p", "no column 'agee' in patients", r"Did you mean age\?"),
    ("SELECT x.age FROM patients p", "no relation or alias 'x' in FROM", r"There are: p"),
    ("SELECT * FROM patients JOIN images USING (pateint)", "no column 'pateint'", r"Did you mean patient\?"),
    ("SELECT p.stage FROM patients p JOIN rejections r ON r.stage = p.stage", "no column 'stage'", "Of these rejections alone has it"),
    ("SELECT original_shape_MeshVolum FROM radiomics", "no column 'original_shape_MeshVolum'", "Did you mean original_shape_MeshVolume"),
    ("SELECT wavelet-LLH_glcm_Contrast FROM radiomics", "no column 'wavelet'", 'in double quotes: "wavelet-LLH_glcm_Contrast"'),
    ("SELECT wavelet-LLH_glcm_Contrst FROM radiomics", "no column 'wavelet'", 'in double quotes: "wavelet-LLH_glcm_Contrast"'),
    ("SELECT log-sigma-1-0-mm-3D_glcm_Contrast FROM radiomics", "no column 'log'", 'in double quotes: "log-sigma-1-0-mm-3D_glcm_Contrast"'),
    ("SELECT rule, at FROM rejections", "syntax error", 'Put at in double quotes: "at"'),
    ("SELECT * FROM commits WHERE at > '2026-01-01' ORDER BY at", "syntax error", 'Put at in double quotes: "at"'),
    ('SELECT * FROM patients WHERE center = "east"', "no column 'east'", "Put a text in single quotes: 'east'"),
    ("SELECT * FROM patients WHERE center = east", "no column 'east'", "Put a text in single quotes: 'east'"),
    ("SELEC * FROM patients", "syntax error", r"Did you mean SELECT\?"),
    ("SELECT * FORM patients", "syntax error", r"Did you mean FROM\?"),
    ("SELECT age FROM patients GRUOP BY age", "syntax error", r"Did you mean GROUP\?"),
    ("SELECT * FROM patients WHERE", "syntax error at end of input", "ends too early"),
    ("SELECT 'east FROM patients", "unterminated quoted string", "Close the quotation mark"),
    ("SELECT averge(age) FROM patients", "averge does not exist", r'Did you mean "avg"\?'),
    ("SELECT center, age FROM patients GROUP BY center", "must appear in the GROUP BY clause", "Either add it to the GROUP BY list"),
    ("SELECT 1 FROM patients WHERE age = 'old'", "Could not convert", "DESCRIBE patients shows the type of each column"),
    ("FROM histogram(patien, age)", "the source of histogram is not a relation", r"Did you mean histogram\(patients"),
    ("DELETE FROM patients", "DELETE is not a question", "Ask with one SELECT"),
]


PLANS = [
    "EXPLAIN (FORMAT JSON) SELECT * FROM patients",
    "EXPLAIN (FORMAT 'json') SELECT * FROM patients",
    "EXPLAIN (ANALYZE, FORMAT json) FROM patients",
    "-- a comment\nEXPLAIN SELECT 1",
    "/* a comment */ EXPLAIN /* another */ (FORMAT JSON) SELECT 1",
]
# A statement for each word that the advice against what is not a question names.
NAMED = {
    "SELECT": "SELECT 1", "WITH": "WITH a AS (FROM patients) FROM a", "FROM": "FROM patients", "VALUES": "VALUES (1)",
    "PIVOT": "PIVOT patients ON center USING count(*)", "DESCRIBE": "DESCRIBE patients", "SUMMARIZE": "SUMMARIZE patients",
    "SHOW TABLES": "SHOW TABLES", "EXPLAIN": "EXPLAIN SELECT 1",
}  # fmt: skip


def test_a_failing_statement_is_one_sentence_with_the_next_step(filled: Path) -> None:
    """Broke: the engine's candidates were lost, 28 names were printed in a row, and every advice was the same."""
    for statement, found, advice in NEXT:
        with pytest.raises(Refusal) as refused:
            query(filled, statement)
        said = str(refused.value)
        assert found in refused.value.found, said
        assert re.search(advice, said), said
        assert not re.search(r"[!;:,]\.|[^.]\.\.[^.]|\n", said), said
        assert len(said) < 600


def test_plans_and_what_the_advice_names_are_answered(filled: Path) -> None:
    assert re.findall(r"[A-Z][A-Z ]+[A-Z]", ADVICE.replace(" or ", ", ")) == list(NAMED)
    for statement in (*PLANS, *NAMED.values()):
        assert query(filled, statement).num_columns, statement


def test_no_path_and_no_line_of_the_statement_is_repeated() -> None:
    text = (
        'Binder Error: Referenced column "a" not found in FROM clause!\nCandidate bindings: "age"\n\nLINE 1: SELECT a, secret FROM patients\n               ^'
    )
    assert of_engine(text, "SELECT a FROM patients", {"patients": ["age"]}) == (
        "no column 'a' in patients",
        "Candidates: age; DESCRIBE patients shows its columns",
    )
    assert of_engine("", "", {}) == ("the statement fails", "Correct the statement")
