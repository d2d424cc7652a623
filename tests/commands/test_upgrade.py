"""A home of every format since the first: listed without a change, then brought to today's."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import store
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.bench.archives import unpack
from penumbra.cli import main
from penumbra.commands import upgrade
from penumbra.pipeline.settings import load_settings
from penumbra.registry import database, schema
from penumbra.store.lake import Lake, open_engine, open_for_writing

from ..projects import CHECKOUT, project_with
from ..registry.test_older_names import with_older

SCHEMA = sorted((project_root() / "features" / "schema").glob("*.sql"))
KEPT = sorted((Path(__file__).parents[1] / "reference" / "store").glob("schema_*.tar.xz"))


def home_of(number: int, tmp_path: Path) -> Path:
    """A home as the program of that schema left it: a kept one, or for the first ones, of which none is kept, one made with their migrations."""
    kept = next((archive for archive in KEPT if archive.name == f"schema_{number:04d}.tar.xz"), None)
    if kept is not None:
        return unpack(kept, tmp_path / "home")
    early = tmp_path / "features" / "schema"
    early.mkdir(parents=True)
    for file in SCHEMA[:number]:
        shutil.copy(file, early)
    with contextlib.closing(open_engine()) as engine:
        open_for_writing(Lake(tmp_path / "home", None), engine, early)
        engine.execute("INSERT INTO lake.patients (patient, center, age, commit_id) VALUES ('N000', 'north', 60, 1)")
        engine.execute("INSERT INTO lake.commits VALUES (1, now(), 'r', 'early', 1, '{\"patients\":1}')")
    return tmp_path / "home"


def of_store(steps: list[upgrade.Migration]) -> list[str]:
    return [step.state for step in steps if step.part == "store"]


@pytest.mark.parametrize("number", range(1, len(SCHEMA) + 1))
def test_every_format(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of(number, tmp_path)
    before = upgrade.listed(home)
    assert of_store(before) == ["applied"] * number + ["pending"] * (len(SCHEMA) - number)
    assert upgrade.listed(home) == before, "looking changes nothing"
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    dry = CliRunner().invoke(main, ["upgrade", "--format", "json"])
    assert (dry.exit_code, [step["state"] for step in json.loads(dry.stdout)]) == (0, [step.state for step in before])
    done = CliRunner().invoke(main, ["upgrade", "--apply", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert [step["state"] for step in json.loads(done.stdout) if step["part"] == "store"] == ["applied"] * len(SCHEMA)
    with store.connect(home, as_of=1) as earlier:
        assert next(row["age"] for row in earlier.rows("patients") if row["patient"] == "N000") == 60.0


def test_no_store_and_a_newer_store_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="store_exists"):
        upgrade.listed(tmp_path)
    home = home_of(len(SCHEMA), tmp_path)
    monkeypatch.setattr(upgrade, "migrations", lambda schema: [(1, "0001_tables", "")])
    with pytest.raises(Refusal, match="schema_newer"):
        upgrade.apply(home)


REVISION = "5b0e9adcef9c"  # of an MLflow of early 2024
NEARLY = "1971f2d9a75b"  # four migrations before that of MLflow 3.17


def early_database(file: Path, revision: str = REVISION) -> None:
    """MLflow's database as an earlier MLflow made it, with a run in it."""
    from alembic import command
    from alembic.config import Config
    from mlflow.store import db_migrations
    from mlflow.store.db.utils import create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    file.parent.mkdir(parents=True)
    engine, config = create_sqlalchemy_engine(f"sqlite:///{file}"), Config(str(Path(db_migrations.__file__).with_name("alembic.ini")))
    config.set_main_option("script_location", str(Path(db_migrations.__file__).parent))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{file}".replace("%", "%%"))
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) VALUES (7, 'nsclc-os', 'x/mlflow/artifacts', 'active')"
        )
        connection.execute("INSERT INTO registered_models (name, creation_time) VALUES ('nsclc-os', 1)")


def test_a_registry_of_an_earlier_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a sentence of MLflow with the address of its database, and the advice to run another program."""
    home, file = home_of(len(SCHEMA), tmp_path), tmp_path / "home" / "mlflow" / "mlflow.db"
    with database.quiet_mlflow():
        early_database(file)
    kept = file.read_bytes()
    assert [step.state for step in upgrade.listed(home) if step.part == "registry"] == ["pending"]
    with pytest.raises(Refusal, match="registry_older"), database.writing(home):
        database.client(home)
    assert file.read_bytes() == kept, "looking changes nothing"

    with monkeypatch.context() as patch:  # stopped after MLflow's own migrations, before they are in place
        patch.setattr(schema, "data_version", lambda connection: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            upgrade.apply(home)
    assert file.read_bytes() == kept
    served = sqlite3.connect(file)  # a server that has it open, and sees the same file afterwards
    assert served.execute("SELECT name FROM registered_models").fetchall() == [("nsclc-os",)]
    assert [step.state for step in upgrade.apply(home) if step.part == "registry"] == ["applied"]
    assert served.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.newest(),)]
    served.close()
    with database.writing(home):
        assert database.client(home).get_registered_model("nsclc-os").name == "nsclc-os"
    assert sorted(path.name for path in file.parent.iterdir()) == ["lock", "mlflow.db"]
    assert upgrade.apply(home) == upgrade.listed(home)

    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(Refusal, match="registry_newer"):
        upgrade.listed(home)


def test_older_names_in_params_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of(len(SCHEMA), tmp_path)
    project = project_with(tmp_path, monkeypatch, with_older)
    today = (project_root() / "params.yaml").read_text(encoding="utf-8")
    assert upgrade.listed(home)[-1] == upgrade.Migration("project", 1, "today's names in params.yaml", "pending")
    settings = load_settings()
    assert upgrade.apply(home)[-1].state == "applied"
    changed = (project / "params.yaml").read_text(encoding="utf-8")
    assert changed != today
    assert changed == (CHECKOUT / "params.yaml").read_text(encoding="utf-8"), "comments and order stay"
    assert load_settings() == settings


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL between two statements or files, in the migrations of each part: the same command ends the same, and leaves nothing more behind."""
    home = home_of(int(KEPT[0].name[len("schema_") :][:4]), tmp_path)
    project_with(tmp_path, monkeypatch, with_older)
    with database.quiet_mlflow():
        early_database(home / "mlflow" / "mlflow.db", NEARLY)
    done = subprocess.run([sys.executable, "-m", "tests.commands.killed_upgrade", str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert len(outcome["killed"]) == 6 < outcome["moments"]
    for killed in outcome["killed"]:
        assert set(killed["states"]) == {"applied"}, killed
        assert killed["left"] == outcome["killed"][0]["left"], killed
