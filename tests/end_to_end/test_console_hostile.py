"""Requests that mean harm, at a console whose store holds hostile names: all refused or shown as text, nothing carried out, and the console goes on."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.chained_log import OF_ACCESS, ChainedLog
from penumbra.console import running

from .. import example_home
from ..console import serving
from ..console.serving import Served
from ..console.test_access import EDITORS, TOKENS, VIEWERS, cookie
from ..console.visitor import Visitor

pytestmark = pytest.mark.slow

SCRIPT = "<script>alert(1)</script>"
PATIENTS = (f"P1{SCRIPT}", "P2\"'><img src=x onerror=alert(2)>", "P3'; DROP TABLE patients; --", "../../P4", "P5{{7*7}}${7*7}", "P6\u202egnp.exe")
CENTER = "west'\"><svg onload=alert(3)>"
ROI = 'GTV"><script>alert(4)</script>'
SECRETS = ("Doe^Jane", "19560229", "Traceback", "/work", str(Path.home()), VIEWERS, EDITORS)
TOO_MUCH = 300_000


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Iterator[Served]:
    """A console that people sign in to and that acts, over a store with hostile names; and a file outside that nobody may read."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    example_home.copied(example, home)
    rows = [{"patient": name, "center": CENTER, "age": 60.0, "sex": "female", "time": 100.0, "event": True} for name in PATIENTS]
    refused = [{"patient": "P9", "center": CENTER, "stage": "ingest", "rule": "gtv_named", "found": ROI, "advice": f"{SCRIPT} rename it"}]
    rois = [{"patient": name, "center": CENTER, "roi": ROI, "image_version": "image1", "volume_mm3": 1000.0, "status": "accepted"} for name in PATIENTS]
    with store.connect(home) as lake:
        lake.write({"centers": [{"center": CENTER}], "patients": rows, "rejections": refused, "rois": rois}, run="hostile", what=SCRIPT)
    (home / "incoming" / "north").mkdir(parents=True)
    (home / "incoming" / "north" / "clinical.csv").write_text("patient,name,birth\nN001,Doe^Jane,19560229\n")
    (home.parent / "outside.html").write_text("Doe^Jane")
    with serving.served(home, "--allow-actions", more=TOKENS) as console:
        yield console


@pytest.fixture(scope="module")
def viewer(attacked: Served) -> Visitor:
    visitor = Visitor(attacked)
    visitor.sign_in("mallory", VIEWERS)
    return visitor


@pytest.fixture(scope="module")
def editor(attacked: Served) -> Visitor:
    visitor = Visitor(attacked)
    visitor.sign_in("berta", EDITORS)
    return visitor


def require_harmless(body: bytes) -> None:
    """No tag of an attacker's, and nothing that names a person or a place of this machine."""
    text = body.decode("utf-8", errors="replace")
    for word in SECRETS:
        assert word not in text, word
    for tag in ("<script>alert", "<img src=x", "<svg onload", "7*7=49"):
        assert tag not in text, tag
    assert not re.search(r"<[^>]+\son[a-z]+=", re.sub(r'"[^"]*"', '""', text)), "a handler of an event"


PATHS = (
    "/../outside.html", "/%2e%2e/outside.html", "/..%2foutside.html", "/..%252foutside.html", "/static/../access.py", "/static/..%2faccess.py",
    "/static/....//access.py", "/static/%00console.css", "/reports/../../outside.html", "/reports/..%2f..%2foutside.html", "/reports//etc/passwd",
    "/reports/%2fetc%2fpasswd", "/gallery/../outside.html", "/patients/..", "/patients/..%5c..%5cetc", "/patients/N001%00.png", "/patients/N001/images/../../x",
    "/patients/N001/images/image1/..%2f..%2f..%2fstore%2fcatalog.sqlite", "/patients/N001/images/image1/.key", "/centers/..", "/models/..%2f1",
    "/decisions/..%2f..%2fmanifests%2fingest", "/tables/..%2fpatients", "/actions/runs/..%2f..%2flog", "/actions/runs/log",
    "/console/log.jsonl", "/.git/config",
    "//evil.example/", "/\\evil.example", "/tables/patients%0d%0aSet-Cookie:%20a=b", "/features/%ff%fe", "/" + "a/" * 3000,
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(viewer: Visitor, path: str) -> None:
    answer = viewer.ask(path)
    assert 400 <= answer.status < 500, path
    assert "a=b" not in answer.headers.get("set-cookie", "")
    require_harmless(answer.body)


INJECTIONS = ("1; DROP TABLE patients", "' OR 1=1 --", "\" UNION SELECT * FROM read_text('/etc/passwd') --", "patients; COPY patients TO '/tmp/x'", SCRIPT)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_sql_in_every_field_is_a_value(attacked: Served, viewer: Visitor, injection: str) -> None:
    from urllib.parse import quote

    typed, before = quote(injection, safe=""), store.query(attacked.home, "SELECT count(*) AS n FROM patients").to_pylist()
    fields = (
        "q",
        "sort",
        "page",
        "columns",
        "where",
        "center",
        "status",
        "group",
        "format",
        "as_of",
        "versions",
        "roi",
        "family",
        "window",
        "x",
        "facet",
        "filter",
    )
    pages = ("/tables/patients", "/patients", "/features", "/models/compare", "/centers", "/decisions", "/", "/sql", "/log")
    for page in pages:
        answer = viewer.ask(f"{page}?" + "&".join(f"{name}={typed}" for name in fields))
        assert answer.status < 500, (page, answer.text[:2000])
        require_harmless(answer.body)
    for page in ("tables", "patients", "centers", "models", "features", "decisions", "actions", "reports"):
        answer = viewer.ask(f"/{page}/{typed}")
        assert answer.status < 500, page
        require_harmless(answer.body)
    assert store.query(attacked.home, "SELECT count(*) AS n FROM patients").to_pylist() == before


STATEMENTS = (
    "DROP TABLE patients", "COPY patients TO '/tmp/stolen.csv'", "SELECT * FROM read_text('/etc/passwd')", "ATTACH '/tmp/x.db'", "INSTALL httpfs",
    "SELECT getenv('PENUMBRA_CONSOLE_TOKEN')", "PRAGMA database_list", "SELECT * FROM read_csv('http://evil.example/x')", "SET memory_limit = '100GB'",
    "SELECT 1; DELETE FROM patients", "SELECT * FROM duckdb_settings()",
)  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_statement_writes_or_reads_files(attacked: Served, viewer: Visitor, statement: str) -> None:
    from urllib.parse import quote

    answer = viewer.ask(f"/sql?q={quote(statement)}&sql={quote(statement)}&statement={quote(statement)}")
    assert answer.status < 500
    assert "root:" not in answer.text
    require_harmless(answer.body)
    assert not Path("/tmp/stolen.csv").exists()
    assert store.query(attacked.home, "SELECT count(*) AS n FROM patients").to_pylist() == [{"n": 2 + len(PATIENTS)}]


def test_hostile_names_of_the_store_are_text(viewer: Visitor, editor: Visitor) -> None:
    from urllib.parse import quote

    pages = [
        "/",
        "/patients",
        "/centers",
        f"/centers/{quote(CENTER, safe='')}",
        "/tables/patients",
        "/tables/rois",
        "/tables/rejections",
        "/tables/commits",
        "/log",
    ]
    pages += [f"/patients/{quote(name, safe='')}" for name in PATIENTS]
    pages += [f"/actions/withdraw?patient={quote(name)}" for name in PATIENTS]
    shown = 0
    for page in pages:
        answer = editor.ask(page)
        assert answer.status < 500, (page, answer.text[-1500:])
        require_harmless(answer.body)
        shown += "alert(1)" in answer.text
    assert shown, "the names are shown, as text"


def test_a_form_that_is_too_long_is_refused(viewer: Visitor) -> None:
    form = viewer.form("/sign-in")
    assert viewer.send("/sign-out", {**form, "more": "x" * TOO_MUCH}).status == 413
    assert viewer.ask("/", headers={"X-Long": "x" * 100_000}).status in (400, 413, 431)
    assert viewer.ask("/?q=" + "x" * 70_000).status in (400, 413, 414, 431)
    assert viewer.ask("/tables/patients?" + "&".join(f"a{number}=1" for number in range(5000))).status in (400, 413)
    assert viewer.ask("/").status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_do_nothing(attacked: Served, viewer: Visitor, method: str) -> None:
    for path in ("/", "/patients/N001", "/actions/promote?version=1", "/sign-out"):
        assert 400 <= viewer.ask(path, method).status < 500, path
    overridden = viewer.ask("/actions/promote?version=1&_method=POST&reason=x&confirm=1", headers={"X-HTTP-Method-Override": "POST"})
    assert overridden.status == 200
    assert not list(running.every(attacked.home))


def test_nothing_is_done_without_session_role_form_and_origin(attacked: Served, viewer: Visitor, editor: Visitor) -> None:
    page = "/actions/withdraw?patient=N001&center=north"
    form = {**editor.form(page), "reason": "x", "confirm": "N001"}
    forged = Visitor(attacked, cookies=cookie(secret="guessed, and long enough for a secret"))
    expired, stolen = Visitor(attacked, cookies=cookie(lasting_s=-1.0)), Visitor(attacked, "127.0.0.31", dict(editor.cookies))
    attempts = [
        Visitor(attacked).send("/actions/withdraw", form),
        forged.send("/actions/withdraw", form),
        expired.send("/actions/withdraw", form),
        stolen.send("/actions/withdraw", form),
        viewer.send("/actions/withdraw", {**form, "csrf": viewer.form("/sign-in")["csrf"]}),
        viewer.send("/actions/withdraw", form),
        editor.send("/actions/withdraw", {**form, "csrf": ""}),
        editor.send("/actions/withdraw", {**form, "csrf": viewer.form("/sign-in")["csrf"]}),
        editor.send("/actions/withdraw", {**form, "state": ""}),
        editor.send("/actions/withdraw", {**form, "once": "../../../../tmp/x"}),
        editor.send("/actions/withdraw", {**form, "patient": "N002", "confirm": "N002"}),
        editor.send("/actions/withdraw", {**form, "patient": "--yes", "confirm": "--yes"}),
        editor.send("/actions/withdraw", form, Origin="https://evil.example"),
        editor.send("/actions/withdraw", form, Origin=f"http://127.0.0.1.evil.example:{attacked.port}"),
        editor.send("/actions/withdraw", form, Sec_Fetch_Site="same-site"),
        editor.send("/actions/withdraw", form, Host="evil.example"),
        editor.send("/actions/withdraw", form, Content_Type="multipart/form-data; boundary=x"),
    ]
    assert [answer.status for answer in attempts if answer.status < 400] == []
    for answer in attempts:
        require_harmless(answer.body)
    assert not list(running.every(attacked.home))
    assert store.query(attacked.home, "SELECT count(*) AS n FROM patients WHERE patient = 'N001'").to_pylist() == [{"n": 1}]


def raw(port: int, request: bytes) -> bytes:
    """Bytes as they are, and what comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while part := line.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /log HTTP/1.1\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: penumbra_session=\xff\xfe\xfd\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nX-Remote-User: root\r\nX-Forwarded-User: root\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET /sign-in?next=//evil.example HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
    ],
)
def test_strange_bytes_end_nothing(attacked: Served, viewer: Visitor, request_bytes: bytes) -> None:
    answer = raw(attacked.port, request_bytes.replace(b"{host}", f"127.0.0.1:{attacked.port}".encode()))
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP") else 400
    assert status in (200, 303, 400, 403, 404, 405, 426), answer[:300]
    assert b"evil.example" not in answer.partition(b"\r\n\r\n")[0]
    if status == 200:
        assert b"Sign in" in answer
    require_harmless(answer)
    assert viewer.ask("/").status == 200


def test_after_all_of_it_the_console_lives_and_its_log_is_whole(attacked: Served, viewer: Visitor) -> None:
    assert viewer.ask("/").status == 200
    log = attacked.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "N001" not in log
    checked = ChainedLog(attacked.home / OF_ACCESS).check()
    assert checked.fault == ""
    assert checked.entries > 2
    text = (attacked.home / OF_ACCESS).read_text()
    assert not any(name in text for name in (*PATIENTS, "N001", VIEWERS, EDITORS))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_console_ends_with_one_sentence(attacked: Served, tmp_path: Path, signum: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-c",
        "from penumbra.base.parent_bound import sys; from penumbra.cli.start import main; sys.exit(main())",
        "console",
        "--port",
        str(port),
    ]
    environment = serving.environment(attacked.home, TOKENS)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while True:
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/sign-in")
            line.getresponse().read()
            line.close()
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert said.strip().splitlines()[-1] == f"Stopped by {signum.name}: run penumbra console again to look."
    assert "Traceback" not in said
