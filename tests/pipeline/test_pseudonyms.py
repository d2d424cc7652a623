"""A home keeps to the pseudonym key that it began with."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.cohort import key_fingerprint, pseudonym
from penumbra.commands import monitor
from penumbra.pipeline import persons, pseudonyms
from penumbra.pipeline.ingest import ingest

from ..cohort.test_ingest_stage import Center, center, rows
from .test_persons import prediction

pytestmark = pytest.mark.slow

__all__ = ["center"]
KEY, OTHER = "a key that is long enough", "another key, long enough"
SENT = {"A1": "F,100,0", "A2": "M,200,1"}


@dataclass
class Shell:
    """The environment of one shell."""

    monkeypatch: pytest.MonkeyPatch

    def key(self, key: str | None) -> None:
        if key is None:
            self.monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
        else:
            self.monkeypatch.setenv("PENUMBRA_PSEUDONYM_KEY", key)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(monkeypatch)


def patients(center: Center) -> list[object]:
    return [row["patient"] for row in rows(center.work, "SELECT patient FROM patients ORDER BY patient")]


def as_written_before(center: Center) -> None:
    """Forget the fingerprint: a home of the code before remembered none."""
    with store.connect(center.work.home) as lake:
        lake.transact(lambda inside: inside.execute("DELETE FROM lake.pseudonym_keys"))


@pytest.mark.parametrize("remembered", [True, False], ids=["begun now", "begun before keys were remembered"])
@pytest.mark.parametrize(
    ("begun", "today", "words"),
    [
        (KEY, OTHER, "PENUMBRA_PSEUDONYM_KEY is another key than the one that this home's patients are named by"),
        (KEY, None, "this home's patients are named by a pseudonym key, and PENUMBRA_PSEUDONYM_KEY is not set"),
        (None, KEY, "this home's patients have the names they arrived with, and PENUMBRA_PSEUDONYM_KEY is set"),
        (KEY, KEY + "\n", "PENUMBRA_PSEUDONYM_KEY is another key"),
    ],
)
def test_another_shell_with_another_key_doubles_nobody(
    center: Center, shell: Shell, begun: str | None, today: str | None, words: str, remembered: bool
) -> None:
    shell.key(begun)
    center.send("alpha", SENT)
    named = patients(center)
    if not remembered:
        as_written_before(center)
    commits = rows(center.work, "SELECT max(id) AS id FROM commits")
    shell.key(today)
    with pytest.raises(Refusal, match=rf"{words}.*\(rule pseudonym_key\)"):
        ingest(center.work)
    with pytest.raises(Refusal, match="pseudonym_key"):
        monitor.record(center.work, Path("/elsewhere/alpha/A3"), "alpha", prediction())
    assert rows(center.work, "SELECT max(id) AS id FROM commits") == commits, "refused before anything was written"
    assert patients(center) == named
    with store.connect(center.work.home, read_only=True) as lake:
        fine, found = pseudonyms.examined(center.work.home, lake)
        assert fine == (today is None), "without a key one may still read"
        assert "PENUMBRA_PSEUDONYM_KEY" in found
    shell.key(begun)
    ingest(center.work)
    assert patients(center) == named


def test_the_key_itself_is_nowhere(center: Center, shell: Shell) -> None:
    shell.key(KEY)
    center.send("alpha", SENT)
    with store.connect(center.work.home, read_only=True) as lake:
        assert pseudonyms.remembered(lake) == key_fingerprint(KEY)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in (center.work.home / "store").rglob("*") if path.is_file())


def test_a_key_is_changed_for_everybody_at_once(center: Center, shell: Shell) -> None:
    center.send("alpha", SENT)
    center.send("beta", {"B1": "F,100,0"})
    shell.key(KEY)
    ingest(center.work, new_key=True)
    expected = sorted(pseudonym(patient, center=name, key=KEY) for patient, name in (("A1", "alpha"), ("A2", "alpha"), ("B1", "beta")))
    assert patients(center) == expected
    shell.key(OTHER)
    ingest(center.work, new_key=True)
    assert not set(patients(center)) & set(expected)
    assert len(patients(center)) == 3
    shell.key(KEY)
    with pytest.raises(Refusal, match="pseudonym_key"):
        ingest(center.work)


def test_a_home_with_names_of_several_kinds_is_found_and_mended(center: Center, shell: Shell) -> None:
    """As the code before left it after three shells with no key, one and another: 2 patients became 6."""
    center.send("alpha", SENT)
    with store.connect(center.work.home) as lake:
        for key in (KEY, OTHER):
            again = {
                name: [
                    {**row, "patient": pseudonym(row["patient"], center="alpha", key=key)}
                    for row in lake.sql(f"SELECT * EXCLUDE (commit_id) FROM {name} WHERE patient IN ('A1', 'A2')").to_pylist()  # noqa: S608
                ]
                for name in ("patients", "images", "rois")
            }
            lake.write(again, run="r", what="ingest alpha")
    as_written_before(center)
    assert len(patients(center)) == 6
    with store.connect(center.work.home, read_only=True) as lake:
        fine, found = pseudonyms.examined(center.work.home, lake)
        assert (fine, found.split(":")[0]) == (False, "4 pseudonyms and 2 names as they arrived")
        assert persons.doubled(lake).startswith("2 scans are stored for 6 patients")
    shell.key(KEY)
    with pytest.raises(Refusal, match=r"4 of this home's 6 patients have pseudonyms and 2 have the names they arrived with.*\(rule pseudonym_key\)"):
        ingest(center.work)
    ingest(center.work, new_key=True)
    assert patients(center) == sorted(pseudonym(patient, center="alpha", key=KEY) for patient in SENT)
    with store.connect(center.work.home, read_only=True) as lake:
        assert pseudonyms.examined(center.work.home, lake) == (True, "all pseudonyms")
        assert persons.doubled(lake) == ""
