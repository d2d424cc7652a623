"""infra/backup.sh on both catalogs: what was saved is restored elsewhere, and nothing that lives is overwritten."""

import os
import subprocess
from pathlib import Path

import pytest

from penumbra import store
from penumbra.store.lake import ADDRESS_FILE, store_folder

from .catalogs import PROGRAMS, SCRIPT, Catalogs

TABLES = """
CREATE TABLE experiments (artifact_location text);
CREATE TABLE runs (artifact_uri text);
CREATE TABLE logged_models (artifact_location text);
CREATE TABLE model_versions (source text, storage_location text);
INSERT INTO experiments VALUES ('file:///elsewhere/mlflow/artifacts'), ('mlflow-artifacts:/0');
INSERT INTO runs VALUES ('file:///elsewhere/mlflow/artifacts/run');
INSERT INTO logged_models VALUES ('file:///elsewhere/mlflow/artifacts/models/m1');
INSERT INTO model_versions VALUES ('file:///elsewhere/mlflow/artifacts/models/m1', 'file:///elsewhere/mlflow/artifacts/models/m1');
"""


def backup(home: Path, *arguments: str, catalog: str | None = None) -> str:
    """What backup.sh said on stderr; "" when it did its work."""
    environment = {**os.environ, "PENUMBRA_HOME": str(home), "PATH": f"{os.environ['PATH']}{os.pathsep}{PROGRAMS[-1].parent if PROGRAMS else ''}"}
    environment.pop("PENUMBRA_CATALOG", None)
    if catalog:
        environment["PENUMBRA_CATALOG"] = catalog
    done = subprocess.run([SCRIPT.with_name("backup.sh"), *arguments], env=environment, capture_output=True, text=True)
    assert bool(done.returncode) == bool(done.stderr), done.stderr
    return done.stderr


def content(home: Path) -> list[list[dict[str, object]]]:
    with store.connect(home, read_only=True) as lake:
        assert store.check(lake) == []
        return [lake.rows(relation) for relation in ("patients", "radiomics_long", "commits")]


def psql(address: str, statement: str) -> str:
    done = subprocess.run([PROGRAMS[-1].with_name("psql"), "-XAtq", address, "-c", statement], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_a_state_folder_is_saved_and_restored_elsewhere(filled: Path, catalogs: Catalogs, tmp_path: Path) -> None:
    home, elsewhere, file = catalogs.copy(filled, tmp_path / "my clinic" / "home"), tmp_path / "else where", str(tmp_path / "saved on monday.tar")
    if catalogs.server is None:
        to = None
    else:  # next to the catalog a database of MLflow, with the tables whose addresses are absolute
        to = f"{catalogs.server.uri.rpartition('/')[0]}/restored"
        mlflow = f"{to.rpartition('/')[0]}/mlflow"
        psql(to.replace("/restored", "/postgres"), "CREATE DATABASE mlflow")
        psql(mlflow, TABLES)

    assert backup(home, "save", file) == ""
    assert "exists already" in backup(home, "save", file)
    assert not (home / "backup").exists()
    if to is None:
        assert "without a database server" in backup(elsewhere, "restore", file, catalog="postgresql://penumbra@127.0.0.1:1/none")
    else:
        assert "name an empty one in PENUMBRA_CATALOG" in backup(elsewhere, "restore", file)
        assert "no database server at" in backup(elsewhere, "restore", file, catalog="postgresql://penumbra@127.0.0.1:1/none")
        living = (store_folder(home) / ADDRESS_FILE).read_text().strip()
        before = content(home)
        assert f"{living} holds tables already" in backup(elsewhere, "restore", file, catalog=living)
        assert "/mlflow holds tables already" in backup(elsewhere, "restore", file, catalog=to)
        assert content(home) == before
        psql(to.replace("/restored", "/postgres"), "DROP DATABASE mlflow")
    assert not (elsewhere / "store").exists()

    assert backup(elsewhere, "restore", file, catalog=to) == ""
    assert "holds a store already" in backup(elsewhere, "restore", file, catalog=to)
    assert content(elsewhere) == content(home)
    assert not (elsewhere / "backup").exists()
    if to is not None:
        assert (store_folder(elsewhere) / ADDRESS_FILE).read_text().strip() == to
        found = psql(mlflow, "SELECT artifact_location, artifact_uri, source FROM experiments, runs, model_versions ORDER BY 1").splitlines()
        now = f"file://{elsewhere}/mlflow/artifacts"
        assert found == [f"{now}|{now}/run|{now}/models/m1", f"mlflow-artifacts:/0|{now}/run|{now}/models/m1"]
        for name in ("mlflow", "restored"):
            psql(to.replace("/restored", "/postgres"), f"DROP DATABASE {name}")


def test_no_folder_and_no_file(tmp_path: Path) -> None:
    assert "no state folder" in backup(tmp_path / "none", "save", str(tmp_path / "saved.tar"))
    assert "no file" in backup(tmp_path / "none", "restore", str(tmp_path / "saved.tar"))
    assert not (tmp_path / "none").exists()


@pytest.fixture(autouse=True)
def _no_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENUMBRA_CATALOG", raising=False)
