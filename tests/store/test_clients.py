"""The lake read by DuckDB's own clients, as docs/bi.md says: nothing of this program is in between."""

import importlib.util
import os
import re
from pathlib import Path

import duckdb
import pytest

from penumbra import store
from penumbra.store.lake import ADDRESS_FILE, store_folder
from penumbra.store.script import script

from .catalogs import Catalogs


def extension(name: str) -> str:
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(next(Path(spec.submodule_search_locations[0]).rglob("*.duckdb_extension")))


@pytest.mark.parametrize("catalogs", ["sqlite"], indirect=True)
def test_duckdb_reads_the_lake_and_cannot_write_it(own: Path, catalogs: Catalogs) -> None:
    folder = store_folder(own)
    with duckdb.connect() as client:
        for name in ("sqlite_scanner", "ducklake"):
            client.execute(f"LOAD '{extension(name)}'")
        client.execute(f"ATTACH 'ducklake:sqlite:{folder}/catalog.sqlite' AS lake (READ_ONLY, DATA_PATH '{folder}/files/', OVERRIDE_DATA_PATH true)")
        count = "SELECT count(DISTINCT patient) FROM lake.patients"
        before = client.execute(count).fetchall()
        assert before == [(store.query(own, "SELECT count(*) AS n FROM patients").to_pylist()[0]["n"],)]
        with store.connect(own) as lake:
            lake.write({"patients": [{"patient": "Z1", "center": "north"}]}, run="r", what="one more")
        assert client.execute(count).fetchall() == [(before[0][0] + 1,)], "a commit is seen by a client that was there before it"
        for statement in ("DELETE FROM lake.patients", "CREATE TABLE lake.mine (n INT)"):
            with pytest.raises(duckdb.Error, match="read-only"):
                client.execute(statement)


ASKED = (
    "SELECT center, patients, events FROM centers ORDER BY center",
    "SELECT patient, time, event, original_glcm_Contrast FROM gtv_outcome ORDER BY patient",
    "SELECT feature, avg(value) AS mean FROM radiomics_long GROUP BY feature ORDER BY feature",
    "SELECT comment FROM duckdb_columns() WHERE table_name = 'patients' AND column_name = 'time' AND comment IS NOT NULL",
)


def test_the_script_shows_duckdbs_own_clients_the_relations(filled: Path, tmp_path: Path) -> None:
    """Also in a database of their own, twice, and beside their own tables."""
    text = script(filled)
    with duckdb.connect(tmp_path / "theirs.duckdb") as client:
        client.execute("CREATE TABLE theirs AS SELECT 'north' AS center, 'A' AS scanner")
        for _ in range(2):
            client.begin()
            client.execute(text.replace("ATTACH ", "ATTACH IF NOT EXISTS "))
            client.commit()
        for statement in ASKED:
            assert client.execute(statement).to_arrow_table().to_pylist() == store.query(filled, statement).to_pylist(), statement
        assert client.execute("SELECT scanner, patients FROM centers JOIN theirs USING (center)").fetchall() == [("A", 6)]
        with pytest.raises(duckdb.Error, match="read-only"):
            client.execute("DELETE FROM lake.patients")


@pytest.mark.parametrize("catalogs", ["sqlite"], indirect=True)
def test_the_script_as_of_an_earlier_commit(own: Path, catalogs: Catalogs) -> None:
    with store.connect(own) as lake:
        commit = lake.newest_commit()
        lake.write({"patients": [{"patient": "Z1", "center": "north"}]}, run="r", what="one more")
    many = []
    for text in (script(own), script(own, commit)):
        with duckdb.connect() as client:
            client.execute(text)
            many += client.execute("SELECT count(*) FROM patients").fetchone() or ()
    assert many[0] == many[1] + 1


@pytest.mark.parametrize("catalogs", ["sqlite"], indirect=True)
def test_the_relations_through_adbc(filled: Path, catalogs: Catalogs) -> None:
    """The counterpart of ODBC and JDBC, with the driver that is in DuckDB itself."""
    adbc = pytest.importorskip("adbc_driver_duckdb.dbapi", reason="adbc-driver-manager is not installed (make setup installs it)")
    with adbc.connect() as connection, connection.cursor() as cursor:
        cursor.executescript(script(filled))
        for statement in ASKED:
            cursor.execute(statement)
            assert cursor.fetch_arrow_table().to_pylist() == store.query(filled, statement).to_pylist(), statement
        with pytest.raises(adbc.Error, match="read-only"):
            cursor.execute("DELETE FROM lake.patients")


@pytest.mark.slow
@pytest.mark.parametrize("catalogs", ["postgres"], indirect=True)
def test_no_password_is_in_the_script(filled: Path, catalogs: Catalogs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalogs.server is not None
    password = os.environ["PGPASSWORD"]
    address = (store_folder(filled) / ADDRESS_FILE).read_text().strip()
    monkeypatch.setenv("PENUMBRA_CATALOG", re.sub(r"://(\w+)@", rf"://\1:{password}@", address))
    text = script(filled)
    assert "ducklake:postgres:" in text
    assert password not in text
