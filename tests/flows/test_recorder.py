"""What a Prefect server is told of a run, without a server: order, patience, tasks of steps and batches; and that a run outlives its server."""

import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from penumbra.base import progress
from penumbra.base.params import PROFILES
from penumbra.base.refusal import Refusal
from penumbra.evaluate import MetricRow
from penumbra.flows import artifacts, discreet, drive, late, outbox, outcome, recorder, retry, temporary_api
from penumbra.flows.late import Label
from penumbra.flows.outbox import Outbox
from penumbra.flows.recorder import Recorder
from penumbra.flows.retry import worth_retrying
from penumbra.pipeline.manifests import DecisionManifest, EvaluateManifest, RegisterManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

LABEL = Label(lambda: None, ("run",), {"profile": "quick"}, ("center:east",))  # type: ignore[arg-type, return-value]


class Server:
    """Stands for Prefect's client; `away` calls fail before the first that does not."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.calls = away, list[tuple[str, Any]]()
        self.lines, self.times = list[str](), list[datetime]()

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise httpx.ConnectError("refused")

    def create_logs(self, entries: list[Any]) -> None:
        self._answer()
        self.times += [entry.timestamp for entry in entries if hasattr(entry, "timestamp")]
        self.lines += [entry.message for entry in entries]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._answer()
            self.calls.append((name, (arguments, named)))
            return SimpleNamespace(id=uuid.uuid4())

        return call

    @property
    def tasks(self) -> list[str]:
        """Names of the task runs in their order, as they are renamed, and what became of each."""
        names, states = dict[Any, str](), dict[Any, str]()
        for name, (arguments, named) in self.calls:
            if name == "create_task_run":
                names[named["id"]] = named["name"]
            elif name == "set_task_run_name":
                names[arguments[0]] = arguments[1]
            elif name == "set_task_run_state":
                states[arguments[0]] = arguments[1].name
        return [f"{words} {states.get(each, 'Running')}" for each, words in names.items()]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()

    @contextlib.contextmanager
    def opened(**_: Any) -> Iterator[Server]:
        yield server

    monkeypatch.setattr(outbox, "get_client", opened)
    monkeypatch.setattr(recorder, "get_client", opened)
    monkeypatch.setattr(outbox, "RETRY_S", 0.05)
    monkeypatch.setattr(outbox, "LINES_S", 0.05)
    monkeypatch.setattr(late, "LASTS_S", 0.0)
    return server


@pytest.fixture
def shown(server: Server, tmp_path: Path) -> Iterator[Recorder]:
    """The recorder of one run."""
    run = Recorder(Work(tmp_path, load_settings("quick"), "test"), uuid.uuid4(), Outbox())
    with progress.watching(run):
        yield run
    run.outbox.close()


def test_what_a_server_that_was_away_did_not_take_is_sent_when_it_is_back(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.away = 3
    box = Outbox()
    for place in range(3):
        box.call(lambda client, place=place: client.update(place))  # type: ignore[misc]
        box.line(SimpleNamespace(message=str(place)))
        box.latest("bar", lambda client, place=place: client.bar(place))  # type: ignore[misc]
    while server.away or not server.lines:
        time.sleep(0.01)
    box.close()
    assert [(name, arguments) for name, (arguments, _) in server.calls] == [("update", (0,)), ("update", (1,)), ("update", (2,)), ("bar", (2,))]
    assert server.lines == ["0", "1", "2"]
    assert capsys.readouterr().err.count(outbox.AWAY) == 1


def test_a_server_that_stays_away_holds_up_no_end(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.away = 10**9
    box = Outbox()
    box.call(lambda client: client.hello())
    while not box.away:
        time.sleep(0.01)
    box.close()
    assert outbox.THREAD not in [thread.name for thread in threading.enumerate()]
    assert capsys.readouterr().err.count(outbox.AWAY) == 1


def test_a_sender_that_ends_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It ended silently, and the page stayed as it was."""

    def broken(**_: Any) -> None:
        raise RuntimeError("S3cret")

    monkeypatch.setattr(outbox, "get_client", broken)
    Outbox().close()
    said = capsys.readouterr().err
    assert "nothing more is shown by the Prefect server: RuntimeError" in said
    assert "S3cret" not in said


def test_steps_and_batches_are_tasks_and_what_failed_is_shown_so(server: Server, shown: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "BATCH_S", 0.0)
    with progress.part("arrival"), progress.track("populate", 25) as advance:
        for _ in range(25):
            advance()
    with pytest.raises(ValueError, match="Doe"), progress.part("refit"), progress.track("train", 40, batch=20) as advance:
        _fail(advance)
    shown.outbox.close()
    batches = [f"populate {first} to {min(first + 2, 25)} of 25 Completed" for first in range(1, 25, 3)]
    networks = ["train 1 of 2 Completed", "train 2 of 2 Failed"]
    assert server.tasks == ["arrival Completed", *batches, "populate 25 of 25 Completed", "refit Failed", *networks]
    assert "Doe" not in repr(server.calls)
    assert "populate 25/25 in 0 s" in server.lines
    bars = [(named["artifact"] if named else arguments[-1]).data for name, (arguments, named) in server.calls if name == "update_artifact"]
    assert bars[0] == 100


def _fail(advance: progress.Advance) -> None:
    advance(20)
    raise ValueError("/data/Doe^John/ct.dcm")


def test_a_sentence_is_printed_once_and_is_one_line(server: Server, shown: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    progress.say("east: arrival: 36 of 39 accepted")
    with progress.track("ingest east", 2) as advance:
        advance(2)
    shown.outbox.close()
    assert server.lines == ["east: arrival: 36 of 39 accepted", "ingest east 2/2 in 0 s"]
    assert capsys.readouterr().err == "  east: arrival: 36 of 39 accepted\n  ingest east 2/2 in 0 s\n"


def test_a_version_is_a_tag_as_soon_as_it_is_registered(server: Server, shown: Recorder) -> None:
    shown.tag(["center:east"])
    progress.made(RegisterManifest(model="nsclc-os", version=2, challenger=3))
    shown.outbox.close()
    tags = [named["tags"] for name, (_, named) in server.calls if name == "update_flow_run"]
    assert tags == [["center:east"], ["center:east", "version:nsclc-os/2", "version:nsclc-os/3"]]


def test_c_per_center_has_its_interval_and_no_number_where_there_is_none() -> None:
    rows = (
        MetricRow("Ridge", "east", "test", "harrell_c", 0.791, 0.709, 0.875, 36, 23),
        MetricRow("Ridge", "west", "test", "harrell_c", float("nan"), float("nan"), float("nan"), 3, 0, "nobody died"),
        MetricRow("Ridge", "east", "test", "auc_2y", 0.8, 0.7, 0.9, 36, 23),
    )
    content = artifacts.c_per_center(EvaluateManifest(key="k", metrics=rows))
    assert content.data == (
        '[{"model": "Ridge", "center": "east", "split": "test", "C": "0.791", "95 % interval": "0.709 to 0.875", "patients": 36, "deaths": 23},'
        ' {"model": "Ridge", "center": "west", "split": "test", "C": "-", "95 % interval": "-", "patients": 3, "deaths": 0}]'
    )


@pytest.mark.parametrize("center", ["St. Mary_2", "north", "A-b"])
def test_the_key_of_a_decision_is_one_that_prefect_takes(tmp_path: Path, center: str) -> None:
    from prefect.client.schemas.actions import ArtifactCreate

    decided = DecisionManifest(center=center, key="k", decision="stop", reason="Stopped: 3 deaths.", champion=1, challenger=None, comparison=())
    content = artifacts.decision(Work(tmp_path, load_settings(), "test"), decided)
    assert ArtifactCreate(key=content.key, type=content.kind, data=content.data).key == content.key
    assert content.data.startswith(f"# {center}: stop\n\nStopped: 3 deaths.")
    assert "/#/models/nsclc-os/versions/1)" in content.data


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Work whose flows report to a server that is named."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(drive, "prepare_prefect", lambda work: None)
    drive.started.clear()
    return Work(Path("/nowhere"), load_settings(), "test")


def test_what_a_flow_came_to_is_kept_when_its_server_cannot_be_told(named: Work, capsys: pytest.CaptureFixture[str]) -> None:
    def flow() -> str:
        outcome.keep("decided")
        raise httpx.ConnectError("refused")

    assert drive.as_flow(named, flow, lambda: "again", LABEL) == "decided"
    assert capsys.readouterr().err == ""


def test_a_flow_that_its_server_ended_is_gone_on_with_from_where_it_was(named: Work, capsys: pytest.CaptureFixture[str]) -> None:
    def flow() -> str:
        raise RuntimeError("no state") from httpx.ReadError("gone")

    assert drive.as_flow(named, flow, lambda: "resumed", LABEL) == "resumed"
    assert capsys.readouterr().err.splitlines() == ["  the Prefect server does not answer; the run goes on without it"]


def test_an_error_of_our_own_is_raised_as_it_was(named: Work) -> None:
    def flow() -> str:
        with discreet.discreet():
            raise OSError("/data/Doe^John") from KeyError("cause")

    with pytest.raises(OSError, match="Doe") as raised:
        drive.as_flow(named, flow, lambda: "again", LABEL)
    assert isinstance(raised.value.__cause__, KeyError)


def test_prefect_keeps_no_message_but_a_refusal() -> None:
    with pytest.raises(discreet.Unsaid, match=r"^OSError in test_recorder.py, line \d+$") as raised, discreet.discreet():
        raise OSError("/data/Doe^John")
    assert worth_retrying(None, None, SimpleNamespace(result=lambda **_: raised.value))  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="no champion"), discreet.discreet():
        raise Refusal("model_registered", "no champion", "penumbra run")


class Api:
    """Stands for a temporary API that answers once it is `up`, or never."""

    url = "http://127.0.0.1:9/api"

    def __init__(self, *, comes: bool = True) -> None:
        self.up, self.comes, self.killed = threading.Event(), comes, False

    def answers(self, given_up: threading.Event | None = None) -> bool:
        while given_up is not None and not given_up.is_set() and not self.up.wait(0.01):
            pass
        return self.comes and self.up.is_set()

    def kill(self) -> None:
        self.killed = True


def _attached(server: Server) -> None:
    while not any(name == "update_flow_run" for name, _ in server.calls):
        time.sleep(0.01)


def test_what_happened_before_the_server_answered_is_shown_with_its_time(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "BATCH_S", 0.0)
    api: Any = Api()
    with late.shown(Work(tmp_path, load_settings("quick"), "test"), LABEL, lambda: api):
        with progress.part("ingest"), progress.track("ingest east", 2, batch=1) as advance:
            advance()
            advance()
        before = datetime.now(UTC)
        time.sleep(0.2)
        api.up.set()
        _attached(server)
        with progress.part("populate"):
            progress.say("computed")
    assert server.tasks == ["ingest Completed", "ingest east 1 of 2 Completed", "ingest east 2 of 2 Completed", "populate Completed"]
    assert server.lines == ["ingest east 2/2 in 0 s", "computed"]
    assert server.times[0] <= before < server.times[1]
    last = [(arguments[1].name, named) for name, (arguments, named) in server.calls if name == "set_flow_run_state"]
    assert last == [("Completed", {"force": True})]


def test_a_run_that_ends_before_its_server_answers_does_not_wait(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api: Any = Api()
    with late.shown(Work(tmp_path, load_settings("quick"), "test"), LABEL, lambda: api), progress.part("ingest"):
        pass
    assert (server.calls, capsys.readouterr().err) == ([], "")


def test_a_run_that_ends_within_seconds_starts_no_server(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took as much of the processors as the run, and was never shown."""
    starts, api = list[str](), Api()

    def start() -> Any:
        starts.append("started")
        return api

    work = Work(tmp_path, load_settings("quick"), "test")
    monkeypatch.setattr(late, "LASTS_S", 60.0)
    with late.shown(work, LABEL, start):
        pass
    assert starts == []
    monkeypatch.setattr(late, "LASTS_S", 0.2)
    with late.shown(work, LABEL, start):
        api.up.set()
        _attached(server)
    assert starts == ["started"]


def test_the_api_outlives_the_thread_that_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends it with the thread that started it; a process of its kind that is up at once stands for it."""
    bound = "import time; from penumbra.base.child_process import die_with_parent; die_with_parent(); print('up', flush=True); time.sleep(60)"
    monkeypatch.setattr(temporary_api.parent_bound, "command", lambda *_, **__: [sys.executable, "-c", bound])
    asked = list[temporary_api.Api]()

    def ask() -> None:
        asked.append(temporary_api.start(tmp_path))
        while not (tmp_path / temporary_api.LOG).read_text():
            time.sleep(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(60)
    (api,) = asked
    time.sleep(0.2)
    assert not api.has_ended()
    api.kill()
    assert api.has_ended()


def test_a_run_that_ends_while_its_flow_run_begins_ends_that_too(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would seem to run forever."""
    api, begins, make = Api(), threading.Event(), recorder.begin

    def slow(*arguments: Any) -> Recorder:
        begins.set()
        time.sleep(0.3)
        return make(*arguments)

    monkeypatch.setattr(recorder, "begin", slow)
    with late.shown(Work(tmp_path, load_settings("quick"), "test"), LABEL, lambda: api), progress.part("ingest"):  # type: ignore[arg-type]
        api.up.set()
        assert begins.wait(60)
    assert [arguments[1].name for name, (arguments, _) in server.calls if name == "set_flow_run_state"] == ["Completed"]
    assert server.tasks == ["ingest Completed"]


def test_a_decision_that_cannot_be_sent_is_said(named: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api: Any = Api(comes=False)
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setattr(drive.temporary_api, "start", lambda home: api)
    monkeypatch.setattr(drive.notifications, "service", lambda work: "slack-webhook/clinic")
    monkeypatch.setattr("penumbra.retraining.protocol.retrain", lambda *_, **__: "decided")
    assert drive.retrain_flow(named, "east") == "decided"
    assert "no notification by slack-webhook/clinic: Prefect's API, which has its address, is not up; it stays in notifications/" in capsys.readouterr().err
    drive.started.clear()


def test_a_server_that_never_comes_up_is_said_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api: Any = Api(comes=False)
    with late.shown(Work(tmp_path, load_settings("quick"), "test"), LABEL, lambda: api):
        api.up.set()
        while not api.killed or late.NOT_UP not in (said := capsys.readouterr().err):
            time.sleep(0.01)
    assert said.count(late.NOT_UP) == 1
    assert server.calls == []


def test_a_run_that_fails_is_shown_as_failed_and_raises_its_error(server: Server, tmp_path: Path) -> None:
    api: Any = Api()
    with pytest.raises(OSError, match="Doe"), late.shown(Work(tmp_path, load_settings("quick"), "test"), LABEL, lambda: api), progress.part("ingest"):
        _leave(api, server)
    states = {name: arguments[1].name for name, (arguments, _) in server.calls if name.startswith("set_")}
    assert states == {"set_task_run_state": "Failed", "set_flow_run_state": "Failed"}
    assert "Doe" not in repr(server.calls) + repr(server.lines)


def test_what_may_pass_is_tried_again_and_nothing_else(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(retry, "DELAYS_S", [0.0, 0.0])
    tries = list[int]()

    def away() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("/data/Doe^John")
        return "here"

    assert retry.patiently("ingest", away) == "here"
    assert capsys.readouterr().err.count("  ingest: ConnectionError in test_recorder.py") == 2
    with pytest.raises(Refusal, match="no champion"):
        retry.patiently("register", _refused)
    with pytest.raises(ValueError, match="wrong"):
        retry.patiently("fuse", _wrong)


def _leave(api: Api, server: Server) -> None:
    api.up.set()
    _attached(server)
    raise OSError("/data/Doe^John")


def _refused() -> None:
    raise Refusal("model_registered", "no champion", "penumbra run")


def _wrong() -> None:
    raise ValueError("wrong")


def test_deployments_take_parameters_that_are_typed_and_described() -> None:
    from penumbra.flows.check import check
    from penumbra.flows.retrain import retrain, retrain_waiting
    from penumbra.flows.run import run_deployed

    for each in (run_deployed, retrain, retrain_waiting, check):
        properties = each.parameters.properties
        assert all(facts.get("description") and facts["type"] in ("string", "boolean") for facts in properties.values()), each.name
        assert "profile" not in properties or set(properties["profile"]["enum"]) == set(PROFILES)
    center = retrain.parameters.properties["center"]
    assert center["pattern"].startswith("^[A-Za-z0-9]")
    assert retrain.parameters.required == ["center"]
