"""The store with its files on object storage: the same promises, no key in any file or sentence, and no way to the network for a statement."""

import os
import re
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import store
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.store import forgetting, objects
from penumbra.store.judging import JUDGE
from penumbra.store.limits import lock

from .buckets import ALL, BUCKET, Storage
from .catalogs import PROGRAMS, Server, free_port
from .conftest import fill, patients
from .test_forgetting import GONE
from .test_many_processes import run_and_kill

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("objects")]  # one server
NO_REMOVAL = [*ALL, {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}]
WRONG = "wrongwrongwrongwrongwrongwrongwrongwrong"


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    opened = Storage()
    yield opened
    opened.stop()


@pytest.fixture(autouse=True)
def setting(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE", "PENUMBRA_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def kept(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled store that tests only read."""
    home = tmp_path_factory.mktemp("objects") / "home"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in storage.environment.items():
            patch.setenv(name, value)
        fill(home)
    return home


def address_of(home: Path) -> str:
    address = objects.remembered(home / "store")
    assert address is not None
    return address


def refused(home: Path) -> Refusal:
    """What opening to write says."""
    with pytest.raises(Refusal) as refusal:
        store.connect(home).close()
    return refusal.value


def test_the_rows_are_objects_and_no_file_holds_the_key(kept: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    address = address_of(kept)
    assert address.rpartition("/")[0] == storage.environment["PENUMBRA_FILES"]
    assert {Path(key).suffix for key in storage.keys(address)} == {".parquet"}
    on_disk = {file.name: file.read_bytes() for file in kept.rglob("*") if file.is_file()}
    assert set(on_disk) <= {"catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "files.uri", "writer.lock"}
    assert not any(secret.encode() in content for content in on_disk.values() for secret in (storage.key, storage.secret))
    monkeypatch.delenv("PENUMBRA_FILES")  # the store knows
    found = store.query(kept, "SELECT center, count(*) AS n FROM patients GROUP BY ALL ORDER BY 1").to_pylist()
    assert found == [{"center": "east", "n": 4}, {"center": "north", "n": 6}, {"center": "south", "n": 3}]
    assert store.query(kept, "SELECT count(*) AS n FROM radiomics", as_of=2).to_pylist() == [{"n": 0}]
    with store.connect(kept, as_of=3) as earlier:
        assert len(store.read_matrix(earlier, "radiomics", "gtv").patients) == len(patients())
        assert earlier.rows("predictions") == []
    (kept / "store" / objects.ADDRESS_FILE).rename(kept / "aside")  # as on a machine that only knows the catalog
    assert store.query(kept, "SELECT count(*) AS n FROM radiomics").to_pylist() == [{"n": 52}]
    (kept / "aside").rename(kept / "store" / objects.ADDRESS_FILE)


def test_a_store_moves_out_of_objects(kept: Path, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.connect(kept, read_only=True) as lake:
        first = store.export_store(lake, tmp_path / "one")
    monkeypatch.delenv("PENUMBRA_FILES")
    with store.connect(tmp_path / "folder") as lake:
        assert store.import_store(lake, tmp_path / "one") == first
        assert list((tmp_path / "folder" / "store" / "files").rglob("*.parquet"))
        assert store.export_store(lake, tmp_path / "two") == first
    monkeypatch.setenv("PENUMBRA_FILES", storage.environment["PENUMBRA_FILES"])
    assert refused(tmp_path / "folder").found.endswith(f"has its files in a folder of its own, not at {storage.environment['PENUMBRA_FILES']}")


def test_compacted_then_forgotten(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No object holds the patient: of no commit, of no commit that was killed, of no other store's objects one is missing."""
    home, neighbor = tmp_path / "home", f"s3://{BUCKET}/stores/neighbor"
    fill(home)
    address = address_of(home)
    storage.put(f"stores/{address.rpartition('/')[2]}/main/patients/ducklake-killed.parquet", f"PAR1 {GONE}".encode())
    storage.put("stores/neighbor/main/patients/ducklake-x.parquet", GONE.encode())
    with store.connect(home) as lake:
        for k in range(3):
            lake.write({"patients": [{"patient": GONE, "center": "north", "age": 90.0 + k}]}, run="r", what="corrected")
        before = store.digest(lake, "patients")
        lake.compact()
        assert store.digest(lake, "patients") == before
        live = lake.sql("SELECT count(*) AS n FROM ducklake_list_files('lake', 'patients')").column(0)[0].as_py()
        assert live == 1
        assert any("killed" in key for key in storage.keys(address))  # younger than two days: somebody's who is writing, for all we know
        assert GONE.encode() in storage.bytes_of(address)

        with monkeypatch.context() as patch:
            patch.setattr(forgetting, "purge", lambda *_, **__: storage.allow(NO_REMOVAL))
            store.forget(lake, GONE, run="r")
        with pytest.raises(Refusal, match=r"refuses the key \(AccessDenied\)"):
            store.purge(lake, run="r")
        storage.allow(ALL)
        assert store.unfinished(lake)
        store.purge(lake, run="r")
        assert not store.unfinished(lake)
        assert store.check(lake) == []
        live = lake.sql("SELECT data_file FROM ducklake_list_files('lake', 'patients')").column(0).to_pylist()
    assert GONE.encode() not in storage.bytes_of(address)
    assert {key for key in storage.keys(address) if "/main/patients/" in key} == {file.removeprefix(f"s3://{BUCKET}/") for file in live}
    assert len(storage.keys(neighbor)) == 1
    assert {row["patient"] for row in store.query(home, "FROM patients").to_pylist()} == {row["patient"] for row in patients()} - {GONE}


def test_killed_writers(storage: Storage, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_and_kill(home, writers=1, count=2, rounds=1, seed=3)
    with store.connect(home) as lake:
        store.purge(lake, run="r")
        tables = lake.sql("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'").column(0).to_pylist()
        live = [file for table in tables for file in lake.sql("SELECT data_file FROM ducklake_list_files('lake', ?)", [table]).column(0).to_pylist()]
    assert sorted(storage.keys(address_of(home))) == sorted(file.removeprefix(f"s3://{BUCKET}/") for file in live)


HOSTILE = (
    "FROM read_parquet('{inside}')",
    "FROM '{inside}'",
    "FROM read_blob('{outside}')",
    "FROM glob('{address}/*')",
    "SELECT content FROM read_text('{url}')",
    "FROM read_csv('{url}')",
    "FROM '{url}'",
    "FROM read_parquet('{inside}?s3_endpoint=example.org')",
    "FROM parquet_metadata('{inside}')",
    "COPY (SELECT 1) TO '{address}/x.parquet'",
    "COPY patients TO '{outside}'",
    "ATTACH '{outside}' AS other",
    "FROM duckdb_secrets()",
    "FROM duckdb_secrets(redact => false)",
    "FROM system.main.duckdb_secrets()",
    "FROM which_secret('{inside}', 's3')",
    "DROP SECRET files",
    "CREATE SECRET x (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "CREATE PERSISTENT SECRET x (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "SET s3_endpoint = 'example.org'",
    "SELECT getenv('AWS_SECRET_ACCESS_KEY')",
    "FROM ducklake_list_files('lake', 'patients')",
    "CALL ducklake_add_data_files('lake', 'patients', '{outside}')",
)
BY_THE_ENGINE = (
    "FROM read_blob('{outside}')",
    "SELECT content FROM read_text('{url}')",
    "FROM '{url}'",
    "FROM glob('s3://{bucket}/*')",
    "COPY (SELECT 1) TO 's3://{bucket}/x.parquet'",
    "COPY (SELECT 1) TO '/tmp/penumbra-x.parquet'",
    "CREATE PERSISTENT SECRET x (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "FROM duckdb_secrets(redact => false)",
    "SET s3_endpoint = 'example.org'",
    "SET allow_unredacted_secrets = true",
    "SET allowed_directories = ['s3://']",
)


def test_a_statement_reaches_neither_objects_nor_key_nor_network(kept: Path, storage: Storage) -> None:
    import duckdb

    storage.put("outside.txt", b"not of the store")
    address = address_of(kept)
    names = {
        "address": address,
        "inside": f"s3://{BUCKET}/{storage.keys(address)[0]}",
        "outside": f"s3://{BUCKET}/outside.txt",
        "url": f"{storage.url}/{BUCKET}/outside.txt",
        "bucket": BUCKET,
    }
    with store.connect(kept, read_only=True) as lake:
        lake.require(None)
        shown = lake.connection.execute("FROM duckdb_secrets()").fetchall()
        assert shown
        assert storage.secret not in str(shown)
        lock(lake, "1GB")
        assert lake.connection.execute("SELECT count(*), max(value) > 0 FROM radiomics_long").fetchall() == [(312, True)]
        for statement in HOSTILE:
            with pytest.raises(Refusal) as refusal:
                JUDGE.ask(statement.format(**names), lake.views.names())
            assert refusal.value.rule in ("read_only_sql", "relation"), statement
        for statement in BY_THE_ENGINE:
            with pytest.raises(duckdb.Error) as error:
                lake.connection.execute(statement.format(**names)).fetchall()
            assert storage.secret not in str(error.value)
            assert not isinstance(error.value, duckdb.ParserException | duckdb.BinderException) or "redact" in statement, (statement, error.value)
    assert storage.keys(f"s3://{BUCKET}/x.parquet") == []


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, "files", "there is no AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "files", "no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": WRONG}, "files", r"refuses the key \(SignatureDoesNotMatch\)"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "files", r"refuses the key \(InvalidAccessKeyId\)"),
        ({"PENUMBRA_FILES": "s3://nobody-has-this/x"}, "files", "has no bucket nobody-has-this"),
        ({"AWS_ENDPOINT_URL": "{closed}"}, "files_reached", "does not answer"),
        ({"AWS_ENDPOINT_URL": f"http://user:{WRONG}@127.0.0.1:9"}, "files", "AWS_ENDPOINT_URL is 'http://...@127"),
        ({"AWS_ENDPOINT_URL": "ftp://127.0.0.1"}, "files", "not the address of a server"),
        ({"PENUMBRA_FILES": "/mnt/files"}, "files", "not the address of object storage"),
        ({"PENUMBRA_FILES": f"s3://key:{WRONG}@bucket/x"}, "files", r"is 's3://\.\.\.@bucket/x'"),
        ({"PENUMBRA_FILES": f"s3://bucket/x?s3_secret_access_key={WRONG}"}, "files", "not the address of object storage"),
        ({"PENUMBRA_FILES": "s3://bucket/../x"}, "files", "not the address of object storage"),
        ({"PENUMBRA_FILES": "s3://bucket/*"}, "files", "not the address of object storage"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_begins(
    change: dict[str, str], rule: str, words: str, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value.replace("{closed}", f"http://127.0.0.1:{free_port()}"))
    home = tmp_path / "home"
    with pytest.raises(Refusal, match=words) as refusal:
        store.connect(home).close()
    assert refusal.value.rule == rule
    assert "\n" not in str(refusal.value)
    told = "".join(traceback.format_exception(refusal.value))
    assert not any(secret in told for secret in (storage.secret, WRONG))
    assert not (home / "store" / "catalog.sqlite").exists()
    for name, value in storage.environment.items():  # mended: the same folder takes it
        monkeypatch.setenv(name, value)
    if "PENUMBRA_FILES" in change and rule == "files" and "bucket" in words:
        store.connect(home).close()


def test_other_words_of_the_engine() -> None:
    """A removal inside a transaction (met here with a policy that forbids it); a server under load."""
    forbidden = objects.reached(OSError('IO Error: Could not remove file "s3://bucket/x.parquet": Forbidden'))
    assert forbidden is not None
    assert forbidden.found == "the object storage refuses the key (Forbidden)"
    busy = objects.reached(OSError("HTTP Error: HTTP GET error reading 'http://h/b/x' in region 'r' (HTTP 503 Slow Down)\n\nSlowDown: Reduce your rate."))
    assert busy is not None
    assert (busy.rule, busy.found) == ("files_reached", "the object storage does not answer (SlowDown)")
    assert objects.reached(OSError("Cannot open file x.parquet")) is None


def test_a_fault_later_on_is_told_too(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.connect(kept) as lake:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRONG)
        lake.lake.unlock(lake.connection)
        with pytest.raises(Refusal, match="refuses the key"):
            lake.write({"patients": [{"patient": "Z", "center": "z"}]}, run="r", what="w")
        with pytest.raises(Refusal, match="refuses the key"):
            lake.rows("radiomics")
    with pytest.raises(Refusal, match="refuses the key"):
        store.query(kept, "SELECT max(value) FROM radiomics_long")
    monkeypatch.setenv("PENUMBRA_HOME", str(kept))
    told = CliRunner().invoke(main, ["doctor"]).output
    assert re.search("store +BAD +the object storage refuses the key", told)
    monkeypatch.setenv("PENUMBRA_FILES", f"s3://{BUCKET}/elsewhere")
    assert f"has its files at {address_of(kept)}, not at s3://{BUCKET}/elsewhere" in refused(kept).found


def test_a_lost_object_is_told(storage: Storage, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with store.connect(home) as lake:
        lake.write({"patients": [{"patient": "P", "center": "c"}]}, run="r", what="w")
    for key in storage.keys(address_of(home)):
        storage.client.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(Refusal, match=r"the store's file ducklake-[\w-]+\.parquet is missing.*\(rule store_damaged\)"):
        store.query(home, "SELECT max(age) FROM patients")


def test_a_copied_folder_is_no_second_store(kept: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kept, copy)
    assert "is a copy of" in refused(copy).found
    assert store.query(copy, "SELECT count(*) AS n FROM patients").to_pylist() == [{"n": 13}]
    shutil.copytree(copy, tmp_path / "first")
    lines = (tmp_path / "first" / "store" / objects.ADDRESS_FILE).read_text().splitlines()
    (tmp_path / "first" / "store" / objects.ADDRESS_FILE).write_text(f"{lines[0]}\n{tmp_path / 'gone' / 'store'}\n")
    store.connect(tmp_path / "first").close()  # it was moved, not copied
    assert objects.remembered(tmp_path / "first" / "store") == lines[0]


def test_the_back_up_holds_an_export_that_is_restored_to_objects(kept: Path, storage: Storage, tmp_path: Path) -> None:
    script, file = project_root() / "infra" / "backup.sh", tmp_path / "saved.tar"
    (kept / "kept.txt").write_text("x")
    told = set[str]()
    for action, home in (("save", kept), ("restore", tmp_path / "elsewhere")):
        done = subprocess.run([script, action, file], env={**os.environ, "PENUMBRA_HOME": str(home)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told |= set(re.findall(r"[0-9a-f]{64}", done.stdout))
    assert len(told) == 1  # the digest of the export, and of what was imported
    (kept / "kept.txt").unlink()
    assert storage.secret.encode() not in file.read_bytes()
    assert address_of(tmp_path / "elsewhere") != address_of(kept)
    assert (tmp_path / "elsewhere" / "kept.txt").is_file()


@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed here (apt-get install postgresql; .ci/run does it)")
def test_machines_share_a_catalog_in_postgres_and_the_objects(servers: list[Server], storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not servers:
        servers.append(Server())
    uri = servers[0].database()
    one, two = tmp_path / "one", tmp_path / "two"
    with store.connect(one, catalog=uri) as lake:
        lake.write({"patients": [{"patient": "P", "center": "c"}]}, run="r", what="w")
    monkeypatch.setenv("PENUMBRA_FILES", f"s3://{BUCKET}/elsewhere")
    with pytest.raises(Refusal, match="has its files at"):
        store.connect(two, catalog=uri).close()
    monkeypatch.delenv("PENUMBRA_FILES")
    with store.connect(two, catalog=uri) as lake:
        assert [row["patient"] for row in lake.rows("patients")] == ["P"]
        lake.write({"patients": [{"patient": "Q", "center": "c"}]}, run="r", what="w")
    assert address_of(one) == address_of(two)
    assert not (two / "store" / "files").exists()
    with store.connect(one, catalog=uri, read_only=True) as lake:
        assert [row["patient"] for row in lake.rows("patients")] == ["P", "Q"]
