"""One rendering for everybody of a role: each reader sees the own name, nobody another's, and nobody a page from before a withdrawal."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from penumbra import store
from penumbra.console import centers, named, overview, pages
from penumbra.console.admission import Admission
from penumbra.console.application import application
from penumbra.console.context import Console
from penumbra.console.sent import Sent
from penumbra.console.sessions import Account
from penumbra.pipeline.settings import load_settings
from penumbra.store.forgetting import forget

MARK = re.compile(r"mark[0-9a-f]{32}")
PEOPLE = {
    "ada": Account("ada", "editor", "csrf-of-ada", "token"),
    "<b>&'\"": Account("<b>&'\"", "editor", "csrf-of-b", "token"),
    "vera": Account("vera", "viewer", "csrf-of-vera", "token"),
}


@dataclass(frozen=True)
class Known(Admission):
    """The header names the reader."""

    def account(self, request: Request) -> Account | None:
        return PEOPLE[request.headers["reader"]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store with two patients."""
    people = [{"patient": name, "center": "north", "time": 400.0, "event": True} for name in ("N001", "N002")]
    with store.connect(tmp_path) as lake:
        lake.write({"centers": [{"center": "north"}], "patients": people}, run="test", what="north")
    return tmp_path


@contextmanager
def browser(home: Path) -> Iterator[tuple[TestClient, Console]]:
    """A console in which no rendering after a change is waited for."""
    console = Console(home, load_settings(), admission=Known())
    console.sent = Sent(console.stamp, console.settled, 30.0, patience_s=0.0)
    with TestClient(application(console), base_url="http://127.0.0.1", client=("127.0.0.1", 4000), headers={"reader": "ada"}) as client:
        yield client, console


def test_everybody_of_a_role_shares_a_rendering_and_sees_the_own_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    whom = named.named_in

    def counted(visit: pages.Visit, response: pages.Response) -> frozenset[str] | None:
        rendered.append(visit.account.role)
        return whom(visit, response)

    monkeypatch.setattr(named, "named_in", counted)
    with browser(home) as (client, _):
        answers = {name: client.get("/tables/patients", headers={"reader": name}) for name in PEOPLE}
        assert rendered == ["editor", "viewer"]
        assert '">ada<small> editor</small>' in answers["ada"].text
        assert '">&lt;b&gt;&amp;&#x27;&quot;<small> editor</small>' in answers["<b>&'\""].text
        assert '">vera<small> viewer</small>' in answers["vera"].text
        for name, answer in answers.items():
            assert answer.status_code == 200
            assert "N001" in answer.text
            assert not MARK.search(answer.text)
            assert ("ada" in answer.text) == (name == "ada")
            assert (">Log<" in answer.text) == (PEOPLE[name].role == "editor")
            assert int(answer.headers["content-length"]) == len(answer.content)
        assert len({answer.headers["etag"] for answer in answers.values()}) == len(PEOPLE), "a tag tells whose page it is"
        assert client.get("/tables/patients", headers={"reader": "vera", "if-none-match": answers["ada"].headers["etag"]}).status_code == 200


def test_a_page_from_before_a_change_says_how_old_it_is_and_has_no_tag(home: Path) -> None:
    with browser(home) as (client, console):
        assert client.get("/tables/centers").headers["etag"]
        with store.connect(home) as lake:
            lake.write({"centers": [{"center": "south"}]}, run="test", what="south")
        console.sent.in_background = lambda work: None  # type: ignore[method-assign]  # the rendering does not end
        old = client.get("/tables/centers")
        assert re.search(r"This page shows the state of \d+ s ago", old.text)
        assert "south" not in old.text
        assert "etag" not in old.headers
        assert not MARK.search(old.text)


@pytest.mark.parametrize("header", ["Cache-Control", "X-Part"])
def test_a_reload_past_the_copies_and_a_part_of_a_page_wait_for_the_newest(home: Path, header: str) -> None:
    with browser(home) as (client, _):
        client.get("/tables/centers")
        with store.connect(home) as lake:
            lake.write({"centers": [{"center": "south"}]}, run="test", what="south")
        answer = client.get("/tables/centers", headers={header: "no-cache"})
        assert "south" in answer.text
        assert "This page shows the state" not in answer.text


def test_a_withdrawn_patient_is_in_no_copy(home: Path) -> None:
    paths = ("/tables/patients", "/tables/patients?q=N00", "/patients", "/centers")
    with browser(home) as (client, _):
        for path in paths:
            assert client.get(path).status_code == 200
        assert "N001" in client.get("/tables/patients").text
        with store.connect(home) as lake:
            forget(lake, "N001", run="test", reason="asked to")
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200
            assert "N001" not in answer.text
            assert "This page shows the state" not in answer.text


def test_who_is_champion_shows_at_once(home: Path) -> None:
    with browser(home) as (client, console):
        client.get("/models")
        before = console.settled(console.stamp())
        with store.connect(home) as lake:
            lake.write({"centers": [{"center": "south"}]}, run="test", what="south")
        assert console.settled(console.stamp()) == before, "a new center may show a little later"
        who = {"reason": "", "who": "ada", "at": datetime(2026, 11, 27, tzinfo=UTC)}
        row = {"model": "nsclc-os", "alias": "champion", "version": 1, "previous": None, "digest": "0" * 64, **who}
        with store.connect(home) as lake:
            lake.write({"alias_changes": [row]}, run="test", what="promoted")
        assert console.settled(console.stamp()) != before


def test_pages_are_prepared_without_a_word_in_the_log(home: Path) -> None:
    with browser(home) as (client, console):
        app = application(console)
        page = next(page for page in centers.ROUTES if page.name == "centers")
        pages.prepare(page, app, console, "viewer")
        assert not console.trail.log.path.exists()
        prepared = list(console.sent.entries)
        client.get("/centers", headers={"reader": "vera"})
        assert list(console.sent.entries) == prepared, "the page that was prepared is the one that is sent"


def test_a_live_page_is_rendered_once_a_second_for_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    page = overview.ROUTES[0]
    shown = page.show

    def counted(visit: pages.Visit) -> pages.Response:
        made.append(1)
        return shown(visit)

    object.__setattr__(page, "show", counted)
    monkeypatch.setattr(pages.time, "monotonic", lambda: 100.0)
    try:
        with browser(home) as (client, _):
            assert {client.get("/").status_code for _ in range(5)} == {200}
            assert len(made) == 1
            assert "etag" not in client.get("/").headers
    finally:
        object.__setattr__(page, "show", shown)
