"""What is in infra/: schedules as params.yaml has them, services named once; and the flows' rules of trying again."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.pipeline import notifications
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

INFRA = project_root() / "infra"


def test_the_deployments_run_when_params_yaml_says() -> None:
    deployments = {entry["name"]: entry for entry in yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"]}
    serve = load_settings().serve
    assert deployments["weekly"]["schedules"] == [{"cron": serve.retrain_cron, "timezone": serve.timezone}]
    assert deployments["nightly"]["schedules"] == [{"cron": serve.check_cron, "timezone": serve.timezone}]
    for entry in deployments.values():
        file, _, flow = entry["entrypoint"].partition(":")
        assert f"\ndef {flow}(" in (project_root() / file).read_text()


def test_each_service_is_started_by_the_one_script() -> None:
    services = dict(line.split(": ", 1) for line in (INFRA / "Procfile").read_text().splitlines())
    assert all(command == f"exec infra/run {name}" for name, command in services.items())
    known = set(re.findall(r"^([a-z]+)\)", (INFRA / "run").read_text(), re.MULTILINE))
    assert set(services) <= known
    composed = yaml.safe_load((project_root() / "compose.yaml").read_text())["services"]
    assert {name: entry["command"] for name, entry in composed.items()} == {name: f"infra/run {name}" for name in services if name != "ready"}


class Failed:
    """The state of a task that raised `error`."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def result(self, raise_on_failure: bool) -> BaseException:
        return self.error


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.slow
def test_only_input_and_output_are_tried_again() -> None:
    from penumbra.flows.retry import worth_retrying

    def again(error: BaseException) -> bool:
        return worth_retrying(None, None, Failed(error))  # type: ignore[arg-type]

    assert again(OSError("disk"))
    assert again(raised_from(RuntimeError("API request failed"), ConnectionError("refused")))
    assert not again(ValueError("a wrong number"))
    assert again(Refusal("files_reached", "no answer", "look for it"))
    assert not again(Refusal("files", "no bucket", "create it"))
    assert again(Refusal("catalog_reached", "connection refused", "start the server"))
    assert not again(BrokenPipeError("its worker was killed"))
    assert not again(raised_from(Refusal("readable", "no file", "send it again"), OSError("no file")))


def test_a_notification_is_sent_once_and_a_failing_service_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.core import Block

    from penumbra.flows.notify import notify_task

    work = Work(tmp_path, load_settings(), "test")
    notifications.notify(
        work.home, DecisionManifest(center="east", key="k1", decision="reject", reason="Rejected: worse at east.", champion=1, challenger=None, comparison=())
    )
    told: list[tuple[str, str]] = []

    class Service:
        def notify(self, body: str, subject: str) -> None:
            if not told:
                told.append(("", ""))
                raise ConnectionError("not now")
            told.append((subject, body))

    def load(name: str) -> Any:
        assert name == "slack-webhook/clinic"
        return Service()

    monkeypatch.setattr(Block, "load", load)
    with pytest.raises(ConnectionError):
        notify_task.fn(work, "slack-webhook/clinic")
    assert len(notifications.unsent(tmp_path)) == 1
    assert notify_task.fn(work, "slack-webhook/clinic") == 1
    assert notify_task.fn(work, "slack-webhook/clinic") == 0
    (subject, body) = told[-1]
    assert subject == "penumbra: east arrived, reject"
    assert "Rejected: worse at east." in body


@pytest.mark.slow
def test_a_server_offers_the_profiles_as_a_list() -> None:
    """`profile` was free text in the UI."""
    from penumbra.base.params import PROFILES
    from penumbra.flows.retrain import retrain, retrain_waiting
    from penumbra.flows.run import run_deployed

    for each in (run_deployed, retrain, retrain_waiting):
        assert set(each.parameters.properties["profile"]["enum"]) == set(PROFILES), each.name
