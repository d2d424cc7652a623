"""The lake read by DuckDB's own client, as docs/bi.md says: nothing of this program is in between."""

import importlib.util
from pathlib import Path

import duckdb
import pytest

from penumbra import store
from penumbra.store.lake import store_folder

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
