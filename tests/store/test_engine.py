"""The engine below the store: its two extensions are loaded without hashing 70 MB, and from then on nothing unsigned is."""

from pathlib import Path

import duckdb
import pytest

from penumbra.store.lake import load_extension, open_engine


def test_the_engine_loads_no_unsigned_extension(tmp_path: Path) -> None:
    (package,) = Path(duckdb.__file__).parent.parent.glob("duckdb_extension_httpfs/**/*.duckdb_extension")
    altered = bytearray(package.read_bytes())
    altered[len(altered) // 2] ^= 1
    (tmp_path / "httpfs.duckdb_extension").write_bytes(altered)
    connection = open_engine()
    assert connection.execute("SELECT current_setting('allow_unsigned_extensions')").fetchall() == [(False,)]
    with pytest.raises(duckdb.Error, match="signature"):
        connection.execute(f"LOAD '{tmp_path}/httpfs.duckdb_extension'")
    with pytest.raises(duckdb.Error, match="Cannot change"):
        connection.execute("SET allow_unsigned_extensions = true")
    load_extension(connection, "httpfs")
    connection.close()
