"""register.model in params.yaml is the model that every command means; MODEL/VERSION or --model names another."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import registry, store
from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.commands import doctor
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.register import register
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

from ..projects import project_with
from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow

OURS, OTHER = "nsclc-os", "nsclc-pfs"


def called(work: Work, model: str, *centers: str) -> Work:
    settings = few_models(work.settings)
    chosen = replace(
        settings,
        evaluate=replace(settings.evaluate, bootstraps=20, refits=1),
        cohort=replace(settings.cohort, train_centers=centers),
        register=replace(settings.register, model=model, served="Volume"),  # a control: one version each
    )
    return replace(work, settings=chosen)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """nsclc-os/1 (champion); nsclc-pfs/1 (champion) and nsclc-pfs/2. Small models: what counts here are their names."""
    home = tmp_path_factory.mktemp("names")
    shutil.copytree(empty_registry, home, dirs_exist_ok=True)
    work = small_work(home, centers={"north": 40, "east": 30, "south": 24}, features=6)
    weights = home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    made = [(OURS, "north"), (OTHER, "east"), (OTHER, "north", "east")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
        patched.setattr(register_stage, "released_network", lambda weights, folder: weights)
        for model, *centers in made:
            for stage in (fuse, evaluate, register):
                stage(called(work, model, *centers))
    return home


@pytest.fixture
def penumbra(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command on the home, with params.yaml that names `model`; what it printed."""
    monkeypatch.setenv("PENUMBRA_HOME", str(home))

    def call(model: str, *words: str) -> str:
        folder = tmp_path / model
        if not folder.exists():
            folder.mkdir()
            project_with(
                folder, monkeypatch, lambda text: text.replace("  model: nsclc-os ", f"  model: {model} ").replace("bootstraps: 1000", "bootstraps: 20")
            )
        monkeypatch.setenv("PENUMBRA_PROJECT", str(folder / "project"))
        done = CliRunner().invoke(main, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), words
        return done.output

    return call


def versions_in(printed: str) -> list[str]:
    return [line.split()[0] for line in printed.splitlines() if re.match(r" *\d+ ", line)]


def test_models_lists_the_model_of_params_yaml_and_names_the_others(penumbra: Callable[..., str]) -> None:
    assert versions_in(penumbra(OURS, "models")) == ["1"]
    assert versions_in(penumbra(OTHER, "models")) == ["1", "2"]
    assert versions_in(penumbra(OTHER, "models", "--model", OURS)) == ["1"]
    assert f"also registered: {OURS}" in penumbra(OTHER, "models")


def test_compare_means_the_model_of_params_yaml(penumbra: Callable[..., str]) -> None:
    for model, others in ((OURS, OTHER), (OTHER, OURS)):
        shown = penumbra(model, "compare")
        assert f"{model}/1 (champion)" in shown
        assert f"{others}/" not in shown
    named = penumbra(OURS, "compare", f"{OTHER}@champion", f"{OTHER}/2")
    assert f"{OTHER}/1 (champion) and {OTHER}/2" in named
    assert "compare-nsclc-pfs-1-2" in named, "the page of the model that params.yaml names stays"
    assert "these are versions of nsclc-os and nsclc-pfs" in penumbra(OURS, "compare", f"{OURS}/1", f"{OTHER}/1")


def test_verify_and_as_of_mean_the_model_of_params_yaml(penumbra: Callable[..., str]) -> None:
    for model, patients in ((OURS, "40"), (OTHER, "30")):
        assert re.search(rf"patients +{patients}\b", penumbra(model, "verify", "1"))
    assert re.search(r"patients +30\b", penumbra(OURS, "verify", f"{OTHER}/champion"))
    trained = {model: penumbra(model, "sql", "SELECT max(id) AS id FROM commits", "--as-of", "champion", "--format", "json") for model in (OURS, OTHER)}
    assert trained[OURS] != trained[OTHER], "the champions of two models were trained on two commits"
    assert penumbra(OURS, "sql", "SELECT max(id) AS id FROM commits", "--as-of", f"{OTHER}@champion", "--format", "json") == trained[OTHER]


def test_scores_of_two_models_with_the_same_version_stand_apart(penumbra: Callable[..., str], home: Path) -> None:
    """nsclc-pfs/1 was registered after nsclc-os/1 and took the place of its scores."""
    with store.connect(home, read_only=True) as lake:
        counts = lake.sql("SELECT model, model_version, count(DISTINCT patient) AS n FROM signatures_all GROUP BY ALL ORDER BY ALL").to_pylist()
        shown = lake.sql("SELECT DISTINCT model, model_version FROM signatures").to_pylist()
    assert [(row["model"], row["model_version"], row["n"]) for row in counts] == [(OURS, "1", 94), (OTHER, "1", 94), (OTHER, "2", 94)]
    assert shown == [{"model": OTHER, "model_version": "2"}]


def test_promote_rollback_and_monitor_mean_the_model_of_params_yaml(penumbra: Callable[..., str], home: Path) -> None:
    def champions() -> tuple[int, int]:
        return registry.find(home, model=OURS).version, registry.find(home, model=OTHER).version

    assert champions() == (1, 1)
    assert f"{OTHER}/2 is champion; before: 1" in penumbra(OTHER, "promote", "2", "--reason", "a test")
    assert champions() == (1, 2)
    assert f"{OTHER}/1 is champion again; before: 2" in penumbra(OTHER, "rollback", "--reason", "a test")
    assert f"{OURS} never had another champion" in penumbra(OURS, "rollback", "--reason", "a test")
    assert f"{OTHER}/2 is champion again; before: 1" in penumbra(OURS, "rollback", "--reason", "a test", "--model", OTHER)
    assert f"{OTHER}/1 is champion" in penumbra(OURS, "promote", f"{OTHER}@1", "--reason", "a test")
    assert champions() == (1, 1)
    with store.connect(home, read_only=True) as lake:
        moved = [row["model"] for row in sorted(lake.rows("alias_changes"), key=lambda row: row["commit_id"])]
    assert moved == [OURS, OTHER, *[OTHER] * 4]

    known = json.loads(penumbra(OURS, "sql", "SELECT patient, center, time FROM patients WHERE center = 'south'", "--format", "json"))
    with store.connect(home) as lake:  # patients that neither champion was fitted on live longer
        full = {row["patient"]: row for row in lake.rows("patients")}
        rows = [{name: value for name, value in full[row["patient"]].items() if name not in ("commit_id", "clinical_version")} for row in known]
        lake.write({"patients": [{**row, "time": row["time"] + 100} for row in rows]}, run="test", what="longer follow-up")
    assert set(versions_in(penumbra(OURS, "monitor"))) == {"1"}
    assert set(versions_in(penumbra(OURS, "monitor", "--model", OTHER))) == {"1", "2"}


def test_doctor_and_predict_mean_the_model_of_params_yaml(penumbra: Callable[..., str], tmp_path: Path, home: Path) -> None:
    said = penumbra(OTHER, "doctor")
    assert re.search(rf"registry +ok +champion is {OTHER}/1", said)
    assert f"params.yaml does not name {OURS}, which is registered too" in " ".join(said.split())
    (tmp_path / "nobody").mkdir()
    refused = penumbra("unheard-of", "predict", str(tmp_path / "nobody"))
    assert "no version of unheard-of is registered; this registry has nsclc-os, nsclc-pfs" in refused
    named = penumbra("unheard-of", "predict", str(tmp_path / "nobody"), "--model", f"{OTHER}/2")
    assert "model_registered" not in named
    assert "version_registered" not in named
    assert "no version or alias 'nsclc-pfs/7' of nsclc-pfs" in penumbra("unheard-of", "predict", str(tmp_path / "nobody"), "--model", f"{OTHER}/7")


def test_python_means_the_model_of_params_yaml(penumbra: Callable[..., str], home: Path) -> None:
    penumbra(OTHER, "models")  # makes params.yaml name it
    assert registry.find(home).model == OTHER
    assert registry.load(home, 2).entry.model == OTHER
    assert [entry.model for entry in registry.versions(home)] == [OTHER] * 2
    assert registry.find(home, f"{OURS}/1").train_centers == ("north",)
    with pytest.raises(Refusal, match=r"no version or alias 'origin/main' of nsclc-pfs.*\(rule version_registered\)"):
        registry.find(home, "origin/main")
    penumbra("unheard-of", "doctor")
    assert {finding.what: finding for finding in doctor.examine(home)}["registry"].ok, "nothing registered under this name yet is not a fault"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("'a/b'", "register.model is 'a/b'. Use letters"),
        ("''", "register.model is ''. Use letters"),
        ("'3'", "register.model is '3'. Use letters"),
        ("Volume", "register.model is 'Volume', which is also a fitted model of models/controls.yaml"),
        ("Combined", "register.model is 'Combined', which is also a fitted model of models/combined.yaml"),
    ],
)
def test_a_name_that_could_be_taken_for_something_else_is_refused(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_with(tmp_path, monkeypatch, lambda text: text.replace("  model: nsclc-os ", f"  model: {name} "))
    with pytest.raises(ParamsError, match=re.escape(said)):
        load_settings("quick")
