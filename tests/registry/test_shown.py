"""What MLflow shows of a version: a few metrics by name and all as one table, a description, C per center over all versions; and who hears of a champion."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penumbra.evaluate import MetricRow
from penumbra.registry import Bundle, find, is_published, logged_metrics, promote, publish, record_metrics, register
from penumbra.registry.database import client, experiment_root, query
from penumbra.registry.named_metrics import is_named, table_of

if TYPE_CHECKING:
    from penumbra.registry import RegisteredVersion

MODEL = "nsclc-os"
SUBGROUP = MetricRow("Combined", "east", "female", "harrell_c", 0.6, 0.5, 0.7, 12, 8)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("harrell_c/east", True), ("harrell_c_lower/east", True), ("n/east", True), ("harrell_c/training/cross_fitted", True), ("auc_2y/east", True),
        ("harrell_c/east/Volume", False), ("harrell_c/east/female", False), ("brier_1y/east", False), ("harrell_c/east/Volume/cross_fitted", False),
    ],
)  # fmt: skip
def test_a_few_metrics_are_shown_by_name(name: str, named: bool) -> None:
    assert is_named(name) is named


def test_all_metrics_are_one_table_and_are_read_with_those_by_name(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    entry = register(home, make_bundle(), [*metrics, SUBGROUP])
    by_name = {row["name"] for row in query(home, "metrics.sql", {"model_id": entry.model_id})}
    assert by_name
    assert all(is_named(name) for name in by_name)
    values = logged_metrics(home, entry)
    assert values["harrell_c/east"] == 0.7
    assert values["harrell_c/east/Volume"] == 0.55
    assert values["harrell_c_upper/east/female"] == 0.7
    table = json.loads(table_of(home, entry.run_id).read_text())
    assert len(table["data"]) == len(metrics) + 1, "one row each, also of what is undefined"
    assert record_metrics(home, entry.version, [*metrics, SUBGROUP], model=MODEL) == 0, "nothing is new"
    later = replace(SUBGROUP, split="male", value=0.65)
    assert record_metrics(home, entry.version, [later], model=MODEL) > 0
    assert logged_metrics(home, entry)["harrell_c/east/male"] == 0.65


def test_a_version_from_before_the_table_is_read_as_well(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    from penumbra.registry import tracking
    from penumbra.registry.bundle import read_lineage
    from penumbra.registry.database import writing

    entry = register(home, make_bundle())
    with writing(home):
        tracking.log_metrics(client(home), entry, tracking.named_values(metrics, "Combined"), read_lineage(entry.folder))  # every one by name, as it was
    assert not table_of(home, entry.run_id).exists()
    assert logged_metrics(home, entry)["harrell_c/east/Volume"] == 0.55
    assert record_metrics(home, entry.version, metrics, model=MODEL) == 0
    assert record_metrics(home, entry.version, [SUBGROUP], model=MODEL) > 0
    assert {"harrell_c/east/Volume", "harrell_c/east/female"} <= logged_metrics(home, entry).keys()


def described(home: Path, entry: "RegisteredVersion") -> str:
    return str(client(home).get_model_version(MODEL, str(entry.version)).description)


def test_a_description_says_what_the_version_is(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow], tmp_path: Path) -> None:
    entry = register(home, make_bundle(), metrics)
    assert "Trained on north" in described(home, entry)
    assert "| north, apparent | 0.800" in described(home, entry)
    assert "artifacts/metrics.json" in described(home, entry)
    assert "| east | 0.700 (0.600 to 0.800) | 30 | 20 |" in described(home, entry)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "report.html").write_text("<p>report</p>")
    assert not is_published(home, 1, model=MODEL)
    publish(home, 1, tmp_path / "made", ["Combined is served."], model=MODEL)
    assert is_published(home, 1, model=MODEL)
    assert described(home, entry).startswith("penumbra nsclc-os/1. Combined is served.")
    artifacts = experiment_root(home) / entry.run_id / "artifacts"
    assert f"runs/{entry.run_id}/artifacts/report/report.html" in described(home, entry)
    assert {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()} >= {
        *("report/report.html", "metrics.json", "params.yaml", "requirements.txt")
    }
    west = MetricRow("Combined", "west", "test", "harrell_c", 0.66, 0.58, 0.74, 50, 31)
    record_metrics(home, 1, [west], model=MODEL)
    assert "Combined is served." in described(home, entry)
    assert "| west | 0.660" in described(home, entry)
    client(home).update_model_version(MODEL, "1", "Ours, by hand.")
    record_metrics(home, 1, [replace(west, value=0.67)], model=MODEL)
    assert described(home, entry) == "Ours, by hand."


def test_evidence_inside_comes_first_and_what_the_fit_saw_last(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    first = metrics[0]
    inside = [replace(first, center=center, split="cross_fitted", value=0.65) for center in ("north", "training")]
    entry = register(home, make_bundle(), [first, replace(first, center="external", split="test", value=0.71), *metrics[1:], *inside])
    places = [line.split("|")[1].strip() for line in described(home, entry).splitlines() if line.startswith("| ")][1:]
    assert places == ["north, cross-fitted", "east", "external", "north, apparent"], "one training center is not listed twice"


def test_the_experiment_opens_as_one_of_models_and_not_of_language_models(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    from penumbra.registry.database import writing

    register(home, make_bundle())
    kind = ("mlflow.experimentKind", "custom_model_development")
    experiment = client(home).get_experiment_by_name(MODEL)
    assert experiment.tags[kind[0]] == kind[1]
    with writing(home):
        client(home).set_experiment_tag(experiment.experiment_id, kind[0], "finetuning")
    register(home, make_bundle(0.9))
    assert client(home).get_experiment_by_name(MODEL).tags[kind[0]] == "finetuning", "what somebody chose in MLflow stays"


def test_c_per_center_over_all_versions_is_one_run(home: Path, make_bundle: Callable[..., Bundle], metrics: list[MetricRow]) -> None:
    register(home, make_bundle(), metrics)
    register(home, make_bundle(0.9), [replace(row, value=row.value - 0.1) for row in metrics])
    mlflow_client = client(home)
    experiment = mlflow_client.get_experiment_by_name(MODEL)
    runs = mlflow_client.search_runs([experiment.experiment_id], f"tags.`penumbra.history` = '{MODEL}'")
    assert len(runs) == 1
    history = {point.step: point.value for point in mlflow_client.get_metric_history(runs[0].info.run_id, "harrell_c/east")}
    assert history == {1: 0.7, 2: pytest.approx(0.6)}
    link = mlflow_client.get_registered_model(MODEL).description
    assert runs[0].info.run_id in link
    assert "&x_axis=step&" in link, "MLflow's page fails on a word in quotes"


def test_parameters_are_on_the_logged_model(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    entry = register(home, make_bundle())
    params = {"network.filters": "8", "fusion.variance": "0.95", "served": "Combined"}
    assert client(home).get_logged_model(entry.model_id).params == params
    assert client(home).get_run(entry.run_id).data.params == params


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a small server, and what was sent to it."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *values: Any) -> None:
            """Nothing is logged."""

    for name, value in (("ALLOWED_SCHEMES", "http,https"), ("ALLOW_PRIVATE_IPS", "true")):
        monkeypatch.setenv(f"MLFLOW_WEBHOOK_{name}", value)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", events
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_change_of_champion_is_an_event_for_webhooks(home: Path, make_bundle: Callable[..., Bundle], received: tuple[str, list[dict[str, Any]]]) -> None:
    """MLflow's client on a database delivers nothing by itself."""
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

    address, events = received
    register(home, make_bundle())
    register(home, make_bundle(0.9))
    wanted = [WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)]
    client(home).create_webhook(name="champion", url=address, events=wanted)
    promote(home, 2, reason="better", model=MODEL)
    until = time.monotonic() + 60
    while not events:
        assert time.monotonic() < until, "nothing was delivered"
        time.sleep(0.05)
    assert find(home, "champion", MODEL).version == 2
    assert [(event["entity"], event["action"], event["data"]) for event in events] == [
        ("model_version_alias", "created", {"name": MODEL, "alias": "champion", "version": "2"})
    ]
