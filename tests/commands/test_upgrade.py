"""A home of every format since the first: listed without a change, then brought to today's."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import store
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.bench.archives import unpack
from penumbra.cli import main
from penumbra.commands import upgrade
from penumbra.store.lake import Lake, open_engine, open_for_writing

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


@pytest.mark.parametrize("number", range(1, len(SCHEMA) + 1))
def test_every_format(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of(number, tmp_path)
    before = upgrade.listed(home)
    assert [step.state for step in before] == ["applied"] * number + ["pending"] * (len(SCHEMA) - number)
    assert upgrade.listed(home) == before, "looking changes nothing"
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    dry = CliRunner().invoke(main, ["upgrade", "--format", "json"])
    assert (dry.exit_code, json.loads(dry.stdout)[-1]["state"]) == (0, "applied" if number == len(SCHEMA) else "pending")
    done = CliRunner().invoke(main, ["upgrade", "--apply", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert [step["state"] for step in json.loads(done.stdout)] == ["applied"] * len(SCHEMA)
    with store.connect(home, as_of=1) as earlier:
        assert next(row["age"] for row in earlier.rows("patients") if row["patient"] == "N000") == 60.0


def test_no_store_and_a_newer_store_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="store_exists"):
        upgrade.listed(tmp_path)
    home = home_of(len(SCHEMA), tmp_path)
    monkeypatch.setattr(upgrade, "migrations", lambda schema: [(1, "0001_tables", "")])
    with pytest.raises(Refusal, match="schema_newer"):
        upgrade.apply(home)
