"""Many small appends put together while others read and write, with a server that ends idle transactions: DuckLake's users break there.

COMPACTION_APPENDS=3000 COMPACTION_IDLE_S=60 is the whole of it (make stress-compaction); the suite runs a small one.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penumbra import store
from penumbra.store import session
from penumbra.store.postgres import WRITER

from .catalogs import PROGRAMS, Catalogs, Server
from .test_many_processes import assert_whole, finish, start

APPENDS = int(os.environ.get("COMPACTION_APPENDS", "30"))
IDLE_S = int(os.environ.get("COMPACTION_IDLE_S", "1"))
MEMORY_MB = 2048
PROGRAM = """
import sys, time
from pathlib import Path
from penumbra import store
with store.connect(Path(sys.argv[1])) as lake:
    lake.connection.execute("SET memory_limit = '1GB'")
    began = time.monotonic()
    lake.compact()
    took = time.monotonic() - began
    # of this program alone: getrusage has the peak of the process that started it, too
    peak_kb = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"{took:.1f} {int(peak_kb) / 1024:.0f}")
"""


def small_files(home: Path) -> int:
    """Parquet files that the newest snapshot reads."""
    with store.connect(home, read_only=True) as lake:
        row = lake.connection.execute("SELECT count(*) FROM __ducklake_metadata_lake.ducklake_data_file WHERE end_snapshot IS NULL").fetchone()
        assert row
        return int(row[0])


def test_a_part_at_a_time_until_nothing_is_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds: files beyond the size are left alone, and a bound of one new file a call takes as many calls as there are."""
    monkeypatch.setattr(session, "MERGED_FILES", 1)
    with store.connect(home) as lake:
        for i in range(12):
            lake.write({"patients": [{"patient": f"P{i}", "center": "north", "age": 60.0 + i}]}, run="r", what="small")
        before, digest = small_files(home), store.digest(lake, "patients")
        monkeypatch.setattr(session, "SMALL_BYTES", 1)
        lake.compact()
        assert small_files(home) == before
        monkeypatch.setattr(session, "SMALL_BYTES", 64 * 1024**2)
        lake.compact()
        assert small_files(home) < before / 3
        assert store.digest(lake, "patients") == digest
        assert store.check(lake) == []
    with store.connect(home, as_of=5) as earlier:
        assert len(earlier.rows("patients")) == 5


def test_many_small_commits_never_pile_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one connection, and of commands that make one commit each, which no connection's own count ever reached."""
    monkeypatch.setattr(session, "MANY_FILES", 4)
    with store.connect(home) as lake:
        for i in range(9):
            lake.write({"patients": [{"patient": "shared", "center": "all", "age": 1.0 + i}]}, run="r", what="small")
        assert lake.commits == 1
        lake.commits = 0  # as if it were killed here
        assert lake.sql("SELECT count(*) AS n FROM stored.patients").to_pylist() == [{"n": 9}]
    for i in range(9, 14):
        with store.connect(home) as lake:
            lake.write({"patients": [{"patient": "shared", "center": "all", "age": 1.0 + i}]}, run="r", what="small")
    assert small_files(home) < 2 * 4 + 5  # of two tables, and the migrations' few
    with store.connect(home, as_of=3) as earlier:
        assert [row["age"] for row in earlier.rows("patients")] == [3.0]


@pytest.fixture
def impatient() -> "Server":
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed here (apt-get install postgresql; .ci/run does it)")
    return Server(f"-c idle_in_transaction_session_timeout={IDLE_S * 1000}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_compaction_alongside_a_reader_and_a_writer(home: Path, impatient: Server, tmp_path: Path) -> None:
    catalogs = Catalogs(impatient)
    try:
        catalogs.begin(home)
        with store.connect(home) as lake:
            began = time.monotonic()
            for i in range(APPENDS):
                lake.write({"centers": [{"center": f"center {i}"}]}, run="r", what="small")
                lake.commits = 0  # as a writer that was killed before it could compact
            appended = time.monotonic() - began
        before, stop = small_files(home), tmp_path / "stop"
        assert before >= 2 * APPENDS
        others = [start("append", home, "w0", 10_000, stop), start("read", home, stop)]
        time.sleep(2)
        out = subprocess.run([sys.executable, "-c", PROGRAM, home], capture_output=True, text=True, check=True).stdout
        stop.touch()
        outs = [finish(process) for process in others]
        took, peak_mb = map(float, out.split())
        print(
            f"{APPENDS} appends {appended:.0f} s; {before} files, then {small_files(home)}; compacted in {took} s, peak {peak_mb:.0f} MB; "
            f"{outs[1].strip()}, {len(outs[0].splitlines())} patients written"
        )
        assert small_files(home) < before / 3
        assert peak_mb < MEMORY_MB
        assert_whole(home, {line.split()[0] for line in outs[0].splitlines()})
    finally:
        impatient.stop()


@pytest.mark.slow
def test_the_writers_place_outlasts_the_servers_patience(home: Path, impatient: Server) -> None:
    """A server that ends the session which holds the lock lets a second writer in."""
    try:
        Catalogs(impatient).begin(home)
        with store.connect(home) as lake, lake.exclusively():
            time.sleep(2.5 * IDLE_S)
            with store.connect(home, read_only=True) as other:
                taken = f"SELECT pg_try_advisory_xact_lock({WRITER}) AS free"
                assert other.connection.execute(f"FROM postgres_query('__ducklake_metadata_lake', '{taken}')").fetchall() == [(False,)]
    finally:
        impatient.stop()
