"""What an engineer does with MLflow in the first week, on the finished run: register, compare in the browser, serve, score, promote, roll back."""

import base64
import hashlib
import hmac
import json
import re
import shutil
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from penumbra import registry
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import EvaluateManifest
from penumbra.registry.database import quiet_mlflow

from .. import mlflow_pages
from ..console.browser import Browser
from ..stops import Command, penumbra
from .conftest import Run

pytestmark = pytest.mark.timeout(900)
MODEL, SECRET = "nsclc-os", "of the receiver and of MLflow alone"
WAIT_S = 120


@dataclass
class Receiver:
    """A small server that webhooks are sent to, and what came."""

    events: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def signed(self, headers: Any, body: str) -> bool:
        """As MLflow's documents say that a receiver checks it."""
        content = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{body}"
        signature = base64.b64encode(hmac.new(SECRET.encode(), content.encode(), hashlib.sha256).digest()).decode()
        return hmac.compare_digest(f"v1,{signature}", headers["X-MLflow-Signature"])

    def until(self, number: int) -> dict[str, Any]:
        """The data of the event with this number, from 1."""
        end = time.monotonic() + WAIT_S
        while len(self.events) < number:
            assert time.monotonic() < end, "nothing was delivered"
            time.sleep(0.05)
        return dict(self.events[number - 1]["data"])


@dataclass(frozen=True)
class Week:
    """A copy of the finished run with a second version, MLflow's pages on it, and the service of the champion."""

    home: Path
    cohort: Path
    pages: str
    service: str
    server: Command
    receiver: Receiver

    def penumbra(self, *arguments: str) -> str:
        """A command that asks MLflow's server for the registry."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PENUMBRA_MLFLOW", self.pages)
            return Run(self.home, self.cohort, "").penumbra(*arguments).stdout


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.events.append({**json.loads(body), "signed": received.signed(self.headers, body)})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *values: Any) -> None:
            """Nothing is logged."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    received.address = f"http://127.0.0.1:{server.server_port}/"
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def week(run: Run, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    from cryptography.fernet import Fernet

    home = tmp_path_factory.mktemp("week") / "home"
    shutil.copytree(run.home, home, symlinks=True)
    second_version(home)
    webhooks = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
    }
    server, service = penumbra(home, "mlflow", "--port", "0", variables=webhooks), penumbra(home, "serve-model", "--port", "0")
    try:
        pages, answers = (address(command) for command in (server, service))
        for place in (pages, answers):
            until_healthy(place)
        yield Week(home, run.cohort, pages, answers, server, receiver)
    finally:
        for command in (server, service):
            if command.process.poll() is None:
                command.stop(signal.SIGTERM, "parent")


def second_version(home: Path) -> None:
    """`penumbra register` makes a challenger of another fitted model, as where register.served names one that is not shown to beat the controls."""
    evaluated = manifests.read(home, EvaluateManifest)
    assert evaluated.choice is not None
    other = "Combined" if evaluated.choice.served != "Combined" else "Ridge"
    manifests.write(home, replace(evaluated, choice=replace(evaluated.choice, challenger=other)))
    assert "challenger  2" in Run(home, home, "").penumbra("register").stdout


def address(command: Command) -> str:
    """Where a command says that it answers."""
    pattern = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")
    command.until(lambda: pattern.search(command.said()) is not None)
    match = pattern.search(command.said())
    assert match is not None
    return match.group()


def until_healthy(place: str) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        try:
            asked(f"{place}/health")
        except OSError:
            assert time.monotonic() < end, f"{place} does not answer"
            time.sleep(0.1)
        else:
            return


def asked(place: str, body: Any = None, headers: Mapping[str, str] | None = None) -> str:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(place, content, {"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        return str(answer.read().decode())


def listening(port: int) -> list[str]:
    """The addresses on which somebody listens on a port, as the kernel writes them."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return [line[1].partition(":")[0] for line in lines if line[3] == "0A" and int(line[1].partition(":")[2], 16) == port]


def served_version(week: Week) -> int:
    return int(json.loads(asked(f"{week.service}/health"))["version"])


def test_mlflow_listens_on_loopback_alone_and_refuses_other_names(week: Week) -> None:
    assert listening(int(week.pages.rpartition(":")[2])) == ["0100007F"]
    assert asked(f"{week.pages}/health") == "OK"
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(f"{week.pages}/api/2.0/mlflow/registered-models/search", headers={"Host": "attacker.example"})
    with refused.value as answer:
        assert answer.code == 403


def test_c_per_center_of_two_versions_stands_side_by_side_and_in_one_chart(week: Week, browser: Browser) -> None:
    first, second = (registry.logged_metrics(week.home, registry.find(week.home, number, MODEL)) for number in (1, 2))
    centers = sorted(name for name in first if re.fullmatch("harrell_c/[a-z]+", name))
    assert {"harrell_c/east", "harrell_c/north", "harrell_c/south"} <= set(centers)
    with mlflow_pages.compared(browser, week.pages) as tab:
        shown = mlflow_pages.metrics(tab)
        text = tab.text()
    for name in (*centers, "harrell_c/north/cross_fitted", "harrell_c_lower/east"):
        assert [float(value) for value in shown[name]] == pytest.approx([first[name], second[name]], abs=6e-4), name
    assert len(shown) < 100, "a few dozen are shown by name"
    assert re.search(r'^served\s+"(Ridge|Combined)"\s+"(Ridge|Combined)"', text, re.MULTILINE), "parameters that differ: which model answers"
    with mlflow_pages.over_versions(browser, week.pages) as tab:
        drawn = mlflow_pages.lines(tab)
    assert drawn == {name: pytest.approx([first[name], second[name]]) for name in centers}


def test_a_versions_page_leads_to_its_report_card_and_table(week: Week, browser: Browser) -> None:
    entry = registry.find(week.home, 1, MODEL)
    values = registry.logged_metrics(week.home, entry)
    with mlflow_pages.version(browser, week.pages, 1) as tab:
        text = tab.text()
        assert "served" in text
        assert f"{values['harrell_c/east']:.3f} ({values['harrell_c_lower/east']:.3f} to {values['harrell_c_upper/east']:.3f})" in text
        links = {words: mlflow_pages.link(tab, words) for words in ("Report", "model card", "all metrics as one table")}
        mlflow_pages.follow(tab, links["model card"])
        tab.until("document.body.innerText.includes('Evidence: inside first, then outside')")
        mlflow_pages.follow(tab, links["all metrics as one table"])
        tab.until("document.body.innerText.includes('View as table') && document.body.innerText.includes('harrell_c_se')", WAIT_S)  # 200 kB
        mlflow_pages.follow(tab, links["Report"])
        tab.until("document.querySelector('iframe') !== null")


def test_scores_are_the_same_by_pyfunc_and_by_the_service(week: Week) -> None:
    import mlflow

    with quiet_mlflow(), pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", week.pages)
        loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
        patient = loaded.input_example
        answer = loaded.predict(patient).iloc[0]
    sent = {"features": [{name: float(value) for name, value in patient.iloc[0].items()}]}
    served = json.loads(asked(f"{week.service}/predict", sent))
    assert served["version"] == 1
    assert served["answers"][0]["log_risk"] == pytest.approx(answer["log_risk"], rel=1e-9)
    assert served["answers"][0]["survival"]["2y"]["survival"] == pytest.approx(answer["survival_2y"], rel=1e-9)
    patient_of_store = json.loads(asked(f"{week.service}/explain", {"patient": "E001", "center": "east"}))["answers"][0]
    assert patient_of_store["applicability"]["word"] in ("inside", "edge", "outside")


def test_a_promotion_and_a_rollback_are_signed_events_and_answer_at_once(week: Week) -> None:
    wanted = [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}]
    hook = {"name": "champion", "url": week.receiver.address, "events": wanted, "secret": SECRET}
    asked(f"{week.pages}/api/2.0/mlflow/webhooks", hook)
    week.penumbra("promote", "2", "--reason", "agreed by the tumor board")
    assert week.receiver.until(1) == {"name": MODEL, "alias": "champion", "version": "2"}
    assert served_version(week) == 2
    week.penumbra("rollback", "--reason", "the first week is over")
    assert week.receiver.until(2) == {"name": MODEL, "alias": "champion", "version": "1"}
    assert served_version(week) == 1
    assert len(week.receiver.events) == 2, "one event each"
    assert all(event["signed"] for event in week.receiver.events)


def test_mlflow_ends_with_all_of_its_processes(week: Week) -> None:
    """The last of the week: the server is needed no more."""
    ended = week.server.stop(signal.SIGTERM, "parent")
    assert (ended.status, ended.left) == (143, [])
    assert "Traceback" not in ended.said
