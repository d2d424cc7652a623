"""Registering, loading, aliases and metrics on a real MLflow registry in SQLite."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.evaluate import MetricRow
from penumbra.registry import Bundle, find, load, logged_metrics, promote, record_metrics, register, tracking_uri, unregister, versions
from penumbra.registry.versions import client, quiet_mlflow

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_first_version_is_champion_and_the_same_bundle_is_the_same_version(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    first = register(home, make_bundle(), metrics)
    assert (first.version, first.aliases, first.train_centers, first.store_commit) == (1, ("champion",), ("north",), 7)
    assert register(home, make_bundle(code_commit="later"), metrics) == first
    second = register(home, make_bundle(0.6), metrics)
    assert (second.version, second.aliases) == (2, ())
    third = register(home, make_bundle(0.7), challenger=True)
    assert (third.version, third.aliases) == (3, ("challenger",))
    assert [entry.version for entry in versions(home)] == [1, 2, 3]
    assert not (home / "mlflow" / "staging").exists()


@pytest.mark.slow
def test_metrics_per_center_are_in_mlflow(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    entry = register(home, make_bundle(), metrics)
    held = logged_metrics(home, entry)
    assert held["harrell_c/north"] == 0.8
    assert held["harrell_c_lower/east"] == 0.6
    assert held["harrell_c/east/Volume"] == 0.55
    assert held["n/east"] == 30
    assert held["events/east"] == 20
    assert "harrell_c/south" not in held, "undefined is absent, not 0"
    with quiet_mlflow():
        mlflow = client(home)
        run = mlflow.get_run(entry.run_id)
        logged = mlflow.get_logged_model(entry.model_id)
    assert run.inputs is not None
    assert logged.metrics is not None
    assert run.data.metrics["harrell_c/east"] == 0.7
    with quiet_mlflow():
        assert [(m.step, m.value) for m in mlflow.get_metric_history(entry.run_id, "network_0/validation_loss")] == [(1, 3.0), (2, 2.5)]
    assert run.data.params["network.filters"] == "8"
    assert run.data.tags["store_commit"] == "7"
    splits = {item.dataset.name: item.tags[0].value for item in run.inputs.dataset_inputs}
    assert splits == {"north": "train", "east": "test", "south": "test"}
    assert {metric.dataset_name for metric in logged.metrics if metric.key == "harrell_c/east"} == {"east"}


def test_a_later_center_adds_metrics_without_a_new_version(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    entry = register(home, make_bundle(), metrics)
    west = MetricRow("Combined", "west", "test", "harrell_c", 0.66, 0.5, 0.8, 25, 15)
    assert record_metrics(home, 1, [*metrics, west]) == 5
    assert record_metrics(home, 1, [*metrics, west]) == 0
    assert logged_metrics(home, entry)["harrell_c/west"] == 0.66
    register(home, make_bundle(), [MetricRow("Combined", "west", "test", "harrell_c", 0.67, 0.5, 0.8, 26, 16)])
    assert logged_metrics(home, entry)["harrell_c/west"] == 0.67, "the newest value"
    assert len(versions(home)) == 1


def test_load_gives_back_what_scores_a_patient(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    register(home, bundle)
    loaded = load(home)
    assert loaded.models == bundle.models
    assert loaded.model == bundle.models["Combined"]
    assert loaded.settings == bundle.settings
    assert loaded.lineage == bundle.lineage
    assert loaded.feature_versions == {"gtv": "0123456789ab"}
    assert loaded.network_path is not None
    assert loaded.network_path.read_bytes() == b"weights"


def test_a_moved_home_keeps_working(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    register(home, make_bundle())
    shutil.move(home, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").entry.version == 1
    assert register(tmp_path / "elsewhere", make_bundle()).version == 1


def test_a_copied_home_writes_its_versions_into_itself(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    """MLflow keeps absolute addresses: version 2 of a copy was written into the home it was copied from, and could not be loaded."""
    register(home, make_bundle())
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    second = register(copy, make_bundle(0.6))
    assert load(copy, second.version).model == make_bundle(0.6).models["Combined"]
    shutil.rmtree(home)
    with quiet_mlflow():
        import mlflow

        mlflow.set_tracking_uri(tracking_uri(copy))
        for version in (1, 2):
            assert mlflow.pyfunc.load_model(f"models:/nsclc-os/{version}").input_example is not None


@pytest.mark.parametrize("which", ["champion", 1, "1", "v1", "nsclc-os/1", "nsclc-os@champion"])
def test_ways_to_name_a_version(home: Path, make_bundle: Callable[..., Bundle], which: str | int) -> None:
    register(home, make_bundle())
    assert find(home, which).version == 1


def test_unknown_names_say_what_there_is(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no version of nsclc-os is registered.*\(rule model_registered\)"):
        load(tmp_path / "nowhere")
    register(home, make_bundle())
    with pytest.raises(Refusal, match=r"no version or alias 'challenger' of nsclc-os\. Registered: 1 \(champion\).*\(rule version_registered\)"):
        load(home, "challenger")


def test_promote_moves_the_alias_and_says_from_where(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    register(home, make_bundle())
    register(home, make_bundle(0.6), challenger=True)
    change = promote(home, "challenger", reason="better at every center")
    assert (change.alias, change.version, change.previous, change.reason) == ("champion", 2, 1, "better at every center")
    assert [entry.aliases for entry in versions(home)] == [(), ("champion",)]
    assert register(home, make_bundle()).aliases == (), "registering the former champion again does not bring it back"


@pytest.mark.slow
def test_an_altered_version_is_not_promoted_and_registering_again_mends_it(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    register(home, make_bundle())
    second = register(home, make_bundle(0.6))
    (second.folder / "models" / "Combined.json").write_text("{}")
    with pytest.raises(Refusal, match=r"models/Combined\.json.*\(rule bundle_unchanged\)"):
        promote(home, 2)
    assert find(home).version == 1
    assert register(home, make_bundle(0.6)).version == 2
    assert promote(home, 2).version == 2


def test_pyfunc_answers_as_the_fitted_model(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    register(home, bundle)
    with quiet_mlflow():
        import mlflow
        import pandas as pd
        from mlflow.exceptions import MlflowException

        mlflow.set_tracking_uri(tracking_uri(home))
        served = mlflow.pyfunc.load_model("models:/nsclc-os@champion")
        model = bundle.models["Combined"]
        table = {name: np.array([0.3, 1.2]) * (position + 1) for position, name in enumerate(model.columns)}
        answer = served.predict(pd.DataFrame(table)[list(reversed(model.columns))])
        log_risk = model.log_risk(table)
        np.testing.assert_allclose(answer["log_risk"], log_risk, rtol=1e-12)
        survival = model.survival(log_risk, np.array([365.25, 730.5, 1095.75]))
        np.testing.assert_allclose(answer[["survival_1y", "survival_2y", "survival_3y"]], survival)
        assert list(answer["risk_group"]) == list(model.risk_group(log_risk))
        with pytest.raises(MlflowException, match=r"deep\.deep_007 is missing for 1 of 2 patients"):
            served.predict(pd.DataFrame({**table, "deep.deep_007": [0.0, float("nan")]}))
        with pytest.raises(MlflowException, match="missing inputs"):
            served.predict(pd.DataFrame({"deep.deep_007": [0.0]}))
        example = served.input_example
        assert example is not None
        np.testing.assert_allclose(model.log_risk({name: example[name] for name in model.columns}), 0.0, atol=1e-12)


def start(home: Path, network: Path, *step: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.registry.registering_process", str(home), str(network), *step]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


STEPS = [
    "create_run",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "create_model_version",
    "set_registered_model_alias",
    "log_batch",
]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_call_completes(home: Path, network: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow], step: str) -> None:
    assert start(home, network, step).wait() == -signal.SIGKILL
    entry = register(home, make_bundle(), metrics)
    assert [other.version for other in versions(home)] == [1]
    assert entry.aliases == ("champion",)
    assert logged_metrics(home, entry)["harrell_c/east"] == 0.7
    assert load(home).model == make_bundle().models["Combined"]
    with quiet_mlflow():
        experiment = client(home).get_experiment_by_name("nsclc-os")
        assert experiment is not None
        runs = client(home).search_runs([experiment.experiment_id])
    assert all(run.info.status in ("FINISHED", "KILLED") for run in runs)


@pytest.mark.slow
def test_two_processes_at_once_make_one_version(home: Path, network: Path) -> None:
    assert [process.wait() for process in [start(home, network), start(home, network)]] == [0, 0]
    assert [(entry.version, entry.aliases) for entry in versions(home)] == [(1, ("champion",))]


def test_reading_does_not_import_mlflow(home: Path) -> None:
    code = textwrap.dedent(f"""
        import sys, pathlib
        from penumbra.registry import versions, find
        assert versions(pathlib.Path({str(home)!r})) == []
        assert not {{"mlflow", "pandas", "matplotlib"}} & sys.modules.keys()
    """)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_first_version_that_was_taken_back_does_not_hinder_the_next_from_being_champion(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    unregister(home, register(home, make_bundle()).version, model="nsclc-os")
    assert versions(home) == []
    second = register(home, make_bundle())
    assert (second.version, second.aliases) == (2, ("champion",))


@pytest.mark.slow
def test_a_version_that_nobody_promoted_becomes_no_champion_by_registering_another(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    """The oldest version became champion where the alias had been deleted in MLflow."""
    for weight in (0.5, 0.6):
        register(home, make_bundle(weight))
    promote(home, 2)
    with quiet_mlflow():
        client(home).delete_registered_model_alias("nsclc-os", "champion")
    assert register(home, make_bundle(0.7)).aliases == ()
    assert [entry.aliases for entry in versions(home)] == [(), (), ()]


def test_mlflow_shows_the_version_at_its_logged_model_and_the_model_at_its_run(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    entry = register(home, make_bundle())
    with quiet_mlflow():
        mlflow = client(home)
        logged, run = mlflow.get_logged_model(entry.model_id), mlflow.get_run(entry.run_id)
        assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "nsclc-os", "version": "1"}]
        assert run.outputs is not None
        assert [output.model_id for output in run.outputs.model_outputs] == [entry.model_id]
        mlflow.delete_logged_model_tag(entry.model_id, "mlflow.modelVersions")
        assert register(home, make_bundle()) == entry
        again = mlflow.get_logged_model(entry.model_id)
    assert again.tags["mlflow.modelVersions"] == logged.tags["mlflow.modelVersions"]


def test_a_copied_home_is_read_from_its_own_artifacts_before_anything_is_written(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    register(home, make_bundle())
    shutil.copytree(home, tmp_path / "copy")
    assert load(tmp_path / "copy").entry.version == 1
    with quiet_mlflow():
        from mlflow import MlflowClient

        uri = f"sqlite:///{tmp_path / 'copy' / 'mlflow' / 'mlflow.db'}"  # as somebody gives it to MLflow
        found = MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version_download_uri("nsclc-os", "1")
    assert found.startswith((tmp_path / "copy").as_uri())
