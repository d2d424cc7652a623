"""penumbra serve-model: the answers are the model's, a token has its role, what is sent is limited and never comes back, and a zip cannot do harm."""

import errno
import io
import json
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penumbra.base.refusal import Refusal
from tests import example_home
from tests.registry.small_bundle import COLUMNS, small_bundle

if TYPE_CHECKING:
    from starlette.testclient import TestClient

VALUES = dict(zip(COLUMNS, (0.7, -0.2, 1.1), strict=True))
SCORER, READER = "s" * 32, "r" * 32
TOKENS = ("PENUMBRA_MODEL_TOKEN", "PENUMBRA_MODEL_STORE_TOKEN")
Ask = Callable[..., "TestClient"]


@pytest.fixture
def home(tmp_path: Path, example: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    example_home.copied(example, tmp_path / "home")
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "home"))
    for name in TOKENS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def client(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Makes a client of a service with tokens, or of an open one."""
    from starlette.testclient import TestClient

    from penumbra.commands import serve_model
    from penumbra.commands.model_service.application import Service, application

    opened: list[TestClient] = []

    def make(*, guarded: bool = False, peer: str = "127.0.0.1") -> TestClient:
        if guarded:
            for name, token in zip(TOKENS, (SCORER, READER), strict=True):
                monkeypatch.setenv(name, token)
        prepared = serve_model.prepare("127.0.0.1", 0, "champion")
        service = Service(prepared.resident, prepared.door)
        opened.append(TestClient(application(service, prepared.address), base_url="http://127.0.0.1:80", client=(peer, 50000)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def packed(entries: dict[str, bytes], kind: int = stat.S_IFREG) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = (kind | 0o600) << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return file


def test_an_answer_is_what_the_model_says(client: Ask, home: Path) -> None:
    import numpy as np

    from penumbra import registry

    model = registry.load(home).model
    answer = client().post("/predict", json={"features": [VALUES, {**VALUES, COLUMNS[1]: 0.9}]})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["model"], document["version"]) == ("nsclc-os", 1)
    table = {name: np.array([value, value]) for name, value in VALUES.items()} | {COLUMNS[1]: np.array([-0.2, 0.9])}
    log_risk = model.log_risk(table)
    np.testing.assert_allclose([each["log_risk"] for each in document["answers"]], log_risk, rtol=1e-12)
    two_years = [each["survival"]["2y"]["survival"] for each in document["answers"]]
    np.testing.assert_allclose(two_years, model.survival(log_risk, [730.5])[:, 0], rtol=1e-12)
    assert [each["risk_group"] for each in document["answers"]] == list(model.risk_group(log_risk))
    assert all(each["applicability"]["word"] in ("inside", "edge", "outside", "unknown") for each in document["answers"])


def test_explained_parts_add_up_to_the_risk(client: Ask) -> None:
    answer = client().post("/explain", json={"features": [VALUES]}).json()["answers"][0]
    parts = answer["contributions"]
    total = parts["constant"] + sum(parts["blocks"].values())
    assert total == pytest.approx(answer["log_risk"], abs=1e-5)
    assert "similar" not in answer
    assert [point["days"] for point in answer["curve"]] == sorted(point["days"] for point in answer["curve"])


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        ({"features": [{**VALUES, COLUMNS[0]: True}]}, 422, "model_question"),
        ({"features": [{**VALUES, COLUMNS[0]: "31250"}]}, 422, "model_question"),
        ({"features": []}, 422, "model_question"),
        ({"features": [VALUES], "name": "Miller^Anna"}, 422, "model_question"),
        ({"features": [VALUES] * 101}, 413, "model_body"),
        ({"features": [{name: VALUES[name] for name in COLUMNS[1:]}]}, 422, "column_given"),
        ({"features": [{**VALUES, COLUMNS[1]: None}]}, 422, "value_missing"),
        ({"features": [{**VALUES, COLUMNS[0]: -1.0}]}, 422, "value_positive"),
        ({"patient": "../../etc/passwd"}, 422, "model_question"),
        ({"patient": "N009"}, 404, "patient_stored"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_rule(client: Ask, body: dict[str, Any], status: int, rule: str) -> None:
    answer = client().post("/predict", json=body)
    assert (answer.status_code, answer.json()["rule"]) == (status, rule), answer.text
    assert set(answer.json()) == {"rule", "found", "advice"}
    assert not re.search(r"Miller|31250|passwd|N009|N00\d", answer.text), "what was sent came back"


def test_numbers_that_are_none_and_broken_bodies(client: Ask) -> None:
    ask = client()
    for body in (b'{"features": [{"gtv.x": NaN}]}', b'{"features": [{"gtv.x": 1e999}]}', b"{oops", b"", b"\xff\xfe", b"[]", b'{"features": {}}'):
        answer = ask.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["rule"]) == (422, "model_question"), body
    assert ask.post("/predict", content=b"a=1", headers={"Content-Type": "text/plain"}).status_code == 415
    assert ask.post("/predict?age=900", json={"features": [VALUES]}).status_code == 422
    assert ask.get("/predict").status_code == 405
    assert ask.get("/nothing").json()["rule"] == "model_path"


def test_tokens_and_their_roles(client: Ask) -> None:
    ask = client(guarded=True, peer="10.0.0.7")
    assert ask.get("/health").status_code == 200
    for headers in ({}, bearer("x" * 32), {"Authorization": SCORER}, bearer("")):
        answer = ask.post("/predict", json={"features": [VALUES]}, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert ask.get("/metrics").status_code == 401
    assert ask.get("/openapi.json").status_code == 401
    assert ask.post("/predict", json={"features": [VALUES]}, headers=bearer(SCORER)).status_code == 200
    assert ask.post("/predict", json={"patient": "N001"}, headers=bearer(SCORER)).json()["rule"] == "model_role"
    assert ask.post("/predict", json={"patient": "N009"}, headers=bearer(READER)).json()["rule"] == "patient_stored"


def test_an_open_service_answers_its_own_machine_alone(client: Ask) -> None:
    ask = client()
    assert ask.get("/health").status_code == 200
    assert ask.get("/health", headers={"X-Forwarded-For": "10.0.0.7"}).json()["rule"] == "model_machine"
    assert ask.get("/health", headers={"Host": "attacker.example"}).json()["rule"] == "console_host"
    assert ask.get("/columns", headers={"Sec-Fetch-Site": "cross-site"}).json()["rule"] == "model_machine"
    assert client(peer="10.0.0.7").get("/health").status_code == 403


def test_the_environment_decides_who_is_let_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.commands.model_service.callers import door

    with pytest.raises(Refusal, match="nobody would need a token"):
        door("0.0.0.0")
    monkeypatch.setenv(TOKENS[0], "short")
    with pytest.raises(Refusal, match="has 5 characters"):
        door("127.0.0.1")
    for name in TOKENS:
        monkeypatch.setenv(name, SCORER)
    with pytest.raises(Refusal, match="the same token"):
        door("0.0.0.0")


def test_the_alias_is_followed(client: Ask, home: Path, tmp_path: Path) -> None:
    from penumbra import registry

    ask = client()
    before = ask.post("/predict", json={"features": [VALUES]}).json()
    registry.register(home, small_bundle(home.with_name(example_home.NETWORK), 0.9), model="nsclc-os")
    assert ask.get("/health").json()["version"] == 1
    registry.promote(home, 2, reason="better")
    after = ask.post("/predict", json={"features": [VALUES]}).json()
    assert (before["version"], after["version"]) == (1, 2)
    assert before["answers"][0]["log_risk"] != after["answers"][0]["log_risk"]


def test_a_version_whose_files_were_altered_answers_nothing(client: Ask, home: Path) -> None:
    from penumbra import registry

    model = registry.find(home).folder / "models" / "Combined.json"
    model.write_text(model.read_text().replace("0.5", "0.6", 1))
    with pytest.raises(Refusal, match="not as registered"):
        client()


def test_no_log_and_no_metric_has_what_was_sent(client: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    ask = client()
    ask.post("/predict?center=northern&age=77", json={"features": [VALUES], "center": "westend"})
    ask.post("/explain", json={"patient": "N009", "center": "north"})
    ask.post("/predict", json={"features": [{"Miller^Anna": 1.0}]})
    text = ask.get("/metrics").text
    assert 'penumbra_requests_total{page="/predict",sent="features",status="200"} 1.0' in text
    assert 'penumbra_refusals_total{rule="patient_stored"} 1.0' in text
    assert 'penumbra_model_version{model="nsclc-os"} 1.0' in text
    logged = capfd.readouterr()
    assert "POST /predict features 200" in logged.err
    counted = "".join(line for line in text.splitlines(keepends=True) if "_created" not in line and "seconds" not in line)  # without times
    assert not re.search(r"north|westend|N009|Miller|77\b", counted + re.sub(r"\d+\.\d+ s", "", logged.err) + logged.out)


def test_the_page_needs_no_network_and_shows_every_path(client: Ask) -> None:
    answer = client().get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"https?:", answer.text)
    for path in ("POST /predict", "POST /explain", "GET /columns", "GET /health", "GET /metrics", "application/zip"):
        assert path in answer.text


@pytest.mark.parametrize(
    ("entries", "kind", "rule"),
    [
        ({"../out.dcm": b"x"}, stat.S_IFREG, "archive_safe"),
        ({"a/../../out.dcm": b"x"}, stat.S_IFREG, "archive_safe"),
        ({"/etc/cron.d/x": b"x"}, stat.S_IFREG, "archive_safe"),
        ({"C:/x.dcm": b"x"}, stat.S_IFREG, "archive_safe"),
        ({"link": b"/etc/passwd"}, stat.S_IFLNK, "archive_safe"),
        ({"pipe": b""}, stat.S_IFIFO, "archive_safe"),
        ({f"{i}.dcm": b"x" for i in range(11)}, stat.S_IFREG, "archive_size"),
        ({f"{i}/": b"" for i in range(40)}, stat.S_IFREG, "archive_size"),
        ({"bomb.dcm": bytes(5_000_000)}, stat.S_IFREG, "archive_size"),
        ({"folder/": b""}, stat.S_IFREG, "archive_readable"),
        ({"__MACOSX/x": b"x", ".DS_Store": b"x"}, stat.S_IFREG, "archive_readable"),
    ],
)
def test_a_zip_that_could_do_harm_is_refused(tmp_path: Path, entries: dict[str, bytes], kind: int, rule: str) -> None:
    from penumbra.commands.model_service.archives import Limits, unpack

    folder = tmp_path / "scan"
    folder.mkdir()
    with pytest.raises(Refusal) as refused:
        unpack(packed(entries, kind), folder, Limits(files=10, unpacked_mb=3))
    assert refused.value.rule == rule
    assert {path.name for path in tmp_path.iterdir()} == {"scan"}
    assert not any(name.split("/")[-1] in str(refused.value) for name in entries if name.endswith(".dcm"))


def test_a_declared_size_is_not_believed(tmp_path: Path) -> None:
    """Ten million zeros that the directory of the zip calls ten bytes."""
    from penumbra.commands.model_service.archives import Limits, unpack

    size = 10_000_000
    content = packed({"a.dcm": bytes(size)}).getvalue().replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    folder = tmp_path / "scan"
    folder.mkdir()
    with pytest.raises(Refusal, match=r"unpacks to more|no zip that can be read"):
        unpack(io.BytesIO(content), folder, Limits(files=10, unpacked_mb=3))
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 3_000_000


def test_an_encrypted_or_broken_zip_is_refused(tmp_path: Path) -> None:
    from penumbra.commands.model_service.archives import Limits, unpack

    content = bytearray(packed({"a.dcm": b"secret"}).getvalue())
    encrypted = bytearray(content)
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    for wrong, rule in ((encrypted, "archive_safe"), (content[:40], "archive_readable"), (b"", "archive_readable"), (b"PK\x05\x06", "archive_readable")):
        with pytest.raises(Refusal) as refused:
            unpack(io.BytesIO(bytes(wrong)), tmp_path, Limits(10, 3))
        assert refused.value.rule == rule


def test_files_of_a_zip_get_new_names(tmp_path: Path) -> None:
    from penumbra.commands.model_service.archives import Limits, unpack

    entries = {"Miller^Anna/CT/1.dcm": b"1", "Miller^Anna/CT/2.dcm": b"2", "Miller^Anna/RS.dcm": b"3", "Miller^Anna/CT.nii.gz": b"4"}
    assert unpack(packed(entries), tmp_path, Limits(10, 3)) == 4
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == ["0/0", "0/1", "1/2", "1/ct.nii.gz"]


def test_a_zip_that_is_none_is_refused_and_nothing_stays(client: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    ask = client()
    for body, rule in ((b"no zip", "archive_readable"), (packed({"../x": b"x"}).getvalue(), "archive_safe")):
        answer = ask.post("/predict?center=north", content=body, headers={"Content-Type": "application/zip"})
        assert (answer.status_code, answer.json()["rule"]) == (422, rule)
    assert list(place.iterdir()) == []


def test_more_than_may_be_sent_is_refused_before_it_is_all_there(client: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.commands.model_service import application

    monkeypatch.setattr(application, "JSON_MB", 1)
    answer = client().post("/predict", content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["rule"]) == (413, "model_body")


def test_who_waits_too_long_for_a_turn_is_told(home: Path) -> None:
    import asyncio
    from dataclasses import replace

    from penumbra.commands import serve_model
    from penumbra.commands.model_service.application import Service

    prepared = serve_model.prepare("127.0.0.1", 0, "champion")
    service = Service(prepared.resident, prepared.door)
    service.limits = replace(service.limits, at_once=1, wait_s=0.05)

    async def two() -> None:
        service.turns = asyncio.Semaphore(1)
        async with service.turn(), service.turn():
            pytest.fail("two turns at once")

    with pytest.raises(Refusal) as refused:
        asyncio.run(two())
    assert refused.value.rule == "model_busy"


def test_the_openapi_document_is_json_with_both_bodies(client: Ask) -> None:
    document = json.loads(client(guarded=True).get("/openapi.json", headers=bearer(SCORER)).text)
    assert set(document["paths"]) == {"/predict", "/explain", "/columns", "/health", "/metrics"}
    assert set(document["paths"]["/predict"]["post"]["requestBody"]["content"]) == {"application/json", "application/zip"}
    assert document["paths"]["/predict"]["post"]["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/health"]["get"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_stream_is_refused_whatever_packed_it(tmp_path: Path, method: int) -> None:
    from penumbra.commands.model_service.archives import Limits, unpack

    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as archive:
        archive.writestr("a.dcm", bytes(range(256)) * 400)
    content = bytearray(whole.getvalue())
    for place in range(45, 80):
        content[place] ^= 0xFF
    with pytest.raises(Refusal) as refused:
        unpack(io.BytesIO(bytes(content)), tmp_path, Limits(files=10, unpacked_mb=10))
    assert refused.value.rule == "archive_readable"


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "scan"), "disk_space"),
        (MemoryError("Unable to allocate 9.5 GiB"), "memory_enough"),
        (OSError(errno.EMFILE, "Too many open files"), "open_files"),
    ],
)
def test_what_the_machine_lacks_is_answered_and_the_next_request_is(client: Ask, monkeypatch: pytest.MonkeyPatch, error: Exception, rule: str) -> None:
    from penumbra.pipeline import explain

    def lacking(*_: Any, **__: Any) -> None:
        raise error

    ask = client()
    with monkeypatch.context() as patched:
        patched.setattr(explain, "explain_person", lacking)
        answer = ask.post("/predict", json={"features": [VALUES]})
    assert (answer.status_code, answer.json()["rule"], answer.headers["retry-after"]) == (503, rule, "5")
    assert "scan" not in answer.text
    assert ask.post("/predict", json={"features": [VALUES]}).status_code == 200


def test_a_fault_of_the_program_says_nothing_of_what_was_sent(client: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.pipeline import explain

    def failing(*_: Any, **__: Any) -> None:
        raise KeyError("Miller^Anna")

    ask = client()
    monkeypatch.setattr(explain, "explain_person", failing)
    answer = ask.post("/predict", json={"features": [VALUES]})
    assert (answer.status_code, answer.json()["rule"]) == (500, "model_failed")
    assert "Miller" not in answer.text
