"""SQL for people: what is answered, what is refused, and that a refusal is one clear sentence."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import store
from penumbra.base import tables
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.store import Store
from penumbra.store.judging import JUDGE
from penumbra.store.views import INTERNAL

from .hostile_statements import HARMLESS, HOSTILE


def fill_in(statement: str, filled: Path) -> str:
    inside = next((filled / "store" / "files").rglob("*.parquet"))
    for name, path in {"{store}": filled / "store", "{secret}": filled.parent / "secret.csv", "{inside}": inside}.items():
        statement = statement.replace(name, str(path))
    return statement.replace("{{", "{").replace("}}", "}")


def folder_digest(folder: Path) -> dict[str, str]:
    """Every file's digest; but for SQLite's shared memory, and a write-ahead log that holds nothing."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".sqlite-shm" and file.stat().st_size]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.slow
def test_hostile_statements_are_refused(locked: Store, filled: Path) -> None:
    """All of them through the judge alone; test_judging sends them through every entry point."""
    names = locked.views.names()
    for statement, why, rule in HOSTILE:
        with pytest.raises(Refusal) as refusal:
            pytest.fail(f"passed: {JUDGE.ask(fill_in(statement, filled), names).statement[:200]} ({why})")
        assert refusal.value.rule == rule, (statement[:200], str(refusal.value))
        assert "\n" not in str(refusal.value)
        assert len(refusal.value.found) < 400


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(HARMLESS)))
def test_harmless_statements_are_answered(locked: Store, filled: Path, number: int) -> None:
    verdict = JUDGE.ask(fill_in(HARMLESS[number], filled), locked.views.names())
    locked.connection.execute(verdict.statement).fetchall()


@pytest.mark.parametrize(
    "statement",
    [
        "FROM '{secret}'",
        "FROM read_text('{secret}')",
        "COPY (SELECT 1) TO '{secret}'",
        "ATTACH '{secret}' AS other",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "LOAD httpfs",
        "INSERT INTO lake.patients (patient) VALUES ('x')",
        "DROP TABLE lake.patients",
        "CALL ducklake_expire_snapshots('lake', older_than => now())",
    ],
)
def test_the_engine_refuses_too(locked: Store, filled: Path, statement: str) -> None:
    """The second lock: what would happen if the guard let it pass."""
    import duckdb

    (filled.parent / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.Error):
        locked.connection.execute(fill_in(statement, filled)).fetchall()


def test_asking_changes_no_file(filled: Path) -> None:
    before = folder_digest(filled)
    store.query(filled, "SELECT count(*) FROM radiomics_long")
    with pytest.raises(Refusal):
        store.query(filled, "DROP TABLE lake.patients")
    assert folder_digest(filled) == before


@pytest.mark.slow
def test_answers(filled: Path) -> None:
    assert store.query(filled, "SELECT center, patients FROM centers ORDER BY center").to_pylist() == [
        {"center": "east", "patients": 4},
        {"center": "north", "patients": 6},
        {"center": "south", "patients": 3},
    ]
    files = {file.stem: file.read_text() for file in (project_root() / "features" / "views").glob("*.sql")}
    files |= dict.fromkeys(("gtv_outcome", "ring_3mm_outcome", "ring_6mm_outcome", "ring_9mm_outcome"), files.pop("roi_outcome"))
    declared = {*files, *(f"{name}_all" for name, text in files.items() if "$all" in text)}
    assert store.query(filled, "SHOW TABLES").column("name").to_pylist() == sorted(declared - INTERNAL)


@pytest.mark.slow
def test_describe_explains_every_column_of_every_relation(filled: Path) -> None:
    tables = store.query(filled, "SELECT table_name, comment FROM duckdb_tables()").to_pylist()
    columns = store.query(filled, "SELECT table_name, column_name, comment FROM duckdb_columns()").to_pylist()
    assert [row["table_name"] for row in tables if not row["comment"]] == []
    features = ("deep_", "original_", "wavelet-")
    assert [(row["table_name"], row["column_name"]) for row in columns if not row["comment"] and not row["column_name"].startswith(features)] == []
    described = store.query(filled, "DESCRIBE patients").to_pylist()
    assert {"column_name": "age", "column_type": "DOUBLE", "comment": "years at diagnosis"} in described


@pytest.mark.slow
def test_the_machines_time_zone_changes_no_answer(filled: Path) -> None:
    """Broke: in Tokyo no commit was of the last hour, and today was another day."""
    asked = """SELECT count(*) FILTER ("at" > now() - INTERVAL 1 DAY AND "at" <= now()) = count(*) AS all_of_a_day,
        current_date = any_value(today()) AS one_day, current_date = (now() AT TIME ZONE 'UTC')::DATE AS utc, strftime(now(), '%z') AS zone,
        now()::TIMESTAMP - max("at") < INTERVAL 6 HOUR AS recent FROM commits"""
    for zone in ("Asia/Tokyo", "America/New_York"):
        command = [sys.executable, "-m", "penumbra.cli", "sql", "--format", "json", asked]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TZ": zone, "PENUMBRA_HOME": str(filled)})
        assert json.loads(done.stdout) == [{"all_of_a_day": True, "one_day": True, "utc": True, "zone": "+00", "recent": True}], done.stderr
    with store.connect(filled, read_only=True) as lake:  # Python, the shell and the server open the same engine
        assert lake.sql("SELECT current_setting('TimeZone') AS zone").to_pylist() == [{"zone": "UTC"}]


def test_unknown_names_are_told(filled: Path) -> None:
    with pytest.raises(Refusal, match=r"no relation 'patient'\. Did you mean patients\? SHOW TABLES lists the other \d+\."):
        store.query(filled, "SELECT * FROM patient")
    with pytest.raises(Refusal, match=r".*agee.*\(rule sql_failed\)"):
        store.query(filled, "SELECT agee FROM patients")


@pytest.mark.slow
def test_limits(filled: Path) -> None:
    started = time.monotonic()
    with pytest.raises(Refusal, match=r"no answer within 0\.5 s"):
        store.query(filled, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b", timeout_s=0.5)
    with pytest.raises(Refusal, match="more than 10 rows"):
        store.query(filled, "FROM range(100)", max_rows=10)
    with pytest.raises(Refusal, match="needs more than 100MB"):
        store.query(filled, "SELECT list(a.range || 'x') FROM range(3000) a, range(3000) b", memory="100MB")
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_as_of_shows_all_relations_as_they_were(filled: Path) -> None:
    with store.connect(filled, read_only=True) as lake:
        newest = lake.newest_commit()
    for relation, since in {"patients": 1, "feature_versions": 2, "radiomics": 3, "deep": 4, "predictions": 5, "model_metrics": 5}.items():
        counts = [store.query(filled, f"SELECT count(*) AS n FROM {relation}", as_of=commit).to_pylist()[0]["n"] for commit in (since - 1, since)]  # noqa: S608
        assert counts[0] == 0 < counts[1], relation
    with pytest.raises(Refusal, match=f"no commit {newest + 1}; the newest is {newest}"):
        store.query(filled, "SELECT 1", as_of=newest + 1)


def test_the_first_rows_are_those_of_the_whole_answer_and_all_are_counted(filled: Path) -> None:
    """Every kind of value, as Arrow gives it; a table at the terminal is made from them."""
    statement = """SELECT i,
        i / 7 AS x, CASE WHEN i % 2 = 0 THEN NULL ELSE 'é' || i END AS text, [i, NULL] AS list, {'a': i, 'b': 'x'} AS struct, i > 3 AS bool,
        TIMESTAMP '2026-01-02 03:04:05.678' AS at, DATE '2026-01-02' AS day, 1.50::DECIMAL(5, 2) AS exact,
        'nan'::DOUBLE AS nan FROM range(500) AS t(i)"""
    whole = store.query(filled, statement)
    first = store.first_rows(filled, statement, 60)
    assert first.columns == tuple(whole.column_names)
    assert first.types[:3] == ("BIGINT", "DOUBLE", "VARCHAR")
    assert (len(first.rows), first.total, first.counted) == (60, 500, True)
    arrow = tables.Answer.of_arrow(whole, 60)
    assert repr([list(row) for row in first.rows]) == repr([list(row) for row in arrow.rows])
    assert tables.render(first.columns, first.rows, width=200) == tables.render(arrow.columns, arrow.rows, width=200)
    none = store.first_rows(filled, "SELECT * FROM patients WHERE false", 60)
    assert (len(none.columns), none.rows, none.total, none.counted) == (14, [], 0, True)


def test_more_rows_than_are_worth_counting_are_not_counted(filled: Path) -> None:
    found = store.first_rows(filled, "FROM range(100000000000)", 60)
    assert len(found.rows) == 60
    assert found.total >= 5_000_000
    assert not found.counted
    out = io.StringIO()
    tables.write(found, "table", out)
    assert f"... 60 of more than {found.total} rows; --format csv gives all" in out.getvalue()
    with pytest.raises(Refusal, match="sql_timeout"):
        store.first_rows(filled, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b", 60, timeout_s=0.5)
    with pytest.raises(Refusal, match="sql_memory"):
        store.first_rows(filled, "SELECT list(a.range || 'x') FROM range(3000) a, range(3000) b", 60, memory="100MB")


def test_a_question_at_the_terminal_imports_neither_arrow_nor_numpy(filled: Path) -> None:
    """0.1 s of 0.7."""
    code = """import sys
from penumbra.cli import main
main(["sql", "SELECT center, patients FROM centers ORDER BY center"], standalone_mode=False)
print([name for name in ("pyarrow", "numpy", "pandas", "rich.table") if name in sys.modules])"""
    environment = {**os.environ, "PENUMBRA_HOME": str(filled)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[2:5] == [" east            4", " north           6", " south           3"], done.stderr
    assert done.stdout.strip().endswith("[]")


def test_an_answer_without_rows_says_what_one_would_be(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(filled))
    told = CliRunner().invoke(main, ["sql", "SELECT patient FROM departures"])
    assert told.stdout.split("\n")[2] == " (no rows)"
    assert told.stderr == "No row of departures fits; a row there is: a patient whom the center no longer sends.\n"
    told = CliRunner().invoke(main, ["sql", "SELECT patient FROM departures", "--format", "csv"])
    assert (told.stdout, told.stderr) == ('"patient"\n', "")
