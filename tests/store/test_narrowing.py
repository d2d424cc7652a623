"""What a statement can need of the wide and long relations: never less than it asks, and where its columns are named little more."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import Store
from penumbra.store.answer import query
from penumbra.store.holding import Holder
from penumbra.store.judging import JUDGE
from penumbra.store.serving import Question
from penumbra.store.worked import queries

from .conftest import FEATURES as STORED_FEATURES
from .conftest import VERSION, image, patients, vector_rows

WIDE = "SELECT r.patient, \"original_glcm_Contrast\" AS c FROM radiomics AS r JOIN patients USING (patient, center) WHERE roi = 'gtv'"
LONG = "SELECT patient, value FROM radiomics_long WHERE roi = 'gtv' AND feature = 'original_glcm_Contrast'"
NAMED = (
    WIDE,
    'SELECT "ORIGINAL_glcm_contrast", event FROM gtv_outcome WHERE time > 100 ORDER BY 1',
    "WITH high AS (SELECT patient, center, log_risk FROM deep WHERE deep_001 > 61) SELECT count(*) FROM high JOIN gtv_outcome USING (patient, center)",
    'SELECT center, corr("original_glcm_Contrast", "original_firstorder_Mean"::FLOAT) FROM gtv_outcome_all GROUP BY ALL',
)
UNNAMED = (
    "FROM radiomics",
    "SELECT radiomics.* FROM radiomics",
    "SELECT COLUMNS('wavelet.*') FROM gtv_outcome",
    "SELECT radiomics FROM radiomics",
    "SELECT to_json(r) FROM radiomics AS r",
    "SELECT b FROM radiomics AS r(a, b)",
    "SELECT #7 FROM radiomics",
    "SELECT patient FROM radiomics NATURAL JOIN gtv_outcome",
    "SELECT patient FROM main.radiomics",
    "SUMMARIZE radiomics",
    "SELECT * FROM (PIVOT radiomics ON roi IN ('gtv', 'ring_3mm') USING first(version))",
    "PIVOT (SELECT patient, roi, original_glcm_Contrast FROM radiomics) ON roi USING first(original_glcm_Contrast)",
    "EXPLAIN SELECT patient FROM radiomics",
)
FEATURES = (
    LONG,
    "SELECT * FROM radiomics_long AS l WHERE l.feature IN ('original_glcm_Contrast', 'wavelet-LLH_glcm_Contrast') AND value > 0",
    "SELECT a.patient, a.value - b.value AS d FROM radiomics_long a JOIN radiomics_long b USING (patient, center, roi) "
    "WHERE a.feature = 'original_glcm_Contrast' AND 'wavelet-LLH_glcm_Contrast' = b.feature",
    "SELECT count(*) FROM (FROM radiomics_long_all WHERE feature = 'original_glcm_Contrast')",
    "SELECT count(*) FROM radiomics_long WHERE feature = 'no_such_feature'",
)
EVERY_FEATURE = (
    "SELECT count(*) FROM radiomics_long",
    "SELECT count(*) FROM radiomics_long WHERE feature = 'original_glcm_Contrast' OR roi = 'gtv'",
    "SELECT count(*) FROM radiomics_long WHERE NOT (feature = 'original_glcm_Contrast')",
    "SELECT count(*) FROM radiomics_long WHERE feature <> 'original_glcm_Contrast'",
    "SELECT count(*) FROM radiomics_long WHERE feature NOT IN ('original_glcm_Contrast')",
    "SELECT count(*) FROM radiomics_long WHERE feature LIKE 'original%'",
    "SELECT count(*) FROM radiomics_long WHERE feature = roi",
    "SELECT count(*) FROM radiomics_long WHERE feature IN (SELECT feature FROM catalogue)",
    "SELECT count(*) FROM radiomics_long a(feature, b) WHERE feature = 'N000'",
    "SELECT count(*) FROM (FROM radiomics_long TABLESAMPLE 5 ROWS) WHERE feature = 'original_glcm_Contrast'",
    "SELECT count(*) FROM radiomics_long TABLESAMPLE 5 ROWS WHERE feature = 'original_glcm_Contrast'",
    "SELECT count(*) FROM patients LEFT JOIN radiomics_long USING (patient, center) WHERE feature = 'original_glcm_Contrast'",
    "SELECT count(*) FROM radiomics_long a JOIN radiomics_long b USING (patient) WHERE a.feature = 'original_glcm_Contrast'",
)


@pytest.mark.parametrize("statement", NAMED)
def test_only_the_columns_that_are_named_are_needed(locked: Store, statement: str) -> None:
    columns = JUDGE.ask(statement, locked.views.names()).columns
    assert columns is not None
    assert len(columns) < 12
    assert set(locked.views.narrowable(statement, columns, None)) >= {"gtv_outcome"} & {*statement.split()}


@pytest.mark.parametrize("statement", UNNAMED)
def test_every_column_is_needed_where_one_may_be_meant_without_its_name(locked: Store, statement: str) -> None:
    assert JUDGE.ask(statement, locked.views.names()).columns is None


@pytest.mark.parametrize("statement", FEATURES)
def test_only_the_features_that_are_asked_are_needed(locked: Store, statement: str) -> None:
    features = JUDGE.ask(statement, locked.views.names()).features
    assert features is not None
    assert 1 <= len(features) <= 2


@pytest.mark.parametrize("statement", EVERY_FEATURE)
def test_every_feature_is_needed_where_the_condition_leaves_it_open(locked: Store, statement: str) -> None:
    assert JUDGE.ask(statement, locked.views.names()).features is None


def test_narrow_views_answer_as_whole_ones(locked: Store) -> None:
    narrowed = 0
    for statement in (*NAMED, *FEATURES, *(worked.sql for worked in queries())):
        verdict = JUDGE.ask(statement, locked.views.names())
        views = locked.views.narrowable(statement, verdict.columns, verdict.features)
        if not views:
            continue
        narrowed += 1
        whole = locked.connection.execute(f"FROM ({statement}) ORDER BY ALL").fetchall()
        with locked.connection.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            locked.views.narrow(cursor, views)
            assert cursor.execute(f"FROM ({statement}) ORDER BY ALL").fetchall() == whole, statement
            [(temporary,)] = cursor.execute("SELECT count(*) FROM duckdb_views() WHERE temporary AND NOT internal").fetchall()
            assert temporary == len(views)
    assert narrowed > len(NAMED) + len(FEATURES), "some worked queries are among them"


def test_a_mistaken_column_is_answered_with_all_there_are(filled: Path) -> None:
    with pytest.raises(Refusal, match="original_glcm_Contrast"):
        query(filled, 'SELECT patient, "original_glcm_Contrst" FROM radiomics')


def test_what_a_process_keeps_follows_each_commit(own: Path) -> None:
    """A corrected scan, a departure, a new definition and new features: each is seen by the statement after it."""
    holder = Holder(own, 300)

    def ask(statement: str) -> list[dict[str, Any]]:
        verdict = JUDGE.ask(statement, holder.store().views.names())
        question = {**asdict(Question(statement, "json")), "timeout_s": 20.0, "memory_mb": 300, "max_rows": 1000, "at_once": 1, "verdict": asdict(verdict)}
        answer: list[dict[str, Any]] = json.loads(holder.answer(question).getvalue())
        return answer

    before = ask(LONG)
    assert len(before) == len(patients())
    with store.connect(own) as lake:
        lake.write({"images": [image("N000", "north", "image2")]}, run="r", what="a corrected scan")
    assert len(ask(LONG)) == len(before) - 1, "the features of the scan that was corrected are not shown"
    with store.connect(own) as lake:
        rows = [row for row in vector_rows("image2", seed=1) if row["patient"] == "N000"]
        store.write_features(lake, "radiomics", VERSION, rows, features=STORED_FEATURES, run="r")
    corrected = ask(LONG)
    assert len(corrected) == len(before)
    assert corrected != before
    with store.connect(own) as lake:
        lake.write({"departures": [{"patient": "N001", "center": "north", "found": "no row"}]}, run="r", what="no longer sent")
    assert "N001" not in {row["patient"] for row in ask(LONG)}
    assert sorted((row["patient"], row["c"]) for row in ask(WIDE)) == sorted((row["patient"], row["value"]) for row in ask(LONG))
