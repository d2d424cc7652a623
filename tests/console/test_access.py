"""Who is let in: the user of the machine, people with a token, users of a proxy; and nobody else."""

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.console import limits
from penumbra.console.access import page_here
from penumbra.console.admission import Door
from penumbra.console.limits import Rate, Turns
from penumbra.console.sessions import Sessions

from . import serving
from .serving import Served
from .visitor import Visitor

pytestmark = pytest.mark.slow

VIEWERS, EDITORS, SECRET = "a token of the viewers", "a token of the editors", "a secret that is long enough for a console"
TOKENS = {"PENUMBRA_CONSOLE_TOKEN": VIEWERS, "PENUMBRA_CONSOLE_EDITOR_TOKEN": EDITORS, "PENUMBRA_CONSOLE_SECRET": SECRET}
PROXY = ("--user-header", "X-Remote-User", "--editor", "clara", "--origin", "https://penumbra.clinic")


@pytest.fixture(scope="module")
def guarded(small_home: Path) -> Iterator[Served]:
    """A console that people sign in to."""
    with serving.served(small_home, more=TOKENS) as running:
        yield running


@pytest.fixture(scope="module")
def behind_proxy(small_home: Path) -> Iterator[Served]:
    """A console whose proxy names users."""
    with serving.served(small_home, *PROXY) as running:
        yield running


def cookie(lasting_s: float = 3600.0, secret: str = SECRET, token: str = VIEWERS, machine: str = "127.0.0.1") -> dict[str, str]:
    """A session as this console, or one with another secret or token, would give it."""
    return {"penumbra_session": Sessions(secret.encode(), {"viewer": token}, lasting_s).begin("mallory", "viewer", machine)}


def test_the_user_of_the_machine_needs_no_token_and_is_an_editor(served: Served) -> None:
    answer = Visitor(served).ask("/sign-in")
    assert answer.status == 200
    assert "an editor" in answer.text
    assert "Set-Cookie".lower() not in answer.headers


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as another user")
def test_another_user_of_the_machine_is_refused(served: Served) -> None:
    """As nobody, in a process of its own: one with threads, as JAX's, cannot be forked."""
    asking = (
        "import encodings.idna, http.client, os, sys; os.setgid(65534); os.setuid(65534); line = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]));"
        " line.request('GET', '/'); print(line.getresponse().status)"
    )
    done = subprocess.run([sys.executable, "-c", asking, str(served.port)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "403", done.stderr


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost:{port}@evil.example", ""]
)
def test_another_name_than_its_own_is_refused(served: Served, host: str) -> None:
    """A name of the attacker's can be made to mean 127.0.0.1: the browser then sends that name."""
    assert Visitor(served).ask("/", headers={"Host": host.format(port=served.port)}).status in (400, 403)
    assert Visitor(served).ask("/", headers={"Host": f"localhost:{served.port}"}).status == 200


def test_what_another_site_asks_for_is_refused_and_its_links_are_followed(served: Served) -> None:
    visitor = Visitor(served)
    for site in ("cross-site", "same-site"):
        picture = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        frame = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert visitor.ask("/", headers=picture).status == 403
        assert visitor.ask("/", headers=frame).status == 403
        assert visitor.ask("/", headers=link).status == 200
        assert visitor.ask("/actions", headers=link).status == 403, "no link leads to an action"
    assert visitor.ask("/", headers={"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}).status == 200


def test_a_proxy_does_not_open_a_console_of_one_machine(served: Served) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"):
        assert Visitor(served).ask("/", headers={name: "10.0.0.7"}).status == 403, name


def test_a_header_that_was_not_asked_for_names_nobody(served: Served, guarded: Served) -> None:
    assert "clara" not in Visitor(served).ask("/sign-in", headers={"X-Remote-User": "clara"}).text
    assert Visitor(guarded).ask("/", headers={"X-Remote-User": "clara"}).status == 303


def test_signing_in_leads_to_the_page_that_was_asked_for(guarded: Served) -> None:
    visitor = Visitor(guarded)
    first = visitor.ask("/tables?q=1&as_of=1")
    assert (first.status, first.headers["location"]) == (303, "/sign-in?next=%2Ftables%3Fq%3D1%26as_of%3D1")
    page = visitor.ask(first.headers["location"])
    assert page.status == 200
    assert "Overview" not in page.text, "no page is named to somebody who is not known"
    done = visitor.sign_in("anna", VIEWERS, first.headers["location"])
    assert (done.status, done.headers["location"]) == (303, "/tables?q=1&as_of=1")
    assert {"HttpOnly", "SameSite=strict", "Max-Age=28800", "Path=/"} <= set(visitor.given["penumbra_session"].split("; "))
    assert visitor.ask("/").status == 200
    assert "anna" in visitor.ask("/").text
    assert visitor.ask("/log").status == 403, "a viewer"
    assert Visitor(guarded).ask("/").status == 303, "another browser"


def test_the_log_has_who_signed_in_and_who_did_not(guarded: Served) -> None:
    Visitor(guarded).sign_in("anna", "not the token at all")
    editor = Visitor(guarded)
    editor.sign_in("berta", EDITORS)
    text = editor.ask("/log").text
    assert "refused at sign-in" in text
    assert "signed in" in text
    assert "not the token" not in text
    lines = [json.loads(line) for line in (guarded.home / "console" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["account"] == "berta"
    assert lines[-1]["from"] == "127.0.0.1"


@pytest.mark.parametrize(
    "cookies",
    [
        cookie(lasting_s=-1),
        cookie(secret="another secret that is long enough for it"),
        cookie(token="the token of last month"),
        cookie(machine="127.0.0.5"),
        {"penumbra_session": "x.y"},
        {"penumbra_session": "e30." + "0" * 64},
        {"penumbra_session": "." * 4000},
        {"penumbra_session": ""},
    ],
    ids=["expired", "forged", "old token", "stolen", "nonsense", "empty object", "dots", "empty"],
)
def test_a_cookie_that_is_not_this_session_is_refused(guarded: Served, cookies: dict[str, str]) -> None:
    assert Visitor(guarded, cookies=cookie()).ask("/").status == 200, "what the others differ from"
    assert Visitor(guarded, cookies=cookies).ask("/").status == 303


def test_a_stolen_cookie_is_good_on_its_own_machine_alone_and_until_signing_out(guarded: Served) -> None:
    victim = Visitor(guarded)
    victim.sign_in("anna", VIEWERS)
    stolen = dict(victim.cookies)
    assert Visitor(guarded, "127.0.0.77", stolen).ask("/").status == 303
    assert Visitor(guarded, cookies=stolen).ask("/").status == 200
    assert victim.send("/sign-out", victim.form("/sign-in")).status == 303
    assert Visitor(guarded, cookies=stolen).ask("/").status == 303, "it ended for every copy"


def test_a_role_cannot_be_written_into_a_cookie(guarded: Served) -> None:
    """A viewer's signature does not sign an editor."""
    import base64

    body, _, signature = cookie()["penumbra_session"].partition(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**content, "role": "editor"}).encode()).decode().rstrip("=")
    assert Visitor(guarded, cookies={"penumbra_session": f"{forged}.{signature}"}).ask("/log").status == 303


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil", "/%0d%0aSet-Cookie: a=b", "javascript:alert(1)", "/\t/evil.example", "/sign-in"],
)
def test_no_sign_in_leads_elsewhere(guarded: Served, target: str) -> None:
    visitor = Visitor(guarded)
    answer = visitor.send("/sign-in", {**visitor.form("/sign-in"), "name": "anna", "token": VIEWERS, "next": target})
    assert answer.status == 303
    location = answer.headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "\n" not in location
    assert page_here("/patients/N001?x=1") == "/patients/N001?x=1"


def test_a_form_of_another_session_or_site_is_refused(guarded: Served) -> None:
    anna, berta = Visitor(guarded), Visitor(guarded)
    anna.sign_in("anna", VIEWERS)
    berta.sign_in("berta", VIEWERS)
    form = anna.form("/sign-in")
    assert berta.send("/sign-out", form).status == 403
    assert anna.send("/sign-out", {}).status == 403
    assert anna.send("/sign-out", form, Origin="https://evil.example").status == 403
    assert anna.send("/sign-out", form, Origin="null").status == 403
    assert anna.send("/sign-out", form, Sec_Fetch_Site="cross-site").status == 403
    assert anna.send("/sign-out", form, Content_Type="text/plain").status == 400
    assert anna.ask("/sign-out", "GET").status == 405
    assert anna.ask("/").status == 200, "still signed in"
    assert anna.send("/sign-out", form, Origin="null", Sec_Fetch_Site="same-origin").status == 303, "as browsers send it from a page without referrer"


def test_a_link_from_another_site_is_asked_again_so_that_the_cookie_comes(guarded: Served) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = Visitor(guarded).ask("/tables", headers=link)
    assert answer.status == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "Tables" not in answer.text


def test_attempts_to_sign_in_are_counted(guarded: Served) -> None:
    visitor = Visitor(guarded, "127.0.0.66")
    statuses = [visitor.sign_in("anna", f"guess number {number:08d}").status for number in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    refused = visitor.sign_in("anna", VIEWERS)
    assert refused.status == 429, "also with the right one"
    assert refused.headers["retry-after"]
    assert Visitor(guarded, "127.0.0.67").sign_in("anna", VIEWERS).status == 303, "from another machine"


def test_pages_are_counted(guarded: Served) -> None:
    statuses = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", guarded.port, source_address=("127.0.0.99", 0))) as line:
        for _ in range(602):
            line.request("HEAD", "/")
            answer = line.getresponse()
            answer.read()
            statuses.append(answer.status)
    assert statuses[:600] == [303] * 600
    assert statuses[600:] == [429, 429]


def test_the_proxy_names_the_user(behind_proxy: Served) -> None:
    proxy = Visitor(behind_proxy)
    name = {"Host": "penumbra.clinic", "X-Forwarded-For": "10.0.0.7"}
    assert proxy.ask("/", headers=name).status == 401
    assert "anna" in proxy.ask("/", headers={**name, "X-Remote-User": "anna"}).text
    assert proxy.ask("/log", headers={**name, "X-Remote-User": "anna"}).status == 403
    assert proxy.ask("/log", headers={**name, "X-Remote-User": "clara"}).status == 200
    for strange in ("<b>clara</b>", "clara,anna", "", "clara anna", "ä"):
        assert proxy.ask("/", headers={**name, "X-Remote-User": strange}).status == 401
    assert Visitor(behind_proxy, "127.0.0.50").ask("/", headers={**name, "X-Remote-User": "clara"}).status == 401, "not the proxy"
    assert proxy.ask("/", headers={**name, "Host": "other.clinic", "X-Remote-User": "anna"}).status == 403


@pytest.mark.parametrize(
    ("options", "environment", "rule"),
    [
        (["--host", "0.0.0.0"], {}, "console_access"),
        (["--origin", "https://penumbra.clinic"], {}, "console_access"),
        (["--origin", "penumbra.clinic"], TOKENS, "console_access"),
        (["--user-header", "X Remote"], {}, "console_access"),
        (["--editor", "clara"], TOKENS, "console_access"),
        ([], {"PENUMBRA_CONSOLE_TOKEN": "short"}, "token"),
        ([], {"PENUMBRA_CONSOLE_TOKEN": VIEWERS, "PENUMBRA_CONSOLE_EDITOR_TOKEN": VIEWERS}, "token"),
        ([], {**TOKENS, "PENUMBRA_CONSOLE_SECRET": "short"}, "token"),
    ],
)
def test_a_console_that_would_let_in_nobody_or_everybody_does_not_begin(
    small_home: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], environment: dict[str, str], rule: str
) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(small_home))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    answer = CliRunner().invoke(main, ["console", "--port", "0", *options])
    assert answer.exit_code == 1
    assert f"(rule {rule})" in answer.output
    assert not any(token in answer.output for token in environment.values() if token != "short")


def test_an_origin_is_checked_as_it_is_given() -> None:
    assert Door(origin="https://penumbra.clinic").checked().origin == "https://penumbra.clinic"
    for wrong in ("https://penumbra.clinic/", "ftp://penumbra.clinic", "https://Penumbra.clinic"):
        with pytest.raises(Refusal):
            Door(origin=wrong).checked()


def test_a_rate_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    rate = Rate(2, 10.0)
    assert [rate.wait_s("a"), rate.wait_s("a"), rate.wait_s("a"), rate.wait_s("b")] == [0.0, 0.0, 10.0, 0.0]
    now[0] += 10.0
    assert rate.wait_s("a") == 0.0
    monkeypatch.setattr(limits, "MAX_KEYS", 3)
    for number in range(10):
        rate.wait_s(f"machine-{number}")
    assert rate.wait_s("a", count=False) == 0.0


def test_costly_pages_take_turns_and_those_without_one_are_asked_to_come_again() -> None:
    async def two() -> str:
        turns = Turns(1, 0.05)
        async with turns.one():
            with pytest.raises(Refusal) as refused:
                async with turns.one():
                    pass
        async with turns.one():
            return refused.value.rule

    assert asyncio.run(two()) == "console_busy"


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(b"secret", {"viewer": VIEWERS}, 60.0)
    given = sessions.begin("anna", "viewer", "machine")
    account = sessions.read(given, "machine")
    assert account is not None
    assert (account.name, account.role) == ("anna", "viewer")
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert sessions.read(given, "machine") is None
