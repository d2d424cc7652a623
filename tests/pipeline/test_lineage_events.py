"""OpenLineage events of the stages: what other catalogs see, that no patient is in it, and that nobody waits for a server that is away."""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import fuse as fuse_stage
from penumbra.pipeline import lineage_events
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.pipeline.stages import BY_NAME
from penumbra.pipeline.workspace import Work

from ..small_run import few_models, say_what_it_was_made_from, small_work

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_events, "SENDER", lineage_events.Sender())
    monkeypatch.setattr(lineage_events, "FLUSH_S", 60.0)  # of a server that answers: no test depends on how fast
    monkeypatch.setattr(evaluate_stage, "cross_fitted_falsifiers", lambda *_: {})
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:  # its client sets some of another test's
        monkeypatch.delenv(name)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = small_work(tmp_path / "home", centers={"north": 40, "east": 20}, features=4)
    settings = few_models(work.settings)
    work = replace(work, run="run-1", settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=20, refits=1)))
    say_what_it_was_made_from(work)
    return work


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file transport writes, one event per line."""
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "events.json"))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    return tmp_path / "events.json"


def events_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_stage_is_a_start_and_a_complete_with_inputs_outputs_and_versions(work: Work, file: Path) -> None:
    fused = BY_NAME["fuse"](work)
    BY_NAME["evaluate"](work)
    events = events_in(file)
    assert [(event["job"]["name"], event["eventType"]) for event in events] == [
        ("fuse", "START"),
        ("fuse", "COMPLETE"),
        ("evaluate", "START"),
        ("evaluate", "COMPLETE"),
    ]
    start, complete, _, last = events
    assert start["run"]["runId"] == complete["run"]["runId"] != last["run"]["runId"]
    assert len({event["run"]["facets"]["parent"]["run"]["runId"] for event in events}) == 1, "stages of one run belong together"
    assert {dataset["name"] for dataset in complete["inputs"]} == {"radiomics", "deep", "patients"}
    people = next(dataset for dataset in complete["inputs"] if dataset["name"] == "patients")
    assert {"name": "event", "type": "bool"}.items() <= next(entry for entry in people["facets"]["schema"]["fields"] if entry["name"] == "event").items()
    made = next(dataset for dataset in complete["outputs"] if dataset["name"] == "manifests/fuse.json")
    assert made["facets"]["version"]["datasetVersion"] == fused.to_json()["key"]
    looks = next(dataset for dataset in last["outputs"] if dataset["name"] == "looks")
    assert looks["outputFacets"]["outputStatistics"]["rowCount"] == 1, "the stage wrote the look at east"
    tags = {tag["key"]: tag["value"] for tag in complete["job"]["facets"]["tags"]["tags"]}
    assert (tags["run"], tags["profile"]) == ("run-1", work.profile)
    assert tags["code_commit"]


def test_no_patient_is_in_an_event_nor_in_the_reason_of_a_failure(work: Work, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patients = read_dataset(work).patients.tolist()
    BY_NAME["fuse"](work)

    def fails(work: Work) -> None:
        raise Refusal("gtv_found", f"no ROI matches in patient {patients[0]}", "add a synonym")

    monkeypatch.setattr(fuse_stage, "fuse", fails)
    with pytest.raises(Refusal, match="gtv_found"):
        BY_NAME["fuse"](work)
    failed = events_in(file)[-1]
    assert (failed["eventType"], failed["run"]["facets"]["errorMessage"]["message"]) == ("FAIL", "gtv_found")
    monkeypatch.setattr(fuse_stage, "fuse", lambda work: open(f"/nowhere/{patients[0]}"))  # noqa: PTH123, SIM115 an error whose words hold a path
    with pytest.raises(FileNotFoundError):
        BY_NAME["fuse"](work)
    message = events_in(file)[-1]["run"]["facets"]["errorMessage"]["message"]
    assert re.fullmatch(r"FileNotFoundError in \w+\.py, line \d+", message), message
    text = file.read_text(encoding="utf-8")
    assert not any(patient in text for patient in patients)
    assert str(work.home) not in text


def test_a_stage_that_a_retraining_calls_sends_the_same_events(work: Work, file: Path) -> None:
    fused = lineage_events.sends(fuse_stage.fuse)(work)
    assert fused.key
    assert [(event["job"]["name"], event["eventType"]) for event in events_in(file)] == [("fuse", "START"), ("fuse", "COMPLETE")]
    protocol = (project_root() / "src" / "penumbra" / "retraining" / "protocol.py").read_text(encoding="utf-8")
    for stage in ("ingest", "populate", "stage", "register", "report"):  # stage: train, fuse and evaluate in turn
        assert re.search(rf"sends\({stage}\)\(", protocol), stage
        assert not re.search(rf"(?<![\w.]){stage}\((?:work|refitted)\b", protocol), f"{stage} is called past its events"


def test_a_registered_version_is_an_output() -> None:
    made = lineage_events.made_by("register", RegisterManifest(model="nsclc-os", version=3, digest="abc"))
    assert [(dataset.name, dataset.facets["version"].datasetVersion) for dataset in made] == [("manifests/register.json", "3"), ("registry/nsclc-os", "3")]


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A catalog on loopback: its address, and the events that it received."""
    received: list[dict[str, Any]] = []

    class Catalog(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Catalog)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}", received
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_a_server_receives_the_events(work: Work, server: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    address, received = server
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "clinic")
    BY_NAME["fuse"](work)
    assert [event["eventType"] for event in received] == ["START", "COMPLETE"]
    assert {event["job"]["namespace"] for event in received} == {"clinic"}


def test_a_server_that_is_away_is_one_line_and_no_failure(work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")  # nobody listens there
    first, second = BY_NAME["fuse"](work), BY_NAME["fuse"](work)
    assert first == second
    assert capsys.readouterr().err.count("OpenLineage events are not sent") == 1


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sender = lineage_events.Sender()
    answered = threading.Event()
    monkeypatch.setattr(sender, "send", answered.wait)
    sender.put("an event")
    sender.flush(0.01)
    assert "no answer within 0.01 s" in capsys.readouterr().err
    sender.put("another")
    sender.flush(3600.0)
    assert sender.events.qsize() == 1, "nothing more is tried"
    answered.set()


def test_nothing_is_imported_where_nobody_asks(work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("openlineage")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openlineage", None)
    BY_NAME["fuse"](work)
    assert "OpenLineage" not in capsys.readouterr().err
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    BY_NAME["fuse"](work)
    assert "OpenLineage" not in capsys.readouterr().err
    monkeypatch.delenv("OPENLINEAGE_DISABLED")
    BY_NAME["fuse"](work)
    assert capsys.readouterr().err.count("OpenLineage events are not sent (the event could not be made: ModuleNotFoundError in ") == 1
