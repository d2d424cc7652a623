"""--log-json: standard error is one JSON object a line, with the run's id; results stay as they are."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penumbra import store
from penumbra.base import json_log
from penumbra.bench.archives import unpack

KEPT = Path(__file__).parents[1] / "reference" / "store" / "schema_0012.tar.xz"
KEYS = ["at", "run", "command", "level", "message"]


def run(home: Path, *arguments: str) -> "tuple[int, str, list[dict[str, Any]]]":
    done = subprocess.run([sys.executable, "-m", "penumbra.cli", *arguments], capture_output=True, text=True, env={**os.environ, "PENUMBRA_HOME": str(home)})
    return done.returncode, done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("arguments", [("--log-json", "sql", "SELECT 1"), ("sql", "SELECT 1", "--log-json")], ids=["before", "behind"])
def test_an_error_is_one_object(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, out, [entry] = run(tmp_path / "home", *arguments)
    assert status == 1
    assert out == ""
    assert list(entry) == KEYS
    assert (entry["command"], entry["level"]) == ("sql", "error")
    assert "store_exists" in entry["message"]
    assert entry["at"].endswith("Z")
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", entry["run"])


def test_notes_are_objects_of_one_run_and_results_are_not(tmp_path: Path) -> None:
    home = unpack(KEPT, tmp_path / "home")
    status, out, entries = run(home, "upgrade", "--log-json", "--format", "csv")
    assert status == 0
    assert out.startswith('"part","number","migration","state"')
    assert [entry["level"] for entry in entries] == ["info"]
    assert "pending" in entries[0]["message"]
    assert list(entries[0]) == KEYS


def test_lines_can_be_joined_with_the_commits_of_the_run(tmp_path: Path) -> None:
    """`run` of a line is `run` of the relation commits."""
    home = unpack(KEPT, tmp_path / "home")
    status, _, entries = run(home, "monitor", "--log-json")
    assert status == 0, entries
    with store.connect(home, read_only=True) as lake:
        runs = lake.sql("SELECT DISTINCT run FROM commits").column("run").to_pylist()
    assert entries[0]["run"] in runs


def test_a_service_has_an_id_and_each_run_that_it_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(json_log.RUN, "20261127T133803-000000")
    monkeypatch.setenv(json_log.COMMAND, "retrain")
    assert json_log.run() == "20261127T133803-000000"
    monkeypatch.setenv(json_log.COMMAND, "serve")
    assert json_log.run() != "20261127T133803-000000"
    child = json_log.apart("retrain")
    assert child[json_log.COMMAND] == "retrain"
    assert child[json_log.RUN] not in (json_log.run(), "20261127T133803-000000")
