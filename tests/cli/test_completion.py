"""Completion in a shell: commands, options and the names that there are."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import IngestedCenter, IngestManifest

STATE = json.dumps({"versions": [[1, "d1", []], [2, "d2", ["champion"]]], "foreign": []})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "manifests").mkdir(parents=True)
    (folder / "mlflow").mkdir()
    (folder / "incoming" / "west").mkdir(parents=True)
    accepted = {"north": {"N001": "i", "N002": "i"}, "east": {"E001": "i"}}
    facts = {center: IngestedCenter(found=len(found), accepted=found, flagged={}, rejected={}) for center, found in accepted.items()}
    manifests.write(folder, IngestManifest(facts))
    (folder / "mlflow" / "noted.json").write_text(json.dumps({"nsclc-os": {"state": STATE, "stamp": "", "pending": []}}))
    return folder


def completed(home: Path, *words: str) -> list[str]:
    """What bash is offered for the last of the words after `penumbra`."""
    environment = {**os.environ, "PENUMBRA_HOME": str(home), "_PENUMBRA_COMPLETE": "bash_complete", "PYTHONWARNINGS": "ignore"}
    environment |= {"COMP_WORDS": "\n".join(("penumbra", *words)), "COMP_CWORD": str(len(words))}
    done = subprocess.run([sys.executable, "-m", "penumbra.cli"], env=environment, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["comp"], ["compare"]),
        (["status", "--for"], ["--format"]),
        (["status", "--format", ""], ["text", "json"]),
        (["retrain", "--center", ""], ["east", "north", "west"]),
        (["baseline", "north,e"], ["north,east"]),
        (["forget", "N"], ["N001", "N002"]),
        (["forget", "--center", "east", ""], ["E001"]),
        (["compare", "c"], ["champion"]),
        (["promote", "nsclc-os/"], ["nsclc-os/1", "nsclc-os/2"]),
        (["monitor", "--model", ""], ["nsclc-os"]),
        (["sql", '"SELECT center FROM pat'], ["SELECT center FROM patients"]),
        (["sql", '"SELECT 1'], []),
    ],
)
def test_what_is_offered(home: Path, words: list[str], offered: list[str]) -> None:
    assert completed(home, *words) == offered


def test_nothing_is_offered_where_nothing_is(tmp_path: Path) -> None:
    assert completed(tmp_path / "none", "compare", "") == []
    assert completed(tmp_path / "none", "retrain", "--center", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(home: Path, shell: str) -> None:
    """As the README says: _PENUMBRA_COMPLETE=bash_source penumbra."""
    environment = {**os.environ, "_PENUMBRA_COMPLETE": f"{shell}_source", "PENUMBRA_HOME": str(home)}
    done = subprocess.run([sys.executable, "-m", "penumbra.cli"], env=environment, capture_output=True, text=True, check=True)
    assert f"_PENUMBRA_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)
