"""Actions: foreseen, given a reason, confirmed, carried out once by a command of their own, and found afterwards; and a patient who is withdrawn is gone."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import registry, store
from penumbra.base.chained_log import OF_ACCESS, ChainedLog
from penumbra.console import actions, running
from penumbra.console.kinds import KINDS
from penumbra.registry.database import quiet_mlflow
from tests import example_home
from tests.registry.small_bundle import METRICS, small_bundle

from . import serving
from .serving import Answer, Served
from .test_access import EDITORS, TOKENS, VIEWERS
from .visitor import Visitor

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Iterator[Served]:
    """A console that acts, over two versions, two patients and a center that has arrived."""
    home = tmp_path_factory.mktemp("acting") / "home"
    example_home.copied(example, home)
    with quiet_mlflow():
        registry.register(home, small_bundle(home.with_name("network.safetensors"), 0.7), METRICS, model="nsclc-os")
    (home / "incoming" / "north" / "N001").mkdir(parents=True)
    (home / "incoming" / "north" / "clinical.csv").write_text("patient,time,event\nN001,420,1\nN002,730,0\n")
    with serving.served(home, "--allow-actions", more=TOKENS) as running_console:
        yield running_console


@pytest.fixture
def editor(acting: Served) -> Visitor:
    visitor = Visitor(acting)
    visitor.sign_in("berta", EDITORS)
    return visitor


def begin(visitor: Visitor, path: str, reason: str, typed: str, **changed: str) -> Answer:
    """Look at an action and confirm it."""
    return visitor.send(path.partition("?")[0], {**visitor.form(path), "reason": reason, "confirm": typed, **changed})


def ended(visitor: Visitor, answer: Answer) -> running.Run:
    """Wait for the end of an action that was begun."""
    assert answer.status == 303, answer.text
    name, end = answer.headers["location"].rpartition("/")[2], time.monotonic() + PATIENCE_S
    while not (run := running.read(visitor.served.home, name)).ended:
        assert time.monotonic() < end, running.output(visitor.served.home, run)
        time.sleep(0.1)
    return run


def champion(home: Path) -> str:
    return str(registry.shelf(home, "nsclc-os").aliases["champion"])


def entries(home: Path, event: str) -> list[dict[str, object]]:
    return [entry for entry in ChainedLog(home / OF_ACCESS).entries() if entry["event"] == event]


def test_a_promotion_and_its_way_back(acting: Served, editor: Visitor) -> None:
    path = "/actions/promote?version=2"
    page = editor.ask(path)
    assert "nsclc-os/1" in page.text
    assert "nsclc-os/2" in page.text
    assert page.headers["referrer-policy"] == "same-origin"
    run = ended(editor, begin(editor, path, "agreed by the tumor board", "2"))
    assert run.status == 0, running.output(acting.home, run)
    assert champion(acting.home) == "2"
    row = store.query(acting.home, "SELECT who, reason FROM alias_changes ORDER BY commit_id DESC LIMIT 1").to_pylist()
    assert row == [{"who": "berta", "reason": "agreed by the tumor board"}]
    shown = editor.ask(f"/actions/runs/{run.name}").text
    assert "done" in shown
    assert "nsclc-os/2 is champion; before: 1" in shown
    assert "agreed by the tumor board" in editor.ask("/actions").text

    back = ended(editor, begin(editor, "/actions/rollback", "the board met again", "champion"))
    assert back.status == 0
    assert champion(acting.home) == "1"
    assert [(entry["action"], entry["account"]) for entry in entries(acting.home, "began")][:2] == [("rollback", "berta"), ("promote", "berta")]
    assert entries(acting.home, "ended")[0]["status"] == 0


@pytest.mark.parametrize(
    ("reason", "typed", "words"),
    [("", "2", "Say why"), ("x" * 501, "2", "Say why"), ("because", "1", "type 2"), ("because", "", "type 2"), ("for N002", "2", "names no patient")],
)
def test_without_a_reason_or_a_confirmation_nothing_begins(acting: Served, editor: Visitor, reason: str, typed: str, words: str) -> None:
    before = len(list(running.every(acting.home)))
    answer = begin(editor, "/actions/promote?version=2", reason, typed)
    assert answer.status == 400
    assert words in answer.text
    assert len(list(running.every(acting.home))) == before


def test_a_form_is_carried_out_once(acting: Served, editor: Visitor) -> None:
    form = {**editor.form("/actions/set-aside?center=north"), "reason": "waiting for a phantom", "confirm": "north"}
    answers = [editor.send("/actions/set-aside", form) for _ in range(3)]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert ended(editor, answers[0]).status == 0
    rows = store.query(acting.home, "SELECT step, outcome FROM retrainings WHERE center = 'north'").to_pylist()
    assert rows == [{"step": "set aside", "outcome": "waiting for a phantom"}]
    assert "Set aside by berta" in editor.ask("/actions/set-aside?center=north").text
    command = [sys.executable, "-m", "penumbra.cli", "retrain", "--center", "north"]
    refused = subprocess.run(command, env={**os.environ, "PENUMBRA_HOME": str(acting.home), "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True)
    assert "north is set aside" in refused.stderr
    assert ended(editor, begin(editor, "/actions/take-back?center=north", "it arrived", "north")).status == 0
    assert not (acting.home / "manifests" / "aside-north.json").exists()


def test_what_was_shown_and_is_not_so_any_more_is_refused(acting: Served, editor: Visitor) -> None:
    form = {**editor.form("/actions/promote?version=2"), "reason": "because", "confirm": "2"}
    assert editor.send("/actions/promote", {**form, "version": "1", "confirm": "1"}).status == 409, "another version than was shown"
    other = Visitor(acting)
    other.sign_in("clara", EDITORS)
    ended(other, begin(other, "/actions/promote?version=2", "first", "2"))
    assert editor.send("/actions/promote", form).status == 409, "it is champion meanwhile"
    ended(other, begin(other, "/actions/promote?version=1", "back", "1"))


def test_a_viewer_and_a_stranger_do_nothing(acting: Served, editor: Visitor) -> None:
    viewer = Visitor(acting)
    viewer.sign_in("anna", VIEWERS)
    page = viewer.ask("/actions/promote?version=2")
    assert "penumbra promote 2 --reason" in page.text
    assert '<form method="post" action="/actions' not in page.text
    form = {**editor.form("/actions/promote?version=2"), "reason": "because", "confirm": "2"}
    assert viewer.send("/actions/promote", form).status == 403, "the editor's form"
    assert viewer.send("/actions/promote", {**form, "csrf": viewer.form("/sign-in")["csrf"]}).status == 403
    assert viewer.ask("/actions").status == 403
    assert Visitor(acting).send("/actions/promote", form).status == 401
    assert editor.send("/actions/promote", {**form, "csrf": "0" * 40}).status == 403
    assert editor.send("/actions/promote", form, Origin="https://evil.example").status == 403


def test_a_target_is_never_an_option_of_the_command(acting: Served, editor: Visitor) -> None:
    for path in ("/actions/promote?version=--help", "/actions/withdraw?patient=-y", "/actions/promote", "/actions/nothing", "/actions/retrain?center=%0a"):
        assert editor.ask(path).status in (400, 404), path
    for kind in KINDS.values():
        arguments = kind.command({"version": "2", "center": "a; rm -rf /", "patient": "N001"}, "$(reboot)")
        assert arguments == [part for part in arguments if isinstance(part, str)]


def test_without_allow_actions_a_page_has_the_command_and_no_form_is_taken(small_home: Path) -> None:
    with serving.served(small_home) as showing:
        visitor = Visitor(showing)
        page = visitor.ask("/actions/promote?version=1")
        assert "--allow-actions" in page.text
        assert "penumbra promote 1 --reason" in page.text
        csrf = {"csrf": visitor.form("/sign-in").get("csrf", ""), "version": "1", "reason": "x", "confirm": "1", "once": "0" * 32}
        assert visitor.send("/actions/promote", csrf).status in (400, 403)
        assert not (small_home / running.FOLDER).exists()


def test_an_action_outlives_its_console(acting: Served, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(acting.home, home)
    shutil.rmtree(home / "console", ignore_errors=True)
    with serving.served(home, "--allow-actions", more=TOKENS) as console:
        visitor = Visitor(console)
        visitor.sign_in("berta", EDITORS)
        answer = begin(visitor, "/actions/set-aside?center=north", "waiting", "north")
    assert b"Traceback" not in console.log.read_bytes()
    visitor.served = console
    assert ended(visitor, answer).status == 0


def test_a_withdrawn_patient_is_gone_from_every_page_and_file(acting: Served, editor: Visitor) -> None:
    """Looked at, withdrawn while the console runs, asked for again with and without the browser's copy."""
    home = acting.home
    (home / running.FOLDER).mkdir(parents=True, exist_ok=True)
    (home / running.FOLDER / f"{'a' * 32}.txt").write_text("refused: N001\n")
    paths = [path for path in ("/patients", "/patients/N001", "/tables/patients", "/tables/patients?format=csv") if b"N001" in editor.ask(path).body]
    assert "/tables/patients" in paths
    tags = {path: editor.ask(path).headers.get("etag", "") for path in paths}
    for path, tag in tags.items():
        if tag:
            again = editor.ask(path, headers={"If-None-Match": tag})
            assert (again.status, again.headers["cache-control"]) == (304, "private, no-cache"), path
    seen_before = len(editor.ask("/log?patient=N001&event=saw").text.split("<tr>"))
    assert seen_before > 2

    run = ended(editor, begin(editor, "/actions/withdraw?patient=N001&center=north", "consent withdrawn", "N001"))
    assert run.status == 0, running.output(home, run)
    for path, tag in tags.items():
        for headers in ({}, {"If-None-Match": tag}):
            answer = editor.ask(path, headers=headers)
            assert answer.status in (200, 404), path
            assert b"N001" not in answer.body.replace(b"/patients/N001", b""), path  # the address that was asked for
    for page in ("/", "/actions", f"/actions/runs/{run.name}", "/log", "/tables/withdrawals"):
        assert b"N001" not in editor.ask(page).body, page
    named = [path for path in home.rglob("*") if path.is_file() and b"N001" in path.read_bytes() and "incoming" not in path.parts]
    assert named == []
    assert not (home / running.FOLDER / f"{'a' * 32}.txt").exists(), "what another command printed of the patient"
    assert len(editor.ask("/log?patient=N001&event=saw").text.split("<tr>")) >= seen_before, "who saw the patient is still answered"
    assert json.loads((home / running.FOLDER / f"{run.name}.json").read_text())["target"] == ""
    assert store.query(home, "SELECT reason FROM withdrawals").to_pylist() == [{"reason": "consent withdrawn"}]


def test_status_does_not_send_anybody_to_a_center_that_was_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.commands import status

    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path))
    (tmp_path / "incoming" / "east").mkdir(parents=True)
    (tmp_path / "incoming" / "east" / "clinical.csv").write_text("patient,time,event\nE001,100,1\n")
    assert [each.why for each in status.look().waiting] == ["arrived, not read yet"]
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "aside-east.json").write_text('{"center": "east", "reason": "r", "by": "b", "at": "2026-11-27T00:00:00+00:00"}\n')
    assert [each.why for each in status.look().waiting] == ["set aside by a person"]


@pytest.mark.parametrize(("reason", "names"), [("E005 asked", True), ("patient e005 asked, E0 05", True), ("e-005 asked", True), ("consent withdrawn", False)])
def test_a_reason_names_no_patient_in_any_spelling(reason: str, names: bool) -> None:
    assert actions.is_named("E005", reason) is names
