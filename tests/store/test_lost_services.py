"""PostgreSQL or object storage that goes away at any moment of a write, a read or a compaction: one sentence, nothing half done, and the same call goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import postgres

from ..services import Services
from .catalogs import PROGRAMS
from .conftest import image, patients

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("objects"),
    pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed here (apt-get install postgresql; .ci/run does it)"),
]
SHARES = {"postgres": (0.1, 0.4, 0.7, 0.95), "objects": (0.2, 0.8)}  # of what is sent to it; the engine asks objects three times
RULES = {"postgres": "catalog_reached", "objects": "files_reached"}


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as started:
        yield started


def work(home: Path) -> None:
    """What a stage does with the store: look, write, look, compact."""
    with store.connect(home) as lake:
        lake.rows("patients")
        for row in patients()[:3]:
            lake.write({"patients": [row], "images": [image(str(row["patient"]), str(row["center"]))]}, run="r", what="w")
        assert len(lake.rows("images")) == 3
        lake.compact()
        assert len(lake.rows("patients")) == 3


@pytest.mark.parametrize("which", RULES)
def test_lost_at_any_moment(which: str, services: Services, tmp_path: Path) -> None:
    services.clear()
    services.save(which)
    services.count()
    work(tmp_path / "undisturbed")
    services.note(which)
    with store.connect(tmp_path / "undisturbed", read_only=True) as lake:
        digests = [store.digest(lake, name) for name in ("patients", "images")]
    for share in SHARES[which]:
        services.restore(which)
        home = tmp_path / f"{share:.2f}"
        assert services.cut(which, which, share) is not None
        with pytest.raises(Refusal) as refusal:
            work(home)
        assert refusal.value.rule == RULES[which], share
        assert "\n" not in str(refusal.value)
        services.back(which)
        work(home)
        with store.connect(home, read_only=True) as lake:
            assert [store.digest(lake, name) for name in ("patients", "images")] == digests
            assert store.check(lake) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            'IO Error: Unable to connect to Postgres at "host=db": connection to server at "db" (10.0.0.5), port 5432 failed: Connection refused',
            "Connection refused",
        ),
        (
            'IO Error: Unable to connect to Postgres at "dbname=penumbra": connection to server at "db" (10.0.0.5), port 5432 failed: '
            'FATAL:  password authentication failed for user "penumbra"',
            'FATAL: password authentication failed for user "penumbra"',
        ),
        (
            'Binder Error: Failed to get data file list from DuckLake: Failed to prepare query "SELECT data_file_id FROM ducklake_file_column_stats": '
            "server closed the connection unexpectedly",
            "the server closed the connection",
        ),
        ('TransactionContext Error: Failed to commit: Failed to execute query "ROLLBACK": SSL SYSCALL error: EOF detected', "the server closed the connection"),
        ('IO Error: Failed to read snapshot: Failed to copy data: "SELECT 1": no connection to the server', "the server closed the connection"),
    ],
)
def test_a_lost_server_is_one_sentence_without_the_statement(words: str, sentence: str) -> None:
    refused = postgres.reached(RuntimeError(words), "postgresql://penumbra:secret@db:5432/penumbra")
    assert refused is not None
    assert (refused.rule, refused.found) == ("catalog_reached", f"postgresql://penumbra@db:5432/penumbra: {sentence}")
